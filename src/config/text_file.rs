//! A file that an operator or another program wrote → its text, within a bound.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Reads a whole file of at most `bytes_max` bytes. Blocks, but never on a pipe or a device: those are refused
/// before they are opened.
///
/// # Errors
/// A sentence when the file cannot be read, is no regular file, is too large or is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("the file cannot be read: expected a regular file, found a folder, pipe or device".into());
    }
    let too_large = || format!("the file has more than {bytes_max} bytes");
    if metadata.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("expected UTF-8, found other bytes from byte {} on", at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_bound_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert!(read_text(path, 10).is_err_and(|error| error.contains("expected a regular file")), "{path:?}");
        }
        let file = folder.path().join("file");
        for (text, outcome) in [
            ("0123456789", Ok("0123456789".to_owned())),
            ("0123456789a", Err("the file has more than 10 bytes".to_owned())),
        ] {
            fs::write(&file, text).expect("written");
            assert_eq!(read_text(&file, 10), outcome);
        }
    }
}
