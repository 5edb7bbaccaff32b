//! Classic histograms: buckets merge, and only merged buckets give a quantile.

use crate::aggregate::Absence;
use crate::storage::Series;

/// Cumulative buckets in order of their bounds; the last bound is +Inf.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram(Vec<Bucket>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Upper bound, inclusive.
    pub le: f64,
    /// Observations at or below the bound: per second, or in a gauge histogram as many as there are.
    pub count: f64,
}

/// A quantile and whether it is only a lower bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    pub value: f64,
    /// The rank lies in the +Inf bucket.
    pub saturated: bool,
}

/// The bound of a `_bucket` series.
///
/// # Errors
/// When the label `le` is absent or no number.
pub(super) fn bound(series: &Series) -> Result<f64, Absence> {
    let le = series.labels().get("le");
    le.and_then(|le| le.parse().ok())
        .filter(|le: &f64| !le.is_nan())
        .ok_or_else(|| Absence::Histogram(format!("{} has no label le with a number", series.text())))
}

// === impl Histogram ===

impl Histogram {
    /// # Errors
    /// A sentence when there is no +Inf bucket (then nobody knows how many observations there were), or
    /// the buckets of one page contradict each other.
    pub fn new(mut buckets: Vec<Bucket>) -> Result<Self, &'static str> {
        buckets.sort_by(|a, b| a.le.total_cmp(&b.le));
        if buckets.windows(2).any(|pair| pair[0].le == pair[1].le) {
            return Err("two buckets of the histogram have the same bound");
        }
        match buckets.last() {
            Some(last) if last.le == f64::INFINITY => Ok(Self(buckets)),
            _ => Err("the histogram has no bucket with le=\"+Inf\""),
        }
    }

    /// Adds another histogram. Where the bounds differ only the common ones stay, for a count at a
    /// bound that one side does not have is not known.
    pub fn merge(&mut self, other: &Self) {
        let mut theirs = other.0.iter().peekable();
        self.0.retain_mut(|bucket| {
            while theirs.next_if(|their| their.le < bucket.le).is_some() {}
            let same = theirs.next_if(|their| their.le == bucket.le);
            bucket.count += same.map_or(0.0, |their| their.count);
            same.is_some()
        });
    }

    /// The quantile by linear interpolation within the bucket that holds the rank, the lowest bucket
    /// starting at 0 (the rule of PromQL's `histogram_quantile` on classic histograms).
    ///
    /// # Errors
    /// [`Absence`] without observations, or when the merged histograms share no finite bound.
    pub fn quantile(&self, q: f64) -> Result<Quantile, Absence> {
        let buckets = self.monotonic();
        let [finite @ .., last] = &buckets[..] else {
            return Err(Absence::NoObservations("the histogram is empty"));
        };
        let highest = finite.last().ok_or_else(|| {
            Absence::Histogram(
                "the histograms have no finite bucket bound in common, so no quantile can be told".into(),
            )
        })?;
        if last.count == 0.0 {
            return Err(Absence::NoObservations("the histogram did not grow"));
        }
        let rank = q * last.count;
        let position = finite.partition_point(|bucket| bucket.count < rank);
        let Some(bucket) = finite.get(position) else {
            return Ok(Quantile { value: highest.le, saturated: true });
        };
        let below = position.checked_sub(1).map(|position| finite[position]);
        Ok(Quantile { value: interpolate(below, *bucket, rank), saturated: false })
    }

    /// Counts that never fall from one bound to the next: pods are not scraped at the same moment.
    fn monotonic(&self) -> Vec<Bucket> {
        let mut highest = 0.0_f64;
        let mut buckets = self.0.clone();
        for bucket in &mut buckets {
            highest = highest.max(bucket.count);
            bucket.count = highest;
        }
        buckets
    }
}

fn interpolate(below: Option<Bucket>, bucket: Bucket, rank: f64) -> f64 {
    let (start, count) = match below {
        None if bucket.le <= 0.0 => return bucket.le,
        None => (0.0, 0.0),
        Some(below) => (below.le, below.count),
    };
    let within = bucket.count - count;
    if within == 0.0 {
        return bucket.le;
    }
    start + (bucket.le - start) * ((rank - count) / within)
}
