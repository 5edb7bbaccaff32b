//! Checks the relations inside `metrics` and turns each entry into a [`Definition`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Names, typed};
use crate::config::document::Value;
use crate::config::key_path::KeyPath;
use crate::config::metric::{Selection, Test};
use crate::config::mistake::Mistakes;
use crate::config::{
    Aggregation, Bound, Combine, Definition, Level, Matchers, RangeBoundary, Severity, Shape, Sharing, Side, Threshold,
    duration, file,
};
use crate::model::canonical_bound;

/// Shortest default window.
const WINDOW_MIN: Duration = Duration::from_secs(60);
/// The default window holds this many scrapes, so that two lost ones leave an increase to compute.
const WINDOW_INTERVALS: u32 = 4;
/// Two samples are the least an increase can be computed from.
const WINDOW_INTERVALS_MIN: u32 = 2;

/// What the relations of one metric are judged by.
struct Context<'a, 'm> {
    /// `None` when it cannot be told because of a mistake.
    longest_interval: Option<Duration>,
    /// That of the file.
    aggregation: Aggregation,
    mistakes: &'a mut Mistakes<'m>,
}

/// The sound metrics, with a mistake for each relation that does not hold.
pub(super) fn build_all(
    metrics: Vec<(usize, Json)>,
    path: &KeyPath,
    longest_interval: Option<Duration>,
    aggregation: Aggregation,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Arc<Definition>> {
    check_choices(path, mistakes);
    let mut names = Names::default();
    let mut built = Vec::new();
    for (i, metric) in metrics {
        let path = path.index(i);
        let Some(metric) = typed::<file::Metric>(metric, &path, mistakes) else {
            continue;
        };
        let what = format!("the metric name {:?}", metric.name);
        names.claim(&metric.name, &what, &path.key("name"), mistakes);
        let mut context = Context { longest_interval, aggregation, mistakes };
        built.extend(context.definition(metric, &path).map(Arc::new));
    }
    built
}

// === impl Context ===

impl Context<'_, '_> {
    fn definition(&mut self, metric: file::Metric, path: &KeyPath) -> Option<Definition> {
        let file::Metric { name, description, unit, levels, split_by, min_coverage, aggregation: own, .. } = metric;
        if metric.quantile.is_some() {
            self.refuse_bucket_label(&split_by, &path.key("split_by"));
        }
        let aggregation = own.map_or(self.aggregation, |own| aggregation(own, &path.key("aggregation"), self.mistakes));
        let shapes = [
            metric.queue.map(queue),
            metric.gauge.map(gauge),
            metric.rate.map(|rate| self.rate(rate, &path.key("rate"))),
            metric.quantile.map(|quantile| self.quantile(quantile, &path.key("quantile"))),
            metric.ratio.and_then(|ratio| self.ratio(ratio, &path.key("ratio"))),
        ];
        let levels = levels.map_or(Level::ALL.to_vec(), |levels| levels.into_iter().map(level).collect());
        let shape = shapes.into_iter().flatten().next()?;
        let thresholds = thresholds(metric.thresholds);
        self.check_order(&thresholds, &path.key("thresholds"));
        Some(Definition { name, description, unit, shape, levels, split_by, min_coverage, aggregation, thresholds })
    }

    fn rate(&mut self, rate: file::Rate, path: &KeyPath) -> Shape {
        let window = self.window(rate.window, path);
        Shape::Rate { counter: selection(rate.counter, rate.matchers), window }
    }

    fn quantile(&mut self, quantile: file::Quantile, path: &KeyPath) -> Shape {
        let window = self.window(quantile.window, path);
        if quantile.matchers.0.0.iter().any(|matcher| matcher.label == "le") {
            let message = "the label le tells the buckets apart, all of which a quantile needs; remove its matcher";
            self.mistakes.push(&path.key("match"), message.into());
        }
        Shape::Quantile { histogram: selection(quantile.histogram, quantile.matchers), q: quantile.q, window }
    }

    fn ratio(&mut self, ratio: file::Ratio, path: &KeyPath) -> Option<Shape> {
        let window = self.window(ratio.window, path);
        let (numerator, denominator) = (side(ratio.numerator)?, side(ratio.denominator)?);
        Some(Shape::Ratio { numerator, denominator, window })
    }

    /// The window of a shape, checked against the scrape intervals, or its default.
    fn window(&mut self, window: Option<file::Period>, path: &KeyPath) -> Duration {
        let interval = self.longest_interval.unwrap_or(file::DEFAULT_INTERVAL);
        let Some(window) = window else {
            return WINDOW_MIN.max(interval * WINDOW_INTERVALS);
        };
        if self.longest_interval.is_some() && window.0 < interval * WINDOW_INTERVALS_MIN {
            let message = format!(
                "expected at least {}, twice the largest scrape_interval ({}), found {}",
                duration::write(interval * WINDOW_INTERVALS_MIN),
                duration::write(interval),
                duration::write(window.0)
            );
            self.mistakes.push(&path.key("window"), message);
        }
        window.0
    }

    /// Where both look in one direction, the more urgent is the farther.
    fn check_order(&mut self, thresholds: &[Threshold], path: &KeyPath) {
        let [warning, critical] = thresholds else { return };
        let message = match (warning.bound, critical.bound) {
            (Bound::Above(warning), Bound::Above(critical)) if critical <= warning => {
                format!("expected more than the {warning} of warning, found {critical}")
            }
            (Bound::Below(warning), Bound::Below(critical)) if critical >= warning => {
                format!("expected less than the {warning} of warning, found {critical}")
            }
            (Bound::Above(above), Bound::Below(below)) | (Bound::Below(below), Bound::Above(above))
                if below >= above =>
            {
                format!("expected below ({below}) to be less than above ({above}): every value is beyond one of them")
            }
            _ => return,
        };
        self.mistakes.push(&path.key("critical"), message);
    }

    fn refuse_bucket_label(&mut self, split_by: &[String], path: &KeyPath) {
        if let Some(index) = split_by.iter().position(|label| label == "le") {
            let message = "the label le tells the buckets of a histogram apart; a quantile cannot be split by it";
            self.mistakes.push(&path.index(index), message.into());
        }
    }
}

/// Where exactly one key of several is wanted, looks at the file itself: other mistakes in the same metric hide nothing.
fn check_choices(path: &KeyPath, mistakes: &mut Mistakes<'_>) {
    let count = match mistakes.node(path).map(|node| &node.value) {
        Some(Value::List(items)) => items.len(),
        _ => 0,
    };
    for i in 0..count {
        let path = path.index(i);
        exactly_one(&path, &file::SHAPES, mistakes);
        for side in ["numerator", "denominator"] {
            exactly_one(&path.key("ratio").key(side), &file::SIDES, mistakes);
        }
        for severity in file::SEVERITIES {
            exactly_one(&path.key("thresholds").key(severity), &file::BOUNDS, mistakes);
        }
    }
}

fn exactly_one(path: &KeyPath, keys: &[&str], mistakes: &mut Mistakes<'_>) {
    let Some(node) = mistakes.node(path).filter(|node| matches!(node.value, Value::Map(_))) else { return };
    let mut given: Vec<_> = keys.iter().filter_map(|key| node.entry(key)).map(|(key, _)| key).collect();
    given.sort_by_key(|key| key.place.used);
    let expected = keys.join(", ");
    match given[..] {
        [] if mistakes.any_doubtful(path, keys) => {}
        [] => mistakes.push(path, format!("expected exactly one of {expected}, found none")),
        [_] => {}
        [first, second, ..] => {
            let line = first.place.used.line;
            let message = format!("expected exactly one of {expected}, found also {} at line {line}", first.name);
            mistakes.push_at(second.place, &path.key(&second.name), message);
        }
    }
}

/// Checks that the keys of an `aggregation` go together.
pub(super) fn aggregation(given: file::Aggregation, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Aggregation {
    let boundary = match given.range {
        Some(file::RangeBoundary::Closed) => RangeBoundary::Closed,
        Some(file::RangeBoundary::LeftOpen) | None => RangeBoundary::LeftOpen,
    };
    if matches!(given.mode, Some(file::Mode::Prometheus)) {
        return Aggregation::Prometheus(boundary);
    }
    if given.range.is_some() && !mistakes.is_doubtful(&path.key("mode")) {
        let message =
            "expected range only beside mode: prometheus; the mode here is exact, which has no range to choose";
        mistakes.push(&path.key("range"), message.into());
    }
    Aggregation::Exact
}

fn side(side: file::Side) -> Option<Side> {
    let file::Side { counter, gauge, matchers } = side;
    match (counter, gauge) {
        (Some(counter), _) => Some(Side::Counter(selection(counter, matchers))),
        (None, gauge) => gauge.map(|gauge| Side::Gauge(selection(gauge, matchers))),
    }
}

fn thresholds(thresholds: file::Thresholds) -> Vec<Threshold> {
    let given = [(Severity::Warning, thresholds.warning), (Severity::Critical, thresholds.critical)];
    let read = |(severity, threshold): (Severity, Option<file::Threshold>)| {
        let file::Threshold { above, below, lasting } = threshold?;
        let bound = above.map(Bound::Above).or(below.map(Bound::Below))?;
        Some(Threshold { severity, bound, lasting: lasting.0 })
    };
    given.into_iter().filter_map(read).collect()
}

fn queue(queue: file::Queue) -> Shape {
    let sharing = match queue.sharing {
        file::Sharing::Shared => Sharing::Shared,
        file::Sharing::Partitioned => Sharing::Partitioned,
    };
    Shape::Queue { series: selection(queue.series, queue.matchers), sharing }
}

fn gauge(gauge: file::Gauge) -> Shape {
    let combine = match gauge.combine {
        file::Combine::Sum => Combine::Sum,
        file::Combine::Avg => Combine::Avg,
        file::Combine::Max => Combine::Max,
        file::Combine::Min => Combine::Min,
    };
    Shape::Gauge { series: selection(gauge.series, gauge.matchers), combine }
}

fn level(level: file::Level) -> Level {
    match level {
        file::Level::Pods => Level::Pods,
        file::Level::Owners => Level::Owners,
        file::Level::Services => Level::Services,
        file::Level::Namespaces => Level::Namespaces,
        file::Level::Nodes => Level::Nodes,
        file::Level::External => Level::External,
    }
}

fn selection(name: String, selector: file::Selector) -> Selection {
    let Matchers(mut matchers) = selector.0;
    // Bounds are compared in the spelling in which they are stored.
    for matcher in matchers.iter_mut().filter(|matcher| ["le", "quantile"].contains(&matcher.label.as_str())) {
        if let Test::Equal(bound) | Test::NotEqual(bound) = &mut matcher.test {
            *bound = canonical_bound(bound).unwrap_or_else(|| std::mem::take(bound));
        }
    }
    Selection { name, matchers: Matchers(matchers) }
}
