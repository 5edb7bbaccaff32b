//! Label selectors of the Kubernetes API. In: the text of `labelSelector` or `metricLabelSelector` in a request.
//! Out: a value that says which objects are meant.
//!
//! The grammar is that of apimachinery `labels.Parse`. One difference: control characters
//! are refused, where Go ends or skips at a NUL byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Which label sets are meant: those that meet every requirement. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Ordered by key; a key may occur several times.
    requirements: Vec<Requirement>,
}

/// Why a text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {at}")]
pub struct Error {
    /// Counted from 1; one behind the last character means the end.
    pub at: usize,
    message: String,
}

/// What stands in the place of an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no operator of a label selector")]
pub struct UnknownOperator(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, each once. Empty where the operator takes none, one where it takes one.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    Equals,
    /// Means the same as `Equals`, and is written back as it was.
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    GreaterThan(i64),
    LessThan(i64),
}

/// A label that every label set which is meant has, by which an index narrows the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need<'s> {
    pub(super) key: &'s str,
    /// The values that do, each once; `None` where it does not depend on the value alone.
    pub(super) values: Option<&'s [String]>,
}

/// A symbol or a word of a label selector; empty at the end.
#[derive(Clone, Copy)]
struct Token<'s> {
    text: &'s str,
    /// Offset in bytes.
    at: usize,
}

struct Tokens<'s> {
    text: &'s str,
    at: usize,
}

// === impl Selector ===

impl Selector {
    /// Reads `app=web,tier in (a,b),!canary`.
    ///
    /// # Errors
    /// The first thing that does not belong there, and where it stands.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut tokens = Tokens { text, at: 0 };
        let mut requirements = Vec::new();
        if tokens.peek().is_end() {
            return Ok(Self { requirements });
        }
        loop {
            requirements.push(tokens.requirement()?);
            let token = tokens.next();
            match token.text {
                "," => {}
                "" => break,
                _ => return Err(tokens.expected("\",\" or the end of the selector", token)),
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Whether every label set is meant.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether a label set is meant, of which `label` gives the value of a key.
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.accepts(label(&requirement.key)))
    }

    /// A label for each requirement that a set without it cannot meet: all but `!=`, `notin` and `!key`.
    pub(super) fn needs(&self) -> impl Iterator<Item = Need<'_>> {
        self.requirements.iter().filter_map(|Requirement { key, operator, values }| match operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => Some(Need { key, values: Some(values) }),
            Operator::Exists | Operator::GreaterThan(_) | Operator::LessThan(_) => Some(Need { key, values: None }),
            Operator::DoesNotExist | Operator::NotEquals | Operator::NotIn => None,
        })
    }

    /// The keys that decide, in order, each once.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let keys: BTreeSet<&str> = self.requirements.iter().map(|requirement| requirement.key.as_str()).collect();
        keys.into_iter()
    }

    /// The same as a `LabelSelector`, `None` where it has no words for it: `!=`, `<` and `>`.
    ///
    /// As in apimachinery `ParseToLabelSelector`, of several `=` on one key the last one stays.
    pub fn to_label_selector(&self) -> Option<LabelSelector> {
        let mut labels = BTreeMap::new();
        let mut expressions = Vec::new();
        for Requirement { key, operator, values } in &self.requirements {
            let operator = match operator {
                Operator::Equals | Operator::DoubleEquals => {
                    labels.extend(values.first().map(|value| (key.clone(), value.clone())));
                    continue;
                }
                Operator::In => "In",
                Operator::NotIn => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
                Operator::NotEquals | Operator::GreaterThan(_) | Operator::LessThan(_) => return None,
            };
            let values = (!values.is_empty()).then(|| values.clone());
            expressions.push(LabelSelectorRequirement { key: key.clone(), operator: operator.into(), values });
        }
        Some(LabelSelector {
            match_labels: (!labels.is_empty()).then_some(labels),
            match_expressions: (!expressions.is_empty()).then_some(expressions),
        })
    }

    /// The requirements as an authorizer takes them: `>` and `<` have no form there and are left out, which only widens
    /// what is asked for.
    pub fn to_requirements(&self) -> Vec<LabelSelectorRequirement> {
        let requirement = |Requirement { key, operator, values }: &Requirement| {
            let operator = match operator {
                Operator::Equals | Operator::DoubleEquals | Operator::In => "In",
                Operator::NotEquals | Operator::NotIn => "NotIn",
                Operator::Exists => "Exists",
                Operator::DoesNotExist => "DoesNotExist",
                Operator::GreaterThan(_) | Operator::LessThan(_) => return None,
            };
            let values = (!values.is_empty()).then(|| values.clone());
            Some(LabelSelectorRequirement { key: key.clone(), operator: operator.into(), values })
        };
        self.requirements.iter().filter_map(requirement).collect()
    }
}

/// The text that Go writes: ordered by key, without blanks that are not needed.
/// The text of a selector in the form that objects have, in the order in which Go writes it; empty for all.
///
/// # Errors
/// When an operator is none.
pub fn text(selector: &LabelSelector) -> Result<String, UnknownOperator> {
    let LabelSelector { match_labels, match_expressions } = selector;
    let mut terms: Vec<String> = match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    for expression in match_expressions.iter().flatten() {
        let (key, mut values) = (&expression.key, expression.values.clone().unwrap_or_default());
        values.sort();
        terms.push(match expression.operator.as_str() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            other => return Err(UnknownOperator(other.to_owned())),
        });
    }
    Ok(terms.join(","))
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

// === impl Error ===

impl Error {
    /// `at` counts bytes of `text`.
    pub(super) fn new(text: &str, at: usize, message: String) -> Self {
        Self { at: text[..at].chars().count() + 1, message }
    }
}

// === impl Requirement ===

impl Requirement {
    fn accepts(&self, value: Option<&str>) -> bool {
        let listed = value.is_some_and(|value| self.values.iter().any(|known| known == value));
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Equals | Operator::DoubleEquals | Operator::In => listed,
            Operator::NotEquals | Operator::NotIn => !listed,
            Operator::GreaterThan(bound) => number().is_some_and(|number| number > bound),
            Operator::LessThan(bound) => number().is_some_and(|number| number < bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let values = values.join(",");
        match operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::GreaterThan(_) => write!(f, "{key}>{values}"),
            Operator::LessThan(_) => write!(f, "{key}<{values}"),
        }
    }
}

// === impl Token ===

impl Token<'_> {
    fn is_end(self) -> bool {
        self.text.is_empty()
    }

    fn is_word(self) -> bool {
        self.text.bytes().next().is_some_and(|byte| !is_symbol(byte))
    }
}

// === impl Tokens ===

impl<'s> Tokens<'s> {
    fn peek(&self) -> Token<'s> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\r', '\n']);
        let length = match rest.as_bytes() {
            [b'=' | b'!', b'=', ..] => 2,
            [first, ..] if is_symbol(*first) => 1,
            bytes => bytes.iter().position(|byte| is_symbol(*byte) || is_blank(*byte)).unwrap_or(rest.len()),
        };
        Token { text: &rest[..length], at: self.text.len() - rest.len() }
    }

    fn next(&mut self) -> Token<'s> {
        let token = self.peek();
        self.at = token.at + token.text.len();
        token
    }

    fn expected(&self, expected: &str, token: Token<'_>) -> Error {
        let found = if token.is_end() { "the end".to_owned() } else { format!("{:?}", token.text) };
        Error::new(self.text, token.at, format!("expected {expected}, found {found}"))
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let first = self.next();
        let key = if first.text == "!" { self.next() } else { first };
        if !key.is_word() {
            return Err(self.expected("a label key", key));
        }
        check_key(key.text).map_err(|rule| self.expected(rule, key))?;
        let (operator, values) = match self.peek().text {
            _ if first.text == "!" => (Operator::DoesNotExist, vec![]),
            "" | "," => (Operator::Exists, vec![]),
            _ => self.test()?,
        };
        Ok(Requirement { key: key.text.into(), operator, values })
    }

    /// The operator behind a key, and its values.
    fn test(&mut self) -> Result<(Operator, Vec<String>), Error> {
        let token = self.next();
        match token.text {
            "in" => Ok((Operator::In, self.values()?)),
            "notin" => Ok((Operator::NotIn, self.values()?)),
            "=" => Ok((Operator::Equals, vec![self.value()?.text.into()])),
            "==" => Ok((Operator::DoubleEquals, vec![self.value()?.text.into()])),
            "!=" => Ok((Operator::NotEquals, vec![self.value()?.text.into()])),
            ">" => self.bound().map(|(bound, text)| (Operator::GreaterThan(bound), vec![text])),
            "<" => self.bound().map(|(bound, text)| (Operator::LessThan(bound), vec![text])),
            _ => Err(self.expected("in, notin, =, ==, !=, > or < after the key", token)),
        }
    }

    /// One value, which may be missing and is empty then.
    fn value(&mut self) -> Result<Token<'s>, Error> {
        let token = self.peek();
        match token.text {
            "" | "," => Ok(Token { text: "", at: token.at }),
            _ if token.is_word() => {
                check_value(token.text).map_err(|rule| self.expected(rule, token))?;
                Ok(self.next())
            }
            _ => Err(self.expected("a label value", token)),
        }
    }

    fn bound(&mut self) -> Result<(i64, String), Error> {
        let token = self.value()?;
        let bound = token.text.parse().map_err(|_| self.expected("an integer after > or <", token))?;
        Ok((bound, token.text.into()))
    }

    /// A list of values in parentheses, sorted and each once. Between commas, none is the empty value.
    fn values(&mut self) -> Result<Vec<String>, Error> {
        let open = self.next();
        if open.text != "(" {
            return Err(self.expected("\"(\" before the values", open));
        }
        let mut values = BTreeSet::new();
        loop {
            let value = if self.peek().text == ")" { "" } else { self.value()?.text };
            values.insert(value.to_owned());
            let token = self.next();
            match token.text {
                "," => {}
                ")" => return Ok(values.into_iter().collect()),
                _ => return Err(self.expected("\",\" or \")\" after the value", token)),
            }
        }
    }
}

/// `Err` tells what was expected. apimachinery `validation.IsQualifiedName`.
fn check_key(key: &str) -> Result<(), &'static str> {
    const PREFIX_MAX: usize = 253;
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        return Err("a label key with one \"/\" at most");
    }
    if prefix.is_some_and(|prefix| prefix.len() > PREFIX_MAX || !prefix.split('.').all(is_dns_label)) {
        return Err("a lower-case DNS subdomain of at most 253 characters before the \"/\" of the label key");
    }
    if !is_name(name) {
        return Err(
            "a label key of at most 63 letters, digits, \"-\", \"_\" and \".\" that starts and ends with a letter or digit",
        );
    }
    Ok(())
}

/// `Err` tells what was expected. apimachinery `validation.IsValidLabelValue`.
fn check_value(value: &str) -> Result<(), &'static str> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(
        "a label value of at most 63 letters, digits, \"-\", \"_\" and \".\" that starts and ends with a letter or digit",
    )
}

fn is_name(text: &str) -> bool {
    const NAME_MAX: usize = 63;
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= NAME_MAX
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_dns_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/api/label_selector_vectors.tsv"));

    /// Rows that Go accepts since it skips a NUL byte behind a word.
    const WITH_NUL: [&str; 2] = ["a=\0b", "a\0=b"];

    /// Reads a string as Go quotes it.
    fn unquote(text: &str) -> String {
        let text = text.replace("\\x", "\\u00").replace("\\v", "\\u000b").replace("\\a", "\\u0007");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_vector_of_go_is_met() {
        let mut with_nul = Vec::new();
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let cells: Vec<&str> = line.split('\t').collect();
            let input = unquote(cells[0]);
            match (Selector::parse(&input), cells[1].strip_prefix("OK ")) {
                (Ok(selector), Some(canonical)) => meets(&input, &selector, &unquote(canonical), &cells),
                (Err(_), None) => {}
                (Err(_), Some(_)) if input.contains('\0') => with_nul.push(input),
                (ours, _) => panic!("{line}: {ours:?}"),
            }
        }
        assert_eq!(with_nul, WITH_NUL);
    }

    fn meets(input: &str, selector: &Selector, canonical: &str, cells: &[&str]) {
        assert_eq!(selector.to_string(), canonical, "{input:?}");
        assert_eq!(format!("empty={}", selector.is_empty()), cells[2], "{input:?}");
        let (go, _) = cells[3].strip_prefix("LS=").expect("named").split_once("} ").unwrap_or(("", ""));
        let ours = selector.to_label_selector().map(|ours| serde_json::to_value(ours).expect("plain data"));
        let go: Option<Value> = (!go.is_empty()).then(|| serde_json::from_str(&format!("{go}}}")).expect("JSON"));
        assert_eq!(ours, go, "{input:?}");
        assert_eq!(Selector::parse(canonical).as_ref(), Ok(selector), "{input:?}");
    }

    /// Selector ¦ label sets that are meant ¦ label sets that are not; `-` is the set without labels.
    const CHOSEN: &str = r#"
        ¦ - a=1 ¦
        a=1 ¦ a=1 ¦ a=2 a= -
        a==1 ¦ a=1,b=2 ¦ a=2
        a= ¦ a= ¦ a=1 -
        a!=1 ¦ - a=2 a= ¦ a=1
        a!= ¦ - a=1 ¦ a=
        a in (1,2) ¦ a=1 a=2 ¦ a=3 -
        a in () ¦ a= ¦ a=1 -
        a notin (1,2) ¦ - a=3 b=1 ¦ a=1 a=2
        a ¦ a= a=1 ¦ b= -
        !a ¦ b= - ¦ a= a=1
        a>1 ¦ a=2 a=02 ¦ a=1 a=x a= -
        a<10 ¦ a=-9 a=9 ¦ a=10 -
        a=1,a=2 ¦ ¦ a=1 a=2
        a=1,b=2 ¦ b=2,a=1 ¦ a=1 b=2
        a=1,!b ¦ a=1 ¦ a=1,b=2
    "#;

    #[test]
    fn label_sets_are_chosen_as_in_kubernetes() {
        for row in CHOSEN.trim_matches('\n').trim_end().lines() {
            let [text, meant, others] = row.split('¦').collect::<Vec<_>>().try_into().expect("three cells");
            let selector = Selector::parse(text).expect(text);
            for (sets, chosen) in [(meant, true), (others, false)] {
                for set in sets.split_whitespace() {
                    let labels: BTreeMap<_, _> = set.split(',').filter_map(|pair| pair.split_once('=')).collect();
                    assert_eq!(selector.matches(|key| labels.get(key).copied()), chosen, "{selector} on {set}");
                }
            }
        }
    }

    /// Label selector ¦ why it is refused.
    const REFUSED: &str = r#"
        a=b, ¦ expected a label key, found the end at character 5
        a b ¦ expected in, notin, =, ==, !=, > or < after the key, found "b" at character 3
        a in (b c) ¦ expected "," or ")" after the value, found "c" at character 9
        a in b ¦ expected "(" before the values, found "b" at character 6
        a in (b ¦ expected "," or ")" after the value, found the end at character 8
        a=b=c ¦ expected "," or the end of the selector, found "=" at character 4
        a=1,,b ¦ expected a label key, found "," at character 5
        a>x ¦ expected an integer after > or <, found "x" at character 3
        a>9223372036854775808 ¦ expected an integer after > or <, found "9223372036854775808" at character 3
        A/b ¦ expected a lower-case DNS subdomain of at most 253 characters before the "/" of the label key, found "A/b" at character 1
        a/b/c ¦ expected a label key with one "/" at most, found "a/b/c" at character 1
        é=( ¦ expected a label key of at most 63 letters, digits, "-", "_" and "." that starts and ends with a letter or digit, found "é" at character 1
        a=1,é ¦ expected a label key of at most 63 letters, digits, "-", "_" and "." that starts and ends with a letter or digit, found "é" at character 5
        a=- ¦ expected a label value of at most 63 letters, digits, "-", "_" and "." that starts and ends with a letter or digit, found "-" at character 3
    "#;

    #[test]
    fn errors_say_what_was_expected_and_where() {
        for row in REFUSED.trim().lines() {
            let (text, message) = row.trim_start().split_once(" ¦ ").expect("two cells");
            assert_eq!(Selector::parse(text).expect_err(text).to_string(), message, "{text:?}");
        }
    }

    #[test]
    fn keys_are_named_once() {
        let selector = Selector::parse("b>1,a,b<5").expect("a good selector");
        assert_eq!(selector.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn empty_values_stand_between_commas_in_parentheses_only() {
        for (text, canonical) in
            [("a in (,)", "a in ()"), ("a in (b,,,c,)", "a in (,b,c)"), ("a in (b,,)", "a in (,b)")]
        {
            assert_eq!(Selector::parse(text).expect(text).to_string(), canonical);
        }
    }

    proptest! {
        #[test]
        fn canonical_text_is_canonical(text in "[ab]( ?(=|==|!=|>|<| in | notin )[(]?[a1,]{0,3}[)]?)?(,!?[ab])?") {
            if let Ok(selector) = Selector::parse(&text) {
                let again = Selector::parse(&selector.to_string());
                prop_assert_eq!(again, Ok(selector));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[ab1é=!(),<> \\\\\t\0]{0,16}|\\PC{0,8}") {
            let _ = Selector::parse(&text);
        }
    }
}
