//! PromQL's own arithmetic, for numbers that must equal those of a Prometheus.
//!
//! In go samples (oldest first) and `now`, out comes what an instant query at `now` gives, to the last
//! digits: the order of the floating-point operations is Prometheus'. [`RangeBoundary`] chooses between
//! two sets of rules:
//!
//! | | [`Closed`](RangeBoundary::Closed): Prometheus 2 | [`LeftOpen`](RangeBoundary::LeftOpen): Prometheus 3 |
//! |---|---|---|
//! | a range `[w]` | from `now − w` on | after `now − w` |
//! | a sample exactly as old as the lookback | counts | is too old |
//! | a counter that would have been below zero | the start moves to its zero first, then the distance to the start is compared with the spacing | the distance is compared first, then the start moves to the zero, also within half a spacing |
//! | sum | plain | compensated (Kahan, Neumaier) |
//! | mean | incremental | compensated sum by count, incremental once the sum would overflow |
//! | buckets that fall | take the highest before | likewise; a change of less than 1e-12 of both is none at all |
//!
//! Sources: `promql/functions.go`, `promql/quantile.go` and `promql/engine.go` of Prometheus 2.42 and 3.13
//! (3.16 differs in start timestamps alone, an option that is off by default and plays no part here).
//!
//! Never here: a judgement. NaN and Inf go in and come out as in Prometheus, and whoever calls refuses
//! numbers that are not finite.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aggregate::Quantile;
use crate::config::metric::RangeBoundary;
use crate::model::{Timestamp, is_stale_marker};
use crate::storage::Sample;

/// How old the newest sample of a series may be (Prometheus' `--query.lookback-delta`).
pub const LOOKBACK: Duration = Duration::from_secs(300);

/// A gap of less than this many mean spacings between a sample and the edge of the range is bridged.
const EXTRAPOLATION_THRESHOLD: f64 = 1.1;

/// Changes between buckets below this share of their counts' sum are noise of the arithmetic.
const SMALL_DELTA_TOLERANCE: f64 = 1e-12;

/// One bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Upper bound, inclusive.
    pub le: f64,
    /// Observations at or below the bound, or their rate.
    pub count: f64,
}

/// A sum that carries what its last digits lost.
#[derive(Clone, Copy, Default)]
struct Compensated {
    sum: f64,
    lost: f64,
}

/// The samples that the range selector `[window]` gives at `now`: those within, without stale markers.
pub fn range(
    samples: impl IntoIterator<Item = Sample>,
    now: Timestamp,
    window: Duration,
    boundary: RangeBoundary,
) -> Vec<Sample> {
    let within = |sample: &Sample| sample.timestamp <= now && not_before(sample, now.minus(window), boundary);
    samples.into_iter().filter(|sample| within(sample) && !is_stale_marker(sample.value)).collect()
}

/// The sample that an instant selector gives at `now`: the newest, unless it is a stale marker or older
/// than `lookback` ([`LOOKBACK`], where nobody has changed it).
pub fn last(
    samples: impl IntoIterator<Item = Sample>,
    now: Timestamp,
    lookback: Duration,
    boundary: RangeBoundary,
) -> Option<Sample> {
    let newest = samples.into_iter().filter(|sample| sample.timestamp <= now).last()?;
    (not_before(&newest, now.minus(lookback), boundary) && !is_stale_marker(newest.value)).then_some(newest)
}

/// `rate(samples[window])` at `now`, per second; `None` with fewer than two samples in the range.
pub fn rate(
    samples: impl IntoIterator<Item = Sample>,
    now: Timestamp,
    window: Duration,
    boundary: RangeBoundary,
) -> Option<f64> {
    let (growth, factor) = extrapolated(samples, now, window, boundary)?;
    Some(growth * (factor / window.as_secs_f64()))
}

/// `increase(samples[window])` at `now`; `None` with fewer than two samples in the range.
pub fn increase(
    samples: impl IntoIterator<Item = Sample>,
    now: Timestamp,
    window: Duration,
    boundary: RangeBoundary,
) -> Option<f64> {
    let (growth, factor) = extrapolated(samples, now, window, boundary)?;
    Some(growth * factor)
}

/// The operator `sum` on the values of all series of a group, in their order: of a plain sum the order shows
/// in the last digits, and sums of parts are not compensated among each other. `None` without values.
pub fn sum(values: impl IntoIterator<Item = f64>, boundary: RangeBoundary) -> Option<f64> {
    let mut values = values.into_iter();
    let first = values.next()?;
    Some(match boundary {
        RangeBoundary::Closed => values.fold(first, |sum, value| sum + value),
        RangeBoundary::LeftOpen => {
            let Compensated { sum, lost } = values.fold(Compensated::from(first), Compensated::plus);
            sum + lost
        }
    })
}

/// The operator `max`, NaN only where all values are; `None` without values.
pub fn max(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let larger = |max: f64, value: f64| if max < value || max.is_nan() { value } else { max };
    values.into_iter().reduce(larger)
}

/// The operator `avg`, on values as for [`sum`]; `None` without values.
pub fn avg(values: impl IntoIterator<Item = f64>, boundary: RangeBoundary) -> Option<f64> {
    let mut values = values.into_iter();
    let first = values.next()?;
    Some(match boundary {
        RangeBoundary::Closed => incremental_mean(first, values),
        RangeBoundary::LeftOpen => compensated_mean(first, values),
    })
}

/// The function `histogram_quantile` of a classic histogram whose buckets come in any order.
///
/// `None` where Prometheus gives NaN: without a bucket `+Inf` or without another one, without
/// observations, with `q` NaN. A `q` below 0 is −Inf, one above 1 is +Inf. A rank in the bucket `+Inf` is
/// the highest finite bound, `saturated`.
pub fn histogram_quantile(
    q: f64,
    buckets: impl IntoIterator<Item = Bucket>,
    boundary: RangeBoundary,
) -> Option<Quantile> {
    if !(0.0..=1.0).contains(&q) {
        return outside(q);
    }
    let mut buckets = coalesced(buckets.into_iter().collect());
    if buckets.last()?.le != f64::INFINITY {
        return None;
    }
    force_monotonic(&mut buckets, boundary);
    let [finite @ .., last] = &buckets[..] else { return None };
    let highest = finite.last().filter(|_| last.count != 0.0)?;
    let rank = q * last.count;
    let Some(at) = first_at_least(finite, rank) else {
        return Some(Quantile { value: highest.le, saturated: true });
    };
    let value = interpolated(at.checked_sub(1).map(|below| finite[below]), finite[at], rank);
    (!value.is_nan()).then_some(Quantile { value, saturated: false })
}

/// `histogram_quantile(q, sum by (le) (buckets))`.
pub(super) fn merged_quantile(q: f64, buckets: &[Bucket], boundary: RangeBoundary) -> Option<Quantile> {
    let mut by_bound: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    for Bucket { le, count } in buckets {
        by_bound.entry(le.to_bits()).or_insert((*le, Vec::new())).1.push(*count);
    }
    let summed = by_bound.into_values().filter_map(|(le, counts)| Some(Bucket { le, count: sum(counts, boundary)? }));
    histogram_quantile(q, summed, boundary)
}

fn not_before(sample: &Sample, start: Timestamp, boundary: RangeBoundary) -> bool {
    match boundary {
        RangeBoundary::Closed => sample.timestamp >= start,
        RangeBoundary::LeftOpen => sample.timestamp > start,
    }
}

/// The growth between the first and last sample of the range, and how many times longer than the time
/// between them it is taken to go on.
fn extrapolated(
    samples: impl IntoIterator<Item = Sample>,
    now: Timestamp,
    window: Duration,
    boundary: RangeBoundary,
) -> Option<(f64, f64)> {
    let selected = range(samples, now, window, boundary);
    let [first, .., last] = selected[..] else { return None };
    let growth = growth(&selected, last.value - first.value);

    let span = last.timestamp.seconds_since(first.timestamp);
    let spacing = span / (selected.len() - 1) as f64;
    let threshold = spacing * EXTRAPOLATION_THRESHOLD;
    let bridged = |gap: f64| if gap < threshold { gap } else { spacing / 2.0 };

    let to_start = first.timestamp.seconds_since(now.minus(window));
    let to_end = bridged(now.seconds_since(last.timestamp));
    let began = growth > 0.0 && first.value >= 0.0;
    let to_zero = if began { span * (first.value / growth) } else { f64::INFINITY };
    let before = match boundary {
        RangeBoundary::Closed => bridged(nearer(to_zero, to_start)),
        RangeBoundary::LeftOpen => nearer(to_zero, bridged(to_start)),
    };
    Some((growth, (span + before + to_end) / span))
}

/// The change from the first sample to the last; where the counter fell it began at zero again.
fn growth(selected: &[Sample], change: f64) -> f64 {
    let lost = selected.windows(2).filter(|pair| pair[1].value < pair[0].value).map(|pair| pair[0].value);
    lost.fold(change, |growth, lost| growth + lost)
}

fn nearer(to_zero: f64, to_start: f64) -> f64 {
    if to_zero < to_start { to_zero } else { to_start }
}

/// The mean of Prometheus 2. An infinite mean stays what it is, except that it may become NaN.
fn incremental_mean(first: f64, values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (first, 1.0);
    for value in values {
        count += 1.0;
        let same_infinity = value.is_infinite() && (mean > 0.0) == (value > 0.0);
        if mean.is_infinite() && (same_infinity || value.is_finite()) {
            continue;
        }
        mean += value / count - mean / count;
    }
    mean
}

/// The mean of Prometheus 3.
fn compensated_mean(first: f64, values: impl Iterator<Item = f64>) -> f64 {
    let (mut total, mut count) = (Compensated::from(first), 1.0);
    let mut mean = None;
    for value in values {
        count += 1.0;
        let sum = total.plus(value);
        if mean.is_none() && !sum.sum.is_infinite() {
            total = sum;
            continue;
        }
        // The sum would overflow, so from here on the mean itself is carried along.
        let before = mean.unwrap_or(Compensated { sum: total.sum / (count - 1.0), lost: total.lost / (count - 1.0) });
        let share = (count - 1.0) / count;
        mean = Some(Compensated { sum: share * before.sum, lost: share * before.lost }.plus(value / count));
    }
    mean.map_or_else(|| total.sum / count + total.lost / count, |mean| mean.sum + mean.lost)
}

fn outside(q: f64) -> Option<Quantile> {
    let value = if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    (!q.is_nan()).then_some(Quantile { value, saturated: false })
}

/// The buckets in order, those with one bound as one.
fn coalesced(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|a, b| a.le.total_cmp(&b.le));
    buckets.dedup_by(|bucket, kept| {
        let same = bucket.le == kept.le;
        if same {
            kept.count += bucket.count;
        }
        same
    });
    buckets
}

/// Counts that never fall from one bound to the next.
fn force_monotonic(buckets: &mut [Bucket], boundary: RangeBoundary) {
    let Some(mut highest) = buckets.first().map(|bucket| bucket.count) else { return };
    for bucket in buckets {
        let noise = boundary == RangeBoundary::LeftOpen && almost_equal(highest, bucket.count);
        if noise || bucket.count < highest {
            bucket.count = highest;
        } else if boundary == RangeBoundary::LeftOpen || bucket.count > highest {
            highest = bucket.count;
        }
    }
}

/// As in `util/almost`: NaN equals NaN; beside zero, only what is next to nothing is equal.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DELTA_TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DELTA_TOLERANCE
}

/// The first bucket that reaches the rank, by the steps of Go's `sort.Search`: with a NaN among the
/// counts the way decides.
fn first_at_least(finite: &[Bucket], rank: f64) -> Option<usize> {
    let (mut low, mut high) = (0, finite.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if finite[middle].count >= rank { high = middle } else { low = middle + 1 }
    }
    (low < finite.len()).then_some(low)
}

/// Linear within the bucket; the lowest begins at zero, or is a point where its bound is not above zero.
fn interpolated(below: Option<Bucket>, bucket: Bucket, rank: f64) -> f64 {
    match below {
        None if bucket.le <= 0.0 => bucket.le,
        None => bucket.le * (rank / bucket.count),
        Some(below) => below.le + (bucket.le - below.le) * ((rank - below.count) / (bucket.count - below.count)),
    }
}

// === impl Compensated ===

impl From<f64> for Compensated {
    fn from(first: f64) -> Self {
        Self { sum: first, lost: 0.0 }
    }
}

impl Compensated {
    fn plus(self, value: f64) -> Self {
        let sum = self.sum + value;
        let lost = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.lost + ((self.sum - sum) + value)
        } else {
            self.lost + ((value - sum) + self.sum)
        };
        Self { sum, lost }
    }
}

#[cfg(test)]
mod tests;
