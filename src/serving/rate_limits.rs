//! How many requests a client may make, by its tier: the layers around authentication.
//!
//! A request comes in with the [`Origin`] of its connection; it goes on, or is answered with 429 and the time after
//! which to ask again. Whoever runs the cluster is never limited, and neither are probes: a kube-apiserver that was told
//! to wait would wait within a worker of the HPA controller.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use governor::Quota;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{self, Config, Tier};
use crate::serving::activity::Standing;
use crate::serving::authentication::{Peer, User};
use crate::serving::connections::{Connections, Origin};
use crate::serving::rate::Rate;

/// Limits requests. Clones share what was asked.
#[derive(Clone)]
pub struct RateLimits {
    config: watch::Receiver<Arc<Config>>,
    connections: Connections,
    /// A rate for each tier, as the configuration in force has them.
    rates: Arc<Mutex<Rates>>,
    answer: fn(TooMany) -> Response,
}

struct Rates {
    tiers: config::Tiers,
    by_tier: Arc<[Rate; Tier::ALL.len()]>,
}

/// Why a request is not answered, for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    #[error("too many requests: a client of tier {} may make {per_minute} in 60 s; the next one in {} s", tier.name(), seconds(*wait))]
    Requests { tier: Tier, per_minute: NonZeroU32, wait: Duration },
    #[error("too many failed authentications from this address; the next try in {} s", seconds(*wait))]
    Failures { wait: Duration },
}

/// The window of all tiers.
const WINDOW: Duration = Duration::from_secs(60);

/// Layer around authentication: an address that keeps failing is not listened to for a while. That of a front proxy is.
pub async fn limit_failures(State(limits): State<RateLimits>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().filter(|_| !is_probe(request.uri().path())).cloned();
    let Some(origin) = origin.filter(|origin| !origin.is_front_proxy()) else { return next.run(request).await };
    let now = Instant::now();
    if let Some(until) = origin.failing_until(now) {
        limits.connections.limited(None);
        origin.spend();
        return (limits.answer)(TooMany::Failures { wait: until - now });
    }
    let peer = request.extensions().get::<Peer>().cloned();
    let response = next.run(request).await;
    // A front proxy is refused too while it is not known whom to believe; that says nothing of it.
    let awaits_trust = peer.is_some_and(|peer| peer.awaits_trust());
    if response.status() == StatusCode::UNAUTHORIZED && !awaits_trust {
        origin.fail(Instant::now());
    }
    response
}

/// Layer behind authentication: counts the requests of a user, and tells the connection whom it belongs to.
pub async fn limit_users(State(limits): State<RateLimits>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>().cloned();
    let Some(user) = request.extensions().get::<User>() else { return next.run(request).await };
    if let Some(origin) = origin.as_ref().filter(|_| !user.is_anonymous()) {
        let is_front_proxy = request.extensions().get::<Peer>().is_some_and(Peer::is_front_proxy);
        origin.promote(if is_front_proxy { Standing::FrontProxy } else { Standing::Known });
    }
    let is_free = is_probe(request.uri().path()) || user.is_system();
    let refused = if is_free { Ok(()) } else { limits.take(user, origin.as_ref()) };
    match refused {
        Ok(()) => next.run(request).await,
        Err(too_many) => {
            origin.iter().for_each(Origin::spend);
            (limits.answer)(too_many)
        }
    }
}

/// Paths of the kubelet's probes, which anybody may ask.
fn is_probe(path: &str) -> bool {
    matches!(path.strip_suffix('/').unwrap_or(path), "/livez" | "/readyz" | "/healthz")
}

/// Whole seconds, so that who waits for them has waited long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

// === impl RateLimits ===

impl RateLimits {
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        connections: Connections,
        answer: fn(TooMany) -> Response,
    ) -> Self {
        let rates = Rates::new(config.borrow().rate_limits.tiers);
        Self { config, connections, rates: Arc::new(Mutex::new(rates)), answer }
    }

    /// Takes one request of the user; of nobody in particular, by address.
    fn take(&self, user: &User, origin: Option<&Origin>) -> Result<(), TooMany> {
        let (tier, tiers) = {
            let config = self.config.borrow();
            (config.rate_limits.tier(&user.name, &user.groups), config.rate_limits.tiers)
        };
        let rates = self.rates(tiers);
        let rate = &rates[tier as usize];
        let taken = match origin.filter(|_| user.is_anonymous()) {
            Some(origin) => rate.take(("address", origin.network())),
            None => rate.take(("user", &user.name)),
        };
        taken.map_err(|wait| {
            self.connections.limited(Some(tier));
            TooMany::Requests { tier, per_minute: tiers.of(tier), wait }
        })
    }

    /// The rates of the configuration in force; where it has other numbers than before, counting begins anew.
    fn rates(&self, tiers: config::Tiers) -> Arc<[Rate; Tier::ALL.len()]> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.tiers != tiers {
            *rates = Rates::new(tiers);
        }
        rates.by_tier.clone()
    }
}

// === impl Rates ===

impl Rates {
    fn new(tiers: config::Tiers) -> Self {
        let rate = |tier| {
            let count = tiers.of(tier);
            let period = (WINDOW / count.get()).max(Duration::from_nanos(1));
            let quota = Quota::with_period(period).expect("not zero");
            Rate::new(quota.allow_burst(count))
        };
        Self { tiers, by_tier: Arc::new(Tier::ALL.map(rate)) }
    }
}

// === impl TooMany ===

impl TooMany {
    /// Seconds after which to ask again; at least one.
    pub fn retry_after_seconds(&self) -> u64 {
        let (Self::Requests { wait, .. } | Self::Failures { wait }) = self;
        seconds(*wait).max(1)
    }
}
