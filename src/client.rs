//! One bounded HTTP GET with the credentials and TLS settings of a job.
//!
//! In goes a URL, out comes a whole body within the limit, or a [`Failure`] with a reason from the
//! closed list. Connections are pooled per [`Client`]. Files with secrets are read again when they
//! change; their content never reaches a log or an error.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Certificate, Identity};

use crate::config::{ClientConfig, Credentials};
use crate::storage::{Failure, FailureReason};

/// A pool of connections with one set of credentials.
pub struct Client {
    config: ClientConfig,
    /// The pool, and the state of the TLS files it was built from.
    pool: Mutex<Option<(Vec<FileStamp>, reqwest::Client)>>,
}

/// A request besides its URL.
#[derive(Clone, Debug)]
pub struct Request {
    pub accept: &'static str,
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
}

/// Size and modification time: enough to see that a mounted Secret was replaced.
type FileStamp = Option<(u64, SystemTime)>;

/// Files with secrets are small; a larger one is a mistake.
const SECRET_SIZE_MAX: u64 = 64 << 10;

// === impl Client ===

impl Client {
    pub fn new(config: ClientConfig) -> Self {
        Self { config, pool: Mutex::new(None) }
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
            Err(_) => Err(timed_out(request.timeout)),
        }
    }

    async fn exchange(&self, url: &str, request: &Request) -> Result<Page, Failure> {
        let call = self.pool()?.get(url).header(ACCEPT, request.accept).headers(request.headers.clone());
        let call = match &self.config.credentials {
            Credentials::None => call,
            Credentials::BearerTokenFile(file) => call.bearer_auth(secret(file).await?),
            Credentials::Basic { username, password_file } => {
                call.basic_auth(username, Some(secret(password_file).await?))
            }
        };
        let mut response = call.send().await.map_err(|error| failure(&error, request.timeout))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Failure::new(FailureReason::HttpStatus, format!("the target answered {}", response.status())));
        }
        if response.content_length().is_some_and(|length| length > request.body_size_max as u64) {
            return Err(too_large(request.body_size_max));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, request.timeout))? {
            if body.len() + chunk.len() > request.body_size_max {
                return Err(too_large(request.body_size_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Page { content_type, body })
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
            .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
            .tls_danger_accept_invalid_certs(tls.insecure_skip_verify);
        if let Some(file) = &tls.ca_file {
            let roots = Certificate::from_pem_bundle(&read(file)?).map_err(|error| unusable(file, &error))?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some((certificate, key)) = &tls.certificate {
            let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
            builder = builder.identity(Identity::from_pem(&pem).map_err(|error| unusable(certificate, &error))?);
        }
        Ok(builder)
    }
}

fn stamp(file: &Path) -> FileStamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

/// The content of a token or password file, without surrounding white space.
async fn secret(file: &Path) -> Result<String, Failure> {
    let size = tokio::fs::metadata(file).await.map_err(|error| unreadable(file, &error))?.len();
    if size > SECRET_SIZE_MAX {
        return Err(Failure::new(
            FailureReason::Credentials,
            format!("{} is larger than {SECRET_SIZE_MAX} bytes", file.display()),
        ));
    }
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unreadable(file, &error))?;
    Ok(text.trim().to_owned())
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureReason::Credentials, format!("cannot read {}: {error}", file.display()))
}

fn unusable(file: &Path, error: &reqwest::Error) -> Failure {
    Failure::new(FailureReason::Credentials, format!("{} holds no usable PEM: {}", file.display(), root_cause(error)))
}

fn too_large(body_size_max: usize) -> Failure {
    Failure::new(
        FailureReason::BodySizeLimit,
        format!("the page is larger than the limit body_size_bytes, {body_size_max} bytes after decompression"),
    )
}

fn timed_out(timeout: Duration) -> Failure {
    Failure::new(FailureReason::Timeout, format!("no complete page within the scrape timeout of {timeout:?}"))
}

fn failure(error: &reqwest::Error, timeout: Duration) -> Failure {
    if error.is_timeout() {
        return timed_out(timeout);
    }
    let cause = root_cause(error);
    let reason = match () {
        () if is_caused_by::<rustls::Error>(error) => FailureReason::Tls,
        () if error.is_connect() && cause.contains("lookup") => FailureReason::Resolve,
        () if error.is_connect() => FailureReason::Connect,
        () => FailureReason::Body,
    };
    let what = match reason {
        FailureReason::Tls => "TLS fails",
        FailureReason::Resolve => "the host name cannot be resolved",
        FailureReason::Connect => "no connection",
        _ => "the connection broke or the page is malformed HTTP",
    };
    Failure::new(reason, format!("{what}: {cause}"))
}

/// The innermost error: the ones around it repeat the URL and "error sending request".
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().expect("a chain has at least its head").to_string()
}

fn is_caused_by<E: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<E>() || wrapped_in_io::<E>(cause))
}

/// `std::io::Error::source` skips the error it wraps, so that one is looked at here.
fn wrapped_in_io<E: std::error::Error + 'static>(cause: &(dyn std::error::Error + 'static)) -> bool {
    let io = cause.downcast_ref::<std::io::Error>();
    io.and_then(std::io::Error::get_ref).is_some_and(|inner| inner.is::<E>())
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
