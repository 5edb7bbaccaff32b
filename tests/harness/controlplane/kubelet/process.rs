//! The process of a container: its program, arguments, environment, and what its probes say.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use super::environment::Environment;
use super::probes::Probes;
use super::sandbox::{self, Sandbox};
use super::volumes::Volumes;
use crate::harness::controlplane::programs::{Premises, built, guarded, plimsoll};
use crate::harness::program::Program;

/// A process that has the port of a container, if the container has one.
pub struct Process {
    program: Arc<Mutex<Program>>,
    address: Ipv4Addr,
    port: Option<u16>,
    /// Those of Plimsoll; of a workload it is asked whether its port answers.
    probes: Option<Probes>,
    /// When it is killed, once it was asked to end.
    killed_at: Option<Instant>,
}

/// How a process ended.
#[derive(Clone, PartialEq)]
pub struct Exit {
    pub code: i32,
    /// The last line it said.
    pub message: String,
}

/// What the image of a container stands for.
pub enum Image {
    Workload,
    Plimsoll,
    Pause,
    Unknown(String),
}

/// Longest wait for a port to answer; the next try comes soon.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// The address of every interface, on which a pod listens that has a network of its own.
const ANY: &str = "[::]:";

// === impl Process ===

impl Process {
    /// A program of the tests, without any isolation.
    pub fn workload(pod: &Pod, container: &Container, address: Ipv4Addr, premises: &Premises) -> Self {
        let mut command = bare(guarded(&built("workload")));
        command.args(container.args.iter().flatten());
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, variable.value.as_deref().unwrap_or_default());
        }
        let namespace = pod.namespace().unwrap_or_default();
        command.env("SERVICES", premises.services().join(&namespace));
        command.env("POD_NAME", pod.name_any()).env("POD_NAMESPACE", namespace).env("POD_IP", address.to_string());
        Self::start(command, pod, container, address, premises)
    }

    /// Plimsoll as the pod has it: arguments, variables, volumes, user and probes. One thing differs: where it would
    /// listen on every address of the pod's network it listens on the pod's address, as the network is the machine's.
    ///
    /// # Errors
    /// What cannot be done here, or not at all.
    pub fn plimsoll(
        pod: &Pod,
        container: &Container,
        address: Ipv4Addr,
        premises: &Premises,
        volumes: &Volumes,
    ) -> Result<Self, String> {
        sandbox::obstacle().map_or(Ok(()), |obstacle| Err(obstacle.to_owned()))?;
        let mut sandbox = Sandbox::new(pod, container, premises.pod_folder(pod).join("root"));
        for mount in container.volume_mounts.iter().flatten() {
            let folder = volumes.folder(&mount.name).ok_or_else(|| format!("no volume {}", mount.name))?;
            sandbox.mount(folder, &mount.mount_path, mount.read_only == Some(true));
        }
        let environment = Environment::of(pod, container, address, premises)?;
        let mut command = bare(sandbox.command(&plimsoll()));
        let arguments = container.args.iter().flatten().map(|argument| environment.expand(argument));
        command.args(arguments.map(|argument| argument.replace(ANY, &format!("{address}:"))));
        command.envs(&environment.0);
        let probes = Probes::start(container, address)?;
        let process = Self::start(command, pod, container, address, premises);
        Ok(Self { probes: Some(probes), ..process })
    }

    fn start(command: Command, pod: &Pod, container: &Container, address: Ipv4Addr, premises: &Premises) -> Self {
        let program = Arc::new(Mutex::new(Program::start(command)));
        premises.containers.started(&pod.uid().unwrap_or_default(), &program);
        let port = container.ports.iter().flatten().next().and_then(|port| u16::try_from(port.container_port).ok());
        Self { program, address, port, probes: None, killed_at: None }
    }

    pub fn pid(&self) -> u32 {
        self.lock().pid()
    }

    /// Whether it has started; without a port or a probe it is up as it runs.
    pub async fn is_up(&self) -> bool {
        if let Some(probes) = &self.probes {
            return probes.health().is_started;
        }
        let Some(port) = self.port else { return true };
        let connected = tokio::net::TcpStream::connect((self.address, port));
        tokio::time::timeout(CONNECT_TIMEOUT, connected).await.is_ok_and(|connected| connected.is_ok())
    }

    /// Whether it may be sent requests, once it is up.
    pub fn is_ready(&self) -> bool {
        self.probes.as_ref().is_none_or(|probes| probes.health().is_ready)
    }

    /// Ends it when a probe says so, after the time it is given to end by itself.
    pub fn end_if_failed(&mut self, grace: Duration) {
        let has_failed = self.probes.as_ref().is_some_and(|probes| probes.health().has_failed);
        match self.killed_at {
            None if has_failed => {
                self.killed_at = Some(Instant::now() + grace);
                self.terminate();
            }
            Some(at) if Instant::now() >= at => self.lock().kill(),
            _ => {}
        }
    }

    pub fn exit(&mut self) -> Option<Exit> {
        let mut program = self.lock();
        let status = program.ended()?;
        let output = program.output();
        Some(Exit { code: code(status), message: output.lines().last().unwrap_or_default().to_owned() })
    }

    pub fn terminate(&self) {
        self.lock().signal("TERM");
    }

    fn lock(&self) -> MutexGuard<'_, Program> {
        self.program.lock().expect("not poisoned")
    }
}

// === impl Exit ===

impl Exit {
    pub fn succeeded(&self) -> bool {
        self.code == 0
    }
}

// === impl Image ===

impl Image {
    /// By the name of the image, whatever its registry and its tag.
    pub fn of(container: &Container) -> Self {
        let whole = container.image.as_deref().unwrap_or_default();
        let name = whole.rsplit('/').next().unwrap_or_default();
        match name.split([':', '@']).next().unwrap_or_default() {
            "workload" => Self::Workload,
            "plimsoll" => Self::Plimsoll,
            "pause" => Self::Pause,
            _ => Self::Unknown(whole.to_owned()),
        }
    }
}

/// What the tests have in their environment is not for pods.
fn bare(mut command: Command) -> Command {
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// The exit code as a container runtime gives it: 128 and the signal, where one ended it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
