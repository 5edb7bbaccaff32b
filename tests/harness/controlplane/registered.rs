//! Plimsoll as the shipped manifests install it, with one replica: a pod that the kubelet runs, behind its Service, with the
//! permissions of its service account, and registered by its APIServices.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::direct::Direct;
use super::installation::{Installation, NAME, NAMESPACE};
use super::installed::{API_SERVICES, Replica};
use super::{ControlPlane, eventually, last_lines};
use crate::harness::program::Program;

/// A Plimsoll that is known to a control plane. Dropped, it ends and its APIServices go.
pub struct Registered {
    control_plane: Arc<ControlPlane>,
    _turn: OwnedMutexGuard<()>,
    /// UID of the pod.
    pod: String,
    pub address: SocketAddr,
    /// Whom the API server believes its certificate.
    authority: String,
    is_there: bool,
    /// From the APIServices' creation until all were Available.
    pub available_in: Duration,
}

/// What tests have otherwise: it is asked more often whether it is ready.
const QUICK: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: plimsoll, namespace: plimsoll-system}
spec: {template: {spec: {containers: [{name: plimsoll, readinessProbe: {periodSeconds: 1}}]}}}
";

/// More than the time in which it lets requests end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

// === impl Registered ===

impl Registered {
    pub(super) async fn new(control_plane: Arc<ControlPlane>, turn: OwnedMutexGuard<()>, config: &str) -> Self {
        let installation = Installation::of("development").component("monitor-credentials").configuration(config);
        let rendered = control_plane.rendered(&installation.patch(QUICK));
        let (services, others): (Vec<_>, Vec<_>) = rendered.into_iter().partition(|it| it["kind"] == "APIService");
        control_plane.apply_all(NAMESPACE, &others).await;
        let Replica { uid: pod, address, .. } = control_plane.ready_replicas(1).await.remove(0);
        // What is asked before it can answer is asked again only after a while.
        let started = Instant::now();
        control_plane.apply_all(NAMESPACE, &services).await;
        let (authority, available_in) = (String::new(), Duration::ZERO);
        let mut registered = Self { control_plane, _turn: turn, pod, address, authority, is_there: true, available_in };
        eventually("the APIServices are Available", || registered.available(), |states| *states == [true; 3]).await;
        registered.available_in = started.elapsed();
        registered.authority = registered.control_plane.ca_bundle().await;
        registered
    }

    /// Whether there is a process; one that ended by itself counts.
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// Ends its process at once, in the middle of whatever it does. The pod stays, without one.
    pub fn kill(&mut self) {
        self.is_there = false;
        self.control_plane.premises.containers.hold(&self.pod);
        if let Some(program) = self.program() {
            program.lock().expect("not poisoned").kill();
        }
    }

    /// Everything the process has said that runs, or ran last.
    pub fn output(&self) -> String {
        self.program().map(|program| program.lock().expect("not poisoned").output()).unwrap_or_default()
    }

    /// Asks it to end, and gives its exit status and everything it said.
    pub fn stop(&mut self) -> (ExitStatus, String) {
        self.is_there = false;
        self.control_plane.premises.containers.hold(&self.pod);
        let program = self.program().expect("it runs");
        program.lock().expect("not poisoned").signal("TERM");
        let started = Instant::now();
        loop {
            // The kubelet asks for it too.
            let ended = program.lock().expect("not poisoned").ended();
            if let Some(status) = ended {
                return (status, self.output());
            }
            assert!(started.elapsed() < STOP_TIMEOUT, "still running after {STOP_TIMEOUT:?}:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again with the same address, configuration and permissions.
    pub fn restart(&mut self) {
        if self.is_there {
            self.kill();
        }
        self.is_there = true;
        self.control_plane.premises.containers.release(&self.pod);
    }

    /// Asks it without the API server in between.
    pub fn direct(&self) -> Direct {
        Direct::new(&self.control_plane.premises, self.address, &self.authority)
    }

    /// Replaces the configuration in its ConfigMap; a running process takes it up by itself.
    pub async fn configure(&self, config: &str) {
        let patch = json!({"data": {"plimsoll.yaml": config}}).to_string();
        let arguments = ["patch", "configmap", NAME, "-n", NAMESPACE, "--type=merge", "-p", &patch];
        self.control_plane.kubectl(&arguments).await;
    }

    /// Waits until its APIServices are Available, or are not. The aggregator looks every 30 s, and at what has changed
    /// at once; so they change.
    pub async fn becomes_available(&self, available: bool) {
        let mut changes = 0;
        let ask = || {
            changes += 1;
            self.touch(changes)
        };
        let good = |states: &[bool; 3]| states.iter().all(|state| *state == available);
        eventually("the APIServices change", ask, good).await;
    }

    /// Whether each of its APIServices is Available.
    pub async fn available(&self) -> [bool; 3] {
        self.control_plane.available().await
    }

    /// Takes its APIServices away; it runs on.
    pub async fn unregister(&self) {
        let delete = ["delete", "apiservice", "--ignore-not-found"];
        self.control_plane.kubectl(&[&delete[..], &API_SERVICES].concat()).await;
    }

    /// Changes the APIServices, and gives their states a little later.
    async fn touch(&self, change: usize) -> [bool; 3] {
        let annotation = format!("plimsoll.test/change={change}");
        let annotate = ["annotate", "--overwrite", "apiservice", &annotation];
        self.control_plane.kubectl(&[&annotate[..3], &API_SERVICES, &annotate[3..]].concat()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.available().await
    }

    fn program(&self) -> Option<Arc<Mutex<Program>>> {
        self.control_plane.program(&self.pod)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.program().map(|program| last_lines(&program.lock().expect("not poisoned")));
            eprintln!("--- plimsoll\n{}", said.unwrap_or_default());
        }
        self.kill();
        self.control_plane.uninstall();
    }
}
