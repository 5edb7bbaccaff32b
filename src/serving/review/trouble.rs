//! What goes wrong with the reviews of each resource: said by readiness, and now and then in the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Timestamp;
use crate::serving::restraint::Restraint;
use crate::serving::review::Failure;

/// What goes wrong, by resource.
#[derive(Default)]
pub(super) struct Troubles(Mutex<BTreeMap<&'static str, Trouble>>);

/// How it is with one resource.
#[derive(Default)]
struct Trouble {
    /// Why the last review was not answered.
    said: Option<String>,
    begun: Restraint,
    ended: Restraint,
}

// === impl Troubles ===

impl Troubles {
    /// All that goes wrong, on one line.
    pub(super) fn said(&self) -> Option<String> {
        let troubles = self.troubles();
        let said: Vec<&str> = troubles.values().filter_map(|trouble| trouble.said.as_deref()).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// What became of a review. What concerns only this one says nothing of the others, and users could cause it.
    pub(super) fn note(&self, resource: &'static str, failure: Option<&Failure>, now: Timestamp) {
        if failure.is_some_and(|failure| !failure.concerns_all()) {
            return;
        }
        let said = failure.map(|failure| format!("{resource} are not answered: {failure}"));
        let mut troubles = self.troubles();
        let trouble = troubles.entry(resource).or_default();
        match &said {
            Some(said) => {
                if let Some(others) = trouble.begun.pass(now) {
                    tracing::warn!(others, "{said}; who depends on them is refused");
                }
            }
            None if trouble.said.is_some() && trouble.ended.pass(now).is_some() => {
                tracing::info!("{resource} are answered again");
            }
            None => {}
        }
        trouble.said = said;
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<&'static str, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn what_goes_wrong_with_one_resource_is_not_ended_by_an_answer_about_another() {
        let troubles = Troubles::default();
        troubles.note("tokenreviews", Some(&Failure::Forbidden), NOW);
        troubles.note("subjectaccessreviews", None, NOW);
        let said = troubles.said().expect("trouble");
        assert!(said.starts_with("tokenreviews are not answered: ") && !said.contains("subject"), "{said}");
        troubles.note("subjectaccessreviews", Some(&Failure::Timeout), NOW);
        let said = troubles.said().expect("trouble");
        assert!(said.contains("; tokenreviews are") && said.contains("subjectaccessreviews are"), "{said}");
        troubles.note("tokenreviews", None, NOW);
        troubles.note("subjectaccessreviews", None, NOW);
        assert_eq!(troubles.said(), None);
    }

    #[test]
    fn what_is_wrong_with_one_review_is_no_trouble_and_ends_none() {
        let troubles = Troubles::default();
        for failure in [Failure::Busy, Failure::Refused(400), Failure::Refused(422)] {
            troubles.note("tokenreviews", Some(&failure), NOW);
            assert_eq!(troubles.said(), None, "{failure}");
        }
        troubles.note("tokenreviews", Some(&Failure::Refused(500)), NOW);
        troubles.note("tokenreviews", Some(&Failure::Busy), NOW);
        assert!(troubles.said().is_some_and(|said| said.contains("with code 500")));
    }
}
