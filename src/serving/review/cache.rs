//! What reviews have found, for ten seconds. Failures are not kept. Who asks for the same at the same time waits for one
//! answer.

use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Clock;
use crate::model::Timestamp;
use crate::serving::review::{Failure, Fingerprint, Metrics, WAIT_MAX};

/// Answers by the fingerprint of what was asked.
pub(in crate::serving) struct Cache<V> {
    answers: moka::future::Cache<Fingerprint, Answer<V>>,
    clock: Clock,
    /// Of what kind the reviews are, for the metrics.
    name: &'static str,
    metrics: Metrics,
    wait_max: Duration,
}

#[derive(Clone)]
struct Answer<V> {
    came: Timestamp,
    value: V,
}

/// As long as the API servers of Kubernetes believe what was answered, be it good or bad.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// As many as they keep. With users of 1 KB it is 8 MB.
const ANSWERS_MAX: u64 = 8_192;

// === impl Cache ===

impl<V: Clone + Send + Sync + 'static> Cache<V> {
    pub(in crate::serving) fn new(name: &'static str, clock: Clock, metrics: Metrics) -> Self {
        // What is asked for often is kept when many things come that are asked for once: a flood displaces nobody.
        let answers = moka::future::Cache::builder().max_capacity(ANSWERS_MAX).time_to_live(ANSWER_TIME);
        Self { answers: answers.build(), clock, name, metrics, wait_max: WAIT_MAX }
    }

    /// What is known, or what `ask` finds. It ends in time even where one after the other gives up who asked for all.
    pub(in crate::serving) async fn get(
        &self,
        of: Fingerprint,
        ask: impl Future<Output = Result<V, Failure>>,
    ) -> Result<V, Failure> {
        if let Some(answer) = self.answers.get(&of).await {
            if answer.holds(self.clock.now()) {
                self.metrics.cached(self.name, true);
                return Ok(answer.value);
            }
            self.answers.invalidate(&of).await;
        }
        self.metrics.cached(self.name, false);
        let ask = async { ask.await.map(|value| Answer { came: self.clock.now(), value }) };
        match timeout(self.wait_max, self.answers.try_get_with(of, ask)).await {
            Ok(found) => found.map(|answer| answer.value).map_err(|failure| *failure),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

// === impl Answer ===

impl<V> Answer<V> {
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.came && now.since(self.came) < ANSWER_TIME
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::serving::review::Fingerprints;

    struct Scene {
        cache: Cache<u32>,
        now: Arc<AtomicI64>,
        asked: AtomicU32,
        keys: Fingerprints,
    }

    impl Scene {
        fn new() -> Self {
            let now = Arc::new(AtomicI64::new(1_000_000));
            let clock = {
                let now = now.clone();
                Clock::from_fn(move || Timestamp(now.load(Ordering::Relaxed)))
            };
            let cache = Cache::new("tokenreviews", clock, Metrics::register(&mut Registry::default()));
            Self { cache, now, asked: AtomicU32::new(0), keys: Fingerprints::new() }
        }

        async fn get(&self, text: &str, answer: Result<u32, Failure>) -> Result<u32, Failure> {
            let ask = async {
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                answer
            };
            self.cache.get(self.keys.of(text.as_bytes()), ask).await
        }

        fn asked(&self) -> u32 {
            self.asked.swap(0, Ordering::Relaxed)
        }
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
        let all = futures::future::join_all((0..100).map(|i| scene.get("a", Ok(i)))).await;
        assert!(all.iter().all(|answer| *answer == all[0]), "{all:?}");
        assert_eq!(scene.asked(), 1);
        let all = futures::future::join_all((0..100).map(|_| scene.get("b", Err(Failure::Timeout)))).await;
        assert!(all.iter().all(|answer| *answer == Err(Failure::Timeout)), "{all:?}");
        assert_eq!(scene.asked(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let mut scene = Scene::new();
        scene.cache.wait_max = Duration::from_millis(10);
        let answer = scene.cache.get(scene.keys.of(b"a"), std::future::pending()).await;
        assert_eq!(answer, Err(Failure::Timeout));
    }
}
