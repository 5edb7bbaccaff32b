//! What is asked of the kube-apiserver: each question has an answer within a time limit, or a sentence on why not.

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError};
use hyper::StatusCode;
use kube::api::{ListParams, PostParams};
use kube::client::{Body, ClientBuilder};
use kube::{Api, Client};
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::{one_line, with_causes};
use crate::credential;
use crate::doctor::budget::{BODY_BYTES_MAX, Budget, Spent};
use crate::doctor::facts::{Asked, Gap};
use crate::model::Timestamp;

/// Why an answer is none.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    pub cause: Cause,
    /// What the server said, or what is the matter, on one line.
    pub message: String,
}

/// Where it was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server answers with this status.
    Status(u16),
    /// It does not answer in time.
    Silent,
    /// There is no connection, or it breaks off.
    Unconnected,
    /// It was not asked: the time of the examination is over.
    Late,
    /// The answer cannot be used, or the question cannot be put.
    Unusable,
}

/// What a kube-apiserver says of itself at `/version`, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// The beginning of an answer that is no success.
#[derive(Deserialize)]
struct Status {
    message: String,
}

/// What answers is well or ill, and the whole takes a few of these at most.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A kube-apiserver that is there answers at once; the rest is a network that drops packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The status of a server that has too many questions.
const TOO_MANY: u16 = 429;

/// What somebody's login page, or a server of something else, is told by.
const NO_API_SERVER: &str = "what answers there is no kube-apiserver: expected JSON with gitVersion at /version";

/// A server that is overloaded, a proxy without a server behind it, or one for something else.
const BREAKS_OFF: &str = "it closes the connection without an answer";

/// A client that repeats nothing by itself, so that what is slow is known to be, and keeps the bounds from now on.
pub(super) fn client(config: &kube::Config) -> Asked<Client> {
    let mut config = config.clone();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(ANSWER_TIMEOUT);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(|error| told(&error))?;
    Ok(builder.with_layer(&Budget::from(Instant::now())).build())
}

/// One object; `None` where there is none. Who may not get it may often list it, as Plimsoll's own account may.
pub(super) async fn object<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> Asked<Option<K>> {
    let denial = match within(api.get_opt(name)).await {
        Ok(found) => return Ok(found),
        Err(denial) => denial,
    };
    if denial.cause == Cause::Status(403) {
        let listed = within(api.list(&ListParams::default().fields(&format!("metadata.name={name}")))).await;
        return listed.map(|list| list.items.into_iter().next()).map_err(|_| denial.message);
    }
    Err(denial.message)
}

pub(super) async fn objects<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, params: &ListParams) -> Asked<Vec<K>> {
    within(api.list(params)).await.map(|list| list.items).map_err(|denial| denial.message)
}

/// What becomes of an object that is only a question, such as a SubjectAccessReview.
pub(super) async fn review<K>(api: &Api<K>, question: &K) -> Asked<K>
where
    K: Clone + DeserializeOwned + serde::Serialize + Debug,
{
    within(api.create(&PostParams::default(), question)).await.map_err(|denial| denial.message)
}

/// The body that is answered at a path.
pub(super) async fn text(client: &Client, path: &str) -> Result<String, Denial> {
    let request = hyper::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Denial { cause: Cause::Unusable, message: with_causes(&error) })?;
    within(client.request_text(request)).await
}

/// By how many seconds the clock of the server is ahead: `Date` has whole seconds, cut, so half of one is added.
///
/// # Errors
/// Why the server answers nothing at all, or not to this user; or that it is no kube-apiserver.
pub(super) async fn seconds_ahead(client: &Client, clock: &Clock) -> Asked<Asked<f64>> {
    let request = hyper::Request::get("/version").body(Body::empty()).expect("a path");
    let asked = clock.now();
    let exchange = async {
        let response = client.send(request).await?;
        let (answered, (head, body)) = (clock.now(), response.into_parts());
        Ok((answered, head, body.collect().await?.to_bytes()))
    };
    let (answered, head, body) = within(exchange).await.map_err(|denial| denial.message)?;
    is_api_server(head.status, &body)?;
    let date = head.headers.get("date").and_then(|date| date.to_str().ok());
    let date = date.ok_or("the kube-apiserver does not say its time").and_then(|date| {
        let read = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date);
        read.map_err(|_| "the kube-apiserver says a time that cannot be read")
    });
    let between = Timestamp(asked.0.midpoint(answered.0));
    Ok(date.map(|date| Timestamp(date.as_millisecond() + 500).seconds_since(between)).map_err(str::to_owned))
}

/// # Errors
/// What answers instead at `/version`, or why it does not.
fn is_api_server(status: StatusCode, body: &[u8]) -> Asked<()> {
    if status.is_success() {
        let version = serde_json::from_slice::<Version>(body).ok().filter(|version| !version.git_version.is_empty());
        return version.map(|_| ()).ok_or_else(|| NO_API_SERVER.into());
    }
    let said = serde_json::from_slice(body)
        .map_or_else(|_| String::from_utf8_lossy(body).trim().to_owned(), |Status { message }| message);
    let said = if said.is_empty() { said } else { format!(": {}", one_line(&said)) };
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("it answers {status} to these credentials{said}"),
        status if status.is_redirection() => {
            format!("what answers there is no kube-apiserver: it redirects to elsewhere ({status})")
        }
        status => format!("it answers {status} at /version{said}"),
    })
}

async fn within<T>(question: impl Future<Output = kube::Result<T>>) -> Result<T, Denial> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        Ok(answer) => answer.map_err(|error| Denial::of(&error)),
        Err(_) => {
            let message = format!("no answer within {} s", ANSWER_TIMEOUT.as_secs());
            Err(Denial { cause: Cause::Silent, message })
        }
    }
}

// === impl Denial ===

impl Denial {
    fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self { cause: Cause::of(error), message: told(error) };
        };
        let said = if status.message.is_empty() { &status.reason } else { &status.message };
        Self { cause: Cause::Status(status.code), message: one_line(&said.trim()) }
    }

    /// Whether this user may not ask, which says nothing of what others would be answered.
    pub(super) fn is_of_the_user(&self) -> bool {
        matches!(self.cause, Cause::Status(401 | 403))
    }

    /// What it says of an answer that others are waiting for: who is ill answers nobody for now.
    pub(super) fn gap(self) -> Gap {
        match self.cause {
            Cause::Status(401 | 403) => Gap::Forbidden(self.message),
            Cause::Status(code) if code != TOO_MANY && code < 500 => Gap::Real(self.message),
            _ => Gap::Late(self.message),
        }
    }

    /// Whether the server says that there is no such thing.
    pub(super) fn is_absence(&self) -> bool {
        self.cause == Cause::Status(404)
    }
}

// === impl Cause ===

impl Cause {
    /// Whether nobody answered.
    pub(super) fn is_silence(self) -> bool {
        matches!(self, Self::Silent | Self::Unconnected)
    }

    /// Of an error that is no answer.
    fn of(error: &kube::Error) -> Self {
        let has = |is_it: fn(&(dyn Error + 'static)) -> bool| credential::causes(error).any(is_it);
        match error {
            _ if has(|cause| cause.is::<Spent>()) => Self::Late,
            _ if has(|cause| cause.is::<io::Error>() || cause.is::<hyper::Error>()) => Self::Unconnected,
            _ => Self::Unusable,
        }
    }
}

/// What is the matter with a connection or with credentials, in plain words; else the error with its causes.
fn told(error: &kube::Error) -> String {
    if let Some(text) = credential::described("without a name", error) {
        return text;
    }
    credential::causes(error).find_map(in_words).unwrap_or_else(|| with_causes(error))
}

fn in_words(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(spent) = cause.downcast_ref::<Spent>() {
        return Some(spent.to_string());
    }
    if cause.is::<LengthLimitError>() {
        return Some(format!("its answer has more than {} MiB", BODY_BYTES_MAX >> 20));
    }
    cause.downcast_ref().and_then(of_exchange).or_else(|| of_connection(cause.downcast_ref()?))
}

fn of_exchange(error: &hyper::Error) -> Option<String> {
    match error {
        error if error.is_parse() => Some("what answers there does not speak HTTP".into()),
        error if error.is_incomplete_message() => Some(BREAKS_OFF.into()),
        _ => None,
    }
}

fn of_connection(error: &io::Error) -> Option<String> {
    let (text, inner) = (one_line(error), error.get_ref());
    // The connector wraps the errors of TLS twice.
    if let Some(inner) = inner.and_then(|inner| inner.downcast_ref::<io::Error>()) {
        return of_connection(inner);
    }
    if let Some(error) = inner.and_then(|inner| inner.downcast_ref()) {
        return of_tls(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(format!("nothing listens there: {text}")),
        io::ErrorKind::TimedOut => Some(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(BREAKS_OFF.into()),
        _ if text.contains("failed to lookup address") => Some(format!("its host name is not known: {text}")),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Option<String> {
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by another CA than the one to go by".into()
        }
        rustls::Error::InvalidCertificate(what) if one_line(what).contains("UnsupportedCertVersion") => {
            "its certificate is one of X.509 v1; expected v3, which has the names of the server".into()
        }
        rustls::Error::InvalidCertificate(what) => format!("its certificate is not valid: {}", one_line(what)),
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS".into(),
        rustls::Error::AlertReceived(alert) => format!("it turns the TLS connection down ({alert:?})"),
        _ => return None,
    })
}
