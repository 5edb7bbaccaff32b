//! The true change of a counter between real samples, over their real span, without extrapolation.

use std::time::Duration;

use crate::aggregate::{Absence, Basis};
use crate::model::Timestamp;
use crate::storage::{Sample, Series};

/// The change of one counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Increase {
    /// By how much it grew, resets taken into account.
    pub amount: f64,
    /// From the first sample (or the start of the counter) to the last, longer than zero.
    pub span: Duration,
    /// Time of the last sample.
    pub timestamp: Timestamp,
    pub samples: usize,
}

/// The increase up to the newest sample, from the last sample at or before the start of the window
/// (or from the counter's own start, or else the first sample there is). `restarts` are the times of
/// the first samples after a restart, as [`restarts`] tells them.
///
/// # Errors
/// [`Absence`] with fewer than two samples, a value that is not finite, or falls that no counter has.
pub(super) fn over(
    series: &Series,
    window: Duration,
    scrape_interval: Duration,
    restarts: &[Timestamp],
) -> Result<Increase, Absence> {
    let used = used(series, window);
    let (Some(first), Some(newest)) = (used.clone().next(), series.newest().copied()) else {
        return Err(too_few(series, 0));
    };
    if let Some(sample) = used.clone().find(|sample| !sample.value.is_finite()) {
        return Err(Absence::NotFinite { series: series.text(), value: sample.value });
    }
    check_falls(series, pairs(used.clone()))?;
    let mut amount: f64 = pairs(used.clone()).map(|(from, to)| step(from, to, restarts)).sum();
    let mut span = newest.timestamp.since(first.timestamp);
    // A counter that began within the window was zero at its start, which is as good as a sample. What
    // happened right after the start is not the pace of the rest: a whole interval is looked at, at least.
    if let Some(start) = series.start.filter(|start| began_within(*start, first, newest, window)) {
        amount += first.value;
        span = newest.timestamp.since(start).max(scrape_interval);
    }
    let samples = used.count();
    if span.is_zero() {
        return Err(too_few(series, samples));
    }
    Ok(Increase { amount, span, timestamp: newest.timestamp, samples })
}

/// The times of the first samples after a restart: the value fell, or the page tells another start.
pub(super) fn restarts(series: &Series) -> impl Iterator<Item = Timestamp> + '_ {
    let falls = pairs(series.samples().copied()).filter(|(from, to)| to.value < from.value);
    falls.map(|(_, to)| to.timestamp).chain(series.restarted)
}

/// The samples of the window and the one before it. A sample more than a whole window before the
/// start is no basis for a number of this window.
fn used(series: &Series, window: Duration) -> impl Iterator<Item = Sample> + Clone + '_ {
    let newest = series.newest().map_or(Timestamp(0), |newest| newest.timestamp);
    let start = newest.minus(window);
    let oldest = start.minus(window);
    let zero = series.implied_zero.map(|timestamp| Sample { timestamp, value: 0.0 });
    let samples = zero.into_iter().chain(series.samples().copied());
    // Those at or before the start but for the last of them.
    let surplus = samples.clone().take_while(|sample| sample.timestamp <= start).count().saturating_sub(1);
    samples.skip(surplus).filter(move |sample| sample.timestamp >= oldest)
}

/// Each sample with the one after it.
fn pairs(samples: impl Iterator<Item = Sample> + Clone) -> impl Iterator<Item = (Sample, Sample)> {
    samples.clone().zip(samples.skip(1))
}

/// The growth from one sample to the next; after a restart the counter grew from zero.
fn step(from: Sample, to: Sample, restarts: &[Timestamp]) -> f64 {
    let restarted = restarts.iter().any(|at| from.timestamp < *at && *at <= to.timestamp);
    if restarted { to.value } else { to.value - from.value }
}

fn began_within(start: Timestamp, first: Sample, newest: Sample, window: Duration) -> bool {
    start >= newest.timestamp.minus(window) && start <= first.timestamp
}

/// A counter falls when its process restarts, and grows between restarts; one that falls at least as
/// often as it grows is something else.
fn check_falls(series: &Series, pairs: impl Iterator<Item = (Sample, Sample)>) -> Result<(), Absence> {
    let (mut falls, mut rises) = (0, 0);
    for (from, to) in pairs {
        falls += usize::from(to.value < from.value);
        rises += usize::from(to.value > from.value);
    }
    if falls >= 2 && falls >= rises {
        return Err(Absence::NotACounter { series: series.text(), falls, rises });
    }
    Ok(())
}

fn too_few(series: &Series, samples: usize) -> Absence {
    Absence::TooFewSamples { series: series.text(), samples }
}

// === impl Increase ===

impl Increase {
    pub fn per_second(self) -> f64 {
        self.amount / self.span.as_secs_f64()
    }

    pub(super) fn basis(self) -> Basis {
        Basis { timestamp: self.timestamp, span: Some(self.span), series: 1, samples: self.samples }
    }
}
