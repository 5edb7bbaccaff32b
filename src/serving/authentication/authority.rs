//! A certificate authority of the ConfigMap, and the judgement of a chain by it. Pure.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::model::{Timestamp, excerpt};
use crate::serving::authentication::{Flaw, Refusal};
use crate::serving::tls;

/// One or more certificates, each of which vouches for clients.
#[derive(Debug)]
pub(super) struct Authority {
    verifier: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
}

// === impl Authority ===

impl Authority {
    /// Reads certificates in PEM form.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn read(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("not in PEM form: {}", excerpt(&error)))?;
            roots.add(certificate).map_err(|error| format!("not a usable certificate: {}", excerpt(&error)))?;
        }
        if roots.is_empty() {
            return Err("expected certificates in PEM form, found none".into());
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), tls::provider()).build();
        Ok(Self { verifier: verifier.map_err(|error| excerpt(&error))?, roots })
    }

    /// How many certificates it has.
    pub(super) fn size(&self) -> usize {
        self.roots.len()
    }

    /// Whether some certificates are good here and there: a name and a key of both vouch for them.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_same = |one: &TrustAnchor<'_>, other: &TrustAnchor<'_>| {
            one.subject == other.subject && one.subject_public_key_info == other.subject_public_key_info
        };
        self.roots.roots.iter().any(|one| other.roots.roots.iter().any(|other| is_same(one, other)))
    }

    /// Gives the client's own certificate, the first of the chain, where it is good: it leads here, is valid `now`, and
    /// is meant for clients.
    ///
    /// # Errors
    /// [`Refusal::Certificate`], or [`Refusal::NoCertificate`] of an empty chain.
    pub(super) fn verify<'a, 'd>(
        &self,
        chain: &'a [CertificateDer<'d>],
        now: Timestamp,
    ) -> Result<&'a CertificateDer<'d>, Refusal> {
        let (own, intermediates) = chain.split_first().ok_or(Refusal::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(now.since(Timestamp(0)));
        match self.verifier.verify_client_cert(own, intermediates, now) {
            Ok(_) => Ok(own),
            Err(error) => {
                tracing::debug!("client certificate refused: {error}");
                Err(Refusal::Certificate(Flaw::from(&error)))
            }
        }
    }
}
