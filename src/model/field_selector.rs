//! Field selectors of the Kubernetes API: the text of `fieldSelector` in a request → which objects are meant.
//!
//! The grammar is that of apimachinery `fields.ParseSelector`; only name and namespace can be asked for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldSelectorRequirement;

use crate::model::selector::Error;

/// Which objects are meant by name and namespace. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: Field,
    equal: bool,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Reads `metadata.name=web-0,metadata.namespace!=test`.
    ///
    /// # Errors
    /// A term without operator, another field than these two, or a bad escape in a value.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut terms = Vec::new();
        let mut start = 0;
        for end in term_ends(text) {
            if start < end {
                terms.push(Term::parse(text, start, end)?);
            }
            start = end + 1;
        }
        Ok(Self { terms })
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The only name that is meant; `None` where that is not said.
    pub fn exact_name(&self) -> Option<&str> {
        let mut exact = self.terms.iter().filter(|term| term.field == Field::Name && term.equal);
        exact.next().map(|term| term.value.as_str())
    }

    /// The terms as an authorizer takes them.
    pub fn to_requirements(&self) -> Vec<FieldSelectorRequirement> {
        let requirement = |term: &Term| {
            let key = match term.field {
                Field::Name => "metadata.name",
                Field::Namespace => "metadata.namespace",
            };
            let operator = if term.equal { "In" } else { "NotIn" };
            FieldSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: Some(vec![term.value.clone()]),
            }
        };
        self.terms.iter().map(requirement).collect()
    }

    /// Whether the object is meant. Objects without a namespace have the empty one.
    pub fn matches(&self, name: &str, namespace: &str) -> bool {
        self.terms.iter().all(|term| {
            let value = match term.field {
                Field::Name => name,
                Field::Namespace => namespace,
            };
            (value == term.value) == term.equal
        })
    }
}

// === impl Term ===

impl Term {
    fn parse(text: &str, start: usize, end: usize) -> Result<Self, Error> {
        let term = &text[start..end];
        let first = ["!=", "==", "="].iter().filter_map(|operator| Some((term.find(operator)?, *operator)));
        // Where two operators start at one place, the longer one is listed first and stays.
        let Some((at, operator)) = first.min_by_key(|(at, _)| *at) else {
            return Err(Error::new(
                text,
                end,
                format!("expected \"=\" or \"!=\" after {term:?}, found the end of the term"),
            ));
        };
        let field = match &term[..at] {
            "metadata.name" => Field::Name,
            "metadata.namespace" => Field::Namespace,
            other => {
                let message = format!("expected metadata.name or metadata.namespace, found {other:?}");
                return Err(Error::new(text, start, message));
            }
        };
        let value = unescape(text, start + at + operator.len(), end)?;
        Ok(Self { field, equal: operator != "!=", value })
    }
}

/// The ends of the terms of a field selector: commas that are not escaped, and the end.
fn term_ends(text: &str) -> Vec<usize> {
    let mut escaped = false;
    let mut ends = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        if byte == b',' && !escaped {
            ends.push(at);
        }
        escaped = byte == b'\\' && !escaped;
    }
    ends.push(text.len());
    ends
}

/// The value between two places of a field selector, with `\\`, `\,` and `\=` replaced.
fn unescape(text: &str, start: usize, end: usize) -> Result<String, Error> {
    let mut value = String::with_capacity(end - start);
    let mut chars = text[start..end].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | ',' | '='))) => value.push(escaped),
                _ => {
                    return Err(Error::new(text, start + at, "expected \\\\, \\, or \\= after a backslash".into()));
                }
            },
            '=' => {
                return Err(Error::new(text, start + at, "expected \"\\=\" in a value, found \"=\"".into()));
            }
            _ => value.push(char),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Field selector ¦ why it is refused.
    const REFUSED: &str = r#"
        metadata.name ¦ expected "=" or "!=" after "metadata.name", found the end of the term at character 14
        spec.x=1 ¦ expected metadata.name or metadata.namespace, found "spec.x" at character 1
        metadata.name=a, metadata.name=b ¦ expected metadata.name or metadata.namespace, found " metadata.name" at character 17
        metadata.name=a=b ¦ expected "\=" in a value, found "=" at character 16
        metadata.name===b ¦ expected "\=" in a value, found "=" at character 16
        metadata.name=\a ¦ expected \\, \, or \= after a backslash at character 15
        metadata.name=a\ ¦ expected \\, \, or \= after a backslash at character 16
    "#;

    #[test]
    fn errors_say_what_was_expected_and_where() {
        for row in REFUSED.trim().lines() {
            let (text, message) = row.trim_start().split_once(" ¦ ").expect("two cells");
            assert_eq!(FieldSelector::parse(text).expect_err(text).to_string(), message, "{text:?}");
        }
    }

    #[test]
    fn field_selectors_choose_by_name_and_namespace() {
        for (selector, chosen) in [
            ("", true),
            (",,", true),
            ("metadata.name=web", true),
            ("metadata.name==web,metadata.namespace=shop", true),
            ("metadata.name!=web", false),
            ("metadata.namespace!=test,", true),
            ("metadata.name=", false),
            ("metadata.name=we\\\\b", false),
        ] {
            let selector = FieldSelector::parse(selector).expect(selector);
            assert_eq!(selector.matches("web", "shop"), chosen, "{selector:?}");
        }
        let escaped = FieldSelector::parse("metadata.name=a\\,b\\=c\\\\").expect("good escapes");
        assert!(escaped.matches("a,b=c\\", "") && !escaped.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[ab1=!,\\\\\t\0]{0,16}|\\PC{0,8}") {
            let _ = (FieldSelector::parse(&text), FieldSelector::parse(&format!("metadata.name={text}")));
        }
    }
}
