//! Files of a bundle by path, and how they get into a folder and out of one.
//!
//! Paths are relative, have `/`, and lead nowhere else: no `..`, no root, no link. All sizes are bounded. A folder comes to be
//! whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::artifacts::output::Beside;
use crate::artifacts::refusal::is_printable;
use crate::artifacts::{Digest, Refusal};

/// Bytes by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<String, Vec<u8>>);

/// All artifacts are below 2 MB; this bounds what a hostile archive or a wrong folder takes of memory.
pub const SIZE_MAX: u64 = 64 << 20;

/// Likewise; ours are about a hundred.
pub const FILES_MAX: usize = 10_000;

// === impl Contents ===

impl Contents {
    /// # Errors
    /// When the path leads out of the folder, or there is one of that path, or one is a folder of the other.
    pub fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), String> {
        check(path)?;
        if self.0.len() == FILES_MAX {
            return Err(format!("there are more than {FILES_MAX} files"));
        }
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        let below = format!("{path}/");
        let is_folder = self.0.range(below.clone()..).next().is_some_and(|(other, _)| other.starts_with(&below));
        if is_folder || folders.into_iter().any(|folder| self.0.contains_key(folder)) {
            return Err("it is a file and a folder at once".to_owned());
        }
        match self.0.insert(path.to_owned(), bytes) {
            None => Ok(()),
            Some(_) => Err("it is there twice".to_owned()),
        }
    }

    /// All files below a folder.
    ///
    /// # Errors
    /// When one cannot be read, or is a link or a device.
    pub fn of_folder(root: &Path) -> Result<Self, Refusal> {
        let (mut contents, mut folders) = (Self::default(), vec![PathBuf::new()]);
        let mut left = SIZE_MAX;
        while let Some(folder) = folders.pop() {
            let place = root.join(&folder);
            for entry in fs::read_dir(&place).map_err(Refusal::at(place.display()))? {
                let entry = entry.map_err(Refusal::at(place.display()))?;
                let (inside, place) = (folder.join(entry.file_name()), entry.path());
                let kind = entry.file_type().map_err(Refusal::at(place.display()))?;
                if kind.is_dir() {
                    folders.push(inside);
                    continue;
                }
                if !kind.is_file() {
                    return Err(Refusal::new(place.display(), "it is neither a file nor a folder"));
                }
                let bytes = read_bounded(&place, left)?;
                left -= bytes.len() as u64;
                let path = inside.to_str().ok_or_else(|| Refusal::new(place.display(), "its name is no UTF-8"))?;
                contents.add(path, bytes).map_err(|what| Refusal::new(place.display(), what))?;
            }
        }
        Ok(contents)
    }

    /// Puts the files into a folder that is not there yet, or is empty: beside it first, then in its place.
    ///
    /// # Errors
    /// When the folder has something, or cannot be written. Nothing remains of what was written.
    pub fn unpack(&self, folder: &Path) -> Result<(), Refusal> {
        check_free(folder)?;
        let (Some(parent), Some(_)) = (folder.parent(), folder.file_name()) else {
            return Err(Refusal::new(folder.display(), "it has no name that a new folder could take"));
        };
        let made = fs::create_dir_all(parent).and_then(|()| Beside::make(parent, |path| fs::create_dir(path)));
        let (beside, ()) = made.map_err(Refusal::at(folder.display()))?;
        for (path, bytes) in &self.0 {
            let file = beside.0.join(path);
            let parent = file.parent().expect("it is within a folder");
            let written = fs::create_dir_all(parent).and_then(|()| fs::write(&file, bytes));
            written.map_err(Refusal::at(file.display()))?;
        }
        // An empty folder is replaced; one in which something came to be meanwhile is not.
        fs::rename(&beside.0, folder).map_err(Refusal::at(folder.display()))
    }

    /// As `sha256sum --check` reads it.
    pub fn sums(&self) -> String {
        self.0.iter().map(|(path, bytes)| format!("{}  {path}\n", Digest::of(bytes).hex())).collect()
    }
}

/// Whether a folder may be unpacked to.
///
/// # Errors
/// When it has something, or is none.
pub fn check_free(folder: &Path) -> Result<(), Refusal> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Refusal::new(folder.display(), error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                Err(Refusal::new(folder.display(), "the folder is not empty; give one that is, or is not there"))
            }
        },
    }
}

/// # Errors
/// When the file cannot be read, or is larger than the limit.
pub fn read_bounded(path: &Path, size_max: u64) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(Refusal::at(path.display()))?;
    file.take(size_max + 1).read_to_end(&mut bytes).map_err(Refusal::at(path.display()))?;
    if bytes.len() as u64 > size_max {
        return Err(Refusal::new(path.display(), format!("there is more than the {SIZE_MAX} bytes that are read")));
    }
    Ok(bytes)
}

/// Whether a path stays where it is put, on every machine.
///
/// # Errors
/// When it leads elsewhere, is of no plain characters, or hides.
pub fn check(path: &str) -> Result<(), String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_odd = path.split('/').any(str::is_empty) || path.contains(['\\', ':']) || !is_printable(path);
    if is_odd || !Path::new(path).components().all(is_plain) || path.split('/').any(|part| part == ".") {
        return Err("the path leads out of the folder, or is no plain path".to_owned());
    }
    // What git, editors and shells read by themselves: `.git/hooks`, `.envrc`.
    if path.split('/').any(|part| part.starts_with('.')) {
        return Err("the path has a name that begins with a dot, which no artifact has".to_owned());
    }
    Ok(())
}

/// Whether paths are different files where capitals do not matter, too.
///
/// # Errors
/// The two that are one file there.
pub fn check_twins<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), (&'a str, &'a str)> {
    let mut known = BTreeMap::new();
    for path in paths {
        if let Some(other) = known.insert(path.to_lowercase(), path) {
            return Err((other, path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(files: &[(&str, &str)]) -> Contents {
        let mut contents = Contents::default();
        files.iter().for_each(|(path, text)| contents.add(path, text.as_bytes().to_vec()).expect("a path"));
        contents
    }

    #[test]
    fn paths_stay_within() {
        for bad in ["", "/etc/passwd", "../a", "a/../../b", "a/./b", "a//b", "a/", "a\\b", "a\nb", ".", "C:a"] {
            assert!(Contents::default().add(bad, Vec::new()).is_err(), "{bad:?}");
        }
        for bad in [".git/hooks/post-checkout", ".a", "a/.b", "a/..b", "a\u{1b}[2Jb", "a\u{202e}b"] {
            assert!(Contents::default().add(bad, Vec::new()).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.json", "a/b..c", "ä b"] {
            assert!(Contents::default().add(good, Vec::new()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn paths_are_different_where_capitals_do_not_matter() {
        assert_eq!(check_twins(["a/b", "a/c"].into_iter()), Ok(()));
        assert_eq!(check_twins(["A/b", "a/B", "a/c"].into_iter()), Err(("A/b", "a/B")));
    }

    #[test]
    fn a_path_is_one_thing() {
        let add = |path| contents(&[("a/b", "")]).add(path, Vec::new()).expect_err(path);
        assert_eq!(add("a/b"), "it is there twice");
        assert_eq!(add("a"), "it is a file and a folder at once");
        assert_eq!(add("a/b/c"), "it is a file and a folder at once");
    }

    #[test]
    fn what_was_unpacked_is_what_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, files) = (root.path().join("new"), contents(&[("a/b", "1"), ("c", "2")]));
        files.unpack(&folder).expect("unpacked");
        assert_eq!(Contents::of_folder(&folder), Ok(files.clone()));
        let what = files.unpack(&folder).expect_err("it is there").what;
        assert_eq!(what, "the folder is not empty; give one that is, or is not there");
        assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1, "nothing beside it remains");
    }

    #[test]
    fn links_in_a_folder_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("link")).expect("a link");
        let what = Contents::of_folder(root.path()).expect_err("refused").what;
        assert_eq!(what, "it is neither a file nor a folder");
    }

    #[test]
    fn a_folder_that_cannot_be_whole_does_not_come_to_be() {
        let root = tempfile::tempdir().expect("a folder");
        let long = "a".repeat(300);
        let files = contents(&[("a", "1"), (&long, "2")]);
        files.unpack(&root.path().join("new")).expect_err("a name that no file system takes");
        assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 0);
    }
}
