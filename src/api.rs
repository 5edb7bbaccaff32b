//! `custom.metrics.k8s.io` v1beta1 and v1beta2, `external.metrics.k8s.io` v1beta1, their discovery and OpenAPI documents.
//!
//! A request comes in, an answer goes out, and nothing outside is waited for: the handler borrows the
//! current configuration, inventory and storage. It never asks a target, an engine or the kube API. What reads
//! hundreds of targets does so on a thread of its own, so that nobody waits behind it; of those a few go at a time, and
//! the others wait their turn.
//! Bodies are JSON only, which the HPA takes behind its preference for protobuf.

mod discovery;
mod document;
mod metrics;
mod negotiation;
mod openapi;
mod parameters;
mod request;
mod status;
mod types;

pub use metrics::Metrics;
pub use status::{Details, Status};

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::model::{GroupResource, Inventory, excerpt};
use crate::provider::{Objects, View};
use crate::storage::Storage;
use document::{Caching, Document};
use negotiation::Representation;
use parameters::Parameters;
use request::{Asked, Thread, segments};
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
    /// Paths of other routers, for the index.
    pub pages: Arc<[String]>,
}

/// Why there is no answer yet.
enum Halt {
    Refused(Status),
    /// It reads too much for a shared thread.
    Long,
}

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
            [] => Ok(asked.json(&discovery::index(&self.pages))?),
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
            ["openapi", "v2"] => Ok(asked.document(openapi::v2(), Caching::Revalidated)?),
            ["openapi", "v3"] => Ok(asked.document(&self.with_view(openapi::index), Caching::Revalidated)?),
            ["openapi", "v3", "apis", group, version] => Ok(self.openapi(group, version, asked)?),
            ["apis" | "openapi", ..] => Err(Status::resource_not_found().into()),
            // Whatever is accepted: a path that is not there must not read as one in another media type.
            _ => Ok((StatusCode::NOT_FOUND, asked.write(&discovery::index(&self.pages), 0)).into_response()),
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
        asked.check_no_watch()?;
        let objects_selector = asked.selector("labelSelector")?;
        let metric_selector = asked.selector("metricLabelSelector")?;
        let fields = asked.field_selector()?;
        if name != "*" && !fields.matches(name, namespace.unwrap_or_default()) {
            let message = format!("the fieldSelector does not fit the name {} in the path", excerpt(&name));
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
        asked.check_no_watch()?;
        let selector = asked.selector("labelSelector")?;
        asked.check_no_field_selector()?;
        self.with_view(|view| {
            asked.check_length(view, &GroupResource::core("namespaces"), None, &Objects::Named(namespace))?;
            let values = view.external(namespace, metric, &selector)?;
            let list = types::external_list(metric, &values);
            Ok(asked.json_of_size(&list, list.size())?)
        })
    }

    fn groups(&self, asked: &Asked<'_>) -> Result<Response, Status> {
        match negotiation::of_discovery(asked.headers) {
            Some(Representation::Json) => Ok(asked.write_varying(&discovery::groups())),
            Some(Representation::AggregatedDiscovery) => {
                let list = Document::new(&self.with_view(discovery::aggregated));
                Ok(list.answer(asked.headers, discovery::AGGREGATED_TYPE, Caching::Shared))
            }
            None => Err(Status::not_acceptable()),
        }
    }

    /// The address that the index gives has the hash of the document. Another hash gets the document too, and not, as in
    /// Go, a redirect: the kube-apiserver makes 502 of those, and replicas of two versions would send a client to and fro.
    fn openapi(&self, group: &str, version: &str, asked: &Asked<'_>) -> Result<Response, Status> {
        let document =
            self.with_view(|view| openapi::v3(view, group, version)).ok_or_else(Status::resource_not_found)?;
        let is_exact = asked.parameters.get("hash") == Some(document.hash());
        asked.document(&document, if is_exact { Caching::Immutable } else { Caching::Revalidated })
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
            tracing::info!(
                audit_id,
                code = status.code.as_u16(),
                query = excerpt(&query),
                "request refused: {}",
                status.message
            );
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

// === impl Halt ===

impl<E: Into<Status>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}
