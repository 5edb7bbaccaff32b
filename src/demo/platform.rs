//! The simulated platform behind real HTTP: a metrics page for each pod, and the list of pods in Prometheus'
//! `http_sd` format.
//!
//! One listener on loopback serves `/sd` and `/pods/<namespace>/<pod>/metrics`. Pods are in the list while they are
//! ready, as the endpoints of a Service are. Nothing here moves time; see
//! [`Platform::step`].

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::demo::plant::{NAMESPACE, Plant};
use crate::demo::pod::{Phase, Pod};
use crate::demo::workload::Workload;

/// A cheap-clone handle of the plant and the address it is served at.
#[derive(Clone, Debug)]
pub struct Platform {
    plant: Arc<Mutex<Plant>>,
    address: SocketAddr,
}

/// The type of the text exposition format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

// === impl Platform ===

impl Platform {
    /// Takes a free port on loopback. Nothing answers there until [`serve`] runs with the listener.
    ///
    /// # Errors
    /// Those of the operating system: no port can be taken.
    pub async fn bind(plant: Plant) -> std::io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let platform = Self { plant: Arc::new(Mutex::new(plant)), address: listener.local_addr()? };
        Ok((platform, listener))
    }

    /// Where Plimsoll finds the list of pods.
    pub fn discovery_url(&self) -> String {
        format!("http://{}/sd", self.address)
    }

    /// Lets `seconds` of the demo pass.
    pub fn step(&self, seconds: f64) {
        self.with(|plant| plant.step(seconds));
    }

    /// Sets the wanted replicas of a Deployment; `false` when there is no such Deployment.
    pub fn scale(&self, deployment: &str, replicas: usize) -> bool {
        self.with(|plant| plant.scale(deployment, replicas))
    }

    /// Reads or changes the plant. The lock is held meanwhile, so `act` does not wait for anything.
    pub fn with<R>(&self, act: impl FnOnce(&mut Plant) -> R) -> R {
        act(&mut self.plant.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn target_groups(&self) -> Vec<Value> {
        self.with(|plant| {
            let pods =
                plant.workloads().iter().flat_map(|workload| workload.pods().iter().map(move |pod| (workload, pod)));
            let ready = pods.filter(|(_, pod)| pod.phase == Phase::Ready);
            ready.map(|(workload, pod)| target_group(self.address, workload, pod)).collect()
        })
    }
}

/// Answers on the listener until `shutdown`.
///
/// # Errors
/// Those of the listener.
pub async fn serve(platform: Platform, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/sd", get(discovery))
        .route("/pods/{namespace}/{pod}/metrics", get(page))
        .with_state(platform);
    // Kept-alive connections of the scraper would delay a graceful end, so the server is dropped instead.
    tokio::select! {
        ended = axum::serve(listener, router) => ended,
        () = shutdown.cancelled() => Ok(()),
    }
}

async fn discovery(State(platform): State<Platform>) -> Json<Vec<Value>> {
    Json(platform.target_groups())
}

async fn page(State(platform): State<Platform>, Path((namespace, pod)): Path<(String, String)>) -> Response {
    let page = (namespace == NAMESPACE).then(|| platform.with(|plant| plant.page(&pod))).flatten();
    match page {
        Some(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        None => (StatusCode::NOT_FOUND, format!("no pod {pod} answers in namespace {namespace}\n")).into_response(),
    }
}

fn target_group(address: SocketAddr, workload: &Workload, pod: &Pod) -> Value {
    let deployment = workload.service.deployment;
    json!({
        "targets": [address.to_string()],
        "labels": {
            "__metrics_path__": format!("/pods/{NAMESPACE}/{}/metrics", pod.name),
            "namespace": NAMESPACE,
            "pod": pod.name,
            "owner": format!("ReplicaSet/{}, Deployment/{deployment}", workload.replica_set()),
            "services": deployment,
            "app": deployment,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn platform() -> Platform {
        Platform::bind(Plant::new(1)).await.expect("loopback has a free port").0
    }

    #[tokio::test]
    async fn pods_are_listed_with_their_identity_when_they_are_ready() {
        let platform = platform().await;
        let group = &platform.target_groups()[9];
        let labels = &group["labels"];
        let pod = labels["pod"].as_str().expect("a name");
        assert_eq!(group["targets"][0], platform.address.to_string());
        assert_eq!(labels["__metrics_path__"], format!("/pods/agents/{pod}/metrics"));
        assert_eq!((&labels["app"], &labels["services"]), (&json!("agents"), &json!("agents")));
        let replica_set = pod.rsplit_once('-').expect("a suffix").0;
        assert_eq!(labels["owner"], format!("ReplicaSet/{replica_set}, Deployment/agents"));

        assert!(platform.scale("agents", 5));
        assert_eq!(platform.target_groups().len(), 10, "they are starting");
        platform.step(3.0);
        assert_eq!(platform.target_groups().len(), 12);
    }

    #[tokio::test]
    async fn only_pods_that_answer_have_a_page() {
        let platform = platform().await;
        let name = platform.with(|plant| plant.workloads()[0].pods()[0].name.clone());
        let get = |namespace: &str, pod: &str| page(State(platform.clone()), Path((namespace.into(), pod.into())));
        assert_eq!(get(NAMESPACE, &name).await.status(), StatusCode::OK);
        assert_eq!(get("default", &name).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get(NAMESPACE, "gone").await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn an_unknown_deployment_is_not_scaled() {
        assert!(!platform().await.scale("web", 3));
    }
}
