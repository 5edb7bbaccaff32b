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

use axum::http::{Method, Uri};
use axum::response::Response;
use futures::FutureExt;
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus};

use crate::clock::Clock;
use crate::config::one_line;
use crate::serving::authentication::User;
use crate::serving::health_paths::is_health;
use crate::serving::restraint::Restraint;
use crate::serving::review::{Cache, Failure, Fingerprints, Lane, Pace, Reviews, SUBJECT_ACCESS_REVIEWS};
use attributes::Attributes;
use metrics::Outcome;

/// Decides of requests. Clones share what was decided.
#[derive(Clone)]
pub struct Authorization(Arc<Parts>);

struct Parts {
    reviews: Reviews,
    lanes: Lanes,
    fingerprints: Fingerprints,
    decisions: Cache<Decision>,
    clock: Clock,
    metrics: Metrics,
    answer: fn(Denial) -> Response,
    denied: Restraint,
    undecided: Restraint,
}

/// Apart, so that nobody else holds up an autoscaler, no number of workloads the cluster, and none of strangers a
/// workload.
struct Lanes {
    /// For the controller that asks for all autoscalers, which is one user.
    autoscaling: Lane,
    /// For the rest of the cluster itself.
    system: Lane,
    users: Lane,
    /// For who has no name.
    anonymous: Lane,
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

/// Reviews at a time: of the autoscalers, of the rest of the cluster and of users, of each of these, and of who has no
/// name.
const AUTOSCALING_PLACES: usize = 32;
const PLACES: usize = 32;
const PLACES_OF_USER: usize = 4;
const ANONYMOUS_PLACES: usize = 4;

/// A review as long as this is not worth its place in the cache, as in the API servers of Kubernetes.
const CACHED_LENGTH_MAX: usize = 10_000;

// === impl Authorization ===

impl Authorization {
    /// `answer` writes the answer to a request that may not be made, as the API writes its errors.
    pub fn new(reviews: Reviews, clock: Clock, metrics: Metrics, answer: fn(Denial) -> Response) -> Self {
        let decisions = Cache::new(SUBJECT_ACCESS_REVIEWS, clock.clone(), &reviews.metrics);
        let (lanes, fingerprints) = (Lanes::new(), Fingerprints::new());
        let (denied, undecided) = (Restraint::default(), Restraint::default());
        Self(Arc::new(Parts { reviews, lanes, fingerprints, decisions, clock, metrics, answer, denied, undecided }))
    }

    /// Whether a user may make a request; else what is answered.
    pub(super) async fn admit(&self, user: &User, method: &Method, uri: &Uri) -> Result<(), Box<Response>> {
        let (outcome, denial) = match settled(user, uri) {
            Some(outcome) => (outcome, None),
            None => self.decide(user, method, uri).await,
        };
        self.0.metrics.request(outcome);
        denial.map_or(Ok(()), |denial| Err(Box::new((self.0.answer)(denial))))
    }

    async fn decide(&self, user: &User, method: &Method, uri: &Uri) -> (Outcome, Option<Denial>) {
        let attributes = || Attributes::of(method, uri);
        let (outcome, denial) = match self.decision(user, method, uri).await {
            Ok(Decision::Allowed) => return (Outcome::Allowed, None),
            Ok(Decision::Denied(reason)) => (Outcome::Denied, Denial::forbidden(&user.name, &attributes(), &reason)),
            Err(failure) => (Outcome::Undecided, Denial::undecided(&user.name, &attributes(), failure)),
        };
        self.0.report(&denial, user);
        (outcome, Some(denial))
    }

    /// What a request is about follows from its method and URI alone, so these are looked up as they are, and are taken
    /// apart only where nothing is known.
    async fn decision(&self, user: &User, method: &Method, uri: &Uri) -> Result<Decision, Failure> {
        let text = attributes::question(user, method, uri);
        let ask = || {
            let (parts, user, attributes) = (self.0.clone(), user.clone(), Attributes::of(method, uri));
            async move { parts.review(&user, attributes.asked_by(user.clone())).await }
        };
        match text.len() < CACHED_LENGTH_MAX {
            true => self.0.decisions.get(self.0.fingerprints.of(&text), ask).await,
            false => ask().boxed().await,
        }
    }
}

// === impl Parts ===

impl Parts {
    async fn review(&self, user: &User, spec: SubjectAccessReviewSpec) -> Result<Decision, Failure> {
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = self.reviews.ask(self.lanes.of(user), &user.name, &review).await?;
        Ok(Decision::of(answer.status.unwrap_or_default()))
    }

    /// A user that lacks a permission is somebody's mistake; strangers are none, and only counted.
    fn report(&self, denial: &Denial, user: &User) {
        let restraint = match denial {
            Denial::Forbidden { .. } => &self.denied,
            Denial::Undecided { .. } => &self.undecided,
        };
        if !user.is_anonymous()
            && let Some(others) = restraint.pass(self.clock.now())
        {
            tracing::info!(others, "request denied: {denial}");
        }
    }
}

// === impl Lanes ===

impl Lanes {
    fn new() -> Self {
        let lane = |places, pace| Lane::new(SUBJECT_ACCESS_REVIEWS, places, pace);
        Self {
            autoscaling: lane(AUTOSCALING_PLACES, Pace::FAST),
            system: lane(PLACES, Pace::USUAL).shared(PLACES_OF_USER),
            users: lane(PLACES, Pace::USUAL).shared(PLACES_OF_USER),
            anonymous: lane(ANONYMOUS_PLACES, Pace::USUAL),
        }
    }

    fn of(&self, user: &User) -> &Lane {
        match user {
            user if user.is_anonymous() => &self.anonymous,
            user if user.autoscales() => &self.autoscaling,
            user if user.is_system() => &self.system,
            _ => &self.users,
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
