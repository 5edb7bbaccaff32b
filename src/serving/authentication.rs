//! Says for each request who asks.
//!
//! A request comes in with the [`Peer`] at its other end; it goes on with a [`User`], or is answered with 401. Whoever
//! has the certificate of the cluster's front proxy may say in headers for whom it asks; from anybody else those headers
//! are nothing. Users have certificates of their own, or bearer tokens; who shows nothing is anonymous. Who shows
//! something that is not good, and nothing that is, is nobody.
//!
//! What is known of certificates [`TrustWatch`] publishes, and nothing is asked while a request waits; whose a token is
//! the kube-apiserver is asked ([`Tokens`]), every ten seconds at most. No credential goes on with a request.

mod authority;
mod client_trust;
mod config_map;
mod method;
mod metrics;
mod peer;
mod refusal;
mod token;
mod trust;
mod user;

pub use client_trust::ClientTrust;
pub use config_map::{Anchors, Trust, TrustWatch};
pub use metrics::Metrics;
pub use peer::Peer;
pub use refusal::{Flaw, Refusal};
pub use token::Tokens;
pub use trust::{RequestHeaderTrust, TrustError};
pub use user::User;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::serving::health_paths::is_health;
use crate::serving::restraint::Restraint;
use method::Method;
use peer::Holder;
use token::Token;
use user::IdentityHeaders;

/// Judges requests. Clones share what is known.
#[derive(Clone)]
pub struct Authentication(Arc<Parts>);

struct Parts {
    trust: watch::Receiver<Trust>,
    tokens: Tokens,
    clock: Clock,
    metrics: Metrics,
    answer: fn(Refusal) -> Response,
    refused: Restraint,
}

/// What a request shows of who asks.
pub struct Shown {
    /// Whom certificate and headers name; nobody where there are none.
    certified: Result<Option<(Arc<User>, Method)>, Refusal>,
    token: Result<Option<Token>, Refusal>,
}

// === impl Authentication ===

impl Authentication {
    /// `answer` writes the answer to a refused request, as the API writes its errors.
    pub fn new(
        trust: watch::Receiver<Trust>,
        tokens: Tokens,
        clock: Clock,
        metrics: Metrics,
        answer: fn(Refusal) -> Response,
    ) -> Self {
        Self(Arc::new(Parts { trust, tokens, clock, metrics, answer, refused: Restraint::default() }))
    }

    /// Takes out of a request what it shows: nobody behind is to read what nobody has checked, or to pass it on.
    pub fn take(&self, request: &mut Request) -> Shown {
        self.0.take(request)
    }

    /// Who shows this, where that is known and nobody has to be asked.
    pub(super) fn known(&self, shown: &Shown) -> Option<Arc<User>> {
        let (user, method) = match (&shown.certified, &shown.token) {
            (Ok(Some(found)), _) => found.clone(),
            (_, Ok(Some(token))) => (self.0.tokens.known(token)?, Method::Token),
            _ => return None,
        };
        self.0.metrics.request(Ok(method));
        Some(user)
    }

    /// Who shows this.
    ///
    /// # Errors
    /// Why it is nobody; that is noted in the log.
    pub async fn find(&self, shown: Shown) -> Result<Arc<User>, Refusal> {
        let found = self.0.find(shown).await;
        self.0.metrics.request(found.as_ref().map(|(_, method)| *method).map_err(|refusal| *refusal));
        found.map(|(user, _)| user).inspect_err(|refusal| self.0.report(*refusal))
    }

    /// What is answered to a request of nobody.
    pub fn answer(&self, refusal: Refusal) -> Response {
        (self.0.answer)(refusal)
    }
}

// === impl Parts ===

impl Parts {
    fn take(&self, request: &mut Request) -> Shown {
        let anchors = self.trust.borrow().in_force.clone();
        let holder = match request.extensions().get::<Peer>() {
            Some(peer) => peer.judge(&anchors, self.clock.now()),
            None => Ok(Holder::Nobody),
        };
        let certified = holder.and_then(|holder| match (holder, &anchors.front_proxy) {
            (Holder::FrontProxy(own), Some(trust)) => match (trust.user(request.headers()), own) {
                (Err(Refusal::NoUser), Some(own)) => Ok(Some((own, Method::Certificate))),
                (proxied, _) => Ok(Some((Arc::new(proxied?), Method::FrontProxy))),
            },
            (Holder::User(user), _) => Ok(Some((user, Method::Certificate))),
            (Holder::FrontProxy(_) | Holder::Nobody, _) => Ok(None),
        });
        // Anybody may ask how the process is, so nobody is asked whose a token is that came with it.
        let token = if is_health(request.uri()) { Ok(None) } else { Token::of(request.headers()) };
        let headers = request.headers_mut();
        headers.remove(header::AUTHORIZATION);
        match &anchors.front_proxy {
            Some(trust) => trust.remove_identity(headers),
            None => IdentityHeaders::usual().remove_from(headers),
        }
        Shown { certified, token }
    }

    /// The first who is known; anonymous is only who shows nothing at all.
    async fn find(&self, shown: Shown) -> Result<(Arc<User>, Method), Refusal> {
        if let Ok(Some(found)) = shown.certified {
            return Ok(found);
        }
        if let Some(token) = shown.token? {
            return Ok((self.tokens.user(token).await?, Method::Token));
        }
        shown.certified?;
        Ok((Arc::new(User::anonymous()), Method::Anonymous))
    }

    fn report(&self, refusal: Refusal) {
        if let Some(others) = self.refused.pass(self.clock.now()) {
            tracing::info!(result = refusal.name(), others, "request refused: {refusal}");
        }
    }
}

// === impl Shown ===

impl Shown {
    /// Whether there is a token that has to be judged.
    pub(super) fn has_token(&self) -> bool {
        matches!(self.token, Ok(Some(_)))
    }

    /// Whether something may turn out to be bad. Of who asks for the health of the process no token is looked at.
    pub(super) fn is_risky(&self) -> bool {
        let is_bad = self.certified.as_ref().is_err_and(|refusal| refusal.is_of_client());
        is_bad || !matches!(self.token, Ok(None))
    }
}
