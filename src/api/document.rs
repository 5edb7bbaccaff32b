//! A JSON document with a tag: sent whole once, and after that only when it is another one.

use std::hash::{DefaultHasher, Hasher};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Clones share the content.
#[derive(Clone)]
pub(super) struct Document {
    body: Bytes,
    /// Upper-case hexadecimal digits, as in the tags of the kube-apiserver.
    hash: String,
}

/// How a document may be kept by whoever asked for it.
#[derive(Clone, Copy)]
pub(super) enum Caching {
    /// To be asked for again every time, with its tag.
    Revalidated,
    /// As the kube-apiserver says it of aggregated discovery.
    Shared,
    /// Its address has its hash in it, so it is never another one: a year, which is for ever in HTTP (RFC 9111).
    Immutable,
}

// === impl Document ===

impl Document {
    pub(super) fn new(content: &Value) -> Self {
        let body = content.to_string();
        // Fixed keys: the same document has the same tag on every replica.
        let mut hasher = DefaultHasher::new();
        hasher.write(body.as_bytes());
        Self { hash: format!("{:016X}", hasher.finish()), body: body.into() }
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }

    /// The document, or 304 when the one that asks has it already.
    pub(super) fn answer(&self, asked: &HeaderMap, content_type: &'static str, caching: Caching) -> Response {
        let etag = format!("\"{}\"", self.hash);
        let is_known = is_known(asked, &etag);
        let headers =
            [(header::ETAG, etag.as_str()), (header::VARY, "Accept"), (header::CACHE_CONTROL, caching.value())];
        match is_known {
            true => (StatusCode::NOT_MODIFIED, headers).into_response(),
            false => (headers, [(header::CONTENT_TYPE, content_type)], self.body.clone()).into_response(),
        }
    }
}

/// Whether `If-None-Match` has the tag, among others or as a weak one.
fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = values.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

// === impl Caching ===

impl Caching {
    fn value(self) -> &'static str {
        match self {
            Self::Revalidated => "no-cache",
            Self::Shared => "public",
            Self::Immutable => "public, max-age=31536000, immutable",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_is_known_alone_in_a_list_and_weak() {
        let known = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, value.parse().expect("a header"));
            }
            is_known(&headers, "\"AB\"")
        };
        for values in [&["\"AB\""][..], &["W/\"AB\""], &["\"x\", \"AB\""], &["\"x\"", "\"AB\""], &["*"]] {
            assert!(known(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["AB"], &["\"ab\""], &["\"x\",\"ABC\""]] {
            assert!(!known(values), "{values:?}");
        }
    }

    #[test]
    fn equal_documents_have_equal_hashes_and_others_do_not() {
        let hash = |value: Value| Document::new(&value).hash().to_owned();
        assert_eq!(hash(json!({"a": 1})), hash(json!({"a": 1})));
        assert_ne!(hash(json!({"a": 1})), hash(json!({"a": 2})));
    }
}
