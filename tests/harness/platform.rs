//! The sample platform on loopback: pods of eight services whose pages say all that the catalogue knows of the platform, the
//! exporters that watch over them, and their objects in a cluster. Its autoscalers follow the demand of a short day.
//!
//! What happens depends on how far its time went and on nothing else. A test injects faults.

pub mod demand;
pub mod exporter;
pub mod histogram;
pub mod objects;
pub mod pod;
pub mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use plimsoll::clock::Clock;
use serde_json::{Value, json};

use super::cluster_api::ClusterApi;
use pod::Pod;
use service::{Service, services};

/// A cheap-clone handle. It is served, and lives on, until the runtime ends that started it.
#[derive(Clone)]
pub struct Platform {
    pub address: String,
    cluster: Arc<ClusterApi>,
    state: Arc<Mutex<World>>,
}

/// All that there is at one moment.
pub struct World {
    /// Seconds since the start.
    pub now: f64,
    /// Milliseconds since the Unix epoch.
    pub wall: i64,
    pub services: Vec<Service>,
    /// What is wrong with services, by name.
    faults: BTreeMap<String, Fault>,
    /// Pages that stay as they are: by pod.
    frozen: BTreeMap<String, String>,
}

/// What can go wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its pods answer no scrape.
    Down,
    /// Its pages stay as they are, with the time at which they were made.
    Frozen,
    /// It answers, late: in several seconds.
    Slow,
}

/// How often the platform lives on.
const STEP: Duration = Duration::from_millis(250);

/// Where the first pods come from: as if the platform had run for an hour.
const BEFORE_SECONDS: f64 = 3600.0;

// === impl Platform ===

impl Platform {
    /// Serves the platform, writes its objects to a cluster, and lives on in real time.
    pub async fn start(cluster: Arc<ClusterApi>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let platform = Self { address, cluster, state: Arc::new(Mutex::new(World::new())) };
        objects::write_api_services(&platform.cluster);
        ["podmonitors", "servicemonitors"].iter().for_each(|kind| platform.cluster.serve(kind, true));
        platform.write_objects(true);
        let router = Router::new()
            .route("/sd", get(discovery))
            .route("/pods/{pod}/metrics", get(page))
            .route("/exporters/{exporter}/metrics", get(exporter_page))
            .with_state(platform.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::spawn(platform.clone().live());
        platform
    }

    /// Where a Prometheus finds pods and exporters, with the labels that `deploy/monitoring` makes of a cluster's.
    pub fn discovery_url(&self) -> String {
        format!("http://{}/sd", self.address)
    }

    /// From now on this is wrong with a service, or nothing.
    pub fn inject(&self, service: &str, fault: Option<Fault>) {
        let mut world = self.world();
        assert!(world.services.iter().any(|it| it.name == service), "there is no service {service}");
        world.faults.remove(service);
        world.faults.extend(fault.map(|fault| (service.to_owned(), fault)));
        world.freeze();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.state.lock().expect("not poisoned")
    }

    async fn live(self) {
        let mut ticks = tokio::time::interval(STEP);
        loop {
            ticks.tick().await;
            let changed = self.world().step(STEP.as_secs_f64());
            self.write_objects(changed);
        }
    }

    /// Pods when they changed; what autoscalers say once a second.
    fn write_objects(&self, pods_changed: bool) {
        let world = self.world();
        if pods_changed {
            objects::write_pods(&self.cluster, &self.address, &world);
        }
        if pods_changed || world.now.fract() < STEP.as_secs_f64() {
            objects::write_autoscalers(&self.cluster, &world);
        }
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world =
            Self { now: 0.0, wall: 0, services: services(), faults: BTreeMap::new(), frozen: BTreeMap::new() };
        world.step(0.0);
        // The first pods have worked for a while.
        world.services.iter_mut().for_each(|service| service.work(0.0, BEFORE_SECONDS, false));
        world
    }

    pub fn fault(&self, service: &str) -> Option<Fault> {
        self.faults.get(service).copied()
    }

    /// Lets time pass; whether pods came or went.
    fn step(&mut self, seconds: f64) -> bool {
        self.now += seconds;
        self.wall = Clock::system().now().0;
        let (now, wall, faults) = (self.now, self.wall, &self.faults);
        let step = |service: &mut Service| {
            let fault = faults.get(service.name).copied();
            service.work(now, seconds, fault == Some(Fault::Slow));
            // Who does not know what is asked of it stays as it is.
            fault != Some(Fault::Frozen) && service.scale(now, wall)
        };
        // Each has to be asked.
        self.services.iter_mut().map(step).fold(false, |any, changed| any | changed)
    }

    /// Keeps the pages of services that are to be frozen, and forgets those of others.
    fn freeze(&mut self) {
        let is_frozen = |service: &&Service| self.faults.get(service.name) == Some(&Fault::Frozen);
        let pages = self.services.iter().filter(is_frozen).flat_map(|service| {
            service.pods.iter().map(|pod| (pod.name.clone(), stamped(&service.page(pod, self.wall), self.wall)))
        });
        self.frozen = pages.collect();
    }

    fn page(&self, pod: &str) -> Option<String> {
        let is_meant = |it: &&Pod| it.name == pod;
        let (service, pod) = self.services.iter().find_map(|it| Some((it, it.pods.iter().find(is_meant)?)))?;
        match self.fault(service.name) {
            Some(Fault::Down) => None,
            Some(Fault::Frozen) if self.frozen.contains_key(&pod.name) => self.frozen.get(&pod.name).cloned(),
            _ => Some(service.page(pod, self.wall)),
        }
    }
}

/// The page with a time at each sample, as a program writes it that has not looked since.
fn stamped(page: &str, wall: i64) -> String {
    let line = |line: &str| if line.starts_with('#') { format!("{line}\n") } else { format!("{line} {wall}\n") };
    page.lines().map(line).collect()
}

async fn discovery(State(platform): State<Platform>) -> Json<Vec<Value>> {
    let world = platform.world();
    let pods = world.services.iter().flat_map(|service| service.pods.iter().map(move |pod| (service, pod)));
    let group = |path: String, labels: Value| {
        let mut labels = labels;
        labels["__metrics_path__"] = json!(path);
        json!({"targets": [platform.address], "labels": labels})
    };
    let pods = pods.map(|(service, pod)| {
        let labels = json!({
            "job": service.name, "workload": service.name, "namespace": service.namespace, "pod": pod.name,
            "instance": pod.instance,
        });
        group(format!("/pods/{}/metrics", pod.name), labels)
    });
    let exporters = exporter::NAMES.iter().map(|name| {
        group(format!("/exporters/{name}/metrics"), json!({"job": name, "instance": format!("{name}:8080")}))
    });
    Json(pods.chain(exporters).collect())
}

async fn page(State(platform): State<Platform>, Path(pod): Path<String>) -> Response {
    answer(platform.world().page(&pod))
}

async fn exporter_page(State(platform): State<Platform>, Path(name): Path<String>) -> Response {
    answer(exporter::page(&name, &platform.world()))
}

fn answer(page: Option<String>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    page.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), |page| (content_type, page).into_response())
}
