//! The serving certificate: from files, or self-signed for local use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::serving::tls;

/// A certificate chain with its key, ready to serve.
pub struct Certificate {
    key: Arc<SingleCertAndKey>,
    /// The chain in PEM, for clients that are to trust it.
    pub pem: String,
}

/// Why there is no usable certificate; each names the file.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    #[error("the certificate in {} and the key in {} cannot be used together: {source}", certificate.display(), key.display())]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(rcgen::Error),
    #[error("cannot use the self-signed certificate: {0}")]
    SelfSignedUnusable(rustls::Error),
}

// === impl Certificate ===

impl Certificate {
    /// Reads a chain and its key, both PEM.
    ///
    /// # Errors
    /// [`CertificateError`], which names the file at fault.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let pem = read(certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| CertificateError::NoCertificate(certificate.to_owned()))?;
        let private =
            PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| CertificateError::NoKey(key.to_owned()))?;
        let key = certified(chain, private).map_err(|source| CertificateError::Unusable {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        Ok(Self { key, pem: String::from_utf8_lossy(&pem).into_owned() })
    }

    /// Makes a pair for `localhost` and the loopback addresses. The key lives in memory only.
    ///
    /// # Errors
    /// [`CertificateError`] when the system has no randomness.
    pub fn self_signed() -> Result<Self, CertificateError> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).map_err(CertificateError::SelfSigned)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let key = certified(vec![made.cert.der().clone()], key.into()).map_err(CertificateError::SelfSignedUnusable)?;
        Ok(Self { key, pem: made.cert.pem() })
    }

    /// What the TLS side of a listener needs; `verifier` says what is asked of clients.
    pub(super) fn server_config(&self, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the ciphers of TLS 1.2 and 1.3");
        let mut config = config.with_client_cert_verifier(verifier).with_cert_resolver(self.key.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(file).map_err(|source| CertificateError::Read { file: file.to_owned(), source })
}

/// Checks that key and certificate belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<SingleCertAndKey>, rustls::Error> {
    let certified = CertifiedKey::from_der(chain, key, &tls::provider())?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}
