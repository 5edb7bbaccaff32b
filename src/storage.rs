//! Bounded windows of samples for the wanted series of each target, and the state of each target.
//!
//! A scrape comes in as [`Point`]s or as a [`Failure`]; readers borrow a [`TargetStore`]. There is one
//! lock per target, held for microseconds, so no target waits for another. Nothing here reads a
//! clock, decodes text (the decoder is an argument) or judges freshness.

mod metrics;
mod state;
mod wanted;

pub use state::{Failure, FailureReason, Health, Issue, IssueKind, TargetState};
pub use wanted::{Role, Wanted};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{Labels, TargetId, Timestamp};

/// All targets. Clones share the same content.
#[derive(Clone, Default)]
pub struct Storage(Arc<RwLock<FxHashMap<TargetId, Arc<Mutex<TargetStore>>>>>);

/// The windows and the state of one target.
#[derive(Default)]
pub struct TargetStore {
    pub state: TargetState,
    series: Vec<Series>,
    /// Position in `series` by the text of the series as the page writes it.
    by_text: FxHashMap<Box<str>, usize>,
    /// Position in `series` by name and labels.
    by_labels: FxHashMap<(Arc<str>, Labels), usize>,
    /// Positions in `series` by name.
    by_name: FxHashMap<Arc<str>, Vec<usize>>,
    /// Number of successful scrapes so far.
    round: u64,
}

/// One series of a target, from its first sample to its end.
pub struct Series {
    pub name: Arc<str>,
    pub labels: Labels,
    /// Oldest first, times strictly increasing, at least one.
    pub samples: VecDeque<Sample>,
    /// When the counter was zero, where the page says so (OpenMetrics `_created`).
    pub start: Option<Timestamp>,
    /// Why the samples of the last page could not be used; `None` when they could.
    pub refusal: Option<String>,
    /// The round that saw the series last.
    round: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub value: f64,
}

/// One wanted line of a page.
#[derive(Clone, Copy, Debug)]
pub struct Point<'p> {
    pub name: &'p str,
    /// Name and labels as written: the same text is the same series.
    pub series: &'p str,
    pub value: f64,
    /// The page's own timestamp, if it has one.
    pub timestamp: Option<Timestamp>,
}

/// Bounds on what one target may bring (see `config::Limits`).
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub series: usize,
    pub label_length: usize,
    pub labels_per_series: usize,
}

/// What is known of a scrape besides its points.
#[derive(Clone, Copy, Debug)]
pub struct Scrape {
    /// Start of the request: the time of samples that carry none.
    pub time: Timestamp,
    pub duration: Duration,
    /// Explicit timestamps before this are old enough to be said in the state.
    pub freshness: Duration,
    pub body_size_bytes: usize,
    /// Sample lines of the page, wanted or not.
    pub samples_scraped: usize,
}

/// Turns the text of a series into its labels; the error says what is wrong with the text.
pub type Decode = fn(&str) -> Result<Labels, String>;

/// A page's clock may be ahead of ours by this much (the tolerance metric pipelines commonly grant
/// a well-kept fleet); a sample further ahead is refused.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10);

/// Samples kept per series at most, whatever window is asked for: 160 KB.
pub const SAMPLES_MAX: usize = 10_000;

// === impl Storage ===

impl Storage {
    /// The store of a target, made when it is not there yet.
    pub fn open(&self, id: &TargetId) -> Arc<Mutex<TargetStore>> {
        if let Some(store) = self.get(id) {
            return store;
        }
        let mut targets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        targets.entry(id.clone()).or_default().clone()
    }

    /// Lets `read` look at a target; `None` when the target is not known.
    pub fn read<R>(&self, id: &TargetId, read: impl FnOnce(&TargetStore) -> R) -> Option<R> {
        self.get(id).map(|store| read(&lock(&store)))
    }

    /// Forgets the targets that are not to be kept, with their series.
    pub fn retain(&self, keep: impl Fn(&TargetId) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
    }

    /// Number of targets and of series, for the own metrics.
    pub fn size(&self) -> (usize, usize) {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (targets.len(), targets.values().map(|store| lock(store).series.len()).sum())
    }

    fn get(&self, id: &TargetId) -> Option<Arc<Mutex<TargetStore>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// A panic while the lock was held leaves whole samples behind, so the content stays usable.
pub fn lock(store: &Mutex<TargetStore>) -> MutexGuard<'_, TargetStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl TargetStore ===

impl TargetStore {
    /// The series of a name, in no particular order.
    pub fn series<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series> + 'a {
        self.by_name.get(name).into_iter().flatten().map(|position| &self.series[*position])
    }

    /// Takes in a page whole, or refuses it whole and leaves the series as they were. Returns the
    /// oddities seen, which are also in the state.
    ///
    /// # Errors
    /// A [`Failure`] when a bound is passed or a series cannot be decoded. The caller records it.
    pub fn commit(
        &mut self,
        points: &[Point<'_>],
        scrape: Scrape,
        wanted: &Wanted,
        bounds: Bounds,
        decode: Decode,
    ) -> Result<Vec<IssueKind>, Failure> {
        let fresh = self.decode_new(points, bounds, decode)?;
        self.round += 1;
        let mut issues = Vec::new();
        let mut fresh = fresh.into_iter();
        for point in points {
            let position = match self.by_text.get(point.series) {
                Some(position) => *position,
                None => self.insert(point, fresh.next().expect("one set of labels per unknown text").1),
            };
            issues.extend(self.append(position, point, scrape, wanted));
        }
        self.end_absent();
        self.link_starts(wanted);
        self.state.succeed(scrape, self.series.len());
        Ok(issues)
    }

    /// Records a failed scrape. The series keep what they have and grow old.
    pub fn fail(&mut self, failure: Failure, time: Timestamp, duration: Duration) {
        self.state.fail(failure, time, duration);
    }

    /// Labels of the texts not seen before, in page order, each text once.
    fn decode_new<'p>(
        &self,
        points: &[Point<'p>],
        bounds: Bounds,
        decode: Decode,
    ) -> Result<Vec<(&'p str, Labels)>, Failure> {
        if points.len() > bounds.series {
            return Err(Failure::new(
                FailureReason::SeriesLimit,
                format!(
                    "the page has {} wanted series, the limit series_per_target is {}",
                    points.len(),
                    bounds.series
                ),
            ));
        }
        let mut seen = rustc_hash::FxHashSet::default();
        let mut fresh = Vec::new();
        for point in points.iter().filter(|point| !self.by_text.contains_key(point.series)) {
            if seen.insert(point.series) {
                let labels = decode(point.series).map_err(|error| Failure::new(FailureReason::Exposition, error))?;
                check_bounds(point, &labels, bounds)?;
                fresh.push((point.series, labels));
            }
        }
        Ok(fresh)
    }

    /// Finds the series by its labels, or adds it; from now on its text leads to it.
    fn insert(&mut self, point: &Point<'_>, labels: Labels) -> usize {
        let name: Arc<str> = match self.by_name.get_key_value(point.name) {
            Some((name, _)) => name.clone(),
            None => point.name.into(),
        };
        let position = *self.by_labels.entry((name.clone(), labels.clone())).or_insert_with(|| {
            self.by_name.entry(name.clone()).or_default().push(self.series.len());
            self.series.push(Series {
                name,
                labels,
                samples: VecDeque::with_capacity(2),
                start: None,
                refusal: None,
                round: 0,
            });
            self.series.len() - 1
        });
        self.by_text.insert(point.series.into(), position);
        position
    }

    fn append(&mut self, position: usize, point: &Point<'_>, scrape: Scrape, wanted: &Wanted) -> Option<IssueKind> {
        let series = &mut self.series[position];
        let again = series.round == self.round;
        if !again {
            series.round = self.round;
            series.refusal = None;
        }
        let sample = Sample { timestamp: point.timestamp.unwrap_or(scrape.time), value: point.value };
        let (kind, what) = series.take(sample, again, scrape, wanted)?;
        self.state.note(kind, scrape.time, what);
        Some(kind)
    }

    /// Ends the series that this round did not see, and those that ended themselves.
    fn end_absent(&mut self) {
        let round = self.round;
        let texts_max = 2 * self.series.len() + 64;
        if self.series.iter().all(|series| series.round == round && !series.samples.is_empty()) {
            if self.by_text.len() > texts_max {
                self.by_text.clear();
            }
            return;
        }
        let mut moved = vec![None; self.series.len()];
        let mut kept = 0;
        for (position, series) in self.series.iter().enumerate() {
            if series.round == round && (!series.samples.is_empty() || series.refusal.is_some()) {
                moved[position] = Some(kept);
                kept += 1;
            }
        }
        let mut position = 0;
        self.series.retain(|_| {
            position += 1;
            moved[position - 1].is_some()
        });
        self.by_text.retain(|_, position| keep(&moved, position));
        self.by_labels.retain(|_, position| keep(&moved, position));
        self.by_name.clear();
        for (position, series) in self.series.iter().enumerate() {
            self.by_name.entry(series.name.clone()).or_default().push(position);
        }
    }

    /// Gives counters the start times that their `_created` series tell.
    fn link_starts(&mut self, wanted: &Wanted) {
        let mut starts: FxHashMap<(Arc<str>, Labels), Timestamp> = FxHashMap::default();
        for series in &self.series {
            if let (Some(Role::Created { of }), Some(sample)) = (wanted.role(&series.name), series.samples.back())
                && sample.value.is_finite()
            {
                starts.insert((of.clone(), series.labels.clone()), Timestamp((sample.value * 1000.0) as i64));
            }
        }
        if starts.is_empty() {
            return;
        }
        for series in &mut self.series {
            let labels = Labels::new(series.labels.iter().filter(|(name, _)| *name != "le"));
            series.start = starts.get(&(series.name.clone(), labels)).copied();
        }
    }
}

fn keep(moved: &[Option<usize>], position: &mut usize) -> bool {
    moved[*position].is_some_and(|new| {
        *position = new;
        true
    })
}

fn check_bounds(point: &Point<'_>, labels: &Labels, bounds: Bounds) -> Result<(), Failure> {
    if labels.len() > bounds.labels_per_series {
        return Err(Failure::new(
            FailureReason::LabelLimit,
            format!(
                "a series of {} has {} labels, the limit labels_per_series is {}",
                point.name,
                labels.len(),
                bounds.labels_per_series
            ),
        ));
    }
    for (name, value) in labels.iter() {
        let length = name.len().max(value.len());
        if length > bounds.label_length {
            return Err(Failure::new(
                FailureReason::LabelLimit,
                format!(
                    "a label of {} is {length} bytes long, the limit label_length is {}",
                    point.name, bounds.label_length
                ),
            ));
        }
    }
    Ok(())
}

// === impl Series ===

impl Series {
    pub fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// Takes one sample of a page, or says why not. `again` when the page had the series before.
    fn take(&mut self, sample: Sample, again: bool, scrape: Scrape, wanted: &Wanted) -> Option<(IssueKind, String)> {
        let newest = self.newest();
        if is_stale_marker(sample.value) {
            self.samples.clear();
            return None;
        }
        if sample.timestamp > scrape.time.plus(CLOCK_SKEW_MAX) {
            let what = format!(
                "{self} has the timestamp {}, {:.0} s in the future",
                sample.timestamp,
                sample.timestamp.seconds_since(scrape.time)
            );
            self.refusal = Some(what.clone());
            return Some((IssueKind::TimestampInFuture, what));
        }
        let Some(newest) = newest else {
            self.samples.push_back(sample);
            return self.age_issue(sample, scrape);
        };
        if sample.timestamp == newest.timestamp {
            return self.take_same_time(sample, newest, again);
        }
        if sample.timestamp < newest.timestamp {
            return Some((
                IssueKind::OutOfOrder,
                format!("{self} has a sample of {} after one of {}", sample.timestamp, newest.timestamp),
            ));
        }
        let role = wanted.role(&self.name);
        self.push(sample, wanted.window(&self.name));
        if matches!(role, Some(Role::Counter)) && sample.value < newest.value {
            return Some((
                IssueKind::CounterReset,
                format!("{self} went down from {} to {}", newest.value, sample.value),
            ));
        }
        self.age_issue(sample, scrape)
    }

    /// The same time twice: harmless with the same value; otherwise nobody can tell which is right.
    fn take_same_time(&mut self, sample: Sample, newest: Sample, again: bool) -> Option<(IssueKind, String)> {
        if sample.value.to_bits() == newest.value.to_bits() {
            return again.then(|| {
                (IssueKind::DuplicateSeries, format!("{self} is twice in the page, both times {}", newest.value))
            });
        }
        if again {
            let what = format!("{self} is twice in the page, with the values {} and {}", newest.value, sample.value);
            self.refusal = Some(what.clone());
            return Some((IssueKind::DuplicateSeries, what));
        }
        let what = format!(
            "{self} changed from {} to {} under the same timestamp {}",
            newest.value, sample.value, sample.timestamp
        );
        Some((IssueKind::OutOfOrder, what))
    }

    fn push(&mut self, sample: Sample, window: Duration) {
        self.samples.push_back(sample);
        let start = sample.timestamp.minus(window);
        while self.samples.len() > SAMPLES_MAX || self.samples.get(1).is_some_and(|second| second.timestamp <= start) {
            self.samples.pop_front();
        }
    }

    fn age_issue(&self, sample: Sample, scrape: Scrape) -> Option<(IssueKind, String)> {
        let age = scrape.time.since(sample.timestamp);
        (age > scrape.freshness).then(|| {
            (
                IssueKind::TimestampTooOld,
                format!("{self} has the timestamp {}, {} s old", sample.timestamp, age.as_secs()),
            )
        })
    }
}

/// Name and labels in the exposition format.
impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, self.labels)
    }
}

/// The NaN that says "this series ends here" (Prometheus `model/value.StaleNaN`).
fn is_stale_marker(value: f64) -> bool {
    value.to_bits() == 0x7ff0_0000_0000_0002
}

#[cfg(test)]
pub(crate) mod notation;
#[cfg(test)]
mod tests;
