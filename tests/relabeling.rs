//! Relabeling as Prometheus does it: the same rules on the same labels, asked of a real one.

mod generated;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use plimsoll::discovery::kubernetes::relabeling::{LabelSet, RelabelConfig, Rule, relabel};
use serde_json::{Value, json};

use crate::harness::program::installed;
use crate::harness::{eventually, prometheus::Prometheus};
use generated::{Case, cases};

/// What becomes of a target.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// Its URL and the labels that are shown.
    Scraped(String, BTreeMap<String, String>),
    Dropped,
    /// Rules took the address, the scheme or the times, or left what is none.
    Unusable,
}

/// Enough for each action with each shape of regex, source and replacement several times.
const CASES: usize = 600;

#[tokio::test(flavor = "multi_thread")]
async fn rules_do_what_they_do_in_a_real_prometheus() {
    let cases = cases(CASES);
    let jobs: Vec<Value> = cases.iter().map(job).collect();
    let prometheus = Prometheus::start(&json!(jobs));
    let mut ours: Vec<(&Case, Outcome)> = cases.iter().map(|case| (case, ours(case))).collect();
    for outcome in ["Scraped", "Dropped", "Unusable"] {
        let count = ours.iter().filter(|(_, ours)| format!("{ours:?}").starts_with(outcome)).count();
        assert!(count >= CASES / 100, "only {count} cases end as {outcome}, which proves little");
    }
    // What is listed nowhere is asked for last, when all others are there.
    ours.sort_by_key(|(_, ours)| *ours == Outcome::Unusable);
    for (case, ours) in ours {
        let ask = async || {
            let found = prometheus.data(&format!("targets?scrapePool={}", case.name)).await;
            (theirs(&found), ours.clone(), job(case).to_string())
        };
        eventually(ask, |(theirs, ours, _)| theirs == ours).await;
    }
}

fn job(case: &Case) -> Value {
    let rules: Vec<Value> = case.rules.iter().map(as_prometheus_writes).collect();
    json!({
        "job_name": case.name,
        "scrape_interval": "1d",
        "scrape_timeout": "10s",
        "params": case.parameters,
        "static_configs": [{ "targets": [case.address], "labels": case.labels }],
        "relabel_configs": rules,
    })
}

/// `sourceLabels` as `source_labels`.
fn as_prometheus_writes(rule: &Value) -> Value {
    let keys = rule.as_object().expect("a rule").iter().map(|(key, value)| {
        let key = match key.as_str() {
            "sourceLabels" => "source_labels",
            "targetLabel" => "target_label",
            other => other,
        };
        (key.to_owned(), value.clone())
    });
    Value::Object(keys.collect())
}

fn read(rule: &Value) -> Result<Rule, String> {
    let config: RelabelConfig = serde_json::from_value(rule.clone()).map_err(|error| error.to_string())?;
    Rule::read(&config)
}

fn ours(case: &Case) -> Outcome {
    let rules: Vec<Rule> =
        case.rules.iter().map(|rule| read(rule).unwrap_or_else(|error| panic!("{rule}: {error}"))).collect();
    let mut labels: LabelSet = case.labels.iter().map(|(name, value)| (*name, *value)).collect();
    labels.extend([
        ("job", case.name.as_str()),
        ("__address__", &case.address),
        ("__scheme__", "http"),
        ("__metrics_path__", "/metrics"),
        ("__scrape_interval__", "1d"),
        ("__scrape_timeout__", "10s"),
    ]);
    labels.extend(case.parameters.iter().map(|(name, values)| (format!("__param_{name}"), values[0].clone())));
    if !relabel(&rules, &mut labels).expect("bounded") {
        return Outcome::Dropped;
    }
    let times = [labels.get("__scrape_interval__"), labels.get("__scrape_timeout__")];
    match labels.url(&case.parameters) {
        Ok(url) if !times.contains(&"") => scraped(&url, shown(labels.iter())),
        _ => Outcome::Unusable,
    }
}

/// Addresses that no host has are all the same. Version 2 adds the port that a URL without one means.
fn scraped(url: &str, labels: BTreeMap<String, String>) -> Outcome {
    let parts = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
    let Some((scheme, rest)) = parts else { return Outcome::Unusable };
    let (address, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-".contains(&byte)) {
        return Outcome::Unusable;
    }
    let port = match scheme {
        _ if address.contains(':') => "",
        "http" => ":80",
        _ => ":443",
    };
    Outcome::Scraped(format!("{scheme}://{address}{port}{rest}"), labels)
}

/// Without the names that only version 3 allows: version 2 sets no such labels.
fn shown<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let is_old = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let shown = labels.filter(|(name, _)| !name.starts_with("__") && *name != "instance");
    let shown = shown.filter(|(name, _)| is_old(name) && !name.starts_with(|c: char| c.is_ascii_digit()));
    shown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Of the only target of a job. What Prometheus found before relabeling is not asked: 2.42 changes it in place.
fn theirs(found: &Value) -> Outcome {
    let [active, dropped] = ["activeTargets", "droppedTargets"].map(|key| &found[key][0]);
    if active.is_null() {
        return if dropped.is_null() { Outcome::Unusable } else { Outcome::Dropped };
    }
    let labels = active["labels"].as_object().expect("labels");
    let labels = shown(labels.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text"))));
    scraped(active["scrapeUrl"].as_str().expect("a URL"), labels)
}

/// Rules that Prometheus refuses, in YAML as monitors write them.
const REFUSED: [&str; 14] = [
    "{action: move}",
    "{action: replace}",
    "{action: hashmod, targetLabel: a}",
    "{action: hashmod, modulus: 2}",
    "{action: keep, regex: '('}",
    "{action: keep, regex: 'a)(b('}",
    "{action: keep, regex: '[z-a]'}",
    "{action: labelmap, replacement: ''}",
    "{action: labeldrop, regex: a, targetLabel: b}",
    "{action: labelkeep, regex: a, sourceLabels: [b]}",
    "{action: keepequal, regex: a, targetLabel: b}",
    "{action: dropequal, separator: '-', targetLabel: b}",
    "{action: lowercase, replacement: a, targetLabel: b}",
    "{action: uppercase}",
];

#[test]
fn rules_that_prometheus_refuses_are_refused() {
    for yaml in REFUSED {
        let rule: Value = serde_saphyr::from_str(yaml).expect(yaml);
        assert!(read(&rule).is_err(), "{yaml} is accepted");
        let job = json!([{ "job_name": "a", "relabel_configs": [as_prometheus_writes(&rule)] }]);
        let mut command = installed("promtool", "prometheus");
        command.args(["check", "config", "--syntax-only", "/dev/stdin"]).stdin(Stdio::piped());
        let mut promtool = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("promtool");
        let mut input = promtool.stdin.take().expect("piped");
        input.write_all(json!({ "scrape_configs": job }).to_string().as_bytes()).expect("read");
        drop(input);
        assert!(!promtool.wait().expect("ends").success(), "Prometheus takes {yaml}");
    }
}
