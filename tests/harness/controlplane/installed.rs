//! What is installed in a control plane: the objects of the manifests, the pods of the Deployment, the APIServices.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use k8s_openapi::ByteString;
use serde_json::Value;

use super::direct::Direct;
use super::installation::{Installation, NAME, NAMESPACE, PORT, SELECTOR};
use super::kubelet::sandbox;
use super::objects::documents;
use super::programs::kubernetes;
use super::{ControlPlane, eventually};
use crate::harness::program::Program;

/// A pod of the Deployment that is to stay.
#[derive(Clone, Debug)]
pub struct Replica {
    pub name: String,
    pub uid: String,
    pub address: SocketAddr,
    pub is_ready: bool,
}

/// What is registered, by name.
pub const API_SERVICES: [&str; 3] =
    ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

pub const API_SERVICE: &str = "apiregistration.k8s.io/v1/APIService";

// === impl ControlPlane ===

impl ControlPlane {
    /// Applies the manifests. Nothing of what the controllers do has happened then.
    pub async fn install(&self, installation: &Installation) {
        self.apply_all(NAMESPACE, &self.rendered(installation)).await;
    }

    /// The objects, where their pods can be run.
    pub fn rendered(&self, installation: &Installation) -> Vec<Value> {
        if let Some(obstacle) = sandbox::obstacle() {
            panic!("{obstacle}");
        }
        documents(&installation.render(&self.premises))
    }

    /// Takes away what serves, and what makes it known; the rest is in nobody's way.
    pub fn uninstall(&self) {
        let kubectl = |arguments: &[&str]| {
            let mut command = std::process::Command::new(kubernetes("kubectl"));
            // The control plane may be gone itself, when a test fails.
            drop(command.args(arguments).env("KUBECONFIG", self.kubeconfig()).output());
        };
        kubectl(&[&["delete", "apiservice", "--ignore-not-found"][..], &API_SERVICES].concat());
        let deployment = ["delete", "deployment", NAME, "-n", NAMESPACE, "--ignore-not-found"];
        kubectl(&[&deployment[..], &["--cascade=foreground", "--timeout=20s"]].concat());
    }

    /// The pods of the Deployment but those that are deleted.
    pub async fn replicas(&self) -> Vec<Replica> {
        let list = ["get", "pods", "-n", NAMESPACE, "-l", SELECTOR, "-o", "json"];
        let list: Value = serde_json::from_str(&self.kubectl(&list).await).expect("JSON");
        let pods = list["items"].as_array().into_iter().flatten();
        pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).filter_map(Replica::of).collect()
    }

    /// Waits until there are so many, all of them Ready.
    pub async fn ready_replicas(&self, count: usize) -> Vec<Replica> {
        let are_good = |pods: &Vec<Replica>| pods.len() == count && pods.iter().all(|pod| pod.is_ready);
        eventually(&format!("{count} pods of Plimsoll are Ready"), || self.replicas(), are_good).await
    }

    /// The process of a pod that runs, or ran last.
    pub fn program(&self, uid: &str) -> Option<Arc<Mutex<Program>>> {
        self.premises.containers.program(uid)
    }

    /// The way to one of them, without the API server in between.
    pub async fn direct(&self, replica: &Replica) -> Direct {
        Direct::new(&self.premises, replica.address, &self.ca_bundle().await)
    }

    /// Whether each of the APIServices is Available.
    pub async fn available(&self) -> [bool; 3] {
        let states = API_SERVICES.map(|name| self.get("", API_SERVICE, name));
        let [first, second, third] = states;
        [has(&first.await, "Available"), has(&second.await, "Available"), has(&third.await, "Available")]
    }

    /// Whom the API server believes Plimsoll's certificate, as PEM.
    pub async fn ca_bundle(&self) -> String {
        let service = self.get("", API_SERVICE, API_SERVICES[0]).await;
        let bundle: ByteString = serde_json::from_value(service["spec"]["caBundle"].clone()).expect("base64");
        String::from_utf8(bundle.0).expect("PEM")
    }
}

// === impl Replica ===

impl Replica {
    /// `None` before it has an address.
    fn of(pod: &Value) -> Option<Self> {
        let address = pod["status"]["podIP"].as_str()?.parse().ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &pod["metadata"];
        let (name, uid, is_ready) = (text(&metadata["name"]), text(&metadata["uid"]), has(pod, "Ready"));
        Some(Self { name, uid, address: SocketAddr::new(address, PORT), is_ready })
    }
}

/// Whether a condition of an object is True.
fn has(object: &Value, name: &str) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == name && condition["status"] == "True")
}
