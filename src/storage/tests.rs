use super::notation::{BOUNDS, INTERVAL, START, commit, load, load_into, point};
use super::*;

fn wanted() -> Arc<Wanted> {
    let mut wanted = Wanted::default();
    wanted.gauge("g");
    wanted.counter("c_total", "c_created", Duration::from_secs(60));
    Arc::new(wanted)
}

fn samples(store: &TargetStore, name: &str) -> Vec<Vec<f64>> {
    store.series(name).map(|series| series.samples().map(|sample| sample.value).collect()).collect()
}

fn issues(store: &TargetStore) -> Vec<(IssueKind, u64)> {
    store.state.issues.iter().map(|(kind, issue)| (*kind, issue.count)).collect()
}

#[test]
fn a_window_keeps_one_sample_at_or_before_its_start() {
    let (store, _) = load(&wanted(), &["c_total 0+1x10", "g 0+1x10"]);
    assert_eq!(samples(&store, "c_total"), [[6.0, 7.0, 8.0, 9.0, 10.0]]);
    assert_eq!(samples(&store, "g"), [[10.0]]);
}

#[test]
fn a_series_ends_when_the_page_no_longer_has_it() {
    let (store, _) = load(&wanted(), &["c_total{a=\"1\"} 0 1 2", "c_total{a=\"2\"} 0 1"]);
    assert_eq!(samples(&store, "c_total"), [[0.0, 1.0, 2.0]]);
    assert_eq!(store.state.series, 1);
}

#[test]
fn a_series_that_comes_back_begins_anew() {
    let (store, _) = load(&wanted(), &["c_total 10 20 _ 30", "g 1x3"]);
    assert_eq!(samples(&store, "c_total"), [[30.0]]);
}

#[test]
fn a_stale_marker_ends_a_series() {
    let (store, _) = load(&wanted(), &["c_total 0 1 stale", "g 1x2"]);
    assert_eq!(samples(&store, "c_total"), [] as [Vec<f64>; 0]);
}

fn with_former_lives() -> Arc<Wanted> {
    let mut wanted = Wanted::clone(&wanted());
    wanted.former_lives("c_total");
    Arc::new(wanted)
}

fn all_samples(store: &TargetStore, name: &str) -> Vec<Vec<f64>> {
    store.all_series(name).map(|series| series.all_samples().map(|sample| sample.value).collect()).collect()
}

#[test]
fn former_lives_stay_apart_from_the_current_one() {
    for end in ["_", "stale"] {
        let (store, _) = load(&with_former_lives(), &[&format!("c_total 10 20 {end} 30"), "g 1x3"]);
        assert_eq!(samples(&store, "c_total"), [[30.0]], "{end}");
        assert_eq!(all_samples(&store, "c_total"), [[10.0, 20.0, 30.0]], "{end}");
    }
}

#[test]
fn an_ended_series_is_kept_while_a_window_reaches_it() {
    let (mut store, _) = load(&with_former_lives(), &["c_total 10 20 _ _", "g 1x3"]);
    assert_eq!((store.series("c_total").count(), store.state.series), (0, 1));
    assert_eq!(all_samples(&store, "c_total"), [[10.0, 20.0]]);
    // The sample 20 was scraped 15 s after the start, and the window is 60 s.
    for (seconds, series) in [(75, 1), (76, 0)] {
        let time = START.plus(Duration::from_secs(seconds));
        commit(&mut store, &with_former_lives(), &[point("g", 1.0, None)], time).expect("a page");
        assert_eq!(store.all_series("c_total").count(), series, "{seconds} s");
    }
}

#[test]
fn ended_series_never_outnumber_the_limit_of_a_page() {
    let (mut store, _) = load(&with_former_lives(), &[]);
    for number in 0..4 {
        let names: Vec<String> = (0..400).map(|n| format!("c_total{{n=\"{number}-{n}\"}}")).collect();
        let points: Vec<_> = names.iter().map(|name| point(name, 1.0, None)).collect();
        commit(&mut store, &with_former_lives(), &points, START.plus(INTERVAL * number)).expect("a page");
    }
    // 1,200 have ended after the fourth page; 1,000 are the limit.
    assert_eq!((store.series("c_total").count(), store.all_series("c_total").count()), (400, 400));
    assert_eq!(store.last_drop("c_total"), Some(START.plus(INTERVAL * 3)));
}

#[test]
fn a_failed_scrape_leaves_the_series_and_marks_the_target() {
    let (mut store, now) = load(&wanted(), &["g 1"]);
    store.fail(Failure::new(FailureReason::Timeout, "too slow"), now.plus(INTERVAL), INTERVAL);
    assert_eq!(samples(&store, "g"), [[1.0]]);
    assert_eq!((store.state.health, store.state.last_success), (Health::Down, Some(now)));
    load_into(&mut store, &wanted(), &["g 2"]);
    assert_eq!((store.state.health, store.state.failure.clone()), (Health::Up, None));
}

#[test]
fn the_same_series_written_in_two_ways_is_one() {
    let (store, _) = load(&wanted(), &["c_total{a=\"1\",b=\"2\"} 1 _ 3", "c_total{b=\"2\",a=\"1\"} _ 2 _"]);
    assert_eq!(samples(&store, "c_total"), [[1.0, 2.0, 3.0]]);
}

#[test]
fn a_duplicate_with_another_value_is_refused_until_the_page_is_right_again() {
    let (mut store, _) = load(&wanted(), &["g 1"]);
    let twice = [point("g", 3.0, None), point("g", 5.0, None)];
    commit(&mut store, &wanted(), &twice, START.plus(INTERVAL)).expect("a page");
    let refusal = |store: &TargetStore| store.series("g").next().and_then(|series| series.refusal.clone());
    assert_eq!(samples(&store, "g"), [Vec::<f64>::new()], "neither of the two stays");
    assert_eq!(refusal(&store).as_deref(), Some("g is twice in the page, with the values 3 and 5"));
    assert_eq!(issues(&store), [(IssueKind::DuplicateSeries, 1)]);
    commit(&mut store, &wanted(), &[point("g", 4.0, None)], START.plus(INTERVAL * 2)).expect("a page");
    assert_eq!((refusal(&store), samples(&store, "g")), (None, vec![vec![4.0]]));
}

#[test]
fn a_duplicate_with_the_same_value_does_no_harm() {
    let (mut store, _) = load(&wanted(), &[]);
    commit(&mut store, &wanted(), &[point("g", 3.0, None), point("g", 3.0, None)], START).expect("a page");
    assert_eq!((samples(&store, "g"), issues(&store)), (vec![vec![3.0]], vec![(IssueKind::DuplicateSeries, 1)]));
    assert!(store.series("g").all(|series| series.refusal.is_none()));
}

#[test]
fn a_clock_that_was_set_back_does_not_freeze_the_series() {
    let (mut store, _) = load(&wanted(), &[]);
    commit(&mut store, &wanted(), &[point("g", 0.0, None)], START.plus(Duration::from_secs(3600))).expect("a page");
    commit(&mut store, &wanted(), &[point("g", 500.0, None)], START).expect("a page");
    assert_eq!(samples(&store, "g"), [[500.0]]);
}

#[test]
fn messages_of_huge_labels_are_short() {
    let series =
        format!("g{{{}}}", (0..10).map(|n| format!("l{n}=\"{}\"", "x".repeat(190))).collect::<Vec<_>>().join(","));
    let (mut store, _) = load(&wanted(), &[]);
    let future = START.plus(Duration::from_secs(3600));
    commit(&mut store, &wanted(), &[point(&series, 1.0, Some(future))], START).expect("a page");
    let example = &store.state.issues[&IssueKind::TimestampInFuture].example;
    assert!(example.len() < 500 && example.contains('…'), "{example}");
}

#[test]
fn one_name_may_tell_the_starts_of_several_counters() {
    for order in [["h_bucket", "h_count"], ["h_count", "h_bucket"]] {
        let mut wanted = Wanted::default();
        wanted.gauge("h_created");
        order.iter().for_each(|name| wanted.counter(name, "h_created", Duration::from_secs(60)));
        let series = ["h_bucket{le=\"+Inf\"} 5", "h_count 5", "h_created 1600000000"];
        let (store, _) = load(&Arc::new(wanted), &series);
        for name in order {
            let starts: Vec<_> = store.series(name).map(|series| series.start).collect();
            assert_eq!(starts, [Some(Timestamp(1_600_000_000_000))], "{name}");
        }
    }
}

#[test]
fn a_timestamp_in_the_future_is_refused_and_an_old_one_is_noted() {
    let (mut store, _) = load(&wanted(), &[]);
    let future = START.plus(Duration::from_secs(3600));
    let old = Timestamp(1_577_836_800_000);
    let points = [point("g{a=\"1\"}", 1.0, Some(future)), point("g{a=\"2\"}", 1.0, Some(old))];
    commit(&mut store, &wanted(), &points, START).expect("a page");
    assert_eq!(issues(&store), [(IssueKind::TimestampInFuture, 1), (IssueKind::TimestampTooOld, 1)]);
    let refusals: Vec<_> = store.series("g").filter_map(|series| series.refusal.as_deref()).collect();
    assert_eq!(refusals, ["g{a=\"1\"} has the timestamp 2023-11-14T23:13:20Z, 3600 s in the future"]);
}

#[test]
fn a_page_that_repeats_its_timestamps_adds_no_samples() {
    let (mut store, _) = load(&wanted(), &[]);
    for number in 0..3 {
        let points = [point("c_total", 7.0, Some(START))];
        commit(&mut store, &wanted(), &points, START.plus(INTERVAL * number)).expect("a page");
    }
    assert_eq!((samples(&store, "c_total"), issues(&store)), (vec![vec![7.0]], vec![]));
    let older = [point("c_total", 6.0, Some(Timestamp(START.0 - 1)))];
    commit(&mut store, &wanted(), &older, START.plus(INTERVAL * 3)).expect("a page");
    assert_eq!(issues(&store), [(IssueKind::OutOfOrder, 1)]);
}

#[test]
fn a_counter_that_goes_down_is_noted_with_both_values() {
    let (store, _) = load(&wanted(), &["c_total 130 5"]);
    let issue = &store.state.issues[&IssueKind::CounterReset];
    assert_eq!((issue.count, issue.example.as_str()), (1, "c_total went down from 130 to 5"));
}

#[test]
fn a_created_series_tells_the_start_of_its_counter() {
    let mut wanted = Wanted::default();
    wanted.counter("h_bucket", "h_created", Duration::from_secs(60));
    let (store, _) = load(&Arc::new(wanted), &["h_bucket{a=\"1\",le=\"+Inf\"} 5", "h_created{a=\"1\"} 1600000000.5"]);
    let starts: Vec<_> = store.series("h_bucket").map(|series| series.start).collect();
    assert_eq!(starts, [Some(Timestamp(1_600_000_000_500))]);
}

#[test]
fn a_page_beyond_a_bound_is_refused_whole() {
    let (mut store, now) = load(&wanted(), &["g 1"]);
    let names: Vec<String> = (0..=BOUNDS.series).map(|n| format!("g{{n=\"{n}\"}}")).collect();
    let many: Vec<_> = names.iter().map(|name| point(name, 1.0, None)).collect();
    let failure = commit(&mut store, &wanted(), &many, now.plus(INTERVAL)).expect_err("too many");
    assert_eq!(failure.message, "the page has more wanted series than the limit series_per_target, 1000");
    let long = format!("g{{a=\"{}\"}}", "x".repeat(201));
    let failure = commit(&mut store, &wanted(), &[point(&long, 1.0, None)], now.plus(INTERVAL)).expect_err("too long");
    assert_eq!(
        (failure.reason, failure.message.as_str()),
        (FailureReason::LabelLimit, "a label of g is 201 bytes long, the limit label_length is 200")
    );
    assert_eq!(samples(&store, "g"), [[1.0]]);
}

#[test]
fn texts_that_change_with_every_scrape_do_not_pile_up() {
    let (mut store, _) = load(&wanted(), &[]);
    for number in 0..500 {
        let text = format!("g{{{}a=\"1\"}}", " ".repeat(number));
        commit(&mut store, &wanted(), &[point(&text, 1.0, None)], START.plus(INTERVAL * number as u32))
            .expect("a page");
    }
    assert_eq!(store.series("g").count(), 1);
    assert!(store.floats.texts().len() < 100, "{}", store.floats.texts().len());
    let bytes: usize = store.floats.texts().map(str::len).sum();
    assert!(bytes < 100 * 100, "{bytes}");
}

#[test]
fn a_counter_that_was_refused_is_not_new_when_the_page_is_right_again() {
    let (mut store, _) = load(&wanted(), &["g 1"]);
    let at = |number: u32| START.plus(INTERVAL * number);
    let twice = [point("g", 1.0, None), point("c_total", 1e6, None), point("c_total", 2e6, None)];
    commit(&mut store, &wanted(), &twice, at(1)).expect("a page");
    commit(&mut store, &wanted(), &[point("g", 1.0, None), point("c_total", 2e6, None)], at(2)).expect("a page");
    assert_eq!(store.series("c_total").map(|series| series.implied_zero).collect::<Vec<_>>(), [None]);
}

/// The start and the restart of a counter whose `_created` series tells these times, in seconds since the first scrape.
fn told_starts(starts: &[f64]) -> (Option<i64>, Option<i64>) {
    let mut store = TargetStore::default();
    for (number, start) in starts.iter().enumerate() {
        let created = START.0 as f64 / 1000.0 + start;
        let points = [point("c_total", 1e6 + number as f64, None), point("c_created", created, None)];
        commit(&mut store, &wanted(), &points, START.plus(INTERVAL * number as u32)).expect("a page");
    }
    let series = store.series("c_total").next().expect("a counter");
    let seconds = |time: Option<Timestamp>| time.map(|time| (time.0 - START.0) / 1000);
    (seconds(series.start), seconds(series.restarted))
}

#[test]
fn a_start_that_becomes_more_precise_is_no_restart() {
    assert_eq!(told_starts(&[-600.0, -600.0, -599.999, -599.0]), (Some(-599), None));
    assert_eq!(told_starts(&[-600.0, -600.0, 20.0]), (Some(20), Some(30)), "a start after the sample of 15 s");
}

#[test]
fn a_start_that_moves_on_with_every_page_is_none() {
    assert_eq!(told_starts(&[-0.5, 14.5, 29.5, 44.5]), (None, None));
}
