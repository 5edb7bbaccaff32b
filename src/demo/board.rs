//! What the controller last read and did: the board that the table shows.
//!
//! Plain values; the controller fills them in and publishes a copy after each round.

use std::collections::VecDeque;
use std::time::Duration;

/// One report for each HorizontalPodAutoscaler, and counts over all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    pub reports: Vec<Report>,
    /// What happened, oldest first; at most [`JOURNAL_MAX`].
    pub journal: VecDeque<Entry>,
    /// Entries ever written, so that a reader knows which ones are new.
    pub entries_total: usize,
    /// Requests that Plimsoll answered with a value.
    pub answers: u64,
    /// Requests that it answered with an error, or not at all.
    pub refusals: u64,
    /// The oldest sample it ever answered with.
    pub age_max: Duration,
}

/// The last round of one HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub deployment: String,
    pub replicas_min: usize,
    pub replicas_max: usize,
    pub metrics: Vec<MetricReport>,
    pub last: Option<Entry>,
}

/// One metric of a HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReport {
    pub name: String,
    pub target: f64,
    /// Whether the target is a value for each pod (`AverageValue`) rather than for the whole.
    pub per_pod: bool,
    /// What Plimsoll answered last, or why it did not; `None` before it is first asked.
    pub reading: Option<Result<Reading, String>>,
    /// The values of the last rounds, oldest first, `None` for a refusal; at most [`TREND_MAX`].
    pub trend: VecDeque<Option<f64>>,
}

/// An answer of Plimsoll in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The sum over the pods, or the one value of an object.
    pub total: f64,
    /// What is compared with the target: for a target per pod the share of one pod.
    pub compared: f64,
    /// Since the oldest sample of the answer.
    pub age: Duration,
}

/// Something that happened to a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Time of day of the demo, for people.
    pub clock: String,
    pub deployment: String,
    pub kind: EntryKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Up,
    Down,
    /// A metric could not be read.
    Hold,
    /// All metrics can be read again.
    Resume,
}

/// Rounds that a trend remembers: more than a wide terminal shows.
pub const TREND_MAX: usize = 60;
/// Entries that the journal remembers; the table shows the last ones only.
pub const JOURNAL_MAX: usize = 100;

// === impl Board ===

impl Board {
    /// Puts an entry into the journal and on its report.
    pub fn note(&mut self, entry: Entry) {
        if let Some(report) = self.reports.iter_mut().find(|report| report.deployment == entry.deployment) {
            report.last = Some(entry.clone());
        }
        if self.journal.len() == JOURNAL_MAX {
            self.journal.pop_front();
        }
        self.journal.push_back(entry);
        self.entries_total += 1;
    }

    /// Entries beyond the first `seen` ones, oldest first, as far as the journal remembers them.
    pub fn entries_after(&self, seen: usize) -> impl Iterator<Item = &Entry> {
        let new = self.entries_total.saturating_sub(seen).min(self.journal.len());
        self.journal.iter().skip(self.journal.len() - new)
    }
}

// === impl MetricReport ===

impl MetricReport {
    /// Why there is no reading, when Plimsoll was asked.
    pub fn refusal(&self) -> Option<&str> {
        self.reading.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Replaces the reading and lets the trend move on.
    pub fn record(&mut self, reading: Result<Reading, String>) {
        if self.trend.len() == TREND_MAX {
            self.trend.pop_front();
        }
        self.trend.push_back(reading.as_ref().ok().map(|reading| reading.total));
        self.reading = Some(reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_each_entry_once_and_the_journal_stays_bounded() {
        let mut board = Board::default();
        for i in 0..JOURNAL_MAX + 5 {
            board.note(Entry {
                clock: i.to_string(),
                deployment: "a".into(),
                kind: EntryKind::Up,
                text: String::new(),
            });
        }
        assert_eq!(board.journal.len(), JOURNAL_MAX);
        let clocks = |seen| board.entries_after(seen).map(|entry| entry.clock.as_str()).collect::<Vec<_>>();
        assert_eq!(clocks(JOURNAL_MAX + 3), ["103", "104"]);
        assert_eq!((clocks(0).len(), clocks(JOURNAL_MAX + 5).len()), (JOURNAL_MAX, 0));
    }
}
