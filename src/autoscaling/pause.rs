//! Why autoscalers are not followed, and how long to wait before the next try.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;

use crate::config::{one_line, with_causes};

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server has forgotten where the watch stood. Listing again mends it.
    Expired,
    /// The account may not, or the cluster has no such kind: somebody has to change something.
    Refused(String),
    /// Everything else: mostly a server that does not answer.
    Trouble(String),
}

/// Waits longer after each failure, and tells of each kind once.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Failures since the last success.
    failures: u32,
    last: Option<Instant>,
    told: Option<Failure>,
}

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const PAUSE_REFUSED: Duration = Duration::from_secs(60);

// === impl Failure ===

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::WatchError(status)
            | watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
            _ => None,
        };
        let text = status.map_or_else(|| with_causes(error), |status| one_line(&status.message));
        match status.map(|status| status.code) {
            Some(410) => Self::Expired,
            Some(403 | 404) => Self::Refused(text),
            _ => Self::Trouble(text),
        }
    }
}

// === impl Pause ===

impl Pause {
    pub(super) fn success(&mut self) {
        (self.failures, self.told) = (0, None);
    }

    /// How long to wait after a failure, which is logged unless the one before was the same.
    pub(super) fn after(&mut self, failure: &Failure, now: Instant) -> Duration {
        // A list that works between failures does not make them rare.
        let is_rare = self.last.is_none_or(|last| now - last > 2 * PAUSE_MAX);
        self.failures = if is_rare { 1 } else { self.failures + 1 };
        self.last = Some(now);
        let (pause, why) = match failure {
            Failure::Expired => return PAUSE_MIN,
            Failure::Refused(why) => (PAUSE_REFUSED, why),
            Failure::Trouble(why) => (PAUSE_MAX.min(PAUSE_MIN * (1 << self.failures.min(8))), why),
        };
        if self.told.as_ref() != Some(failure) {
            tracing::warn!("the HorizontalPodAutoscalers are not followed, so what they get is not shown: {why}");
            self.told = Some(failure.clone());
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> Failure {
        let status = kube::core::Status::failure("why", "Reason").with_code(code).boxed();
        Failure::from(&watcher::Error::InitialListFailed(kube::Error::Api(status)))
    }

    #[test]
    fn what_somebody_has_to_change_is_waited_for_longer_than_a_server() {
        assert_eq!([403, 404].map(refused), [Failure::Refused("why".into()), Failure::Refused("why".into())]);
        assert_eq!((refused(410), refused(503)), (Failure::Expired, Failure::Trouble("why".into())));
        let (mut pause, now) = (Pause::default(), Instant::now());
        let mut after = |code, seconds| pause.after(&refused(code), now + Duration::from_secs(seconds)).as_millis();
        assert_eq!([after(503, 0), after(503, 1), after(503, 3)], [1_000, 2_000, 4_000]);
        assert_eq!((0..20).map(|_| after(503, 4)).last(), Some(30_000));
        assert_eq!([after(410, 5), after(403, 6), after(503, 100)], [500, 60_000, 1_000]);
    }
}
