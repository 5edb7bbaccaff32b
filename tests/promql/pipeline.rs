//! The same numbers once more, through storage and aggregation: each series scraped page by page.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::aggregate::{self, Absence, Partial};
use plimsoll::config::RangeBoundary::{self, Closed, LeftOpen};
use plimsoll::config::metric::{Matchers, Selection};
use plimsoll::config::{Aggregation, ClientConfig, Combine, Definition, Scraping, Shape};
use plimsoll::exposition;
use plimsoll::model::{Identity, Target, TargetId, Timestamp};
use plimsoll::storage::{Bounds, Point, Points, Scrape, TargetStore, Wanted};

use crate::harness::promql::corpus::{self, BUCKET, COUNTER, GAUGE};
use crate::harness::promql::engine::{Prometheus2, prometheus3};
use crate::harness::promql::{Comparison, Expression, Labels, Operator, Query, Series, Vector};

/// A scraped target: a pod of histograms, or one other series.
struct Scraped<'a> {
    series: Vec<(String, &'a Series)>,
    store: TargetStore,
    /// Times of pages that are still to come.
    times: Vec<Timestamp>,
}

/// The longest window of the queries.
const WINDOW: Duration = Duration::from_secs(300);

fn wanted() -> Arc<Wanted> {
    let mut wanted = Wanted::default();
    for counter in [COUNTER, BUCKET] {
        wanted.counter(counter, "none_created", WINDOW);
        wanted.former_lives(counter);
    }
    wanted.gauge(GAUGE);
    Arc::new(wanted)
}

/// One target for the buckets of a pod, and one for each other series.
fn targets(series: &[Series]) -> Vec<Scraped<'_>> {
    let mut by_pod: BTreeMap<String, Vec<&Series>> = BTreeMap::new();
    for one in series {
        let instance = one.labels.get("pod").or_else(|| one.labels.get("series")).expect("a pod or a series");
        by_pod.entry(format!("{} {instance:0>6}", one.name())).or_default().push(one);
    }
    by_pod.into_values().map(Scraped::new).collect()
}

impl<'a> Scraped<'a> {
    fn new(series: Vec<&'a Series>) -> Self {
        let samples = series.iter().flat_map(|one| &one.samples);
        let times: HashSet<Timestamp> = samples.map(|sample| sample.timestamp).collect();
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_by(|a, b| b.cmp(a));
        let series = series.into_iter().map(|one| (text(one), one)).collect();
        // New targets may ramp up as they do in Prometheus.
        let mut store = TargetStore::default();
        store.joined = Some(Timestamp(0));
        Self { series, store, times }
    }

    fn name(&self) -> &'a str {
        self.series[0].1.name()
    }

    /// Scrapes all pages up to a time.
    fn advance(&mut self, wanted: &Arc<Wanted>, now: Timestamp) {
        while let Some(time) = self.times.pop_if(|time| *time <= now) {
            let point = |(text, series): &'_ (String, &'a Series)| {
                let sample = series.samples.iter().find(|sample| sample.timestamp == time)?;
                Some((series.name(), text.clone(), sample.value))
            };
            let page: Vec<_> = self.series.iter().filter_map(point).collect();
            let floats =
                page.iter().map(|(name, series, value)| Point { name, series, value: *value, timestamp: None });
            let points = Points { floats: floats.collect(), ..Points::default() };
            let scrape = Scrape {
                time,
                duration: Duration::ZERO,
                freshness: WINDOW,
                body_size_bytes: 1,
                samples_scraped: page.len(),
            };
            let bounds = Bounds { series: 100, label_length: 100, labels_per_series: 10 };
            self.store.commit(points, scrape, wanted, bounds, decode).expect("a good page");
        }
    }
}

fn decode(text: &str) -> Result<plimsoll::model::Labels, String> {
    exposition::labels(text).map(|(_, labels)| labels).map_err(|error| error.to_string())
}

fn text(series: &Series) -> String {
    let labels = series.labels.iter().filter(|(name, _)| *name != "__name__");
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", series.name(), labels.join(","))
}

/// What Plimsoll has for a query: the shape, and the labels by which targets are put together.
fn definition(query: &Query, boundary: RangeBoundary) -> Option<(Definition, Vec<&'static str>)> {
    let selection = |name: &str| Selection { name: name.into(), matchers: Matchers::default() };
    let (shape, by) = match &query.expression {
        Expression::Rate(name, window) => {
            (Shape::Rate { counter: selection(name), window: *window }, vec!["series", "service"])
        }
        Expression::Aggregation(operator, by, inner) => match (operator, &**inner) {
            (Operator::Sum, Expression::Rate(name, window)) => {
                (Shape::Rate { counter: selection(name), window: *window }, by.clone())
            }
            (_, Expression::Instant(name)) => {
                (Shape::Gauge { series: selection(name), combine: combine(*operator) }, by.clone())
            }
            _ => return None,
        },
        Expression::Quantile(q, inner) => match &**inner {
            Expression::Aggregation(Operator::Sum, _, rates) => {
                let Expression::Rate(name, window) = &**rates else { return None };
                let histogram = selection(name.strip_suffix("_bucket").expect("buckets"));
                (Shape::Quantile { histogram, q: *q, window: *window }, vec!["service"])
            }
            _ => return None,
        },
        _ => return None,
    };
    // A quantile is not split, a gauge and a rate have one series in each target here.
    let definition = Definition {
        name: "m".into(),
        description: String::new(),
        unit: String::new(),
        shape,
        levels: Vec::new(),
        split_by: Vec::new(),
        min_coverage: 1.0,
        aggregation: Aggregation::Prometheus(boundary),
        thresholds: Vec::new(),
    };
    Some((definition, by))
}

fn combine(operator: Operator) -> Combine {
    match operator {
        Operator::Sum => Combine::Sum,
        Operator::Max => Combine::Max,
        Operator::Avg => Combine::Avg,
    }
}

fn target(boundary: RangeBoundary) -> Target {
    // The lookback of Prometheus 3 leaves out what is exactly as old.
    let freshness = match boundary {
        Closed => WINDOW,
        LeftOpen => WINDOW - Duration::from_millis(1),
    };
    Target {
        id: TargetId::new("job", "http://pod/", &Identity::default()),
        url: "http://pod/".into(),
        job: "job".into(),
        identity: Identity::default(),
        scraping: Arc::new(Scraping {
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            freshness,
            protocols: Vec::new(),
            client: ClientConfig::default(),
        }),
    }
}

/// The numbers of Plimsoll, and the groups for which it refuses one because some sample is no number.
fn answer(
    targets: &[Scraped<'_>],
    query: &Query,
    (definition, by): (Definition, Vec<&str>),
    boundary: RangeBoundary,
) -> (Vector, HashSet<Labels>) {
    let (mut groups, mut refused): (BTreeMap<Labels, Partial>, HashSet<Labels>) = Default::default();
    let (name, target) = (query.expression.reads(), target(boundary));
    for scraped in targets.iter().filter(|scraped| scraped.name() == name) {
        let labels = &scraped.series[0].1.labels;
        let group: Labels =
            by.iter().filter_map(|name| Some(((*name).to_owned(), labels.get(*name)?.clone()))).collect();
        match aggregate::evaluate(&scraped.store, &definition, &target, query.time) {
            Ok(partials) => partials.into_values().for_each(|partial| match groups.get_mut(&group) {
                Some(all) => all.merge(partial),
                None => drop(groups.insert(group.clone(), partial)),
            }),
            Err(Absence::NotFinite { .. }) => drop(refused.insert(group)),
            Err(_) => {}
        }
    }
    let values = groups.into_iter().filter_map(|(labels, partial)| Some((labels, partial.value().ok()?.number)));
    (values.collect(), refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scraped_series_give_the_numbers_of_both_engines() {
    let (series, mut queries) = (corpus::series(), corpus::queries());
    queries.retain(|query| definition(query, Closed).is_some());
    queries.sort_by_key(|query| query.time);
    let engine = Prometheus2::start().await;
    engine.write(&series).await;
    let left_open = prometheus3(&series, None, &queries);
    let (wanted, mut targets) = (wanted(), targets(&series));
    let mut comparisons = HashMap::from([("closed", Comparison::default()), ("left-open", Comparison::default())]);
    for (query, left_open) in queries.iter().zip(left_open) {
        targets.iter_mut().for_each(|target| target.advance(&wanted, query.time));
        let closed = engine.query(query).await;
        for (rule, boundary, expected) in [("closed", Closed, closed), ("left-open", LeftOpen, left_open)] {
            let definition = definition(query, boundary).expect("a definition");
            let (mut found, refused) = answer(&targets, query, definition, boundary);
            // Where Prometheus has no finite number Plimsoll has none.
            let mut expected = expected;
            found.retain(|labels, _| !refused.contains(labels));
            expected.retain(|labels, number| number.is_finite() && !refused.contains(labels));
            comparisons.get_mut(rule).expect("a rule").add(&series, query, &expected, &found);
        }
    }
    for (rule, comparison) in comparisons {
        println!("{rule}\n{comparison}");
        comparison.check();
        for function in ["rate", "sum", "max", "avg", "histogram_quantile"] {
            assert!(comparison.families[function].numbers >= 4_000, "{rule} {function}");
        }
    }
}
