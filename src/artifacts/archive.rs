//! A tar.gz that is the same whenever and wherever it is made of the same files, and the careful reading of one.
//!
//! Written: sorted paths, no times, owners or modes of the machine. Read: sizes, paths and kinds of entries are judged before
//! anything touches a disk; what is no plain file is refused.

use std::io::{Read, Write};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{Archive, EntryType, Header};

use crate::artifacts::contents::SIZE_MAX;
use crate::artifacts::{Contents, Refusal};

/// As git has files.
const MODE: u32 = 0o644;

/// "Unknown" of RFC 1952: libraries write what they run on.
const GZIP_SYSTEM: u8 = 255;

// === impl Contents ===

impl Contents {
    /// The archive, and the tar within it.
    pub fn archive(&self) -> Archived {
        let tar = self.tar();
        let mut gzip = GzBuilder::new().mtime(0).operating_system(GZIP_SYSTEM).write(Vec::new(), Compression::best());
        let written = gzip.write_all(&tar).and_then(|()| gzip.finish());
        Archived { bytes: written.expect("memory takes all"), tar }
    }

    fn tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.0 {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_mode(MODE);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            tar.append_data(&mut header, path, bytes.as_slice()).expect("paths of files fit, and memory takes all");
        }
        tar.into_inner().expect("memory takes all")
    }

    /// The files of an archive. `place` is what messages call it.
    ///
    /// # Errors
    /// When it is truncated or damaged, too large, or has anything but files within it.
    pub fn of_archive(place: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let tar = unzipped(bytes, SIZE_MAX).map_err(|what| Refusal::new(place, what))?;
        let damaged = |error: std::io::Error| Refusal::new(place, format!("the tar archive is damaged: {error}"));
        let mut contents = Self::default();
        for entry in Archive::new(tar.as_slice()).entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let path = entry.path_bytes().into_owned();
            let refused = |what: String| Refusal::new(format!("{place}: {}", String::from_utf8_lossy(&path)), what);
            match entry.header().entry_type() {
                EntryType::Regular => {}
                EntryType::Directory => continue,
                other => return Err(refused(format!("it is no file: {}", name(other)))),
            }
            let path = str::from_utf8(&path).map_err(|_| refused("its name is no UTF-8".to_owned()))?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            if bytes.len() as u64 != entry.size() {
                return Err(refused("the archive ends within it".to_owned()));
            }
            contents.add(path, bytes).map_err(refused)?;
        }
        Ok(contents)
    }
}

/// An archive as it is kept, and what it is of.
pub struct Archived {
    pub bytes: Vec<u8>,
    /// Uncompressed.
    pub tar: Vec<u8>,
}

/// All of it, so that the checksum at its end is compared, and nothing after it.
fn unzipped(bytes: &[u8], size_max: u64) -> Result<Vec<u8>, String> {
    let mut tar = Vec::new();
    let mut gzip = GzDecoder::new(bytes);
    match (&mut gzip).take(size_max + 1).read_to_end(&mut tar) {
        Ok(_) if tar.len() as u64 > size_max => Err(format!("it unpacks to more than {size_max} bytes")),
        Ok(_) if !gzip.get_ref().is_empty() => Err("something follows the end of the gzip archive".to_owned()),
        Ok(_) => Ok(tar),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err("the gzip archive is truncated".to_owned())
        }
        Err(error) => Err(format!("it is no gzip archive, or a damaged one: {error}")),
    }
}

fn name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "an entry of an unusual kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let mut contents = Contents::default();
        contents.add("b/c.json", b"{}".to_vec()).expect("a path");
        contents.add("a", vec![b'a'; 5000]).expect("a path");
        contents
    }

    fn refused(bytes: &[u8]) -> String {
        Contents::of_archive("x.tar.gz", bytes).map(|contents| contents.0.len()).expect_err("refused").to_string()
    }

    /// An archive with one entry, whose path is not checked.
    fn hostile(path: &str, kind: EntryType, link: Option<&str>) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        if let Some(link) = link {
            header.set_link_name(link).expect("a name");
        }
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, std::io::empty()).expect("memory takes all");
        zipped(&tar.into_inner().expect("memory takes all"))
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
        gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("memory takes all")
    }

    #[test]
    fn an_archive_is_the_same_each_time_and_reads_back() {
        let archive = contents().archive();
        assert_eq!(archive.bytes, contents().archive().bytes);
        assert_eq!(archive.bytes[4..10], [0, 0, 0, 0, 2, 255], "no time, best compression, no system");
        assert_eq!(Contents::of_archive("x.tar.gz", &archive.bytes), Ok(contents()));
    }

    #[test]
    fn a_truncated_or_damaged_archive_is_refused() {
        let mut bytes = contents().archive().bytes;
        for length in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(refused(&bytes[..length]), "x.tar.gz: the gzip archive is truncated", "at {length}");
        }
        assert!(refused(b"PK\x03\x04 is a zip and no gzip").contains("no gzip archive"));
        let longer = [bytes.as_slice(), b"x"].concat();
        assert_eq!(refused(&longer), "x.tar.gz: something follows the end of the gzip archive");
        let crc = bytes.len() - 6;
        bytes[crc] ^= 1;
        assert!(refused(&bytes).contains("damaged"), "{}", refused(&bytes));
    }

    #[test]
    fn a_tar_that_breaks_off_is_refused() {
        let tar = contents().tar();
        assert!(refused(&zipped(&tar[..700])).contains("x.tar.gz"), "{}", refused(&zipped(&tar[..700])));
    }

    #[test]
    fn nothing_leads_out_of_an_archive() {
        let leads = "the path leads out of the folder, or is no plain path";
        for path in ["../../etc/passwd", "/etc/passwd", "a/../../b"] {
            assert_eq!(refused(&hostile(path, EntryType::Regular, None)), format!("x.tar.gz: {path}: {leads}"));
        }
        let link = hostile("a", EntryType::Symlink, Some("/etc/passwd"));
        assert_eq!(refused(&link), "x.tar.gz: a: it is no file: a symbolic link");
        let link = hostile("a", EntryType::Link, Some("b"));
        assert_eq!(refused(&link), "x.tar.gz: a: it is no file: a hard link");
        assert_eq!(refused(&hostile("a", EntryType::Char, None)), "x.tar.gz: a: it is no file: a device");
    }

    #[test]
    fn an_archive_that_unpacks_to_more_than_memory_should_hold_is_refused() {
        let bomb = zipped(&[0; 100_000]);
        assert!(bomb.len() < 1000);
        assert_eq!(unzipped(&bomb, 99_999), Err("it unpacks to more than 99999 bytes".to_owned()));
        assert_eq!(unzipped(&bomb, 100_000).map(|tar| tar.len()), Ok(100_000));
    }
}
