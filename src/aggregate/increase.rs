//! The true change of a counter between real samples, over their real span, without extrapolation.

use std::collections::VecDeque;
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
    let used = used(&series.samples, window);
    let (Some(first), Some(newest)) = (used.first().copied(), used.last().copied()) else {
        return Err(too_few(series, 0));
    };
    if let Some(sample) = used.iter().find(|sample| !sample.value.is_finite()) {
        return Err(Absence::NotFinite { series: series.text(), value: sample.value });
    }
    check_falls(series, &used)?;
    let mut amount: f64 = used.windows(2).map(|pair| step(pair[0], pair[1], restarts)).sum();
    let mut span = newest.timestamp.since(first.timestamp);
    // A counter that began within the window was zero at its start, which is as good as a sample. What
    // happened right after the start is not the pace of the rest: a whole interval is looked at, at least.
    if let Some(start) = series.start.filter(|start| began_within(*start, first, newest, window)) {
        amount += first.value;
        span = newest.timestamp.since(start).max(scrape_interval);
    }
    if span.is_zero() {
        return Err(too_few(series, used.len()));
    }
    Ok(Increase { amount, span, timestamp: newest.timestamp, samples: used.len() })
}

/// The times of the first samples after a restart: the value fell, or the page tells another start.
pub(super) fn restarts(series: &Series) -> impl Iterator<Item = Timestamp> + '_ {
    let pairs = series.samples.iter().zip(series.samples.iter().skip(1));
    let falls = pairs.filter(|(from, to)| to.value < from.value).map(|(_, to)| to.timestamp);
    falls.chain(series.restarted)
}

/// The samples of the window and the one before it. A sample more than a whole window before the
/// start is no basis for a number of this window.
fn used(samples: &VecDeque<Sample>, window: Duration) -> Vec<Sample> {
    let Some(newest) = samples.back() else { return Vec::new() };
    let start = newest.timestamp.minus(window);
    let first = samples.partition_point(|sample| sample.timestamp <= start).saturating_sub(1);
    let oldest = start.minus(window);
    samples.range(first..).filter(|sample| sample.timestamp >= oldest).copied().collect()
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
fn check_falls(series: &Series, used: &[Sample]) -> Result<(), Absence> {
    let falls = used.windows(2).filter(|pair| pair[1].value < pair[0].value).count();
    let rises = used.windows(2).filter(|pair| pair[1].value > pair[0].value).count();
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
