//! The other end of a connection: where it is, which certificates it has shown, and what was found of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::model::Timestamp;
use crate::serving::authentication::{Anchors, Refusal, User};

/// The other end of a connection, known to each of its requests. Clones share what was found.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    address: SocketAddr,
    /// The client's own certificate first; empty when it has shown none. The handshake has proven that it has the key,
    /// and nothing else.
    chain: Vec<CertificateDer<'static>>,
    verdict: Mutex<Option<Verdict>>,
}

/// What was found of the chain.
#[derive(Debug)]
struct Verdict {
    /// By whom it was judged: what another trust would say is not known.
    anchors: Arc<Anchors>,
    made: Timestamp,
    result: Result<Holder, Refusal>,
}

/// Who has the certificate.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// It says in headers for whom it asks; where they name nobody it asks for itself, if it is a user too.
    FrontProxy(Option<Arc<User>>),
    User(Arc<User>),
    /// There is none.
    Nobody,
}

/// To verify a chain takes as long as to answer. A certificate that expires is noticed this much later at most.
const VERDICT_TIME: Duration = Duration::from_secs(10);

// === impl Peer ===

impl Peer {
    pub fn new(address: SocketAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(Shown { address, chain, verdict: Mutex::default() }))
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Whether this was found to be the front proxy, when it was last looked at.
    pub fn is_front_proxy(&self) -> bool {
        let verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().is_some_and(|verdict| matches!(verdict.result, Ok(Holder::FrontProxy(_))))
    }

    /// Whether this has shown a certificate, and no front proxy was known when it was last looked at.
    pub fn awaits_trust(&self) -> bool {
        let verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        !self.0.chain.is_empty() && verdict.as_ref().is_none_or(|verdict| verdict.anchors.front_proxy.is_none())
    }

    /// Who this is by its certificate.
    pub(super) fn judge(&self, anchors: &Arc<Anchors>, now: Timestamp) -> Result<Holder, Refusal> {
        if self.0.chain.is_empty() {
            return Ok(Holder::Nobody);
        }
        let mut verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = verdict.as_ref().filter(|verdict| verdict.holds(anchors, now)) {
            return verdict.result.clone();
        }
        let result = judge(&self.0.chain, anchors, now);
        *verdict = Some(Verdict { anchors: anchors.clone(), made: now, result: result.clone() });
        result
    }
}

/// The front proxy first.
fn judge(chain: &[CertificateDer<'_>], anchors: &Anchors, now: Timestamp) -> Result<Holder, Refusal> {
    let by_front_proxy = anchors.front_proxy.as_ref().map(|trust| trust.verify(chain, now));
    let by_clients = anchors.clients.as_ref().map(|trust| trust.user(chain, now).map(Arc::new));
    match (by_front_proxy.unwrap_or(Err(Refusal::NoTrust)), by_clients) {
        (Ok(()), user) => Ok(Holder::FrontProxy(user.and_then(Result::ok))),
        (Err(_), Some(Ok(user))) => Ok(Holder::User(user)),
        (Err(refusal), Some(Err(other))) => Err(refusal.or(other)),
        (Err(refusal), None) => Err(refusal),
    }
}

// === impl Verdict ===

impl Verdict {
    fn holds(&self, anchors: &Arc<Anchors>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.anchors, anchors) && now >= self.made && now.since(self.made) < VERDICT_TIME
    }
}
