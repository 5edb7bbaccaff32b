//! Plimsoll's own port: which certificate it shows, and what it answers. Everything ends within a time limit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::header::HOST;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{BoxError, Layer, ServiceExt};

use crate::client::AnyCertificate;
use crate::config::{one_line, with_causes};
use crate::doctor::facts::{Asked, Shown};
use crate::doctor::question::ANSWER_TIMEOUT;

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServingPort {
    pub host: String,
    pub port: u16,
}

/// A port that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Ten thousand targets with errors take about this much.
const BODY_BYTES_MAX: usize = 64 << 20;

const HTTPS: u16 = 443;

// === impl ServingPort ===

impl ServingPort {
    /// The place that a URL names.
    pub(super) fn of(url: &Uri) -> Option<Self> {
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
        Some(Self { host: host.to_owned(), port: url.port_u16().unwrap_or(HTTPS) })
    }

    /// The certificates that are shown to who asks for a name.
    /// Nothing is sent there, and what they are worth is judged afterwards.
    pub(super) async fn shown(&self, name: &str) -> Asked<Shown> {
        let provider = Arc::new(ring::default_provider());
        let tls =
            builder(&provider).dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate::new(provider)));
        let stream = self.connect(name, tls.with_no_client_auth()).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        Ok(Shown { place: self.to_string(), chain: chain.iter().cloned().map(CertificateDer::into_owned).collect() })
    }

    /// The answer at a path to the user that the configuration has, whose roots and names verify this port.
    pub(super) async fn get(&self, config: &kube::Config, name: &str, path: &str) -> Asked<(StatusCode, String)> {
        let tls = config.rustls_client_config().map_err(|error| with_causes(&error))?;
        let mut request = Request::get(path).header(HOST, name).body(Body::empty()).expect("a path and a DNS name");
        request.headers_mut().extend(credentials(config).await?);
        let stream = self.connect(name, tls).await?;
        let exchange = tokio::time::timeout(ANSWER_TIMEOUT, exchange(stream, request)).await;
        exchange.map_err(|_| format!("{self} does not answer within {} s", ANSWER_TIMEOUT.as_secs()))?
    }

    async fn connect(&self, name: &str, tls: ClientConfig) -> Asked<TlsStream<TcpStream>> {
        let server = ServerName::try_from(name.to_owned()).map_err(|error| one_line(&error))?;
        let dial = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            TlsConnector::from(Arc::new(tls)).connect(server, tcp).await
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, dial).await {
            Ok(stream) => stream.map_err(|error| format!("{self}: {}", with_causes(&error))),
            Err(_) => Err(format!("{self} does not answer within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }
}

impl fmt::Display for ServingPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// One request over a connection of its own.
async fn exchange(stream: TlsStream<TcpStream>, request: Request<Body>) -> Asked<(StatusCode, String)> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| with_causes(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| with_causes(&error))?;
        let (head, body) = response.into_parts();
        let body = to_bytes(Body::new(body), BODY_BYTES_MAX).await.map_err(|error| with_causes(&error))?;
        Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
    };
    let mut answer = std::pin::pin!(answer);
    // The connection is worked by whoever polls it, and may end before the body has been taken from its buffer.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

/// The header that says who asks, as it would be sent to the kube-apiserver; none for users with certificates.
async fn credentials(config: &kube::Config) -> Asked<HeaderMap> {
    let Some(layer) = config.auth_layer().map_err(|error| with_causes(&error))? else { return Ok(HeaderMap::new()) };
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, BoxError>(response)
    });
    let echoed = layer.layer(echo).oneshot(Request::new(Body::empty())).await;
    let echoed = echoed.map_err(|error| format!("the credentials cannot be read: {}", one_line(&error)))?;
    Ok(echoed.into_parts().0.headers)
}

fn builder(provider: &Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of TLS 1.2 and 1.3")
}
