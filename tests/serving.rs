use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use plimsoll::clock::Clock;
use plimsoll::serving::{self, Certificate, Clients};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::harness::install_crypto;

/// A server with one page, and the way to connect to it.
struct Server {
    address: std::net::SocketAddr,
    root: CertificateDer<'static>,
}

// === impl Server ===

impl Server {
    async fn start() -> Self {
        install_crypto();
        let certificate = Certificate::self_signed(Clock::system().now()).expect("a pair");
        let root = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).expect("a certificate");
        let listener =
            serving::bind("127.0.0.1:0".parse().expect("an address"), Clients::Local).await.expect("a free port");
        let address = listener.address;
        let router = Router::new().route("/", get(|| async { "ok" }));
        tokio::spawn(async move {
            serving::serve(listener, &certificate, router, Duration::ZERO, CancellationToken::new()).await;
        });
        Self { address, root }
    }

    async fn connect(&self, alpn: &str) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = Vec::from_iter((!alpn.is_empty()).then(|| alpn.as_bytes().to_vec()));
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let name = ServerName::try_from("localhost").expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
    }
}

#[tokio::test]
async fn connections_that_never_ask_are_closed() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let server = Server::start().await;
    let started = Instant::now();
    let mut silent = Vec::new();
    for (alpn, said) in [("", &b""[..]), ("http/1.1", b"GET / HTTP/1.1\r\nhost:"), ("h2", b""), ("h2", PREFACE)] {
        let mut stream = server.connect(alpn).await;
        stream.write_all(said).await.expect("sent");
        silent.push(async move {
            // What is said before the end does not matter.
            drop(stream.read_to_end(&mut Vec::new()).await);
        });
    }
    for stream in silent {
        tokio::time::timeout(Duration::from_secs(15), stream).await.expect("closed");
    }
    assert!(started.elapsed() > Duration::from_secs(9), "{:?}", started.elapsed());
}

#[tokio::test]
async fn http_1_without_alpn_is_served() {
    let mut stream = Server::start().await.connect("").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok"), "{answer}");
}
