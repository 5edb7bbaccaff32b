//! Relabeling as Prometheus does it. In: rules as monitors write them, and the labels of a discovered target. Out: the
//! labels as the rules leave them, or that the target is dropped.
//!
//! What a rule means is Prometheus' `model/relabel`, that of version 3: `.` stands for a line break too, and names may
//! hold any character. No rule and no label makes this panic or grow without bound.

mod expression;
mod template;
pub mod url;

use std::collections::BTreeMap;

use serde::Deserialize;

use expression::Expression;
use template::Template;

/// A rule as monitors write it (`RelabelConfig` of `monitoring.coreos.com/v1`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RelabelConfig {
    pub source_labels: Vec<String>,
    /// Default: `;`.
    pub separator: Option<String>,
    pub target_label: String,
    /// Empty for the default, `(.*)`.
    pub regex: String,
    /// 0 for none.
    pub modulus: u64,
    /// Default: `$1`.
    pub replacement: Option<String>,
    /// In any case. Empty for the default, `replace`.
    pub action: String,
}

/// A rule that can be followed.
#[derive(Clone, Debug)]
pub struct Rule {
    source_labels: Vec<String>,
    separator: String,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Keep(Expression),
    Drop(Expression),
    KeepEqual { target: String },
    DropEqual { target: String },
    Replace { expression: Expression, target: Template, replacement: Template },
    HashMod { modulus: u64, target: String },
    Lowercase { target: String },
    Uppercase { target: String },
    LabelMap { expression: Expression, name: Template },
    LabelDrop(Expression),
    LabelKeep(Expression),
}

/// Labels of a target while rules work on them. An empty label is an absent one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSet(BTreeMap<String, String>);

/// Rules make labels longer or more numerous without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("relabelings make a label longer than {VALUE_MAX} bytes, or more than {LABELS_MAX} labels")]
pub struct TooLong;

const SEPARATOR: &str = ";";
const REGEX: &str = "(.*)";
const REPLACEMENT: &str = "$1";

/// Bytes of a value: room for several annotations, of which each has 4 KiB at most.
const VALUE_MAX: usize = 64 << 10;
/// Labels of a target; a pod with a hundred labels and annotations has some 450.
const LABELS_MAX: usize = 4_096;

// === impl Rule ===

impl Rule {
    /// # Errors
    /// The key of the rule that is wrong, and what was expected.
    pub fn read(config: &RelabelConfig) -> Result<Self, String> {
        let separator = config.separator.clone().unwrap_or_else(|| SEPARATOR.into());
        Ok(Self { source_labels: config.source_labels.clone(), separator, action: Action::read(config)? })
    }

    /// The labels that the rule looks at by their names.
    pub fn source_labels(&self) -> impl Iterator<Item = &str> {
        let compared = match &self.action {
            Action::KeepEqual { target } | Action::DropEqual { target } => Some(target),
            _ => None,
        };
        self.source_labels.iter().chain(compared).map(String::as_str)
    }

    /// Whether the rule says that a target stays, or where it is.
    pub fn decides(&self) -> bool {
        match &self.action {
            Action::Keep(_) | Action::Drop(_) | Action::KeepEqual { .. } | Action::DropEqual { .. } => true,
            Action::Replace { target, .. } => target.starts_with("__"),
            _ => false,
        }
    }

    /// Whether the target stays.
    fn follow(&self, labels: &mut LabelSet) -> Result<bool, TooLong> {
        let value = self.value(labels)?;
        match &self.action {
            Action::Keep(expression) => return Ok(expression.matches(&value)),
            Action::Drop(expression) => return Ok(!expression.matches(&value)),
            Action::KeepEqual { target } => return Ok(labels.get(target) == value),
            Action::DropEqual { target } => return Ok(labels.get(target) != value),
            Action::Replace { expression, target, replacement } => {
                replace(labels, &value, expression, target, replacement)?;
            }
            Action::HashMod { modulus, target } => labels.set(target, (hash(&value) % modulus).to_string())?,
            Action::Lowercase { target } => labels.set(target, value.chars().map(lowercase).collect())?,
            Action::Uppercase { target } => labels.set(target, value.chars().map(uppercase).collect())?,
            Action::LabelMap { expression, name } => map(labels, expression, name)?,
            Action::LabelDrop(expression) => labels.0.retain(|name, _| !expression.matches(name)),
            Action::LabelKeep(expression) => labels.0.retain(|name, _| expression.matches(name)),
        }
        Ok(true)
    }

    /// The values of the source labels, one behind the other.
    fn value(&self, labels: &LabelSet) -> Result<String, TooLong> {
        let mut value = String::new();
        for (i, name) in self.source_labels.iter().enumerate() {
            let separator = if i > 0 { self.separator.as_str() } else { "" };
            for part in [separator, labels.get(name)] {
                if value.len() + part.len() > VALUE_MAX {
                    return Err(TooLong);
                }
                value.push_str(part);
            }
        }
        Ok(value)
    }
}

/// Follows the rules in their order. Returns whether the target stays.
///
/// # Errors
/// [`TooLong`] when the labels outgrow their bounds.
pub fn relabel(rules: &[Rule], labels: &mut LabelSet) -> Result<bool, TooLong> {
    for rule in rules {
        if !rule.follow(labels)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn replace(
    labels: &mut LabelSet,
    value: &str,
    expression: &Expression,
    target: &Template,
    replacement: &Template,
) -> Result<(), TooLong> {
    let Some(captures) = expression.captures(value) else { return Ok(()) };
    let target = target.expand(&captures, VALUE_MAX).ok_or(TooLong)?;
    let replacement = replacement.expand(&captures, VALUE_MAX).ok_or(TooLong)?;
    labels.set(&target, replacement)
}

/// Where several labels get one name, the last in the order of the old names wins; Prometheus has no order there.
fn map(labels: &mut LabelSet, expression: &Expression, name: &Template) -> Result<(), TooLong> {
    let mut mapped = Vec::new();
    for (old, value) in &labels.0 {
        if let Some(captures) = expression.captures(old) {
            mapped.push((name.expand(&captures, VALUE_MAX).ok_or(TooLong)?, value.clone()));
        }
    }
    mapped.into_iter().try_for_each(|(name, value)| labels.set(&name, value))
}

/// The last 8 bytes of the MD5 sum, as Prometheus takes them.
fn hash(value: &str) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = md5::compute(value).0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Go maps each character to one: where Unicode has several, to the first.
fn lowercase(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// Go maps each character to one: where Unicode has several (`ß`), it stays.
fn uppercase(c: char) -> char {
    let mut upper = c.to_uppercase();
    upper.next().filter(|_| upper.next().is_none()).unwrap_or(c)
}

// === impl Action ===

impl Action {
    fn read(config: &RelabelConfig) -> Result<Self, String> {
        let expression = || Expression::read(if config.regex.is_empty() { REGEX } else { &config.regex });
        let action = config.action.to_ascii_lowercase();
        let target = || match config.target_label.as_str() {
            "" => Err(format!("targetLabel: missing key; the action {action} needs it")),
            target => Ok(target.to_owned()),
        };
        let replacement = Template::read(config.replacement.as_deref().unwrap_or(REPLACEMENT));
        Ok(match action.as_str() {
            "keep" => Self::Keep(expression()?),
            "drop" => Self::Drop(expression()?),
            "keepequal" => Self::KeepEqual { target: only_labels(config).and_then(|()| target())? },
            "dropequal" => Self::DropEqual { target: only_labels(config).and_then(|()| target())? },
            "" | "replace" => {
                let target = target().map(|target| Template::read(&target))?;
                Self::Replace { expression: expression()?, target, replacement }
            }
            "hashmod" if config.modulus == 0 => return Err("modulus: expected a number above 0 for hashmod".into()),
            "hashmod" => Self::HashMod { modulus: config.modulus, target: target()? },
            "lowercase" => Self::Lowercase { target: no_replacement(config).and_then(|()| target())? },
            "uppercase" => Self::Uppercase { target: no_replacement(config).and_then(|()| target())? },
            "labelmap" if replacement.is_empty() => return Err("replacement: expected the name of a label".into()),
            "labelmap" => Self::LabelMap { expression: expression()?, name: replacement },
            "labeldrop" => Self::LabelDrop(only_regex(config).and_then(|()| expression())?),
            "labelkeep" => Self::LabelKeep(only_regex(config).and_then(|()| expression())?),
            _ => return Err(format!("action: expected one of {}, found {:?}", ACTIONS.join(", "), config.action)),
        })
    }
}

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "lowercase",
    "uppercase",
    "labelmap",
    "labeldrop",
    "labelkeep",
];

/// Prometheus refuses keys that an action does not look at, since someone meant something with them.
fn refuse(config: &RelabelConfig, key: &str, given: bool) -> Result<(), String> {
    if given { Err(format!("{key}: has no meaning for the action {}", config.action)) } else { Ok(()) }
}

fn no_replacement(config: &RelabelConfig) -> Result<(), String> {
    refuse(config, "replacement", config.replacement.as_deref().is_some_and(|given| given != REPLACEMENT))
}

fn plain(config: &RelabelConfig) -> Result<(), String> {
    refuse(config, "modulus", config.modulus != 0)?;
    refuse(config, "separator", config.separator.as_deref().is_some_and(|given| given != SEPARATOR))?;
    no_replacement(config)
}

fn only_labels(config: &RelabelConfig) -> Result<(), String> {
    refuse(config, "regex", !config.regex.is_empty())?;
    plain(config)
}

fn only_regex(config: &RelabelConfig) -> Result<(), String> {
    refuse(config, "sourceLabels", !config.source_labels.is_empty())?;
    refuse(config, "targetLabel", !config.target_label.is_empty())?;
    plain(config)
}

// === impl LabelSet ===

impl LabelSet {
    /// The value of a label, empty where it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), TooLong> {
        if value.is_empty() || name.is_empty() {
            self.0.remove(name);
            return Ok(());
        }
        self.0.insert(name.to_owned(), value);
        if self.0.len() > LABELS_MAX { Err(TooLong) } else { Ok(()) }
    }
}

impl<N: Into<String>, V: Into<String>> Extend<(N, V)> for LabelSet {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.0.extend(pairs.filter(|(_, value)| !value.is_empty()));
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        labels.extend(pairs);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(yaml: &str) -> Vec<Rule> {
        let configs: Vec<RelabelConfig> = serde_saphyr::from_str(yaml).expect(yaml);
        configs.iter().map(|config| Rule::read(config).unwrap_or_else(|error| panic!("{yaml}: {error}"))).collect()
    }

    fn labels(text: &str) -> LabelSet {
        text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
    }

    /// `want` is `-` for a target that is dropped.
    #[track_caller]
    fn check(yaml: &str, given: &str, want: &str) {
        let mut found = labels(given);
        let text = match relabel(&rules(yaml), &mut found).expect("bounded") {
            true => found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
            false => "-".into(),
        };
        assert_eq!(text, want, "{yaml} on {given}");
    }

    #[test]
    fn targets_are_kept_and_dropped_by_the_whole_value() {
        for (given, want) in [("a=x b=y", "a=x b=y"), ("a=x", "-"), ("a=x b=yy", "-"), ("a=xx b=y", "-")] {
            check("[{action: keep, sourceLabels: [a, b], regex: 'x;y'}]", given, want);
        }
        check("[{action: Drop, sourceLabels: [a], regex: 'x|y'}]", "a=x", "-");
        check("[{action: drop, sourceLabels: [a], regex: 'x|y'}]", "a=xy", "a=xy");
        check("[{action: drop, sourceLabels: [a], regex: ''}]", "b=1", "-");
        check("[{action: keepequal, sourceLabels: [a], targetLabel: b}]", "a=1 b=1", "a=1 b=1");
        check("[{action: KeepEqual, sourceLabels: [a], targetLabel: b}]", "a=1", "-");
        check("[{action: dropequal, sourceLabels: [a], targetLabel: b}]", "", "-");
        check("[{action: keep, sourceLabels: [a], regex: x}, {sourceLabels: [a], targetLabel: b}]", "a=y", "-");
    }

    #[test]
    fn values_are_replaced_by_what_the_groups_caught() {
        check("[{sourceLabels: [a], targetLabel: b}]", "a=x", "a=x b=x");
        check("[{sourceLabels: [a, c], separator: '', targetLabel: b}]", "a=x c=y", "a=x b=xy c=y");
        check(
            "[{sourceLabels: [a], regex: '(x)(.)', targetLabel: '${2}_$1', replacement: $2$1}]",
            "a=xy",
            "a=xy y_x=yx",
        );
        check(
            "[{sourceLabels: [a], regex: '(?P<first>.).*', targetLabel: b, replacement: '${first}!'}]",
            "a=xy",
            "a=xy b=x!",
        );
        check("[{sourceLabels: [a], regex: no, targetLabel: b, replacement: z}]", "a=x b=1", "a=x b=1");
        check("[{sourceLabels: [a], targetLabel: b}]", "b=1", "");
        check("[{targetLabel: b, replacement: ''}]", "b=1", "");
        check("[{targetLabel: b, replacement: z}]", "", "b=z");
        check("[{sourceLabels: [a], targetLabel: '$9'}]", "a=x", "a=x");
    }

    #[test]
    fn names_are_mapped_dropped_and_kept() {
        check("[{action: labelmap, regex: 'm_(.+)'}]", "m_a=1 m_b=2 c=3", "a=1 b=2 c=3 m_a=1 m_b=2");
        check("[{action: labelmap, regex: 'm_(.)', replacement: 'x_${1}'}]", "m_a=1 m_ab=2", "m_a=1 m_ab=2 x_a=1");
        check("[{action: labeldrop, regex: 'm_.*'}]", "m_a=1 xm_a=2", "xm_a=2");
        check("[{action: labelkeep, regex: 'm_.*'}]", "m_a=1 xm_a=2", "m_a=1");
    }

    #[test]
    fn values_are_hashed_and_change_their_case() {
        // Prometheus' own test: the last 8 bytes of md5("baz") modulo 1000 are 976.
        check("[{action: hashmod, sourceLabels: [c], targetLabel: d, modulus: 1000}]", "c=baz", "c=baz d=976");
        check("[{action: lowercase, sourceLabels: [a], targetLabel: a}]", "a=İÄx", "a=iäx");
        check("[{action: uppercase, sourceLabels: [a], targetLabel: a}]", "a=ßäx", "a=ßÄX");
    }

    #[test]
    fn wrong_rules_name_their_key() {
        for (yaml, want) in [
            ("{action: move}", "action: expected one of replace, keep, drop, keepequal"),
            ("{sourceLabels: [a]}", "targetLabel: missing key; the action"),
            ("{action: hashmod, targetLabel: a}", "modulus: expected a number above 0"),
            ("{action: keep, regex: '('}", "regex: \"(\" cannot be used: unclosed group"),
            ("{action: keep, regex: 'a)(b'}", "regex: \"a)(b\" cannot be used: unopened group"),
            ("{action: labeldrop, regex: a, targetLabel: b}", "targetLabel: has no meaning for the action labeldrop"),
            ("{action: labelkeep, regex: a, sourceLabels: [b]}", "sourceLabels: has no meaning"),
            ("{action: keepequal, regex: a, targetLabel: b}", "regex: has no meaning"),
            ("{action: lowercase, replacement: a, targetLabel: b}", "replacement: has no meaning"),
            ("{action: labelmap, replacement: ''}", "replacement: expected the name of a label"),
        ] {
            let config: RelabelConfig = serde_saphyr::from_str(yaml).expect(yaml);
            let error = Rule::read(&config).expect_err(yaml);
            assert!(error.contains(want), "{yaml}: {error}");
        }
    }

    #[test]
    fn labels_do_not_grow_without_bound() {
        let double = "{sourceLabels: [a], targetLabel: a, replacement: $1$1}";
        let mut found = labels("a=xxxxxxxx");
        assert_eq!(relabel(&rules(&format!("[{}]", [double; 40].join(", "))), &mut found), Err(TooLong));
        let copies: Vec<String> = (0..40).map(|i| format!("{{action: labelmap, replacement: 'c{i}_$1'}}")).collect();
        assert_eq!(relabel(&rules(&format!("[{}]", copies.join(", "))), &mut labels("a=x")), Err(TooLong));
    }
}
