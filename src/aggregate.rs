//! Windows of samples → values. Pure: `now` is an argument, and no number is ever made up.
//!
//! One target is evaluated to one [`Partial`] per group of split labels; partials of several targets
//! merge, and only the merged partial becomes a number. So rates are summed after the per-series
//! rate, quantiles come from merged buckets, and a ratio is a sum over a sum, at every level alike.
//! Whatever stands in the way is an [`Absence`], never a zero.

mod groups;
mod histogram;
mod increase;
pub mod native;
pub mod prometheus;
mod reading;

pub use groups::Groups;
pub use histogram::{Bucket, Histogram, Quantile};
pub use increase::Increase;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::metric::{Combine, Definition, RangeBoundary, Shape, Sharing};
use crate::model::{Labels, NativeHistogram, Scraping, Target, Timestamp};
use crate::storage::{Series, TargetStore};
use reading::Reading;

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
    /// What an operator of PromQL takes, which looks at all values at once.
    Values {
        combine: Combine,
        boundary: RangeBoundary,
        values: Vec<f64>,
    },
    /// What PromQL's `histogram_quantile` takes, before buckets are summed by their bound.
    Buckets {
        q: f64,
        boundary: RangeBoundary,
        buckets: Vec<prometheus::Bucket>,
    },
    /// Each kind is there as long as all that was merged has it.
    Quantile {
        q: f64,
        native: Option<Box<NativeHistogram>>,
        classic: Option<Histogram>,
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
    NotFinite { series: String, value: String },
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

/// Evaluates a definition over the series of one target, to a partial for each combination of split labels.
///
/// # Errors
/// The first [`Absence`] that would make the number wrong. A series that is too young for a rate
/// contributes nothing; it is an absence only when no series is old enough.
pub fn evaluate(
    store: &TargetStore,
    definition: &Definition,
    target: &Target,
    now: Timestamp,
) -> Result<Groups<Partial>, Absence> {
    let Scraping { freshness, interval: scrape_interval, .. } = *target.scraping;
    let Definition { split_by, aggregation, .. } = definition;
    let reading = Reading { store, split_by, now, freshness, scrape_interval, aggregation: *aggregation };
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
    let group = |labels: &Labels| {
        Labels::new(definition.split_by.iter().filter_map(|name| Some((name.as_str(), labels.get(name)?))))
    };
    let mut groups = BTreeSet::new();
    for (name, selection) in definition.shape.selections() {
        let floats = store.series(&name).map(Series::labels);
        let histograms = store.histograms(&selection.name).map(Series::labels);
        groups.extend(floats.chain(histograms).filter(|labels| selection.matchers.matches(labels)).map(group));
    }
    groups
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
            (Content::Values { values, .. }, Content::Values { values: others, .. }) => values.extend(others),
            (Content::Buckets { buckets, .. }, Content::Buckets { buckets: others, .. }) => buckets.extend(others),
            (Content::Quantile { native, classic, .. }, Content::Quantile { native: n, classic: c, .. }) => {
                merge_both(native, n, |one, other| one.add(&other));
                merge_both(classic, c, |one, other| one.merge(&other));
            }
            // In mode prometheus a target with buckets brings those alone.
            (
                content @ (Content::Buckets { .. } | Content::Quantile { .. }),
                Content::Buckets { q, .. } | Content::Quantile { q, .. },
            ) => {
                *content = Content::Quantile { q, native: None, classic: None };
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
            Content::Values { combine: Combine::Sum, values, .. } => {
                values.iter_mut().for_each(|value| *value *= factor)
            }
            Content::Gauge { .. }
            | Content::Values { .. }
            | Content::Queue { .. }
            | Content::Quantile { .. }
            | Content::Buckets { .. }
            | Content::Ratio { .. } => {}
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
            Content::Values { combine, boundary, values } => (operated(*combine, *boundary, values), false),
            Content::Buckets { q, boundary, buckets } => {
                let quantile = prometheus::merged_quantile(*q, buckets, *boundary);
                let quantile = quantile.ok_or(Absence::NoObservations("PromQL's quantile of the buckets is NaN"))?;
                (quantile.value, quantile.saturated)
            }
            Content::Quantile { q, native: Some(histogram), .. } => (native::quantile(histogram, *q)?.value, false),
            Content::Quantile { q, classic: Some(histogram), .. } => {
                let quantile = histogram.quantile(*q)?;
                (quantile.value, quantile.saturated)
            }
            Content::Quantile { .. } => return Err(Absence::Histogram(MIXED.into())),
            Content::Ratio { denominator: 0.0, .. } => return Err(Absence::NoObservations("the denominator is 0")),
            Content::Ratio { numerator, denominator } => (numerator / denominator, false),
        };
        if !number.is_finite() {
            return Err(Absence::NotFinite { series: "the result".into(), value: number.to_string() });
        }
        Ok(Value { number, basis: self.basis, saturated })
    }
}

const MIXED: &str = "some targets expose the histogram as native only and others as classic only, and the two do not \
    merge; let all expose it one way, or both ways while they change over";

/// Merges what both sides have; what one side lacks cannot stand for both.
fn merge_both<H>(one: &mut Option<H>, other: Option<H>, merge: impl Fn(&mut H, H)) {
    match (one.as_mut(), other) {
        (Some(one), Some(other)) => merge(one, other),
        _ => *one = None,
    }
}

/// PromQL's operator. There is a value, for a partial is made of one.
fn operated(combine: Combine, boundary: RangeBoundary, values: &[f64]) -> f64 {
    let values = values.iter().copied();
    let operated = match combine {
        Combine::Sum => prometheus::sum(values, boundary),
        Combine::Avg => prometheus::avg(values, boundary),
        Combine::Max => prometheus::max(values),
        Combine::Min => prometheus::max(values.map(|value| -value)).map(|max| -max),
    };
    operated.unwrap_or(f64::NAN)
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
