//! The correlation id of a request, its span and its log line.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use opentelemetry::propagation::Extractor;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::model::excerpt;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Ids longer than this are cut: they go into every log line.
const ID_LENGTH_MAX: usize = 64;

/// Marks an answer of which whoever made it says in the log what there is to say, and not for each one.
#[derive(Clone, Copy, Debug)]
pub struct Reported;

/// Gives the request a span with its correlation id, has it answered, logs it once then, and sends the id back as
/// `Audit-Id`.
///
/// The handler finds the id in the request's own `Audit-Id`. The span is of level debug: the log has no use for it but
/// when an answer is worth a line, and then the line has all of it.
pub async fn correlate(mut request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let started = Instant::now();
    let id = correlation_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let span = tracing::debug_span!(
        "request",
        otel.kind = "server",
        audit_id = id,
        trace_id = trace_id(request.headers()),
        http.request.method = method.as_str(),
        url.path = path,
    );
    join_trace(&span, request.headers());
    let header = HeaderValue::from_str(&id).ok();
    header.iter().for_each(|id| drop(request.headers_mut().insert(AUDIT_ID, id.clone())));
    let mut response = answer(request).instrument(span.clone()).await;
    let code = response.status().as_u16();
    // Not a field: a field that comes later makes the log layer read and write all of them again.
    span.set_attribute("http.response.status_code", i64::from(code));
    let is_reported = response.extensions().get::<Reported>().is_some();
    span.in_scope(|| log(&id, method.as_str(), &path, &query, code, is_reported, started));
    response.headers_mut().extend(header.map(|id| (AUDIT_ID, id)));
    response
}

fn log(audit_id: &str, method: &str, path: &str, query: &str, code: u16, is_reported: bool, started: Instant) {
    let duration_seconds = started.elapsed().as_secs_f64();
    // Every autoscaler asks every 15 s, probes come more often: answers that are as they should be say nothing, and a
    // line would cost as much as the answer. A probe that is not ready yet is no news either. Whom nobody knows, who may
    // not, of whom that cannot be found out, or who asks too often could fill the disk: who refuses them says so now and
    // then. For the same reason a line has not all of a path and a query of 16 KB.
    let page = path.split('/').nth(1).unwrap_or_default();
    let is_probe = matches!(page, "livez" | "readyz" | "healthz" | "metrics");
    if code < 400 || is_probe || is_reported || matches!(code, 401 | 403 | 429) {
        tracing::debug!(
            audit_id,
            method,
            path = excerpt(&path),
            query = excerpt(&query),
            code,
            duration_seconds,
            "request answered"
        );
    } else {
        tracing::info!(
            audit_id,
            method,
            path = excerpt(&path),
            query = excerpt(&query),
            code,
            duration_seconds,
            "request answered"
        );
    }
}

/// What the caller calls the request, or a new id.
fn correlation_id(headers: &HeaderMap) -> String {
    let given = headers.get(AUDIT_ID).and_then(|id| id.to_str().ok());
    let given = given.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()));
    match given.or_else(|| trace_id(headers)) {
        Some(id) => id[..id.len().min(ID_LENGTH_MAX)].to_owned(),
        None => new_id(),
    }
}

/// The trace id of a W3C `traceparent` (`00-<32 hex>-<16 hex>-<2 hex>`).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let id = parent.split('-').nth(1)?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// 128 bits that no other request of this fleet has: std seeds each `RandomState` differently.
fn new_id() -> String {
    let half = || RandomState::new().hash_one(Instant::now());
    format!("{:016x}{:016x}", half(), half())
}

fn join_trace(span: &Span, headers: &HeaderMap) {
    let parent = opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    // Without an exporter there is no trace to join.
    drop(span.set_parent(parent));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_audit_id_goes_before_the_trace_id_before_a_new_one() {
        let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(correlation_id(&headers(&[("audit-id", "a-1"), parent])), "a-1");
        assert_eq!(correlation_id(&headers(&[parent])), "0af7651916cd43dd8448eb211c80319c");
        let (one, two) = (correlation_id(&headers(&[])), correlation_id(&headers(&[("traceparent", "junk")])));
        assert_eq!((one.len(), two.len()), (32, 32));
        assert_ne!(one, two);
    }
}
