//! The file system of a container: a mount namespace whose root has the program, what an image without an operating
//! system has, and the volumes of the pod where they are mounted. Nothing of it is seen outside, and it ends with the
//! process. The network is the machine's, since a network namespace would have a loopback of its own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::harness::controlplane::programs::guarded;

/// What a program sees of the machine, and as whom it runs.
pub struct Sandbox {
    /// An empty folder of this machine, on which the root is mounted.
    root: PathBuf,
    mounts: Vec<Mount>,
    user: i64,
    group: i64,
}

/// A file or folder of this machine at a place of the container.
struct Mount {
    from: PathBuf,
    to: String,
    mode: Mode,
}

/// How something is mounted.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// As the machine has it, which is not the container's to write.
    Machine,
    ReadOnly,
    ReadWrite,
}

/// The user of the image, where the pod names none.
const USER: i64 = 65_532;

/// Where the image has its program.
const PROGRAM: &str = "/plimsoll";

/// What a program that is not linked statically needs, and what a container runtime and a small image provide.
const MACHINE: [&str; 8] = ["/usr", "/lib", "/lib64", "/bin", "/proc", "/etc/ssl", "/etc/hosts", "/etc/resolv.conf"];

/// Mounts the root and what is in it, and becomes the program. The arguments: the root; source, place and mode of each
/// mount; `--`; the command.
const ENTER: &str = r#"set -e
root=$1; shift
mount -t tmpfs -o mode=0755 root "$root"
while [ "$1" != -- ]; do
  from=$1 to=$root$2 mode=$3; shift 3
  if [ -d "$from" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}"; : >"$to"; fi
  mount --rbind "$from" "$to"
  [ "$mode" != ro ] || mount -o remount,bind,ro "$to"
done
shift
mount -o remount,ro "$root"
exec chroot "$root" "$@""#;

// === impl Sandbox ===

impl Sandbox {
    pub fn new(pod: &Pod, container: &Container, root: PathBuf) -> Self {
        let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|of_pod| of_pod.run_as_user));
        let group = own.and_then(|own| own.run_as_group).or(of_pod.and_then(|of_pod| of_pod.run_as_group));
        let exists = MACHINE.iter().filter(|path| Path::new(path).exists());
        let mounts = exists.map(|path| Mount { from: path.into(), to: (*path).into(), mode: Mode::Machine }).collect();
        Self { root, mounts, user: user.unwrap_or(USER), group: group.unwrap_or(USER) }
    }

    /// Puts a volume where the container has it.
    pub fn mount(&mut self, from: &Path, to: &str, read_only: bool) {
        let mode = if read_only { Mode::ReadOnly } else { Mode::ReadWrite };
        self.mounts.push(Mount { from: from.to_owned(), to: to.to_owned(), mode });
    }

    /// The command for a program of this machine, inside. Its process is the one that is started, so it can be waited for
    /// and sent signals to.
    pub fn command(mut self, program: &Path) -> Command {
        self.mounts.push(Mount { from: program.to_owned(), to: PROGRAM.to_owned(), mode: Mode::Machine });
        std::fs::create_dir_all(&self.root).expect("a folder");
        let mut command = guarded(Path::new("unshare"));
        command.args(namespaces()).args(["--", "sh", "-c", ENTER, "sh"]).arg(&self.root);
        for Mount { from, to, mode } in &self.mounts {
            command.arg(from).arg(to).arg(mode.name());
        }
        // The death of this process is forgotten with a change of the user, so it is named again.
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--bounding-set", "-all"]);
        if is_root() {
            command.args(["--clear-groups", &format!("--reuid={}", self.user), &format!("--regid={}", self.group)]);
        }
        command.args(["--", PROGRAM]);
        command
    }
}

// === impl Mode ===

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::Machine | Self::ReadWrite => "rw",
        }
    }
}

/// Why no container can be run here.
pub fn obstacle() -> Option<&'static str> {
    static OBSTACLE: OnceLock<Option<String>> = OnceLock::new();
    OBSTACLE.get_or_init(find_obstacle).as_deref()
}

/// Tries what every container needs.
fn find_obstacle() -> Option<String> {
    let mut command = Command::new("unshare");
    command.args(namespaces()).args(["--", "mount", "-t", "tmpfs", "try", "/mnt"]);
    let said = match command.output() {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("unshare: {error}"),
    };
    Some(format!(
        "the pods of Plimsoll run in mount namespaces, which is refused here ({said}). As root it is allowed; as another \
         user where user namespaces are (sysctl kernel.apparmor_restrict_unprivileged_userns=0); in a container with \
         --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    ))
}

/// A mount namespace takes root: where this is not root, that of a user namespace.
fn namespaces() -> &'static [&'static str] {
    let private = &["--mount", "--propagation", "private", "--map-root-user", "--user"];
    if is_root() { &private[..3] } else { private }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
