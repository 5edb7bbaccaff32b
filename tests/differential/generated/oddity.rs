//! What the two sides are known to read differently, found in a mutated page. Hand-made pages pin each of
//! these; here they are told apart from what nobody has thought of.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::{Captures, Regex};

static QUOTED: LazyLock<Regex> = LazyLock::new(|| regex(r#""(?:\\.|[^"\\])*""#));
static WITHOUT_COMMA: LazyLock<Regex> = LazyLock::new(|| regex(r#""0?"[ \t]*[a-zA-Z_]"#));
static LABEL: LazyLock<Regex> = LazyLock::new(|| regex(r"([a-zA-Z0-9_]+)[ \t]*="));
static PLAIN_METADATA: LazyLock<Regex> = LazyLock::new(|| regex(r"^# (TYPE|HELP|UNIT) [a-zA-Z_:][a-zA-Z0-9_:]* .*$"));
static UNIT: LazyLock<Regex> = LazyLock::new(|| regex(r"^# UNIT \S+_seconds seconds$"));
static ENDLESS_TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"^[^ ]+ [^ ]+ [+-]?[0-9]{16}"));
static LOOSE: LazyLock<Regex> = LazyLock::new(|| regex(r"^$|^ | $|  |\t|, |\{ | \}| ,|= | =|,\}|\}[^ ]|#[^ ]|[^ ]#"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// In a line of text.
pub fn in_text(line: &str) -> Option<&'static str> {
    let help_name = line.strip_prefix("# HELP ").map(|rest| rest.split([' ', '\t']).next().unwrap_or_default());
    if help_name.is_some_and(|name| !name.is_ascii()) {
        return Some("a name in help that is none");
    }
    if line.starts_with("# TYPE ") && (line.ends_with([' ', '\t']) || line.contains("  ")) {
        return Some("blanks around a type");
    }
    if line.starts_with('#') {
        return None;
    }
    let rest = without_values(line);
    match () {
        () if line.starts_with(' ') => Some("a blank before a line"),
        () if rest.matches('"').count() % 2 == 1 => Some("a newline in a value"),
        () if WITHOUT_COMMA.is_match(&rest) => Some("no comma between labels"),
        () if label_twice_once_empty(&rest) => Some("a label that stands twice, once empty"),
        () => None,
    }
}

/// In a line of OpenMetrics.
pub fn in_openmetrics(line: &str) -> Option<&'static str> {
    if line.starts_with('#') {
        let plain = line == "# EOF" || PLAIN_METADATA.is_match(line);
        let unit = line.starts_with("# UNIT") && !UNIT.is_match(line);
        return (!plain || unit).then_some("metadata that says nothing about a number");
    }
    let rest = without_values(line);
    let exemplar = rest.contains('#') && !rest.split(['{', ' ']).next().is_some_and(|name| name.ends_with("_total"));
    match () {
        () if LOOSE.is_match(&rest) => Some("blanks and commas in other places"),
        () if label_twice_once_empty(&rest) => Some("a label that stands twice, once empty"),
        () if ENDLESS_TIME.is_match(&rest) => Some("a time beyond 64 bits"),
        () if exemplar => Some("an exemplar of a name without _total"),
        () => None,
    }
}

/// The line with `"0"` for every value that is not empty.
fn without_values(line: &str) -> Cow<'_, str> {
    QUOTED.replace_all(line, |found: &Captures<'_>| if found[0].len() > 2 { "\"0\"" } else { "\"\"" })
}

fn label_twice_once_empty(rest: &str) -> bool {
    // An exemplar has labels of its own.
    let labels = rest.split('#').next().unwrap_or_default();
    let mut names: Vec<_> = LABEL.captures_iter(labels).map(|found| found[1].to_owned()).collect();
    names.sort_unstable();
    labels.contains("\"\"") && names.windows(2).any(|pair| pair[0] == pair[1])
}

/// A series that may stand twice, with two values: of those, Prometheus keeps the first.
pub fn in_page(text: &str) -> Option<&'static str> {
    let samples: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    // Name and number, which comes first among the labels.
    let starts: BTreeSet<Vec<&str>> = samples.iter().map(|line| line.split('"').take(2).collect()).collect();
    (starts.len() < samples.len()).then_some("a series that may stand twice")
}
