//! Why a watch fails, in a closed list and in words.

use std::error::Error;
use std::fmt;

use kube::runtime::watcher;

use crate::config::one_line;

/// What kind of failure it is, and what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub cause: Cause,
    /// On one line, and short.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// Nobody answers: no connection, a time-out, a connection that broke.
    Silent,
    /// The server answers that it cannot at present, or not to this account: 401, 429, 5xx.
    Refused,
    /// Not allowed: 403.
    Forbidden,
    /// The server does not serve the kind: 404.
    Absent,
    /// The server has forgotten where the watch stood: 410. Listing again mends it.
    Expired,
    /// An answer that cannot be read.
    Garbled,
}

// === impl Failure ===

impl Failure {
    pub(super) fn silent(text: impl fmt::Display) -> Self {
        Self { cause: Cause::Silent, text: one_line(&text) }
    }

    /// Whether only a new list tells what is true.
    pub(super) fn needs_list(&self) -> bool {
        matches!(self.cause, Cause::Expired | Cause::Garbled | Cause::Absent)
    }
}

impl From<&watcher::Error> for Failure {
    fn from(error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => error.into(),
            watcher::Error::WatchError(status) => of_status(status),
            watcher::Error::NoResourceVersion => {
                Self { cause: Cause::Garbled, text: "an object or a list without metadata.resourceVersion".into() }
            }
        }
    }
}

impl From<&kube::Error> for Failure {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => of_status(status),
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self {
                cause: Cause::Garbled,
                text: one_line(&format_args!("the answer cannot be read: {}", root(error))),
            },
            other => Self::silent(root(other)),
        }
    }
}

fn of_status(status: &kube::core::Status) -> Failure {
    let cause = match status.code {
        403 => Cause::Forbidden,
        404 => Cause::Absent,
        410 => Cause::Expired,
        _ => Cause::Refused,
    };
    let said = if status.message.is_empty() { &status.reason } else { &status.message };
    Failure { cause, text: one_line(&format_args!("it answers {}: {said}", status.code)) }
}

/// The innermost error: what lies around it says less.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(inner) = root.source() {
        root = inner;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::Api(
            kube::core::Status::failure(message, "Reason").with_code(code).boxed(),
        ))
    }

    #[test]
    fn causes_follow_the_status_code() {
        for (code, cause) in [
            (401, Cause::Refused),
            (403, Cause::Forbidden),
            (404, Cause::Absent),
            (410, Cause::Expired),
            (429, Cause::Refused),
            (503, Cause::Refused),
        ] {
            let failure = Failure::from(&status(code, "a\nmessage"));
            assert_eq!((failure.cause, failure.text), (cause, format!("it answers {code}: a\\nmessage")));
        }
    }

    #[test]
    fn the_innermost_error_is_told() {
        let inner = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let error = watcher::Error::WatchFailed(kube::Error::ReadEvents(inner));
        assert_eq!(Failure::from(&error), Failure::silent("connection refused"));
    }

    #[test]
    fn a_message_that_is_no_json_is_garbled() {
        let error = serde_json::from_str::<u8>("<html>").expect_err("no number");
        let failure = Failure::from(&watcher::Error::InitialListFailed(kube::Error::SerdeError(error)));
        assert_eq!(failure.cause, Cause::Garbled);
        assert!(failure.text.starts_with("the answer cannot be read: expected value"), "{failure:?}");
    }
}
