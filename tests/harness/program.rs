//! Real programs as children on loopback, with free ports, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A child process. Its lines are kept; it is killed when dropped.
pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Plimsoll itself, as it was built for these tests. Cargo does not tell an example.
pub const PLIMSOLL: &str = match option_env!("CARGO_BIN_EXE_plimsoll") {
    Some(program) => program,
    None => "",
};

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A command for an installed program; a missing one fails the test with the way to install it.
pub fn installed(program: &str, package: &str) -> Command {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    assert!(found, "{program} is not installed; run `make setup` (or: apt-get install {package})");
    Command::new(program)
}

// === impl Program ===

impl Program {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::default();
        collect(child.stdout.take().expect("piped"), &lines);
        collect(child.stderr.take().expect("piped"), &lines);
        Self { child, lines }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said on both streams.
    pub fn output(&self) -> String {
        self.lines.lock().expect("not poisoned").join("\n")
    }

    /// Waits for a line that contains all of the words.
    pub fn line(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let found = self
                .lines
                .lock()
                .expect("not poisoned")
                .iter()
                .find(|line| words.iter().all(|word| line.contains(word)))
                .cloned();
            if let Some(line) = found {
                return line;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no line with {words:?} in:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal}");
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for the end, at most `patience`.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(started.elapsed() < patience, "still running after {patience:?}:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn collect(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().expect("not poisoned").push(line);
        }
    });
}
