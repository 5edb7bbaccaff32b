//! How many requests a client may make, by its tier: what stands before authentication and behind it.
//!
//! A request comes in with the [`Origin`] of its connection; it goes on, or is answered with 429 and the time after
//! which to ask again. Whoever runs the cluster is never limited, and neither are probes: a kube-apiserver that was told
//! to wait would wait within a worker of the HPA controller.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use governor::Quota;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{self, Config, Tier};
use crate::serving::activity::Standing;
use crate::serving::authentication::{Peer, Refusal, Shown, User};
use crate::serving::connections::{Connections, Judging, Origin};
use crate::serving::health_paths::is_health;
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
    #[error("too many bearer tokens from this address are being judged; the next try in {} s", seconds(TOKEN_WAIT))]
    Tokens,
    #[error("too many failed authentications from this address; the next try in {} s", seconds(*wait))]
    Failures { wait: Duration },
}

/// A request that shows a token or a certificate that may turn out to be bad, until that is judged.
pub(super) struct Attempt {
    origin: Origin,
    peer: Peer,
    /// Counts its token among those that are being judged.
    _judging: Option<Judging>,
}

/// The window of all tiers.
const WINDOW: Duration = Duration::from_secs(60);

/// A kube-apiserver judges a token in less.
const TOKEN_WAIT: Duration = Duration::from_secs(1);

/// Where a request comes from, and who is there.
fn ends(request: &Request) -> Option<(&Origin, &Peer)> {
    let extensions = request.extensions();
    Some((extensions.get()?, extensions.get()?))
}

/// Tells the connection of a request that it is the front proxy's, where it is.
pub(super) fn recognize(request: &Request) {
    if let Some((origin, peer)) = ends(request)
        && peer.is_front_proxy()
    {
        origin.promote(Standing::FrontProxy);
    }
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

    /// Before authentication of who is not known: an address that keeps failing is not listened to for a while, and has few
    /// tokens judged at a time. That holds for who shows a bad certificate, or a token that nobody has seen; who shows a
    /// good one, or nothing, does not pay for its neighbours.
    pub(super) fn admit_attempt(&self, shown: &Shown, request: &Request) -> Result<Option<Attempt>, Box<Response>> {
        let Some((origin, peer)) = ends(request) else { return Ok(None) };
        if is_health(request.uri()) || !shown.is_risky() {
            return Ok(None);
        }
        Attempt::begin(origin, peer, shown).map(Some).map_err(|too_many| {
            self.connections.limited(None);
            origin.spend();
            Box::new((self.answer)(too_many))
        })
    }

    /// Behind authentication: counts the requests of a user, and tells the connection whom it belongs to.
    pub(super) fn admit_user(&self, user: &User, request: &Request) -> Result<(), Box<Response>> {
        let origin = request.extensions().get::<Origin>();
        if let Some(origin) = origin.filter(|_| !user.is_anonymous()) {
            origin.promote(Standing::Known);
        }
        if is_health(request.uri()) || user.is_system() {
            return Ok(());
        }
        self.take(user, origin).map_err(|too_many| {
            origin.into_iter().for_each(Origin::spend);
            Box::new((self.answer)(too_many))
        })
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

// === impl Attempt ===

impl Attempt {
    fn begin(origin: &Origin, peer: &Peer, shown: &Shown) -> Result<Self, TooMany> {
        let now = Instant::now();
        if let Some(until) = origin.failing_until(now) {
            return Err(TooMany::Failures { wait: until - now });
        }
        let judging = shown.has_token().then(|| origin.judge(now).ok_or(TooMany::Tokens)).transpose()?;
        Ok(Self { origin: origin.clone(), peer: peer.clone(), _judging: judging })
    }

    /// Who is refused while it is not known whom to believe may be the front proxy.
    pub(super) fn fail(&self, refusal: Refusal) {
        if refusal.is_of_client() && !self.peer.awaits_trust() {
            self.origin.fail(Instant::now());
        }
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
        match self {
            Self::Requests { wait, .. } | Self::Failures { wait } => seconds(*wait).max(1),
            Self::Tokens => seconds(TOKEN_WAIT),
        }
    }
}
