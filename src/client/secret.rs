//! Files with secrets: small, regular, and read without waiting for a writer.

use std::path::Path;

use crate::storage::{Failure, FailureReason};

/// Files with secrets are small; a larger one is a mistake.
const SIZE_MAX: u64 = 64 << 10;

/// The token in a file, without surrounding white space.
///
/// # Errors
/// [`FailureReason::Credentials`] for a file that cannot be read, is empty, or holds what cannot stand in a header. The
/// content is in no message.
pub(super) async fn token(file: &Path) -> Result<String, Failure> {
    let token = password(file).await?;
    match token {
        token if token.is_empty() => Err(refused(file, "is empty; it must hold the token")),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => {
            Err(refused(file, "holds characters that cannot stand in a header; it must hold the token alone"))
        }
        token => Ok(token),
    }
}

/// The password in a file, without surrounding white space.
///
/// # Errors
/// As of [`token`]; a password may be empty.
pub(super) async fn password(file: &Path) -> Result<String, Failure> {
    let metadata = tokio::fs::metadata(file).await.map_err(|error| unreadable(file, &error))?;
    check(file, &metadata)?;
    let text = tokio::fs::read_to_string(file).await.map_err(|error| unreadable(file, &error))?;
    let text = text.trim();
    // RFC 7617, section 2: no control characters in user-id and password.
    if text.contains(char::is_control) {
        return Err(refused(file, "holds a line break or another control character within the secret"));
    }
    Ok(text.to_owned())
}

/// A PEM file.
///
/// # Errors
/// [`FailureReason::Credentials`] for a file that cannot be read.
pub(super) fn pem(file: &Path) -> Result<Vec<u8>, Failure> {
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if !metadata.is_file() {
        return Err(not_regular(file));
    }
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

fn check(file: &Path, metadata: &std::fs::Metadata) -> Result<(), Failure> {
    if !metadata.is_file() {
        return Err(not_regular(file));
    }
    if metadata.len() > SIZE_MAX {
        return Err(refused(file, &format!("is larger than {SIZE_MAX} bytes")));
    }
    Ok(())
}

/// Reading a pipe would wait for its writer, for ever.
fn not_regular(file: &Path) -> Failure {
    refused(file, "is not a regular file")
}

fn refused(file: &Path, why: &str) -> Failure {
    Failure::new(FailureReason::Credentials, format!("{} {why}", file.display()))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(FailureReason::Credentials, format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(content: &str, want: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        let failure = token(file.path()).await.expect_err(content);
        assert_eq!(failure.reason, FailureReason::Credentials);
        assert!(failure.message.contains(want), "{content:?}: {failure}");
    }

    #[tokio::test]
    async fn a_token_is_one_line_of_header_characters() {
        check("", "is empty").await;
        check(" \n", "is empty").await;
        check("one\ntwo\n", "holds a line break").await;
        check("grün", "cannot stand in a header").await;
        check(&"x".repeat(70_000), "larger than 65536 bytes").await;
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "  abc.def=\r\n").expect("written");
        assert_eq!(token(file.path()).await.expect("a token"), "abc.def=");
    }

    #[tokio::test]
    async fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
        for file in [pipe.as_path(), folder.path()] {
            let failure = token(file).await.expect_err("no token");
            assert!(failure.message.ends_with("is not a regular file"), "{failure}");
            assert!(pem(file).is_err());
        }
    }
}
