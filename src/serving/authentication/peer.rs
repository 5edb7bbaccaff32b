//! The other end of a connection: where it is, which certificates it has shown, and what was found of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::model::Timestamp;
use crate::serving::authentication::{Refusal, RequestHeaderTrust};

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
    trust: Arc<RequestHeaderTrust>,
    made: Timestamp,
    result: Result<(), Refusal>,
}

/// To verify a chain takes as long as to answer. A certificate that expires is noticed this much later at most.
const VERDICT_TIME: Duration = Duration::from_secs(10);

// === impl Peer ===

impl Peer {
    pub fn new(address: SocketAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(Shown { address, chain, verdict: Mutex::default() }))
    }

    /// On this machine, or in this pod.
    pub(super) fn is_local(&self) -> bool {
        self.0.address.ip().to_canonical().is_loopback()
    }

    /// Whether this was found to be the front proxy, when it was last looked at.
    pub fn is_front_proxy(&self) -> bool {
        let verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.as_ref().is_some_and(|verdict| verdict.result.is_ok())
    }

    /// Whether this has shown a certificate that nobody could judge so far.
    pub fn awaits_trust(&self) -> bool {
        let verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        !self.0.chain.is_empty() && verdict.is_none()
    }

    /// Whether this is the front proxy.
    pub(super) fn verify(&self, trust: &Arc<RequestHeaderTrust>, now: Timestamp) -> Result<(), Refusal> {
        if self.0.chain.is_empty() {
            return Err(Refusal::NoCertificate);
        }
        let mut verdict = self.0.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = verdict.as_ref().filter(|verdict| verdict.holds(trust, now)) {
            return verdict.result;
        }
        let result = trust.verify(&self.0.chain, now);
        if let Err(refusal) = result {
            tracing::info!(peer = %self.0.address, "client certificate refused: {refusal}");
        }
        *verdict = Some(Verdict { trust: trust.clone(), made: now, result });
        result
    }
}

// === impl Verdict ===

impl Verdict {
    fn holds(&self, trust: &Arc<RequestHeaderTrust>, now: Timestamp) -> bool {
        Arc::ptr_eq(&self.trust, trust) && now >= self.made && now.since(self.made) < VERDICT_TIME
    }
}
