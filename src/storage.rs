//! Bounded windows of samples for the wanted series of each target, and the state of each target.
//!
//! A scrape comes in as [`Point`]s or as a [`Failure`]; readers borrow a [`TargetStore`]. There is one
//! lock per target, held for microseconds, so no target waits for another. Nothing here reads a
//! clock, decodes text (the decoder is an argument) or judges freshness.

mod metrics;
mod state;
mod wanted;

pub use state::{Failure, FailureReason, Health, Issue, IssueKind, TargetState};
pub use wanted::Wanted;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{self, Labels, TargetId, Timestamp, is_stale_marker};

/// All targets. Clones share the same content.
#[derive(Clone, Default)]
pub struct Storage(Arc<RwLock<FxHashMap<TargetId, Arc<Mutex<TargetStore>>>>>);

/// The windows and the state of one target.
#[derive(Default)]
pub struct TargetStore {
    pub state: TargetState,
    /// When the target joined a fleet that was known already; `None` for the targets of the start, of
    /// which nobody knows how long they have been working.
    pub joined: Option<Timestamp>,
    /// What the last page was read for; a name outside of it was not looked for.
    wanted: Arc<Wanted>,
    /// What is remembered of each wanted name beyond its series.
    names: FxHashMap<Arc<str>, NameHistory>,
    /// Start times by counter name and labels without `le`, as the last page told them.
    starts: FxHashMap<(Arc<str>, Labels), Timestamp>,
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

/// When pages had series of a name.
#[derive(Clone, Copy, Default)]
struct NameHistory {
    last_seen: Option<Timestamp>,
    /// The round of `last_seen`.
    round: u64,
    /// When a series of the name ended.
    last_end: Option<Timestamp>,
}

/// One series of a target, from its first sample to its end.
pub struct Series {
    pub name: Arc<str>,
    pub labels: Labels,
    /// Oldest first, times strictly increasing; empty only for a refused series.
    pub samples: VecDeque<Sample>,
    /// When the counter was zero, where the page says so (OpenMetrics `_created`).
    pub start: Option<Timestamp>,
    /// The first sample after `start` changed last: the counter began anew before it.
    pub restarted: Option<Timestamp>,
    /// Why the samples of the last page could not be used; `None` when they could.
    pub refusal: Option<String>,
    /// The round that saw the series first.
    first_round: u64,
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
    /// The store of a target; when it is not there yet it is made for a target that joined at `joined`
    /// (see [`TargetStore::joined`]).
    pub fn open(&self, id: &TargetId, joined: Option<Timestamp>) -> Arc<Mutex<TargetStore>> {
        if let Some(store) = self.get(id) {
            return store;
        }
        let mut targets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(TargetStore { joined, ..TargetStore::default() }));
        targets.entry(id.clone()).or_insert_with(new).clone()
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

    /// Whether the last page was searched for a name.
    pub fn looked_for(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// The last page that had series of a name, since the name is wanted.
    pub fn last_seen(&self, name: &str) -> Option<Timestamp> {
        self.names.get(name)?.last_seen
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
        wanted: &Arc<Wanted>,
        bounds: Bounds,
        decode: Decode,
    ) -> Result<Vec<IssueKind>, Failure> {
        let fresh = self.decode_new(points, bounds, decode)?;
        self.wanted = wanted.clone();
        self.round += 1;
        let known = self.series.len();
        let mut issues = Vec::new();
        for point in points {
            let position = match self.by_text.get(point.series) {
                Some(position) => *position,
                None => self.insert(point, &fresh[point.series]),
            };
            issues.extend(self.append(position, point, scrape));
        }
        self.link_starts(self.series.len() > known);
        self.end_absent(scrape.time);
        self.imply_zeros(scrape.time);
        self.remember_names(scrape.time);
        self.state.succeed(scrape, self.series.len());
        Ok(issues)
    }

    /// Records a failed scrape. The series keep what they have and grow old.
    pub fn fail(&mut self, failure: Failure, time: Timestamp, duration: Duration) {
        self.state.fail(failure, time, duration);
    }

    /// Labels of the texts not seen before.
    fn decode_new<'p>(
        &self,
        points: &[Point<'p>],
        bounds: Bounds,
        decode: Decode,
    ) -> Result<FxHashMap<&'p str, Labels>, Failure> {
        if points.len() > bounds.series {
            let message =
                format!("the page has more wanted series than the limit series_per_target, {}", bounds.series);
            return Err(Failure::new(FailureReason::SeriesLimit, message));
        }
        let mut fresh = FxHashMap::default();
        for point in points.iter().filter(|point| !self.by_text.contains_key(point.series)) {
            if !fresh.contains_key(point.series) {
                let labels = decode(point.series).map_err(|error| Failure::new(FailureReason::Exposition, error))?;
                check_bounds(point, &labels, bounds)?;
                fresh.insert(point.series, labels);
            }
        }
        Ok(fresh)
    }

    /// Finds the series by its labels, or adds it; from now on its text leads to it.
    fn insert(&mut self, point: &Point<'_>, labels: &Labels) -> usize {
        let name: Arc<str> = match self.by_name.get_key_value(point.name) {
            Some((name, _)) => name.clone(),
            None => point.name.into(),
        };
        let position = *self.by_labels.entry((name.clone(), labels.clone())).or_insert_with(|| {
            self.by_name.entry(name.clone()).or_default().push(self.series.len());
            self.series.push(Series::new(name, labels.clone(), self.round));
            self.series.len() - 1
        });
        // A text blown up with blanks is not worth remembering; it is decoded each time.
        let decoded: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        if point.series.len() <= 64 + 2 * (point.name.len() + decoded) {
            self.by_text.insert(point.series.into(), position);
        }
        position
    }

    fn append(&mut self, position: usize, point: &Point<'_>, scrape: Scrape) -> Option<IssueKind> {
        let series = &mut self.series[position];
        let again = series.round == self.round;
        if !again {
            series.round = self.round;
            series.refusal = None;
        }
        let sample = Sample { timestamp: point.timestamp.unwrap_or(scrape.time), value: point.value };
        let (kind, what) = series.take(sample, again, scrape, &self.wanted)?;
        self.state.note(kind, scrape.time, what);
        Some(kind)
    }

    /// Ends the series that this round did not see, and those that ended themselves.
    fn end_absent(&mut self, now: Timestamp) {
        let round = self.round;
        let lives = |series: &Series| series.round == round && (!series.samples.is_empty() || series.refusal.is_some());
        if !self.series.iter().all(lives) {
            let mut moved = Vec::with_capacity(self.series.len());
            let mut kept = 0;
            for series in &self.series {
                moved.push(lives(series).then_some(kept));
                kept += usize::from(lives(series));
                if !lives(series) {
                    self.names.entry(series.name.clone()).or_default().last_end = Some(now);
                }
            }
            self.series.retain(lives);
            self.by_text.retain(|_, position| keep(&moved, position));
            self.by_labels.retain(|_, position| keep(&moved, position));
            self.by_name.clear();
            for (position, series) in self.series.iter().enumerate() {
                self.by_name.entry(series.name.clone()).or_default().push(position);
            }
        }
        // Texts that change with every page while the series stays the same.
        if self.by_text.len() > 2 * self.series.len() + 64 {
            self.by_text = FxHashMap::default();
        }
    }

    /// Gives counters the start times that their `_created` series tell, and notes restarts.
    fn link_starts(&mut self, has_new_series: bool) {
        let mut starts: FxHashMap<(Arc<str>, Labels), Timestamp> = FxHashMap::default();
        for (name, positions) in &self.by_name {
            for of in self.wanted.created_of(name) {
                for series in positions.iter().map(|position| &self.series[*position]) {
                    if let Some(sample) = series.newest().filter(|sample| sample.value.is_finite()) {
                        let start = Timestamp((sample.value * 1000.0) as i64);
                        starts.insert((of.clone(), series.labels.clone()), start);
                    }
                }
            }
        }
        if starts == self.starts && !has_new_series {
            return;
        }
        for series in &mut self.series {
            let labels = Labels::new(series.labels.iter().filter(|(name, _)| *name != "le"));
            let start = starts.get(&(series.name.clone(), labels)).copied();
            if series.start.is_some() && start > series.start {
                series.restarted = series.newest().map(|newest| newest.timestamp);
            }
            series.start = start;
        }
        self.starts = starts;
    }

    /// A counter that is new in a page whose name was there before began after the page before, and it
    /// began at zero: the first error of a service is an increase of one, not of nothing. Where series of
    /// the name came and went within the window it may be one that comes back, so nothing is implied.
    fn imply_zeros(&mut self, now: Timestamp) {
        let (Some(before), round) = (self.state.last_success, self.round) else { return };
        for series in &mut self.series {
            let window = self.wanted.window(&series.name);
            let name = self.names.get(&series.name).copied().unwrap_or_default();
            let steady = name.round + 1 == round && name.last_end.is_none_or(|end| end < now.minus(window));
            let [only] = series.samples.make_contiguous() else { continue };
            let scraped_now = only.timestamp == now && series.first_round == round;
            if !window.is_zero() && steady && scraped_now && before < now {
                series.samples.push_front(Sample { timestamp: before, value: 0.0 });
            }
        }
    }

    fn remember_names(&mut self, now: Timestamp) {
        self.names.retain(|name, _| self.wanted.contains(name));
        for name in self.by_name.keys() {
            let history = self.names.entry(name.clone()).or_default();
            history.last_seen = Some(now);
            history.round = self.round;
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
    fn new(name: Arc<str>, labels: Labels, round: u64) -> Self {
        Self {
            name,
            labels,
            samples: VecDeque::with_capacity(2),
            start: None,
            restarted: None,
            refusal: None,
            first_round: round,
            round: 0,
        }
    }

    pub fn newest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// Takes one sample of a page, or says why not. `again` when the page had the series before.
    fn take(&mut self, sample: Sample, again: bool, scrape: Scrape, wanted: &Wanted) -> Option<(IssueKind, String)> {
        if is_stale_marker(sample.value) {
            self.samples.clear();
            return None;
        }
        if again && self.refusal.is_some() {
            return None;
        }
        let horizon = scrape.time.plus(CLOCK_SKEW_MAX);
        if sample.timestamp > horizon {
            let ahead = sample.timestamp.seconds_since(scrape.time);
            let what = format!("{} has the timestamp {}, {ahead:.0} s in the future", self.text(), sample.timestamp);
            self.refusal = Some(what.clone());
            return Some((IssueKind::TimestampInFuture, what));
        }
        // Our own clock was set back: what it stamped before is of no use now.
        if self.newest().is_some_and(|newest| newest.timestamp > horizon) {
            self.samples.clear();
        }
        let Some(newest) = self.newest() else {
            self.samples.push_back(sample);
            return self.odd_value(sample).or_else(|| self.age_issue(sample, scrape));
        };
        if sample.timestamp == newest.timestamp {
            return self.take_same_time(sample, newest, again);
        }
        if sample.timestamp < newest.timestamp {
            let what =
                format!("{} has a sample of {} after one of {}", self.text(), sample.timestamp, newest.timestamp);
            return Some((IssueKind::OutOfOrder, what));
        }
        self.push(sample, wanted.window(&self.name));
        if wanted.is_counter(&self.name) && sample.value < newest.value {
            let what = format!("{} went down from {} to {}", self.text(), newest.value, sample.value);
            return Some((IssueKind::CounterReset, what));
        }
        self.odd_value(sample).or_else(|| self.age_issue(sample, scrape))
    }

    /// The same time twice: harmless with the same value; otherwise nobody can tell which is right, and
    /// neither is kept.
    fn take_same_time(&mut self, sample: Sample, newest: Sample, again: bool) -> Option<(IssueKind, String)> {
        let (series, first, second) = (self.text(), newest.value, sample.value);
        if first.to_bits() == second.to_bits() {
            let what = || (IssueKind::DuplicateSeries, format!("{series} is twice in the page, both times {first}"));
            return again.then(what);
        }
        if again {
            self.samples.pop_back();
            let what = format!("{series} is twice in the page, with the values {first} and {second}");
            self.refusal = Some(what.clone());
            return Some((IssueKind::DuplicateSeries, what));
        }
        let what = format!("{series} changed from {first} to {second} under the same timestamp {}", sample.timestamp);
        Some((IssueKind::OutOfOrder, what))
    }

    fn push(&mut self, sample: Sample, window: Duration) {
        self.samples.push_back(sample);
        let start = sample.timestamp.minus(window);
        while self.samples.len() > SAMPLES_MAX || self.samples.get(1).is_some_and(|second| second.timestamp <= start) {
            self.samples.pop_front();
        }
    }

    fn odd_value(&self, sample: Sample) -> Option<(IssueKind, String)> {
        let odd = !sample.value.is_finite();
        odd.then(|| (IssueKind::NotFinite, format!("{} is {}", self.text(), sample.value)))
    }

    fn age_issue(&self, sample: Sample, scrape: Scrape) -> Option<(IssueKind, String)> {
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
impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, self.labels)
    }
}

#[cfg(test)]
pub(crate) mod notation;
#[cfg(test)]
mod tests;
