//! `/livez`, `/readyz`, `/healthz`, `/metrics`, and the pages that show the targets.
//!
//! Readiness checks are closures handed in by `server`; this module only asks them.

mod exposition;
mod health;
mod metrics;
mod pods;
mod status;
mod targets;

pub use metrics::Checks;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::api::Status;
use crate::clock::Clock;
use crate::discovery::SourceStates;
use crate::model::Inventory;
use crate::storage::Storage;

/// What the admin pages show. Clones share the content.
#[derive(Clone)]
pub struct Admin {
    pub checks: Arc<Vec<Check>>,
    pub registry: Arc<Registry>,
    pub inventory: watch::Receiver<Arc<Inventory>>,
    pub storage: Storage,
    pub sources: SourceStates,
    pub clock: Clock,
}

/// One readiness check.
pub struct Check {
    pub name: &'static str,
    pub ask: Box<dyn Fn() -> Readiness + Send + Sync>,
}

/// The answer of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ok,
    /// Serving goes on, and someone should look.
    Degraded(String),
    NotReady(String),
}

// === impl Admin ===

impl Admin {
    pub fn router(self) -> Router {
        let with_slash = |router: Router<Self>, (path, page): (&str, MethodRouter<Self>)| {
            router.route(path, page.clone()).route(&format!("{path}/"), page)
        };
        let router = pages().into_iter().fold(Router::new(), with_slash);
        router.method_not_allowed_fallback(|| async { Status::method_not_allowed() }).with_state(self)
    }

    /// The paths of all pages, each check with its own.
    pub fn paths(&self) -> Vec<String> {
        let checks = |path: &str| match path.strip_suffix("/{check}") {
            Some(endpoint) => health::names(endpoint, &self.checks).map(|name| format!("{endpoint}/{name}")).collect(),
            None => vec![path.to_owned()],
        };
        pages().iter().flat_map(|(path, _)| checks(path)).collect()
    }
}

fn pages() -> [(&'static str, MethodRouter<Admin>); 10] {
    [
        (health::LIVEZ, get(health::all)),
        ("/livez/{check}", get(health::one)),
        (health::HEALTHZ, get(health::all)),
        ("/healthz/{check}", get(health::one)),
        (health::READYZ, get(health::all)),
        ("/readyz/{check}", get(health::one)),
        ("/metrics", get(own_metrics)),
        ("/status/targets", get(targets::json)),
        ("/status", get(status::page)),
        ("/status.css", get(status::style)),
    ]
}

/// The own metrics: OpenMetrics where the client takes it, the text format otherwise.
async fn own_metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let (content_type, body) = exposition::encode(&admin.registry, accept.contains("application/openmetrics-text"));
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Degraded(what) => write!(f, "degraded: {what}"),
            Self::NotReady(why) => write!(f, "not ready: {why}"),
        }
    }
}
