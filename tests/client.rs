use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plimsoll::client::{Client, Page, Request};
use plimsoll::config::{ClientConfig, ClientTls, Credentials, Secret, SecretText};
use plimsoll::storage::{Failure, FailureReason};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{install_crypto, target};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\nload 5\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\nload 5\n\r\n0\r\n\r\n";

async fn get(url: &str, tls: ClientTls) -> Result<Page, Failure> {
    install_crypto();
    Client::new(ClientConfig { tls, ..ClientConfig::default() }).get(url, &request()).await
}

fn request() -> Request {
    Request {
        accept: reqwest::header::HeaderValue::from_static("*/*"),
        headers: reqwest::header::HeaderMap::new(),
        timeout: Duration::from_secs(5),
        body_size_max: 1000,
    }
}

async fn check_failure(url: &str, tls: ClientTls, reason: FailureReason, words: &str) {
    let failure = get(url, tls).await.expect_err(url);
    assert_eq!(failure.reason, reason, "{failure}");
    assert!(failure.message.contains(words), "{words:?} is not in {failure}");
}

/// Answers every request with these bytes and closes; gives its port.
async fn plain(answer: impl AsRef<[u8]> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            respond(&mut stream, answer.as_ref()).await;
        }
    });
    port
}

async fn respond(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &[u8]) {
    let mut head = [0_u8; 4096];
    drop(stream.read(&mut head).await);
    drop(stream.write_all(answer).await);
    drop(stream.shutdown().await);
}

/// A target with this certificate; gives its port and the certificate as a file.
async fn tls(params: CertificateParams) -> (u16, tempfile::NamedTempFile) {
    install_crypto();
    tls_for(params, rustls::ServerConfig::builder().with_no_client_auth()).await
}

async fn tls_for(
    params: CertificateParams,
    clients: rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert>,
) -> (u16, tempfile::NamedTempFile) {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), certificate.pem()).expect("written");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = clients.with_single_cert(vec![certificate.der().clone()], key.into()).expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                respond(&mut stream, GOOD.as_bytes()).await;
            }
        }
    });
    (port, file)
}

fn certificate(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names")
}

fn trusting(file: &tempfile::NamedTempFile) -> ClientTls {
    ClientTls { ca: Some(SecretText::File(file.path().to_owned())), ..ClientTls::default() }
}

#[tokio::test]
async fn certificates_that_fail_are_tls_failures_in_plain_words() {
    let (port, file) = tls(certificate(&["localhost"])).await;
    let page = get(&format!("https://localhost:{port}/metrics"), trusting(&file)).await.expect("a trusted page");
    assert_eq!(page.body, b"load 5\n");
    let url = format!("https://127.0.0.1:{port}/metrics");
    check_failure(&url, trusting(&file), FailureReason::Tls, "the certificate is not for 127.0.0.1 but for localhost")
        .await;
    let (again, _) = tls(certificate(&["localhost"])).await;
    let url = format!("https://localhost:{again}/metrics");
    check_failure(&url, trusting(&file), FailureReason::Tls, "another key than that of the trusted CA").await;
    let mut other = certificate(&["localhost"]);
    other.distinguished_name.push(rcgen::DnType::CommonName, "another issuer");
    let (other, _) = tls(other).await;
    let url = format!("https://localhost:{other}/metrics");
    check_failure(&url, trusting(&file), FailureReason::Tls, "an issuer that is not trusted; set ca_file").await;
    check_failure(&url, ClientTls::default(), FailureReason::Tls, "an issuer that is not trusted; set ca_file").await;

    let mut old = certificate(&["localhost"]);
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let (port, file) = tls(old).await;
    let url = format!("https://localhost:{port}/metrics");
    check_failure(&url, trusting(&file), FailureReason::Tls, "the certificate expired at 2020-01-01T00:00:00Z").await;

    let mut ca = certificate(&["localhost"]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (port, file) = tls(ca).await;
    let url = format!("https://localhost:{port}/metrics");
    check_failure(&url, trusting(&file), FailureReason::Tls, "is a CA certificate used as serving certificate").await;
}

#[tokio::test]
async fn a_client_certificate_is_presented_and_taken_up_when_its_files_change() {
    install_crypto();
    let (trusted, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let client = certificate(&["client"]);
    let (good, bad) = (client.self_signed(&trusted).expect("signed"), client.self_signed(&other).expect("signed"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(good.der().clone()).expect("a root");
    let verifier = rustls::server::WebPkiClientVerifier::builder(roots.into()).build().expect("a verifier");
    let clients = rustls::ServerConfig::builder().with_client_cert_verifier(verifier);
    let (port, ca) = tls_for(certificate(&["127.0.0.1"]), clients).await;
    let url = format!("https://127.0.0.1:{port}/metrics");
    check_failure(&url, trusting(&ca), FailureReason::Tls, "it wants a client certificate").await;

    let folder = tempfile::tempdir().expect("a folder");
    let pair = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let write = |certificate: String, key: &KeyPair| {
        std::fs::write(&pair.0, certificate).expect("written");
        std::fs::write(&pair.1, key.serialize_pem()).expect("written");
    };
    write(bad.pem(), &other);
    let tls = ClientTls {
        certificate: Some((SecretText::File(pair.0.clone()), SecretText::File(pair.1.clone()))),
        ..trusting(&ca)
    };
    let target = Client::new(ClientConfig { tls, ..ClientConfig::default() });
    let failure = target.get(&url, &request()).await.expect_err("a certificate nobody trusts");
    assert_eq!(failure.reason, FailureReason::Tls, "{failure}");
    write(good.pem(), &trusted);
    let page = target.get(&url, &request()).await.expect("the page");
    assert_eq!(page.body, b"load 5\n");
}

#[tokio::test]
async fn the_wrong_scheme_is_hinted_at() {
    let (port, _) = tls(certificate(&["localhost"])).await;
    let url = format!("http://localhost:{port}/metrics");
    check_failure(&url, ClientTls::default(), FailureReason::Body, "the URL must begin with https://").await;
    let answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let url = format!("http://127.0.0.1:{}/", plain(answer).await);
    check_failure(&url, ClientTls::default(), FailureReason::HttpStatus, "the URL must begin with https://").await;
    for answer in ["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", ""] {
        let url = format!("https://127.0.0.1:{}/", plain(answer).await);
        check_failure(&url, ClientTls::default(), FailureReason::Tls, "the URL must begin with http://").await;
    }
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let good = plain(GOOD).await;
    let redirect = |to: String| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    let same = plain(redirect(format!("http://127.0.0.1:{good}/metrics"))).await;
    assert!(get(&format!("http://127.0.0.1:{same}/metrics"), ClientTls::default()).await.is_ok());
    let away = plain(redirect(format!("http://localhost:{good}/m?token=secret"))).await;
    let words = format!("redirects to http://localhost:{good}/m?token=…; only redirects to the same host");
    check_failure(&format!("http://127.0.0.1:{away}/"), ClientTls::default(), FailureReason::HttpStatus, &words).await;
    let circle = plain(redirect("/again".into())).await;
    let url = format!("http://127.0.0.1:{circle}/");
    check_failure(&url, ClientTls::default(), FailureReason::HttpStatus, "redirects more than 5 times").await;
}

#[tokio::test]
async fn how_the_body_ends_is_told() {
    let gzip = target::gzip(b"load 5\n");
    let encoded = |more: &str, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n{more}\r\n").as_bytes(), body].concat()
    };
    for (answer, delimited) in [
        (GOOD.as_bytes().to_vec(), true),
        (b"HTTP/1.0 200 OK\r\n\r\nload 5\n".to_vec(), false),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nload 5\n".to_vec(), false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\nload 5\n\r\n0\r\n\r\n".to_vec(), true),
        (encoded(&format!("content-length: {}\r\n", gzip.len()), &gzip), true),
        (encoded("connection: close\r\n", &gzip), true),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let page = get(&format!("http://127.0.0.1:{}/", plain(answer).await), ClientTls::default()).await;
        let page = page.unwrap_or_else(|failure| panic!("{failure}: {shown}"));
        assert_eq!((page.body.as_slice(), page.delimited), (&b"load 5\n"[..], delimited), "{shown}");
    }
    let cut = plain(encoded("connection: close\r\n", &gzip[..gzip.len() - 4])).await;
    let url = format!("http://127.0.0.1:{cut}/");
    check_failure(&url, ClientTls::default(), FailureReason::Body, "cannot be decompressed").await;
    let brotli = plain("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc").await;
    let url = format!("http://127.0.0.1:{brotli}/");
    check_failure(&url, ClientTls::default(), FailureReason::Body, "the content encoding \"br\"").await;
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_target_closes_it() {
    install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            for answer in [GOOD, CHUNKED] {
                let mut head = [0_u8; 4096];
                drop(stream.read(&mut head).await);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }
    });
    let client = Client::new(ClientConfig::default());
    for _ in 0..5 {
        let page = client.get(&url, &request()).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(page.body, b"load 5\n");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

/// A TLS target that keeps connections, with its certificate; counts handshakes and tells the names it was asked for.
async fn tls_named(
    name: &str,
) -> (u16, String, Arc<AtomicUsize>, tokio::sync::mpsc::UnboundedReceiver<Option<String>>) {
    install_crypto();
    let key = KeyPair::generate().expect("a key");
    let certificate = certificate(&[name]).self_signed(&key).expect("a certificate");
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], der.into()).expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (handshakes, (asked, names)) = (Arc::new(AtomicUsize::new(0)), tokio::sync::mpsc::unbounded_channel());
    let counted = handshakes.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            counted.fetch_add(1, Ordering::SeqCst);
            drop(asked.send(stream.get_ref().1.server_name().map(str::to_owned)));
            for answer in [GOOD, CHUNKED] {
                let mut head = [0_u8; 4096];
                drop(stream.read(&mut head).await);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }
    });
    (port, certificate.pem(), handshakes, names)
}

fn inline(text: &str) -> SecretText {
    SecretText::Inline { origin: "key \"ca.crt\" of Secret agents/tls".into(), secret: Secret::new(text) }
}

#[tokio::test]
async fn a_certificate_may_have_another_name_than_the_url() {
    let (port, pem, handshakes, mut names) = tls_named("metrics.agents.svc").await;
    let url = format!("https://127.0.0.1:{port}/metrics");
    let tls = |name: Option<&str>| ClientTls {
        ca: Some(inline(&pem)),
        server_name: name.map(Into::into),
        ..ClientTls::default()
    };
    check_failure(&url, tls(None), FailureReason::Tls, "is not for 127.0.0.1 but for metrics.agents.svc").await;
    let other = "is not for other.agents.svc but for metrics.agents.svc";
    check_failure(&url, tls(Some("other.agents.svc")), FailureReason::Tls, other).await;
    check_failure(&url, tls(Some("a b")), FailureReason::Tls, "\"a b\" is neither a host name nor an address").await;
    let named = ClientTls { server_name: Some("metrics.agents.svc".into()), ..ClientTls::default() };
    check_failure(&url, named.clone(), FailureReason::Tls, "an issuer that is not trusted").await;
    assert_eq!(handshakes.load(Ordering::SeqCst), 0, "a client that does not trust the target talks to it");

    let client = Client::new(ClientConfig { tls: tls(Some("metrics.agents.svc")), ..ClientConfig::default() });
    for _ in 0..4 {
        let page = client.get(&url, &request()).await.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(page.body, b"load 5\n");
    }
    assert_eq!(handshakes.load(Ordering::SeqCst), 2, "a connection serves until the target closes it");
    assert_eq!(names.recv().await.flatten().as_deref(), Some("metrics.agents.svc"));
    let anyone = ClientTls { insecure_skip_verify: true, ..named };
    assert!(get(&url, anyone).await.is_ok());
}

#[tokio::test]
async fn a_server_name_does_not_hide_why_a_scrape_fails() {
    let named = |tls: ClientTls| ClientTls { server_name: Some("localhost".into()), ..tls };
    let url = format!("https://127.0.0.1:{}/", plain(GOOD).await);
    check_failure(&url, named(ClientTls::default()), FailureReason::Tls, "does not speak TLS on this port").await;
    let (port, _) = tls(certificate(&["localhost"])).await;
    let broken = ClientTls { ca: Some(inline("no PEM")), ..ClientTls::default() };
    let url = format!("https://127.0.0.1:{port}/");
    check_failure(
        &url,
        named(broken),
        FailureReason::Credentials,
        "key \"ca.crt\" of Secret agents/tls holds no usable PEM",
    )
    .await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    check_failure(&format!("https://{free}/"), named(ClientTls::default()), FailureReason::Connect, "no connection")
        .await;
}

#[tokio::test]
async fn nothing_is_sent_without_the_credentials_that_are_missing() {
    install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("an address"));
    let missing = || SecretText::Missing("PodMonitor agents/web: there is no Secret agents/token".into());
    let secret = || inline("hunter2");
    for credentials in [
        Credentials::bearer(missing()),
        Credentials::Basic { username: missing(), password: secret() },
        Credentials::Basic { username: secret(), password: missing() },
        Credentials::Authorization { scheme: "a\nb".into(), credentials: secret() },
    ] {
        let client = Client::new(ClientConfig { credentials, ..ClientConfig::default() });
        let failure = client.get(&url, &request()).await.expect_err("no credentials");
        assert_eq!(failure.reason, FailureReason::Credentials, "{failure}");
    }
    let accepted = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(accepted.is_err(), "the target was asked");
}

#[tokio::test]
async fn an_authorization_of_any_scheme_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("an address"));
    install_crypto();
    let credentials = Credentials::Authorization { scheme: "Token".into(), credentials: inline(" abc\n") };
    let client = Client::new(ClientConfig { credentials, ..ClientConfig::default() });
    let request = request();
    let served = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = vec![0_u8; 4096];
        let length = stream.read(&mut head).await.expect("a request");
        drop(stream.write_all(GOOD.as_bytes()).await);
        String::from_utf8_lossy(&head[..length]).into_owned()
    };
    let (page, head) = tokio::join!(client.get(&url, &request), served);
    assert!(page.is_ok() && head.contains("authorization: Token abc\r\n"), "{head}");
}
