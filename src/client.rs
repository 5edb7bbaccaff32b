//! One bounded HTTP GET with the credentials and TLS settings of a job.
//!
//! In goes a URL, out comes a whole body within the limit, or a [`Failure`] with a reason from the
//! closed list. Connections are pooled per [`Client`]. Files with secrets are read again when they
//! change; their content never reaches a log or an error.

mod body;
mod failure;
mod plain;
mod redirect;
mod secret;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use reqwest::header::{HeaderName, TRANSFER_ENCODING};
use reqwest::{Certificate, Identity, Response, StatusCode, Version};

use crate::config::{ClientConfig, Credentials};
use crate::storage::{Failure, FailureReason};
use body::{Body, TooLarge};
use failure::{find, root_cause, too_large};

/// A pool of connections with one set of credentials.
pub struct Client {
    config: ClientConfig,
    /// The pool, and the state of the TLS files it was built from.
    pool: Mutex<Option<(Vec<FileStamp>, reqwest::Client)>>,
    /// For plain URLs without credentials, which most targets in a cluster have.
    plain: plain::Connections,
}

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
        Self { config, pool: Mutex::new(None), plain: plain::Connections::default() }
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
        let call =
            self.pool()?.get(url).header(ACCEPT, request.accept.clone()).header(ACCEPT_ENCODING, body::ENCODINGS);
        let call = call.headers(request.headers.clone());
        let call = match &self.config.credentials {
            Credentials::None => call,
            Credentials::BearerTokenFile(file) => call.bearer_auth(secret::token(file).await?),
            Credentials::Basic { username, password_file } => {
                call.basic_auth(username, Some(secret::password(password_file).await?))
            }
        };
        let https = url.starts_with("https:");
        let response = call.send().await.map_err(|error| failure::of_request(&error, https, request.timeout))?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response, https).await);
        }
        receive(response, request).await
    }

    /// The pool, built anew when one of the TLS files changed.
    fn pool(&self) -> Result<reqwest::Client, Failure> {
        let stamps: Vec<_> = self.tls_files().map(|file| stamp(file)).collect();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pool {
            Some((built_from, client)) if *built_from == stamps => Ok(client.clone()),
            _ => {
                let client = self.build()?;
                *pool = Some((stamps, client.clone()));
                Ok(client)
            }
        }
    }

    fn tls_files(&self) -> impl Iterator<Item = &PathBuf> {
        let tls = &self.config.tls;
        let pair = tls.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        tls.ca_file.iter().chain(pair)
    }

    fn build(&self) -> Result<reqwest::Client, Failure> {
        let unbuildable =
            |error| Failure::new(FailureReason::Tls, format!("no client can be built: {}", root_cause(&error)));
        match self.builder()?.build() {
            Ok(client) => Ok(client),
            // A machine without root certificates can still scrape plain HTTP.
            Err(_) if self.config.tls.ca_file.is_none() => {
                self.builder()?.tls_certs_only([]).build().map_err(unbuildable)
            }
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
        if let Some(file) = &tls.ca_file {
            let roots = Certificate::from_pem_bundle(&secret::pem(file)?).map_err(|error| unusable(file, &error))?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some((certificate, key)) = &tls.certificate {
            let pem = [secret::pem(certificate)?, b"\n".to_vec(), secret::pem(key)?].concat();
            builder = builder.identity(Identity::from_pem(&pem).map_err(|error| unusable(certificate, &error))?);
        }
        Ok(builder)
    }
}

fn stamp(file: &Path) -> FileStamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

fn unusable(file: &Path, error: &reqwest::Error) -> Failure {
    Failure::new(FailureReason::Credentials, format!("{} holds no usable PEM: {}", file.display(), root_cause(error)))
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
