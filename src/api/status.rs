//! Every failure as a Kubernetes `Status`, in one table of constructors.
//!
//! The message is all that an operator sees of an answer in `kubectl describe hpa`. There is no `Retry-After` but with
//! 429, which the cluster itself never gets: client-go would sleep on it inside an HPA worker.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::provider;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: StatusCode,
    pub reason: &'static str,
    pub message: String,
    /// The object it is about; `None` where the message says it all.
    pub details: Option<Box<Details>>,
}

/// The object a failure is about, and when to ask again; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The resource in the plural, under the name that Kubernetes gives it here.
    pub kind: String,
    /// Seconds, with 429.
    pub retry_after: Option<u64>,
}

// === impl Status ===

impl Status {
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// Nobody is known to ask.
    pub fn unauthorized(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", format!("Unauthorized: {why}"))
    }

    /// Who asks may not. The message has been written in the words of Kubernetes.
    pub fn forbidden(message: impl Into<String>, details: Details) -> Self {
        Self { details: Some(Box::new(details)), ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message) }
    }

    /// Something beside the request is wrong.
    pub fn internal_error(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// The client asks too often.
    pub fn too_many_requests(why: impl std::fmt::Display, retry_after: u64) -> Self {
        let status = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", why.to_string());
        let details = Details { retry_after: Some(retry_after), ..Details::default() };
        Self { details: Some(Box::new(details)), ..status }
    }

    /// The request is larger than any that could be answered.
    pub fn too_large(code: StatusCode, why: impl std::fmt::Display) -> Self {
        let reason = if code == StatusCode::PAYLOAD_TOO_LARGE { "RequestEntityTooLarge" } else { "BadRequest" };
        Self::new(code, reason, why.to_string())
    }

    /// A path that is no resource of this API.
    pub fn resource_not_found() -> Self {
        Self::not_found("the server could not find the requested resource")
    }

    pub fn method_not_allowed() -> Self {
        let message =
            "the server does not allow this method on the requested resource; everything here is read with GET";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    /// There are no events of a value: whoever wants the next one asks again.
    pub fn watch_not_supported() -> Self {
        let message = "the server does not allow watch on metrics; ask again with GET for each value";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: one_line(message.into()), details: None }
    }
}

// === impl Details ===

impl Details {
    fn json(&self) -> Value {
        let pairs = [("name", &self.name), ("group", &self.group), ("kind", &self.kind)];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs = pairs.map(|(key, value)| (key.to_owned(), json!(value)));
        let seconds = self.retry_after.map(|seconds| ("retryAfterSeconds".to_owned(), json!(seconds)));
        Value::Object(pairs.chain(seconds).collect())
    }
}

/// Names in a path may hold line breaks, and a message is a line of a log and of a condition.
fn one_line(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    message.chars().map(escaped).collect()
}

impl From<provider::Error> for Status {
    fn from(error: provider::Error) -> Self {
        match error.is_bad_request() {
            true => Self::bad_request(error.to_string()),
            false => Self::not_found(error.to_string()),
        }
    }
}

impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason,
        });
        if let Some(details) = &self.details {
            body["details"] = details.json();
        }
        body["code"] = json!(self.code.as_u16());
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-cache, private"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = (self.code, headers, format!("{body}\n")).into_response();
        if self.code == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        let retry_after = self.details.and_then(|details| details.retry_after);
        response.headers_mut().extend(retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into())));
        response
    }
}
