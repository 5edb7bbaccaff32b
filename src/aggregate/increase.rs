//! The true change of a counter between real samples, over their real span, without extrapolation.

use std::time::Duration;

use crate::aggregate::{Absence, Basis};
use crate::model::{NativeHistogram, Timestamp};
use crate::storage::{Sample, SampleValue, Series};

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

/// What a native histogram observed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    /// Per second.
    pub histogram: NativeHistogram,
    pub basis: Basis,
}

/// The samples that a change rests on, and where it begins.
struct Used<S> {
    /// Oldest first: those of the window and the one before it.
    samples: S,
    /// The counter was zero at this time, before all of the samples.
    zero: Option<Timestamp>,
    /// From where the change begins to the newest sample, longer than zero.
    span: Duration,
    /// Samples, the implied zero among them.
    count: usize,
}

/// The increase up to the newest sample, from the last sample at or before the start of the window
/// (or from the counter's own start, or else the first sample there is). `restarts` are the times of the first samples
/// after a restart that the values may not show; where the value falls is one anyway.
///
/// # Errors
/// [`Absence`] with fewer than two samples, a value that is not finite, or falls that no counter has.
pub(super) fn over(
    series: &Series,
    window: Duration,
    scrape_interval: Duration,
    restarts: &[Timestamp],
) -> Result<Increase, Absence> {
    let Used { samples, zero, span, count } = used(series, window, scrape_interval)?;
    let (mut amount, mut falls, mut rises) = (0.0, 0, usize::from(zero.is_some()));
    let mut before: Option<&Sample> = None;
    for sample in samples {
        if !sample.value.is_finite() {
            return Err(Absence::NotFinite { series: series.text(), value: sample.value.to_string() });
        }
        // Where the counter was zero before the first sample, all of it has grown.
        amount += match before {
            Some(before) => step(before, sample, restarts),
            None if zero.is_some() => sample.value,
            None => 0.0,
        };
        falls += usize::from(before.is_some_and(|before| sample.value < before.value));
        rises += usize::from(before.is_some_and(|before| sample.value > before.value));
        before = Some(sample);
    }
    // A counter falls when its process restarts, and grows between restarts; one that falls at least as often as it
    // grows is something else.
    if falls >= 2 && falls >= rises {
        return Err(Absence::NotACounter { series: series.text(), falls, rises });
    }
    let timestamp = before.map_or(Timestamp(0), |newest| newest.timestamp);
    Ok(Increase { amount, span, timestamp, samples: count })
}

/// What a native histogram observed per second, from where [`over`] begins to the newest sample. Between restarts it
/// is the difference of the last and the first state.
///
/// # Errors
/// [`Absence`] with fewer than two samples, or counts that are not finite.
pub(super) fn observed(
    series: &Series<NativeHistogram>,
    window: Duration,
    scrape_interval: Duration,
) -> Result<Observed, Absence> {
    let used = used(series, window, scrape_interval)?;
    if let Some(sample) = used.samples.clone().find(|sample| !sample.value.is_finite()) {
        return Err(Absence::NotFinite { series: series.text(), value: sample.value.text() });
    }
    let restarted = |from: &Sample<NativeHistogram>, to: &Sample<NativeHistogram>| {
        series.restarted.is_some_and(|at| from.timestamp < at && at <= to.timestamp) || to.value.reset_from(&from.value)
    };
    let mut base = if used.zero.is_some() { None } else { used.samples.clone().next() };
    let mut total: Option<NativeHistogram> = None;
    let mut add = |last: &Sample<NativeHistogram>, base: Option<&Sample<NativeHistogram>>| {
        let mut change = last.value.clone();
        base.into_iter().for_each(|base| change.sub(&base.value));
        match &mut total {
            Some(total) => total.add(&change),
            None => total = Some(change),
        }
    };
    for (from, _) in pairs(used.samples.clone()).filter(|(from, to)| restarted(from, to)) {
        add(from, base);
        base = None;
    }
    let newest = series.newest().ok_or_else(|| too_few(series, 0))?;
    add(newest, base);
    let mut histogram = total.ok_or_else(|| too_few(series, 0))?;
    histogram.scale(1.0 / used.span.as_secs_f64());
    let basis = Basis { timestamp: newest.timestamp, span: Some(used.span), series: 1, samples: used.count };
    Ok(Observed { histogram, basis })
}

/// The times of the first samples after a restart, for what restarts together: the value fell, or the page tells another start.
pub(super) fn restarts(series: &Series) -> impl Iterator<Item = Timestamp> + '_ {
    let falls = pairs(series.samples()).filter(|(from, to)| to.value < from.value);
    falls.map(|(_, to)| to.timestamp).chain(series.restarted)
}

/// The samples of the window and the one before it. A sample more than a whole window before the
/// start is no basis for a number of this window.
///
/// # Errors
/// [`Absence::TooFewSamples`] when there is no span to look at.
fn used<V: SampleValue>(
    series: &Series<V>,
    window: Duration,
    scrape_interval: Duration,
) -> Result<Used<impl Iterator<Item = &Sample<V>> + Clone>, Absence> {
    let newest = series.newest().ok_or_else(|| too_few(series, 0))?.timestamp;
    let start = newest.minus(window);
    let oldest = start.minus(window);
    // Those at or before the start but for the last of them.
    let surplus = series.samples().take_while(|sample| sample.timestamp <= start).count().saturating_sub(1);
    let samples = series.samples().skip(surplus).filter(move |sample| sample.timestamp >= oldest);
    let first = samples.clone().next().map_or(newest, |first| first.timestamp);
    let implied = series.implied_zero.filter(|zero| *zero >= oldest && first > start);
    let mut span = newest.since(implied.unwrap_or(first));
    // A counter that began within the window was zero at its start, which is as good as a sample. What
    // happened right after the start is not the pace of the rest: a whole interval is looked at, at least.
    let told = series.start.filter(|began| (start..=implied.unwrap_or(first)).contains(began));
    if let Some(began) = told {
        span = newest.since(began).max(scrape_interval);
    }
    let count = samples.clone().count() + usize::from(implied.is_some());
    if span.is_zero() {
        return Err(too_few(series, count));
    }
    Ok(Used { samples, zero: told.or(implied), span, count })
}

/// Each sample with the one after it.
fn pairs<S>(samples: impl Iterator<Item = S> + Clone) -> impl Iterator<Item = (S, S)> {
    samples.clone().zip(samples.skip(1))
}

/// The growth from one sample to the next; after a restart the counter grew from zero.
fn step(from: &Sample, to: &Sample, restarts: &[Timestamp]) -> f64 {
    let restarted = to.value < from.value || restarts.iter().any(|at| from.timestamp < *at && *at <= to.timestamp);
    if restarted { to.value } else { to.value - from.value }
}

fn too_few<V: SampleValue>(series: &Series<V>, samples: usize) -> Absence {
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
