//! A way to the kube-apiserver, so wide and no wider. Those on different lanes do not wait for each other: a flood of
//! strangers' tokens holds up no autoscaler.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::serving::review::Failure;

/// Lets reviews of one kind through.
pub(in crate::serving) struct Lane {
    name: &'static str,
    /// Reviews under way.
    places: Semaphore,
    /// Those that wait for a place; each holds a request and a review.
    waiting: Semaphore,
    /// When the next review is due at an even pace; behind the present by at most [`BURST`] steps.
    due: Mutex<Option<Instant>>,
}

/// More that wait are turned away at once: with a token of 16 KB each these hold 8 MB.
const WAITING_MAX: usize = 512;

/// Reviews a second, and how many at once after a rest: what API servers that delegate allow themselves.
const PER_SECOND: u32 = 200;
const BURST: u32 = 400;

const STEP: Duration = Duration::from_millis(1000 / PER_SECOND as u64);

// === impl Lane ===

impl Lane {
    /// A lane for reviews with this name in the plural, so many at a time.
    pub(in crate::serving) fn new(name: &'static str, places: usize) -> Self {
        Self { name, places: Semaphore::new(places), waiting: Semaphore::new(WAITING_MAX), due: Mutex::default() }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits for a place, and holds it while the value is kept.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Failure::Busy)?;
        let place = self.places.acquire().await.expect("nobody closes it");
        sleep_until(self.turn(Instant::now())).await;
        Ok(place)
    }

    /// When the next review may go; in the past where there is no haste.
    fn turn(&self, now: Instant) -> Instant {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(STEP * (BURST - 1)).unwrap_or(now);
        let turn = due.map_or(earliest, |due| due.max(earliest));
        *due = Some(turn + STEP);
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_so_many_a_second() {
        let lane = Lane::new("tokenreviews", 1);
        let now = Instant::now() + Duration::from_secs(60);
        let wait = |now: Instant| lane.turn(now).saturating_duration_since(now);
        for i in 0..BURST {
            assert_eq!(wait(now), Duration::ZERO, "{i}");
        }
        for i in 1..=PER_SECOND {
            assert_eq!(wait(now), STEP * i);
        }
        // They have gone a second later, and a rest of half a second lets a hundred go at once.
        let later = now + Duration::from_millis(1500);
        for i in 0..100 {
            assert_eq!(wait(later), Duration::ZERO, "{i}");
        }
        assert_eq!(wait(later), STEP);
    }

    #[tokio::test]
    async fn so_many_at_a_time_and_of_those_who_wait_so_many_too() {
        let lane = Lane::new("tokenreviews", 2);
        let (one, two) = (lane.enter().await.expect("a place"), lane.enter().await.expect("a place"));
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(lane.enter())).collect();
        for other in &mut waiting {
            let mut context = Context::from_waker(Waker::noop());
            assert!(other.as_mut().poll(&mut context).is_pending());
        }
        assert!(matches!(lane.enter().await, Err(Failure::Busy)));
        drop(one);
        assert!(waiting.remove(0).await.is_ok());
        drop((two, waiting));
        assert!(pin!(lane.enter()).await.is_ok());
    }
}
