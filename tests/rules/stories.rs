use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};

use super::{folder, list, names, run, text, yaml};
use crate::harness::program::installed;

/// A file of stories, and a change to a rule that has to make one of them fail.
struct Mutant<'a> {
    stories: &'a Value,
    alert: &'a str,
    severity: Option<&'a str>,
    change: Change,
}

/// What is taken out of a rule.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// It fires at once.
    Wait,
    /// The comparison of this number, in the order in which they are written.
    Comparison(usize),
}

#[test]
fn every_story_ends_as_it_is_told() {
    for path in files() {
        let (right, said) = promtool(&path);
        assert!(right, "{said}");
    }
}

#[test]
fn every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_must_not() {
    let files: Vec<_> = files().iter().map(yaml).collect();
    for name in names() {
        let of_alert = files.iter().flat_map(|file| list(file, "tests")).flat_map(|story| {
            let checks = list(story, "alert_rule_test").iter().filter(|check| check["alertname"] == *name);
            checks
                .map(|check| list(check, "exp_alerts").is_empty())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(move |quiet| (story, quiet))
        });
        let of_alert: Vec<_> = of_alert.collect();
        assert!(of_alert.iter().any(|(_, quiet)| !quiet), "{name} never fires");
        let never = |story: &Value| {
            let mut checks = list(story, "alert_rule_test").iter().filter(|check| check["alertname"] == *name);
            checks.all(|check| list(check, "exp_alerts").is_empty())
        };
        assert!(
            of_alert.iter().any(|(story, quiet)| *quiet && never(story)),
            "{name} has no story in which it must not fire"
        );
    }
}

#[test]
fn a_rule_that_fires_at_once_fails_a_story() {
    assert_noticed(|_| vec![Change::Wait]);
}

#[test]
fn a_rule_without_one_of_its_comparisons_fails_a_story() {
    assert_noticed(|query| (0..comparison().find_iter(query).count()).map(Change::Comparison).collect());
}

/// Makes all changes, each in a copy that has the rules of one alert and its stories.
fn assert_noticed(changes: impl Fn(&str) -> Vec<Change>) {
    let files: Vec<_> = files().iter().map(yaml).collect();
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    for rule in super::alerts() {
        let (alert, severity) = (text(&rule, "alert"), text(&rule["labels"], "severity"));
        // The four windows of a burn differ by numbers only, and their stories take long: one run changes all of them.
        let is_burn = alert.ends_with("Burn");
        if is_burn && (rule["labels"]["long"] != "1h" || rule["labels"]["objective"] == "5s") {
            continue;
        }
        let stories = files.iter().find(|file| list(file, "tests").iter().any(|story| is_of(story, alert)));
        for change in changes(text(&rule, "expr")) {
            let severity = Some(severity).filter(|_| !is_burn);
            tried += 1;
            if !(Mutant { stories: stories.expect("stories"), alert, severity, change }).is_noticed() {
                unnoticed.push(format!("{alert} {severity:?}: {change:?}"));
            }
        }
    }
    assert!(unnoticed.is_empty() && tried > 30, "of {tried} no story fails for {unnoticed:#?}");
}

// === impl Mutant ===

impl Mutant<'_> {
    fn is_noticed(&self) -> bool {
        let copy = tempfile::tempdir().expect("a folder");
        let rules: Vec<_> = list(self.stories, "rule_files")
            .iter()
            .map(|path| yaml(folder().join("tests").join(path.as_str().expect("a path"))))
            .collect();
        let groups: Vec<_> =
            rules.iter().flat_map(|file| list(file, "groups")).filter_map(|group| self.changed(group)).collect();
        let order: Vec<_> = groups.iter().map(|group| group["name"].clone()).collect();
        let stories: Vec<_> = list(self.stories, "tests").iter().filter(|story| is_of(story, self.alert)).collect();
        let interval = &self.stories["evaluation_interval"];
        let file = json!({"rule_files": ["rules.yaml"], "evaluation_interval": interval, "group_eval_order": order, "tests": stories});
        // JSON is YAML, and needs no thought about quotes.
        std::fs::write(copy.path().join("rules.yaml"), json!({"groups": groups}).to_string()).expect("written");
        std::fs::write(copy.path().join("stories.yaml"), file.to_string()).expect("written");
        let (right, said) = promtool(&copy.path().join("stories.yaml"));
        // An end that is told otherwise, and not a file that cannot be read.
        let differs = said.contains("alertname:") || said.contains("expr:");
        assert!(right || differs, "{said}");
        !right
    }

    /// A group with the rules of the alert, changed, or with what is recorded for them.
    fn changed(&self, group: &Value) -> Option<Value> {
        let rules = list(group, "rules");
        if rules.iter().all(|rule| rule["record"].is_string()) {
            let is_asked = |rule: &Value| {
                list(self.stories, "tests").iter().any(|story| is_of(story, self.alert))
                    && self.asks(text(rule, "record"))
            };
            return rules.iter().any(is_asked).then(|| group.clone());
        }
        let mut of_alert: Vec<_> = rules.iter().filter(|rule| rule["alert"] == self.alert).cloned().collect();
        for rule in &mut of_alert {
            if self.severity.is_none_or(|severity| rule["labels"]["severity"] == severity) {
                self.change.make(rule);
            }
        }
        (!of_alert.is_empty()).then(|| json!({"name": group["name"], "rules": of_alert}))
    }

    /// Whether a rule of the alert or one of its stories asks for a recorded series.
    fn asks(&self, series: &str) -> bool {
        let rules = super::alerts();
        let mut queries =
            rules.iter().filter(|rule| rule["alert"] == self.alert).map(|rule| text(rule, "expr").to_owned());
        let of_stories = list(self.stories, "tests").iter().filter(|story| is_of(story, self.alert));
        let asked = of_stories
            .flat_map(|story| list(story, "promql_expr_test"))
            .any(|check| text(check, "expr").contains(series));
        asked || queries.any(|query| query.contains(series))
    }
}

// === impl Change ===

impl Change {
    fn make(self, rule: &mut Value) {
        match self {
            Self::Wait => rule["for"] = "0s".into(),
            Self::Comparison(at) => {
                let query = text(rule, "expr").to_owned();
                let Some(found) = comparison().find_iter(&query).nth(at) else { return };
                rule["expr"] = format!("{}{}", &query[..found.start()], &query[found.end()..]).into();
            }
        }
    }
}

fn comparison() -> Regex {
    Regex::new(r" (==|>=|<=|>|<) [0-9.]+").expect("a regular expression")
}

fn is_of(story: &Value, alert: &str) -> bool {
    let named = list(story, "alert_rule_test").iter().any(|check| check["alertname"] == *alert);
    let asked = format!("alertname=\"{alert}\"");
    named || list(story, "promql_expr_test").iter().any(|check| text(check, "expr").contains(&asked))
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder().join("tests")).expect("alert-rules/tests");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    files
}

fn promtool(stories: &Path) -> (bool, String) {
    run(installed("promtool", "prometheus").args(["test", "rules"]).arg(stories))
}
