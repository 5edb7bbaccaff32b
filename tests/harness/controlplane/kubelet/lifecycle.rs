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
use super::volumes::Volumes;
use crate::harness::controlplane::programs::Premises;

/// One pod and its process; the process ends with it.
pub struct Lifecycle {
    client: Client,
    api: Api<Pod>,
    uid: String,
    premises: Arc<Premises>,
    latest: watch::Receiver<Pod>,
    address: Ipv4Addr,
    stage: Stage,
    /// Those of a pod with Plimsoll; they outlive its process.
    volumes: Option<Volumes>,
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
    /// Nothing can be started yet, and it is tried again then.
    Blocked(String, Instant),
    /// It is to end.
    Terminating(Termination),
    Ended(Exit),
    Deleted,
}

/// The end of a pod that is deleted.
pub struct Termination {
    process: Option<Process>,
    /// When it is asked to end; `None` once it was.
    asked_at: Option<Instant>,
    killed_at: Instant,
}

/// How often a process is looked at.
const TICK: Duration = Duration::from_millis(50);

/// From the end of a process to its next start; a kubelet waits longer from time to time.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Until what was missing is looked for again.
const BLOCKED_DELAY: Duration = Duration::from_millis(250);

/// What a pod is given to end where it says nothing.
const GRACE_SECONDS: i64 = 30;

// === impl Lifecycle ===

impl Lifecycle {
    pub fn new(client: Client, premises: Arc<Premises>, latest: watch::Receiver<Pod>) -> Self {
        let (address, namespace) = (premises.network.next(), latest.borrow().namespace().unwrap_or_default());
        let status = Status::new(address, premises.network.node());
        let (uid, api) = (latest.borrow().uid().unwrap_or_default(), Api::namespaced(client.clone(), &namespace));
        let (stage, volumes, told) = (Stage::Unscheduled, None, Value::Null);
        Self { client, api, uid, premises, latest, address, stage, volumes, status, told }
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
            Stage::Initialising(until) | Stage::Blocked(_, until)
                if Instant::now() >= *until && !self.premises.containers.is_held(&self.uid) =>
            {
                self.stage = self.started(pod).await;
            }
            Stage::Starting(process) => match process.exit() {
                Some(exit) => self.ended(pod, exit),
                None if process.is_up().await => self.up(),
                None => process.end_if_failed(grace(pod)),
            },
            Stage::Running(Some(process)) => match process.exit() {
                Some(exit) => self.ended(pod, exit),
                None => process.end_if_failed(grace(pod)),
            },
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

    async fn started(&mut self, pod: &Pod) -> Stage {
        let container = main_container(pod);
        match Image::of(container) {
            Image::Workload => Stage::Starting(Process::workload(pod, container, self.address, &self.premises)),
            Image::Plimsoll => match self.started_plimsoll(pod, container).await {
                Ok(process) => Stage::Starting(process),
                Err(why) => Stage::Blocked(why, Instant::now() + BLOCKED_DELAY),
            },
            Image::Pause => Stage::Running(None),
            Image::Unknown(image) => Stage::Waiting(format!("no image {image}: expected workload, plimsoll or pause")),
        }
    }

    async fn started_plimsoll(&mut self, pod: &Pod, container: &Container) -> Result<Process, String> {
        let volumes = match self.volumes.take() {
            Some(volumes) => volumes,
            None => Volumes::set_up(&self.client, pod, &self.premises.pod_folder(pod).join("volumes")).await?,
        };
        let volumes = self.volumes.insert(volumes);
        Process::plimsoll(pod, container, self.address, &self.premises, volumes)
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
        if !matches!(self.stage, Stage::Terminating(_)) {
            self.stage = Stage::Terminating(Termination::new(pod, self.take_process()));
        }
        let Stage::Terminating(termination) = &mut self.stage else { return Ok(()) };
        if termination.is_done() { self.remove(pod).await } else { Ok(()) }
    }

    fn take_process(&mut self) -> Option<Process> {
        match std::mem::replace(&mut self.stage, Stage::Deleted) {
            Stage::Starting(process) => Some(process),
            Stage::Running(process) => process,
            Stage::Terminating(termination) => termination.process,
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
        let ready = annotation(pod, "ready") != Some("false") && self.stage.is_ready();
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

impl Drop for Lifecycle {
    fn drop(&mut self) {
        // The process goes first: it has the folders.
        drop(self.take_process());
        self.premises.containers.forget(&self.uid);
        self.premises.remove_pod_folder(&self.uid);
    }
}

// === impl Stage ===

impl Stage {
    /// Whether requests may be sent to what runs.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Running(process) if process.as_ref().is_none_or(Process::is_ready))
    }
}

// === impl Termination ===

impl Termination {
    /// What a container does before it is asked to end counts as part of the time it has.
    fn new(pod: &Pod, process: Option<Process>) -> Self {
        let now = Instant::now();
        let before = main_container(pod).lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let sleep = before.and_then(|before| before.sleep.as_ref()).map_or(0, |sleep| sleep.seconds);
        Self { process, asked_at: Some(now + seconds(sleep)), killed_at: now + deletion_grace(pod) }
    }

    /// Whether nothing is left of the process, or nothing may be left.
    fn is_done(&mut self) -> bool {
        let Some(process) = &mut self.process else { return true };
        if process.exit().is_some() || Instant::now() >= self.killed_at {
            return true;
        }
        if self.asked_at.is_some_and(|at| Instant::now() >= at) {
            self.asked_at = None;
            process.terminate();
        }
        false
    }
}

/// The container that has the process; the others of a pod are only said to run.
pub fn main_container(pod: &Pod) -> &Container {
    let containers = &pod.spec.as_ref().expect("a pod has a spec").containers;
    let with_process =
        containers.iter().find(|container| matches!(Image::of(container), Image::Workload | Image::Plimsoll));
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

/// What the pod gives its process to end.
fn grace(pod: &Pod) -> Duration {
    seconds(pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE_SECONDS))
}

/// What the deletion gives it.
fn deletion_grace(pod: &Pod) -> Duration {
    seconds(pod.metadata.deletion_grace_period_seconds.unwrap_or(GRACE_SECONDS))
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Says what went wrong; an object that is gone or has changed meanwhile is nothing wrong.
fn complain(pod: &Pod, error: &kube::Error) {
    let expected = matches!(error, kube::Error::Api(status) if [404, 409].contains(&status.code));
    if !expected {
        eprintln!("kubelet: pod {}/{}: {error}", pod.namespace().unwrap_or_default(), pod.name_any());
    }
}
