//! What is asked of the kube-apiserver: each question has an answer within a time limit, or a sentence on why not.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::{Api, Client};
use rustls::CertificateError;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::config::{one_line, with_causes};
use crate::credential;
use crate::doctor::facts::Asked;
use crate::model::Timestamp;

/// Why an answer is none.
#[derive(Clone, Debug)]
pub(super) struct Denial {
    /// Of an answer with a status; `None` where nothing came.
    pub code: Option<u16>,
    /// What the server said, on one line.
    pub message: String,
}

/// What answers is well or ill, and the whole takes a few of these at most.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A kube-apiserver that is there answers at once; the rest is a network that drops packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that repeats nothing by itself, so that what is slow is known to be.
pub(super) fn client(config: &kube::Config) -> Asked<Client> {
    let mut config = config.clone();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(ANSWER_TIMEOUT);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config).map_err(|error| told(&error))
}

/// One object; `None` where there is none. Who may not get it may often list it, as Plimsoll's own account may.
pub(super) async fn object<K: Clone + DeserializeOwned + Debug>(api: &Api<K>, name: &str) -> Asked<Option<K>> {
    let denial = match within(api.get_opt(name)).await {
        Ok(found) => return Ok(found),
        Err(denial) => denial,
    };
    if denial.code == Some(403) {
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
    let request = request.map_err(|error| Denial { code: None, message: with_causes(&error) })?;
    within(client.request_text(request)).await
}

/// By how many seconds the clock of the server is ahead: `Date` has whole seconds, cut, so half of one is added.
///
/// # Errors
/// Why the server answers nothing at all, or not to this user.
pub(super) async fn seconds_ahead(client: &Client, clock: &Clock) -> Asked<Asked<f64>> {
    let request = hyper::Request::get("/version").body(Body::empty()).expect("a path");
    let asked = clock.now();
    let response = within(client.send(request)).await.map_err(|denial| denial.message)?;
    let answered = clock.now();
    if !response.status().is_success() {
        return Err(format!("it answers {} to these credentials", response.status()));
    }
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.ok_or("the kube-apiserver does not say its time").and_then(|date| {
        let read = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date);
        read.map_err(|_| "the kube-apiserver says a time that cannot be read")
    });
    let between = Timestamp(asked.0.midpoint(answered.0));
    Ok(date.map(|date| Timestamp(date.as_millisecond() + 500).seconds_since(between)).map_err(str::to_owned))
}

async fn within<T>(question: impl Future<Output = kube::Result<T>>) -> Result<T, Denial> {
    match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
        Ok(answer) => answer.map_err(|error| Denial::of(&error)),
        Err(_) => Err(Denial { code: None, message: format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()) }),
    }
}

// === impl Denial ===

impl Denial {
    fn of(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self { code: None, message: told(error) };
        };
        let said = if status.message.is_empty() { &status.reason } else { &status.message };
        Self { code: Some(status.code), message: one_line(&said.trim()) }
    }

    /// Whether this user may not ask, which says nothing of what others would be answered.
    pub(super) fn is_of_the_user(&self) -> bool {
        matches!(self.code, Some(401 | 403))
    }
}

/// What is the matter with a connection or with credentials, in plain words; else the error with its causes.
fn told(error: &kube::Error) -> String {
    if let Some(text) = credential::described("without a name", error) {
        return text;
    }
    let connection = credential::causes(error).find_map(|cause| of_connection(cause.downcast_ref()?));
    connection.unwrap_or_else(|| with_causes(error))
}

fn of_connection(error: &io::Error) -> Option<String> {
    let text = one_line(error);
    if let Some(rustls::Error::InvalidCertificate(what)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Some(match what {
            CertificateError::UnknownIssuer => "its certificate is signed by another CA than the one to go by".into(),
            other => format!("its certificate is not valid: {}", one_line(other)),
        });
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(format!("nothing listens there: {text}")),
        io::ErrorKind::TimedOut => Some(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
        _ if text.contains("failed to lookup address") => Some(format!("its host name is not known: {text}")),
        _ => None,
    }
}
