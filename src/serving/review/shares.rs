//! What one user may have of a lane: whoever asks for much waits for himself, and not the others for him.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::serving::review::Failure;

/// The shares that are taken.
pub(super) struct Shares {
    each: usize,
    by_user: Mutex<BTreeMap<Arc<str>, Taken>>,
}

/// What a user has of them.
struct Taken {
    places: Arc<Semaphore>,
    /// Those with a place and those that wait for one.
    count: usize,
}

/// One place of a user, for as long as this is kept.
pub(super) struct Share<'a> {
    _waited: Waiting<'a>,
    _place: OwnedSemaphorePermit,
}

/// One that counts, be it with a place or without.
struct Waiting<'a> {
    shares: &'a Shares,
    user: Arc<str>,
}

/// A page of a browser asks for less at once. Who has more than this waiting is turned away.
const WAITING_MAX: usize = 64;

// === impl Shares ===

impl Shares {
    pub(super) fn new(each: usize) -> Self {
        Self { each, by_user: Mutex::default() }
    }

    /// Waits until the user has fewer places than it may have.
    pub(super) async fn take(&self, user: &str) -> Result<Share<'_>, Failure> {
        let (waiting, places) = self.begin(user)?;
        let place = places.acquire_owned().await.expect("nobody closes it");
        Ok(Share { _waited: waiting, _place: place })
    }

    fn begin(&self, user: &str) -> Result<(Waiting<'_>, Arc<Semaphore>), Failure> {
        let mut by_user = self.by_user();
        let user: Arc<str> = user.into();
        let new = || Taken { places: Arc::new(Semaphore::new(self.each)), count: 0 };
        let taken = by_user.entry(user.clone()).or_insert_with(new);
        if taken.count >= self.each + WAITING_MAX {
            return Err(Failure::Busy);
        }
        taken.count += 1;
        Ok((Waiting { shares: self, user }, taken.places.clone()))
    }

    fn by_user(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Taken>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Waiting ===

impl Drop for Waiting<'_> {
    /// Of who has nothing any more nothing is kept.
    fn drop(&mut self) {
        let mut by_user = self.shares.by_user();
        if let Some(taken) = by_user.get_mut(&self.user) {
            taken.count -= 1;
            if taken.count == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn who_has_too_many_waiting_is_turned_away_and_the_others_are_not() {
        let shares = Shares::new(1);
        let first = shares.take("u").await.expect("a place");
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(shares.take("u"))).collect();
        for other in &mut waiting {
            assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(matches!(shares.take("u").await, Err(Failure::Busy)));
        assert!(shares.take("v").await.is_ok());
        drop(first);
        assert!(waiting.remove(0).await.is_ok());
        drop(waiting);
        assert!(shares.by_user().is_empty(), "nothing is kept of who has gone");
    }
}
