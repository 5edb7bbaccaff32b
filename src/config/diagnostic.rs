//! One mistake in a configuration file and where it is.

use std::fmt;
use std::path::PathBuf;

use super::one_line;

/// `plimsoll.yaml:12:5: metrics[2].rate.windw: unknown key; did you mean "window"? …`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    pub file: PathBuf,
    /// Counted from 1; 0 when the mistake is the file itself.
    pub line: u64,
    /// Characters, counted from 1; 0 when the mistake is the file itself.
    pub column: u64,
    /// Path of the key, for example `metrics[2].rate.window`; empty for the file as a whole.
    pub key: String,
    /// What was expected and what was found.
    pub message: String,
}

/// Every mistake of a file, by line, none twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// A generated file can be wrong in ten thousand places, which `plimsoll check` tells.
const SUMMARY_MAX: usize = 10;

// === impl Diagnostic ===

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    /// The first ten on one line and how many more there are, for logs and the readiness detail.
    pub fn summary(&self) -> String {
        let first = self.0.iter().take(SUMMARY_MAX).map(one_line);
        let more = self.0.len().saturating_sub(SUMMARY_MAX);
        let more = (more > 0).then(|| format!("and {more} more"));
        first.chain(more).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}
