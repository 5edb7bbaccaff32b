//! Says for each request whether its [`User`] may make it.
//!
//! A request of a user goes on, or is answered with 403; where that cannot be found out, with 500. Whoever is in
//! `system:masters` may do anything, and anybody may ask whether the process is well; of everything else the
//! kube-apiserver decides (SubjectAccessReview), which is believed for ten seconds. A failure never lets anybody in.

mod attributes;
mod denial;
mod metrics;

pub use denial::{Denial, Details};
pub use metrics::Metrics;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::Response;
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus};

use crate::clock::Clock;
use crate::config::one_line;
use crate::serving::authentication::User;
use crate::serving::restraint::Restraint;
use crate::serving::review::{Cache, Failure, Fingerprints, Lane, Reviews, SUBJECT_ACCESS_REVIEWS};
use attributes::{Attributes, is_health};
use metrics::Outcome;

/// Decides of requests. Clones share what was decided.
#[derive(Clone)]
pub struct Authorization(Arc<Parts>);

struct Parts {
    reviews: Reviews,
    /// For users, and for who has no name, apart: strangers are not to hold up an autoscaler.
    lanes: [Lane; 2],
    fingerprints: Fingerprints,
    decisions: Cache<Decision>,
    clock: Clock,
    metrics: Metrics,
    answer: fn(Denial) -> Response,
    denied: Restraint,
}

/// What the kube-apiserver says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Allowed,
    /// With its reason, which may be empty.
    Denied(Arc<str>),
}

/// Its members may do anything, also where nothing can be asked.
const MASTERS: &str = "system:masters";

/// Reviews at a time: of users, and of who has no name.
const PLACES: usize = 32;
const ANONYMOUS_PLACES: usize = 4;

/// A review as long as this is not worth its place in the cache, as in the API servers of Kubernetes.
const CACHED_LENGTH_MAX: usize = 10_000;

/// Middleware behind [`authenticate`](crate::serving::authentication::authenticate): a request behind it may be made.
pub async fn authorize(State(authorization): State<Authorization>, request: Request, next: Next) -> Response {
    let parts = &*authorization.0;
    // Without the other middleware in front nobody is known.
    let user = request.extensions().get::<User>().cloned().unwrap_or_else(User::anonymous);
    let (outcome, denial) = match settled(&user, request.uri()) {
        Some(outcome) => (outcome, None),
        None => parts.decide(user, Attributes::of(request.method(), request.uri())).await,
    };
    parts.metrics.request(outcome);
    match denial {
        None => next.run(request).await,
        Some(denial) => (parts.answer)(denial),
    }
}

// === impl Authorization ===

impl Authorization {
    /// `answer` writes the answer to a request that may not be made, as the API writes its errors.
    pub fn new(reviews: Reviews, clock: Clock, metrics: Metrics, answer: fn(Denial) -> Response) -> Self {
        let decisions = Cache::new(SUBJECT_ACCESS_REVIEWS, clock.clone(), reviews.metrics.clone());
        let lanes = [PLACES, ANONYMOUS_PLACES].map(|places| Lane::new(SUBJECT_ACCESS_REVIEWS, places));
        let (fingerprints, denied) = (Fingerprints::new(), Restraint::default());
        Self(Arc::new(Parts { reviews, lanes, fingerprints, decisions, clock, metrics, answer, denied }))
    }
}

// === impl Parts ===

impl Parts {
    async fn decide(&self, user: User, attributes: Attributes) -> (Outcome, Option<Denial>) {
        let (name, is_anonymous) = (user.name.clone(), user.is_anonymous());
        match self.decision(attributes.clone().asked_by(user), is_anonymous).await {
            Ok(Decision::Allowed) => (Outcome::Allowed, None),
            Ok(Decision::Denied(reason)) => {
                let denial = Denial::forbidden(&name, &attributes, &reason);
                self.report(&denial, is_anonymous);
                (Outcome::Denied, Some(denial))
            }
            Err(failure) => (Outcome::Undecided, Some(Denial::undecided(&name, &attributes, failure))),
        }
    }

    async fn decision(&self, spec: SubjectAccessReviewSpec, is_anonymous: bool) -> Result<Decision, Failure> {
        let text = serde_json::to_vec(&spec).expect("our types have string keys only and so always serialize");
        let lane = &self.lanes[usize::from(is_anonymous)];
        let ask = self.review(lane, spec);
        match text.len() < CACHED_LENGTH_MAX {
            true => self.decisions.get(self.fingerprints.of(&text), ask).await,
            false => ask.await,
        }
    }

    async fn review(&self, lane: &Lane, spec: SubjectAccessReviewSpec) -> Result<Decision, Failure> {
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = self.reviews.ask(lane, &review).await?;
        Ok(Decision::of(answer.status.unwrap_or_default()))
    }

    /// A user that lacks a permission is somebody's mistake; strangers are none, and only counted.
    fn report(&self, denial: &Denial, is_anonymous: bool) {
        if is_anonymous {
            return;
        }
        if let Some(others) = self.denied.pass(self.clock.now()) {
            tracing::info!(others, "request denied: {denial}");
        }
    }
}

// === impl Decision ===

impl Decision {
    /// Who says both is not to be believed.
    fn of(status: SubjectAccessReviewStatus) -> Self {
        if let Some(error) = &status.evaluation_error {
            tracing::debug!("the kube-apiserver says of a SubjectAccessReview: {}", one_line(error));
        }
        match (status.allowed, status.denied) {
            (true, None | Some(false)) => Self::Allowed,
            _ => Self::Denied(one_line(&status.reason.unwrap_or_default()).into()),
        }
    }
}

/// What may be done whatever anybody says.
fn settled(user: &User, uri: &Uri) -> Option<Outcome> {
    if user.groups.iter().any(|group| group == MASTERS) {
        return Some(Outcome::Masters);
    }
    is_health(uri).then_some(Outcome::Health)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_allows() {
        let decision = |allowed, denied, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            Decision::of(SubjectAccessReviewStatus { allowed, denied, reason, evaluation_error: None })
        };
        let denied = |reason: &str| Decision::Denied(reason.into());
        assert_eq!(decision(true, None, None), Decision::Allowed);
        assert_eq!(decision(true, Some(false), Some("by a binding")), Decision::Allowed);
        assert_eq!(decision(true, Some(true), None), denied(""));
        assert_eq!(decision(false, Some(true), Some("no\nway")), denied("no\\nway"));
        assert_eq!(decision(false, None, None), denied(""));
        assert_eq!(Decision::of(SubjectAccessReviewStatus::default()), denied(""));
    }
}
