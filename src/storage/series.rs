//! One series of a target and its window of samples.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{self, Labels, NativeHistogram, Timestamp, is_stale_marker};
use crate::storage::wanted::Want;
use crate::storage::{IssueKind, Scrape, SeriesKey};

/// One series of a target, from its first sample to its end.
///
/// Where former lives are kept ([`Want::former_lives`]), the samples of a series that ended stay in its window, apart
/// from those of its current life: Prometheus' `rate` looks at both.
pub struct Series<V = f64> {
    key: Arc<SeriesKey>,
    /// Oldest first, times strictly increasing.
    samples: VecDeque<Sample<V>>,
    /// How many samples at the front are of former lives.
    former: usize,
    /// When the counter was zero, where the page says so (OpenMetrics `_created`).
    pub start: Option<Timestamp>,
    /// The first sample after `start` changed last: the counter began anew before it.
    pub restarted: Option<Timestamp>,
    /// The round in which `start` moved last.
    start_moved: u64,
    /// The start moves with every page, so it is none.
    start_drifts: bool,
    /// The page before the first sample, where it proves that the counter was zero then.
    pub implied_zero: Option<Timestamp>,
    /// Why the samples of the last page could not be used; `None` when they could.
    pub refusal: Option<Box<str>>,
    /// The round that saw the current life first.
    pub(super) first_round: u64,
    /// The round that saw the series last.
    pub(super) round: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<V = f64> {
    pub timestamp: Timestamp,
    pub value: V,
}

/// What a sample can hold: a float or a native histogram.
pub trait SampleValue: Clone {
    fn is_stale_marker(&self) -> bool;
    fn is_finite(&self) -> bool;
    /// Equal to the bit.
    fn is_same(&self, other: &Self) -> bool;
    /// Whether a counter cannot have gone from `earlier` to this value without a restart.
    fn restarted_since(&self, earlier: &Self) -> bool;
    /// For messages.
    fn text(&self) -> String;
}

/// A page's clock may be ahead of ours by this much (the tolerance metric pipelines commonly grant
/// a well-kept fleet); a sample further ahead is refused.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10);

/// Samples kept per series at most, whatever window is asked for: 160 KB of floats.
pub const SAMPLES_MAX: usize = 10_000;

/// An oddity of a sample: its kind, and what it is.
pub(super) type Oddity = (IssueKind, String);

impl SampleValue for f64 {
    fn is_stale_marker(&self) -> bool {
        is_stale_marker(*self)
    }

    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }

    fn restarted_since(&self, earlier: &Self) -> bool {
        self < earlier
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl SampleValue for NativeHistogram {
    fn is_stale_marker(&self) -> bool {
        self.is_stale()
    }

    fn is_finite(&self) -> bool {
        Self::is_finite(self)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.sum.to_bits() == other.sum.to_bits()
            && Self { sum: 0.0, ..self.clone() } == Self { sum: 0.0, ..other.clone() }
    }

    fn restarted_since(&self, earlier: &Self) -> bool {
        self.reset_from(earlier)
    }

    fn text(&self) -> String {
        format!("a histogram of {} observations", self.count)
    }
}

// === impl Series ===

impl<V: SampleValue> Series<V> {
    pub(super) fn new(key: Arc<SeriesKey>) -> Self {
        Self {
            key,
            samples: VecDeque::with_capacity(2),
            former: 0,
            start: None,
            restarted: None,
            start_moved: 0,
            start_drifts: false,
            implied_zero: None,
            refusal: None,
            first_round: 0,
            round: 0,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    pub fn labels(&self) -> &Labels {
        &self.key.labels
    }

    /// The samples since the series appeared last, oldest first; none when it has ended, or is refused.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample<V>> + ExactSizeIterator + Clone {
        self.samples.range(self.former..)
    }

    /// The samples of the window, those of former lives before the others.
    pub fn all_samples(&self) -> impl DoubleEndedIterator<Item = &Sample<V>> + ExactSizeIterator + Clone {
        self.samples.iter()
    }

    pub fn newest(&self) -> Option<&Sample<V>> {
        self.samples().next_back()
    }

    /// Whether the last page had the series.
    pub(super) fn is_live(&self) -> bool {
        self.former < self.samples.len() || self.refusal.is_some()
    }

    /// Ends the current life. Its samples stay where former lives are kept.
    pub(super) fn end(&mut self, want: Want) {
        if !want.former_lives {
            self.samples.clear();
        }
        self.former = self.samples.len();
        (self.refusal, self.implied_zero, self.restarted) = (None, None, None);
    }

    /// Takes the start that a page tells. The counter restarted if it began anew after the sample before; a start that
    /// only became more precise is none, nor is one that moves on from page to page.
    pub(super) fn tell_start(&mut self, start: Option<Timestamp>, round: u64) {
        let before = self.samples().rev().nth(1).map(|sample| sample.timestamp);
        let moved = self.start.is_some() && start.is_some_and(|start| before.is_some_and(|before| start > before));
        if moved && start > self.start {
            self.start_drifts |= self.start_moved + 1 == round;
            self.start_moved = round;
            self.restarted = self.newest().map(|newest| newest.timestamp);
        }
        if self.start_drifts {
            (self.start, self.restarted) = (None, None);
        } else {
            self.start = start;
        }
    }

    /// Whether no window that ends at `now` or later holds a sample.
    pub(super) fn is_forgotten(&self, now: Timestamp, want: Want) -> bool {
        let start = now.minus(want.window.unwrap_or_default());
        !self.is_live() && self.samples.back().is_none_or(|last| last.timestamp < start)
    }

    /// Takes one sample of a page in `round`, or says why not.
    pub(super) fn take(&mut self, sample: Sample<V>, round: u64, scrape: Scrape, want: Want) -> Option<Oddity> {
        let again = self.round == round;
        if !again {
            // A series that the page before did not have begins anew, even if its first sample is refused.
            self.first_round = if self.round + 1 == round { self.first_round } else { round };
            self.round = round;
            self.refusal = None;
        }
        if sample.value.is_stale_marker() {
            self.end(want);
            return None;
        }
        if again && self.refusal.is_some() {
            return None;
        }
        let horizon = scrape.time.plus(CLOCK_SKEW_MAX);
        if sample.timestamp > horizon {
            return Some(self.refuse_future(sample.timestamp, scrape));
        }
        // Our own clock was set back: what it stamped before is of no use now.
        if self.samples.back().is_some_and(|newest| newest.timestamp > horizon) {
            self.forget();
        }
        match self.newest() {
            None => self.begin(sample, scrape, want),
            Some(newest) if sample.timestamp == newest.timestamp => self.take_same_time(&sample, again),
            Some(newest) if sample.timestamp < newest.timestamp => {
                let (text, earlier, later) = (self.text(), sample.timestamp, newest.timestamp);
                Some((IssueKind::OutOfOrder, format!("{text} has a sample of {earlier} after one of {later}")))
            }
            Some(newest) => {
                let newest = newest.value.clone();
                self.follow(sample, &newest, scrape, want)
            }
        }
    }

    /// Takes the first sample of a life.
    fn begin(&mut self, sample: Sample<V>, scrape: Scrape, want: Want) -> Option<Oddity> {
        // A page that repeats an old time: what was before does not come before it.
        if self.samples.back().is_some_and(|last| last.timestamp >= sample.timestamp) {
            self.forget();
        }
        let oddity = self.oddity(&sample, scrape);
        self.push(sample, want);
        oddity
    }

    fn follow(&mut self, sample: Sample<V>, newest: &V, scrape: Scrape, want: Want) -> Option<Oddity> {
        let oddity = if want.window.is_some() && sample.value.restarted_since(newest) {
            let what = format!("{} went down from {} to {}", self.text(), newest.text(), sample.value.text());
            Some((IssueKind::CounterReset, what))
        } else {
            self.oddity(&sample, scrape)
        };
        self.push(sample, want);
        oddity
    }

    /// The same time twice: harmless with the same value; otherwise nobody can tell which is right, and
    /// neither is kept.
    fn take_same_time(&mut self, sample: &Sample<V>, again: bool) -> Option<Oddity> {
        let first = &self.newest()?.value;
        let is_same = first.is_same(&sample.value);
        if is_same && !again {
            return None;
        }
        let (series, first, second) = (self.text(), first.text(), sample.value.text());
        if is_same {
            return Some((IssueKind::DuplicateSeries, format!("{series} is twice in the page, both times {second}")));
        }
        if again {
            let what = format!("{series} is twice in the page, with the values {first} and {second}");
            self.samples.pop_back();
            self.refusal = Some(what.clone().into());
            return Some((IssueKind::DuplicateSeries, what));
        }
        let what = format!("{series} changed from {first} to {second} under the same timestamp {}", sample.timestamp);
        Some((IssueKind::OutOfOrder, what))
    }

    fn refuse_future(&mut self, timestamp: Timestamp, scrape: Scrape) -> Oddity {
        let ahead = timestamp.seconds_since(scrape.time);
        let what = format!("{} has the timestamp {timestamp}, {ahead:.0} s in the future", self.text());
        self.refusal = Some(what.clone().into());
        (IssueKind::TimestampInFuture, what)
    }

    /// Adds a sample, and drops those that no window needs any more: one at or before its start stays.
    fn push(&mut self, sample: Sample<V>, want: Want) {
        // Of former lives a window is asked for that ends now, which a sample may be ahead of.
        let ahead = if want.former_lives { CLOCK_SKEW_MAX } else { Duration::ZERO };
        let start = sample.timestamp.minus(want.window.unwrap_or_default() + ahead);
        self.samples.push_back(sample);
        while self.samples.len() > SAMPLES_MAX || self.samples.get(1).is_some_and(|second| second.timestamp <= start) {
            self.samples.pop_front();
            self.former = self.former.saturating_sub(1);
        }
    }

    fn forget(&mut self) {
        self.samples.clear();
        self.former = 0;
    }

    /// What is odd of a sample that is taken all the same.
    fn oddity(&self, sample: &Sample<V>, scrape: Scrape) -> Option<Oddity> {
        if !sample.value.is_finite() {
            return Some((IssueKind::NotFinite, format!("{} is {}", self.text(), sample.value.text())));
        }
        let age = scrape.time.since(sample.timestamp);
        let what = || format!("{} has the timestamp {}, {} s old", self.text(), sample.timestamp, age.as_secs());
        (age > scrape.freshness).then(|| (IssueKind::TimestampTooOld, what()))
    }

    /// Name and labels for a message, cut where they are too long to be read.
    pub fn text(&self) -> String {
        model::excerpt(self)
    }
}

/// Name and labels in the exposition format.
impl<V> fmt::Display for Series<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.key.name, self.key.labels)
    }
}
