//! A real control plane on loopback: etcd, kube-apiserver and kube-controller-manager as processes, and a kubelet that
//! turns their pods into processes ([`kubelet`]). Comes in: YAML of objects; goes out: what a cluster makes of them.
//! Everything ends with the value, and with the process in whatever way that ends. Nothing leaves loopback.

pub mod asker;
pub mod authority;
pub mod certified;
pub mod direct;
pub mod egress;
pub mod endpoints;
pub mod folder;
pub mod installation;
pub mod installed;
pub mod kubelet;
pub mod network;
mod objects;
pub mod programs;
pub mod registered;
pub mod unregistered;
pub mod visitor;

use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;

use self::asker::Asker;
use self::programs::{Premises, kubernetes};
use self::registered::Registered;
use self::unregistered::Unregistered;
use crate::harness::program::Program;

/// A running control plane. Dropped on a panic, it shows the last lines of its programs.
pub struct ControlPlane {
    premises: Arc<Premises>,
    config: Config,
    /// In the order in which they end.
    programs: std::sync::Mutex<Vec<(&'static str, Program)>>,
    /// From nothing until it was ready.
    pub started_in: Duration,
    parts: Parts,
    /// Its API groups can be served by one Plimsoll at a time.
    registration: Arc<Mutex<()>>,
    shutdown: CancellationToken,
    /// Starts the processes, of which none outlives it, and runs the kubelet.
    thread: Option<JoinHandle<()>>,
}

/// The control plane that tests share which run at the same time. Each has a namespace of its own there.
pub struct Shared(Arc<ControlPlane>);

/// What is started beside the API server.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    All,
    ApiOnly,
}

/// The program that can be taken away.
pub const APISERVER: &str = "kube-apiserver";

/// A cold start on a machine that does other things too.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// Longest wait for something that controllers and a kubelet do together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of each program that are shown when a test fails.
const LAST_LINES: usize = 25;

// === impl ControlPlane ===

impl ControlPlane {
    /// All of it: controllers that act, and pods that run.
    pub async fn start() -> Arc<Self> {
        Self::start_parts(Parts::All).await
    }

    /// The API alone: objects are stored and watched, and nothing happens to them.
    pub async fn start_api() -> Arc<Self> {
        Self::start_parts(Parts::ApiOnly).await
    }

    /// The one of this process, started where no test has it. It ends with the last one that does: a static would not.
    pub async fn shared() -> Shared {
        static SHARED: Mutex<Weak<ControlPlane>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Shared(running);
        }
        let started = Self::start().await;
        *shared = Arc::downgrade(&started);
        Shared(started)
    }

    async fn start_parts(parts: Parts) -> Arc<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let (ready, started) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let thread = std::thread::Builder::new().name("control-plane".into());
        let thread = thread.spawn(move || live(parts, ready, &shutdown)).expect("a thread");
        let Ok(mut control_plane) = started.await else {
            std::panic::resume_unwind(thread.join().expect_err("it ended before it was ready"));
        };
        control_plane.thread = Some(thread);
        Arc::new(control_plane)
    }

    /// The kubeconfig file of its administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.premises.admin
    }

    /// A client of its administrator, for the runtime it is made in.
    pub fn client(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a configuration")
    }

    /// Status code and body of a path, asked as the administrator once: a [`Client`] would try again on 503 by itself.
    pub fn asker(&self) -> Asker {
        Asker::new(&self.premises)
    }

    /// What kubectl says; its failure is the test's.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).await.unwrap_or_else(|said| panic!("kubectl {}: {said}", arguments.join(" ")))
    }

    /// What kubectl says where it succeeds, or else what it complains of.
    pub async fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = std::process::Command::new(kubernetes("kubectl"));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.premises.folder.path());
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Plimsoll with this configuration, registered and Available. Another one waits until this one is gone.
    pub async fn plimsoll(self: &Arc<Self>, config: &str) -> Registered {
        let turn = self.registration.clone().lock_owned().await;
        Registered::new(self.clone(), turn, config).await
    }

    /// Plimsoll with this configuration, as this user, beside the one that is registered.
    pub async fn unregistered(&self, user: &str, config: &str) -> Unregistered {
        Unregistered::start(&self.premises, user, config).await
    }

    /// What the API server is answered that wants to connect to a host and a port of the cluster.
    pub async fn way(&self, to: &str) -> String {
        self.premises.egress.answer(to).await.expect("an answer")
    }

    /// Takes the API server away at once. Everything else stays and finds out.
    pub fn stop_apiserver(&self) {
        self.programs().retain(|(name, _)| *name != APISERVER);
    }

    /// Brings the API server back, at the same address; gives the time until it was ready.
    pub async fn start_apiserver(&self) -> Duration {
        let started = Instant::now();
        let mut programs = vec![(APISERVER, self.premises.start_apiserver(self.has_controllers()))];
        until_ready(&self.client(), &mut programs, started).await;
        self.programs().append(&mut programs);
        started.elapsed()
    }

    /// Everything that one of the programs has said.
    pub fn log(&self, name: &str) -> String {
        let programs = self.programs();
        programs.iter().find(|(known, _)| *known == name).map(|(_, program)| program.output()).unwrap_or_default()
    }

    /// The last lines of each program.
    pub fn logs(&self) -> String {
        self.programs().iter().map(|(name, program)| format!("--- {name}\n{}\n", last_lines(program))).collect()
    }

    fn has_controllers(&self) -> bool {
        self.parts == Parts::All
    }

    fn programs(&self) -> MutexGuard<'_, Vec<(&'static str, Program)>> {
        // A panic of a test must not hide what they said.
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.shutdown.cancel();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

// === impl Shared ===

impl std::ops::Deref for Shared {
    type Target = Arc<ControlPlane>;

    fn deref(&self) -> &Arc<ControlPlane> {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.logs());
        }
    }
}

/// Asks until the answer satisfies; panics with the last answer when it never does.
pub async fn eventually<T: std::fmt::Debug, F: Future<Output = T>>(
    what: &str,
    mut ask: impl FnMut() -> F,
    good: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; last seen: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The thread of a control plane: starts it, then serves its pods until the end.
fn live(parts: Parts, ready: oneshot::Sender<ControlPlane>, shutdown: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let control_plane = bring_up(parts, shutdown.clone()).await;
        let (client, premises) = (control_plane.client(), control_plane.premises.clone());
        drop(ready.send(control_plane));
        let egress = premises.egress.clone().run();
        let pods = async {
            if parts == Parts::All {
                let endpoints = endpoints::Endpoints::new(client.clone(), premises.clone());
                tokio::join!(endpoints.run(), kubelet::Kubelet::new(client, premises).run());
            }
            std::future::pending().await
        };
        // All end as they are dropped, and the processes of the pods with them.
        tokio::select! {
            () = egress => {}
            () = pods => {}
            () = shutdown.cancelled() => {}
        }
    });
}

async fn bring_up(parts: Parts, shutdown: CancellationToken) -> ControlPlane {
    let (started, premises) = (Instant::now(), Arc::new(Premises::new()));
    let kubeconfig = Kubeconfig::read_from(&premises.admin).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("complete");
    let (apiserver, etcd) = (premises.start_apiserver(parts == Parts::All), premises.start_etcd());
    let mut programs = vec![(APISERVER, apiserver), ("etcd", etcd)];
    until_ready(&Client::try_from(config.clone()).expect("a configuration"), &mut programs, started).await;
    if parts == Parts::All {
        programs.insert(0, ("kube-controller-manager", premises.start_controllers()));
    }
    let (started_in, programs, registration) = (started.elapsed(), programs.into(), Arc::default());
    ControlPlane { premises, config, programs, started_in, parts, registration, shutdown, thread: None }
}

/// Waits for the API server; panics when a program ends before.
async fn until_ready(client: &Client, programs: &mut [(&'static str, Program)], started: Instant) {
    loop {
        let request = hyper::Request::get("/readyz").body(Vec::new()).expect("a request");
        let answer = client.request_text(request).await;
        if answer.as_ref().is_ok_and(|answer| answer == "ok") {
            return;
        }
        for (name, program) in programs.iter_mut() {
            assert!(program.ended().is_none(), "{name} ended:\n{}", program.output());
        }
        assert!(started.elapsed() < START_TIMEOUT, "not ready: {answer:?}\n{}", last_lines(&programs[0].1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The definition of a kind whose objects may hold anything, as far as an API server has to know it.
pub fn custom_resource(group: &str, kind: &str, plural: &str) -> String {
    let singular = kind.to_lowercase();
    format!(
        "
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
    )
}

/// Warnings and errors; the rest is how a control plane starts, and what Plimsoll is asked.
fn last_lines(program: &Program) -> String {
    let output = program.output();
    let noise = |line: &str| {
        line.starts_with('I') || line.contains("\"DEBUG\"") || line.contains(" INFO: ") || line.contains("Skipping API")
    };
    let lines: Vec<_> = output.lines().filter(|line| !noise(line)).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
