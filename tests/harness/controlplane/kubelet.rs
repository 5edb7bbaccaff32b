//! The scheduler and the kubelet of the only node: pods come in, bound to the node and run as local processes, each on
//! an address of its own; their status goes out. What a container is to run is the name of its image: `workload` is the
//! program that `make setup` builds, `plimsoll` is Plimsoll, `pause` is nothing at all, and the pod is Running. Other
//! nodes' pods are left alone, and so are those of other schedulers.
//!
//! A Plimsoll has what its pod says: arguments and variables, volumes that follow ConfigMaps, Secrets and tokens, a root of
//! its own that it cannot write, its user, and probes that decide whether it is Ready and lives. Limits of CPU and memory,
//! filters of system calls and network policies are not there.
//!
//! A test can hold a pod back by annotations: `plimsoll.test/pending: "true"` keeps it from a node,
//! `plimsoll.test/ready: "false"` keeps it not Ready, `plimsoll.test/init-delay: "2"` lets it be Pending for two
//! seconds. The first two may change at any time.

pub mod containers;
pub mod environment;
pub mod lifecycle;
pub mod payload;
pub mod probes;
pub mod process;
pub mod sandbox;
pub mod source;
pub mod status;
pub mod volumes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use plimsoll::clock::Clock;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::lifecycle::Lifecycle;
use super::programs::Premises;

/// Whatever happens to pods, happens here.
pub struct Kubelet {
    client: Client,
    premises: Arc<Premises>,
    /// By UID: where the latest state of a pod is sent. A dropped sender ends the pod's task and its process.
    pods: HashMap<String, watch::Sender<Pod>>,
    tasks: JoinSet<()>,
    /// UIDs of a list under way.
    listed: HashSet<String>,
}

/// The only node.
pub const NODE: &str = "node-1";

// === impl Kubelet ===

impl Kubelet {
    pub fn new(client: Client, premises: Arc<Premises>) -> Self {
        Self { client, premises, pods: HashMap::new(), tasks: JoinSet::new(), listed: HashSet::new() }
    }

    /// Runs pods for ever.
    pub async fn run(mut self) {
        self.register().await;
        let pods = Api::<Pod>::all(self.client.clone());
        let mut events = kube::runtime::watcher(pods, watcher::Config::default()).default_backoff().boxed();
        loop {
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => self.handle(event),
                    // The watch begins again by itself.
                    Err(error) => eprintln!("kubelet: {error}"),
                },
                Some(ended) = self.tasks.join_next() => ended.expect("the task of a pod does not panic"),
            }
        }
    }

    /// Makes the node known, Ready for good.
    async fn register(&self) {
        let now = Clock::system().now().to_string();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now, "lastTransitionTime": now});
        let addresses = [json!({"type": "InternalIP", "address": self.premises.network.node().to_string()})];
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        let status = json!({"apiVersion": "v1", "kind": "Node",
            "status": {"conditions": [ready], "addresses": addresses, "capacity": {"pods": "60000"}}});
        let (nodes, patch) = (Api::<Node>::all(self.client.clone()), PatchParams::apply("kubelet").force());
        nodes.patch(NODE, &patch, &Patch::Apply(node)).await.expect("a node");
        nodes.patch_status(NODE, &patch, &Patch::Apply(status)).await.expect("its status");
    }

    fn handle(&mut self, event: Event<Pod>) {
        match event {
            Event::Apply(pod) => self.see(pod),
            Event::Delete(pod) => drop(self.pods.remove(&pod.uid().unwrap_or_default())),
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(pod.uid().unwrap_or_default());
                self.see(pod);
            }
            Event::InitDone => self.pods.retain(|uid, _| self.listed.contains(uid)),
        }
    }

    fn see(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(known) = self.pods.get(&uid) {
            drop(known.send(pod));
        } else if is_ours(&pod) {
            let (sender, latest) = watch::channel(pod);
            self.pods.insert(uid, sender);
            self.tasks.spawn(Lifecycle::new(self.client.clone(), self.premises.clone(), latest).run());
        }
    }
}

/// Whether the pod is this node's, or nobody's yet.
fn is_ours(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    match spec.and_then(|spec| spec.node_name.as_deref()) {
        Some(node) => node == NODE,
        None => spec.and_then(|spec| spec.scheduler_name.as_deref()).is_none_or(|name| name == "default-scheduler"),
    }
}
