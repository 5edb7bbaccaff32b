//! The process of a container: its program, arguments and environment.

use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt;

use crate::harness::controlplane::programs::{Premises, built, guarded};
use crate::harness::program::Program;

/// A process that has the port of a container, if the container has one.
pub struct Process {
    program: Program,
    address: Ipv4Addr,
    port: Option<u16>,
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
    Pause,
    Unknown(String),
}

/// Longest wait for a port to answer; the next try comes soon.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

// === impl Process ===

impl Process {
    pub fn start(pod: &Pod, container: &Container, address: Ipv4Addr, premises: &Premises) -> Self {
        let mut command = guarded(&built("workload"));
        // What the tests have in theirs is not for pods.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.args(container.args.iter().flatten());
        for variable in container.env.iter().flatten() {
            command.env(&variable.name, variable.value.as_deref().unwrap_or_default());
        }
        let namespace = pod.namespace().unwrap_or_default();
        command.env("SERVICES", premises.services().join(&namespace));
        command.env("POD_NAME", pod.name_any()).env("POD_NAMESPACE", namespace).env("POD_IP", address.to_string());
        let port = container.ports.iter().flatten().next().and_then(|port| u16::try_from(port.container_port).ok());
        Self { program: Program::start(command), address, port }
    }

    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Whether its port answers; without one it is up as it runs.
    pub async fn is_up(&self) -> bool {
        let Some(port) = self.port else { return true };
        let connected = tokio::net::TcpStream::connect((self.address, port));
        tokio::time::timeout(CONNECT_TIMEOUT, connected).await.is_ok_and(|connected| connected.is_ok())
    }

    pub fn exit(&mut self) -> Option<Exit> {
        let status = self.program.ended()?;
        let output = self.program.output();
        Some(Exit { code: code(status), message: output.lines().last().unwrap_or_default().to_owned() })
    }

    pub fn terminate(&self) {
        self.program.signal("TERM");
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
    pub fn of(container: &Container) -> Self {
        match container.image.as_deref().unwrap_or_default() {
            "workload" => Self::Workload,
            "pause" => Self::Pause,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

/// The exit code as a container runtime gives it: 128 and the signal, where one ended it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
