//! Says for each request who asks, and lets no one else in.
//!
//! A request comes in with the [`Peer`] at its other end; it goes on with a [`User`] where its page needs one, or is
//! answered with 401. Whoever has the certificate of the cluster's front proxy may say in headers for whom it asks;
//! from anybody else those headers are nothing. When it is not known whom to believe, nobody is.
//!
//! Nothing is asked of the cluster while a request waits: [`TrustWatch`] publishes what is known of the front proxy.

mod access;
mod config_map;
mod metrics;
mod peer;
mod refusal;
mod trust;
mod user;

pub use config_map::{Trust, TrustWatch};
pub use metrics::Metrics;
pub use peer::Peer;
pub use refusal::{Flaw, Refusal};
pub use trust::{RequestHeaderTrust, TrustError};
pub use user::User;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::watch;

use crate::clock::Clock;
use access::Access;

/// Judges requests. Clones share what is known.
#[derive(Clone)]
pub struct Authentication {
    pub trust: watch::Receiver<Trust>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Writes the answer to a refused request, as the API writes its errors.
    pub answer: fn(Refusal) -> Response,
}

/// Middleware: a request behind it is of somebody who may see the page, and has no identity headers any more.
pub async fn authenticate(State(authentication): State<Authentication>, mut request: Request, next: Next) -> Response {
    match authentication.admit(&mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::debug!(result = refusal.name(), "request refused: {refusal}");
            (authentication.answer)(refusal)
        }
    }
}

// === impl Authentication ===

impl Authentication {
    /// Puts the user into the request.
    fn admit(&self, request: &mut Request) -> Result<(), Refusal> {
        let trust = self.trust.borrow().in_force.clone();
        let admitted = match Access::of(request.uri().path()) {
            Access::Anybody => Ok(()),
            Access::Local => self.counted(local(request)),
            Access::User => self.counted(self.user(trust.as_ref(), request)).map(|user| {
                request.extensions_mut().insert(user);
            }),
        };
        if let Some(trust) = trust {
            trust.remove_identity(request.headers_mut());
        }
        admitted
    }

    /// Asks each authenticator until one knows the user; so far there is only the front proxy.
    fn user(&self, trust: Option<&Arc<RequestHeaderTrust>>, request: &Request) -> Result<User, Refusal> {
        let peer = request.extensions().get::<Peer>().ok_or(Refusal::NoCertificate)?;
        let trust = trust.ok_or(Refusal::NoTrust)?;
        peer.verify(trust, self.clock.now())?;
        trust.user(request.headers())
    }

    fn counted<T>(&self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        self.metrics.request(&result);
        result
    }
}

fn local(request: &Request) -> Result<(), Refusal> {
    let is_local = request.extensions().get::<Peer>().is_some_and(Peer::is_local);
    if is_local { Ok(()) } else { Err(Refusal::NotLocal) }
}
