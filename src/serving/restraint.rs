//! Lines of the log that strangers can cause: one in a while, which says how many there were before it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Timestamp;

/// Lets a line pass once in a while, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Restraint(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Timestamp>,
    /// Lines since then that were not written.
    withheld: u64,
}

/// Six lines a minute of each kind say what goes on, and fill no disk.
const PERIOD: Duration = Duration::from_secs(10);

// === impl Restraint ===

impl Restraint {
    /// How many lines were withheld before this one; `None` when it is withheld too.
    pub(super) fn pass(&self, now: Timestamp) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now >= last && now.since(last) < PERIOD) {
            state.withheld += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds_passes_with_the_number_of_the_others() {
        let restraint = Restraint::default();
        let pass = |seconds: i64| restraint.pass(Timestamp(seconds * 1000));
        assert_eq!([pass(100), pass(100), pass(109), pass(110), pass(111)], [Some(0), None, None, Some(2), None]);
        // A clock that is set back does not silence it.
        assert_eq!([pass(50), pass(60)], [Some(1), Some(0)]);
    }
}
