//! The HTTPS listener: TLS, HTTP/1.1 and HTTP/2, and a drain that ends.
//!
//! With a cluster, each request is authenticated ([`authentication`]) and authorized ([`authorization`]); without one,
//! only loopback addresses are accepted.

pub mod authentication;
pub mod authorization;
mod certificate;
mod restraint;
pub mod review;
mod tls;

pub use certificate::{
    Certificate, CertificateError, CurrentCertificate, FileWatch, Lifetimes, Metrics as CertificateMetrics,
    SecretWatch, SelfManaged, ServiceName, Standing,
};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use authentication::Peer;
use tls::AnyCertificate;

/// An open port.
pub struct Listener {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    listener: TcpListener,
    clients: Clients,
}

/// What is known of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// Nothing: they have to be on this machine.
    Local,
    /// They are asked for a certificate, and each request is authenticated.
    Authenticated,
}

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "refusing to listen on {0}: without a cluster (--kubeconfig, or a service account) requests are not \
         authenticated, so only loopback addresses (127.0.0.0/8, ::1) are allowed"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {address}: {source}")]
    Io { address: SocketAddr, source: io::Error },
}

/// One client.
struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    clients: Clients,
}

/// What the requests of a connection have in common.
#[derive(Clone)]
struct Arrivals {
    /// Cancelled by the first request.
    asked: CancellationToken,
    peer: Option<Peer>,
}

/// A client that has not finished the TLS handshake by then, or has not asked anything by then after it, is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time from one HTTP/1.1 request to the head of the next: autoscalers and Prometheus come back every 15 s, and a new
/// connection costs more than the request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// An HTTP/2 connection is asked this often whether its client is still there, and cut off when it does not answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at a time; more wait to be accepted. The kube-apiserver needs a handful, and with some 50 KB for each
/// TLS and HTTP/2 state this bounds the memory at 200 MB.
const CONNECTIONS_MAX: usize = 4_096;

/// Pause after a failed `accept`, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens the port.
///
/// # Errors
/// [`BindError`] for an address that is taken or not there, or not loopback although nobody is authenticated.
pub async fn bind(address: SocketAddr, clients: Clients) -> Result<Listener, BindError> {
    if clients == Clients::Local && !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let failed = |source| BindError::Io { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    Ok(Listener { address: listener.local_addr().map_err(failed)?, listener, clients })
}

/// Serves until `shutdown`, then lets requests under way finish for at most `drain_timeout`.
pub async fn serve(
    listener: Listener,
    certificate: impl Into<CurrentCertificate>,
    router: Router,
    drain_timeout: Duration,
    shutdown: CancellationToken,
) {
    let Listener { listener, clients, .. } = listener;
    let acceptor = TlsAcceptor::from(certificate.into().server_config(clients.verifier()));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, address)) => {
                    let connection = Connection { stream, address, clients };
                    connections.spawn(connection.serve(acceptor.clone(), router.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drain(graceful, connections, drain_timeout).await;
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, timeout: Duration) {
    let finished = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(timeout, finished).await.is_err() {
        tracing::warn!(timeout_seconds = timeout.as_secs_f64(), "connections cut off: they did not finish in time");
    }
}

// === impl Clients ===

impl Clients {
    fn verifier(self) -> Arc<dyn ClientCertVerifier> {
        match self {
            Self::Local => WebPkiClientVerifier::no_client_auth(),
            Self::Authenticated => Arc::new(AnyCertificate::new()),
        }
    }
}

// === impl Connection ===

impl Connection {
    /// From handshake to end. Its errors are the client's and end nothing else.
    async fn serve(self, acceptor: TlsAcceptor, router: Router, watcher: Watcher) {
        let Self { stream, address, clients } = self;
        drop(stream.set_nodelay(true));
        let tls = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!("TLS handshake fails: {error}"),
            Err(_) => return tracing::debug!("TLS handshake takes too long"),
        };
        let session = tls.get_ref().1;
        // ALPN tells the version: looking at the first bytes instead would wait for them without end.
        let builder = if session.alpn_protocol() == Some(b"h2") { http().http2_only() } else { http().http1_only() };
        let chain = session.peer_certificates().unwrap_or_default().to_vec();
        let peer = (clients == Clients::Authenticated).then(|| Peer::new(address, chain));
        let arrivals = Arrivals { asked: CancellationToken::new(), peer };
        let asked = arrivals.asked.clone();
        let service = TowerToHyperService::new(router.layer(middleware::from_fn_with_state(arrivals, note)));
        let served = builder.serve_connection(TokioIo::new(tls), service);
        let served = watcher.watch(served.into_owned());
        tokio::pin!(served);
        let ended = tokio::select! {
            ended = &mut served => ended,
            () = asked.cancelled() => served.await,
            () = tokio::time::sleep(HANDSHAKE_TIMEOUT) => return tracing::debug!("the client asks nothing"),
        };
        if let Err(error) = ended {
            tracing::debug!("connection ends: {error}");
        }
    }
}

/// Both versions with their time-outs.
fn http() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Notes that a request has come, and on it from whom.
async fn note(State(arrivals): State<Arrivals>, mut request: Request, next: Next) -> Response {
    arrivals.asked.cancel();
    if let Some(peer) = arrivals.peer {
        request.extensions_mut().insert(peer);
    }
    next.run(request).await
}
