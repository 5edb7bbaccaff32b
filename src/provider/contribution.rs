//! What each target of an object contributes to a value, or why it contributes nothing.

use std::sync::Arc;

use crate::aggregate::{self, Absence, Groups, Partial};
use crate::config::{Definition, Level};
use crate::model::{Labels, Target, Timestamp};
use crate::provider::Coverage;
use crate::storage::{Health, Storage, TargetState};

/// The outcome of every target of one object.
pub(super) struct Contributions(Vec<(Arc<Target>, Outcome)>);

enum Outcome {
    Data(Groups),
    /// Should have data, and has none: counts against coverage.
    Missing(String),
    /// Not scraped yet, or too young for a rate: a pod that just starts carries no load yet.
    Pending(String),
    /// Works and does not expose the metric: no part of it.
    NotExposed(String),
}

// === impl Contributions ===

impl Contributions {
    pub(super) fn collect<'a>(
        members: impl Iterator<Item = &'a Arc<Target>>,
        storage: &Storage,
        definition: &Definition,
        level: Level,
        now: Timestamp,
    ) -> Self {
        let outcome = |target: &Arc<Target>| {
            let read =
                storage.read(&target.id, |store| match aggregate::evaluate(store, definition, now, target.freshness) {
                    Ok(groups) => Outcome::Data(groups),
                    Err(absence) => classify(absence, &store.state, level),
                });
            read.unwrap_or_else(|| Outcome::Pending("not scraped yet".into()))
        };
        Self(members.map(|target| (target.clone(), outcome(target))).collect())
    }

    pub(super) fn coverage(&self) -> Coverage {
        let count = |wanted: fn(&Outcome) -> bool| self.0.iter().filter(|(_, outcome)| wanted(outcome)).count();
        Coverage {
            targets_with_data: count(|outcome| matches!(outcome, Outcome::Data(_))),
            targets_missing: count(|outcome| matches!(outcome, Outcome::Missing(_))),
        }
    }

    /// Target and reason for those without data, the ones that should have it first.
    pub(super) fn reasons(&self) -> Vec<(String, String)> {
        let mut reasons: Vec<_> = self.0.iter().filter_map(|(target, outcome)| outcome.reason(target)).collect();
        reasons.sort_by_key(|(rank, _, _)| *rank);
        reasons.into_iter().map(|(_, target, reason)| (target, reason)).collect()
    }

    pub(super) fn into_groups(self) -> impl Iterator<Item = (Labels, Partial)> {
        self.0.into_iter().filter_map(|(_, outcome)| outcome.data()).flatten()
    }
}

// === impl Outcome ===

impl Outcome {
    fn data(self) -> Option<Groups> {
        match self {
            Self::Data(groups) => Some(groups),
            Self::Missing(_) | Self::Pending(_) | Self::NotExposed(_) => None,
        }
    }

    fn reason(&self, target: &Target) -> Option<(u8, String, String)> {
        let (rank, reason) = match self {
            Self::Data(_) => return None,
            Self::Missing(reason) => (0, reason),
            Self::Pending(reason) => (1, reason),
            Self::NotExposed(reason) => (2, reason),
        };
        Some((rank, target.url.clone(), reason.clone()))
    }
}

fn classify(absence: Absence, state: &TargetState, level: Level) -> Outcome {
    match (state.health, absence) {
        (Health::Unknown, _) => Outcome::Pending("not scraped yet".into()),
        (Health::Down, absence) => {
            let reason = down_reason(state, &absence);
            let never_exposed = matches!(absence, Absence::NoSeries(_));
            // Of a target that never answered nobody knows what it exposes. Its pod, owners and
            // Services are asked for this metric, so there it is missing; a whole namespace is not.
            let unrelated =
                state.last_success.is_some() || matches!(level, Level::Namespaces | Level::Nodes | Level::External);
            if never_exposed && unrelated { Outcome::NotExposed(reason) } else { Outcome::Missing(reason) }
        }
        (Health::Up, absence @ Absence::NoSeries(_)) => Outcome::NotExposed(absence.to_string()),
        (Health::Up, absence @ Absence::TooFewSamples { .. }) => Outcome::Pending(absence.to_string()),
        (Health::Up, absence) => Outcome::Missing(absence.to_string()),
    }
}

fn down_reason(state: &TargetState, absence: &Absence) -> String {
    let Some(failure) = &state.failure else { return absence.to_string() };
    match state.last_success {
        Some(time) => format!("the scrape fails ({}): {}; last success {time}", failure.reason, failure.message),
        None => format!("the scrape fails ({}): {}; it never succeeded", failure.reason, failure.message),
    }
}
