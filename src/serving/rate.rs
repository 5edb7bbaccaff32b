//! How often somebody may do something: GCRA by key, with a bound on keys.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// A quota for each key.
pub(super) struct Rate<C: Clock = Monotonic> {
    limiter: RateLimiter<Slot, HashMapStateStore<Slot>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    hasher: RandomState,
    /// When keys were last forgotten that have their whole quota again.
    tidied: Mutex<C::Instant>,
}

/// Where a key is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    Own(u64),
    /// With others, while there are too many keys.
    Shared(u64),
}

/// Time since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Monotonic(Instant);

/// Some 5 MB.
const KEYS_MAX: usize = 1 << 16;

/// Slots of the keys beyond.
const SHARED_SLOTS: u64 = 1 << 10;

/// To look through all keys takes about a millisecond.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);

// === impl Rate ===

impl Rate {
    pub(super) fn new(quota: Quota) -> Self {
        Self::with_clock(quota, Monotonic(Instant::now()))
    }
}

impl<C: Clock + Clone> Rate<C> {
    fn with_clock(quota: Quota, clock: C) -> Self {
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        let tidied = Mutex::new(clock.now());
        Self { limiter, clock, hasher: RandomState::new(), tidied }
    }

    /// Takes one of the key's quota.
    ///
    /// # Errors
    /// The time until there is one again.
    pub(super) fn take(&self, key: impl Hash) -> Result<(), Duration> {
        self.tidy();
        let hash = self.hasher.hash_one(key);
        let is_full = self.limiter.len() >= KEYS_MAX;
        let slot = if is_full { Slot::Shared(hash % SHARED_SLOTS) } else { Slot::Own(hash) };
        self.limiter.check_key(&slot).map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    fn tidy(&self) {
        let now = self.clock.now();
        let mut tidied = self.tidied.lock().unwrap_or_else(PoisonError::into_inner);
        if Duration::from(now.duration_since(*tidied)) >= TIDY_INTERVAL {
            *tidied = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

impl<C: Clock> fmt::Debug for Rate<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rate")
    }
}

// === impl Monotonic ===

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn two_a_minute() -> (Rate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rate::with_clock(Quota::per_minute(NonZeroU32::new(2).expect("not zero")), clock.clone()), clock)
    }

    #[test]
    fn each_key_has_its_quota_which_comes_back_evenly() {
        let (rate, clock) = two_a_minute();
        assert_eq!([rate.take("a"), rate.take("a"), rate.take("b")], [Ok(()); 3]);
        assert_eq!(rate.take("a"), Err(Duration::from_secs(30)));
        clock.advance(Duration::from_secs(29));
        assert_eq!(rate.take("a"), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!((rate.take("a"), rate.take("a").is_err()), (Ok(()), true));
    }

    #[test]
    fn keys_are_bounded_and_forgotten() {
        let (rate, clock) = two_a_minute();
        for key in 0..2 * KEYS_MAX {
            rate.take(key).ok();
        }
        let most = KEYS_MAX + SHARED_SLOTS as usize;
        assert!((KEYS_MAX..=most).contains(&rate.limiter.len()), "{}", rate.limiter.len());
        let refused = (2 * KEYS_MAX..3 * KEYS_MAX).filter(|key| rate.take(key).is_err()).count();
        assert!(refused > KEYS_MAX / 2, "{refused}");
        clock.advance(Duration::from_secs(200));
        assert_eq!((rate.take("a"), rate.limiter.len()), (Ok(()), 1));
    }
}
