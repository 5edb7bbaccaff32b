//! What is known of each source of targets, for readiness and the status page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::discovery::kubernetes::Health;
use crate::discovery::slot::{Finding, Slot};
use crate::model::{Timestamp, redacted};

/// What is known of each source. Clones share the content.
#[derive(Clone, Default)]
pub struct SourceStates(Arc<Mutex<States>>);

#[derive(Default)]
struct States {
    sources: BTreeMap<String, Known>,
    /// Whether an inventory was ever complete.
    was_complete: bool,
}

/// State of one source in parts that change apart.
#[derive(Default)]
struct Known {
    state: SourceState,
    /// What the source brings and another one has already.
    repeated: Vec<String>,
    /// What is so, and need not be wrong.
    notes: Vec<String>,
}

/// State of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceState {
    pub targets: usize,
    /// When the targets were last known to be the current ones.
    pub last_success: Option<Timestamp>,
    /// Why the last refresh failed, as a whole or in part; `None` after a success.
    pub error: Option<String>,
    /// What was left out of the last list, with the reason; few lines, and how many more there are.
    pub mistakes: Vec<String>,
    /// Whether the source has reported, be it a failure, or keeps a list from before a reload.
    pub reported: bool,
}

// === impl SourceStates ===

impl SourceStates {
    /// A copy of all states by name of the source, as it may be shown.
    pub fn snapshot(&self) -> BTreeMap<String, SourceState> {
        self.lock().sources.iter().map(|(name, known)| (shown(name), known.whole())).collect()
    }

    /// Whether an inventory was ever complete since the process started.
    pub fn was_complete(&self) -> bool {
        self.lock().was_complete
    }

    pub(super) fn complete(&self) {
        self.lock().was_complete = true;
    }

    /// Sources that keep their list keep their state with it.
    pub(super) fn start(&self, slots: &[Slot]) {
        let mut states = self.lock();
        let mut before = std::mem::take(&mut states.sources);
        let mut known = |slot: &Slot| before.remove(&slot.name).filter(|_| slot.targets.is_some()).unwrap_or_default();
        states.sources = slots.iter().map(|slot| (slot.name.clone(), known(slot))).collect();
    }

    /// Notes what a source has reported.
    pub(super) fn record(&self, name: &str, finding: &Finding, now: Timestamp) {
        self.change(name, |Known { state, .. }| {
            state.reported = true;
            state.take_failure(name, finding.failure.clone(), now);
            if let Some(lists) = &finding.lists {
                state.targets = lists.values().map(Vec::len).sum();
                told(name, &mut state.mistakes, finding.omissions.lines());
            }
        });
    }

    /// Notes how the watches stand that a source rests on.
    pub(super) fn watch(&self, name: &str, health: Health, now: Timestamp) {
        self.change(name, |Known { state, notes, .. }| {
            state.reported |= health.has_answered;
            if health.has_answered || health.error.is_some() {
                state.take_failure(name, health.error, now);
            }
            *notes = health.notes;
        });
    }

    /// Notes what a source finds by its watches.
    pub(super) fn found(&self, name: &str, targets: usize, mistakes: Vec<String>) {
        self.change(name, |Known { state, .. }| {
            state.targets = targets;
            told(name, &mut state.mistakes, mistakes);
        });
    }

    /// Notes what sources bring that others have already, by their names.
    pub(super) fn repeat(&self, mut repeated: BTreeMap<String, Vec<String>>) {
        for (name, known) in &mut self.lock().sources {
            told(name, &mut known.repeated, repeated.remove(name).unwrap_or_default());
        }
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Known)) {
        change(self.lock().sources.entry(name.to_owned()).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    fn whole(&self) -> SourceState {
        let mut state = self.state.clone();
        state.mistakes.extend(self.repeated.iter().chain(&self.notes).cloned());
        state
    }
}

// === impl SourceState ===

impl SourceState {
    fn take_failure(&mut self, name: &str, error: Option<String>, now: Timestamp) {
        if let Some(error) = error.as_ref().filter(|error| self.error.as_ref() != Some(error)) {
            tracing::warn!(source = shown(name), "discovery fails: {error}");
        }
        if error.is_none() {
            self.last_success = Some(now);
        }
        self.error = error;
    }
}

/// Replaces what was left out of the targets, and logs what is new of it.
fn told(name: &str, before: &mut Vec<String>, now: Vec<String>) {
    for what in now.iter().filter(|what| !before.contains(what)) {
        tracing::warn!(source = shown(name), "left out of the targets: {what}");
    }
    *before = now;
}

/// The name of a source without the secrets that the URL of an endpoint may hold.
fn shown(name: &str) -> String {
    match name.split_once(" http_sd ") {
        Some((job, url)) => format!("{job} http_sd {}", redacted(url)),
        None => name.to_owned(),
    }
}
