//! A folder that has the files of a catalogue, and may have others: a checkout.
//!
//! Beside the files is a record of them, the manifest. With it a file that is made no more is told from one that somebody put
//! there: only what is exactly as it was generated is ever removed. Nothing is read, written or removed outside of the folder,
//! whatever the record says and wherever links in the folder lead.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::artifacts::{Digest, Manifest, Refusal, write};
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
        let places: Vec<_> = files.0.keys().map(|path| self.place(path)).collect::<Result<_, _>>()?;
        places.iter().zip(files.0.values()).try_for_each(|(place, text)| write(place, text.as_bytes()))
    }

    /// Where a file is.
    ///
    /// # Errors
    /// When a symbolic link on the way leads out of the folder, or nowhere.
    pub fn place(&self, path: &str) -> io::Result<PathBuf> {
        let parts = Path::new(path).ancestors().filter(|part| !part.as_os_str().is_empty());
        for link in parts.map(|part| self.0.join(part)).filter(|part| part.is_symlink()) {
            let root = fs::canonicalize(&self.0).map_err(|error| named(&self.0, &error))?;
            if !fs::canonicalize(&link).is_ok_and(|leads| leads.starts_with(root)) {
                let what = format!("the symbolic link {} leads out of the folder", link.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        }
        Ok(self.0.join(path))
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
            let file = self.place(path)?;
            fs::remove_file(&file).map_err(|error| named(&file, &error))?;
            let folders = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
            // The first that has something ends it.
            let _: bool = folders.map(|folder| fs::remove_dir(self.0.join(folder))).all(|removed| removed.is_ok());
        }
        Ok(())
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.place(path)?) {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
        }
    }
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
    fn nothing_happens_where_a_link_leads_out_of_the_folder() {
        let ((root, folder, record), outside) = (self::folder(), tempfile::tempdir().expect("a folder"));
        let runbook = "alert-rules/runbooks/QueueLong.md";
        let stale = folder.stale(&record, &without(runbook)).expect("it can be read");
        let runbooks = root.path().join("alert-rules/runbooks");
        fs::rename(&runbooks, outside.path().join("runbooks")).expect("moved");
        std::os::unix::fs::symlink(outside.path().join("runbooks"), &runbooks).expect("a link");
        let refused = |done: io::Result<()>| {
            let what = done.expect_err("refused").to_string();
            assert!(what.ends_with("alert-rules/runbooks leads out of the folder"), "{what}");
        };
        refused(folder.remove(&stale));
        refused(folder.stale(&record, &without(runbook)).map(drop));
        let mut other = samples::files();
        other.0.insert(runbook.to_owned(), "other".to_owned());
        refused(folder.write(&other));
        let kept = fs::read_to_string(outside.path().join("runbooks/QueueLong.md")).expect("it is there");
        assert_eq!(kept, samples::files().0[runbook]);
        // One within the folder is no way out.
        fs::remove_file(&runbooks).expect("removed");
        fs::create_dir(root.path().join("texts")).expect("a folder");
        std::os::unix::fs::symlink(root.path().join("texts"), &runbooks).expect("a link");
        folder.write(&other).expect("written");
        assert_eq!(fs::read_to_string(root.path().join("texts/QueueLong.md")).expect("it is there"), "other");
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
