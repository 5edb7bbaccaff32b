//! Which redirects are followed: those to the same host, so that a target cannot send the scraper elsewhere.

use reqwest::Url;
use reqwest::redirect::Policy;

use crate::model::redacted;

/// Why a redirect is not followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "the target redirects to {0}; only redirects to the same host are followed, so name that URL if it is right"
    )]
    Elsewhere(String),
    #[error("the target redirects to {0}; from https to http no redirect is followed")]
    Downgrade(String),
    #[error("the target redirects more than {REDIRECTS_MAX} times, at last to {0}")]
    TooMany(String),
}

/// One for a trailing slash, one for TLS, and some to spare.
const REDIRECTS_MAX: usize = 5;

/// The policy for a client. A refused redirect is an error that wraps [`Refused`].
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| match refusal(attempt.previous(), attempt.url()) {
        Some(refused) => attempt.error(refused),
        None => attempt.follow(),
    })
}

fn refusal(previous: &[Url], next: &Url) -> Option<Refused> {
    let shown = || redacted(next.as_str()).into_owned();
    let last = previous.last()?;
    if next.host_str() != last.host_str() {
        Some(Refused::Elsewhere(shown()))
    } else if last.scheme() == "https" && next.scheme() != "https" {
        Some(Refused::Downgrade(shown()))
    } else if previous.len() > REDIRECTS_MAX {
        Some(Refused::TooMany(shown()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redirects_to_the_same_host_are_followed() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let check = |from: &str, to: &str, want: Option<Refused>| {
            assert_eq!(refusal(&[url(from)], &url(to)), want, "{from} {to}");
        };
        check("http://h:1/metrics", "http://h:1/metrics/", None);
        check("http://h:1/metrics", "https://H:2/metrics", None);
        check("http://h/m", "http://other/m?a=b", Some(Refused::Elsewhere("http://other/m?a=…".into())));
        check("https://h/m", "http://h/m", Some(Refused::Downgrade("http://h/m".into())));
        let many = vec![url("http://h/m"); REDIRECTS_MAX + 1];
        assert_eq!(refusal(&many, &url("http://h/n")), Some(Refused::TooMany("http://h/n".into())));
        assert_eq!(refusal(&many[1..], &url("http://h/n")), None);
    }
}
