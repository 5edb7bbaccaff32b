//! Asks the kube-apiserver for reviews: whose token one is (TokenReview), and who may what (SubjectAccessReview).
//!
//! A review goes out, and comes back answered, or a [`Failure`] does. Nobody waits longer than [`WAIT_MAX`], whatever
//! the kube-apiserver does, and it is asked no more than a [`Lane`] lets through, whoever sends how much. What was
//! answered is known for a while ([`Cache`]). No failure ever is an answer.

mod cache;
mod failure;
mod fingerprint;
mod lane;
mod metrics;

pub(super) use cache::Cache;
pub use failure::Failure;
pub(super) use failure::causes;
pub(super) use fingerprint::{Fingerprint, Fingerprints};
pub(super) use lane::Lane;
pub use metrics::Metrics;
pub(super) use metrics::{SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS};

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::PostParams;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

/// Asks for reviews. Clones share what went wrong.
#[derive(Clone)]
pub struct Reviews {
    client: Client,
    pub(super) metrics: Metrics,
    trouble: Arc<Mutex<Option<String>>>,
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
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics, trouble: Arc::default() }
    }

    /// Why the last review was not answered; `None` when it was, and before the first.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks until there is an answer, or no hope of one within the time.
    pub(super) async fn ask<R>(&self, lane: &Lane, review: &R) -> Result<R, Failure>
    where
        R: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let timing = self.metrics.start(lane.name());
        let answer = timeout(WAIT_MAX, self.tries(lane, review)).await.unwrap_or(Err(Failure::Timeout));
        timing.finish(answer.as_ref().err());
        self.note(lane, answer.as_ref().err());
        answer
    }

    async fn tries<R>(&self, lane: &Lane, review: &R) -> Result<R, Failure>
    where
        R: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
    {
        let _place = lane.enter().await?;
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
                tracing::debug!("the kube-apiserver does not answer a review: {}", causes(&error));
                Failure::of(&error)
            }),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// Says what goes wrong when it begins and when it ends. A full lane is nothing that the kube-apiserver does wrong.
    fn note(&self, lane: &Lane, failure: Option<&Failure>) {
        if failure == Some(&Failure::Busy) {
            return;
        }
        let now = failure.map(|failure| format!("{} are not answered: {failure}", lane.name()));
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &now) {
            (None, Some(trouble)) => tracing::warn!("{trouble}; who depends on them is refused"),
            (Some(_), None) => tracing::info!("reviews are answered again"),
            _ => {}
        }
        *known = now;
    }
}

/// From 0 to 1: std seeds each `RandomState` differently.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}
