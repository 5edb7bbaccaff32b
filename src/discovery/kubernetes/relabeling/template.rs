//! Texts with references to the groups of an expression, as Go's `regexp.Expand` reads them: `$1`, `${1}`, `${name}`,
//! `$$` for a dollar sign. A reference to a group that is not there is empty; a `$` before anything else is a `$`.

use regex::Captures;

/// A text whose references are found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Group(usize),
    Name(String),
}

// === impl Template ===

impl Template {
    pub(super) fn read(text: &str) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            parts.push(Part::Text(before.into()));
            let (part, after) = match after.strip_prefix('$') {
                Some(after) => (Part::Text("$".into()), after),
                None => reference(after).unwrap_or((Part::Text("$".into()), after)),
            };
            parts.push(part);
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Self(parts)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it begins with a text, whatever the groups are.
    pub(super) fn starts_with(&self, start: &str) -> bool {
        matches!(self.0.first(), Some(Part::Text(text)) if text.starts_with(start))
    }

    /// `None` when the text would be longer than `length_max` bytes.
    pub(super) fn expand(&self, captures: &Captures<'_>, length_max: usize) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            let piece = match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.get(*number).map_or("", |group| group.as_str()),
                Part::Name(name) => captures.name(name).map_or("", |group| group.as_str()),
            };
            if text.len() + piece.len() > length_max {
                return None;
            }
            text.push_str(piece);
        }
        Some(text)
    }
}

/// What stands behind a `$`, and the rest; `None` when that is no reference.
fn reference(text: &str) -> Option<(Part, &str)> {
    let (name, rest) = match text.strip_prefix('{') {
        Some(inner) => {
            let (name, rest) = split_name(inner);
            (name, rest.strip_prefix('}')?)
        }
        None => split_name(text),
    };
    if name.is_empty() {
        return None;
    }
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let number = name.parse().ok().filter(|_| is_number);
    Some((number.map_or_else(|| Part::Name(name.into()), Part::Group), rest))
}

fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn references_are_expanded_as_in_go() {
        let expression = Regex::new("^(.)(?P<name>.)$").expect("valid");
        let captures = expression.captures("ab").expect("a match");
        for (text, want) in [
            ("$1-$2-$0", "a-b-ab"),
            ("${1}x$name", "axb"),
            ("$1x", ""),
            ("$name_", ""),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$-", "a$-"),
            ("${1", "${1"),
            ("${a-b}", "${a-b}"),
            ("${}", "${}"),
            ("$01", ""),
            ("$99999999999999999999", ""),
            ("é$1é", "é"),
        ] {
            assert_eq!(Template::read(text).expand(&captures, 100).as_deref(), Some(want), "{text}");
        }
        assert_eq!(Template::read("$1$2").expand(&captures, 1), None);
    }
}
