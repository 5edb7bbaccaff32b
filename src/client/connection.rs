//! HTTP/1.1 over connections that cost nothing but their socket while they are idle.
//!
//! The pooled client keeps buffers as large as a page with every idle connection (2,000 targets with pages of 100 KB
//! took 430 MB); here they end with the exchange, and only the socket is kept.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Body, Response, StatusCode, Url, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::{AGENT, Page, Request, body, receive, refusal};
use crate::storage::Failure;

/// The idle connections.
pub(super) struct Idle<S>(Mutex<Streams<S>>);

struct Streams<S> {
    /// By authority, with the time since when nobody uses it.
    streams: HashMap<Box<str>, Vec<(S, Instant)>>,
    /// When the connections of targets that are gone were last closed.
    swept: Option<Instant>,
}

/// Where a URL leads.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// Host and port; an IPv6 address in brackets.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

/// An answer, and the connection when it can be used again.
pub(super) struct Answered<S> {
    pub(super) page: Result<Page, Failure>,
    pub(super) stream: Option<S>,
}

/// Why there is neither a page nor a failure of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unanswered {
    /// The connection broke, or what came is no HTTP.
    Broken,
    /// The answer leads elsewhere.
    Elsewhere(StatusCode),
}

/// What requests go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;
}

/// A connection that is idle for longer is closed, as the pooled client does, when the next page comes from any target:
/// its target is gone or is scraped more rarely.
const IDLE_TIME_MAX: Duration = Duration::from_secs(90);

/// Bytes that are read at once: a page of 100 KB takes four readings.
const READ_SIZE: usize = 32 << 10;

// === impl Idle ===

impl<S: Stream> Idle<S> {
    pub(super) fn take(&self, authority: &str) -> Option<S> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, since) = idle.streams.get_mut(authority)?.pop()?;
        (since.elapsed() < IDLE_TIME_MAX && is_open(&stream)).then_some(stream)
    }

    pub(super) fn keep(&self, authority: String, stream: S) {
        let now = Instant::now();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.swept.is_none_or(|swept| now - swept > IDLE_TIME_MAX / 3) {
            idle.swept = Some(now);
            let stays = |(stream, since): &mut (S, Instant)| now - *since < IDLE_TIME_MAX && is_open(stream);
            idle.streams.values_mut().for_each(|streams| streams.retain_mut(stays));
            idle.streams.retain(|_, streams| !streams.is_empty());
        }
        idle.streams.entry(authority.into()).or_default().push((stream, now));
    }
}

impl<S> Default for Idle<S> {
    fn default() -> Self {
        Self(Mutex::new(Streams { streams: HashMap::new(), swept: None }))
    }
}

/// Whether an idle connection can be used: one that was closed, or says something unasked, can be read from.
fn is_open(stream: &impl Stream) -> bool {
    matches!(stream.socket().try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

// === impl Place ===

impl Place {
    /// `None` for a URL with credentials or without a host.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let authority = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        (!has_credentials).then_some(Self { authority, path })
    }

    /// `None` for a path that cannot be sent. `usual_port` is the one that the scheme means, with its colon.
    fn request(&self, usual_port: &str, request: &Request) -> Option<hyper::Request<Body>> {
        let mut ask = hyper::Request::new(Body::default());
        *ask.uri_mut() = self.path.parse().ok()?;
        let headers = ask.headers_mut();
        headers.extend(request.headers.clone());
        if let Ok(host) = HeaderValue::from_str(self.authority.strip_suffix(usual_port).unwrap_or(&self.authority)) {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, request.accept.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ENCODINGS));
        Some(ask)
    }

    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

// === impl Stream ===

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// One request and its answer.
pub(super) async fn exchange<S: Stream>(
    stream: S,
    place: &Place,
    https: bool,
    request: &Request,
) -> Result<Answered<S>, Unanswered> {
    let http = http1::Builder::new().read_buf_exact_size(Some(READ_SIZE)).handshake(TokioIo::new(stream));
    let (mut sender, connection) = http.await.map_err(|_| Unanswered::Broken)?;
    let mut connection = std::pin::pin!(connection.without_shutdown());
    let mut talk = std::pin::pin!(async move {
        let ask = place.request(if https { ":443" } else { ":80" }, request).ok_or(Unanswered::Broken)?;
        let response = sender.send_request(ask).await.map_err(|_| Unanswered::Broken)?;
        if response.status().is_redirection() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Unanswered::Elsewhere(response.status()));
        }
        let keeps_alive = response.version() == Version::HTTP_11 && !closes(response.headers());
        let response = Response::from(response.map(Body::wrap));
        match response.status() {
            StatusCode::OK => Ok((receive(response, request).await, keeps_alive)),
            _ => Ok((Err(refusal(response, https).await), false)),
        }
    });
    // The connection moves as long as it is polled; it may end before all that it brought is dealt with.
    let (mut ended, mut rest) = (None, None);
    let talked = loop {
        tokio::select! {
            talked = &mut talk => break talked,
            end = &mut connection, if ended.is_none() => ended = Some(end),
        }
    };
    let (page, keeps_alive) = talked?;
    if page.is_ok() && keeps_alive {
        rest = match ended {
            Some(end) => end.ok(),
            None => connection.await.ok(),
        };
    }
    // Bytes beyond the answer would be taken for the next one.
    let stream = rest.filter(|rest| rest.read_buf.is_empty()).map(|rest| rest.io.into_inner());
    Ok(Answered { page, stream })
}

fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_says_close_is_not_kept() {
        let headers = |value: &'static str| HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(value))]);
        assert!(closes(&headers("close")) && closes(&headers("Keep-Alive, Close")));
        assert!(!closes(&headers("keep-alive")) && !closes(&HeaderMap::new()));
    }
}
