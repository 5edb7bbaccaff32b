//! `custom.metrics.k8s.io` v1beta1 and v1beta2, `external.metrics.k8s.io` v1beta1, and their discovery.
//!
//! A request comes in, an answer goes out, and nothing outside is waited for: the handler borrows the
//! current configuration, inventory and storage. It never asks a target, an engine or the kube API. What reads
//! hundreds of targets does so on a thread of its own, so that nobody waits behind it; of those a few go at a time, and
//! the others wait their turn.
//! Bodies are JSON only, which the HPA takes behind its preference for protobuf.

mod discovery;
mod metrics;
mod negotiation;
mod parameters;
mod status;
mod types;

pub use metrics::Metrics;
pub use status::Status;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::model::field_selector::FieldSelector;
use crate::model::selector::Selector;
use crate::model::{GroupResource, Inventory};
use crate::provider::{Objects, View};
use crate::storage::Storage;
use negotiation::Representation;
use parameters::Parameters;
use types::CustomVersion;

pub const CUSTOM_GROUP: &str = "custom.metrics.k8s.io";
pub const EXTERNAL_GROUP: &str = "external.metrics.k8s.io";
/// The only version of the external metrics API.
const EXTERNAL_VERSION: &str = "v1beta1";

/// What answers are made from. Clones share the content.
#[derive(Clone)]
pub struct Api {
    pub config: watch::Receiver<Arc<Config>>,
    pub inventory: watch::Receiver<Arc<Inventory>>,
    pub storage: Storage,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// A request, taken apart.
struct Asked<'a> {
    headers: &'a HeaderMap,
    parameters: Parameters,
    thread: Thread,
}

/// Where a request is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// On one that connections share, and hold up each other.
    Shared,
    Own,
}

/// Why there is no answer yet.
enum Halt {
    Refused(Status),
    /// It reads too much for a shared thread.
    Long,
}

/// Answers that read more targets than this, or half a millisecond's worth, get a thread of their own: the value of one
/// pod is not to wait behind a list of ten thousand.
const SHARED_TARGETS_MAX: usize = 500;

/// Threads for long answers; with bodies of 2 MB for ten thousand pods this bounds what is held at a time.
static LONG_ANSWERS: Semaphore = Semaphore::const_new(4);

// === impl Api ===

impl Api {
    /// Everything that is not an admin path: `/apis/…`, the index and what is not found.
    pub fn router(self) -> Router {
        Router::new().fallback(handle).with_state(self)
    }

    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, thread: Thread) -> Result<Response, Halt> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Status::method_not_allowed().into());
        }
        let segments = segments(uri.path())?;
        let asked = Asked { headers, parameters: Parameters::parse(uri.query().unwrap_or_default())?, thread };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        self.route(&segments, &asked)
    }

    /// The table of contents of the API.
    fn route(&self, segments: &[&str], asked: &Asked<'_>) -> Result<Response, Halt> {
        match *segments {
            [] => Ok(asked.json(&discovery::index())?),
            ["version"] => Ok(asked.json(&discovery::version())?),
            ["apis"] => Ok(self.groups(asked)?),
            ["apis", group] => Ok(asked.json(&discovery::group(group).ok_or_else(Status::resource_not_found)?)?),
            ["apis", CUSTOM_GROUP, version] => {
                let version = CustomVersion::parse(version).ok_or_else(Status::resource_not_found)?;
                Ok(self.with_view(|view| asked.json(&discovery::custom_resources(view, version)))?)
            }
            ["apis", EXTERNAL_GROUP, EXTERNAL_VERSION] => {
                Ok(self.with_view(|view| asked.json(&discovery::external_resources(view)))?)
            }
            ["apis", CUSTOM_GROUP, version, ref rest @ ..] => {
                let version = CustomVersion::parse(version).ok_or_else(Status::resource_not_found)?;
                self.custom(version, rest, asked)
            }
            ["apis", EXTERNAL_GROUP, EXTERNAL_VERSION, "namespaces", namespace, metric] => {
                self.external(namespace, metric, asked)
            }
            ["apis", ..] => Err(Status::resource_not_found().into()),
            // Whatever is accepted: a path that is not there must not read as one in another media type.
            _ => Ok((StatusCode::NOT_FOUND, asked.write(&discovery::index(), 0)).into_response()),
        }
    }

    fn custom(&self, version: CustomVersion, rest: &[&str], asked: &Asked<'_>) -> Result<Response, Halt> {
        match *rest {
            // The Namespace object itself: the HPA asks with its own namespace.
            ["namespaces", namespace, "metrics", metric] => {
                self.custom_values(version, &GroupResource::core("namespaces"), None, namespace, metric, asked)
            }
            ["namespaces", namespace, resource, name, metric] => {
                self.custom_values(version, &GroupResource::parse(resource), Some(namespace), name, metric, asked)
            }
            [resource, name, metric] => {
                self.custom_values(version, &GroupResource::parse(resource), None, name, metric, asked)
            }
            _ => Err(Status::resource_not_found().into()),
        }
    }

    fn custom_values(
        &self,
        version: CustomVersion,
        resource: &GroupResource,
        namespace: Option<&str>,
        name: &str,
        metric: &str,
        asked: &Asked<'_>,
    ) -> Result<Response, Halt> {
        let objects_selector = asked.selector("labelSelector")?;
        let metric_selector = asked.selector("metricLabelSelector")?;
        let fields = asked.field_selector()?;
        if name != "*" && !fields.matches(name, namespace.unwrap_or_default()) {
            let message = format!("the fieldSelector does not fit the name {name} in the path");
            return Err(Status::bad_request(message).into());
        }
        let objects = if name == "*" { Objects::Selected(&objects_selector) } else { Objects::Named(name) };
        self.with_view(|view| {
            asked.check_length(view, resource, namespace, &objects)?;
            let mut values = view.custom(resource, namespace, &objects, metric, &metric_selector)?;
            values.retain(|value| {
                fields.matches(&value.object.name, value.object.namespace.as_deref().unwrap_or_default())
            });
            let selector = metric_selector.to_label_selector().filter(|_| !metric_selector.is_empty());
            let list = types::custom_list(version, metric, selector.as_ref(), &values);
            Ok(asked.json_of_size(&list, list.size())?)
        })
    }

    fn external(&self, namespace: &str, metric: &str, asked: &Asked<'_>) -> Result<Response, Halt> {
        if matches!(asked.parameters.get("watch"), Some("true" | "1")) {
            return Err(Status::method_not_allowed().into());
        }
        let selector = asked.selector("labelSelector")?;
        self.with_view(|view| {
            asked.check_length(view, &GroupResource::core("namespaces"), None, &Objects::Named(namespace))?;
            let values = view.external(namespace, metric, &selector)?;
            let list = types::external_list(metric, &values);
            Ok(asked.json_of_size(&list, list.size())?)
        })
    }

    fn groups(&self, asked: &Asked<'_>) -> Result<Response, Status> {
        match negotiation::of_discovery(asked.headers) {
            Some(Representation::Json) => asked.json(&discovery::groups()),
            Some(Representation::AggregatedDiscovery) => {
                self.with_view(|view| Ok(discovery::aggregated(view, asked.headers.get(header::IF_NONE_MATCH))))
            }
            None => Err(Status::not_acceptable()),
        }
    }

    fn with_view<T>(&self, answer: impl FnOnce(&View<'_>) -> T) -> T {
        let config = self.config.borrow().clone();
        let inventory = self.inventory.borrow().clone();
        answer(&View { config: &config, inventory: &inventory, storage: &self.storage, now: self.clock.now() })
    }
}

async fn handle(State(api): State<Api>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let metrics = api.metrics.clone();
    let timing = metrics.start(uri.path());
    let query = uri.query().unwrap_or_default().to_owned();
    let audit_id = headers.get("audit-id").cloned();
    let audit_id = audit_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let answer = match api.answer(&method, &uri, &headers, Thread::Shared) {
        Err(Halt::Long) => answer_long(api, method, uri, headers).await,
        answer => answer,
    };
    let response = answer.unwrap_or_else(|halt| {
        let Halt::Refused(status) = halt else { unreachable!("nothing is too long for a thread of its own") };
        if status.code.is_client_error() {
            tracing::info!(audit_id, code = status.code.as_u16(), query, "request refused: {}", status.message);
        }
        status.into_response()
    });
    timing.finish(response.status());
    response
}

/// Answers on a thread of its own.
async fn answer_long(api: Api, method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Halt> {
    let permit = LONG_ANSWERS.acquire().await.expect("nobody closes it");
    let span = tracing::Span::current();
    let answer = move || {
        // Held by the work, not by the request: a client that goes away does not end the work.
        let _permit = permit;
        span.in_scope(|| api.answer(&method, &uri, &headers, Thread::Own))
    };
    tokio::task::spawn_blocking(answer).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The segments of a path, each percent-decoded on its own, so that `%2F` stays part of a name. Empty
/// ones at the end are left out: `/apis/` is `/apis`.
fn segments(path: &str) -> Result<Vec<String>, Status> {
    let raw = path.trim_start_matches('/').trim_end_matches('/');
    if raw.is_empty() {
        return Ok(Vec::new());
    }
    let decode = |segment| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned);
    let decoded: Result<Vec<_>, _> = raw.split('/').map(decode).collect();
    decoded.map_err(|_| Status::bad_request("the path is not UTF-8 after percent-decoding"))
}

// === impl Halt ===

impl<E: Into<Status>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

// === impl Asked ===

impl Asked<'_> {
    /// Halts where an answer would read too much for the thread it is on.
    fn check_length(
        &self,
        view: &View<'_>,
        resource: &GroupResource,
        namespace: Option<&str>,
        objects: &Objects<'_>,
    ) -> Result<(), Halt> {
        match self.thread == Thread::Shared && view.reads_more_than(SHARED_TARGETS_MAX, resource, namespace, objects) {
            true => Err(Halt::Long),
            false => Ok(()),
        }
    }

    fn selector(&self, parameter: &str) -> Result<Selector, Status> {
        let text = self.parameters.get(parameter).unwrap_or_default();
        Selector::parse(text)
            .map_err(|error| Status::bad_request(format!("unable to parse {parameter} {text:?}: {error}")))
    }

    fn field_selector(&self) -> Result<FieldSelector, Status> {
        let text = self.parameters.get("fieldSelector").unwrap_or_default();
        FieldSelector::parse(text)
            .map_err(|error| Status::bad_request(format!("unable to parse fieldSelector {text:?}: {error}")))
    }

    /// A JSON answer, if the client takes JSON.
    fn json(&self, body: &impl Serialize) -> Result<Response, Status> {
        self.json_of_size(body, 0)
    }

    /// A JSON answer of about `size` bytes: a list of thousands is not to be copied as it grows.
    fn json_of_size(&self, body: &impl Serialize, size: usize) -> Result<Response, Status> {
        match negotiation::of_json(self.headers) {
            Some(_) => Ok(self.write(body, size)),
            None => Err(Status::not_acceptable()),
        }
    }

    /// JSON, indented for people: `?pretty=true`, curl, wget and browsers.
    fn write(&self, body: &impl Serialize, size: usize) -> Response {
        let mut bytes = Vec::with_capacity(size);
        let written = match self.is_pretty() {
            true => serde_json::to_writer_pretty(&mut bytes, body),
            false => serde_json::to_writer(&mut bytes, body),
        };
        written.expect("our types have string keys only and so always serialize");
        bytes.push(b'\n');
        ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache, private")], bytes)
            .into_response()
    }

    fn is_pretty(&self) -> bool {
        if let Some(pretty) = self.parameters.get("pretty") {
            return matches!(pretty, "" | "1" | "true");
        }
        let agent = self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        ["curl/", "Wget/", "Mozilla/5.0"].iter().any(|person| agent.starts_with(person))
    }
}
