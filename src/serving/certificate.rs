//! The serving certificate: a chain with its key, from PEM or made for local use, and whether it can be served.
//!
//! Which one is served at a time is [`CurrentCertificate`]. What keeps that current depends on where certificates come
//! from: [`FileWatch`], [`SecretWatch`] or [`SelfManaged`]. None of them ever replaces a certificate that can be served by
//! one that cannot.

mod current;
mod files;
mod metrics;
mod object_watch;
mod secret;
mod self_managed;

pub use current::{CurrentCertificate, Standing};
pub use files::FileWatch;
pub use metrics::Metrics;
pub use secret::SecretWatch;
pub use self_managed::{Lifetimes, SelfManaged, ServiceName};

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::model::{Timestamp, excerpt};
use crate::serving::tls;

/// A certificate chain with its key, ready to serve. Clones share the key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    /// The chain in PEM, for clients that are to trust it.
    pub pem: String,
    /// The time in which every certificate of the chain is valid; the end is excluded.
    pub validity: Range<Timestamp>,
}

/// PEM text, and what it is called in messages: a file, or a key of a Secret.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub name: &'a str,
    pub pem: &'a [u8],
}

/// Why there is no usable certificate; each names the file or the key of the Secret.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(String),
    #[error("{0} holds no private key in PEM form")]
    NoKey(String),
    #[error("{name} holds a certificate that cannot be read: {what}")]
    Malformed { name: String, what: String },
    #[error("the certificate in {certificate} and the key in {key} cannot be used together: {source}")]
    Unusable { certificate: String, key: String, source: rustls::Error },
    #[error("{name} has expired: it was valid until {end}")]
    Expired { name: String, end: Timestamp },
    #[error("{name} is not valid yet: it is valid from {start}")]
    NotYetValid { name: String, start: Timestamp },
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    #[error("cannot use the certificate that was made: {0}")]
    MadeUnusable(rustls::Error),
}

/// Of a certificate that is made at start for local use, and not renewed: `PlimsollCertificateExpiring` tells whoever runs
/// it for so long.
const SELF_SIGNED_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// What is made is valid from a while ago: the clocks of a cluster differ. A tenth of its life at most.
const BACKDATING_MAX: Duration = Duration::from_secs(3600);

// === impl Certificate ===

impl Certificate {
    /// Reads a chain and its key, both PEM.
    ///
    /// # Errors
    /// [`CertificateError`], which names the file at fault.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let (chain_name, key_name) = (certificate.display().to_string(), key.display().to_string());
        let (chain, key) = (read(certificate)?, read(key)?);
        Self::from_pem(Part { name: &chain_name, pem: &chain }, Part { name: &key_name, pem: &key })
    }

    /// Makes a pair for `localhost` and the loopback addresses, valid for a year. The key lives in memory only.
    ///
    /// # Errors
    /// [`CertificateError`] when the system has no randomness.
    pub fn self_signed(now: Timestamp) -> Result<Self, CertificateError> {
        let mut params = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))?;
        set_validity(&mut params, now, now.plus(SELF_SIGNED_LIFETIME));
        let pair = KeyPair::generate()?;
        let made = params.self_signed(&pair)?;
        let key = PrivatePkcs8KeyDer::from(pair.serialize_der());
        let chain = vec![made.der().clone()];
        let validity = validity(&chain).map_err(|what| CertificateError::Malformed { name: "it".into(), what })?;
        let key = certified(chain, key.into()).map_err(CertificateError::MadeUnusable)?;
        Ok(Self { key, pem: made.pem(), validity })
    }

    pub(super) fn from_pem(certificate: Part<'_>, key: Part<'_>) -> Result<Self, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let name = || certificate.name.to_owned();
        let chain = chain.ok_or_else(|| CertificateError::NoCertificate(name()))?;
        let validity = validity(&chain).map_err(|what| CertificateError::Malformed { name: name(), what })?;
        let private =
            PrivateKeyDer::from_pem_slice(key.pem).map_err(|_| CertificateError::NoKey(key.name.to_owned()))?;
        let unusable = |source| CertificateError::Unusable { certificate: name(), key: key.name.to_owned(), source };
        let key = certified(chain, private).map_err(unusable)?;
        Ok(Self { key, pem: String::from_utf8_lossy(certificate.pem).into_owned(), validity })
    }

    /// Whether clients with the same time take it.
    ///
    /// # Errors
    /// [`CertificateError`] when it has expired, or is for later; `name` is where it comes from.
    pub fn check_time(&self, name: &str, now: Timestamp) -> Result<(), CertificateError> {
        let name = || name.to_owned();
        match &self.validity {
            validity if now < validity.start => {
                Err(CertificateError::NotYetValid { name: name(), start: validity.start })
            }
            validity if now >= validity.end => Err(CertificateError::Expired { name: name(), end: validity.end }),
            _ => Ok(()),
        }
    }

    /// The chain, the server's own certificate first.
    fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    fn is_same(&self, other: &Self) -> bool {
        self.chain() == other.chain()
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("validity", &self.validity).finish_non_exhaustive()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(file).map_err(|source| CertificateError::Read { file: file.to_owned(), source })
}

/// Checks that key and certificate belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    CertifiedKey::from_der(chain, key, &tls::provider()).map(Arc::new)
}

/// When all of these are valid, or why one of them cannot be read.
fn validity(chain: &[CertificateDer<'_>]) -> Result<Range<Timestamp>, String> {
    let mut all = Timestamp(i64::MIN)..Timestamp(i64::MAX);
    for certificate in chain {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| excerpt(&error))?;
        let validity = certificate.validity();
        all.start = all.start.max(at_second(validity.not_before.timestamp()));
        // Valid during the last second itself, says RFC 5280; a second less harms nobody.
        all.end = all.end.min(at_second(validity.not_after.timestamp()));
    }
    Ok(all)
}

/// From a while ago until `end`.
fn set_validity(params: &mut CertificateParams, now: Timestamp, end: Timestamp) {
    let backdating = (end.since(now) / 10).min(BACKDATING_MAX);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let date = |time: Timestamp| epoch + Duration::from_secs(time.since(Timestamp(0)).as_secs());
    (params.not_before, params.not_after) = (date(now.minus(backdating)), date(end));
}

fn at_second(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_for_local_use_lasts_a_year() {
        let now = Timestamp(1_767_225_600_000);
        let made = Certificate::self_signed(now).expect("randomness");
        assert_eq!(made.validity.end, now.plus(Duration::from_secs(365 * 86_400)));
        assert_eq!(made.validity.start, now.minus(Duration::from_secs(3600)));
    }
}
