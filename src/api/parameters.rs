//! The parameters of a query, read strictly: what cannot be read is refused, never left out.
//!
//! Go's `url.Query` drops a parameter it cannot read; a selector dropped so would choose everything.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::api::Status;
use crate::model::excerpt;

/// Names and values in the order of the query.
pub(super) struct Parameters(Vec<(String, String)>);

// === impl Parameters ===

impl Parameters {
    /// Reads `name=value` pairs between `&`, form-encoded.
    ///
    /// # Errors
    /// 400 for a `%` that begins no escape, and for what is not UTF-8.
    pub(super) fn parse(query: &str) -> Result<Self, Status> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let read = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        };
        pairs.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The first value of a parameter, as in Go's `url.Values.Get`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Result<String, Status> {
    unescape("query", &text.replace('+', " "))
}

/// Decodes `%` escapes in a piece of the `part` of a URL.
///
/// # Errors
/// 400 for a `%` that begins no escape, and for what is not UTF-8.
pub(super) fn unescape(part: &str, text: &str) -> Result<String, Status> {
    let wrong = |what| Status::bad_request(format!("the {part} {what}: {:?}", excerpt(&text)));
    let is_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(wrong("has an invalid escape"));
    }
    let decoded = percent_decode_str(text).decode_utf8().map(Cow::into_owned);
    decoded.map_err(|_| wrong("is not UTF-8 after percent-decoding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts() {
        let parameters = Parameters::parse("&a=1&a=2&b&c=x+y%2Cz%3D&=").unwrap_or_else(|status| panic!("{status:?}"));
        let get = |name| parameters.get(name);
        assert_eq!((get("a"), get("b"), get("c"), get("d")), (Some("1"), Some(""), Some("x y,z="), None));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for query in ["a=%", "a=%2", "a=%zz", "%ff=1", "a=b&c=%C3", "a=%é1"] {
            assert!(Parameters::parse(query).is_err_and(|status| status.code == 400), "{query}");
        }
    }
}
