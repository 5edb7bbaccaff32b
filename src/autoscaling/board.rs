//! What is known of all autoscalers, shared between those who find it out and those who show it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::autoscaling::answer::Outcome;
use crate::autoscaling::autoscaler::Autoscaler;
use crate::clock::Clock;

/// What there is to show. Clones share the content.
#[derive(Clone)]
pub struct Board {
    pub(super) clock: Clock,
    content: Arc<Mutex<Content>>,
    listed: Arc<Notify>,
}

/// What is known, and what was answered last.
#[derive(Default)]
struct Content {
    is_up: bool,
    known: Known,
    answered: Arc<[(Vec<Outcome>, Arc<Autoscaler>)]>,
}

/// The autoscalers that are followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    autoscalers: BTreeMap<Name, Arc<Autoscaler>>,
    /// Those beyond the limit. One of them is taken up when it is told of while there is room.
    over: BTreeSet<Name>,
}

/// Namespace and name.
type Name = (String, String);

/// What the metrics page is made of.
pub(super) struct Shown {
    pub is_up: bool,
    pub over_limit: usize,
    /// In order, with an outcome for each metric.
    pub answered: Arc<[(Vec<Outcome>, Arc<Autoscaler>)]>,
}

/// More are not followed: each has some 25 series with two metrics, and of these there are then more than a hundred
/// thousand.
pub(super) const AUTOSCALERS_MAX: usize = 5_000;

// === impl Board ===

impl Board {
    pub fn new(clock: Clock) -> Self {
        Self { clock, content: Arc::default(), listed: Arc::default() }
    }

    pub(super) fn listed(&self, known: Known) {
        let over = known.over.len();
        let mut content = self.lock();
        if !content.is_up {
            tracing::info!(autoscalers = known.autoscalers.len(), "the HorizontalPodAutoscalers are followed");
        }
        if over > 0 && content.known.over.is_empty() {
            let limit = AUTOSCALERS_MAX;
            tracing::warn!(
                limit,
                over,
                "there are too many HorizontalPodAutoscalers; what the others get is not shown"
            );
        }
        (content.known, content.is_up) = (known, true);
        self.listed.notify_one();
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.lock().known);
    }

    /// Nobody says any more how they are.
    pub(super) fn down(&self) {
        self.lock().is_up = false;
    }

    /// Nobody may know of them.
    pub(super) fn forget(&self) {
        *self.lock() = Content::default();
    }

    pub(super) fn answer(&self, answered: Vec<(Vec<Outcome>, Arc<Autoscaler>)>) {
        let mut content = self.lock();
        // Those that went meanwhile are not shown once more.
        let is_there = |autoscaler: &Autoscaler| content.known.autoscalers.contains_key(&name(autoscaler));
        let answered = answered.into_iter().filter(|(_, autoscaler)| is_there(autoscaler)).collect();
        content.answered = answered;
    }

    pub(super) fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        self.lock().known.autoscalers.values().cloned().collect()
    }

    /// Waits for the next list.
    pub(super) async fn was_listed(&self) {
        self.listed.notified().await;
    }

    pub(super) fn shown(&self) -> Shown {
        let content = self.lock();
        let over_limit = content.known.over.len();
        Shown { is_up: content.is_up, over_limit, answered: content.answered.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Board {{ autoscalers: {} }}", self.lock().known.autoscalers.len())
    }
}

// === impl Known ===

impl Known {
    pub(super) fn apply(&mut self, autoscaler: Autoscaler) {
        let name = name(&autoscaler);
        if self.autoscalers.len() >= AUTOSCALERS_MAX && !self.autoscalers.contains_key(&name) {
            self.over.insert(name);
            return;
        }
        self.over.remove(&name);
        self.autoscalers.insert(name, Arc::new(autoscaler));
    }

    pub(super) fn delete(&mut self, autoscaler: &Autoscaler) {
        let name = name(autoscaler);
        self.autoscalers.remove(&name);
        self.over.remove(&name);
    }
}

fn name(autoscaler: &Autoscaler) -> Name {
    (autoscaler.namespace.clone(), autoscaler.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn autoscaler(name: usize) -> Autoscaler {
        Autoscaler { namespace: "ns".into(), name: format!("{name:05}"), ..Autoscaler::default() }
    }

    #[test]
    fn those_beyond_the_limit_are_counted_and_taken_up_when_there_is_room() {
        let mut known = Known::default();
        (0..AUTOSCALERS_MAX + 2).for_each(|number| known.apply(autoscaler(number)));
        assert_eq!((known.autoscalers.len(), known.over.len()), (AUTOSCALERS_MAX, 2));
        known.apply(autoscaler(0));
        assert_eq!(known.over.len(), 2, "one that is known stays known");
        known.delete(&autoscaler(0));
        known.apply(autoscaler(AUTOSCALERS_MAX));
        assert_eq!((known.autoscalers.len(), known.over.len()), (AUTOSCALERS_MAX, 1));
        known.delete(&autoscaler(AUTOSCALERS_MAX + 1));
        assert!(known.over.is_empty());
    }

    #[test]
    fn an_autoscaler_that_went_while_it_was_asked_for_is_not_shown() {
        let board = Board::new(Clock::from_fn(|| Timestamp(0)));
        let mut known = Known::default();
        (0..2).for_each(|number| known.apply(autoscaler(number)));
        board.listed(known);
        let asked = board.autoscalers();
        board.change(|known| known.delete(&autoscaler(0)));
        board.answer(asked.into_iter().map(|autoscaler| (Vec::new(), autoscaler)).collect());
        let shown = board.shown();
        assert_eq!(shown.answered.iter().map(|(_, it)| it.name.as_str()).collect::<Vec<_>>(), ["00001"]);
        board.forget();
        assert!(!board.shown().is_up && board.shown().answered.is_empty());
    }
}
