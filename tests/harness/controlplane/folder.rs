//! A temporary folder that is gone after the process, also when the process is killed or the folder is in a static.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder with a child that removes it when this process has let go of the child's standard input.
pub struct Folder {
    path: PathBuf,
    remover: Child,
}

/// Waits for the end of the pipe. What is killed at that moment may write a little longer: some tries.
const REMOVE: &str = r#"cat >/dev/null; for try in 1 2 3 4 5 6 7 8 9 10; do
rm -rf --one-file-system "$1" 2>/dev/null && break; sleep 0.2; done"#;

// === impl Folder ===

impl Folder {
    pub fn new() -> Self {
        let path = tempfile::Builder::new().prefix("plimsoll-").tempdir().expect("a folder").keep();
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "sh"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
        let remover = command.stderr(Stdio::null()).process_group(0).spawn().expect("a shell");
        Self { path, remover }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        drop(self.remover.wait());
    }
}
