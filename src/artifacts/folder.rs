//! A folder that has the files of a catalogue, and may have others: a checkout.
//!
//! Beside the files is a record of them, the manifest. With it a file that is made no more is told from one that somebody put
//! there: only what is exactly as it was generated is ever removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::artifacts::{Digest, Manifest, Refusal};
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
    /// It was generated once.
    #[error("{0} is made no more")]
    Stale(String),
    /// It was generated once, and was changed since.
    #[error("{0} is made no more, but was changed by hand; remove it, or move it to a place of its own")]
    Abandoned(String),
}

/// Where the record is: with what loads the files.
pub const RECORD: &str = "deploy/monitoring/artifacts.json";

// === impl Folder ===

impl Folder {
    /// Writes each file whole or not at all: beside its place first.
    ///
    /// # Errors
    /// When a file cannot be written; those before it are.
    pub fn write(&self, files: &Files) -> io::Result<()> {
        files.0.iter().try_for_each(|(path, text)| write(&self.0.join(path), text.as_bytes()))
    }

    /// What differs from these files, in order.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn differences(&self, files: &Files) -> io::Result<Vec<Difference>> {
        let mut found = Vec::new();
        for (path, text) in &files.0 {
            match self.read(path)? {
                Some(there) if there == text.as_bytes() => {}
                Some(there) => {
                    let line = first_difference(&String::from_utf8_lossy(&there), text);
                    found.push(Difference::Other { path: path.clone(), line });
                }
                None => found.push(Difference::Missing(path.clone())),
            }
        }
        Ok(found)
    }

    /// What was generated last time; nothing where nothing was.
    ///
    /// # Errors
    /// When there is a record that cannot be read.
    pub fn record(&self) -> Result<Option<Manifest>, Refusal> {
        let Some(text) = self.read(RECORD).map_err(|error| Refusal::new(self.0.display(), error))? else {
            return Ok(None);
        };
        Manifest::read(RECORD, &text).map(Some).map_err(|Refusal { place, what }| {
            let hint = "take that of the last commit, or that of either side of a merge, and generate again";
            Refusal::new(place, format!("{what}; {hint}"))
        })
    }

    /// What was generated once and is not one of these files.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn stale(&self, record: &Manifest, files: &Files) -> io::Result<Vec<Difference>> {
        let mut found = Vec::new();
        for file in record.files.iter().filter(|file| !files.0.contains_key(&file.name)) {
            match self.read(&file.name)? {
                Some(there) if Digest::of(&there) == file.sha256 => found.push(Difference::Stale(file.name.clone())),
                Some(_) => found.push(Difference::Abandoned(file.name.clone())),
                None => {}
            }
        }
        Ok(found)
    }

    /// Removes files, and folders that are empty without them.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn remove(&self, stale: &[Difference]) -> io::Result<()> {
        for difference in stale {
            let Difference::Stale(path) = difference else { continue };
            let file = self.0.join(path);
            fs::remove_file(&file).map_err(|error| named(&file, &error))?;
            let folders = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
            // The first that has something ends it.
            let _: bool = folders.map(|folder| fs::remove_dir(self.0.join(folder))).all(|removed| removed.is_ok());
        }
        Ok(())
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(path)) {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
        }
    }
}

/// Writes a file whole or not at all, unless it is there already.
///
/// # Errors
/// When it cannot be written; what was there is there still.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(|error| named(path, &error))?;
    let beside = path.with_added_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(|error| {
        drop(fs::remove_file(&beside));
        named(path, &error)
    })
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Counted from 1.
fn first_difference(one: &str, other: &str) -> usize {
    1 + one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::samples;

    fn folder() -> (tempfile::TempDir, Folder, Manifest) {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder(root.path().to_owned());
        folder.write(&samples::files()).expect("written");
        let record = Manifest::of(&samples::catalog(), &samples::files(), &samples::version(), None);
        (root, folder, record.expect("a manifest"))
    }

    fn without(path: &str) -> Files {
        let mut files = samples::files();
        files.0.remove(path).expect("a file of the sample");
        files
    }

    #[test]
    fn a_file_that_is_made_no_more_goes_with_its_folder() {
        let (root, folder, record) = folder();
        let runbook = "alert-rules/runbooks/QueueLong.md";
        let stale = folder.stale(&record, &without(runbook)).expect("it can be read");
        assert_eq!(stale, [Difference::Stale(runbook.to_owned())]);
        folder.remove(&stale).expect("removed");
        assert!(!root.path().join("alert-rules/runbooks").exists() && root.path().join("alert-rules").exists());
        assert_eq!(folder.differences(&without(runbook)).expect("it can be read"), []);
    }

    #[test]
    fn what_somebody_wrote_stays() {
        let (root, folder, record) = folder();
        let (changed, own) = ("dashboards/queues.json", "dashboards/mine.json");
        [changed, own].iter().for_each(|path| fs::write(root.path().join(path), "{}").expect("written"));
        let stale = folder.stale(&record, &without(changed)).expect("it can be read");
        assert_eq!(stale, [Difference::Abandoned(changed.to_owned())]);
        folder.remove(&stale).expect("nothing to remove");
        assert!([changed, own].iter().all(|path| root.path().join(path).exists()));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("a.json/within")).expect("a folder");
        let error = write(&root.path().join("a.json"), b"{}").expect_err("there is a folder");
        assert!(error.to_string().contains("a.json"), "{error}");
        assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_not_thrown_away() {
        let (root, folder, record) = folder();
        assert_eq!(folder.record(), Ok(None));
        write(&root.path().join(RECORD), record.text().as_bytes()).expect("written");
        assert_eq!(folder.record(), Ok(Some(record)));
        fs::write(root.path().join(RECORD), "<<<<<<< HEAD\n").expect("written");
        let refused = folder.record().expect_err("no JSON").to_string();
        assert!(refused.contains("that of either side of a merge"), "{refused}");
    }
}
