//! Tokens, passwords, certificates and keys: small texts from files or from the configuration of a target. Files are
//! regular ones, and read without waiting for a writer.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use crate::config::SecretText;
use crate::storage::{Failure, FailureReason};

/// Files with secrets are small; a larger one is a mistake.
const SIZE_MAX: u64 = 64 << 10;

/// A token, without surrounding white space.
///
/// # Errors
/// [`FailureReason::Credentials`] for what cannot be had, is empty, or cannot stand in a header. The content is in no
/// message.
pub(super) async fn token(given: &SecretText) -> Result<String, Failure> {
    let token = password(given).await?;
    match token {
        token if token.is_empty() => Err(refused(name(given), "is empty; it must hold the token")),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => {
            Err(refused(name(given), "holds characters that cannot stand in a header; it must hold the token alone"))
        }
        token => Ok(token),
    }
}

/// A password or user name, without surrounding white space.
///
/// # Errors
/// As of [`token`]; a password may be empty.
pub(super) async fn password(given: &SecretText) -> Result<String, Failure> {
    let text = match given {
        SecretText::File(file) => Cow::Owned(read(file).await?),
        SecretText::Inline { secret, .. } => Cow::Borrowed(secret.expose()),
        SecretText::Missing(why) => return Err(missing(why)),
    };
    let text = text.trim();
    // RFC 7617, section 2: no control characters in user-id and password.
    if text.contains(char::is_control) {
        let why = "holds a line break or another control character within the secret";
        return Err(refused(name(given), why));
    }
    Ok(text.to_owned())
}

/// PEM.
///
/// # Errors
/// [`FailureReason::Credentials`] for what cannot be had.
pub(super) fn pem(given: &SecretText) -> Result<Vec<u8>, Failure> {
    let file = match given {
        SecretText::File(file) => file,
        SecretText::Inline { secret, .. } => return Ok(secret.expose().into()),
        SecretText::Missing(why) => return Err(missing(why)),
    };
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if !metadata.is_file() {
        return Err(not_regular(file));
    }
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

/// What messages call it.
pub(super) fn name(given: &SecretText) -> impl fmt::Display {
    match given {
        SecretText::File(file) => file.display().to_string(),
        SecretText::Inline { origin, .. } => origin.to_string(),
        SecretText::Missing(why) => why.to_string(),
    }
}

async fn read(file: &Path) -> Result<String, Failure> {
    let metadata = tokio::fs::metadata(file).await.map_err(|error| unreadable(file, &error))?;
    if !metadata.is_file() {
        return Err(not_regular(file));
    }
    if metadata.len() > SIZE_MAX {
        return Err(refused(file.display(), &format!("is larger than {SIZE_MAX} bytes")));
    }
    tokio::fs::read_to_string(file).await.map_err(|error| unreadable(file, &error))
}

/// Reading a pipe would wait for its writer, for ever.
fn not_regular(file: &Path) -> Failure {
    refused(file.display(), "is not a regular file")
}

fn missing(why: &str) -> Failure {
    Failure::new(FailureReason::Credentials, why.to_owned())
}

fn refused(name: impl fmt::Display, why: &str) -> Failure {
    Failure::new(FailureReason::Credentials, format!("{name} {why}"))
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
        let failure = token(&SecretText::File(file.path().into())).await.expect_err(content);
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
        assert_eq!(token(&SecretText::File(file.path().into())).await.expect("a token"), "abc.def=");
    }

    #[tokio::test]
    async fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
        for file in [pipe.as_path(), folder.path()] {
            let file = &SecretText::File(file.into());
            let failure = token(file).await.expect_err("no token");
            assert!(failure.message.ends_with("is not a regular file"), "{failure}");
            assert!(pem(file).is_err());
        }
    }

    #[tokio::test]
    async fn what_stands_inline_is_named_and_not_shown() {
        let inline = |text: &str| SecretText::Inline {
            origin: "key \"token\" of Secret agents/metrics".into(),
            secret: crate::config::Secret::new(text),
        };
        assert_eq!(token(&inline(" abc\n")).await.expect("a token"), "abc");
        let failure = token(&inline("hunter2\u{7f}x")).await.expect_err("a control character");
        assert!(failure.message.starts_with("key \"token\" of Secret agents/metrics holds"), "{failure}");
        assert!(!failure.message.contains("hunter2"), "{failure}");
        let missing = SecretText::Missing("there is no Secret agents/metrics".into());
        for failure in [token(&missing).await.expect_err("none"), pem(&missing).expect_err("none")] {
            assert_eq!(failure.reason, FailureReason::Credentials);
            assert_eq!(failure.message, "there is no Secret agents/metrics");
        }
    }
}
