// One query with what its answer has to have, asked of a Prometheus.
mod question;
// What a dashboard asks: panels, variables, annotations, for one value, several and all.
mod board;
// Values of the variables of a dashboard.
mod setting;
// What rules ask, and what is left of an alert when it asks for no fault.
mod rules;
// Faults, from the target to the receiver of a notification.
mod faults;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll::artifacts::Folder;
use plimsoll::catalog::{Catalog, Origin};
use serde_json::{Value, json};

use crate::harness::prometheus::Prometheus;
use crate::harness::stage::{Stage, rule_files};
use crate::harness::{Answer, eventually};
use board::Board;
use question::Asker;

/// Windows have to fill, autoscalers to act, deploys to happen: all within one day of the platform, of two minutes.
const PATIENCE: Duration = Duration::from_secs(100);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every dashboard of the repository.
fn boards() -> Vec<Board> {
    let entries = std::fs::read_dir(root().join("dashboards")).expect("there are dashboards");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().filter_map(|path| read(path)).collect()
}

/// `None` where the file is no dashboard.
fn read(path: &Path) -> Option<Board> {
    let text = std::fs::read_to_string(path).expect("UTF-8");
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    value["panels"].is_array().then(|| Board::new(&value))
}

/// What has no answer that is right, after so long.
async fn unanswered(
    prometheus: &Prometheus,
    boards: &[Board],
    rules: &[(String, Value)],
    patience: Duration,
) -> Vec<String> {
    let started = Instant::now();
    let mut asker = Asker::new(prometheus);
    let (mut boards, mut rules) = (board::inquiries(boards), rules::inquiries(rules));
    loop {
        asker.begin();
        let mut failures = Vec::new();
        for inquiry in std::mem::take(&mut boards) {
            if let Err(failure) = inquiry.ask(&mut asker).await {
                failures.push(failure);
                boards.push(inquiry);
            }
        }
        for inquiry in std::mem::take(&mut rules) {
            if let Err(failure) = inquiry.ask(&mut asker).await {
                failures.push(failure);
                rules.push(inquiry);
            }
        }
        if failures.is_empty() || started.elapsed() > patience {
            return failures;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[test]
fn the_files_in_the_repository_are_what_the_catalogue_says() {
    let files = Catalog::shipped().files().unwrap_or_else(|problem| panic!("{problem}"));
    let differences = Folder(root()).differences(&files).expect("they can be read");
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}\nto mend it: cargo run -- artifacts generate", lines.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_dashboards_and_rules_finds_its_data() {
    let (boards, rules) = (boards(), rule_files());
    assert!(!boards.is_empty() && !rules.is_empty(), "there are dashboards and rules");
    let stage = Stage::start().await;
    let prometheus = stage.prometheus();
    let started = Instant::now();
    let failures = unanswered(&prometheus, &boards, &rules, PATIENCE).await;
    println!("every query had its data after {:?}", started.elapsed());
    assert!(failures.is_empty(), "{} queries:\n{}", failures.len(), failures.join("\n"));
    let unhealthy = unhealthy_rules(&prometheus).await;
    assert!(unhealthy.is_empty(), "{}", unhealthy.join("\n"));
    let unknown = unexposed(&prometheus).await;
    assert!(unknown.is_empty(), "in the catalogue, and exposed by nobody: {}", unknown.join(", "));
}

/// Rules that Prometheus could not evaluate, with what it says.
async fn unhealthy_rules(prometheus: &Prometheus) -> Vec<String> {
    let data = prometheus.data("rules").await;
    let groups = data["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    let unhealthy = rules.filter(|rule| rule["health"] != "ok");
    unhealthy.map(|rule| format!("{}: {} {}", rule["name"], rule["health"], rule["lastError"])).collect()
}

/// Metrics of the platform that nobody exposes, or not with all labels. Plimsoll's own are compared with its page elsewhere.
async fn unexposed(prometheus: &Prometheus) -> Vec<String> {
    let mut asker = Asker::new(prometheus);
    asker.begin();
    let mut missing = Vec::new();
    for metric in Catalog::shipped().metrics() {
        let series = metric.series_names();
        for label in metric.labels.iter().map(|label| label.name.as_ref()).chain(["job"]) {
            if !matches!(metric.origin, Origin::Recorded | Origin::Plimsoll)
                && !asker.has_label(&series[0], label).await
            {
                missing.push(format!("{}{{{label}}}", series[0]));
            }
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_finds_nothing_and_a_label_that_nobody_has_are_found() {
    let stage = Stage::start().await;
    let prometheus = stage.prometheus();
    let panel = |title: &str, expression: &str, legend: &str| {
        let target = json!({"expr": expression, "legendFormat": legend, "refId": "A"});
        json!({"title": title, "type": "timeseries", "targets": [target]})
    };
    let job = json!({
        "name": "job", "type": "query", "multi": true, "includeAll": true, "allValue": ".+",
        "query": {"query": "label_values(http_requests_total, job)"},
    });
    let board = Board::new(&json!({
        "uid": "bad", "templating": {"list": [job]},
        "panels": [
            panel("good", "sum by (job) (rate(http_requests_total{job=~\"$job\"}[$__rate_interval]))", "{{job}}"),
            panel("good for one", "agent_decisions_total{job=~\"$job\"}", "{{outcome}}"),
            panel("no series", "http_request_total{job=~\"$job\"}", "{{job}}"),
            panel("no legend", "sum by (job) (http_requests_total{job=~\"$job\"})", "{{code}}"),
            panel("no matcher", "http_requests_total{job=~\"$job\",zone!=\"x\"}", ""),
            panel("not all", "http_requests_total{job=\"$job\"}", ""),
            panel("no number", "0 * http_requests_total{job=~\"$job\"} / 0", ""),
        ],
    }));
    let rules = json!({"groups": [{"name": "bad", "rules": [
        {"alert": "Good", "expr": "agent_queue_length > 1e9", "annotations": {"summary": "{{ $labels.queue }}"}},
        {"alert": "NoSeries", "expr": "agent_queue_lengths > 1e9"},
        {"alert": "NoLabel", "expr": "agent_queue_length > 1e9", "annotations": {"summary": "{{ $labels.zone }}"}},
        {"alert": "NoOtherSide", "expr": "agent_queue_length > on (queue) agent_queue_max"},
    ]}]});
    let rules = [("bad.yaml".to_owned(), rules)];
    let failed = async || unanswered(&prometheus, std::slice::from_ref(&board), &rules, Duration::ZERO).await;
    // Each panel is asked with All and with single values.
    let found = eventually(failed, |failures| failures.len() == 5 * 2 + 3).await;
    let failures = found.join("\n");
    assert!(!failures.contains("good") && !failures.contains("Good"), "{failures}");
    for name in ["no series", "no legend", "no matcher", "not all", "no number", "NoSeries", "NoLabel", "NoOtherSide"] {
        assert!(failures.contains(name), "{name} is not in:\n{failures}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_no_fault_with_the_own_metrics_in_a_cluster() {
    let stage = Stage::start().await;
    let url = format!("{}/metrics", stage.base);
    let ask = async || Answer::of(stage.http.get(&url).send().await.expect("an answer")).await;
    let page = eventually(ask, |answer| answer.code == 200).await.body;
    let mut command = crate::harness::program::installed("promtool", "prometheus");
    let output = fed(command.args(["check", "metrics"]), &page);
    assert_eq!(output, "", "promtool check metrics");
}

/// What a command says of its input.
fn fed(command: &mut Command, input: &str) -> String {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
