//! Windows of samples → values. Pure: `now` is an argument, and no number is ever made up.
//!
//! One target is evaluated to one [`Partial`] per group of split labels; partials of several targets
//! merge, and only the merged partial becomes a number. So rates are summed after the per-series
//! rate, quantiles come from merged buckets, and a ratio is a sum over a sum, at every level alike.
//! Whatever stands in the way is an [`Absence`], never a zero.

mod histogram;
mod increase;
pub mod prometheus;

pub use histogram::{Bucket, Histogram, Quantile};
pub use increase::Increase;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::metric::{Combine, Definition, Selection, Shape, Sharing, Side};
use crate::model::{Labels, Target, Timestamp, excerpt};
use crate::storage::{CLOCK_SKEW_MAX, Series, TargetStore};

/// Partials of one target by the values of the split labels.
pub type Groups = BTreeMap<Labels, Partial>;

/// What some series contribute to a value, mergeable with what others contribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    content: Content,
    pub basis: Basis,
}

#[derive(Clone, Debug, PartialEq)]
enum Content {
    Gauge {
        combine: Combine,
        sum: f64,
        count: usize,
        min: f64,
        max: f64,
    },
    Queue {
        sharing: Sharing,
        parts: BTreeMap<Labels, f64>,
    },
    /// Per second.
    Rate(f64),
    Quantile {
        q: f64,
        histogram: Histogram,
    },
    Ratio {
        numerator: f64,
        denominator: f64,
    },
}

/// What a number rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Of the newest samples used, the oldest.
    pub timestamp: Timestamp,
    /// The longest span between the first and last sample used; `None` where one sample is enough.
    pub span: Option<Duration>,
    pub series: usize,
    pub samples: usize,
}

/// A number and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub number: f64,
    pub basis: Basis,
    /// The quantile lies above the highest finite bucket, so the number is a lower bound.
    pub saturated: bool,
}

/// Why there is no number.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Absence {
    #[error("the page has no series {name}{matchers}")]
    NoSeries {
        name: String,
        /// Empty, or ` that matches {…}`.
        matchers: String,
    },
    #[error(
        "the newest sample of {series} is of {newest}, {age_seconds} s old; samples count for {freshness_seconds} s"
    )]
    Stale { series: String, newest: Timestamp, age_seconds: u64, freshness_seconds: u64 },
    #[error("{series} is {value}, which is not a number to scale on")]
    NotFinite { series: String, value: f64 },
    #[error("{series} has {samples} of the 2 samples that a change over time needs")]
    TooFewSamples { series: String, samples: usize },
    #[error("{0}")]
    Refused(String),
    #[error(
        "{series} went down {falls} times and up {rises} times in the window, so it is no counter; define it as a gauge"
    )]
    NotACounter { series: String, falls: usize, rises: usize },
    #[error("nothing was observed in the window: {0}")]
    NoObservations(&'static str),
    #[error("{0}")]
    Histogram(String),
}

// === impl Groups ===

/// Evaluates a definition over the series of one target.
///
/// # Errors
/// The first [`Absence`] that would make the number wrong. A series that is too young for a rate
/// contributes nothing; it is an absence only when no series is old enough.
pub fn evaluate(
    store: &TargetStore,
    definition: &Definition,
    target: &Target,
    now: Timestamp,
) -> Result<Groups, Absence> {
    let Target { freshness, scrape_interval, .. } = *target;
    let reading = Reading { store, split_by: &definition.split_by, now, freshness, scrape_interval };
    match &definition.shape {
        Shape::Gauge { series, combine } => reading.gauges(series, *combine),
        Shape::Queue { series, sharing } => reading.queues(series, *sharing),
        Shape::Rate { counter, window } => reading.rates(counter, *window),
        Shape::Quantile { histogram, q, window } => reading.quantiles(histogram, *q, *window),
        Shape::Ratio { numerator, denominator, window } => reading.ratios(numerator, denominator, *window),
    }
}

/// The groups of the series that a target had last, fresh or not, by which a target without data still
/// tells what it is missing from. Empty when nothing is known.
pub fn known_groups(store: &TargetStore, definition: &Definition) -> BTreeSet<Labels> {
    let group = |series: &Series| {
        Labels::new(definition.split_by.iter().filter_map(|name| Some((name.as_str(), series.labels.get(name)?))))
    };
    let selections = definition.shape.selections().into_iter();
    let selected = selections.flat_map(|(name, selection)| {
        let series: Vec<_> = store.series(&name).filter(|series| selection.matchers.matches(&series.labels)).collect();
        series
    });
    selected.map(group).collect()
}

/// One evaluation: the store and what every step needs.
struct Reading<'a> {
    store: &'a TargetStore,
    split_by: &'a [String],
    now: Timestamp,
    freshness: Duration,
    scrape_interval: Duration,
}

impl<'a> Reading<'a> {
    /// The selected series, each checked: fresh, finite, not refused.
    fn select(&self, name: &str, selection: &Selection) -> Result<Vec<&'a Series>, Absence> {
        let selected: Vec<_> =
            self.store.series(name).filter(|series| selection.matchers.matches(&series.labels)).collect();
        if selected.is_empty() {
            return Err(no_series(name, selection));
        }
        selected.iter().try_for_each(|series| self.check(series))?;
        Ok(selected)
    }

    fn check(&self, series: &Series) -> Result<(), Absence> {
        if let Some(why) = &series.refusal {
            return Err(Absence::Refused(why.clone()));
        }
        let none = || Absence::NoSeries { name: series.text(), matchers: String::new() };
        let newest = series.newest().ok_or_else(none)?;
        if newest.timestamp > self.now.plus(CLOCK_SKEW_MAX) {
            let what = format!("the newest sample of {} is of {}, in the future", series.text(), newest.timestamp);
            return Err(Absence::Refused(what));
        }
        let age = self.now.since(newest.timestamp);
        if age > self.freshness {
            return Err(Absence::Stale {
                series: series.text(),
                newest: newest.timestamp,
                age_seconds: age.as_secs(),
                freshness_seconds: self.freshness.as_secs(),
            });
        }
        if !newest.value.is_finite() {
            return Err(Absence::NotFinite { series: series.text(), value: newest.value });
        }
        Ok(())
    }

    fn group(&self, series: &Series) -> Labels {
        let pairs = self.split_by.iter().filter_map(|name| Some((name.as_str(), series.labels.get(name)?)));
        Labels::new(pairs)
    }

    fn gauges(&self, selection: &Selection, combine: Combine) -> Result<Groups, Absence> {
        let mut groups = Groups::new();
        for series in self.select(&selection.name, selection)? {
            let (value, basis) = newest(series);
            let content = Content::Gauge { combine, sum: value, count: 1, min: value, max: value };
            add(&mut groups, self.group(series), Partial { content, basis });
        }
        Ok(groups)
    }

    fn queues(&self, selection: &Selection, sharing: Sharing) -> Result<Groups, Absence> {
        let mut groups = Groups::new();
        for series in self.select(&selection.name, selection)? {
            let (value, basis) = newest(series);
            // One page tells the parts of a queue apart, so within it they sum.
            let group = self.group(series);
            let queue = if self.split_by.is_empty() { series.labels.clone() } else { group.clone() };
            let content = Content::Queue { sharing: Sharing::Partitioned, parts: BTreeMap::from([(queue, value)]) };
            add(&mut groups, group, Partial { content, basis });
        }
        for partial in groups.values_mut() {
            if let Content::Queue { sharing: merging, .. } = &mut partial.content {
                *merging = sharing;
            }
        }
        Ok(groups)
    }

    fn rates(&self, selection: &Selection, window: Duration) -> Result<Groups, Absence> {
        let mut groups = Groups::new();
        for (series, increase) in self.increases(self.select(&selection.name, selection)?, window)? {
            let content = Content::Rate(increase.per_second());
            add(&mut groups, self.group(series), Partial { content, basis: increase.basis() });
        }
        Ok(groups)
    }

    /// The increase of each series that is old enough for one.
    fn increases(&self, selected: Vec<&'a Series>, window: Duration) -> Result<Vec<(&'a Series, Increase)>, Absence> {
        let mut increases = Vec::with_capacity(selected.len());
        let mut young = None;
        for series in selected {
            let restarts: Vec<_> = increase::restarts(series).collect();
            match increase::over(series, window, self.scrape_interval, &restarts) {
                Ok(increase) => increases.push((series, increase)),
                Err(absence @ Absence::TooFewSamples { .. }) => young = young.or(Some(absence)),
                Err(absence) => return Err(absence),
            }
        }
        young.filter(|_| increases.is_empty()).map_or(Ok(increases), Err)
    }

    fn quantiles(&self, selection: &Selection, q: f64, window: Duration) -> Result<Groups, Absence> {
        let name = format!("{}_bucket", selection.name);
        let mut children: BTreeMap<Labels, Vec<&Series>> = BTreeMap::new();
        for series in self.select(&name, selection)? {
            let child = Labels::new(series.labels.iter().filter(|(label, _)| *label != "le"));
            children.entry(child).or_default().push(series);
        }
        let (mut groups, mut young) = (Groups::new(), None);
        for (child, buckets) in children {
            match self.histogram(&buckets, window) {
                Ok((histogram, basis)) => {
                    let content = Content::Quantile { q, histogram };
                    add(&mut groups, self.group(buckets[0]), Partial { content, basis });
                }
                Err(absence @ Absence::TooFewSamples { .. }) => young = young.or(Some(absence)),
                Err(Absence::Histogram(what)) => {
                    return Err(Absence::Histogram(excerpt(&format_args!("{}{child}: {what}", selection.name))));
                }
                Err(absence) => return Err(absence),
            }
        }
        young.filter(|_| groups.is_empty()).map_or(Ok(groups), Err)
    }

    /// The change of one histogram. Its buckets restart together, and it counts whole or not at all.
    fn histogram(&self, buckets: &[&Series], window: Duration) -> Result<(Histogram, Basis), Absence> {
        let restarts: Vec<_> = buckets.iter().flat_map(|series| increase::restarts(series)).collect();
        let mut changes = Vec::with_capacity(buckets.len());
        let mut basis: Option<Basis> = None;
        for series in buckets {
            let change = increase::over(series, window, self.scrape_interval, &restarts)?;
            changes.push(Bucket { le: histogram::bound(series)?, per_second: change.per_second() });
            match &mut basis {
                Some(basis) => basis.add(change.basis()),
                None => basis = Some(change.basis()),
            }
        }
        let histogram = Histogram::new(changes).map_err(|what| Absence::Histogram(what.into()))?;
        Ok((histogram, basis.expect("a child has a bucket")))
    }

    fn ratios(&self, numerator: &Side, denominator: &Side, window: Duration) -> Result<Groups, Absence> {
        let mut groups = Groups::new();
        for (group, amount, basis) in self.side(denominator, window)? {
            add(&mut groups, group, Partial { content: Content::Ratio { numerator: 0.0, denominator: amount }, basis });
        }
        for (group, amount, basis) in self.numerator(numerator, denominator, window)? {
            // A group that only the numerator knows has no total to be a share of.
            if let Some(partial) = groups.get_mut(&group) {
                partial.merge(Partial { content: Content::Ratio { numerator: amount, denominator: 0.0 }, basis });
            }
        }
        Ok(groups)
    }

    /// The numerator's amounts. Where both sides read the same family, a numerator without series is
    /// a proven zero: the page has the family, and nothing in it matches.
    fn numerator(
        &self,
        numerator: &Side,
        denominator: &Side,
        window: Duration,
    ) -> Result<Vec<(Labels, f64, Basis)>, Absence> {
        let same_family = numerator.selection().name == denominator.selection().name;
        match self.side(numerator, window) {
            Err(Absence::NoSeries { .. }) if same_family => Ok(Vec::new()),
            other => other,
        }
    }

    fn side(&self, side: &Side, window: Duration) -> Result<Vec<(Labels, f64, Basis)>, Absence> {
        let selection = side.selection();
        let selected = self.select(&selection.name, selection)?;
        if matches!(side, Side::Counter(_)) {
            let increases = self.increases(selected, window)?;
            return Ok(increases.into_iter().map(|(s, i)| (self.group(s), i.per_second(), i.basis())).collect());
        }
        let gauge = |series: &Series| {
            let (value, basis) = newest(series);
            (self.group(series), value, basis)
        };
        Ok(selected.into_iter().map(gauge).collect())
    }
}

/// The newest value of a checked series.
fn newest(series: &Series) -> (f64, Basis) {
    let sample = series.newest().expect("a checked series has a sample");
    (sample.value, Basis { timestamp: sample.timestamp, span: None, series: 1, samples: 1 })
}

/// Merges a partial into the one of its group.
pub fn add(groups: &mut Groups, group: Labels, partial: Partial) {
    match groups.get_mut(&group) {
        Some(present) => present.merge(partial),
        None => {
            groups.insert(group, partial);
        }
    }
}

fn no_series(name: &str, selection: &Selection) -> Absence {
    let matchers = match selection.matchers.0.is_empty() {
        true => String::new(),
        false => format!(" that matches {}", selection.matchers),
    };
    Absence::NoSeries { name: name.into(), matchers }
}

// === impl Partial ===

impl Partial {
    /// Adds what other series of the same definition contribute.
    pub fn merge(&mut self, other: Self) {
        self.basis.add(other.basis);
        match (&mut self.content, other.content) {
            (
                Content::Gauge { sum, count, min, max, .. },
                Content::Gauge { sum: s, count: c, min: lo, max: hi, .. },
            ) => {
                *sum += s;
                *count += c;
                *min = min.min(lo);
                *max = max.max(hi);
            }
            (Content::Queue { sharing, parts }, Content::Queue { parts: others, .. }) => {
                let join = |part: &mut f64, length: f64| match sharing {
                    Sharing::Shared => *part = part.max(length),
                    Sharing::Partitioned => *part += length,
                };
                for (queue, length) in others {
                    parts.entry(queue).and_modify(|part| join(part, length)).or_insert(length);
                }
            }
            (Content::Rate(rate), Content::Rate(other)) => *rate += other,
            (Content::Quantile { histogram, .. }, Content::Quantile { histogram: other, .. }) => {
                histogram.merge(&other)
            }
            (Content::Ratio { numerator, denominator }, Content::Ratio { numerator: n, denominator: d }) => {
                *numerator += n;
                *denominator += d;
            }
            _ => unreachable!("partials of one definition have one shape"),
        }
    }

    /// Scales totals up by `factor`, for parts of an object that have no data are taken to be like the
    /// others. Means, extremes, quantiles and ratios stay as they are.
    pub fn scale(&mut self, factor: f64) {
        match &mut self.content {
            Content::Gauge { combine: Combine::Sum, sum, .. } => *sum *= factor,
            Content::Queue { sharing: Sharing::Partitioned, parts } => {
                parts.values_mut().for_each(|part| *part *= factor)
            }
            Content::Rate(rate) => *rate *= factor,
            Content::Gauge { .. } | Content::Queue { .. } | Content::Quantile { .. } | Content::Ratio { .. } => {}
        }
    }

    /// The number of the merged series.
    ///
    /// # Errors
    /// An [`Absence`] when nothing was observed, or the buckets do not fit together.
    pub fn value(&self) -> Result<Value, Absence> {
        let (number, saturated) = match &self.content {
            Content::Gauge { combine, sum, count, min, max } => (combined(*combine, *sum, *count, *min, *max), false),
            Content::Queue { parts, .. } => (parts.values().sum(), false),
            Content::Rate(rate) => (*rate, false),
            Content::Quantile { q, histogram } => {
                let quantile = histogram.quantile(*q)?;
                (quantile.value, quantile.saturated)
            }
            Content::Ratio { denominator: 0.0, .. } => return Err(Absence::NoObservations("the denominator is 0")),
            Content::Ratio { numerator, denominator } => (numerator / denominator, false),
        };
        if !number.is_finite() {
            return Err(Absence::NotFinite { series: "the result".into(), value: number });
        }
        Ok(Value { number, basis: self.basis, saturated })
    }
}

fn combined(combine: Combine, sum: f64, count: usize, min: f64, max: f64) -> f64 {
    match combine {
        Combine::Sum => sum,
        Combine::Avg => sum / count as f64,
        Combine::Max => max,
        Combine::Min => min,
    }
}

// === impl Basis ===

impl Basis {
    fn add(&mut self, other: Self) {
        self.timestamp = self.timestamp.min(other.timestamp);
        self.span = self.span.max(other.span);
        self.series += other.series;
        self.samples += other.samples;
    }
}

#[cfg(test)]
mod tests;
