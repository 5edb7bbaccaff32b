//! Certificates that are near their end, or beyond: an authority, what it signs for Plimsoll, and a port that shows that.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A certificate with its key.
pub struct ShortLived(CertifiedIssuer<'static, KeyPair>);

// === impl ShortLived ===

impl ShortLived {
    /// Valid from and to so many seconds from now.
    pub fn authority(seconds: Range<i64>) -> Self {
        let mut params = params(seconds);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A certificate for Plimsoll.
    pub fn sign(&self, seconds: Range<i64>) -> Self {
        let mut params = params(seconds);
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::signed_by(params, key, &self.0).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A port that shows it, and ends with the tasks.
    pub async fn serve(&self) -> (SocketAddr, JoinSet<()>) {
        let key = PrivateKeyDer::Pkcs8(self.0.key().serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        let config = config.with_single_cert(vec![self.0.der().clone()], key).expect("a pair");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, mut tasks) = (listener.local_addr().expect("an address"), JoinSet::new());
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                // Who does not believe it goes away.
                let _ = acceptor.accept(stream).await;
            }
        });
        (address, tasks)
    }
}

fn params(seconds: Range<i64>) -> CertificateParams {
    let mut params = CertificateParams::new(["plimsoll.plimsoll-system.svc".to_owned()]).expect("a name");
    let now = Clock::system().now().0 / 1000;
    let time = |ahead: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs((now + ahead).unsigned_abs());
    (params.not_before, params.not_after) = (time(seconds.start), time(seconds.end));
    params
}
