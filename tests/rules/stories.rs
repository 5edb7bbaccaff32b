use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};

use super::{FILES, folder, list, names, run, text, yaml};
use crate::harness::program::installed;

/// The stories of one alert, with its rules and copies of them that are changed. One run plays each story for all of them, since
/// the series are loaded and recorded once.
struct Play<'a> {
    alert: &'a str,
    /// The rules of the alert, as they are shipped.
    rules: Vec<&'a Value>,
    mutants: Vec<Mutant>,
    /// What is recorded for them.
    recorded: Vec<Value>,
    stories: Vec<&'a Value>,
    interval: &'a Value,
}

/// A change to one or more rules of an alert that has to make one of its stories fail.
#[derive(Debug)]
struct Mutant {
    /// Places of the rules among those of the alert.
    rules: Vec<usize>,
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
fn every_change_to_a_rule_on_plimsoll_fails_a_story() {
    assert_noticed("plimsoll", 40);
}

#[test]
fn every_change_to_a_rule_on_the_platform_fails_a_story() {
    assert_noticed("platform", 40);
}

#[test]
fn every_change_to_a_rule_on_an_objective_fails_a_story() {
    assert_noticed("slo", 8);
    assert_noticed("platform-slo", 8);
}

/// Makes every rule of a file fire at once, and takes out each of its comparisons: each is one change, of `least` at least.
fn assert_noticed(file: &str, least: usize) {
    let rules = yaml(format!("alert-rules/{file}.yaml"));
    let rules: Vec<_> = list(&rules, "groups").iter().flat_map(|group| list(group, "rules")).collect();
    let files: Vec<_> = files().iter().map(yaml).collect();
    let mut alerts: Vec<_> = rules.iter().map(|rule| text(rule, "alert")).collect();
    alerts.dedup();
    let (mut tried, mut unnoticed) = (0, Vec::new());
    for alert in alerts {
        let play = Play::of(alert, &rules, &files);
        tried += play.mutants.len();
        unnoticed.extend(play.unnoticed());
    }
    assert!(unnoticed.is_empty() && tried >= least, "of {tried} no story fails for {unnoticed:#?}");
}

// === impl Play ===

impl<'a> Play<'a> {
    fn of(alert: &'a str, rules: &[&'a Value], files: &'a [Value]) -> Self {
        let rules: Vec<_> = rules.iter().copied().filter(|rule| rule["alert"] == *alert).collect();
        // One file has its stories; in others it is only told that it does not fire beside another.
        let told = |file: &&Value| list(file, "tests").iter().filter(|story| is_of(story, alert)).count();
        let file = files.iter().rev().max_by_key(told).expect("there are files");
        let stories: Vec<_> = list(file, "tests").iter().filter(|story| is_of(story, alert)).collect();
        let mutants = Mutant::all(alert, &rules);
        let mut asked: String = rules.iter().map(|rule| text(rule, "expr")).collect::<Vec<_>>().join("\n");
        let checks = stories.iter().flat_map(|story| list(story, "promql_expr_test"));
        checks.for_each(|check| asked.push_str(text(check, "expr")));
        Self { alert, rules, mutants, recorded: recorded(asked), stories, interval: &file["evaluation_interval"] }
    }

    /// Plays the stories, and gives the changes with which all of them end as they are told.
    fn unnoticed(&self) -> Vec<String> {
        let copy = tempfile::tempdir().expect("a folder");
        let original = json!({"name": "original", "rules": self.rules});
        let changed = (0..self.mutants.len()).map(|at| self.changed(at));
        let groups: Vec<_> = self.recorded.iter().cloned().chain([original]).chain(changed).collect();
        let order: Vec<_> = groups.iter().map(|group| &group["name"]).collect();
        let stories: Vec<_> = self.stories.iter().map(|story| self.story(story)).collect();
        let file = json!({
            "rule_files": ["rules.yaml"], "evaluation_interval": self.interval, "group_eval_order": order,
            "tests": stories,
        });
        // JSON is YAML, and needs no thought about quotes.
        std::fs::write(copy.path().join("rules.yaml"), json!({"groups": groups}).to_string()).expect("written");
        std::fs::write(copy.path().join("stories.yaml"), file.to_string()).expect("written");
        let (_, said) = promtool(&copy.path().join("stories.yaml"));
        let failed = failed(&said);
        // An end that is told otherwise, and not a file that cannot be read; the rules as they are end as told.
        assert!(!failed.is_empty() && !failed.contains(self.alert), "{}: {said}", self.alert);
        let mutants = self.mutants.iter().enumerate();
        let mutants = mutants.filter(|(at, _)| !failed.contains(&renamed(self.alert, *at)));
        mutants.map(|(_, mutant)| format!("{} {mutant:?}", self.alert)).collect()
    }

    /// The rules of the alert under another name, changed.
    fn changed(&self, at: usize) -> Value {
        let mutant = &self.mutants[at];
        let rules = self.rules.iter().enumerate().map(|(place, rule)| {
            let mut rule = (*rule).clone();
            rule["alert"] = renamed(self.alert, at).into();
            if mutant.rules.contains(&place) {
                mutant.change.make(&mut rule);
            }
            rule
        });
        json!({"name": renamed("changed", at), "rules": rules.collect::<Vec<_>>()})
    }

    /// A story with what it tells of this alert, and the same of every change.
    fn story(&self, story: &Value) -> Value {
        let mut story = story.clone();
        for (key, is_told) in [("alert_rule_test", names_alert as fn(&Value, &str) -> bool), ("promql_expr_test", asks)]
        {
            let told: Vec<_> = list(&story, key).iter().filter(|check| is_told(check, self.alert)).cloned().collect();
            let of_mutants = (0..self.mutants.len()).map(|at| renamed(self.alert, at));
            let names = std::iter::once(self.alert.to_owned()).chain(of_mutants);
            let checks = names.flat_map(|name| told.iter().map(move |check| check_of(check, self.alert, &name)));
            story[key] = checks.collect();
        }
        story
    }
}

// === impl Mutant ===

impl Mutant {
    /// All changes to the rules of an alert.
    fn all(alert: &str, rules: &[&Value]) -> Vec<Self> {
        let places: Vec<Vec<usize>> = match alert.ends_with("Burn") {
            // The windows of a burn and its objectives differ by numbers only: one change is made to all of them.
            true => vec![(0..rules.len()).collect()],
            false => (0..rules.len()).map(|place| vec![place]).collect(),
        };
        let changes = |rules: &Vec<usize>, query: &str| {
            let comparisons = (0..comparison().find_iter(query).count()).map(Change::Comparison);
            let changes = std::iter::once(Change::Wait).chain(comparisons);
            changes.map(|change| Self { rules: rules.clone(), change }).collect::<Vec<_>>()
        };
        places.iter().flat_map(|of_change| changes(of_change, text(rules[of_change[0]], "expr"))).collect()
    }
}

// === impl Change ===

impl Change {
    fn make(self, rule: &mut Value) {
        match self {
            Self::Wait => rule["for"] = "0s".into(),
            Self::Comparison(at) => {
                let query = text(rule, "expr").to_owned();
                let found = comparison().find_iter(&query).nth(at).expect("as many as in the first");
                rule["expr"] = format!("{}{}", &query[..found.start()], &query[found.end()..]).into();
            }
        }
    }
}

fn comparison() -> Regex {
    Regex::new(r" (==|>=|<=|>|<) [0-9.]+").expect("a regular expression")
}

fn renamed(name: &str, at: usize) -> String {
    format!("{name}_changed_{at}")
}

/// The same check of an alert with another name.
fn check_of(check: &Value, alert: &str, name: &str) -> Value {
    let mut check = check.clone();
    if check["alertname"].is_string() {
        check["alertname"] = name.into();
        return check;
    }
    let other = |text: &str| text.replace(&format!("alertname=\"{alert}\""), &format!("alertname=\"{name}\""));
    check["expr"] = other(text(&check, "expr")).into();
    for sample in check["exp_samples"].as_array_mut().into_iter().flatten() {
        sample["labels"] = other(text(sample, "labels")).into();
    }
    check
}

/// The groups of recorded series, with those that a text asks for and what these are made of.
fn recorded(mut asked: String) -> Vec<Value> {
    let files =
        FILES.iter().filter(|name| name.ends_with("recording")).map(|name| yaml(format!("alert-rules/{name}.yaml")));
    let mut groups: Vec<_> = files.flat_map(|file| list(&file, "groups").to_vec()).collect();
    // What a series is made of is recorded before it.
    for group in groups.iter_mut().rev() {
        let mut rules = Vec::new();
        for rule in list(group, "rules").iter().rev() {
            if asked.contains(text(rule, "record")) {
                asked.push_str(text(rule, "expr"));
                rules.insert(0, rule.clone());
            }
        }
        group["rules"] = rules.into();
    }
    groups.retain(|group| !list(group, "rules").is_empty());
    groups
}

/// Names of the alerts for which a story ended otherwise.
fn failed(said: &str) -> BTreeSet<String> {
    let name =
        Regex::new(r#"(?m)^ +(?:alertname: |expr: ".*alertname=\\")([A-Za-z0-9_]+)"#).expect("a regular expression");
    name.captures_iter(said).map(|found| found[1].to_owned()).collect()
}

fn is_of(story: &Value, alert: &str) -> bool {
    list(story, "alert_rule_test").iter().any(|check| names_alert(check, alert))
        || list(story, "promql_expr_test").iter().any(|check| asks(check, alert))
}

fn names_alert(check: &Value, alert: &str) -> bool {
    check["alertname"] == *alert
}

fn asks(check: &Value, alert: &str) -> bool {
    text(check, "expr").contains(&format!("alertname=\"{alert}\""))
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
