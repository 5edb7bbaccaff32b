//! HTTPS to targets whose certificate has another name than their URL: pods have addresses, certificates have names.
//!
//! The pooled client knows one name for where it connects and for whom it trusts, and keeps connections by it; here the
//! address comes from the URL alone, and the name from the configuration alone. No redirect is followed.

use std::sync::Arc;

use reqwest::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::any_certificate::AnyCertificate;
use super::connection::{Answered, Idle, Place, Unanswered, exchange};
use super::{Page, Request, failure, secret, unusable};
use crate::config::{ClientTls, SecretText};
use crate::storage::{Failure, FailureReason};

/// Connections to targets with certificates of one name.
pub(super) struct Named {
    name: ServerName<'static>,
    connector: TlsConnector,
    idle: Idle<TlsStream<TcpStream>>,
}

// === impl Named ===

impl Named {
    pub(super) fn new(name: &str, tls: &ClientTls) -> Result<Self, Failure> {
        let server_name = ServerName::try_from(name.to_owned());
        let name = server_name
            .map_err(|_| wrong(format!("the server name {name:?} is neither a host name nor an address")))?;
        let config = verifying(tls)?;
        let mut config = match &tls.certificate {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let usable = |error: rustls::Error| unusable(certificate, &error.to_string());
                config.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(usable)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { name, connector: TlsConnector::from(Arc::new(config)), idle: Idle::default() })
    }

    /// Fetches a page; the caller watches the time.
    pub(super) async fn get(&self, url: &str, request: &Request) -> Result<Page, Failure> {
        let place = Url::parse(url).ok().and_then(|url| Place::of(&url));
        let place = place.ok_or_else(|| Failure::new(FailureReason::Connect, "the URL cannot be used"))?;
        let mut answered = None;
        if let Some(stream) = self.idle.take(&place.authority) {
            // The target may have closed it meanwhile. Then another one is tried.
            answered = exchange(stream, &place, true, request).await.ok();
        }
        let Answered { page, stream } = match answered {
            Some(answered) => answered,
            None => exchange(self.connect(&place).await?, &place, true, request).await.map_err(unanswered)?,
        };
        if let Some(stream) = stream {
            self.idle.keep(place.authority, stream);
        }
        page
    }

    async fn connect(&self, place: &Place) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = place.connect().await.map_err(|error| failure::of_connection(&error))?;
        let handshake = self.connector.connect(self.name.clone(), stream).await;
        handshake.map_err(|error| failure::of_handshake(&error))
    }
}

fn unanswered(why: Unanswered) -> Failure {
    match why {
        Unanswered::Broken => Failure::new(FailureReason::Body, "the connection broke or the answer is no HTTP/1.1"),
        Unanswered::Elsewhere(status) => Failure::new(
            FailureReason::HttpStatus,
            format!("the target answered {status}; with a server name no redirect is followed, so name the final URL"),
        ),
    }
}

fn verifying(tls: &ClientTls) -> Result<ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>, Failure> {
    let builder = rustls::ClientConfig::builder();
    if tls.insecure_skip_verify {
        let anyone = Arc::new(AnyCertificate::new(builder.crypto_provider().clone()));
        return Ok(builder.dangerous().with_custom_certificate_verifier(anyone));
    }
    let Some(ca) = &tls.ca else {
        let roots = builder.with_platform_verifier();
        return roots.map_err(|error| wrong(format!("the roots of the machine cannot be used: {error}; set a CA")));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| unusable(ca, &error.to_string()))?;
    }
    Ok(builder.with_root_certificates(roots))
}

fn certificates(text: &SecretText) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = secret::pem(text)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| unusable(text, &error.to_string()))?;
    if found.is_empty() { Err(unusable(text, "no certificate in it")) } else { Ok(found) }
}

fn private_key(text: &SecretText) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_slice(&secret::pem(text)?).map_err(|error| unusable(text, &error.to_string()))
}

fn wrong(message: String) -> Failure {
    Failure::new(FailureReason::Tls, message)
}
