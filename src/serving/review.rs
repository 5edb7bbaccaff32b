//! Asks the kube-apiserver for reviews: whose token one is (TokenReview), and who may what (SubjectAccessReview).
//!
//! A review goes out, and comes back answered, or a [`Failure`] does. Nobody waits longer than `WAIT_MAX`, whatever
//! the kube-apiserver does, and it is asked no more than a `Lane` lets through, whoever sends how much. What was
//! answered is known for a while (`Cache`). No failure ever is an answer.

mod cache;
mod failure;
mod fingerprint;
mod lane;
mod metrics;
mod shares;
mod trouble;

pub(super) use cache::Cache;
pub use failure::Failure;
pub(super) use fingerprint::{Fingerprint, Fingerprints};
pub(super) use lane::{Lane, Pace};
pub use metrics::Metrics;
pub(super) use metrics::{SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS};

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::clock::Clock;
use crate::config::with_causes;
use lane::Place;
use trouble::Troubles;

/// Asks for reviews. Clones share what went wrong.
#[derive(Clone)]
pub struct Reviews {
    client: Client,
    pub(super) metrics: Metrics,
    troubles: Arc<Troubles>,
    clock: Clock,
}

/// A kube-apiserver that takes longer to answer one review is ill.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody waits longer for an answer, with all tries and the others in the lane: a kube-apiserver gives up on what it
/// forwards after a minute, and autoscalers ask again after 15 s.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(15);

/// As the API servers of Kubernetes try again: five times in all, after half a second and then half as long again each
/// time, each up to a fifth longer so that many do not come back at once.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const GROWTH: f64 = 1.5;
const JITTER: f64 = 0.2;

// === impl Reviews ===

impl Reviews {
    pub fn new(client: Client, clock: Clock, metrics: Metrics) -> Self {
        Self { client, metrics, troubles: Arc::default(), clock }
    }

    /// Why the last reviews were not answered; `None` when they were, and before the first.
    pub fn trouble(&self) -> Option<String> {
        self.troubles.said()
    }

    /// Asks for this user until there is an answer, or no hope of one within the time.
    pub(super) async fn ask<R>(&self, lane: &Lane, user: &str, review: &R) -> Result<R, Failure>
    where
        R: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let timing = self.metrics.start(lane.name());
        let end = Instant::now() + WAIT_MAX;
        let answer = match timeout_at(end, lane.enter(user)).await.unwrap_or(Err(Failure::Busy)) {
            Ok(place) => timeout_at(end, self.tries(place, lane, review)).await.unwrap_or(Err(Failure::Timeout)),
            Err(failure) => Err(failure),
        };
        timing.finish(answer.as_ref().err());
        self.troubles.note(lane.name(), answer.as_ref().err(), self.clock.now());
        answer
    }

    async fn tries<R>(&self, _place: Place<'_>, lane: &Lane, review: &R) -> Result<R, Failure>
    where
        R: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let mut pause = FIRST_PAUSE;
        let mut left = TRIES - 1;
        loop {
            match self.attempt(review).await {
                Err(failure) if failure.may_pass() && left > 0 => {
                    self.metrics.retry(lane.name());
                    sleep(pause.mul_f64(1.0 + JITTER * random())).await;
                    (pause, left) = (pause.mul_f64(GROWTH), left - 1);
                }
                answer => return answer,
            }
        }
    }

    async fn attempt<R>(&self, review: &R) -> Result<R, Failure>
    where
        R: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let (api, parameters) = (Api::<R>::all(self.client.clone()), PostParams::default());
        match timeout(TRY_TIMEOUT, api.create(&parameters, review)).await {
            Ok(answer) => answer.map_err(|error| {
                tracing::debug!("the kube-apiserver does not answer a review: {}", with_causes(&error));
                Failure::of(&error)
            }),
            Err(_) => Err(Failure::Timeout),
        }
    }
}

/// From 0 to 1: std seeds each `RandomState` differently.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
