//! A folder that has the files of a catalogue, and may have others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::Files;

/// Where files are, or will be: the root of a checkout.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

/// How a folder is not what the catalogue says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("{0} is missing")]
    Missing(String),
    #[error("{path}:{line} differs")]
    Other { path: String, line: usize },
}

// === impl Folder ===

impl Folder {
    /// Writes each file whole or not at all: beside its place first.
    ///
    /// # Errors
    /// When a file cannot be written; those before it are.
    pub fn write(&self, files: &Files) -> io::Result<()> {
        files.0.iter().try_for_each(|(path, text)| write(&self.0.join(path), text))
    }

    /// What differs from these files, in order.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn differences(&self, files: &Files) -> io::Result<Vec<Difference>> {
        let mut found = Vec::new();
        for (path, text) in &files.0 {
            match fs::read_to_string(self.0.join(path)) {
                Ok(there) if there == *text => {}
                Ok(there) => found.push(Difference::Other { path: path.clone(), line: first_difference(&there, text) }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => found.push(Difference::Missing(path.clone())),
                Err(error) => return Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
            }
        }
        Ok(found)
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(named)?;
    let beside = path.with_added_extension("new");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(|error| {
        drop(fs::remove_file(&beside));
        named(error)
    })
}

/// Counted from 1.
fn first_difference(one: &str, other: &str) -> usize {
    1 + one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count()
}
