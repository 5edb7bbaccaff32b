//! How long the metrics of all autoscalers may take together, and when an API is not asked any more.
//!
//! The path of a question goes in; out comes whether it is still asked, or why not. A cluster may have hundreds of
//! autoscalers, and one server that hangs behind all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is left of it, shared by all questions.
pub(super) struct Patience {
    deadline: Instant,
    /// Questions without an answer, by API group.
    silences: Mutex<BTreeMap<String, usize>>,
}

/// The whole step. Hundreds of autoscalers are answered in a few seconds.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Questions without an answer, after which a group is not asked any more.
const SILENCES_MAX: usize = 3;

// === impl Patience ===

impl Patience {
    pub(super) fn new() -> Self {
        Self { deadline: Instant::now() + TIME_MAX, silences: Mutex::default() }
    }

    /// # Errors
    /// Why a path is not asked any more.
    pub(super) fn ask(&self, path: &str, now: Instant) -> Result<(), String> {
        if now >= self.deadline {
            return Err(format!("the autoscalers took more than {} s together", TIME_MAX.as_secs()));
        }
        let group = group(path);
        let silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        match silences.get(group).copied().unwrap_or_default() {
            silent if silent >= SILENCES_MAX => Err(format!("{group} did not answer {silent} questions before")),
            _ => Ok(()),
        }
    }

    /// Notes a question that nobody answered.
    pub(super) fn silence(&self, path: &str) {
        *self.silences.lock().unwrap_or_else(PoisonError::into_inner).entry(group(path).to_owned()).or_default() += 1;
    }
}

/// The API group of a path, `/apis/GROUP/…`; the core has none.
fn group(path: &str) -> &str {
    path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()).unwrap_or("the core API")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_silent_is_not_asked_again_and_the_others_are() {
        let (patience, now) = (Patience::new(), Instant::now());
        let (custom, external) = ("/apis/custom.metrics.k8s.io/v1beta2/a", "/apis/external.metrics.k8s.io/v1beta1/a");
        for _ in 0..SILENCES_MAX {
            assert_eq!(patience.ask(custom, now), Ok(()));
            patience.silence(custom);
        }
        let why = patience.ask(custom, now).expect_err("it was silent");
        assert_eq!(why, "custom.metrics.k8s.io did not answer 3 questions before");
        assert_eq!(patience.ask(external, now), Ok(()));
        assert_eq!(
            patience.ask(external, now + TIME_MAX).expect_err("late"),
            "the autoscalers took more than 60 s together"
        );
    }
}
