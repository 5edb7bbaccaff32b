//! The HTTPS listener: TLS, HTTP/1.1 and HTTP/2, and a drain that ends.
//!
//! With a cluster, each request is authenticated ([`authentication`]) and authorized ([`authorization`]); without one,
//! only loopback addresses are accepted. What clients may take of the port is bounded ([`Limits`]): in size, in time, in
//! number, and in requests ([`rate_limits`]).

mod activity;
pub mod authentication;
pub mod authorization;
mod certificate;
mod connection;
mod connections;
mod descriptors;
mod frames;
pub mod gate;
mod health_paths;
mod limits;
mod metrics;
mod network;
mod rate;
pub mod rate_limits;
mod registration;
mod restraint;
pub mod review;
mod socket;
mod stream;
mod tls;

pub use certificate::{
    Certificate, CertificateError, CurrentCertificate, FileWatch, Lifetimes, Metrics as CertificateMetrics,
    SecretWatch, SelfManaged, ServiceName, Standing,
};
pub use connection::Oversize;
pub use connections::{Connections, Origin};
pub use limits::Limits;
pub use registration::{Registration, RegistrationMetrics};

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use connection::Connection;
use tls::AnyCertificate;

/// An open port.
pub struct Listener {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// Who is connected.
    pub connections: Connections,
    /// Writes the answer to a request that is too large, as the API writes its errors.
    pub answer: fn(Oversize) -> Response,
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

/// Pause after a failed `accept`, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// At most one line per kind of trouble in this time: strangers do not fill the log.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Opens the port, with the usual limits.
///
/// # Errors
/// [`BindError`] for an address that is taken or not there, or not loopback although nobody is authenticated.
pub async fn bind(address: SocketAddr, clients: Clients) -> Result<Listener, BindError> {
    bind_with(address, clients, Limits::default()).await
}

/// The same with limits of one's choice. Half of the file descriptors are left for targets and the cluster.
///
/// # Errors
/// As [`bind`].
pub async fn bind_with(address: SocketAddr, clients: Clients, mut limits: Limits) -> Result<Listener, BindError> {
    if clients == Clients::Local && !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    let failed = |source| BindError::Io { address, source };
    let listener = socket::listen(address).map_err(failed)?;
    let files = descriptors::raise();
    if files / 2 < limits.connections {
        limits.connections = (files / 2).max(1);
        tracing::warn!(files, connections = limits.connections, "few files may be open, so few connections are taken");
    }
    let address = listener.local_addr().map_err(failed)?;
    let connections = Connections::new(limits, clients == Clients::Authenticated);
    Ok(Listener { address, connections, answer: Oversize::plain, listener, clients })
}

/// Serves until `shutdown`, then lets requests under way finish for at most `drain_timeout`.
pub async fn serve(
    listener: Listener,
    certificate: impl Into<CurrentCertificate>,
    router: Router,
    drain_timeout: Duration,
    shutdown: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(certificate.into().server_config(listener.clients.verifier()));
    let (connections, router) = (listener.connections.clone(), connection::noted(router));
    let mut tasks = JoinSet::new();
    let mut sweep = tokio::time::interval(connections.limits().sweep);
    let mut tell = tokio::time::interval(TELL_INTERVAL);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = 0_u64;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(connection) = listener.take(stream, address) {
                        tasks.spawn(connection.serve(acceptor.clone(), router.clone()));
                    }
                }
                Err(error) => {
                    if failed == 0 {
                        tracing::warn!("cannot accept a connection: {error}");
                    }
                    failed += 1;
                    connections.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = sweep.tick() => connections.sweep(Instant::now()),
            _ = tell.tick() => {
                connections.tell();
                failed = 0;
            }
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    drain(&connections, tasks, drain_timeout).await;
}

async fn drain(connections: &Connections, mut tasks: JoinSet<()>, timeout: Duration) {
    connections.leave(Instant::now());
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(timeout, finished).await.is_err() {
        tracing::warn!(timeout_seconds = timeout.as_secs_f64(), "connections cut off: they did not finish in time");
    }
}

// === impl Listener ===

impl Listener {
    /// What is to be served of a new connection; `None` when it is refused, and closed thereby.
    fn take(&self, stream: TcpStream, address: SocketAddr) -> Option<Connection> {
        let opened = self.connections.open(address.ip(), Instant::now());
        let lease = opened.inspect_err(|why| tracing::debug!(reason = why.name(), "connection refused")).ok()?;
        Some(Connection { stream, address, clients: self.clients, lease, answer: self.answer })
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
