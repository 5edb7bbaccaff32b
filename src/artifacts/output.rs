//! A file or a folder that comes to be whole or not at all: it is made beside its place under a name that nobody has, and then
//! takes its place.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What is not whole yet; it is removed, unless it takes its place.
pub struct Beside(pub PathBuf);

/// Names that are tried: somebody may have some of them, from a run that was killed.
const NAMES_MAX: u32 = 1000;

// === impl Beside ===

impl Beside {
    /// Makes something new in a folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make<T>(folder: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(Self, T)> {
        let mut names = (0..NAMES_MAX).map(|number| format!(".plimsoll-{}-{number}.new", std::process::id()));
        loop {
            let Some(name) = names.next() else { return Err(io::ErrorKind::AlreadyExists.into()) };
            let path = folder.join(name);
            match make(&path) {
                Ok(made) => return Ok((Self(path), made)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // When it has taken its place, there is none of that name.
        drop(if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) });
    }
}

/// Writes a file whole or not at all, unless it is there already. Where a symbolic link is in its place, what that leads to is
/// written.
///
/// # Errors
/// When it cannot be written, or its place has what is no file; what was there is there still.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    written(path, bytes).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = there(path)?;
    if there.as_ref().is_some_and(|there| there.len() == bytes.len() as u64) && is_content(path, bytes)? {
        return Ok(());
    }
    let place = if path.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
    let folder = place.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    let (beside, mut file) = Beside::make(folder, |path| OpenOptions::new().write(true).create_new(true).open(path))?;
    if let Some(there) = there {
        file.set_permissions(there.permissions())?;
    }
    file.write_all(bytes)?;
    fs::rename(&beside.0, &place)
}

/// What is known of a file; nothing where there is none.
fn there(path: &Path) -> io::Result<Option<Metadata>> {
    let refused = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match fs::metadata(path) {
        Ok(there) if there.is_file() => Ok(Some(there)),
        Ok(there) if there.is_dir() => refused("it is a folder, expected a file"),
        Ok(_) => refused("it is a device or a pipe, expected a file"),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => refused("it is a symbolic link that leads nowhere"),
        Err(_) => Ok(None),
    }
}

/// Whether a file of that length has these bytes; one that cannot be read is written anew.
fn is_content(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut content = Vec::with_capacity(bytes.len());
    match File::open(path) {
        Ok(file) => file.take(bytes.len() as u64).read_to_end(&mut content).map(|_| content == bytes),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn files_of_others_beside_an_output_stay() {
        let root = tempfile::tempdir().expect("a folder");
        let own = format!(".plimsoll-{}-0.new", std::process::id());
        for name in ["a.json.new", &own] {
            fs::write(root.path().join(name), "mine").expect("written");
        }
        write(&root.path().join("a.json"), b"{}").expect("written");
        assert_eq!(names(root.path()), [own.as_str(), "a.json", "a.json.new"]);
        assert_eq!(fs::read(root.path().join("a.json.new")).expect("it is there"), b"mine");
    }

    #[test]
    fn a_link_stays_a_link() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("versions")).expect("a folder");
        fs::write(at("versions/1"), "1").expect("written");
        fs::set_permissions(at("versions/1"), PermissionsExt::from_mode(0o640)).expect("set");
        symlink("versions/1", at("current")).expect("a link");
        write(&at("current"), b"2").expect("written");
        assert!(at("current").is_symlink());
        assert_eq!(fs::read(at("versions/1")).expect("it is there"), b"2");
        assert_eq!(fs::metadata(at("versions/1")).expect("it is there").permissions().mode() & 0o777, 0o640);
        symlink("nowhere", at("lost")).expect("a link");
        let lost = write(&at("lost"), b"3").expect_err("refused").to_string();
        assert!(lost.ends_with("lost: it is a symbolic link that leads nowhere"), "{lost}");
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let full = write(Path::new("/dev/full"), b"{}").expect_err("refused").to_string();
        assert_eq!(full, "/dev/full: it is a device or a pipe, expected a file");
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("a.json/within")).expect("a folder");
        let folder = write(&root.path().join("a.json"), b"{}").expect_err("refused").to_string();
        assert!(folder.ends_with("a.json: it is a folder, expected a file"), "{folder}");
        assert_eq!(names(root.path()), ["a.json"], "nothing beside it remains");
    }

    #[test]
    fn what_cannot_take_its_place_is_removed() {
        let root = tempfile::tempdir().expect("a folder");
        let long = root.path().join("a".repeat(300));
        write(&long, b"{}").expect_err("a name that no file system takes");
        assert_eq!(names(root.path()), [""; 0]);
    }
}
