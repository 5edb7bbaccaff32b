use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use plimsoll::clock::Clock;
use plimsoll::model::Timestamp;
use plimsoll::serving::{self, Certificate, CertificateMetrics, Clients, CurrentCertificate, FileWatch, Standing};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::harness::{eventually, install_crypto};

/// A server with one page whose certificate is in two files.
struct Server {
    address: std::net::SocketAddr,
    folder: tempfile::TempDir,
    current: CurrentCertificate,
}

/// A certificate and its key.
struct Pair {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

/// `openssl x509 -req` without extensions writes such.
const FIRST_VERSION: &str = "-----BEGIN CERTIFICATE-----
MIIBJDCBywIUToy+uMqHtayPVxztNwyVG++Q71EwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjAyMTIxNVoYDzIxMjYxMDI5MDIxMjE1
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQVkvQb2If8P9CQzhuYr8pfCr6Bpbn3HVQoESrp2RjrQ6YhD6eXACV3S36QfD7E
+YpYo4cBKeAepZtBIInBW8McMAoGCCqGSM49BAMCA0gAMEUCIEs9ybXiBmEMXDBw
BQa8cTXoGBwXP7RkVyVZYh7/LbzuAiEA8SNVvbDOJSw7N53GQvb/x6ANKyftPBMW
wUOKXjUTZt8=
-----END CERTIFICATE-----
";

/// What is in it is never read.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";

const SOON: Duration = Duration::from_millis(20);
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

// === impl Pair ===

impl Pair {
    fn new() -> Self {
        Self::valid(-1, 30)
    }

    /// Valid from and to so many days after now.
    fn valid(from: i64, to: i64) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let seconds = |days: i64| Duration::from_secs((NOW.0 / 1000 + days * 86_400).unsigned_abs());
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        (params.not_before, params.not_after) = (epoch + seconds(from), epoch + seconds(to));
        let made = params.self_signed(&key).expect("a certificate");
        Self { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }
}

// === impl Server ===

impl Server {
    async fn start(pair: &Pair) -> Self {
        install_crypto();
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), Some(&pair.certificate), Some(&pair.key));
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
        let first = Certificate::from_files(&certificate, &key).expect("a pair");
        let current = CurrentCertificate::of(first, CertificateMetrics::default());
        let clock = Clock::from_fn(|| NOW);
        let watch = FileWatch { certificate, key, current: current.clone(), clock, poll_interval: SOON };
        tokio::spawn(watch.run(CancellationToken::new()));
        let listener = serving::bind("127.0.0.1:0".parse().expect("an address"), Clients::Local).await.expect("a port");
        let (address, served) = (listener.address, current.clone());
        let router = Router::new().route("/", get(|| async { "ok" }));
        tokio::spawn(async move {
            serving::serve(listener, served, router, Duration::ZERO, CancellationToken::new()).await;
        });
        Self { address, folder, current }
    }

    fn write(&self, certificate: Option<&str>, key: Option<&str>) {
        write(self.folder.path(), certificate, key);
    }

    /// A new connection.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let verifier = rustls::crypto::ring::default_provider();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(verifier));
        let config = config.with_safe_default_protocol_versions().expect("versions").dangerous();
        let config = config.with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
    }

    /// What a new connection is shown.
    async fn shown(&self) -> CertificateDer<'static> {
        self.connect().await.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    }

    async fn becomes(&self, good: impl Fn(&Standing) -> bool) -> Standing {
        eventually(async || self.current.standing().borrow().clone(), good).await
    }

    async fn refuses(&self, words: &str) {
        let has = |standing: &Standing| standing.refused.as_ref().is_some_and(|why| why.contains(words));
        self.becomes(has).await;
    }
}

fn write(folder: &Path, certificate: Option<&str>, key: Option<&str>) {
    for (name, text) in [("tls.crt", certificate), ("tls.key", key)] {
        if let Some(text) = text {
            std::fs::write(folder.join(name), text).expect("written");
        }
    }
}

/// Trusts any certificate, and looks at it afterwards.
#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// One request on a connection.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_old_ones_live_on() {
    let (first, second) = (Pair::new(), Pair::new());
    let server = Server::start(&first).await;
    let mut old = server.connect().await;
    assert_eq!(server.shown().await, first.der);
    server.write(Some(&second.certificate), Some(&second.key));
    eventually(|| server.shown(), |shown| *shown == second.der).await;
    assert!(ask(&mut old).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn files_written_one_after_the_other_are_taken_up_when_they_belong_together() {
    let server = Server::start(&Pair::new()).await;
    for is_key_first in [true, false] {
        let new = Pair::new();
        let (certificate, key) = (Some(new.certificate.as_str()), Some(new.key.as_str()));
        server.write(certificate.filter(|_| !is_key_first), key.filter(|_| is_key_first));
        server.refuses("cannot be used together").await;
        server.write(certificate, key);
        eventually(|| server.shown(), |shown| *shown == new.der).await;
        server.becomes(|standing| standing.refused.is_none()).await;
    }
}

#[tokio::test]
async fn links_that_are_swapped_are_followed_as_in_a_mounted_secret() {
    let (first, second) = (Pair::new(), Pair::new());
    let server = Server::start(&first).await;
    let path = |name: &str| server.folder.path().join(name);
    for (version, pair) in [("v1", &first), ("v2", &second)] {
        std::fs::create_dir(path(version)).expect("a folder");
        write(&path(version), Some(&pair.certificate), Some(&pair.key));
    }
    std::os::unix::fs::symlink("v1", path("..data")).expect("a link");
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), path("link")).expect("a link");
        std::fs::rename(path("link"), path(name)).expect("replaced");
    }
    std::os::unix::fs::symlink("v2", path("..data_tmp")).expect("a link");
    std::fs::rename(path("..data_tmp"), path("..data")).expect("swapped");
    eventually(|| server.shown(), |shown| *shown == second.der).await;
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_the_last_good_one_stays() {
    let good = Pair::new();
    let server = Server::start(&good).await;
    let (expired, later) = (Pair::valid(-60, -1), Pair::valid(1, 60));
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (certificate, key, words) in [
        ("", good.key.as_str(), "tls.crt holds no certificate in PEM form"),
        ("garbage", &good.key, "tls.crt holds no certificate in PEM form"),
        (FIRST_VERSION, &good.key, "tls.crt holds a certificate of X.509 v1; expected v3"),
        (&good.certificate, ENCRYPTED, "tls.key holds an encrypted private key; expected one without a passphrase"),
        (broken, &good.key, "tls.crt holds a certificate that cannot be read"),
        (&good.certificate, "garbage", "tls.key holds no private key in PEM form"),
        (&good.certificate, &expired.key, "cannot be used together"),
        (&expired.certificate, &expired.key, "tls.crt has expired: it was valid until 2026-09-20T"),
        (&later.certificate, &later.key, "tls.crt is not valid yet: it is valid from 2026-09-22T"),
    ] {
        server.write(Some(certificate), Some(key));
        server.refuses(words).await;
        assert_eq!(server.shown().await, good.der, "{words}");
    }
    std::fs::remove_file(server.folder.path().join("tls.crt")).expect("removed");
    std::fs::create_dir(server.folder.path().join("tls.crt")).expect("a folder");
    server.refuses("tls.crt: expected a regular file").await;
    std::fs::remove_dir(server.folder.path().join("tls.crt")).expect("removed");
    server.refuses("No such file or directory").await;
    server.write(Some(&good.certificate), Some(&good.key));
    server.becomes(|standing| standing.refused.is_none()).await;
}

#[tokio::test]
async fn while_a_certificate_is_awaited_handshakes_get_one_that_nobody_trusts() {
    install_crypto();
    let current =
        CurrentCertificate::awaited(CertificateMetrics::default(), Clock::system().now()).expect("a placeholder");
    assert!(current.standing().borrow().in_force.is_none());
    let other =
        CurrentCertificate::awaited(CertificateMetrics::default(), Clock::system().now()).expect("a placeholder");
    assert_ne!(current.pem(), other.pem());
}

#[tokio::test]
async fn a_chain_with_an_expired_certificate_is_served_as_long_as_its_first_is_valid() {
    let server = Server::start(&Pair::new()).await;
    let (own, expired, later) = (Pair::new(), Pair::valid(-60, -1), Pair::valid(1, 60));
    for (other, words) in [(&expired, "has expired: it was valid until 2026-09-20T"), (&later, "is not valid yet")] {
        server.write(Some(&(own.certificate.clone() + &other.certificate)), Some(&own.key));
        let is_own = |standing: &Standing| {
            let weakness = standing.in_force.as_ref().and_then(|in_force| in_force.weakness(NOW));
            standing.refused.is_none() && weakness.is_some_and(|weakness| weakness.contains(words))
        };
        server.becomes(is_own).await;
        assert_eq!(server.shown().await, own.der);
        server.write(Some(&own.certificate), Some(&own.key));
        server.becomes(|standing| standing.in_force.as_ref().is_some_and(|it| it.weakness(NOW).is_none())).await;
    }
    server.write(Some(&(expired.certificate + &own.certificate)), Some(&expired.key));
    server.refuses("tls.crt has expired").await;
}

#[test]
fn a_certificate_is_good_from_its_first_moment_to_its_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Pair::valid(-1, 30);
    write(folder.path(), Some(&pair.certificate), Some(&pair.key));
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
    let certificate = Certificate::from_files(&certificate, &key).expect("a pair");
    let check = |now: Timestamp, want: &str| match certificate.check_time("it", now) {
        Ok(()) => assert_eq!(want, "good", "{now}"),
        Err(error) => assert!(error.to_string().contains(want), "{now}: {error}"),
    };
    check(NOW.minus(DAY), "good");
    check(NOW.minus(DAY + Duration::from_millis(1)), "it is not valid yet");
    check(NOW.plus(DAY * 30).minus(Duration::from_millis(1)), "good");
    check(NOW.plus(DAY * 30), "it has expired");
}
