//! alert-rules/ and deploy/monitoring as they lie in the repository: promtool and amtool read them, and every alert has stories, a
//! runbook, a dashboard and a way to somebody.

// The rules in every form in which they are shipped.
mod forms;
// What an Alertmanager and a Prometheus are configured to do.
mod configuration;
// What a person finds who follows the links of an alert.
mod links;
// The stories that promtool plays.
mod stories;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Files of rules, in the order in which a reader wants them.
const FILES: [&str; 6] = ["recording", "slo", "plimsoll", "platform-recording", "platform-slo", "platform"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("alert-rules")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: impl AsRef<Path>) -> Value {
    serde_saphyr::from_str(&read(path.as_ref())).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn dashboard(uid: &str) -> Value {
    serde_json::from_str(&read(format!("dashboards/{uid}.json"))).unwrap_or_else(|error| panic!("{uid}: {error}"))
}

/// A list in a document; none is an empty one.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// Every rule that raises an alert.
fn alerts() -> Vec<Value> {
    let files = FILES.map(|name| yaml(format!("alert-rules/{name}.yaml")));
    let rules = files.iter().flat_map(|file| list(file, "groups")).flat_map(|group| list(group, "rules"));
    rules.filter(|rule| rule["alert"].is_string()).cloned().collect()
}

/// Names of the alerts, each once.
fn names() -> Vec<String> {
    let mut names: Vec<_> = alerts().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    names.dedup();
    assert!(names.len() > 30, "{names:?}");
    names
}

/// Runs a program to its end: whether it was content, and all it said.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
