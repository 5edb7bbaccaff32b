//! The files of a volume: a folder that changes as a whole, by the swap of a symbolic link as a kubelet does it, so that
//! whoever reads sees the old files or the new ones.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The files of a folder; the next write replaces all of them.
pub struct Payload {
    folder: PathBuf,
    files: Option<Files>,
    /// Counts what was written; each has a folder of its own.
    generation: u32,
}

/// Contents by path within the volume.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What the link is called that is swapped.
const DATA: &str = "..data";

// === impl Payload ===

impl Payload {
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder, files: None, generation: 0 }
    }

    /// Writes the files where they are others than before.
    pub fn write(&mut self, files: Files) {
        if self.files.as_ref() == Some(&files) {
            return;
        }
        let former = self.generation_name();
        self.generation += 1;
        let name = self.generation_name();
        for (path, content) in &files {
            let file = self.folder.join(&name).join(path);
            std::fs::create_dir_all(file.parent().expect("inside of the folder")).expect("a folder");
            std::fs::write(file, content).expect("written");
        }
        std::fs::create_dir_all(self.folder.join(&name)).expect("a folder");
        let new = self.folder.join("..data_tmp");
        symlink(&name, &new).expect("a link");
        std::fs::rename(new, self.folder.join(DATA)).expect("in the same folder");
        self.link(&files);
        drop(std::fs::remove_dir_all(self.folder.join(former)));
        self.files = Some(files);
    }

    /// The names that are seen are links into what is swapped.
    fn link(&self, files: &Files) {
        let top = |files: &Files| files.keys().filter_map(|path| path.split('/').next().map(str::to_owned)).collect();
        let (before, now): (Vec<String>, Vec<String>) = (self.files.as_ref().map(top).unwrap_or_default(), top(files));
        for name in before.iter().filter(|name| !now.contains(name)) {
            drop(std::fs::remove_file(self.folder.join(name)));
        }
        for name in now.iter().filter(|name| !self.folder.join(name).is_symlink()) {
            symlink(Path::new(DATA).join(name), self.folder.join(name)).expect("a link");
        }
    }

    fn generation_name(&self) -> String {
        format!("..generation_{}", self.generation)
    }
}
