//! The series of one target that hold one kind of value.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Labels, Timestamp};
use crate::storage::series::Oddity;
use crate::storage::{Point, Sample, SampleValue, Scrape, Series, Wanted};

/// Series with the ways to find them.
pub(super) struct Table<V> {
    series: Vec<Series<V>>,
    /// Position in `series` by the text of the series as the page writes it.
    by_text: FxHashMap<Box<str>, usize>,
    /// Position in `series` by name and labels.
    by_labels: FxHashMap<(Arc<str>, Labels), usize>,
    /// Positions in `series` by name.
    by_name: FxHashMap<Arc<str>, Vec<usize>>,
}

/// One page on its way into a table.
#[derive(Clone, Copy)]
pub(super) struct Intake<'a> {
    /// Number of the page among those of the target.
    pub round: u64,
    pub scrape: Scrape,
    pub wanted: &'a Wanted,
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
        Self {
            series: Vec::new(),
            by_text: FxHashMap::default(),
            by_labels: FxHashMap::default(),
            by_name: FxHashMap::default(),
        }
    }
}

// === impl Table ===

impl<V: SampleValue> Table<V> {
    /// The series of a name in no particular order, ended ones among them.
    pub(super) fn series<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Series<V>> + 'a {
        self.by_name.get(name).into_iter().flatten().map(|position| &self.series[*position])
    }

    /// The series that the last page had.
    pub(super) fn live(&self) -> impl Iterator<Item = &Series<V>> {
        self.series.iter().filter(|series| series.is_live())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Series<V>> {
        self.series.iter_mut()
    }

    /// The names of the series.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_name.keys()
    }

    /// Number of series, ended ones among them.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn knows(&self, text: &str) -> bool {
        self.by_text.contains_key(text)
    }

    /// Adds the samples of a page. `labels` has those of the texts that are not known.
    pub(super) fn take(
        &mut self,
        points: Vec<Point<'_, V>>,
        labels: &FxHashMap<&str, Labels>,
        intake: Intake<'_>,
        oddities: &mut Vec<Oddity>,
    ) {
        for point in points {
            let position = match self.by_text.get(point.series) {
                Some(position) => *position,
                None => self.insert(&point, &labels[point.series]),
            };
            let series = &mut self.series[position];
            let timestamp = point.timestamp.unwrap_or(intake.scrape.time);
            let (sample, want) = (Sample { timestamp, value: point.value }, intake.wanted.of(&series.name));
            oddities.extend(series.take(sample, intake.round, intake.scrape, want));
        }
    }

    /// Finds the series by its labels, or adds it; from now on its text leads to it.
    fn insert(&mut self, point: &Point<'_, V>, labels: &Labels) -> usize {
        let name: Arc<str> = match self.by_name.get_key_value(point.name) {
            Some((name, _)) => name.clone(),
            None => point.name.into(),
        };
        let position = *self.by_labels.entry((name.clone(), labels.clone())).or_insert_with(|| {
            self.by_name.entry(name.clone()).or_default().push(self.series.len());
            self.series.push(Series::new(name, labels.clone()));
            self.series.len() - 1
        });
        // A text blown up with blanks is not worth remembering; it is decoded each time.
        let decoded: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        if point.series.len() <= 64 + 2 * (point.name.len() + decoded) {
            self.by_text.insert(point.series.into(), position);
        }
        position
    }

    /// Ends the series that this round did not see, and drops those that no window needs. `hear` gets the name of each
    /// series that ended or was dropped too early.
    pub(super) fn end_absent(&mut self, intake: Intake<'_>, mut hear: impl FnMut(&Arc<str>, Ending)) {
        let Intake { round, scrape, wanted, .. } = intake;
        for series in self.series.iter_mut().filter(|series| series.round != round && series.is_live()) {
            series.end(wanted.of(&series.name));
            hear(&series.name, Ending::Ended);
        }
        let by_marker = |series: &&Series<V>| series.round == round && !series.is_live();
        self.series.iter().filter(by_marker).for_each(|series| hear(&series.name, Ending::Ended));
        if self.series.iter().any(|series| !series.is_live()) {
            self.drop_ended(|series| series.is_forgotten(scrape.time, wanted.of(&series.name)));
        }
        if self.series.iter().filter(|series| !series.is_live()).count() > intake.ended_max {
            let ended = self.series.iter().filter(|series| !series.is_live());
            ended.for_each(|series| hear(&series.name, Ending::Dropped));
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
        let mut moved = Vec::with_capacity(self.series.len());
        let mut kept = 0;
        for series in &self.series {
            moved.push(stays(series).then_some(kept));
            kept += usize::from(stays(series));
        }
        self.series.retain(stays);
        self.by_text.retain(|_, position| keep(&moved, position));
        self.by_labels.retain(|_, position| keep(&moved, position));
        self.by_name.clear();
        for (position, series) in self.series.iter().enumerate() {
            self.by_name.entry(series.name.clone()).or_default().push(position);
        }
    }

    /// Notes that counters which are new in this page were zero in the page before, at `before`.
    pub(super) fn imply_zeros(&mut self, before: Timestamp, intake: Intake<'_>, steady: impl Fn(&Series<V>) -> bool) {
        let Intake { round, scrape: Scrape { time, .. }, .. } = intake;
        for series in self.series.iter_mut().filter(|series| series.first_round == round) {
            let scraped_now = series.samples().len() == 1 && series.newest().is_some_and(|only| only.timestamp == time);
            if scraped_now && before < time && steady(series) {
                series.implied_zero = Some(before);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_text.keys().map(|text| &**text)
    }
}

fn keep(moved: &[Option<usize>], position: &mut usize) -> bool {
    moved[*position].is_some_and(|new| {
        *position = new;
        true
    })
}
