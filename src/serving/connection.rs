//! One connection from its handshake to its end, and what its requests have in common.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use crate::serving::Clients;
use crate::serving::activity::Framing;
use crate::serving::authentication::Peer;
use crate::serving::connections::{Lease, Order, Origin, Under};
use crate::serving::limits::Limits;
use crate::serving::stream::{Plain, Wire};

/// One client.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) clients: Clients,
    /// Its place among the open ones, given back at its end.
    pub(super) lease: Lease,
    pub(super) answer: fn(Oversize) -> Response,
}

/// What is too large of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Oversize {
    #[error("the path and query have {found} bytes; at most {most} are read")]
    Uri { found: usize, most: usize },
    #[error("the request has {found} headers; at most {most} are read")]
    Headers { found: usize, most: usize },
    #[error("the body has {found} bytes; everything here is read with GET, and no body is")]
    Body { found: u64 },
}

/// What the requests of a connection have in common.
#[derive(Clone)]
struct Arrivals {
    origin: Origin,
    /// `None` where nobody is authenticated.
    peer: Option<Peer>,
    answer: fn(Oversize) -> Response,
}

/// The body of an answer; its request is under way until all of it was taken.
struct Answer {
    body: Body,
    _under: Under,
}

/// An HTTP/2 connection is asked this often whether its client is still there, and cut off when it does not answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of bodies that may come without being asked for, on a connection and of a request: the least that HTTP/2 allows
/// (RFC 9113, 6.9.2), since none is read.
const CONNECTION_WINDOW: u32 = 65_535;
const STREAM_WINDOW: u32 = 16_384;

/// Bytes of answers that wait to be sent for a request; what is longer is written as the client takes it.
const SEND_BUFFER: usize = 64 << 10;

/// Requests that were reset before anybody looked at them, and resets that a client provoked, until the connection is
/// ended; h2 has 20 and 1,024.
const RESETS_PENDING: usize = 20;
const RESETS_PROVOKED: usize = 200;

// === impl Connection ===

impl Connection {
    /// From handshake to end. Its errors are the client's and end nothing else.
    pub(super) async fn serve(self, acceptor: TlsAcceptor, router: Router) {
        let Self { stream, address, clients, lease, answer } = self;
        drop(stream.set_nodelay(true));
        let mut orders = lease.orders();
        let tls = tokio::select! {
            shaken = shake(Wire::new(stream, lease.clone()), &acceptor, &lease) => match shaken {
                Ok(Some(tls)) => tls,
                Ok(None) => return tracing::debug!("connection refused: its address begins too many handshakes"),
                Err(error) => return tracing::debug!("TLS handshake fails: {error}"),
            },
            () = ordered(&mut orders, Order::Cut) => return,
        };
        lease.handshake_done();
        let session = tls.get_ref().1;
        // ALPN tells the version: looking at the first bytes instead would wait for them without end.
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let builder = http(lease.limits());
        let builder = if is_http2 { builder.http2_only() } else { builder.http1_only() };
        let chain = session.peer_certificates().unwrap_or_default().to_vec();
        let peer = (clients == Clients::Authenticated).then(|| Peer::new(address, chain));
        let (arrivals, router) =
            (Arc::new(Arrivals { origin: lease.clone(), peer, answer }), TowerToHyperService::new(router));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(arrivals.clone());
            router.call(request)
        });
        let served = builder.serve_connection(TokioIo::new(Plain::new(tls, lease.clone(), is_http2)), service);
        tokio::pin!(served);
        tokio::select! {
            ended = &mut served => return tell(ended),
            () = ordered(&mut orders, Order::Leave) => served.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            ended = &mut served => tell(ended),
            () = ordered(&mut orders, Order::Cut) => {}
        }
    }
}

/// What all connections have in front of the router.
pub(super) fn noted(router: Router) -> Router {
    router.layer(middleware::from_fn(note))
}

/// The handshake; `None` when its address begins too many. It counts from when a ClientHello is there: only that makes
/// work, and who merely connects takes nothing from others of its address.
async fn shake(wire: Wire, acceptor: &TlsAcceptor, origin: &Origin) -> io::Result<Option<TlsStream<Wire>>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), wire).await?;
    if !origin.may_shake(Instant::now()) {
        return Ok(None);
    }
    start.into_stream(acceptor.config().clone()).await.map(Some)
}

/// Until this is ordered, or more.
async fn ordered(orders: &mut watch::Receiver<Order>, order: Order) {
    // The sender lives as long as the connection has its lease.
    drop(orders.wait_for(|given| *given >= order).await);
}

fn tell(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!("connection ends: {error}");
    }
}

/// Both versions within the limits. How long a head takes is looked at by [`Plain`]: hyper would time it from the end of
/// the request before.
fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes as usize)
        .max_headers(limits.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_bytes)
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(RESETS_PROVOKED)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Notes that a request has come, and on it from whom. One that is too large is not looked at.
async fn note(mut request: Request, next: Next) -> Response {
    let Some(arrivals) = request.extensions_mut().remove::<Arc<Arrivals>>() else { return next.run(request).await };
    let Arrivals { origin, peer, answer } = &*arrivals;
    let under = origin.begin(framing(&request));
    if origin.is_stranger() {
        origin.spend();
    }
    let response = match Oversize::of(&request, origin.limits()) {
        Some(oversize) => answer(oversize),
        None => {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer.clone());
            }
            request.extensions_mut().insert(origin.clone());
            next.run(request).await
        }
    };
    response.map(|body| Body::new(Answer { body, _under: under }))
}

fn framing(request: &Request) -> Framing {
    let has_body = !request.body().is_end_stream();
    if request.version() < Version::HTTP_2 { Framing::Http1 { has_body } } else { Framing::Http2 }
}

// === impl Oversize ===

impl Oversize {
    fn of(request: &Request, limits: &Limits) -> Option<Self> {
        let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
        let (headers, body) = (request.headers().len(), body_length(request.headers()));
        if uri > limits.uri_bytes {
            Some(Self::Uri { found: uri, most: limits.uri_bytes })
        } else if headers > limits.headers {
            Some(Self::Headers { found: headers, most: limits.headers })
        } else {
            (body > limits.body_bytes).then_some(Self::Body { found: body })
        }
    }

    pub fn code(self) -> StatusCode {
        match self {
            Self::Uri { .. } => StatusCode::URI_TOO_LONG,
            Self::Headers { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Body { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The answer where nobody has a better form for it.
    pub(super) fn plain(self) -> Response {
        (self.code(), format!("{self}\n")).into_response()
    }
}

/// What a client says of its body; one that says nothing is bounded by what is not read.
fn body_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

// === impl Answer ===

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
