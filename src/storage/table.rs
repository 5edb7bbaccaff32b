//! The series of one target that hold one kind of value.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Timestamp};
use crate::storage::key::ByText;
use crate::storage::series::Oddity;
use crate::storage::{Point, Sample, SampleValue, Scrape, Series, SeriesKey, Want, Wanted};

/// Series with the ways to find them. Positions are `u32`: a page has fewer bytes.
pub(super) struct Table<V> {
    series: Vec<Series<V>>,
    /// Position in `series` by the text of the series as the page writes it.
    by_text: FxHashMap<ByText, u32>,
    /// Positions in `series` by name.
    by_name: FxHashMap<Arc<str>, Vec<u32>>,
}

/// One page on its way into a table.
#[derive(Clone, Copy)]
pub(super) struct Intake<'a> {
    /// Number of the page among those of the target.
    pub round: u64,
    pub scrape: Scrape,
    pub wanted: &'a Wanted,
    /// Names of series that may fall: of gauge histograms.
    pub gauges: &'a [Cow<'a, str>],
    /// Series that a table keeps of ended ones at most.
    pub ended_max: usize,
}

/// What happened to a series that a page does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Ended,
    /// Its samples were still in the window, but there were too many of its kind.
    Dropped,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { series: Vec::new(), by_text: FxHashMap::default(), by_name: FxHashMap::default() }
    }
}

// === impl Intake ===

impl Intake<'_> {
    /// What is kept of a name; of a gauge, the newest sample.
    pub(super) fn want(&self, name: &str) -> Want {
        if self.gauges.iter().any(|gauge| gauge == name) { Want::default() } else { self.wanted.of(name) }
    }
}

// === impl Table ===

impl<V: SampleValue> Table<V> {
    /// The series of a name in no particular order, ended ones among them.
    pub(super) fn series<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series<V>> + 'a {
        self.by_name.get(name).into_iter().flatten().map(|position| &self.series[*position as usize])
    }

    /// The series that the last page had.
    pub(super) fn live(&self) -> impl Iterator<Item = &Series<V>> {
        self.series.iter().filter(|series| series.is_live())
    }

    /// Sets the start of each counter as the page tells it, and notes restarts.
    pub(super) fn set_starts(&mut self, starts: &FxHashMap<(Arc<str>, Labels), Timestamp>, round: u64) {
        for series in &mut self.series {
            let labels = Labels::new(series.labels().iter().filter(|(name, _)| *name != "le"));
            let start = starts.get(&(series.name().clone(), labels)).copied();
            series.tell_start(start, round);
        }
    }

    /// The names that the last page had series of.
    pub(super) fn live_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let is_live = |position: &u32| self.series[*position as usize].is_live();
        self.by_name.iter().filter(move |(_, positions)| positions.iter().any(is_live)).map(|(name, _)| name)
    }

    /// Number of series, ended ones among them.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn knows(&self, text: &str) -> bool {
        self.by_text.contains_key(text)
    }

    /// Adds the samples of a page. `new` has the keys of the texts that are not known.
    pub(super) fn take(
        &mut self,
        points: Vec<Point<'_, V>>,
        new: &FxHashMap<&str, Arc<SeriesKey>>,
        intake: Intake<'_>,
        oddities: &mut Vec<Oddity>,
    ) {
        if !new.is_empty() {
            self.insert(points.iter().filter_map(|point| new.get(point.series)));
        }
        for point in points {
            let position = match self.by_text.get(point.series) {
                Some(position) => *position as usize,
                None => self.find(&new[point.series]),
            };
            let series = &mut self.series[position];
            let timestamp = point.timestamp.unwrap_or(intake.scrape.time);
            let (sample, want) = (Sample { timestamp, value: point.value }, intake.want(series.name()));
            oddities.extend(series.take(sample, intake.round, intake.scrape, want));
        }
    }

    /// Makes the new texts lead to the series of their labels, which are added where there are none.
    fn insert<'k>(&mut self, new: impl Iterator<Item = &'k Arc<SeriesKey>>) {
        let place = |(at, series): (usize, &Series<V>)| ((series.name().clone(), series.labels().clone()), at as u32);
        let mut by_labels: FxHashMap<(Arc<str>, Labels), u32> = self.series.iter().enumerate().map(place).collect();
        for key in new {
            let position = *by_labels.entry((key.name.clone(), key.labels.clone())).or_insert_with(|| {
                let position = self.series.len() as u32;
                self.by_name.entry(key.name.clone()).or_default().push(position);
                self.series.push(Series::new(key.clone()));
                position
            });
            // Any other text is decoded each time.
            if key.is_compact() {
                self.by_text.insert(ByText(key.clone()), position);
            }
        }
    }

    /// The position of a series that is there, by its labels.
    fn find(&self, key: &SeriesKey) -> usize {
        let mut positions = self.by_name[&key.name].iter().map(|position| *position as usize);
        positions.find(|position| *self.series[*position].labels() == key.labels).expect("inserted before")
    }

    /// Ends the series that this round did not see, and drops those that no window needs. `hear` gets the name of each
    /// series that ended or was dropped too early.
    pub(super) fn end_absent(&mut self, intake: Intake<'_>, mut hear: impl FnMut(&Arc<str>, Ending)) {
        let Intake { round, scrape, .. } = intake;
        for series in self.series.iter_mut().filter(|series| series.round != round && series.is_live()) {
            series.end(intake.want(series.name()));
            hear(series.name(), Ending::Ended);
        }
        let by_marker = |series: &&Series<V>| series.round == round && !series.is_live();
        self.series.iter().filter(by_marker).for_each(|series| hear(series.name(), Ending::Ended));
        if self.series.iter().any(|series| !series.is_live()) {
            self.drop_ended(|series| series.is_forgotten(scrape.time, intake.want(series.name())));
        }
        if self.series.iter().filter(|series| !series.is_live()).count() > intake.ended_max {
            let ended = self.series.iter().filter(|series| !series.is_live());
            ended.for_each(|series| hear(series.name(), Ending::Dropped));
            self.drop_ended(|_| true);
        }
        // Texts that change with every page while the series stays the same.
        if self.by_text.len() > 2 * self.series.len() + 64 {
            self.by_text = FxHashMap::default();
        }
    }

    fn drop_ended(&mut self, drops: impl Fn(&Series<V>) -> bool) {
        let stays = |series: &Series<V>| series.is_live() || !drops(series);
        if !self.series.iter().all(stays) {
            self.retain(stays);
        }
    }

    fn retain(&mut self, stays: impl Fn(&Series<V>) -> bool) {
        let mut kept = 0;
        let place = |series: &Series<V>| {
            stays(series).then(|| {
                kept += 1;
                kept - 1
            })
        };
        let moved: Vec<Option<u32>> = self.series.iter().map(place).collect();
        self.series.retain(stays);
        self.by_text.retain(|_, position| {
            let new = moved[*position as usize];
            *position = new.unwrap_or_default();
            new.is_some()
        });
        self.by_name.clear();
        for (position, series) in self.series.iter().enumerate() {
            self.by_name.entry(series.name().clone()).or_default().push(position as u32);
        }
    }

    /// Notes that counters which are new in this page were zero in the page before, at `before`.
    pub(super) fn imply_zeros(&mut self, before: Timestamp, intake: Intake<'_>, steady: impl Fn(&str) -> bool) {
        let Intake { round, scrape: Scrape { time, .. }, .. } = intake;
        for series in self.series.iter_mut().filter(|series| series.first_round == round) {
            let scraped_now = series.samples().len() == 1 && series.newest().is_some_and(|only| only.timestamp == time);
            if scraped_now && before < time && steady(series.name()) {
                series.implied_zero = Some(before);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_text.keys().map(|key| &*key.0.text)
    }
}
