//! Plimsoll as a process beside the control plane, served by it through APIServices. It has the permissions of a
//! service account, and a certificate for the name of its Service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::direct::Direct;
use super::programs::kubernetes;
use super::starter::Starter;
use super::{ControlPlane, eventually, last_lines};
use crate::harness::program::Program;

/// A Plimsoll that is known to a control plane. Dropped, it ends and its APIServices go.
pub struct Registered {
    control_plane: Arc<ControlPlane>,
    _turn: OwnedMutexGuard<()>,
    pub address: SocketAddr,
    config: PathBuf,
    kubeconfig: PathBuf,
    program: Option<Program>,
    starter: Starter,
    /// From the APIServices' creation until all were Available.
    pub available_in: Duration,
}

/// What is registered, by name.
pub const API_SERVICES: [&str; 3] =
    ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

pub const API_SERVICE: &str = "apiregistration.k8s.io/v1/APIService";

const PERMISSIONS: &str = include_str!("permissions.yaml");
const REGISTRATION: &str = include_str!("registration.yaml");

/// Its user is the service account that the bindings of [`PERMISSIONS`] name.
const USER: &str = "system:serviceaccount:plimsoll-system:plimsoll";

/// More than the time in which it lets requests end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

// === impl Registered ===

impl Registered {
    pub(super) async fn new(
        control_plane: Arc<ControlPlane>,
        turn: OwnedMutexGuard<()>,
        config: &str,
        port: u16,
    ) -> Self {
        let premises = &control_plane.premises;
        let address = SocketAddr::from((premises.network.node(), port));
        let mut registered = Self {
            _turn: turn,
            address,
            config: premises.folder.write("plimsoll.yaml", config),
            kubeconfig: premises.user(USER),
            program: None,
            starter: Starter::new(),
            available_in: Duration::ZERO,
            control_plane,
        };
        registered.control_plane.apply("default", PERMISSIONS).await;
        registered.start();
        registered.register().await;
        registered
    }

    /// Whether there is a process; one that ended by itself counts.
    pub fn is_there(&self) -> bool {
        self.program.is_some()
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        drop(self.program.take());
    }

    /// Everything the running process has said.
    pub fn output(&self) -> String {
        self.program.as_ref().map(Program::output).unwrap_or_default()
    }

    /// Asks it to end, and gives its exit status and everything it said.
    pub fn stop(&mut self) -> (ExitStatus, String) {
        let mut program = self.program.take().expect("it runs");
        program.signal("TERM");
        (program.wait(STOP_TIMEOUT), program.output())
    }

    /// Starts it again with the same address, configuration and permissions.
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Asks it without the API server in between.
    pub fn direct(&self) -> Direct {
        Direct::new(&self.control_plane.premises, self.address)
    }

    /// Replaces the configuration file; a running process takes it up by itself.
    pub fn configure(&self, config: &str) {
        self.control_plane.premises.folder.write("plimsoll.yaml", config);
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
        let states = API_SERVICES.map(|name| self.control_plane.get("", API_SERVICE, name));
        let [first, second, third] = states;
        [is_available(&first.await), is_available(&second.await), is_available(&third.await)]
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

    fn start(&mut self) {
        let premises = &self.control_plane.premises;
        let command = premises.plimsoll(self.address, &self.config, &self.kubeconfig);
        self.program = Some(self.starter.start(command));
    }

    async fn listens(&mut self) {
        let (address, program) = (self.address, self.program.as_mut().expect("it runs"));
        let ask = || {
            let ended = program.ended().is_some();
            async move { ended || tokio::net::TcpStream::connect(address).await.is_ok() }
        };
        eventually("Plimsoll listens", ask, |done| *done).await;
        assert!(program.ended().is_none(), "Plimsoll ended:\n{}", program.output());
    }

    /// Makes the objects once it answers the front proxy: an APIService that was not there is asked again only after a
    /// while.
    async fn register(&mut self) {
        self.listens().await;
        let direct = self.direct();
        let knows_it = |answer: &Option<(u16, String)>| {
            answer.as_ref().is_some_and(|(_, said)| said.contains("[+]authentication ok"))
        };
        eventually("the front proxy is known", || direct.get("/readyz?verbose"), knows_it).await;
        let (premises, started) = (&self.control_plane.premises, Instant::now());
        let bundle = json!(ByteString(premises.authority.pem.clone().into_bytes()));
        let yaml = REGISTRATION.replace("ADDRESS", &self.address.ip().to_string());
        let yaml = yaml.replace("PORT", &self.address.port().to_string());
        let yaml = yaml.replace("CA_BUNDLE", bundle.as_str().expect("base64"));
        self.control_plane.apply("default", &yaml).await;
        eventually("the APIServices are Available", || self.available(), |states| *states == [true; 3]).await;
        self.available_in = started.elapsed();
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- plimsoll\n{}", self.program.as_ref().map(last_lines).unwrap_or_default());
        }
        self.kill();
        let mut delete = std::process::Command::new(kubernetes("kubectl"));
        delete.args(["delete", "apiservice", "--ignore-not-found"]).args(API_SERVICES);
        delete.env("KUBECONFIG", self.control_plane.kubeconfig());
        // The control plane may be gone itself, when a test fails.
        drop(delete.output());
    }
}

fn is_available(service: &Value) -> bool {
    let mut conditions = service["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Available" && condition["status"] == "True")
}
