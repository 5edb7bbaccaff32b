//! One bounded HTTP GET with the credentials and TLS settings of a job.
//!
//! In goes a URL, out comes a whole body within the limit, or a [`Failure`] with a reason from the
//! closed list. Connections are pooled per [`Client`]. Files with secrets are read again when they
//! change; their content never reaches a log or an error.

mod any_certificate;
mod body;
mod connection;
mod failure;
mod named;
mod plain;
mod redirect;
mod secret;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use reqwest::header::{HeaderName, TRANSFER_ENCODING};
use reqwest::{Certificate, Identity, Response, StatusCode, Version};

use crate::config::{ClientConfig, Credentials, SecretText};
use crate::storage::{Failure, FailureReason};
pub use any_certificate::AnyCertificate;
use body::{Body, TooLarge};
use failure::{find, root_cause, too_large};
use named::Named;

/// A pool of connections with one set of credentials.
pub struct Client {
    config: ClientConfig,
    pool: Built<reqwest::Client>,
    /// For https URLs where the certificate has a name of its own.
    named: Built<Arc<Named>>,
    /// For plain URLs without credentials, which most targets in a cluster have.
    plain: plain::Connections,
}

/// What is built from TLS files, and their state at that time.
struct Built<T>(Mutex<Option<(Vec<FileStamp>, T)>>);

/// A request besides its URL.
#[derive(Clone, Debug)]
pub struct Request {
    pub accept: HeaderValue,
    pub headers: HeaderMap,
    /// From the first byte sent to the last byte received.
    pub timeout: Duration,
    /// Bytes of the decompressed body.
    pub body_size_max: usize,
}

/// A complete answer with status 200.
#[derive(Debug)]
pub struct Page {
    pub content_type: Option<String>,
    pub body: Vec<u8>,
    /// Whether the length, chunks, HTTP/2 or the compression told where the body ends. Otherwise it ended when the
    /// connection was closed, which looks the same when the target died within the page.
    pub delimited: bool,
}

/// Size and modification time: enough to see that a mounted Secret was replaced.
type FileStamp = Option<(u64, SystemTime)>;

/// What requests say they come from.
const AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// As much of an error page as is looked at.
const ERROR_PAGE_SIZE_MAX: usize = 1 << 10;

// === impl Client ===

impl Client {
    pub fn new(config: ClientConfig) -> Self {
        let plain = plain::Connections::default();
        Self { config, pool: Built::default(), named: Built::default(), plain }
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// [`Failure`] with the reason, also for a page that is larger than the limit, in which case no
    /// more than the limit was kept in memory.
    pub async fn get(&self, url: &str, request: &Request) -> Result<Page, Failure> {
        let exchange = self.exchange(url, request);
        match tokio::time::timeout(request.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(failure::timed_out(request.timeout)),
        }
    }

    async fn exchange(&self, url: &str, request: &Request) -> Result<Page, Failure> {
        if self.config.credentials == Credentials::None
            && let Some(outcome) = self.plain.get(url, request).await
        {
            return outcome;
        }
        let https = url.starts_with("https:");
        let call = self.pool()?.get(url).headers(request.headers.clone());
        let call = self.authorize(call).await?;
        if let Some(name) = self.config.tls.server_name.as_ref().filter(|_| https) {
            let named = self.named.get(&self.stamps(), || Named::new(name, &self.config.tls).map(Arc::new))?;
            let headers = call.build().map_err(|error| failure::of_request(&error, https, request.timeout))?;
            return named.get(url, &Request { headers: headers.headers().clone(), ..request.clone() }).await;
        }
        let call = call.header(ACCEPT, request.accept.clone()).header(ACCEPT_ENCODING, body::ENCODINGS);
        let response = call.send().await.map_err(|error| failure::of_request(&error, https, request.timeout))?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response, https).await);
        }
        receive(response, request).await
    }

    async fn authorize(&self, call: reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder, Failure> {
        Ok(match &self.config.credentials {
            Credentials::None => call,
            Credentials::Authorization { scheme, credentials } => {
                let value = format!("{scheme} {}", secret::token(credentials).await?);
                let mut value = HeaderValue::try_from(value).map_err(|_| {
                    Failure::new(FailureReason::Credentials, "the authorization type cannot stand in a header")
                })?;
                value.set_sensitive(true);
                call.header(AUTHORIZATION, value)
            }
            Credentials::Basic { username, password } => {
                call.basic_auth(secret::password(username).await?, Some(secret::password(password).await?))
            }
        })
    }

    fn pool(&self) -> Result<reqwest::Client, Failure> {
        self.pool.get(&self.stamps(), || self.build())
    }

    /// The state of the TLS files now.
    fn stamps(&self) -> Vec<FileStamp> {
        let tls = &self.config.tls;
        let pair = tls.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        let file = |text: &SecretText| match text {
            SecretText::File(file) => stamp(file),
            SecretText::Inline { .. } | SecretText::Missing(_) => None,
        };
        tls.ca.iter().chain(pair).map(file).collect()
    }

    fn build(&self) -> Result<reqwest::Client, Failure> {
        let unbuildable =
            |error| Failure::new(FailureReason::Tls, format!("no client can be built: {}", root_cause(&error)));
        match self.builder()?.build() {
            Ok(client) => Ok(client),
            // A machine without root certificates can still scrape plain HTTP.
            Err(_) if self.config.tls.ca.is_none() => self.builder()?.tls_certs_only([]).build().map_err(unbuildable),
            Err(error) => Err(unbuildable(error)),
        }
    }

    fn builder(&self) -> Result<reqwest::ClientBuilder, Failure> {
        let tls = &self.config.tls;
        // A scraper must reach the address it was given: no proxy from the environment.
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::policy())
            .user_agent(AGENT)
            .tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
        if let Some(ca) = &tls.ca {
            let roots = Certificate::from_pem_bundle(&secret::pem(ca)?);
            builder = builder.tls_certs_only(roots.map_err(|error| unusable(ca, &root_cause(&error)))?);
        }
        if let Some((certificate, key)) = &tls.certificate {
            let pem = [secret::pem(certificate)?, b"\n".to_vec(), secret::pem(key)?].concat();
            let identity = Identity::from_pem(&pem);
            builder = builder.identity(identity.map_err(|error| unusable(certificate, &root_cause(&error)))?);
        }
        Ok(builder)
    }
}

// === impl Built ===

impl<T: Clone> Built<T> {
    /// What was built, or is built anew when one of the files changed.
    fn get(&self, stamps: &[FileStamp], build: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built {
            Some((built_from, value)) if built_from == stamps => Ok(value.clone()),
            _ => {
                let value = build()?;
                *built = Some((stamps.to_vec(), value.clone()));
                Ok(value)
            }
        }
    }
}

impl<T> Default for Built<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

fn stamp(file: &Path) -> FileStamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

fn unusable(text: &SecretText, why: &str) -> Failure {
    Failure::new(FailureReason::Credentials, format!("{} holds no usable PEM: {why}", secret::name(text)))
}

/// An answer that is no page; a TLS port may say so in the page of a 400.
async fn refusal(mut response: Response, https: bool) -> Failure {
    let status = response.status();
    let mut page = Vec::new();
    while status == StatusCode::BAD_REQUEST && page.len() < ERROR_PAGE_SIZE_MAX {
        let Ok(Some(piece)) = response.chunk().await else { break };
        page.extend_from_slice(&piece);
    }
    let hint = failure::scheme_hint(https, &page);
    Failure::new(FailureReason::HttpStatus, format!("the target answered {status}{hint}"))
}

async fn receive(mut response: Response, request: &Request) -> Result<Page, Failure> {
    let limit = request.body_size_max;
    let headers = response.headers();
    let framed = response.version() == Version::HTTP_2
        || headers.contains_key(CONTENT_LENGTH)
        || text(headers, &TRANSFER_ENCODING).is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
    let content_type = text(headers, &CONTENT_TYPE);
    let mut body = open(headers, limit)?;
    match response.content_length().map(usize::try_from) {
        Some(Ok(length)) if length <= limit => body.reserve(length),
        Some(_) => return Err(too_large(limit)),
        None => {}
    }
    let undecodable = |error| if find::<TooLarge>(&error).is_some() { too_large(limit) } else { undecodable(&error) };
    while let Some(piece) = response.chunk().await.map_err(|error| failure::of_body(&error, request.timeout))? {
        body.push(&piece).map_err(undecodable)?;
    }
    let delimited = framed || body.is_delimited();
    Ok(Page { content_type, body: body.finish().map_err(undecodable)?, delimited })
}

fn open(headers: &HeaderMap, limit: usize) -> Result<Body, Failure> {
    let codings: Vec<_> =
        headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let encoding = codings.join(", ");
    let opened = Body::new(&encoding, limit).map_err(|error| undecodable(&error))?;
    let asked = body::ENCODINGS;
    opened.ok_or_else(|| {
        let message = format!("the page has the content encoding {encoding:?}; only these were asked for: {asked}");
        Failure::new(FailureReason::Body, message)
    })
}

fn undecodable(error: &std::io::Error) -> Failure {
    Failure::new(FailureReason::Body, format!("the page cannot be decompressed: {error}"))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
