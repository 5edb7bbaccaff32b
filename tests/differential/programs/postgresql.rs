//! A PostgreSQL server with a database of an odd name, and its exporter.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::Exporter;
use crate::harness::program::{Program, free_port, installed};

pub struct Server {
    port: u16,
    program: Program,
    _folder: TempDir,
}

impl Server {
    pub fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let data = folder.path();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(data));
        }
        run(command("initdb", data).args(["--username=postgres", "--auth=trust", "--no-sync", "--no-locale"]));
        let mut server = command("postgres", data);
        server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        server.args(["-c", "unix_socket_directories="]);
        let program = Program::start(server);
        program.line(&["ready to accept connections"]);
        let client = ["--host=127.0.0.1", "--username=postgres", "--port"];
        run(Command::new(binary("createdb")).args(client).arg(port.to_string()).arg("odd \"name\" \\ {ü}"));
        Self { port, program, _folder: folder }
    }

    pub fn exporter(&self) -> Exporter {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = installed("prometheus-postgres-exporter", "prometheus-postgres-exporter");
        command.arg(format!("--web.listen-address={address}"));
        let source = format!("postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port);
        command.env("DATA_SOURCE_NAME", source);
        let mut exporter = Exporter::run("prometheus-postgres-exporter", command, address);
        exporter.sign = "pg_up 1";
        exporter
    }
}

impl Drop for Server {
    /// Shuts down quickly and in order, so that no shared memory is left behind.
    fn drop(&mut self) {
        self.program.signal("INT");
        self.program.wait(Duration::from_secs(20));
    }
}

/// A program of PostgreSQL over a data folder. It refuses to run as root.
fn command(program: &str, data: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = installed("setpriv", "util-linux");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(binary(program));
        command
    } else {
        Command::new(binary(program))
    };
    command.arg("-D").arg(data).current_dir("/");
    command
}

/// The programs of a server are not in the PATH, but in a folder of their version.
fn binary(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed; run `make setup` (or: apt-get install postgresql)"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("a process").uid() == 0
}

fn run(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
}
