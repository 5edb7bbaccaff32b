//! YAML text → a tree in which every key and value knows its line and column.
//!
//! Refused here, with their place: duplicate keys, several documents, deep nesting, aliases that unfold without end.
//! What the tree means is decided elsewhere.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Options, Spanned};

/// Levels of nesting; the file needs seven.
const DEPTH_MAX: usize = 32;
/// Nodes after aliases are unfolded; ten thousand targets with ten keys each fit.
const NODES_MAX: usize = 400_000;

/// Values that aliases may stand for, all together.
const REPLAYS_MAX: usize = 100_000;

/// Line and column, both counted from 1; a column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// Where something stands, and where it is written when an alias or a merge brought it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub used: Position,
    pub written: Position,
}

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub place: Place,
}

/// A text that is no single well-formed YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub position: Position,
    pub message: String,
}

struct ValueVisitor;

/// Reads one YAML document. A mapping may hold a key twice; whoever walks the tree reports that.
///
/// # Errors
/// The first place at which the text stops being one YAML document within bounds.
pub fn read(text: &str) -> Result<Node, Malformed> {
    let strict = serde_saphyr::from_str_with_options(text, options(DuplicateKeyPolicy::Error));
    strict.or_else(|error| match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => {
            // "Last wins" hands every pair to the visitor; integer keys aside, for which the first error has to do.
            let pairs: Result<Node, Error> =
                serde_saphyr::from_str_with_options(text, options(DuplicateKeyPolicy::LastWins));
            pairs.ok().filter(Node::repeats_a_key).ok_or_else(|| Malformed::of(&error))
        }
        _ => Err(Malformed::of(&error)),
    })
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, max_nodes: NODES_MAX, max_documents: 2 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYS_MAX },
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

// === impl Node ===

impl Node {
    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, node)| node)
    }

    /// The key and value of a mapping.
    pub fn entry(&self, key: &str) -> Option<&(Key, Self)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(found, _)| found.name == key),
            _ => None,
        }
    }

    /// Whether a mapping in the tree holds a key twice.
    fn repeats_a_key(&self) -> bool {
        match &self.value {
            Value::Map(entries) => {
                let mut names = BTreeSet::new();
                entries.iter().any(|(key, node)| !names.insert(&key.name) || node.repeats_a_key())
            }
            Value::List(items) => items.iter().any(Self::repeats_a_key),
            _ => false,
        }
    }

    /// The item of a list.
    pub fn item(&self, index: usize) -> Option<&Self> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let place = Place { used: spanned.referenced.into(), written: spanned.defined.into() };
        Ok(Self { value: spanned.value, place })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        let place = Place { used: spanned.referenced.into(), written: spanned.defined.into() };
        Ok(Self { name: spanned.value, place })
    }
}

impl From<serde_saphyr::Location> for Position {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

// === impl Value ===

/// As a message names it: `text "abc"`, `a list`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "the boolean {value}"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(text) => write!(f, "text {text:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) => f.write_str("a mapping"),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

// === impl Malformed ===

impl Malformed {
    fn of(error: &Error) -> Self {
        let location = error.location().filter(|location| location.line() > 0);
        let position = location.map_or(Position { line: 1, column: 1 }, Position::from);
        Self { position, message: message(error.without_snippet()) }
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key {key:?} occurs twice in one mapping"),
        Error::DuplicateMappingKey { key: None, .. } => "a key occurs twice in one mapping".into(),
        Error::MultipleDocuments { .. } => "expected one YAML document, found another one after ---".into(),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            format!("the aliases of the file unfold to more than {REPLAYS_MAX} values")
        }
        Error::AliasError { error, .. } => message(error.without_snippet()),
        Error::Budget { breach, .. } => budget_message(breach),
        Error::UnknownAnchor { .. } => "the alias names an anchor that does not stand before it".into(),
        Error::UnsupportedTag { tag, .. } => format!("the YAML tag {tag} has no meaning here"),
        Error::Message { msg, .. } => msg.clone(),
        Error::ExternalMessage { msg, .. } => format!("the file is not YAML: {msg}"),
        other => format!("the file is not YAML: {}", without_place(&other.to_string())),
    }
}

fn budget_message(breach: &serde_saphyr::budget::BudgetBreach) -> String {
    use serde_saphyr::budget::BudgetBreach;
    match breach {
        BudgetBreach::Depth { .. } => format!("values are nested deeper than {DEPTH_MAX} levels"),
        BudgetBreach::Documents { .. } => "expected one YAML document, found several".into(),
        BudgetBreach::AliasAnchorRatio { .. } => "the file has far more aliases than anchors".into(),
        _ => format!("the file holds more than {NODES_MAX} values or is too large in another way ({breach:?})"),
    }
}

/// The first line of the library's text, without the place that stands in front of our message anyway.
fn without_place(text: &str) -> &str {
    let line = text.lines().next().unwrap_or("");
    line.split(" at line ").next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: u64, column: u64, part: &str) {
        let malformed = read(text).expect_err(text);
        assert!(malformed.message.contains(part), "{text}: {malformed:?}");
        assert_eq!(malformed.position, Position { line, column }, "{text}: {malformed:?}");
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let node = read("a: 1\nb:\n  - c: [x, true]\n").expect("YAML");
        let (key, value) = node.get("b").and_then(|list| list.item(0)?.entry("c")).expect("c");
        assert_eq!(key.place.used, Position { line: 3, column: 5 });
        assert_eq!(value.item(1).map(|node| node.place.used), Some(Position { line: 3, column: 12 }));
        assert_eq!(value.item(1).map(|node| &node.value), Some(&Value::Bool(true)));
    }

    #[test]
    fn repeated_keys_stay_in_the_tree() {
        let Value::Map(entries) = read("a: 1\na: 2\nb: {c: 3, c: 4}\n").expect("YAML").value else {
            panic!("a mapping")
        };
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[1].0.place.used, Position { line: 2, column: 1 });
        check("1: a\n1: b\n", 2, 1, "occurs twice");
    }

    #[test]
    fn hostile_documents_are_refused_with_their_place() {
        check("a: 1\n---\nb: 2\n", 3, 1, "one YAML document");
        check(&("[".repeat(200) + &"]".repeat(200)), 1, 33, "deeper than 32");
        check("a: *b\n", 1, 4, "anchor");
        check("a: [1\nb: 2\n", 2, 2, "not YAML");
        check("a: !thing 1\n", 1, 11, "tag");
        let bomb: String =
            (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
        let bomb = format!("a0: &a0 [1]\n{bomb}");
        assert!(read(&bomb).is_err_and(|malformed| malformed.message.contains("alias")));
    }
}
