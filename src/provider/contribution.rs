//! What each target of an object contributes to a value, or why it contributes nothing.
//!
//! The question behind every case is whether the sum of the others is still the whole. A target counts as
//! missing unless it is shown not to take part: it is new and carries no load yet, or its pages do not
//! have the metric.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aggregate::{self, Absence, Groups, Partial};
use crate::config::{Definition, Level};
use crate::model::{Inventory, Labels, Object, Target, Timestamp, redacted};
use crate::provider::{Cause, Coverage};
use crate::storage::{Health, Storage, TargetStore};

/// The outcome of every target of one object.
pub(super) struct Contributions {
    outcomes: Vec<(Arc<Target>, Outcome)>,
    /// Targets of the object that are not scraped, because there are more than the limit.
    over_limit: usize,
}

enum Outcome {
    Data(Groups),
    /// Should have data, and has none: counts against coverage. The groups are those it had last; none
    /// when that is not known.
    Missing {
        reason: String,
        groups: BTreeSet<Labels>,
    },
    /// New in a fleet that was known before: a pod that just starts carries no load yet.
    Pending(String),
    /// Its pages do not have the metric: no part of it.
    NotExposed(String),
    /// It never answered, so nobody knows what it exposes.
    Unclear(String),
}

// === impl Contributions ===

impl Contributions {
    pub(super) fn collect(
        object: &Object,
        inventory: &Inventory,
        storage: &Storage,
        definition: &Definition,
        level: Level,
        now: Timestamp,
    ) -> Self {
        let outcome = |target: &Arc<Target>| {
            let read = storage.read(&target.id, |store| outcome(store, definition, target, now));
            (target.clone(), read.unwrap_or_else(|| Outcome::Pending("not scraped yet".into())))
        };
        let outcomes = inventory.members(object).map(outcome).collect();
        let mut contributions = Self { outcomes, over_limit: object.targets_over_limit };
        contributions.clear_up(level);
        contributions
    }

    /// Of a target that never answered nobody knows what it exposes. Its pod, owners and Services are
    /// asked for this metric, so there it is missing. In a whole namespace it is missing where another
    /// target of its kind has the metric.
    fn clear_up(&mut self, level: Level) {
        let wide = matches!(level, Level::Namespaces | Level::Nodes | Level::External);
        let has_metric = |outcome: &Outcome| matches!(outcome, Outcome::Data(_) | Outcome::Missing { .. });
        let with: Vec<_> =
            self.outcomes.iter().filter(|(_, outcome)| has_metric(outcome)).map(|(t, _)| t.clone()).collect();
        for (target, outcome) in &mut self.outcomes {
            if let Outcome::Unclear(reason) = outcome {
                let reason = std::mem::take(reason);
                *outcome = match !wide || with.iter().any(|other| are_alike(target, other)) {
                    true => Outcome::Missing { reason, groups: BTreeSet::new() },
                    false => Outcome::NotExposed(reason),
                };
            }
        }
    }

    /// The groups with data that are chosen, each once.
    pub(super) fn groups(&self, chosen: impl Fn(&Labels) -> bool) -> BTreeSet<Labels> {
        let groups = self.outcomes.iter().filter_map(|(_, outcome)| outcome.data()).flat_map(Groups::keys);
        groups.filter(|labels| chosen(labels)).cloned().collect()
    }

    /// The chosen groups of all targets as one, and how much of the object that is.
    ///
    /// # Errors
    /// [`Cause`] when there is no data, or none of the chosen groups.
    pub(super) fn merge(&self, chosen: impl Fn(&Labels) -> bool) -> Result<(Partial, Coverage), Cause> {
        let (mut all, mut coverage): (Option<Partial>, _) =
            (None, Coverage { targets_with_data: 0, targets_missing: self.over_limit });
        for (_, outcome) in &self.outcomes {
            match outcome {
                Outcome::Data(groups) => {
                    let partials: Vec<_> =
                        groups.iter().filter(|(labels, _)| chosen(labels)).map(|(_, p)| p.clone()).collect();
                    coverage.targets_with_data += usize::from(!partials.is_empty());
                    for partial in partials {
                        match &mut all {
                            Some(all) => all.merge(partial),
                            None => all = Some(partial),
                        }
                    }
                }
                Outcome::Missing { groups, .. } => {
                    let concerned = groups.is_empty() || groups.iter().any(&chosen);
                    coverage.targets_missing += usize::from(concerned);
                }
                Outcome::Pending(_) | Outcome::NotExposed(_) | Outcome::Unclear(_) => {}
            }
        }
        let has_data = self.outcomes.iter().any(|(_, outcome)| outcome.data().is_some());
        match all {
            Some(partial) => Ok((partial, coverage)),
            None if has_data && coverage.targets_missing == 0 => Err(Cause::NoGroupSelected(String::new())),
            None => Err(Cause::NoTargetHasData(self.reasons())),
        }
    }

    /// Target and reason for those without data, the ones that should have it first.
    pub(super) fn reasons(&self) -> Vec<(String, String)> {
        let mut reasons: Vec<_> = self.outcomes.iter().filter_map(|(target, outcome)| outcome.reason(target)).collect();
        reasons.sort_by_key(|(rank, _, _)| *rank);
        let mut reasons: Vec<_> = reasons.into_iter().map(|(_, target, reason)| (target, reason)).collect();
        if self.over_limit > 0 {
            reasons
                .insert(0, (format!("{} more", self.over_limit), "beyond limits.targets, and so not scraped".into()));
        }
        reasons
    }
}

/// Whether two targets are likely to expose the same metrics: one workload, or one job of bare targets.
fn are_alike(one: &Target, other: &Target) -> bool {
    let (owners, others) = (&one.identity.owners, &other.identity.owners);
    match owners.is_empty() {
        true => one.job == other.job,
        false => owners.iter().any(|owner| others.contains(owner)),
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

    fn reason(&self, target: &Target) -> Option<(u8, String, String)> {
        let (rank, reason) = match self {
            Self::Data(_) => return None,
            Self::Missing { reason, .. } | Self::Unclear(reason) => (0, reason),
            Self::Pending(reason) => (1, reason),
            Self::NotExposed(reason) => (2, reason),
        };
        Some((rank, redacted(&target.url).into_owned(), reason.clone()))
    }
}

fn outcome(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp) -> Outcome {
    let absence = match aggregate::evaluate(store, definition, target, now) {
        Ok(groups) => return Outcome::Data(groups),
        Err(absence) => absence,
    };
    let missing = |reason| Outcome::Missing { reason, groups: aggregate::known_groups(store, definition) };
    let late =
        |reason| if is_starting(store, definition, target, now) { Outcome::Pending(reason) } else { missing(reason) };
    match (store.state.health, &absence) {
        (Health::Unknown, _) => late("not scraped yet".into()),
        (Health::Down, Absence::NoSeries { name, .. }) if store.last_seen(name).is_none() => {
            match store.state.last_success {
                Some(_) if store.looked_for(name) => Outcome::NotExposed(down_reason(store, &absence)),
                Some(_) => missing(down_reason(store, &absence)),
                None => Outcome::Unclear(down_reason(store, &absence)),
            }
        }
        (Health::Down, _) => missing(down_reason(store, &absence)),
        (Health::Up, Absence::TooFewSamples { .. }) => late(absence.to_string()),
        (Health::Up, Absence::NoSeries { name, .. }) => match store.last_seen(name) {
            _ if !store.looked_for(name) => late("not scraped yet since the metric is defined".into()),
            // The last page has the name, if not what is selected of it; or it is long gone.
            Some(seen) if Some(seen) != store.state.last_success && now.since(seen) <= target.freshness => {
                missing(format!("{absence} any more; it was there at {seen}"))
            }
            _ => Outcome::NotExposed(absence.to_string()),
        },
        (Health::Up, _) => missing(absence.to_string()),
    }
}

/// Whether a target is so new that it cannot have a value yet: its first scrape is due within an interval,
/// and a change over time takes a second one.
fn is_starting(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp) -> bool {
    let scrapes = if definition.shape.window().is_some() { 3 } else { 2 };
    let due = target.scrape_interval * scrapes + target.scrape_timeout;
    store.joined.is_some_and(|joined| now.since(joined) <= due)
}

fn down_reason(store: &TargetStore, absence: &Absence) -> String {
    let Some(failure) = &store.state.failure else { return absence.to_string() };
    match store.state.last_success {
        Some(time) => format!("the scrape fails ({}): {}; last success {time}", failure.reason, failure.message),
        None => format!("the scrape fails ({}): {}; it never succeeded", failure.reason, failure.message),
    }
}
