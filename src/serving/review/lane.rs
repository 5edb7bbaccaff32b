//! A way to the kube-apiserver, so wide and no wider. Those on different lanes do not wait for each other: a flood of
//! strangers' tokens holds up no autoscaler.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::serving::review::Failure;
use crate::serving::review::shares::{Share, Shares};

/// Lets reviews of one kind through.
pub(in crate::serving) struct Lane {
    name: &'static str,
    /// What one user may have of it; `None` where all are alike.
    shares: Option<Shares>,
    /// Reviews under way.
    places: Semaphore,
    /// Those that wait for a place; each holds a request and a review.
    waiting: Semaphore,
    pace: Pace,
    /// When the next review is due at an even pace; behind the present by at most a burst of steps.
    due: Mutex<Option<Instant>>,
}

/// How fast reviews follow each other.
#[derive(Clone, Copy, Debug)]
pub(in crate::serving) struct Pace {
    per_second: u32,
    /// So many at once after a rest.
    burst: u32,
}

/// A place on a lane, for as long as this is kept.
pub(super) struct Place<'a> {
    _place: SemaphorePermit<'a>,
    _share: Option<Share<'a>>,
}

/// More that wait are turned away at once: with a token of 16 KB each these hold 8 MB.
const WAITING_MAX: usize = 512;

// === impl Lane ===

impl Lane {
    /// A lane for reviews with this name in the plural, so many at a time.
    pub(in crate::serving) fn new(name: &'static str, places: usize, pace: Pace) -> Self {
        let (places, waiting) = (Semaphore::new(places), Semaphore::new(WAITING_MAX));
        Self { name, shares: None, places, waiting, pace, due: Mutex::default() }
    }

    /// The same, with so many places at a time for one user.
    pub(in crate::serving) fn shared(self, each: usize) -> Self {
        Self { shares: Some(Shares::new(each)), ..self }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits for a place, and holds it while the value is kept. Who gives up while waiting has taken nothing.
    pub(super) async fn enter(&self, user: &str) -> Result<Place<'_>, Failure> {
        let share = match &self.shares {
            Some(shares) => Some(shares.take(user).await?),
            None => None,
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| Failure::Busy)?;
        let place = self.places.acquire().await.expect("nobody closes it");
        while let Err(due) = self.turn(Instant::now()) {
            sleep_until(due).await;
        }
        Ok(Place { _place: place, _share: share })
    }

    /// Takes a step, or says when to come again.
    fn turn(&self, now: Instant) -> Result<(), Instant> {
        let step = self.pace.step();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(step * (self.pace.burst - 1)).unwrap_or(now);
        let turn = due.map_or(earliest, |due| due.max(earliest));
        if turn > now {
            return Err(turn);
        }
        *due = Some(turn + step);
        Ok(())
    }
}

// === impl Pace ===

impl Pace {
    /// What API servers that delegate allow themselves.
    pub(in crate::serving) const USUAL: Self = Self { per_second: 200, burst: 400 };

    /// An autoscaler asks one question for each namespace and metric every 15 s: of ten thousand none waits for long.
    pub(in crate::serving) const FAST: Self = Self { per_second: 1000, burst: 2000 };

    fn step(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn lane(places: usize) -> Lane {
        Lane::new("tokenreviews", places, Pace::USUAL)
    }

    /// Whether somebody who enters has a place at once; who does not gives up.
    fn enters(lane: &Lane) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(lane.enter("u")).as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn a_burst_goes_at_once_and_then_so_many_a_second() {
        let (lane, step) = (lane(1), Pace::USUAL.step());
        let mut now = Instant::now() + Duration::from_secs(60);
        for i in 0..Pace::USUAL.burst {
            assert_eq!(lane.turn(now), Ok(()), "{i}");
        }
        for _ in 0..Pace::USUAL.per_second {
            assert_eq!(lane.turn(now), Err(now + step));
            now += step;
            assert_eq!(lane.turn(now), Ok(()));
        }
        // A rest of half a second lets a hundred go at once.
        now += Duration::from_millis(500);
        for i in 0..100 {
            assert_eq!(lane.turn(now), Ok(()), "{i}");
        }
        assert_eq!(lane.turn(now), Err(now + step));
    }

    #[test]
    fn an_autoscaler_with_ten_thousand_questions_every_15_s_has_them_answered() {
        let lane = Lane::new("subjectaccessreviews", 1, Pace::FAST);
        let mut now = Instant::now() + Duration::from_secs(60);
        let end = now + Duration::from_secs(15);
        for _ in 0..10_000 {
            while let Err(due) = lane.turn(now) {
                now = due;
            }
        }
        assert!(now < end, "{:?} too late", now - end);
    }

    #[tokio::test]
    async fn who_gives_up_before_his_turn_has_taken_nothing() {
        let lane = lane(16);
        while lane.turn(Instant::now()).is_ok() {}
        let given_up = (0..10_000).filter(|_| !enters(&lane)).count();
        assert!(given_up > 9_000, "{given_up}");
        let started = Instant::now();
        assert!(lane.enter("u").await.is_ok());
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn so_many_at_a_time_and_of_those_who_wait_so_many_too() {
        let lane = lane(2);
        let (one, two) = (lane.enter("u").await.expect("a place"), lane.enter("u").await.expect("a place"));
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(lane.enter("u"))).collect();
        for other in &mut waiting {
            let mut context = Context::from_waker(Waker::noop());
            assert!(other.as_mut().poll(&mut context).is_pending());
        }
        assert!(matches!(lane.enter("u").await, Err(Failure::Busy)));
        drop(one);
        assert!(waiting.remove(0).await.is_ok());
        drop((two, waiting));
        assert!(enters(&lane));
    }

    #[tokio::test]
    async fn a_user_has_its_share_of_the_places_and_no_more() {
        let lane = lane(32).shared(4);
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(lane.enter("u").await.expect("a place"));
        }
        assert!(!enters(&lane), "u has all that it may have");
        assert!(lane.enter("v").await.is_ok());
        taken.pop();
        assert!(enters(&lane));
    }
}
