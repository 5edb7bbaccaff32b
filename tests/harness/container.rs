//! Images and containers as buildah makes and runs them: each test in storage of its own, nothing pulled.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::program::{Program, installed};

/// Where buildah keeps images and containers; removed with the test.
pub struct Storage {
    folder: TempDir,
}

/// A container of the image, and the storage it lives in.
pub struct Container {
    storage: Storage,
    name: String,
}

/// A program that runs in a container; it and all it started end with the test.
pub struct Contained {
    pub program: Program,
}

/// The repository.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What stands for the builder stage, whose base cannot be fetched in the tests: `image/` in it was laid out by the very
/// command which that stage runs.
pub fn builder() -> PathBuf {
    let folder = super::controlplane::programs::workshop().join("builder");
    assert!(folder.join("image/plimsoll").is_file(), "{} is not there; run `make static`", folder.display());
    folder
}

/// Whether root may do what containers need.
fn assert_privileged() {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("capabilities");
    let effective = u64::from_str_radix(effective.trim(), 16).expect("a mask");
    let sys_admin = 1 << 21;
    let reason = "to build and run the image takes mounts and other users; run the tests as root with CAP_SYS_ADMIN \
                  (in a container of CI: --cap-add SYS_ADMIN --security-opt seccomp=unconfined)";
    assert!(effective & sys_admin != 0, "{reason}");
}

// === impl Storage ===

impl Storage {
    pub fn new() -> Self {
        assert_privileged();
        installed("buildah", "buildah");
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            path("images"),
            path("running")
        );
        std::fs::write(folder.path().join("storage.conf"), config).expect("written");
        std::fs::create_dir(folder.path().join("scratch")).expect("made");
        Self { folder }
    }

    /// A command that keeps to this storage, and to a chroot where it runs something.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(ROOT).env("BUILDAH_ISOLATION", "chroot");
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"));
        command.env("TMPDIR", self.folder.path().join("scratch"));
        command
    }

    /// What a command of buildah says; a failure fails the test.
    pub fn buildah(&self, arguments: &[&str]) -> String {
        said(self.command("buildah").args(arguments))
    }

    /// Builds the image by the command for it, with a folder in the place of the builder stage.
    pub fn build(&self, builder: &Path) {
        let mut command = self.command("deploy/docker/image");
        // The clock of the checkout does not matter: there may be none.
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command.arg("--pull-never").arg("--build-context").arg(format!("builder={}", builder.display()));
        said(&mut command);
    }

    /// What the image says of itself: `buildah inspect`.
    pub fn inspect(&self) -> Value {
        let image = concat!("plimsoll:", env!("CARGO_PKG_VERSION"));
        serde_json::from_str(&self.buildah(&["inspect", "--type", "image", image])).expect("JSON")
    }

    /// A container of the image.
    pub fn container(self) -> Container {
        let image = concat!("plimsoll:", env!("CARGO_PKG_VERSION"));
        let name = self.buildah(&["from", "--pull-never", image]).trim().to_owned();
        Container { storage: self, name }
    }
}

// === impl Container ===

impl Container {
    /// The image, built and ready to run.
    pub fn new() -> Self {
        let storage = Storage::new();
        storage.build(&builder());
        storage.container()
    }

    /// The files of the container, as the host sees them.
    pub fn root(&self) -> PathBuf {
        self.storage.buildah(&["mount", &self.name]).trim().into()
    }

    /// A command in the container, as its user; `mounted` is seen there as /etc/plimsoll, read only.
    pub fn command(&self, mounted: Option<&Path>, arguments: &[&str]) -> Command {
        // Processes of their own, so that none of them is left when the first one is gone.
        let mut command = self.storage.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "unshare", "--pid", "--fork", "--kill-child", "--"]);
        command.args(["buildah", "run"]);
        if let Some(folder) = mounted {
            command.args(["--volume", &format!("{}:/etc/plimsoll:ro", folder.display())]);
        }
        command.args([&self.name, "--"]).args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, mounted: Option<&Path>, arguments: &[&str]) -> Output {
        self.command(mounted, arguments).output().expect("it starts")
    }

    pub fn start(&self, mounted: Option<&Path>, arguments: &[&str]) -> Contained {
        Contained { program: Program::start(self.command(mounted, arguments)) }
    }
}

// === impl Contained ===

impl Contained {
    /// The process whose program is `/plimsoll`, as the host numbers it.
    pub fn pid(&self) -> u32 {
        let all = descendants(self.program.pid());
        let is_plimsoll = |pid: &u32| command_line(*pid).starts_with("/plimsoll\0");
        let found = all.into_iter().find(is_plimsoll);
        found.unwrap_or_else(|| panic!("/plimsoll does not run:\n{}", self.program.output()))
    }

    /// A field of `/proc/PID/status`, its parts by single spaces.
    pub fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        value.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Sends a signal to the program itself, as kubelet does, and waits for the end.
    pub fn end(&mut self, signal: &str, patience: Duration) -> Option<i32> {
        let sent = Command::new("kill").args([format!("-{signal}"), self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal}");
        self.program.wait(patience).code()
    }
}

/// A folder that others may read, for what is mounted into a container: its user is another one.
pub fn readable_folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permitted");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
