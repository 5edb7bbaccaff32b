//! A kube-apiserver that knows one ConfigMap, and does with it what a test says. It speaks plain HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::harness::program::free_port;

/// The server; it can go away and come back at the same address.
pub struct KubeApi {
    port: u16,
    shared: Shared,
    runtime: Option<Runtime>,
}

/// The data of the ConfigMap, none when it does not exist, and the version.
type Object = (Option<BTreeMap<String, String>>, u64);

#[derive(Clone)]
struct Shared {
    object: Arc<watch::Sender<Object>>,
    forbids: Arc<AtomicBool>,
    /// Watches tell of nothing.
    is_mute: Arc<AtomicBool>,
}

const LIST: &str = "/api/v1/namespaces/kube-system/configmaps";
const NAME: &str = "extension-apiserver-authentication";

// === impl KubeApi ===

impl KubeApi {
    /// Knows how to be there, and is not.
    pub fn away() -> Self {
        let object = Arc::new(watch::channel((None, 1)).0);
        let shared = Shared { object, forbids: Arc::default(), is_mute: Arc::default() };
        Self { port: free_port(), shared, runtime: None }
    }

    pub async fn start() -> Self {
        let mut api = Self::away();
        api.come().await;
        api
    }

    /// Where it is, or would be.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn config(&self) -> kube::Config {
        kube::Config::new(self.url().parse().expect("a URL"))
    }

    /// Writes the ConfigMap; `None` deletes it.
    pub fn write(&self, data: Option<BTreeMap<String, String>>) {
        self.shared.object.send_modify(|(object, version)| {
            *object = data;
            *version += 1;
        });
    }

    pub fn forbid(&self, forbids: bool) {
        self.shared.forbids.store(forbids, Ordering::Relaxed);
    }

    pub fn mute(&self) {
        self.shared.is_mute.store(true, Ordering::Relaxed);
    }

    pub async fn come(&mut self) {
        let router = Router::new().route(LIST, get(list)).route(&format!("{LIST}/{NAME}"), get(read));
        let router = router.with_state(self.shared.clone());
        let runtime = Runtime::new().expect("a runtime");
        let address = ("127.0.0.1", self.port);
        let serve = async move {
            let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
            tokio::spawn(async move { axum::serve(listener, router).await });
        };
        runtime.spawn(serve).await.expect("it listens");
        self.runtime = Some(runtime);
    }

    /// Ends with all connections.
    pub fn go(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn refusal(&self) -> Option<Response> {
        let message = format!("configmaps {NAME:?} is forbidden: User \"plimsoll\" cannot get it");
        self.forbids.load(Ordering::Relaxed).then(|| status(StatusCode::FORBIDDEN, "Forbidden", &message))
    }

    fn object(&self) -> Option<Value> {
        let (data, version) = self.object.borrow().clone();
        data.map(|data| config_map(&data, version))
    }
}

fn config_map(data: &BTreeMap<String, String>, version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": NAME, "namespace": "kube-system", "resourceVersion": version.to_string(), "uid": "u"},
    })
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": message,
    });
    (code, axum::Json(status)).into_response()
}

async fn read(State(shared): State<Shared>) -> Response {
    let missing = || status(StatusCode::NOT_FOUND, "NotFound", "configmaps not found");
    shared.refusal().unwrap_or_else(|| shared.object().map_or_else(missing, |it| axum::Json(it).into_response()))
}

async fn list(State(shared): State<Shared>, Query(parameters): Query<BTreeMap<String, String>>) -> Response {
    let wanted = format!("metadata.name={NAME}");
    assert_eq!(parameters.get("fieldSelector"), Some(&wanted), "nothing else may be read");
    if let Some(refusal) = shared.refusal() {
        return refusal;
    }
    if parameters.get("watch").is_some_and(|watch| watch == "true") {
        let since = parameters["resourceVersion"].parse().expect("a version");
        return changes(shared, since);
    }
    let version = shared.object.borrow().1.to_string();
    let items = Vec::from_iter(shared.object());
    axum::Json(json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": version}, "items": items,
    }))
    .into_response()
}

/// One line for each change since a version.
fn changes(shared: Shared, since: u64) -> Response {
    let mut object = shared.object.subscribe();
    object.mark_changed();
    let lines = unfold((shared, object, since), |(shared, mut object, since)| async move {
        loop {
            object.changed().await.ok()?;
            if shared.is_mute.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::MAX).await;
            }
            let (data, version) = object.borrow_and_update().clone();
            if version > since {
                let kind = if data.is_some() { "MODIFIED" } else { "DELETED" };
                let event = json!({"type": kind, "object": config_map(&data.unwrap_or_default(), version)});
                return Some((Ok::<_, Infallible>(format!("{event}\n")), (shared, object, version)));
            }
        }
    });
    Body::from_stream(lines).into_response()
}
