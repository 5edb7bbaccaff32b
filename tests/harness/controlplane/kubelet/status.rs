//! The status of a pod, as a kubelet writes it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, Pod};
use plimsoll::clock::Clock;
use serde_json::{Value, json};

use super::lifecycle::{Stage, main_container};

/// What is remembered from one status to the next.
pub struct Status {
    address: Ipv4Addr,
    host: Ipv4Addr,
    started: String,
    pub restarts: i32,
    /// By type: the value of a condition, and since when it has it.
    conditions: BTreeMap<&'static str, (bool, String)>,
}

// === impl Status ===

impl Status {
    pub fn new(address: Ipv4Addr, host: Ipv4Addr) -> Self {
        Self { address, host, started: now(), restarts: 0, conditions: BTreeMap::new() }
    }

    /// The status at a stage; `ready` is whether a pod that is up is Ready.
    pub fn of(&mut self, pod: &Pod, stage: &Stage, ready: bool) -> Value {
        let up = matches!(stage, Stage::Running(_));
        self.set("PodScheduled", true);
        self.set("Initialized", !matches!(stage, Stage::Initialising(_) | Stage::Blocked(..)) || self.restarts > 0);
        self.set("ContainersReady", up && ready);
        self.set("Ready", up && ready);
        let mut status = json!({
            "phase": self.phase(stage),
            "conditions": self.conditions(),
            "hostIP": self.host.to_string(),
            "hostIPs": [{"ip": self.host.to_string()}],
            "startTime": self.started,
            "containerStatuses": self.containers(pod, stage, up && ready),
        });
        if !matches!(stage, Stage::Initialising(_) | Stage::Blocked(..) | Stage::Waiting(_)) || self.restarts > 0 {
            status["podIP"] = json!(self.address.to_string());
            status["podIPs"] = json!([{"ip": self.address.to_string()}]);
        }
        status
    }

    fn phase(&self, stage: &Stage) -> &'static str {
        match stage {
            Stage::Running(_) | Stage::Terminating(_) => "Running",
            Stage::Ended(exit) if exit.succeeded() => "Succeeded",
            Stage::Ended(_) => "Failed",
            // Between two starts it stays Running, as in a cluster.
            _ if self.restarts > 0 => "Running",
            _ => "Pending",
        }
    }

    fn set(&mut self, name: &'static str, value: bool) {
        if self.conditions.get(name).is_none_or(|(before, _)| *before != value) {
            self.conditions.insert(name, (value, now()));
        }
    }

    fn conditions(&self) -> Vec<Value> {
        let condition = |(name, (value, since)): (&&str, &(bool, String))| json!({"type": name, "status": if *value { "True" } else { "False" }, "lastTransitionTime": since});
        self.conditions.iter().map(condition).collect()
    }

    fn containers(&self, pod: &Pod, stage: &Stage, ready: bool) -> Vec<Value> {
        let containers = &pod.spec.as_ref().expect("a pod has a spec").containers;
        containers.iter().map(|container| self.container(pod, container, stage, ready)).collect()
    }

    fn container(&self, pod: &Pod, container: &Container, stage: &Stage, ready: bool) -> Value {
        let image = container.image.as_deref().unwrap_or_default();
        let mut status = json!({
            "name": container.name, "image": image, "imageID": image, "ready": ready,
            "restartCount": self.restarts, "state": state(stage),
        });
        if let Stage::Starting(process) | Stage::Running(Some(process)) = stage
            && std::ptr::eq(container, main_container(pod))
        {
            status["containerID"] = json!(format!("process://{}", process.pid()));
        }
        status
    }
}

fn state(stage: &Stage) -> Value {
    match stage {
        Stage::Running(_) | Stage::Starting(_) | Stage::Terminating(_) => json!({"running": {}}),
        Stage::Waiting(message) => json!({"waiting": {"reason": "ErrImagePull", "message": message}}),
        Stage::Blocked(message, _) => json!({"waiting": {"reason": "CreateContainerError", "message": message}}),
        Stage::Ended(exit) => {
            let reason = if exit.succeeded() { "Completed" } else { "Error" };
            json!({"terminated": {"exitCode": exit.code, "reason": reason, "message": exit.message}})
        }
        _ => json!({"waiting": {"reason": "PodInitializing"}}),
    }
}

fn now() -> String {
    Clock::system().now().to_string()
}
