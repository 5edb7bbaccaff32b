//! A file of rules for Prometheus: alerts, recording rules, and the query of each.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::artifacts::{Query, Refusal};

/// What matters of a file of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub queries: Vec<Query>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub is_alert: bool,
    /// Those that the rule sets.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    rules: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

// === impl Rules ===

impl Rules {
    /// # Errors
    /// When it is no YAML of groups of rules.
    pub fn read(path: &str, text: &str) -> Result<Self, Refusal> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| Refusal::new(path, error))?;
        let mut read = Self { rules: Vec::new(), queries: Vec::new() };
        for group in file.groups {
            for Written { alert, record, expr, labels, annotations } in group.rules {
                let (name, is_alert) = match (alert, record) {
                    (Some(name), None) => (name, true),
                    (None, Some(name)) => (name, false),
                    _ => {
                        let what = format!("a rule of group {} is neither an alert nor a recording rule", group.name);
                        return Err(Refusal::new(path, what));
                    }
                };
                let word = if is_alert { "alert" } else { "recording rule" };
                let mut shown = annotations.values().flat_map(|text| labels_named(text)).collect::<BTreeSet<_>>();
                shown.retain(|label| !labels.contains_key(label));
                read.queries.push(Query::expression(format!("{path}: {word} {name}"), &expr, &shown));
                read.rules.push(Rule { name, is_alert, labels });
            }
        }
        Ok(read)
    }
}

/// The labels that a template shows: `$labels.job`. What stands behind a `with` or an `if` may be missing.
fn labels_named(template: &str) -> impl Iterator<Item = String> {
    let is_shown = |before: &str| !["with", "if"].iter().any(|word| before.trim_end().ends_with(word));
    let found = template.match_indices("$labels.").filter(move |(at, _)| is_shown(&template[..*at]));
    let rest = found.map(|(at, named)| &template[at + named.len()..]);
    rest.map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_and_recording_rules_are_told_apart() {
        let read = Rules::read(
            "alert-rules/a.yaml",
            r#"
            groups:
              - name: one
                rules:
                  - record: job:up:avg
                    expr: avg by (job) (up)
                  - alert: Down
                    expr: job:up:avg < 1
                    for: 5m
                    labels: {severity: critical}
                    annotations: {summary: "{{ $labels.job }} is down"}
              - name: empty
            "#,
        );
        let read = read.expect("rules");
        let names: Vec<_> = read.rules.iter().map(|rule| (rule.name.as_str(), rule.is_alert)).collect();
        assert_eq!(names, [("job:up:avg", false), ("Down", true)]);
        assert_eq!(read.rules[1].labels["severity"], "critical");
        assert_eq!(read.queries[1].place, "alert-rules/a.yaml: alert Down");
    }

    #[test]
    fn an_alert_reads_what_its_texts_show_unless_it_sets_that_itself() {
        let text = "{{ $labels.job }}{{ with $labels.namespace }} in {{ . }}{{ end }}: {{ $labels.severity }}";
        let file = format!(
            "groups: [{{name: a, rules: [{{alert: A, expr: up == 0, labels: {{severity: info}}, \
             annotations: {{summary: '{text}'}}}}]}}]"
        );
        let read = Rules::read("a.yaml", &file).expect("rules");
        let labels = &read.queries[0].reads.as_ref().expect("PromQL")[0].labels;
        assert_eq!(labels.iter().collect::<Vec<_>>(), ["job"]);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_group() {
        let refused = |text| Rules::read("a.yaml", text).expect_err("refused").to_string();
        let neither = refused("groups: [{name: one, rules: [{expr: up}]}]");
        assert_eq!(neither, "a.yaml: a rule of group one is neither an alert nor a recording rule");
        assert!(refused("rules: []").contains("groups"), "{}", refused("rules: []"));
    }
}
