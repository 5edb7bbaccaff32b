//! The life of one pod: bound, initialised, started, Running, ended. Comes in: each new state of the object; goes out:
//! a process, and the status of the pod.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::NODE;
use super::process::{Exit, Image, Process};
use super::status::Status;
use crate::harness::controlplane::programs::Premises;

/// One pod and its process; the process ends with it.
pub struct Lifecycle {
    api: Api<Pod>,
    premises: Arc<Premises>,
    latest: watch::Receiver<Pod>,
    address: Ipv4Addr,
    stage: Stage,
    status: Status,
    /// What the API server has been told.
    told: Value,
}

/// Where the pod is in its life.
pub enum Stage {
    /// It has no node.
    Unscheduled,
    /// It has a node, and starts then.
    Initialising(Instant),
    /// Its process runs and does not answer yet.
    Starting(Process),
    /// It is up; an image without a program has no process.
    Running(Option<Process>),
    /// Nothing can be started: there is no such image.
    Waiting(String),
    /// It was told to end, and is killed then.
    Terminating(Option<Process>, Instant),
    Ended(Exit),
    Deleted,
}

/// How often a process is looked at.
const TICK: Duration = Duration::from_millis(50);

/// From the end of a process to its next start; a kubelet waits longer from time to time.
const RESTART_DELAY: Duration = Duration::from_secs(1);

// === impl Lifecycle ===

impl Lifecycle {
    pub fn new(client: Client, premises: Arc<Premises>, latest: watch::Receiver<Pod>) -> Self {
        let (address, namespace) = (premises.network.next(), latest.borrow().namespace().unwrap_or_default());
        let status = Status::new(address, premises.network.node());
        let (api, stage) = (Api::namespaced(client, &namespace), Stage::Unscheduled);
        Self { api, premises, latest, address, stage, status, told: Value::Null }
    }

    /// Lives until the object is gone.
    pub async fn run(mut self) {
        loop {
            let pod = self.latest.borrow_and_update().clone();
            if let Err(error) = self.step(&pod).await {
                complain(&pod, &error);
            }
            if matches!(self.stage, Stage::Deleted) || !self.wait().await {
                return;
            }
        }
    }

    /// Waits for a change of the object, or for the next look; false when the object is gone.
    async fn wait(&mut self) -> bool {
        let idle = matches!(
            self.stage,
            Stage::Unscheduled | Stage::Running(None) | Stage::Waiting(_) | Stage::Ended(_) | Stage::Deleted
        );
        tokio::select! {
            changed = self.latest.changed() => changed.is_ok(),
            () = tokio::time::sleep(TICK), if !idle => true,
        }
    }

    async fn step(&mut self, pod: &Pod) -> kube::Result<()> {
        self.advance(pod).await?;
        if pod.metadata.deletion_timestamp.is_some() {
            return self.terminate(pod).await;
        }
        if matches!(self.stage, Stage::Unscheduled) { Ok(()) } else { self.tell(pod).await }
    }

    async fn advance(&mut self, pod: &Pod) -> kube::Result<()> {
        match &mut self.stage {
            Stage::Unscheduled if has_node(pod) => self.stage = Stage::Initialising(Instant::now() + init_delay(pod)),
            Stage::Unscheduled if annotation(pod, "pending") != Some("true") => self.bind(pod).await?,
            Stage::Initialising(until) if Instant::now() >= *until => self.stage = self.started(pod),
            Stage::Starting(process) => match process.exit() {
                Some(exit) => self.ended(pod, exit),
                None if process.is_up().await => self.up(),
                None => {}
            },
            Stage::Running(Some(process)) => {
                if let Some(exit) = process.exit() {
                    self.ended(pod, exit);
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn bind(&self, pod: &Pod) -> kube::Result<()> {
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let binding = json!({"apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name_any()}, "target": {"kind": "Node", "name": NODE}});
        let bound: kube::Result<Value> =
            self.api.create_subresource("binding", &pod.name_any(), &PostParams::default(), &binding).await;
        bound.map(drop)
    }

    fn started(&self, pod: &Pod) -> Stage {
        let container = main_container(pod);
        match Image::of(container) {
            Image::Workload => Stage::Starting(Process::start(pod, container, self.address, &self.premises)),
            Image::Pause => Stage::Running(None),
            Image::Unknown(image) => Stage::Waiting(format!("no image {image}: expected workload or pause")),
        }
    }

    fn up(&mut self) {
        if let Stage::Starting(process) = std::mem::replace(&mut self.stage, Stage::Running(None)) {
            self.stage = Stage::Running(Some(process));
        }
    }

    /// What the restart policy makes of the end of a process.
    fn ended(&mut self, pod: &Pod, exit: Exit) {
        let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
        let again = match policy {
            "Never" => false,
            "OnFailure" => !exit.succeeded(),
            _ => true,
        };
        self.status.restarts += i32::from(again);
        self.stage = if again { Stage::Initialising(Instant::now() + RESTART_DELAY) } else { Stage::Ended(exit) };
    }

    /// Ends the process, and the object when the process has ended.
    async fn terminate(&mut self, pod: &Pod) -> kube::Result<()> {
        match &mut self.stage {
            Stage::Terminating(process, until) => {
                let ended = process.as_mut().is_none_or(|process| process.exit().is_some());
                if ended || Instant::now() >= *until { self.remove(pod).await } else { Ok(()) }
            }
            _ => {
                let process = self.take_process();
                if let Some(process) = &process {
                    process.terminate();
                }
                let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
                let until = Instant::now() + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
                self.stage = Stage::Terminating(process, until);
                Ok(())
            }
        }
    }

    fn take_process(&mut self) -> Option<Process> {
        match std::mem::replace(&mut self.stage, Stage::Deleted) {
            Stage::Starting(process) => Some(process),
            Stage::Running(process) | Stage::Terminating(process, _) => process,
            _ => None,
        }
    }

    async fn remove(&mut self, pod: &Pod) -> kube::Result<()> {
        drop(self.take_process());
        let this = Preconditions { uid: pod.uid(), resource_version: None };
        let now = DeleteParams::default().grace_period(0).preconditions(this);
        self.api.delete(&pod.name_any(), &now).await.map(drop)
    }

    /// Writes the status where it changed.
    async fn tell(&mut self, pod: &Pod) -> kube::Result<()> {
        let ready = annotation(pod, "ready") != Some("false");
        let status = self.status.of(pod, &self.stage, ready);
        if status == self.told {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
        self.api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.told = status;
        Ok(())
    }
}

/// The container that has the process; the others of a pod are only said to run.
pub fn main_container(pod: &Pod) -> &Container {
    let containers = &pod.spec.as_ref().expect("a pod has a spec").containers;
    let with_process = containers.iter().find(|container| matches!(Image::of(container), Image::Workload));
    with_process.or(containers.first()).expect("a pod has a container")
}

fn has_node(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.annotations().get(&format!("plimsoll.test/{name}")).map(String::as_str)
}

/// Seconds; what is no number is no delay.
fn init_delay(pod: &Pod) -> Duration {
    let seconds = annotation(pod, "init-delay").and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_default())
}

/// Says what went wrong; an object that is gone or has changed meanwhile is nothing wrong.
fn complain(pod: &Pod, error: &kube::Error) {
    let expected = matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code));
    if !expected {
        eprintln!("kubelet: pod {}/{}: {error}", pod.namespace().unwrap_or_default(), pod.name_any());
    }
}
