//! Bounded windows of samples for the wanted series of each target, and the state of each target.
//!
//! A scrape comes in as [`Point`]s or as a [`Failure`]; readers borrow a [`TargetStore`]. There is one
//! lock per target, held for microseconds, so no target waits for another but for a look at the names
//! that are shared. Nothing here reads a clock, decodes text (the decoder is an argument) or judges
//! freshness.

mod key;
mod metrics;
mod series;
mod state;
mod table;
mod wanted;

pub use key::SeriesKey;
pub use series::{CLOCK_SKEW_MAX, SAMPLES_MAX, Sample, SampleValue, Series};
pub use state::{Failure, FailureReason, Health, Issue, IssueKind, TargetState};
pub use wanted::{Want, Wanted};

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::{Labels, NativeHistogram, TargetId, Timestamp};
use key::Keys;
use table::{Ending, Intake, Table};

/// All targets. Clones share the same content.
#[derive(Clone, Default)]
pub struct Storage {
    targets: Arc<RwLock<FxHashMap<TargetId, Arc<Mutex<TargetStore>>>>>,
    keys: Arc<Keys>,
}

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
    /// Names of series in gauge histograms, as the last page told them.
    gauges: Vec<Box<str>>,
    floats: Table<f64>,
    histograms: Table<NativeHistogram>,
    keys: Arc<Keys>,
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
    /// When samples of ended series were dropped that windows still reached, for there were too many.
    last_drop: Option<Timestamp>,
}

/// What a page says that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Points<'p> {
    pub floats: Vec<Point<'p>>,
    pub histograms: Vec<Point<'p, NativeHistogram>>,
    /// Names of series in gauge histograms: their values may fall, and the newest counts.
    pub gauges: Vec<Cow<'p, str>>,
}

/// One wanted line of a page.
#[derive(Clone, Copy, Debug)]
pub struct Point<'p, V = f64> {
    pub name: &'p str,
    /// Name and labels as written: the same text is the same series.
    pub series: &'p str,
    pub value: V,
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

// === impl Storage ===

impl Storage {
    /// The store of a target; when it is not there yet it is made for a target that joined at `joined`
    /// (see [`TargetStore::joined`]).
    pub fn open(&self, id: &TargetId, joined: Option<Timestamp>) -> Arc<Mutex<TargetStore>> {
        if let Some(store) = self.get(id) {
            return store;
        }
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(TargetStore { joined, keys: self.keys.clone(), ..TargetStore::default() }));
        targets.entry(id.clone()).or_insert_with(new).clone()
    }

    /// Lets `read` look at a target; `None` when the target is not known.
    pub fn read<R>(&self, id: &TargetId, read: impl FnOnce(&TargetStore) -> R) -> Option<R> {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(id).map(|store| read(&lock(store)))
    }

    /// Forgets the targets that are not to be kept, with their series.
    pub fn retain(&self, keep: impl Fn(&TargetId) -> bool) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
    }

    /// Number of targets and of series, for the own metrics.
    pub fn size(&self) -> (usize, usize) {
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        (targets.len(), targets.values().map(|store| lock(store).state.series).sum())
    }

    fn get(&self, id: &TargetId) -> Option<Arc<Mutex<TargetStore>>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// A panic while the lock was held leaves whole samples behind, so the content stays usable.
pub fn lock(store: &Mutex<TargetStore>) -> MutexGuard<'_, TargetStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl TargetStore ===

impl TargetStore {
    /// The series of a name that the last page had, in no particular order.
    pub fn series<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series> + 'a {
        self.floats.series(name).filter(|series| series.is_live())
    }

    /// The series of a name that have samples, in no particular order; ended ones where [`Want::former_lives`].
    pub fn all_series<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series> + 'a {
        self.floats.series(name)
    }

    /// The native histograms of a base name that the last page had, in no particular order.
    pub fn histograms<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series<NativeHistogram>> + 'a {
        self.histograms.series(name).filter(|series| series.is_live())
    }

    /// Whether the last page says of a name that its values may fall although it is a part of a histogram.
    pub fn is_gauge(&self, name: &str) -> bool {
        self.gauges.iter().any(|gauge| **gauge == *name)
    }

    /// Whether the last page was searched for a name.
    pub fn looked_for(&self, name: &str) -> bool {
        self.wanted.contains(name)
    }

    /// The last page that had series of a name, since the name is wanted.
    pub fn last_seen(&self, name: &str) -> Option<Timestamp> {
        self.names.get(name)?.last_seen
    }

    /// When samples of ended series of a name were dropped last although windows still reached them.
    pub fn last_drop(&self, name: &str) -> Option<Timestamp> {
        self.names.get(name)?.last_drop
    }

    /// Takes in a page whole, or refuses it whole and leaves the series as they were. Returns the
    /// oddities seen, which are also in the state.
    ///
    /// # Errors
    /// A [`Failure`] when a bound is passed or a series cannot be decoded. The caller records it.
    pub fn commit(
        &mut self,
        points: Points<'_>,
        scrape: Scrape,
        wanted: &Arc<Wanted>,
        bounds: Bounds,
        decode: Decode,
    ) -> Result<Vec<IssueKind>, Failure> {
        let Points { floats, histograms, gauges } = points;
        let buckets = |point: &Point<'_, NativeHistogram>| 1 + point.value.positive.len() + point.value.negative.len();
        check_number(floats.len() + histograms.iter().map(buckets).sum::<usize>(), bounds)?;
        let new_floats = new_keys(&floats, &self.floats, &self.keys, bounds, decode)?;
        let new_histograms = new_keys(&histograms, &self.histograms, &self.keys, bounds, decode)?;
        self.wanted = wanted.clone();
        self.round += 1;
        let intake = Intake { round: self.round, scrape, wanted, gauges: &gauges, ended_max: bounds.series };
        let (mut oddities, known) = (Vec::new(), self.len());
        self.floats.take(floats, &new_floats, intake, &mut oddities);
        self.histograms.take(histograms, &new_histograms, intake, &mut oddities);
        self.link_starts(self.len() > known);
        self.end_absent(intake);
        self.imply_zeros(intake);
        self.remember_names(scrape.time);
        self.state.succeed(scrape, self.floats.live().count() + self.histograms.live().count());
        oddities.iter().for_each(|(kind, what)| self.state.note(*kind, scrape.time, what));
        self.gauges = gauges.iter().map(|name| (&**name).into()).collect();
        Ok(oddities.into_iter().map(|(kind, _)| kind).collect())
    }

    /// Series of either kind, ended ones among them.
    fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Records a failed scrape. The series keep what they have and grow old.
    pub fn fail(&mut self, failure: Failure, time: Timestamp, duration: Duration) {
        self.state.fail(failure, time, duration);
    }

    fn end_absent(&mut self, intake: Intake<'_>) {
        let names = &mut self.names;
        let mut hear = |name: &Arc<str>, ending| {
            let history = names.entry(name.clone()).or_default();
            match ending {
                Ending::Ended => history.last_end = Some(intake.scrape.time),
                Ending::Dropped => history.last_drop = Some(intake.scrape.time),
            }
        };
        self.floats.end_absent(intake, &mut hear);
        self.histograms.end_absent(intake, &mut hear);
    }

    /// Gives counters the start times that their `_created` series tell, and notes restarts.
    fn link_starts(&mut self, has_new_series: bool) {
        let mut starts: FxHashMap<(Arc<str>, Labels), Timestamp> = FxHashMap::default();
        for name in self.floats.live_names() {
            for of in self.wanted.created_of(name) {
                for series in self.series(name) {
                    if let Some(sample) = series.newest().filter(|sample| sample.value.is_finite()) {
                        let start = Timestamp((sample.value * 1000.0) as i64);
                        starts.insert((of.clone(), series.labels().clone()), start);
                    }
                }
            }
        }
        if starts == self.starts && !has_new_series {
            return;
        }
        self.floats.set_starts(&starts, self.round);
        self.histograms.set_starts(&starts, self.round);
        self.starts = starts;
    }

    /// A counter that is new in a page whose name was there before began after the page before, and it
    /// began at zero: the first error of a service is an increase of one, not of nothing. Where series of
    /// the name came and went within the window it may be one that comes back, so nothing is implied.
    fn imply_zeros(&mut self, intake: Intake<'_>) {
        let Some(before) = self.state.last_success else { return };
        let (now, round, names, wanted) = (intake.scrape.time, self.round, &self.names, &self.wanted);
        let is_steady = |name: &str| {
            let history = names.get(name).copied().unwrap_or_default();
            let ended_within = |window| history.last_end.is_some_and(|end| end >= now.minus(window));
            wanted.of(name).window.is_some_and(|window| history.round + 1 == round && !ended_within(window))
        };
        self.floats.imply_zeros(before, intake, is_steady);
        self.histograms.imply_zeros(before, intake, is_steady);
    }

    fn remember_names(&mut self, now: Timestamp) {
        self.names.retain(|name, _| self.wanted.contains(name));
        for name in self.floats.live_names().chain(self.histograms.live_names()) {
            let history = self.names.entry(name.clone()).or_default();
            history.last_seen = Some(now);
            history.round = self.round;
        }
    }
}

fn check_number(points: usize, bounds: Bounds) -> Result<(), Failure> {
    if points <= bounds.series {
        return Ok(());
    }
    let message = format!("the page has more wanted series than the limit series_per_target, {}", bounds.series);
    Err(Failure::new(FailureReason::SeriesLimit, message))
}

/// Keys of the texts that the table does not know.
fn new_keys<'p, V: SampleValue>(
    points: &[Point<'p, V>],
    table: &Table<V>,
    keys: &Keys,
    bounds: Bounds,
    decode: Decode,
) -> Result<FxHashMap<&'p str, Arc<SeriesKey>>, Failure> {
    let mut new = FxHashMap::default();
    for Point { name, series, .. } in points.iter().filter(|point| !table.knows(point.series)) {
        if !new.contains_key(series) {
            let key = match keys.get(series) {
                Some(key) => key,
                None => {
                    let labels = decode(series).map_err(|error| Failure::new(FailureReason::Exposition, error))?;
                    Arc::new(SeriesKey { text: (*series).into(), name: (*name).into(), labels })
                }
            };
            check_bounds(name, &key.labels, bounds)?;
            keys.add(&key);
            new.insert(*series, key);
        }
    }
    Ok(new)
}

fn check_bounds(name: &str, labels: &Labels, bounds: Bounds) -> Result<(), Failure> {
    if labels.len() > bounds.labels_per_series {
        return Err(Failure::new(
            FailureReason::LabelLimit,
            format!(
                "a series of {name} has {} labels, the limit labels_per_series is {}",
                labels.len(),
                bounds.labels_per_series
            ),
        ));
    }
    for (label, value) in labels.iter() {
        let length = label.len().max(value.len());
        if length > bounds.label_length {
            return Err(Failure::new(
                FailureReason::LabelLimit,
                format!("a label of {name} is {length} bytes long, the limit label_length is {}", bounds.label_length),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod notation;
#[cfg(test)]
mod tests;
