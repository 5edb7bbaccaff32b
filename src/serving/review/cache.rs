//! What reviews have found, for ten seconds. Failures are not kept. Who asks for the same at the same time waits for one
//! answer.
//!
//! A review under way belongs to all who wait for it: it goes on while one of them does, whoever came first, and ends
//! when the last has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::clock::Clock;
use crate::model::Timestamp;
use crate::serving::review::metrics::Looks;
use crate::serving::review::{Failure, Fingerprint, Metrics};

/// Answers by the fingerprint of what was asked. Clones share them.
#[derive(Clone)]
pub(in crate::serving) struct Cache<V> {
    answers: moka::sync::Cache<Fingerprint, Answer<V>>,
    under_way: Arc<Mutex<UnderWay<V>>>,
    clock: Clock,
    looks: Looks,
}

#[derive(Clone)]
struct Answer<V> {
    came: Timestamp,
    value: V,
}

type Review<V> = BoxFuture<'static, Result<V, Failure>>;

/// Reviews that somebody waits for.
struct UnderWay<V> {
    reviews: HashMap<Fingerprint, (u64, WeakShared<Review<V>>)>,
    /// Number of the last one that began.
    last: u64,
}

/// A place among the reviews under way, for as long as this is kept.
struct Entry<V> {
    under_way: Arc<Mutex<UnderWay<V>>>,
    of: Fingerprint,
    number: u64,
}

/// As long as the API servers of Kubernetes believe what was answered, be it good or bad.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// As many as they keep. With users of 1 KB it is 8 MB.
const ANSWERS_MAX: u64 = 8_192;

// === impl Cache ===

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    /// `name` is what kind of reviews these are.
    pub(in crate::serving) fn new(name: &'static str, clock: Clock, metrics: &Metrics) -> Self {
        // What is asked for often is kept when many things come that are asked for once: a flood displaces nobody.
        let answers = moka::sync::Cache::builder().max_capacity(ANSWERS_MAX).time_to_live(ANSWER_TIME);
        let under_way = Arc::new(Mutex::new(UnderWay { reviews: HashMap::new(), last: 0 }));
        Self { answers: answers.build(), under_way, clock, looks: metrics.looks(name) }
    }

    /// What is known. Who finds nothing here asks next, and that is what counts.
    pub(in crate::serving) fn known(&self, of: Fingerprint) -> Option<V> {
        self.look(of).inspect(|_| self.looks.note(true))
    }

    /// What is known, or what a question finds, which has to end in time. The question is made where it is needed only: it
    /// is large, and nearly always all is known.
    pub(in crate::serving) async fn get<Q>(&self, of: Fingerprint, ask: impl FnOnce() -> Q) -> Result<V, Failure>
    where
        Q: Future<Output = Result<V, Failure>> + Send + 'static,
    {
        let known = self.look(of);
        self.looks.note(known.is_some());
        match known {
            Some(value) => Ok(value),
            None => self.join(of, ask).await,
        }
    }

    fn look(&self, of: Fingerprint) -> Option<V> {
        let answer = self.answers.get(&of)?;
        answer.holds(self.clock.now()).then_some(answer.value)
    }

    /// The review of this that is under way, or a new one.
    fn join<Q>(&self, of: Fingerprint, ask: impl FnOnce() -> Q) -> Shared<Review<V>>
    where
        Q: Future<Output = Result<V, Failure>> + Send + 'static,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(review) = under_way.reviews.get(&of).and_then(|(_, review)| review.upgrade()) {
            return review;
        }
        under_way.last += 1;
        let entry = Entry { under_way: self.under_way.clone(), of, number: under_way.last };
        let review = self.clone().review(entry, ask()).boxed().shared();
        let weak = review.downgrade().expect("it has not been polled");
        let number = under_way.last;
        under_way.reviews.insert(of, (number, weak));
        review
    }

    /// Another review may have ended just before this one was begun, so what is known is looked at once more.
    async fn review(self, entry: Entry<V>, ask: impl Future<Output = Result<V, Failure>>) -> Result<V, Failure> {
        if let Some(value) = self.look(entry.of) {
            return Ok(value);
        }
        let value = ask.await?;
        self.answers.insert(entry.of, Answer { came: self.clock.now(), value: value.clone() });
        Ok(value)
    }
}

// === impl Answer ===

impl<V> Answer<V> {
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.came && now.since(self.came) < ANSWER_TIME
    }
}

// === impl Entry ===

impl<V> Drop for Entry<V> {
    /// After the last has gone and before this, a new one may have taken the place.
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        if under_way.reviews.get(&self.of).is_some_and(|(number, _)| *number == self.number) {
            under_way.reviews.remove(&self.of);
        }
    }
}

fn lock<V>(under_way: &Mutex<UnderWay<V>>) -> MutexGuard<'_, UnderWay<V>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
    use std::task::{Context, Waker};

    use prometheus_client::registry::Registry;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::serving::review::Fingerprints;

    struct Scene {
        cache: Cache<u32>,
        now: Arc<AtomicI64>,
        asked: Arc<AtomicU32>,
        keys: Fingerprints,
        /// One permit for each review that may be answered.
        answers: Arc<Semaphore>,
    }

    impl Scene {
        fn new() -> Self {
            let now = Arc::new(AtomicI64::new(1_000_000));
            let clock = {
                let now = now.clone();
                Clock::from_fn(move || Timestamp(now.load(Ordering::Relaxed)))
            };
            let cache = Cache::new("tokenreviews", clock, &Metrics::register(&mut Registry::default()));
            Self { cache, now, asked: Arc::default(), keys: Fingerprints::new(), answers: Arc::new(Semaphore::new(10)) }
        }

        async fn get(&self, text: &str, answer: Result<u32, Failure>) -> Result<u32, Failure> {
            let (asked, answers) = (self.asked.clone(), self.answers.clone());
            let ask = || async move {
                asked.fetch_add(1, Ordering::Relaxed);
                answers.acquire().await.expect("nobody closes it").forget();
                answer
            };
            self.cache.get(self.keys.of(text.as_bytes()), ask).await
        }

        /// Has all wait before the first is answered.
        async fn get_all(&self, text: &str, answer: Result<u32, Failure>) -> Vec<Result<u32, Failure>> {
            self.answers.forget_permits(10);
            let mut all: Vec<_> = (0..100).map(|_| Box::pin(self.get(text, answer))).collect();
            assert!(all.iter_mut().all(|waiting| is_pending(waiting.as_mut())));
            self.answers.add_permits(10);
            futures::future::join_all(all).await
        }

        fn asked(&self) -> u32 {
            self.asked.swap(0, Ordering::Relaxed)
        }
    }

    fn is_pending(waiting: Pin<&mut impl Future>) -> bool {
        waiting.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn an_answer_holds_for_ten_seconds() {
        let scene = Scene::new();
        assert_eq!(scene.get("a", Ok(1)).await, Ok(1));
        scene.now.fetch_add(9_999, Ordering::Relaxed);
        assert_eq!(scene.get("a", Ok(2)).await, Ok(1));
        assert_eq!(scene.asked(), 1);
        scene.now.fetch_add(1, Ordering::Relaxed);
        assert_eq!(scene.get("a", Ok(2)).await, Ok(2));
        assert_eq!(scene.get("b", Ok(3)).await, Ok(3));
        assert_eq!(scene.asked(), 2);
        // A clock that is set back proves nothing.
        scene.now.fetch_sub(5_000, Ordering::Relaxed);
        assert_eq!(scene.get("a", Ok(4)).await, Ok(4));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_what_has_expired_does_not_come_back_for_it() {
        let scene = Scene::new();
        assert_eq!(scene.get("a", Err(Failure::Connection)).await, Err(Failure::Connection));
        assert_eq!(scene.get("a", Ok(1)).await, Ok(1));
        scene.now.fetch_add(10_000, Ordering::Relaxed);
        assert_eq!(scene.get("a", Err(Failure::Timeout)).await, Err(Failure::Timeout));
        assert_eq!(scene.get("a", Err(Failure::Timeout)).await, Err(Failure::Timeout));
        assert_eq!(scene.asked(), 4);
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_for_the_same_waits_for_one_answer() {
        let scene = Scene::new();
        for (text, answer) in [("a", Ok(1)), ("b", Err(Failure::Timeout))] {
            let all = scene.get_all(text, answer).await;
            assert!(all.iter().all(|found| *found == answer), "{all:?}");
            assert_eq!(scene.asked(), 1);
        }
    }

    #[tokio::test]
    async fn whoever_gives_up_ends_it_for_nobody_else_however_often() {
        let scene = Scene::new();
        scene.answers.forget_permits(10);
        let (mut first, mut last) = (Box::pin(scene.get("a", Ok(0))), Box::pin(scene.get("a", Ok(7))));
        assert!(is_pending(first.as_mut()) && is_pending(last.as_mut()));
        for i in 1..1_000 {
            let mut next = Box::pin(scene.get("a", Ok(i)));
            drop(first);
            assert!(is_pending(next.as_mut()) && is_pending(last.as_mut()));
            first = next;
        }
        drop(first);
        scene.answers.add_permits(1);
        assert_eq!((last.await, scene.asked()), (Ok(0), 1), "the first was under way, and went on");
    }

    #[tokio::test]
    async fn a_review_that_nobody_waits_for_ends_and_the_next_begins_anew() {
        let scene = Scene::new();
        scene.answers.forget_permits(10);
        for _ in 0..1_000 {
            assert!(is_pending(std::pin::pin!(scene.get("a", Ok(1)))));
        }
        scene.answers.add_permits(1);
        assert_eq!((scene.get("a", Ok(2)).await, scene.asked()), (Ok(2), 1_001));
        assert!(lock(&scene.cache.under_way).reviews.is_empty());
    }
}
