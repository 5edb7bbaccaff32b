//! Checks a located tree against the JSON Schema of the file, and keeps what is sound of it.
//!
//! Finds unknown and missing keys, wrong types, words and texts, in the whole tree in one pass. Knows nothing of what
//! the keys mean: relations between them are the business of [`super::reader`].

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::document::{Key, Node, Value};
use super::key_path::KeyPath;
use super::metric::Matchers;
use super::mistake::Mistakes;
use super::{duration, name};

/// A `format` of the schema: what it is called in messages, and the check that writes its own message.
type Rule = (&'static str, fn(&str) -> Result<(), String>);

/// Returns the sound part of a value: without unknown keys and without optional keys that are wrong; items of lists
/// that are wrong become `null` so that indices stay. `None` when the value itself is wrong or lacks something.
pub fn check(node: &Node, schema: &Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Option<Json> {
    if let Some(words) = words(schema) {
        return word(node, &words, path, mistakes);
    }
    match (kind(schema), &node.value) {
        ("object", Value::Map(entries)) => mapping(node, entries, schema, path, mistakes),
        ("array", Value::List(items)) => list(items, schema, path, mistakes),
        ("string", Value::Text(text)) => match rule(schema).map_or(Ok(()), |(_, check)| check(text)) {
            Ok(()) => Some(Json::String(text.clone())),
            Err(message) => refuse(path, message, mistakes),
        },
        ("boolean", Value::Bool(value)) => Some(Json::Bool(*value)),
        ("integer" | "number", Value::Number(number)) if in_range(number, schema) => Some(Json::Number(number.clone())),
        (kind, found) => {
            let hint = quoting_hint(kind, found, schema);
            refuse(path, format!("expected {}, found {found}{hint}", expectation(schema)), mistakes)
        }
    }
}

/// As [`check`] for the file as a whole, of which each sound key counts even where a required one is wrong or missing:
/// a mistake in the jobs hides none in the metrics.
pub fn check_root(root: &Node, schema: &Json, mistakes: &mut Mistakes<'_>) -> Json {
    let path = KeyPath::default();
    match &root.value {
        Value::Map(entries) => Json::Object(sound_keys(root, entries, schema, &path, mistakes)),
        _ => check(root, schema, &path, mistakes).unwrap_or(Json::Null),
    }
}

/// The text checks a schema may name in `format`.
pub fn format_rule(format: &str) -> Option<Rule> {
    let rule: Rule = match format {
        "prometheus-duration" => ("a duration such as 15s", |text| duration::parse(text).map(drop)),
        "promql-matchers" => ("matchers such as code=~\"5..\"", |text| text.parse::<Matchers>().map(drop)),
        "label-selector" => ("a label selector such as app=web", name::label_selector),
        "owner-list" => ("an owner such as Deployment/web", |text| name::owners(text).map(drop)),
        "http-url" => ("an absolute http or https URL", name::url),
        "metric-name" => ("a metric name", name::metric),
        "series-name" => ("the name of a series", name::series),
        "histogram-name" => ("the base name of a histogram", name::histogram),
        "label-name" => ("a label name", name::label),
        "dns-label" => ("a DNS label", name::dns_label),
        "dns-subdomain" => ("a DNS subdomain", name::dns_subdomain),
        "namespaced-name" => ("a namespace and a name such as monitoring/prometheus", name::namespaced),
        "label-key" => ("a label key", name::label_key),
        "label-value" => ("a label value", name::label_value),
        "job-name" => ("a name", name::job),
        "path" => ("the path of a file", name::path),
        "path-pattern" => ("the path of target files", name::pattern),
        _ => return None,
    };
    Some(rule)
}

fn mapping(
    node: &Node,
    entries: &[(Key, Node)],
    schema: &Json,
    path: &KeyPath,
    mistakes: &mut Mistakes<'_>,
) -> Option<Json> {
    let sound = sound_keys(node, entries, schema, path, mistakes);
    required(schema).all(|key| sound.contains_key(key)).then_some(Json::Object(sound))
}

fn sound_keys(
    node: &Node,
    entries: &[(Key, Node)],
    schema: &Json,
    path: &KeyPath,
    mistakes: &mut Mistakes<'_>,
) -> Map<String, Json> {
    let mut sound = Map::new();
    let mut lines = BTreeMap::new();
    for (key, value) in entries {
        let at = path.key(&key.name);
        if let Some(line) = lines.insert(&key.name, key.place.written.line) {
            mistakes.push_at(key.place, &at, format!("the key stands twice in the mapping, first at line {line}"));
            continue;
        }
        let Some(schema) = schema["properties"].get(&key.name).or_else(|| additional(schema)) else {
            unknown_key(node, key, schema, path, mistakes);
            continue;
        };
        if let Some(value) = check(value, schema, &at, mistakes) {
            sound.insert(key.name.clone(), value);
        }
    }
    key_names(entries, schema, path, mistakes);
    for key in required(schema) {
        let at = path.key(key);
        if node.get(key).is_none() && !mistakes.is_doubtful(&at) {
            let expected = expectation(&schema["properties"][key]);
            mistakes.push(&at, format!("missing key; expected {expected}"));
        }
    }
    sound
}

fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Mappings with free keys may still have a rule for them.
fn key_names(entries: &[(Key, Node)], schema: &Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) {
    let Some((_, check)) = rule(&schema["propertyNames"]) else {
        return;
    };
    for (key, _) in entries {
        if let Err(message) = check(&key.name) {
            mistakes.push_at(key.place, &path.key(&key.name), message);
        }
    }
}

fn unknown_key(node: &Node, key: &Key, schema: &Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) {
    let valid: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let missing = valid.iter().copied().filter(|valid| node.get(valid).is_none());
    let suggestion = nearest(&key.name, missing);
    // That key was meant: it is neither missing nor at its default.
    if let Some(meant) = suggestion {
        mistakes.doubt(&path.key(meant));
    }
    let message = format!("unknown key;{} valid keys: {}", did_you_mean(suggestion), valid.join(", "));
    mistakes.push_at(key.place, &path.key(&key.name), message);
}

fn list(items: &[Node], schema: &Json, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Option<Json> {
    if items.is_empty() && schema["minItems"].as_u64().is_some_and(|least| least > 0) {
        return refuse(path, "expected at least one item, found an empty list".into(), mistakes);
    }
    let mut sound: Vec<Json> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = path.index(i);
        let value = check(item, &schema["items"], &at, mistakes).unwrap_or(Json::Null);
        if schema["uniqueItems"] == true && !value.is_null() && sound.contains(&value) {
            mistakes.push(&at, format!("{value} stands twice in the list"));
        }
        sound.push(value);
    }
    Some(Json::Array(sound))
}

fn word(node: &Node, words: &[&str], path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Option<Json> {
    match &node.value {
        Value::Text(text) if words.contains(&text.as_str()) => Some(Json::String(text.clone())),
        Value::Text(text) => {
            let suggestion = did_you_mean(nearest(text, words.iter().copied()));
            let message = format!("unknown word {text:?};{suggestion} valid words: {}", words.join(", "));
            refuse(path, message, mistakes)
        }
        other => refuse(path, format!("expected one of {}, found {other}", words.join(", ")), mistakes),
    }
}

fn refuse(path: &KeyPath, message: String, mistakes: &mut Mistakes<'_>) -> Option<Json> {
    mistakes.push(path, message);
    None
}

fn in_range(number: &serde_json::Number, schema: &Json) -> bool {
    let value = number.as_f64().unwrap_or(f64::NAN);
    let bound = |name: &str, holds: fn(&f64, &f64) -> bool| schema[name].as_f64().is_none_or(|b| holds(&value, &b));
    (kind(schema) != "integer" || number.is_u64())
        && bound("minimum", f64::ge)
        && bound("maximum", f64::le)
        && bound("exclusiveMinimum", f64::gt)
        && bound("exclusiveMaximum", f64::lt)
}

/// What a schema wants, for the place after "expected".
fn expectation(schema: &Json) -> String {
    if let Some(words) = words(schema) {
        return format!("one of {}", words.join(", "));
    }
    match kind(schema) {
        "object" => match schema["properties"].as_object() {
            Some(keys) => format!("a mapping with the keys {}", keys.keys().cloned().collect::<Vec<_>>().join(", ")),
            None => match additional(schema).and_then(words) {
                Some(words) => format!("a mapping from text to one of {}", words.join(", ")),
                None => "a mapping from text to text".into(),
            },
        },
        "array" => "a list".into(),
        "boolean" => "true or false".into(),
        "integer" => format!("a whole number{}", range(schema)),
        "number" => format!("a number{}", range(schema)),
        _ => rule(schema).map_or("text", |(name, _)| name).into(),
    }
}

fn range(schema: &Json) -> String {
    let bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map(|name| schema.get(name));
    match bounds {
        [Some(least), Some(most), ..] => format!(" from {least} to {most}"),
        [Some(least), ..] => format!(" of at least {least}"),
        [_, _, Some(above), Some(below)] => format!(" above {above} and below {below}"),
        _ => String::new(),
    }
}

/// YAML reads `123`, `yes` and `{a="b"}` as something else than text.
fn quoting_hint(kind: &str, found: &Value, schema: &Json) -> &'static str {
    let matchers = schema["format"] == "promql-matchers";
    match found {
        Value::Number(_) if schema["format"] == "prometheus-duration" => "; add a unit",
        Value::Number(_) | Value::Bool(_) if kind == "string" => "; put it into quotes if it is meant as text",
        Value::Map(_) if kind == "string" && matchers => "; put the matchers into single quotes",
        Value::Text(text) if matches!(kind, "number" | "integer") && text.parse::<f64>().is_ok() => {
            "; remove the quotes"
        }
        _ => "",
    }
}

fn kind(schema: &Json) -> &str {
    schema["type"].as_str().unwrap_or("")
}

fn rule(schema: &Json) -> Option<Rule> {
    schema["format"].as_str().and_then(format_rule)
}

/// The schema of values under free keys.
fn additional(schema: &Json) -> Option<&Json> {
    schema.get("additionalProperties").filter(|additional| additional.is_object())
}

/// The words of an enumeration, written as `enum` or as `oneOf` with one described `const` each.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Json::as_str).collect();
    }
    schema["oneOf"].as_array()?.iter().map(|one| one["const"].as_str()).collect()
}

/// The candidate that was probably meant: few letters differ, they begin alike, or one contains the other.
fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase().replace('-', "_");
    let contained = |other: &str| text.len() > 3 && other.len() > 3 && (other.contains(&text) || text.contains(other));
    let near = candidates.filter_map(|candidate| {
        let distance = strsim::damerau_levenshtein(&text, candidate);
        let alike = strsim::jaro_winkler(&text, candidate) > 0.87;
        (distance <= 1 + text.len() / 5 || alike || contained(candidate)).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |word| format!(" did you mean {word:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn every_format_of_the_schema_has_a_rule() {
        fn visit(schema: &Json) {
            if let Some(format) = schema.get("format").and_then(Json::as_str) {
                assert!(format_rule(format).is_some(), "{format}");
            }
            let children = schema.as_object().into_iter().flatten().map(|(_, child)| child);
            children.chain(schema.as_array().into_iter().flatten()).for_each(visit);
        }
        visit(&file::schema());
    }

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["counter", "match", "window", "scrape_interval", "q"];
        for (text, meant) in [
            ("windw", Some("window")),
            ("Counter", Some("counter")),
            ("scrape-interval", Some("scrape_interval")),
            ("scrapeInterval", Some("scrape_interval")),
            ("interval", Some("scrape_interval")),
            ("countr", Some("counter")),
            ("count", Some("counter")),
            ("matchers", Some("match")),
            ("histogram", None),
            ("series", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(text, keys.into_iter()), meant, "{text}");
        }
    }
}
