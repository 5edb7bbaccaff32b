//! When to draw up the next inventory: soon after a change, and never so often that it costs more than a tenth of a
//! core.

use std::time::Duration;

use tokio::time::Instant;

/// Changes come in swarms: those of this time are taken together.
pub(super) const SWARM: Duration = Duration::from_millis(50);

/// How many times what it cost has to pass before the next one.
const REST: u32 = 9;

/// When the next inventory is due.
pub(super) struct Pace {
    due: Option<Instant>,
    not_before: Instant,
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: None, not_before: now }
    }

    /// Something is to be published within a time, or as soon as that may be.
    pub(super) fn request(&mut self, within: Duration, now: Instant) {
        let wanted = self.not_before.max(now + within);
        self.due = Some(self.due.map_or(wanted, |due| due.min(wanted)));
    }

    /// Waits until an inventory is due; for ever when nobody requests one.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Everything requested is done, and took this long.
    pub(super) fn done(&mut self, took: Duration, now: Instant) {
        *self = Self { due: None, not_before: now + took * REST };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_of_changes_is_one_publication() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.request(SWARM, start);
        pace.request(SWARM, start + SWARM / 2);
        assert_eq!(pace.due, Some(start + SWARM), "the first change decides");
        pace.done(Duration::ZERO, start + SWARM);
        assert_eq!(pace.due, None);
    }

    #[test]
    fn publishing_takes_a_tenth_of_a_core_at_most() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.done(Duration::from_millis(30), start);
        pace.request(SWARM, start);
        assert_eq!(pace.due, Some(start + Duration::from_millis(270)));
        pace.request(Duration::ZERO, start + Duration::from_secs(1));
        assert_eq!(pace.due, Some(start + Duration::from_millis(270)), "a later request takes nothing back");
    }
}
