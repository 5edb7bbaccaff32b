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
use crate::model::{Inventory, Labels, Object, OwnerReference, Target, Timestamp, redacted};
use crate::provider::error::{REASONS_MAX, Reasons};
use crate::provider::{Cause, Coverage};
use crate::storage::{Failure, Health, Storage, TargetStore};

/// The outcome of every target of one object.
pub(super) struct Contributions<'a> {
    outcomes: Vec<(&'a Target, Outcome)>,
    /// Targets of the object that are not scraped, because there are more than the limit.
    over_limit: usize,
}

/// Which groups of split labels are meant.
#[derive(Clone, Copy)]
pub(super) enum Chosen<'s> {
    By(&'s Selector),
    Only(&'s Labels),
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

enum Outcome {
    Data(Groups),
    /// Should have data, and has none: counts against coverage. The groups are those it had last; none
    /// when that is not known.
    Missing {
        reason: Reason,
        groups: BTreeSet<Labels>,
    },
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
    pub(super) fn collect(
        object: &'a Object,
        inventory: &'a Inventory,
        storage: &Storage,
        definition: &Definition,
        level: Level,
        now: Timestamp,
    ) -> Self {
        let outcome = |target: &'a Target| {
            let read = storage.read(&target.id, |store| outcome(store, definition, target, now));
            (target, read.unwrap_or(Outcome::Pending(Reason::NotScraped)))
        };
        let outcomes = inventory.members(object).map(|target| outcome(target)).collect();
        let mut contributions = Self { outcomes, over_limit: object.targets_over_limit };
        contributions.clear_up(level);
        contributions
    }

    /// Of a target that never answered nobody knows what it exposes. Its pod, owners and Services are
    /// asked for this metric, so there it is missing. In a whole namespace it is missing where another
    /// target of its kind has the metric.
    fn clear_up(&mut self, level: Level) {
        if !self.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unclear(_))) {
            return;
        }
        let wide = matches!(level, Level::Namespaces | Level::Nodes | Level::External);
        let has_metric = |outcome: &Outcome| matches!(outcome, Outcome::Data(_) | Outcome::Missing { .. });
        let with = self.outcomes.iter().filter(|(_, outcome)| has_metric(outcome)).map(|(target, _)| *target);
        let likeness = Likeness::of(with);
        for (target, outcome) in &mut self.outcomes {
            if let Outcome::Unclear(reason) = outcome {
                let reason = std::mem::replace(reason, Reason::NotScraped);
                *outcome = match !wide || likeness.includes(target) {
                    true => Outcome::Missing { reason, groups: BTreeSet::new() },
                    false => Outcome::NotExposed(reason),
                };
            }
        }
    }

    /// The groups with data that are chosen, each once, in order.
    pub(super) fn groups(&self, chosen: Chosen<'_>) -> Vec<Labels> {
        let data = self.outcomes.iter().filter_map(|(_, outcome)| outcome.data());
        let mut groups = BTreeSet::new();
        // Not collected at once, which would sort the groups of all targets.
        data.flat_map(Groups::keys).filter(|labels| chosen.includes(labels)).for_each(|labels| {
            groups.insert(labels);
        });
        groups.into_iter().cloned().collect()
    }

    /// The chosen groups of all targets as one, and how much of the object that is. They are taken out: no group is
    /// merged twice.
    ///
    /// # Errors
    /// [`Lack`] when there is no data, or none of the chosen groups.
    pub(super) fn merge(&mut self, chosen: Chosen<'_>) -> Result<(Partial, Coverage), Lack> {
        let mut all: Option<Partial> = None;
        let mut coverage = Coverage { targets_with_data: 0, targets_missing: self.over_limit };
        for (_, outcome) in &mut self.outcomes {
            match outcome {
                Outcome::Data(groups) => {
                    let partials = chosen.take(groups);
                    coverage.targets_with_data += usize::from(!partials.is_empty());
                    for partial in partials.into_values() {
                        match &mut all {
                            Some(all) => all.merge(partial),
                            None => all = Some(partial),
                        }
                    }
                }
                Outcome::Missing { groups, .. } => {
                    let concerned = groups.is_empty() || groups.iter().any(|labels| chosen.includes(labels));
                    coverage.targets_missing += usize::from(concerned);
                }
                Outcome::Pending(_) | Outcome::NotExposed(_) | Outcome::Unclear(_) => {}
            }
        }
        let has_data = || self.outcomes.iter().any(|(_, outcome)| outcome.data().is_some());
        match all {
            Some(partial) => Ok((partial, coverage)),
            None if coverage.targets_missing == 0 && has_data() => Err(Lack::Group),
            None => Err(Lack::Data),
        }
    }

    /// Target and reason for those without data, the ones that should have it first.
    fn reasons(&self) -> Reasons {
        let over = (self.over_limit > 0)
            .then(|| (format!("{} more", self.over_limit), "beyond limits.targets, and so not scraped".to_owned()));
        let with_rank = |rank| {
            let reason = move |outcome: &'_ Outcome| outcome.reason().is_some_and(|(of, _)| of == rank);
            self.outcomes.iter().filter(move |(_, outcome)| reason(outcome))
        };
        let first = (0..3).flat_map(with_rank).filter_map(|(target, outcome)| {
            let (_, reason) = outcome.reason()?;
            Some((redacted(&target.url).into_owned(), reason.to_string()))
        });
        let all = self.outcomes.iter().filter(|(_, outcome)| outcome.reason().is_some()).count();
        Reasons {
            all: all + usize::from(over.is_some()),
            first: over.into_iter().chain(first).take(REASONS_MAX).collect(),
        }
    }
}

// === impl Chosen ===

impl Chosen<'_> {
    fn includes(self, labels: &Labels) -> bool {
        match self {
            Self::By(selector) => selector.matches(|key| labels.get(key)),
            Self::Only(group) => group == labels,
        }
    }

    fn take(self, groups: &mut Groups) -> Groups {
        match self {
            Self::By(selector) if selector.is_empty() => std::mem::take(groups),
            Self::By(_) => groups.extract_if(.., |labels, _| self.includes(labels)).collect(),
            Self::Only(group) => groups.remove_entry(group).into_iter().collect(),
        }
    }
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
        let owners = targets.clone().flat_map(|target| &target.identity.owners).collect();
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
    fn data(&self) -> Option<&Groups> {
        match self {
            Self::Data(groups) => Some(groups),
            Self::Missing { .. } | Self::Pending(_) | Self::NotExposed(_) | Self::Unclear(_) => None,
        }
    }

    /// Why there is no data; lower numbers are to be told first.
    fn reason(&self) -> Option<(u8, &Reason)> {
        match self {
            Self::Data(_) => None,
            Self::Missing { reason, .. } | Self::Unclear(reason) => Some((0, reason)),
            Self::Pending(reason) => Some((1, reason)),
            Self::NotExposed(reason) => Some((2, reason)),
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

fn outcome(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp) -> Outcome {
    let absence = match aggregate::evaluate(store, definition, target, now) {
        Ok(groups) => return Outcome::Data(groups),
        Err(absence) => absence,
    };
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
            Some(seen) if Some(seen) != store.state.last_success && now.since(seen) <= target.freshness => {
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
    let due = target.scrape_interval * scrapes + target.scrape_timeout;
    store.joined.is_some_and(|joined| now.since(joined) <= due)
}
