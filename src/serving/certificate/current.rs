//! The certificate that is served now. A new one counts from the next handshake on; connections that are there live on.
//!
//! While there is none, handshakes succeed with one that was made up and that nobody trusts: a kubelet, which verifies
//! nothing, finds the process alive and is told by `/readyz` what is missing. To refuse handshakes instead would make it
//! restart a process that only waits. Whoever verifies, as every kube-apiserver does, is not deceived.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::model::Timestamp;
use crate::serving::certificate::{Certificate, CertificateError, Metrics};
use crate::serving::tls;

/// A place with one certificate. Clones are the same place.
#[derive(Clone, Debug)]
pub struct CurrentCertificate(Arc<Place>);

/// What is served, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// `None` before there was one that can be served.
    pub in_force: Option<Arc<Certificate>>,
    /// Why what was offered last is not in force; `None` when it is, and before the first.
    pub refused: Option<String>,
    /// What else is wrong where certificates come from, though what is in force can be served.
    pub trouble: Option<String>,
}

#[derive(Debug)]
struct Place {
    standing: watch::Sender<Standing>,
    /// Served while nothing is in force.
    placeholder: Certificate,
    metrics: Metrics,
}

// === impl CurrentCertificate ===

impl CurrentCertificate {
    /// Serves this from the start.
    pub fn of(certificate: Certificate, metrics: Metrics) -> Self {
        metrics.in_force(&certificate);
        let standing = Standing { in_force: Some(Arc::new(certificate.clone())), ..Standing::default() };
        Self(Arc::new(Place { standing: watch::Sender::new(standing), placeholder: certificate, metrics }))
    }

    /// Has nothing to serve yet.
    ///
    /// # Errors
    /// [`CertificateError`] when the system has no randomness.
    pub fn awaited(metrics: Metrics, now: Timestamp) -> Result<Self, CertificateError> {
        let (standing, placeholder) = (watch::Sender::default(), Certificate::self_signed(now)?);
        Ok(Self(Arc::new(Place { standing, placeholder, metrics })))
    }

    /// What is known now, and whatever comes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }

    /// What handshakes show now, in PEM.
    pub fn pem(&self) -> String {
        self.0.standing.borrow().in_force.as_ref().map_or(&self.0.placeholder.pem, |it| &it.pem).clone()
    }

    /// Takes a certificate up, or tells why it cannot be; `name` is where it comes from. To offer the same again changes
    /// nothing.
    pub(super) fn offer(&self, name: &str, offered: Result<Certificate, String>, now: Timestamp) {
        let offered = offered.and_then(|certificate| {
            certificate.check_time(name, now).map_err(|error| error.to_string())?;
            Ok(certificate)
        });
        match offered {
            Ok(certificate) => self.take(name, certificate, now),
            Err(why) => self.refuse(why),
        }
    }

    /// Says what is wrong where certificates come from, or that all is well there.
    pub(super) fn report(&self, trouble: Option<String>) {
        self.0.standing.send_if_modified(|standing| {
            let changed = standing.trouble != trouble;
            match &trouble {
                Some(trouble) if changed => tracing::warn!("{trouble}"),
                None if changed => tracing::info!("nothing is wrong with the serving certificate any more"),
                _ => {}
            }
            standing.trouble = trouble;
            changed
        });
    }

    fn take(&self, name: &str, certificate: Certificate, now: Timestamp) {
        self.0.standing.send_if_modified(|standing| {
            let recovered = standing.refused.take().is_some();
            if standing.in_force.as_ref().is_some_and(|in_force| in_force.is_same(&certificate)) {
                if recovered {
                    tracing::info!("the serving certificate in force is what {name} holds");
                }
                return recovered;
            }
            tracing::info!(until = %certificate.validity.end, "serving certificate taken up from {name}");
            if let Some(weakness) = certificate.weakness(now) {
                tracing::warn!("{name}: {weakness}");
            }
            self.0.metrics.taken_up(&certificate);
            standing.in_force = Some(Arc::new(certificate));
            true
        });
    }

    fn refuse(&self, why: String) {
        self.0.standing.send_if_modified(|standing| {
            if standing.refused.as_ref() == Some(&why) {
                return false;
            }
            self.0.metrics.refused();
            tracing::warn!("{why}; {}", standing.consequence());
            standing.refused = Some(why);
            true
        });
    }

    /// What the TLS side of a listener needs; `verifier` says what is asked of clients.
    pub(in crate::serving) fn server_config(&self, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the ciphers of TLS 1.2 and 1.3");
        let mut config = config.with_client_cert_verifier(verifier).with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl From<&Certificate> for CurrentCertificate {
    fn from(certificate: &Certificate) -> Self {
        Self::of(certificate.clone(), Metrics::default())
    }
}

// === impl Standing ===

impl Standing {
    /// What follows when something is refused.
    pub fn consequence(&self) -> &'static str {
        match self.in_force {
            Some(_) => "the last good serving certificate stays in force",
            None => "there is no serving certificate, and clients that verify are turned away",
        }
    }
}

// === impl Place ===

impl ResolvesServerCert for Place {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let standing = self.standing.borrow();
        Some(standing.in_force.as_ref().map_or(&self.placeholder.key, |it| &it.key).clone())
    }
}
