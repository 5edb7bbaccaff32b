use std::sync::Arc;

use super::*;
use crate::config::metric::{Aggregation, Matcher, Matchers, RangeBoundary, Selection, Side, Test};
use crate::model::Buckets;
use crate::model::Identity;
use crate::storage::notation::{INTERVAL, START, commit_points, load, load_into, point};
use crate::storage::{Point, Points, Wanted};

const WINDOW: Duration = Duration::from_secs(60);
const FRESHNESS: Duration = Duration::from_secs(40);

fn selection(name: &str) -> Selection {
    Selection { name: name.into(), matchers: Matchers::default() }
}

fn matching(name: &str, label: &str, value: &str) -> Selection {
    let matcher = Matcher { label: label.into(), test: Test::Equal(value.into()) };
    Selection { name: name.into(), matchers: Matchers(vec![matcher]) }
}

fn definition(shape: Shape, split_by: &[&str]) -> Definition {
    Definition {
        name: "m".into(),
        description: String::new(),
        unit: String::new(),
        shape,
        levels: Vec::new(),
        split_by: split_by.iter().map(|label| (*label).to_owned()).collect(),
        min_coverage: 0.8,
        aggregation: Aggregation::Exact,
        thresholds: Vec::new(),
    }
}

fn gauge(combine: Combine) -> Shape {
    Shape::Gauge { series: selection("g"), combine }
}

fn queue(sharing: Sharing) -> Shape {
    Shape::Queue { series: selection("g"), sharing }
}

fn rate() -> Shape {
    Shape::Rate { counter: selection("c_total"), window: WINDOW }
}

fn p95() -> Shape {
    Shape::Quantile { histogram: selection("h"), q: 0.95, window: WINDOW }
}

fn error_ratio() -> Shape {
    let numerator = Side::Counter(matching("c_total", "code", "500"));
    Shape::Ratio { numerator, denominator: Side::Counter(selection("c_total")), window: WINDOW }
}

fn wanted() -> Arc<Wanted> {
    let mut wanted = Wanted::default();
    wanted.gauge("g");
    wanted.counter("c_total", "c_created", WINDOW);
    wanted.counter("h_bucket", "h_created", WINDOW);
    wanted.counter("h", "h_created", WINDOW);
    Arc::new(wanted)
}

fn target() -> Target {
    Target::for_test("http://a/metrics", Identity::default())
}

/// Groups of one target, evaluated `age` after its last scrape.
fn groups(shape: Shape, split_by: &[&str], series: &[&str], age: Duration) -> Result<Groups<Partial>, Absence> {
    let (store, now) = load(&wanted(), series);
    evaluate(&store, &definition(shape, split_by), &target(), now.plus(age))
}

/// The value of all groups of all targets merged; each target is a list of series.
fn value(shape: &Shape, targets: &[&[&str]]) -> Result<Value, Absence> {
    let mut all: Option<Partial> = None;
    for series in targets {
        for partial in groups(shape.clone(), &[], series, Duration::ZERO)?.into_values() {
            match &mut all {
                Some(all) => all.merge(partial),
                None => all = Some(partial),
            }
        }
    }
    all.expect("some group").value()
}

#[track_caller]
fn check(shape: &Shape, targets: &[&[&str]], expected: f64) {
    let number = value(shape, targets).expect("a value").number;
    assert!((number - expected).abs() < 1e-9, "{number} is not {expected}");
}

#[track_caller]
fn check_absent(shape: Shape, series: &[&str], expected: &str) {
    let absence = groups(shape, &[], series, Duration::ZERO)
        .and_then(|groups| groups.into_values().next().expect("a group").value());
    assert_eq!(absence.expect_err("no value").to_string(), expected);
}

#[test]
fn gauges_combine_over_series_and_targets() {
    let targets: [&[&str]; 2] = [&["g{a=\"1\"} 1", "g{a=\"2\"} 2"], &["g{a=\"1\"} 9"]];
    check(&gauge(Combine::Sum), &targets, 12.0);
    check(&gauge(Combine::Avg), &targets, 4.0);
    check(&gauge(Combine::Max), &targets, 9.0);
    check(&gauge(Combine::Min), &targets, 1.0);
}

#[test]
fn split_labels_tell_shared_queues_apart() {
    let mut merged: Option<Partial> = None;
    for worker in ["w1", "w2"] {
        let series = [
            format!("g{{q=\"a\",worker=\"{worker}\",part=\"1\"}} 70"),
            format!("g{{q=\"a\",worker=\"{worker}\",part=\"2\"}} 30"),
        ];
        let series: Vec<&str> = series.iter().map(String::as_str).collect();
        for partial in groups(queue(Sharing::Shared), &["q"], &series, Duration::ZERO).expect("groups").into_values() {
            match &mut merged {
                Some(merged) => merged.merge(partial),
                None => merged = Some(partial),
            }
        }
    }
    assert_eq!(merged.expect("a queue").value().expect("a value").number, 100.0);
}

#[test]
fn a_shared_queue_counts_once_and_a_partitioned_one_in_parts() {
    let targets: [&[&str]; 2] =
        [&["g{queue=\"a\"} 10", "g{queue=\"b\"} 4"], &["g{queue=\"a\"} 12", "g{queue=\"b\"} 3"]];
    check(&queue(Sharing::Shared), &targets, 16.0);
    check(&queue(Sharing::Partitioned), &targets, 29.0);
}

#[test]
fn rates_are_true_changes_over_true_spans() {
    // 15 s between samples; the window of 60 s begins at the fifth-last sample.
    check(&rate(), &[&["c_total 0+30x10"]], 2.0);
    // Late born: 60 in 30 s.
    check(&rate(), &[&["c_total 0 30 60"]], 2.0);
    // Two scrapes of this series are missing from the page, so it began anew.
    check(&rate(), &[&["c_total 0 15 _ 45 60", "g 1x4"]], 1.0);
    // A reset: 100 → 130 → 5 → 35 grew by 30 + 5 + 30 in 45 s.
    check(&rate(), &[&["c_total 100 130 5 35"]], 65.0 / 45.0);
    // Flat is a proven zero.
    check(&rate(), &[&["c_total 7x4"]], 0.0);
}

#[test]
fn rates_sum_over_targets_after_the_rate() {
    // One target restarted: summing the counters first would show a fall from 1030 to 35.
    check(&rate(), &[&["c_total 1000 1015 1030"], &["c_total 1000 5 20"]], 1.0 + 20.0 / 30.0);
}

#[test]
fn a_start_time_within_the_window_is_as_good_as_a_sample() {
    // Created 30 s before the only sample (START is 1700000000).
    check(&rate(), &[&["c_total 60", "c_created 1699999970"]], 2.0);
    // Created 5 ms before: one request is no 200 per second; a whole interval is looked at.
    check(&rate(), &[&["c_total 30", "c_created 1699999999.995"]], 2.0);
    // Created long before the window: one sample is not enough.
    check_absent(
        rate(),
        &["c_total 10", "c_created 1600000000"],
        "c_total has 1 of the 2 samples that a change over time needs",
    );
}

#[test]
fn a_restart_that_the_value_hides_is_seen_by_its_start_time() {
    let (store, now) = load(&wanted(), &["c_total 10 50", "c_created 1600000000 1700000010"]);
    let groups = evaluate(&store, &definition(rate(), &[]), &target(), now).expect("groups");
    let number = groups.into_values().next().expect("a group").value().expect("a value").number;
    assert!((number - 50.0 / 15.0).abs() < 1e-9, "{number}");
}

#[test]
fn a_series_that_is_new_in_a_living_family_began_at_zero() {
    // All traffic moves to a new code: 1500 requests in 15 s, not none.
    check(&rate(), &[&["c_total{code=\"404\"} 7 7 7", "c_total{code=\"200\"} _ _ 1500"]], 100.0);
    check(&error_ratio(), &[&["c_total{code=\"200\"} 7 7 7", "c_total{code=\"500\"} _ _ 30"]], 1.0);
    // Series that come and go may be old ones that come back: nothing is implied.
    let back = ["c_total{code=\"404\"} 7x4", "c_total{code=\"200\"} 1000 1000 _ _ 1000"];
    check(&rate(), &[&back], 0.0);
}

#[test]
fn a_start_time_of_a_clock_that_is_ahead_is_no_restart() {
    // The target's clock is a minute ahead: its start lies between our samples, and never changes.
    check(&rate(), &[&["c_total 0+150x4", "c_created 1700000030x4"]], 10.0);
}

#[test]
fn the_buckets_of_a_histogram_restart_together() {
    // After the restart all 90 observations are below 0.5; the bucket of 0.5 alone did not fall.
    let series = [
        "h_bucket{le=\"0.25\"} 0 60",
        "h_bucket{le=\"0.5\"} 50 90",
        "h_bucket{le=\"1\"} 60 90",
        "h_bucket{le=\"+Inf\"} 100 90",
    ];
    let number = value(&p95(), &[&series]).expect("a value").number;
    assert!((0.25..=0.5).contains(&number), "{number}");
}

#[test]
fn a_histogram_whose_bounds_are_written_anew_gives_no_half_of_a_quantile() {
    let series = [
        "h_bucket{le=\"0.5\"} 0 5 10",
        "h_bucket{le=\"1\"} 0 50 _",
        "h_bucket{le=\"1.0\"} _ _ 100",
        "h_bucket{le=\"+Inf\"} 0 50 100",
    ];
    check_absent(p95(), &series, "h_bucket{le=\"1.0\"} has 1 of the 2 samples that a change over time needs");
    let twice = ["h_bucket{le=\"1\"} 0 5", "h_bucket{le=\"1.0\"} 0 5", "h_bucket{le=\"+Inf\"} 0 5"];
    check_absent(p95(), &twice, "h: two buckets of the histogram have the same bound");
}

#[test]
fn a_sample_of_the_future_is_not_fresh() {
    let (store, now) = load(&wanted(), &["g 1"]);
    let before = now.minus(Duration::from_secs(3600));
    let absence = evaluate(&store, &definition(gauge(Combine::Sum), &[]), &target(), before).expect_err("no value");
    assert!(absence.to_string().ends_with("in the future"), "{absence}");
}

#[test]
fn quantiles_come_from_merged_buckets() {
    let fast: &[&str] = &["h_bucket{le=\"1\"} 0 90", "h_bucket{le=\"2\"} 0 90", "h_bucket{le=\"+Inf\"} 0 90"];
    let slow: &[&str] = &["h_bucket{le=\"1\"} 0 0", "h_bucket{le=\"2\"} 0 10", "h_bucket{le=\"+Inf\"} 0 10"];
    // 100 observations, rank 95 is the middle of the ten between 1 and 2. The mean of the two p95 would be 1.45.
    check(&p95(), &[fast, slow], 1.5);
}

#[test]
fn a_quantile_above_the_highest_bound_is_a_lower_bound_and_says_so() {
    let value = value(&p95(), &[&["h_bucket{le=\"1\"} 0 1", "h_bucket{le=\"+Inf\"} 0 100"]]).expect("a value");
    assert_eq!((value.number, value.saturated), (1.0, true));
}

#[test]
fn histograms_with_other_bounds_merge_on_the_common_ones() {
    let one: &[&str] = &["h_bucket{le=\"1\"} 0 50", "h_bucket{le=\"2\"} 0 95", "h_bucket{le=\"+Inf\"} 0 100"];
    let two: &[&str] = &["h_bucket{le=\"2\"} 0 95", "h_bucket{le=\"5\"} 0 100", "h_bucket{le=\"+Inf\"} 0 100"];
    check(&p95(), &[one, two], 2.0);
    let three: &[&str] = &["h_bucket{le=\"7\"} 0 95", "h_bucket{le=\"+Inf\"} 0 100"];
    let absence = value(&p95(), &[one, three]).expect_err("nothing in common");
    assert!(absence.to_string().contains("no finite bucket bound in common"), "{absence}");
}

#[test]
fn a_ratio_is_a_sum_over_a_sum() {
    let one: &[&str] = &["c_total{code=\"200\"} 0 90", "c_total{code=\"500\"} 0 10"];
    let two: &[&str] = &["c_total{code=\"200\"} 0 900"];
    check(&error_ratio(), &[one], 0.1);
    // The second target has no errors, which is proven: its page has the family.
    check(&error_ratio(), &[one, two], 0.01);
}

#[test]
fn nothing_observed_is_no_number() {
    check_absent(
        p95(),
        &["h_bucket{le=\"1\"} 5 5", "h_bucket{le=\"+Inf\"} 5 5"],
        "nothing was observed in the window: the histogram did not grow",
    );
    check_absent(
        error_ratio(),
        &["c_total{code=\"200\"} 5 5"],
        "nothing was observed in the window: the denominator is 0",
    );
}

#[test]
fn bad_numbers_are_absences_that_say_what_was_seen() {
    check_absent(gauge(Combine::Sum), &["g{a=\"1\"} NaN"], "g{a=\"1\"} is NaN, which is not a number to scale on");
    check_absent(
        gauge(Combine::Sum),
        &["g 1", "g{a=\"1\"} inf"],
        "g{a=\"1\"} is inf, which is not a number to scale on",
    );
    check_absent(rate(), &["c_total 1 NaN 3"], "c_total is NaN, which is not a number to scale on");
    check_absent(rate(), &["g 1"], "the page has no series c_total");
    check_absent(error_ratio(), &["g 1"], "the page has no series c_total");
    check_absent(p95(), &["h_bucket{le=\"1\"} 0 1"], "h: the histogram has no bucket with le=\"+Inf\"");
    check_absent(
        rate(),
        &["c_total 9 8 7 6"],
        "c_total went down 3 times and up 0 times in the window, so it is no counter; define it as a gauge",
    );
}

#[test]
fn a_sample_counts_until_it_is_no_longer_fresh() {
    let at = |age| groups(gauge(Combine::Sum), &[], &["g 1"], age);
    assert!(at(FRESHNESS).is_ok());
    let absence = at(FRESHNESS + Duration::from_secs(1)).expect_err("stale");
    assert_eq!(
        absence.to_string(),
        "the newest sample of g is of 2023-11-14T22:13:20Z, 41 s old; samples count for 40 s"
    );
}

#[test]
fn groups_are_by_split_labels_and_the_basis_says_what_was_used() {
    let series =
        ["c_total{q=\"a\",x=\"1\"} 0+15x4", "c_total{q=\"a\",x=\"2\"} 0+15x4", "c_total{q=\"b\",x=\"1\"} _ _ _ 5 20"];
    let groups: Vec<_> = groups(rate(), &["q"], &series, Duration::ZERO).expect("groups").into_iter().collect();
    let described: Vec<_> = groups
        .iter()
        .map(|(labels, partial)| {
            (labels.to_string(), partial.value().expect("a value").number, partial.basis.series, partial.basis.samples)
        })
        .collect();
    assert_eq!(described, [("{q=\"a\"}".to_owned(), 2.0, 2, 10), ("{q=\"b\"}".to_owned(), 20.0 / 30.0, 1, 3)]);
    let spans: Vec<_> = groups.iter().map(|(_, partial)| partial.basis.span).collect();
    assert_eq!(spans, [Some(WINDOW), Some(2 * INTERVAL)]);
}

/// A native histogram of schema 0: bucket `i` ends at 2^i. Each row has the counts of the buckets from 1 on at one
/// scrape, cumulative over time as a target counts them.
fn native(rows: &[&[f64]]) -> TargetStore {
    let mut store = TargetStore::default();
    commit_natives(&mut store, rows, &[]);
    store
}

/// Scrapes a native histogram; `gauges` are the names that the page declares gauge histograms.
fn commit_natives(store: &mut TargetStore, rows: &[&[f64]], gauges: &[&'static str]) {
    for (number, row) in rows.iter().enumerate() {
        let time = START.plus(INTERVAL * number as u32);
        let buckets = Buckets::new(row.iter().enumerate().map(|(at, count)| (at as i32 + 1, *count)));
        let count = row.iter().sum();
        let histogram = NativeHistogram {
            schema: 0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count,
            sum: count,
            positive: buckets,
            negative: Buckets::default(),
        };
        let histograms = vec![Point { name: "h", series: "h", value: histogram, timestamp: None }];
        let gauges = gauges.iter().map(|name| (*name).into()).collect();
        commit_points(store, &wanted(), Points { floats: Vec::new(), histograms, gauges }, time).expect("a good page");
    }
}

fn p(q: f64) -> Shape {
    Shape::Quantile { histogram: selection("h"), q, window: WINDOW }
}

fn partial(store: &TargetStore, shape: Shape) -> Result<Partial, Absence> {
    let now = store.state.last_success.expect("a scrape");
    Ok(evaluate(store, &definition(shape, &[]), &target(), now)?.into_values().next().expect("a group"))
}

fn quantile(store: &TargetStore, q: f64) -> Result<f64, Absence> {
    partial(store, p(q))?.value().map(|value| value.number)
}

#[test]
fn a_native_quantile_is_of_what_was_observed_in_the_window() {
    // Before the window everything was in (1, 2]; within it in (4, 8].
    let store = native(&[&[100.0, 0.0, 0.0], &[100.0, 0.0, 0.0], &[100.0, 0.0, 8.0]]);
    let number = quantile(&store, 0.5).expect("a value");
    assert!((number - 4.0 * 2_f64.sqrt()).abs() < 1e-9, "half way between 4 and 8 on a logarithmic scale: {number}");
}

#[test]
fn a_native_histogram_that_restarts_counts_from_zero() {
    let store = native(&[&[50.0, 0.0], &[90.0, 0.0], &[0.0, 60.0], &[0.0, 80.0]]);
    // 40 in (1, 2] before the restart, 80 in (2, 4] after it.
    let partial = partial(&store, p(1.0 / 3.0)).expect("a partial");
    assert!((partial.value().expect("a value").number - 2.0).abs() < 1e-9);
    let Content::Quantile { native: Some(histogram), .. } = &partial.content else { panic!("{partial:?}") };
    assert!((histogram.count - 120.0 / 45.0).abs() < 1e-9, "{histogram:?}");
}

#[test]
fn one_sample_of_a_native_histogram_is_no_change() {
    let absence = quantile(&native(&[&[5.0]]), 0.5).expect_err("no value");
    assert_eq!(absence.to_string(), "h has 1 of the 2 samples that a change over time needs");
}

#[test]
fn the_newest_state_of_a_gauge_histogram_counts_as_it_is() {
    let mut store = TargetStore::default();
    commit_natives(&mut store, &[&[0.0, 0.0, 9.0], &[4.0, 0.0, 0.0]], &["h"]);
    let number = quantile(&store, 0.5).expect("a value");
    assert!((number - 2_f64.sqrt()).abs() < 1e-9, "{number}");
    assert_eq!(store.state.issues.len(), 0, "it may fall: {:?}", store.state.issues);
}

#[test]
fn the_newest_buckets_of_a_classic_gauge_histogram_count_as_they_are() {
    let mut store = TargetStore::default();
    for (number, counts) in [[0.0, 9.0], [8.0, 8.0]].into_iter().enumerate() {
        let series = [("h_bucket{le=\"1\"}", counts[0]), ("h_bucket{le=\"+Inf\"}", counts[1])];
        let floats = series.map(|(text, value)| point(text, value, None)).to_vec();
        let points = Points { floats, histograms: Vec::new(), gauges: vec!["h_bucket".into()] };
        commit_points(&mut store, &wanted(), points, START.plus(INTERVAL * number as u32)).expect("a good page");
    }
    assert_eq!(quantile(&store, 0.5).expect("a value"), 0.5);
}

#[test]
fn workloads_that_change_over_to_native_histograms_are_merged_by_what_all_have() {
    let old = load(&wanted(), &["h_bucket{le=\"2\"} 0 30", "h_bucket{le=\"+Inf\"} 0 30"]).0;
    let new = native(&[&[0.0, 0.0], &[0.0, 30.0]]);
    let mut both = load(&wanted(), &["h_bucket{le=\"2\"} 0 30", "h_bucket{le=\"+Inf\"} 0 30"]).0;
    for (number, count) in [0.0, 30.0].into_iter().enumerate() {
        let mut other = TargetStore::default();
        commit_natives(&mut other, &[&[0.0, count]], &[]);
        let histogram = other.histograms("h").next().and_then(Series::newest).expect("a sample").value.clone();
        let floats = [("h_bucket{le=\"2\"}", count), ("h_bucket{le=\"+Inf\"}", count)];
        let points = Points {
            floats: floats.map(|(text, value)| point(text, value, None)).to_vec(),
            histograms: vec![Point { name: "h", series: "h", value: histogram, timestamp: None }],
            gauges: Vec::new(),
        };
        let time = START.plus(INTERVAL * (number as u32 + 2));
        commit_points(&mut both, &wanted(), points, time).expect("a good page");
    }
    let merged = |stores: [&TargetStore; 2]| {
        let mut all = partial(stores[0], p(0.5)).expect("a partial");
        all.merge(partial(stores[1], p(0.5)).expect("a partial"));
        all.value().map(|value| value.number)
    };
    assert!(merged([&both, &old]).expect("classic") <= 2.0);
    assert!(merged([&both, &new]).expect("native") > 2.0);
    let absence = merged([&old, &new]).expect_err("nothing in common");
    assert!(absence.to_string().starts_with("some targets expose the histogram as native only"), "{absence}");
}

#[test]
fn a_native_histogram_tells_the_groups_that_a_target_is_missing_from() {
    let store = native(&[&[5.0], &[6.0]]);
    assert_eq!(known_groups(&store, &definition(p(0.5), &[])).len(), 1);
}

fn of_prometheus(shape: Shape) -> Definition {
    Definition { aggregation: Aggregation::Prometheus(RangeBoundary::Closed), ..definition(shape, &[]) }
}

fn with_former_lives() -> Arc<Wanted> {
    let mut wanted = Wanted::clone(&wanted());
    ["c_total", "h_bucket"].iter().for_each(|name| wanted.former_lives(name));
    Arc::new(wanted)
}

/// A target that came after Plimsoll, in mode prometheus.
fn load_new(series: &[&str]) -> (TargetStore, Timestamp) {
    let mut store = TargetStore::default();
    store.joined = Some(START);
    let now = load_into(&mut store, &with_former_lives(), series);
    (store, now)
}

#[test]
fn mode_prometheus_has_no_rate_of_a_target_that_it_has_not_watched_for_a_window() {
    let check = |scrapes: u32, want: Result<(), &str>| {
        let (store, now) = load(&with_former_lives(), &[&format!("c_total 100+10x{scrapes}")]);
        let rate = evaluate(&store, &of_prometheus(rate()), &target(), now).map(|_| ()).map_err(|a| a.to_string());
        assert_eq!(rate.as_ref().copied().map_err(|text| &text[..text.len().min(56)]), want, "{scrapes}");
    };
    check(1, Err("c_total has been watched for 30 s of the window of 60 s;"));
    check(3, Ok(()));
}

#[test]
fn native_and_classic_histograms_do_not_merge_in_mode_prometheus_either() {
    let buckets = ["h_bucket{le=\"2\"} 0 30", "h_bucket{le=\"+Inf\"} 0 30"];
    let (old, now) = load_new(&buckets);
    let new = native(&[&[0.0, 0.0], &[0.0, 30.0]]);
    let partial = |store: &TargetStore| {
        let groups = evaluate(store, &of_prometheus(p(0.5)), &target(), now).expect("groups");
        groups.into_values().next().expect("a group")
    };
    for (one, other) in [(&old, &new), (&new, &old)] {
        let mut all = partial(one);
        all.merge(partial(other));
        let absence = all.value().expect_err("nothing in common");
        assert!(absence.to_string().starts_with("some targets expose the histogram as native only"), "{absence}");
    }
}

#[test]
fn an_ended_series_counts_no_longer_than_the_page_that_showed_its_end() {
    let (store, now) = load_new(&["c_total 0 10 _", "g 1x2"]);
    let at = |age| evaluate(&store, &of_prometheus(rate()), &target(), now.plus(age)).map(|_| ());
    assert_eq!(at(Duration::ZERO), Ok(()));
    let absence = at(FRESHNESS + Duration::from_secs(1)).expect_err("stale");
    assert!(absence.to_string().contains("41 s old; samples count for 40 s"), "{absence}");
}

#[test]
fn an_ended_series_of_one_sample_is_no_young_one() {
    let (store, now) = load_new(&["c_total 5 _", "g 1x1"]);
    let absence = evaluate(&store, &of_prometheus(rate()), &target(), now).map(|_| ()).expect_err("no rate");
    assert_eq!(absence.to_string(), "the page has no series c_total");
}
