//! Who may ask, in a cluster: the parts that find that out, wired up, and their answers in the form of the API's errors.

use axum::Extension;
use axum::response::{IntoResponse, Response};
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::admin::Check;
use crate::api::{Details, Status};
use crate::clock::Clock;
use crate::serving::authentication::{self, Authentication, Refusal, Tokens, Trust, TrustWatch};
use crate::serving::authorization::{self, Authorization, Denial};
use crate::serving::gate::Gate;
use crate::serving::rate_limits::RateLimits;
use crate::serving::review::{self, Reviews};
use crate::telemetry::Reported;

use super::readiness;

/// What stands before the router in a cluster.
pub(super) struct Access {
    authentication: Authentication,
    authorization: Authorization,
    /// Keeps current what certificates are judged by.
    pub(super) watch: TrustWatch,
    reviews: Reviews,
    trust: watch::Receiver<Trust>,
}

// === impl Access ===

impl Access {
    pub(super) fn new(client: Client, clock: &Clock, registry: &mut Registry) -> Self {
        let (publish, trust) = watch::channel(Trust::default());
        let reviews = Reviews::new(client.clone(), clock.clone(), review::Metrics::register(registry));
        let metrics = authentication::Metrics::register(registry);
        let tokens = Tokens::new(reviews.clone(), clock.clone());
        let authentication = Authentication::new(trust.clone(), tokens, clock.clone(), metrics.clone(), unauthorized);
        let permissions = authorization::Metrics::register(registry);
        let authorization = Authorization::new(reviews.clone(), clock.clone(), permissions, denied);
        let check_interval = TrustWatch::CHECK_INTERVAL;
        let watch = TrustWatch { client, publish, clock: clock.clone(), metrics, check_interval };
        Self { authentication, authorization, watch, reviews, trust }
    }

    pub(super) fn checks(&self) -> [Check; 2] {
        [readiness::authentication(self.trust.clone()), readiness::authorization(self.reviews.clone())]
    }

    /// What stands before the router: the rate of failures, authentication, the rates of users, authorization.
    pub(super) fn gate(&self, limits: &RateLimits) -> Gate {
        Gate::new(limits.clone(), self.authentication.clone(), self.authorization.clone())
    }
}

fn unauthorized(refusal: Refusal) -> Response {
    Status::unauthorized(refusal).into_response()
}

fn denied(denial: Denial) -> Response {
    match denial {
        // Authorization says it in the log.
        Denial::Undecided { message } => (Extension(Reported), Status::internal_error(message)).into_response(),
        Denial::Forbidden { message, details } => {
            let authorization::Details { name, group, resource: kind } = details;
            Status::forbidden(message, Details { name, group, kind, retry_after: None }).into_response()
        }
    }
}
