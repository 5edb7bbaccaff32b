//! A real program as a child: its CPU time and memory as the kernel counts them. It ends with its owner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child process; killed when dropped, and by the kernel when the benchmark itself is killed.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// Bytes in memory.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    /// The most that was ever resident.
    pub peak: f64,
}

/// Clock ticks per second in `/proc/PID/stat`, the same on every Linux (`getconf CLK_TCK`). Their sum over user and
/// system time comes from the scheduler's exact count, so 10 ms is a rounding and not a sampling.
const TICKS_PER_SECOND: u64 = 100;

/// A connection to each of 10,000 pods takes as many files; the usual limit is 1,024.
const EXEC: &str = r#"ulimit -n "$(ulimit -Hn)" && exec "$0" "$@""#;

/// The path of an installed program; panics with the way to install it.
pub fn installed(program: &str, package: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is not installed; run `make setup` (or: apt-get install {package})"))
}

// === impl Process ===

impl Process {
    /// Starts a program whose output goes to `NAME.log` in the folder.
    pub fn start(name: &'static str, program: &Path, arguments: &[String], folder: &Path) -> Self {
        let log = folder.join(name).with_extension("log");
        let output = File::create(&log).expect("a log file");
        let mut command = Command::new(installed("setpriv", "util-linux"));
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", EXEC]).arg(program).args(arguments).stdin(Stdio::null());
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { name, child, log }
    }

    /// Everything it has said.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks until there is an answer.
    pub fn wait_for<T>(&mut self, what: &str, patience: Duration, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            let ended = self.child.try_wait().expect("a child");
            let is_late = started.elapsed() > patience;
            assert!(ended.is_none() && !is_late, "{}: {what} fails, {ended:?}:\n{}", self.name, self.output());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// CPU time of all its threads so far, the ended ones included; exact to 10 ms.
    pub fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // The name in parentheses may hold anything; the state after it is field 3, utime and stime are 14 and 15.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    pub fn memory(&self) -> Memory {
        let status = self.read("status");
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.trim_end_matches("kB").trim().parse::<f64>().expect("kB") * 1024.0
        };
        Memory { resident: bytes("VmRSS:"), peak: bytes("VmHWM:") }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))
            .unwrap_or_else(|error| panic!("{}: {error}:\n{}", self.name, self.output()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
