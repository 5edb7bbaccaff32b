//! A file of rules for Prometheus: alerts, recording rules, and the query of each.

use std::collections::BTreeMap;

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
}

// === impl Rules ===

impl Rules {
    /// # Errors
    /// When it is no YAML of groups of rules.
    pub fn read(path: &str, text: &str) -> Result<Self, Refusal> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| Refusal::new(path, error))?;
        let mut read = Self { rules: Vec::new(), queries: Vec::new() };
        for group in file.groups {
            for Written { alert, record, expr, labels } in group.rules {
                let (name, is_alert) = match (alert, record) {
                    (Some(name), None) => (name, true),
                    (None, Some(name)) => (name, false),
                    _ => {
                        let what = format!("a rule of group {} is neither an alert nor a recording rule", group.name);
                        return Err(Refusal::new(path, what));
                    }
                };
                let word = if is_alert { "alert" } else { "recording rule" };
                read.queries.push(Query::expression(format!("{path}: {word} {name}"), &expr));
                read.rules.push(Rule { name, is_alert, labels });
            }
        }
        Ok(read)
    }
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
    fn what_is_no_rule_is_refused_with_its_group() {
        let refused = |text| Rules::read("a.yaml", text).expect_err("refused").to_string();
        let neither = refused("groups: [{name: one, rules: [{expr: up}]}]");
        assert_eq!(neither, "a.yaml: a rule of group one is neither an alert nor a recording rule");
        assert!(refused("rules: []").contains("groups"), "{}", refused("rules: []"));
    }
}
