//! The files that some patterns name → the lists of targets in them, as they change.
//!
//! Blocks for as long as the disk takes; who calls has a thread for that. A file that is missing, unreadable or no list
//! is a failure, costs no other file anything, and keeps its last targets.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::slot::{Finding, Lists};
use super::source::LIST_SIZE_MAX;
use crate::config::{self, Omissions, StaticTarget};

/// Target files and what was last read of them.
pub(super) struct TargetFiles {
    patterns: Vec<PathBuf>,
    lists: Lists,
    seen: Option<Survey>,
}

/// What the patterns name now.
#[derive(Debug, Default, PartialEq)]
struct Survey {
    /// `None` for a file that is not there.
    files: BTreeMap<PathBuf, Option<Stamp>>,
    /// Patterns whose folder cannot be listed, with the reason.
    unlisted: Vec<(PathBuf, String)>,
}

/// Changes when a file is written, replaced, or gets other permissions.
#[derive(Debug, PartialEq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

// === impl TargetFiles ===

impl TargetFiles {
    /// `lists` is what is known of the files from before, by file.
    pub(super) fn new(patterns: Vec<PathBuf>, lists: Lists) -> Self {
        Self { patterns, lists, seen: None }
    }

    /// Reads the files when one of them changed, and in any case when `due`.
    pub(super) fn look(&mut self, due: bool) -> Option<Finding> {
        let now = Survey::of(&self.patterns);
        if !due && self.seen.as_ref() == Some(&now) {
            return None;
        }
        let finding = self.read(&now);
        self.seen = Some(now);
        Some(finding)
    }

    fn read(&mut self, survey: &Survey) -> Finding {
        let (mut omissions, mut failures) = (Omissions::default(), Omissions::default());
        let mut last = std::mem::take(&mut self.lists);
        for file in survey.files.keys() {
            let name = file.display();
            match read_list(file) {
                Ok((targets, wrong)) => {
                    omissions.extend(name, &wrong);
                    self.lists.insert(file.clone(), targets);
                }
                Err(error) => {
                    let kept = last.remove(file).map(|targets| (file.clone(), targets));
                    failures.push(format_args!("{name}: {error}; {}", self.keep(kept)));
                }
            }
        }
        for (pattern, error) in &survey.unlisted {
            let kept: Vec<_> = last.extract_if(.., |file, _| matches(pattern, file)).collect();
            failures.push(format_args!("{}: {error}; {}", pattern.display(), self.keep(kept)));
        }
        let lists = (failures.is_empty() || !self.lists.is_empty()).then(|| self.lists.clone());
        let failure = (!failures.is_empty()).then(|| failures.lines().join("; "));
        Finding { lists, omissions, failure }
    }

    /// Keeps lists from before, and says so.
    fn keep(&mut self, lists: impl IntoIterator<Item = (PathBuf, Vec<StaticTarget>)>) -> String {
        let mut kept = None;
        for (file, targets) in lists {
            *kept.get_or_insert(0) += targets.len();
            self.lists.insert(file, targets);
        }
        kept.map_or("its targets are not known".into(), |count| format!("its last {count} targets stay"))
    }
}

fn read_list(file: &Path) -> Result<(Vec<StaticTarget>, Omissions), String> {
    let text = config::read_text(file, LIST_SIZE_MAX as u64)?;
    config::target_groups(&text).map_err(|error| error.to_string())
}

// === impl Survey ===

impl Survey {
    fn of(patterns: &[PathBuf]) -> Self {
        let mut survey = Self::default();
        for pattern in patterns {
            match expand(pattern) {
                Ok(files) => survey.files.extend(files.into_iter().map(|file| {
                    let stamp = Stamp::of(&file);
                    (file, stamp)
                })),
                Err(error) => survey.unlisted.push((pattern.clone(), error)),
            }
        }
        survey
    }
}

/// Resolves `*` in the last component; a pattern without one is itself, be the file there or not.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    if star(pattern).is_none() {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let entries: Result<Vec<_>, _> =
        fs::read_dir(folder).and_then(Iterator::collect).map_err(|error| error.to_string());
    let entries: Vec<fs::DirEntry> = entries.map_err(|error| format!("the folder cannot be listed: {error}"))?;
    let files = entries.into_iter().map(|entry| folder.join(entry.file_name()));
    Ok(files.filter(|file| matches(pattern, file)).collect())
}

/// What stands before and after the `*` of a pattern.
fn star(pattern: &Path) -> Option<(String, String)> {
    let name = pattern.file_name()?.to_string_lossy();
    name.split_once('*').map(|(prefix, suffix)| (prefix.to_owned(), suffix.to_owned()))
}

fn matches(pattern: &Path, file: &Path) -> bool {
    let (Some((prefix, suffix)), Some(name)) = (star(pattern), file.file_name()) else { return pattern == file };
    let name = name.to_string_lossy();
    let fits = name.len() >= prefix.len() + suffix.len() && name.starts_with(&prefix) && name.ends_with(&suffix);
    fits && pattern.parent() == file.parent()
}

// === impl Stamp ===

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, address: &str) {
        let group = serde_json::json!([{"targets": [address], "labels": {"namespace": "n"}}]);
        fs::write(path, group.to_string()).expect("written");
    }

    /// The URLs of a look and whether it failed with these words.
    #[track_caller]
    fn check(files: &mut TargetFiles, urls: &[&str], failure: Option<&str>) {
        let finding = files.look(false).expect("something changed");
        let lists = finding.lists.unwrap_or_default();
        let found: Vec<_> = lists.values().flatten().map(|target| target.url.as_str()).collect();
        assert_eq!(found, urls);
        match (&finding.failure, failure) {
            (Some(found), Some(words)) => assert!(found.contains(words), "{found}"),
            (found, words) => assert_eq!((found.is_some(), words), (false, None), "{found:?}"),
        }
        assert!(files.look(false).is_none(), "nothing changed");
    }

    #[test]
    fn a_pattern_finds_the_files_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.json", "b.json", "c.yaml"] {
            fs::write(folder.path().join(name), "[]").expect("written");
        }
        let mut found = expand(&folder.path().join("*.json")).expect("a folder");
        found.sort();
        assert_eq!(found, [folder.path().join("a.json"), folder.path().join("b.json")]);
        assert_eq!(expand(Path::new("absent.json")), Ok(vec![PathBuf::from("absent.json")]));
        assert!(expand(Path::new("absent/*.json")).is_err());
    }

    #[test]
    fn a_file_that_is_missing_fails_alone_and_keeps_its_targets() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = ["a.json", "b.json"].map(|name| folder.path().join(name));
        write(&a, "a:1");
        let patterns = vec![a.clone(), b.clone()];
        let mut files = TargetFiles::new(patterns.clone(), Lists::new());
        check(&mut files, &["http://a:1/metrics"], Some("b.json: the file cannot be read"));
        write(&b, "b:1");
        check(&mut files, &["http://a:1/metrics", "http://b:1/metrics"], None);
        fs::remove_file(&a).expect("removed");
        check(&mut files, &["http://a:1/metrics", "http://b:1/metrics"], Some("its last 1 targets stay"));
        // The sources are started anew after a reload, with the lists from before.
        let mut files = TargetFiles::new(patterns.clone(), files.lists);
        check(&mut files, &["http://a:1/metrics", "http://b:1/metrics"], Some("its last 1 targets stay"));
        assert_eq!(TargetFiles::new(vec![a], Lists::new()).look(false).expect("the first look").lists, None);
    }

    #[test]
    fn a_folder_that_is_missing_keeps_the_targets_of_its_files() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("targets");
        fs::create_dir(&folder).expect("made");
        write(&folder.join("a.json"), "a:1");
        let mut files = TargetFiles::new(vec![folder.join("*.json")], Lists::new());
        check(&mut files, &["http://a:1/metrics"], None);
        fs::remove_dir_all(&folder).expect("removed");
        check(&mut files, &["http://a:1/metrics"], Some("the folder cannot be listed"));
        fs::create_dir(&folder).expect("made");
        check(&mut files, &[], None);
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("a.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        check(&mut TargetFiles::new(vec![pipe], Lists::new()), &[], Some("expected a regular file"));
    }
}
