//! A URL as it may be shown.

use std::borrow::Cow;

/// The URL for logs, states, pages and messages: user information and the values of the query, either of which may be
/// a secret, become `…`; the fragment, which no server sees, is left out.
pub fn redacted(url: &str) -> Cow<'_, str> {
    let without_fragment = url.split('#').next().unwrap_or_default();
    let (address, query) = match without_fragment.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (without_fragment, None),
    };
    let address = without_user(address);
    let Some(query) = query else { return address };
    let parameters: Vec<_> = query.split('&').map(parameter).collect();
    format!("{address}?{}", parameters.join("&")).into()
}

fn without_user(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return address.into() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://…{}", &rest[user.len()..]).into(),
        None => address.into(),
    }
}

/// A parameter without `=` may be the secret itself.
fn parameter(text: &str) -> Cow<'_, str> {
    match text.split_once('=') {
        Some((_, "")) => text.into(),
        Some((name, _)) => format!("{name}=…").into(),
        None if text.is_empty() => text.into(),
        None => "…".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let check = |url: &str, want: &str| assert_eq!(redacted(url), want);
        check("http://10.0.0.1:8080/metrics", "http://10.0.0.1:8080/metrics");
        check("http://h/metrics?token=abc", "http://h/metrics?token=…");
        check("http://h/?module=&token=a=b&flag#part", "http://h/?module=&token=…&…");
        check("https://user:pass@h:1/m", "https://…@h:1/m");
        check("https://user:p@ss@h:1/m?x=1", "https://…@h:1/m?x=…");
        check("http://h/a@b", "http://h/a@b");
        check("http://h/m#part", "http://h/m");
    }
}
