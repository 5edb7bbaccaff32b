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
/// (or from the counter's own start, or else the first sample there is).
///
/// # Errors
/// [`Absence`] with fewer than two samples, a value that is not finite, or falls that no counter has.
pub(super) fn over(series: &Series, window: Duration) -> Result<Increase, Absence> {
    let used = used(&series.samples, window);
    let newest = series.newest().ok_or_else(|| too_few(series, 0))?;
    let first = used.first().copied().ok_or_else(|| too_few(series, 0))?;
    if let Some(sample) = used.iter().find(|sample| !sample.value.is_finite()) {
        return Err(Absence::NotFinite { series: series.to_string(), value: sample.value });
    }
    check_resets(series, &used)?;
    let mut amount: f64 = used.windows(2).map(|pair| step(pair[0], pair[1], series.start)).sum();
    let mut since = first.timestamp;
    // A counter that began within the window was zero at its start, which is as good as a sample.
    if let Some(start) = series.start.filter(|start| began_within(*start, first, newest, window)) {
        amount += first.value;
        since = start;
    }
    let span = newest.timestamp.since(since);
    if span.is_zero() {
        return Err(too_few(series, used.len()));
    }
    Ok(Increase { amount, span, timestamp: newest.timestamp, samples: used.len() })
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

/// The growth from one sample to the next; after a reset the counter grew from zero.
fn step(from: Sample, to: Sample, start: Option<Timestamp>) -> f64 {
    let restarted = start.is_some_and(|start| start > from.timestamp && start <= to.timestamp);
    if restarted || to.value < from.value { to.value } else { to.value - from.value }
}

fn began_within(start: Timestamp, first: Sample, newest: Sample, window: Duration) -> bool {
    start >= newest.timestamp.minus(window) && start <= first.timestamp
}

/// A counter resets when its process restarts, and grows between restarts; one that falls at least as
/// often as it grows is something else.
fn check_resets(series: &Series, used: &[Sample]) -> Result<(), Absence> {
    let falls = used.windows(2).filter(|pair| pair[1].value < pair[0].value).count();
    let rises = used.windows(2).filter(|pair| pair[1].value > pair[0].value).count();
    if falls >= 2 && falls >= rises {
        return Err(Absence::NotACounter { series: series.to_string(), falls, rises });
    }
    Ok(())
}

fn too_few(series: &Series, samples: usize) -> Absence {
    Absence::TooFewSamples { series: series.to_string(), samples }
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
