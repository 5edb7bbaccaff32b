//! What each target of an object contributes to a value, or why it contributes nothing.
//!
//! The question behind every case is whether the sum of the others is still the whole. A target counts as
//! missing unless it is shown not to take part: it is new and carries no load yet, or its pages do not
//! have the metric.

use std::collections::BTreeSet;
use std::fmt;

use rustc_hash::FxHashSet;

use crate::aggregate::{self, Absence, Groups, Partial};
use crate::config::{Definition, Level};
use crate::model::selector::Selector;
use crate::model::{Labels, Object, OwnerReference, Target, Timestamp, redacted};
use crate::provider::error::{REASONS_MAX, Reasons};
use crate::provider::{Cause, Coverage, View};
use crate::storage::{Failure, Health, TargetStore};

/// What the targets of one object contribute to the groups that a selector chooses. Data is merged as it is read, so
/// that the groups of one target at a time are in memory.
pub(super) struct Contributions<'a> {
    selector: &'a Selector,
    /// By group, or all of them under no labels.
    merged: Groups<Merged>,
    /// The first chosen group, and whether there are others.
    first: Option<Labels>,
    several: bool,
    /// Targets with data, chosen or not.
    with_data: Vec<&'a Target>,
    without: Vec<(&'a Target, Outcome)>,
    /// Targets of the object that are not scraped, because there are more than the limit.
    over_limit: usize,
}

/// What the targets with data amount to.
struct Merged {
    partial: Partial,
    targets: usize,
}

/// What contributions lack for a number. An object of many may lack data unseen, so it is put into words only on demand.
pub(super) enum Lack {
    /// No target has data that is chosen.
    Data,
    /// There is data, and none of it is chosen.
    Group,
    Coverage(Coverage),
    Value(Absence),
}

/// What a target without data stands for.
enum Outcome {
    /// Should have data, and has none: counts against coverage. The groups are those it had last; none
    /// when that is not known.
    Missing { reason: Reason, groups: BTreeSet<Labels> },
    /// New in a fleet that was known before: a pod that just starts carries no load yet.
    Pending(Reason),
    /// Its pages do not have the metric: no part of it.
    NotExposed(Reason),
    /// It never answered, so nobody knows what it exposes.
    Unclear(Reason),
}

/// Why a target contributes nothing.
enum Reason {
    NotScraped,
    NotScrapedSinceDefined,
    Down { failure: Failure, last_success: Option<Timestamp> },
    Lost { absence: Absence, seen: Timestamp },
    Absent(Absence),
}

/// What targets with a metric have in common with others that are likely to have it too: the same workload, or, for
/// bare targets, the same job.
struct Likeness<'a> {
    owners: FxHashSet<&'a OwnerReference>,
    jobs: FxHashSet<&'a str>,
}

// === impl Contributions ===

impl<'a> Contributions<'a> {
    /// Reads all targets of an object. Groups are kept `apart`, or make up one number.
    pub(super) fn collect(
        view: &View<'a>,
        object: &'a Object,
        definition: &Definition,
        level: Level,
        selector: &'a Selector,
        apart: bool,
    ) -> Self {
        let mut contributions = Self::none(selector, object.targets_over_limit());
        for target in view.inventory.members(object) {
            let read = view.storage.read(&target.id, |store| evaluate(store, definition, target, view.now));
            match read.unwrap_or(Err(Outcome::Pending(Reason::NotScraped))) {
                Ok(groups) => contributions.add(target, groups, apart),
                Err(outcome) => contributions.without.push((target, outcome)),
            }
        }
        contributions.clear_up(level);
        contributions
    }

    fn none(selector: &'a Selector, over_limit: usize) -> Self {
        let (with_data, without) = (Vec::new(), Vec::new());
        Self { selector, merged: Groups::default(), first: None, several: false, with_data, without, over_limit }
    }

    fn add(&mut self, target: &'a Target, mut groups: Groups<Partial>, apart: bool) {
        self.with_data.push(target);
        if !self.selector.is_empty() {
            groups.retain(|labels| is_chosen(self.selector, labels));
        }
        for labels in groups.keys() {
            self.several |= self.first.get_or_insert_with(|| labels.clone()) != labels;
        }
        if apart {
            groups.into_iter().for_each(|(labels, partial)| self.merge(labels, partial));
        } else if let Some(partial) = groups.into_values().reduce(joined) {
            self.merge(Labels::default(), partial);
        }
    }

    fn merge(&mut self, labels: Labels, partial: Partial) {
        self.merged.add(labels, Merged { partial, targets: 1 }, |merged, one| {
            merged.partial.merge(one.partial);
            merged.targets += one.targets;
        });
    }

    /// Of a target that never answered nobody knows what it exposes. Its pod, owners and Services are
    /// asked for this metric, so there it is missing. In a whole namespace it is missing where another
    /// target of its kind has the metric.
    fn clear_up(&mut self, level: Level) {
        if !self.without.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unclear(_))) {
            return;
        }
        let wide = matches!(level, Level::Namespaces | Level::Nodes | Level::External);
        let missing = self.without.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Missing { .. }));
        let likeness = Likeness::of(missing.map(|(target, _)| *target).chain(self.with_data.iter().copied()));
        for (target, outcome) in &mut self.without {
            if let Outcome::Unclear(reason) = outcome {
                let reason = std::mem::replace(reason, Reason::NotScraped);
                *outcome = match !wide || likeness.includes(target) {
                    true => Outcome::Missing { reason, groups: BTreeSet::new() },
                    false => Outcome::NotExposed(reason),
                };
            }
        }
    }

    /// The chosen groups that are kept apart, in order.
    pub(super) fn groups(&self) -> Vec<Labels> {
        let mut groups: Vec<_> = self.merged.keys().cloned().collect();
        groups.sort();
        groups
    }

    /// The labels of the chosen group if it is the only one.
    pub(super) fn only_group(&self) -> Option<Labels> {
        self.first.clone().filter(|_| !self.several)
    }

    /// All that is chosen as one, and how much of the object that is. Not for several groups that are kept apart.
    ///
    /// # Errors
    /// [`Lack`] when there is no data, or none of the chosen groups.
    pub(super) fn whole(&mut self) -> Result<(Partial, Coverage), Lack> {
        let merged = self.merged.take_first();
        self.covered(merged, |labels| is_chosen(self.selector, labels))
    }

    /// One of the groups that are kept apart.
    ///
    /// # Errors
    /// As for [`Self::whole`].
    pub(super) fn group(&mut self, group: &Labels) -> Result<(Partial, Coverage), Lack> {
        let merged = self.merged.take(group);
        self.covered(merged, |labels| labels == group)
    }

    fn covered(&self, merged: Option<Merged>, is_asked: impl Fn(&Labels) -> bool) -> Result<(Partial, Coverage), Lack> {
        let is_missing = |outcome: &Outcome| match outcome {
            Outcome::Missing { groups, .. } => groups.is_empty() || groups.iter().any(&is_asked),
            Outcome::Pending(_) | Outcome::NotExposed(_) | Outcome::Unclear(_) => false,
        };
        let missing = self.without.iter().filter(|(_, outcome)| is_missing(outcome)).count() + self.over_limit;
        match merged {
            Some(Merged { partial, targets }) => {
                Ok((partial, Coverage { targets_with_data: targets, targets_missing: missing }))
            }
            None if missing == 0 && !self.with_data.is_empty() => Err(Lack::Group),
            None => Err(Lack::Data),
        }
    }

    /// Target and reason for those without data, the ones that should have it first.
    fn reasons(&self) -> Reasons {
        let over = (self.over_limit > 0)
            .then(|| (format!("{} more", self.over_limit), "beyond limits.targets, and so not scraped".to_owned()));
        let all = self.without.len() + usize::from(over.is_some());
        let with_rank = |rank| self.without.iter().filter(move |(_, outcome)| outcome.reason().0 == rank);
        let told = |(target, outcome): &(&Target, Outcome)| {
            (redacted(&target.url).into_owned(), outcome.reason().1.to_string())
        };
        let first = (0..3).flat_map(with_rank).map(told);
        Reasons { first: over.into_iter().chain(first).take(REASONS_MAX).collect(), all }
    }
}

fn is_chosen(selector: &Selector, labels: &Labels) -> bool {
    selector.matches(|key| labels.get(key))
}

fn joined(mut one: Partial, other: Partial) -> Partial {
    one.merge(other);
    one
}

// === impl Lack ===

impl Lack {
    /// In words, of the contributions that lack it.
    pub(super) fn cause(self, of: &Contributions<'_>, definition: &Definition, selector: &Selector) -> Cause {
        match self {
            Self::Data => Cause::NoTargetHasData(of.reasons()),
            Self::Group => Cause::NoGroupSelected(selector.to_string()),
            Self::Coverage(coverage) => {
                Cause::LowCoverage { coverage, least: definition.min_coverage, reasons: of.reasons() }
            }
            Self::Value(absence) => Cause::NoValue(absence),
        }
    }
}

// === impl Likeness ===

impl<'a> Likeness<'a> {
    fn of(targets: impl Iterator<Item = &'a Target> + Clone) -> Self {
        let owners = targets.clone().flat_map(|target| target.identity.owners.iter()).collect();
        Self { owners, jobs: targets.map(|target| &*target.job).collect() }
    }

    fn includes(&self, target: &Target) -> bool {
        let owners = &target.identity.owners;
        match owners.is_empty() {
            true => self.jobs.contains(&*target.job),
            false => owners.iter().any(|owner| self.owners.contains(owner)),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Why there is no data; lower numbers are to be told first.
    fn reason(&self) -> (u8, &Reason) {
        match self {
            Self::Missing { reason, .. } | Self::Unclear(reason) => (0, reason),
            Self::Pending(reason) => (1, reason),
            Self::NotExposed(reason) => (2, reason),
        }
    }
}

// === impl Reason ===

impl Reason {
    /// Of a target whose scrapes fail.
    fn down(store: &TargetStore, absence: Absence) -> Self {
        match &store.state.failure {
            Some(failure) => Self::Down { failure: failure.clone(), last_success: store.state.last_success },
            None => Self::Absent(absence),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotScraped => f.write_str("not scraped yet"),
            Self::NotScrapedSinceDefined => f.write_str("not scraped yet since the metric is defined"),
            Self::Down { failure, last_success } => {
                write!(f, "the scrape fails ({}): {}; ", failure.reason, failure.message)?;
                match last_success {
                    Some(time) => write!(f, "last success {time}"),
                    None => f.write_str("it never succeeded"),
                }
            }
            Self::Lost { absence, seen } => write!(f, "{absence} any more; it was there at {seen}"),
            Self::Absent(absence) => absence.fmt(f),
        }
    }
}

fn evaluate(
    store: &TargetStore,
    definition: &Definition,
    target: &Target,
    now: Timestamp,
) -> Result<Groups<Partial>, Outcome> {
    let absent = |absence| outcome(store, definition, target, now, absence);
    aggregate::evaluate(store, definition, target, now).map_err(absent)
}

fn outcome(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp, absence: Absence) -> Outcome {
    let missing = |reason| Outcome::Missing { reason, groups: known_groups(store, definition) };
    let late =
        |reason| if is_starting(store, definition, target, now) { Outcome::Pending(reason) } else { missing(reason) };
    match (store.state.health, &absence) {
        (Health::Unknown, _) => late(Reason::NotScraped),
        (Health::Down, Absence::NoSeries { name, .. }) if store.last_seen(name).is_none() => {
            match store.state.last_success {
                Some(_) if store.looked_for(name) => Outcome::NotExposed(Reason::down(store, absence)),
                Some(_) => missing(Reason::down(store, absence)),
                None => Outcome::Unclear(Reason::down(store, absence)),
            }
        }
        (Health::Down, _) => missing(Reason::down(store, absence)),
        (Health::Up, Absence::TooFewSamples { .. }) => late(Reason::Absent(absence)),
        (Health::Up, Absence::NoSeries { name, .. }) => match store.last_seen(name) {
            _ if !store.looked_for(name) => late(Reason::NotScrapedSinceDefined),
            // The last page has the name, if not what is selected of it; or it is long gone.
            Some(seen) if Some(seen) != store.state.last_success && now.since(seen) <= target.scraping.freshness => {
                missing(Reason::Lost { absence, seen })
            }
            _ => Outcome::NotExposed(Reason::Absent(absence)),
        },
        (Health::Up, _) => missing(Reason::Absent(absence)),
    }
}

/// The groups that a target without data had last. Where nothing splits them there is nothing to tell apart.
fn known_groups(store: &TargetStore, definition: &Definition) -> BTreeSet<Labels> {
    match definition.split_by.is_empty() {
        true => BTreeSet::new(),
        false => aggregate::known_groups(store, definition),
    }
}

/// Whether a target is so new that it cannot have a value yet: its first scrape is due within an interval,
/// and a change over time takes a second one.
fn is_starting(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp) -> bool {
    let scrapes = if definition.shape.window().is_some() { 3 } else { 2 };
    let due = target.scraping.interval * scrapes + target.scraping.timeout;
    store.joined.is_some_and(|joined| now.since(joined) <= due)
}
