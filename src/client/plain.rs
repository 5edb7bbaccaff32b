//! Plain HTTP/1.1 to targets, over connections that cost nothing but their socket while they are idle.
//!
//! In goes a URL, out comes what [`super::Client::get`] promises, or `None` for what is left to the pooled client: other
//! URLs, names (which may have several addresses to try), connections that cannot be made, redirects, answers that are
//! no HTTP. The pooled client keeps buffers as large as a page with every idle connection (2,000 targets with pages of
//! 100 KB took 430 MB); here they end with the exchange, and only the socket is kept.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Body, Response, StatusCode, Url, Version};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{AGENT, Page, Request, body, receive, refusal};
use crate::storage::Failure;

/// The idle connections.
#[derive(Default)]
pub(super) struct Connections(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// By authority, with the time since when nobody uses it.
    streams: HashMap<Box<str>, Vec<(TcpStream, Instant)>>,
    /// When the connections of targets that are gone were last closed.
    swept: Option<Instant>,
}

/// Where a plain URL leads.
#[derive(Debug, PartialEq)]
struct Place {
    /// Host and port; an IPv6 address in brackets.
    authority: String,
    /// Path and query.
    path: String,
}

/// An answer, and the connection when it can be used again.
struct Answered {
    page: Result<Page, Failure>,
    stream: Option<TcpStream>,
}

/// A connection that is idle for longer is closed, as the pooled client does, when the next page comes from any target:
/// its target is gone or is scraped more rarely.
const IDLE_TIME_MAX: Duration = Duration::from_secs(90);

/// Bytes that are read at once: a page of 100 KB takes four readings.
const READ_SIZE: usize = 32 << 10;

// === impl Connections ===

impl Connections {
    /// Fetches a page; the caller watches the time.
    pub(super) async fn get(&self, url: &str, request: &Request) -> Option<Result<Page, Failure>> {
        let place = Place::parse(url)?;
        let mut answered = None;
        if let Some(stream) = self.take(&place.authority) {
            // The target may have closed it meanwhile. Then another one is tried.
            answered = exchange(stream, &place, request).await;
        }
        let Answered { page, stream } = match answered {
            Some(answered) => answered,
            None => exchange(place.connect().await.ok()?, &place, request).await?,
        };
        if let Some(stream) = stream {
            self.keep(place.authority, stream);
        }
        Some(page)
    }

    fn take(&self, authority: &str) -> Option<TcpStream> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, since) = idle.streams.get_mut(authority)?.pop()?;
        (since.elapsed() < IDLE_TIME_MAX && is_open(&stream)).then_some(stream)
    }

    fn keep(&self, authority: String, stream: TcpStream) {
        let now = Instant::now();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.swept.is_none_or(|swept| now - swept > IDLE_TIME_MAX / 3) {
            idle.swept = Some(now);
            let stays = |(stream, since): &mut (TcpStream, Instant)| now - *since < IDLE_TIME_MAX && is_open(stream);
            idle.streams.values_mut().for_each(|streams| streams.retain_mut(stays));
            idle.streams.retain(|_, streams| !streams.is_empty());
        }
        idle.streams.entry(authority.into()).or_default().push((stream, now));
    }
}

/// Whether an idle connection can be used: one that was closed, or says something unasked, can be read from.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// One request and its answer. `None` when no answer came, or one that the pooled client knows better.
async fn exchange(stream: TcpStream, place: &Place, request: &Request) -> Option<Answered> {
    let http = http1::Builder::new().read_buf_exact_size(Some(READ_SIZE)).handshake(TokioIo::new(stream));
    let (mut sender, connection) = http.await.ok()?;
    let mut connection = std::pin::pin!(connection.without_shutdown());
    let mut talk = std::pin::pin!(async move {
        let response = sender.send_request(place.request(request)?).await.ok()?;
        if response.status().is_redirection() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        let keeps_alive = response.version() == Version::HTTP_11 && !closes(response.headers());
        let response = Response::from(response.map(Body::wrap));
        match response.status() {
            StatusCode::OK => Some((receive(response, request).await, keeps_alive)),
            _ => Some((Err(refusal(response, false).await), false)),
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
    Some(Answered { page, stream })
}

fn closes(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"close"))
}

// === impl Place ===

impl Place {
    /// `None` for URLs that are not plain HTTP to an IP address, and for those with credentials.
    fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let host = url.host_str()?;
        host.trim_matches(['[', ']']).parse::<IpAddr>().ok()?;
        let authority = format!("{host}:{}", url.port_or_known_default()?);
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        (!has_credentials).then_some(Self { authority, path })
    }

    /// `None` for a path that cannot be sent.
    fn request(&self, request: &Request) -> Option<hyper::Request<Body>> {
        let mut ask = hyper::Request::new(Body::default());
        *ask.uri_mut() = self.path.parse().ok()?;
        let headers = ask.headers_mut();
        headers.extend(request.headers.clone());
        if let Ok(host) = HeaderValue::from_str(self.authority.strip_suffix(":80").unwrap_or(&self.authority)) {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, request.accept.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ENCODINGS));
        Some(ask)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_url_leads_to_an_authority_and_a_path() {
        let check = |url: &str, want: Option<(&str, &str)>| {
            let place = Place::parse(url);
            let found = place.as_ref().map(|place| (place.authority.as_str(), place.path.as_str()));
            assert_eq!(found, want, "{url}");
        };
        check("http://10.0.0.1:9090/metrics?a=b", Some(("10.0.0.1:9090", "/metrics?a=b")));
        check("http://[::1]/metrics", Some(("[::1]:80", "/metrics")));
        check("http://10.0.0.1", Some(("10.0.0.1:80", "/")));
        check("http://10.0.0.1/../a b#c", Some(("10.0.0.1:80", "/a%20b")));
        check("http://web/", None);
        check("https://h/", None);
        check("http://u:p@10.0.0.1/", None);
        check("h", None);
    }

    #[test]
    fn a_connection_that_says_close_is_not_kept() {
        let headers = |value: &'static str| HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static(value))]);
        assert!(closes(&headers("close")) && closes(&headers("Keep-Alive, Close")));
        assert!(!closes(&headers("keep-alive")) && !closes(&HeaderMap::new()));
    }
}
