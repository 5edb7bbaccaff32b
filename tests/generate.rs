//! Dashboards and alerts of a user's own configuration, as the command makes them.

use std::path::Path;
use std::process::{Command, Output};

const CONFIG: &str = r#"
scrape_configs:
  - job_name: web
    targets: [{url: "http://127.0.0.1:1/metrics", namespace: web}]
metrics:
  - name: work_length
    unit: messages
    queue: {series: work_waiting, match: 'tier!~"b|c"', sharing: shared}
    split_by: [queue]
    thresholds: {warning: {above: 100}, critical: {above: 500, for: 10m}}
  - {name: free_share, unit: ratio, thresholds: {critical: {below: 0.1}},
     ratio: {numerator: {gauge: places_free}, denominator: {gauge: places}}}
  - {name: answer_p95, unit: seconds, quantile: {histogram: answer_seconds, q: 0.95, window: 1m}}
"#;

fn artifacts(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("artifacts").args(arguments).current_dir(folder).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_configuration_gets_a_dashboard_and_alerts_that_nothing_can_be_said_against() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mine.yaml"), CONFIG).expect("written");
    let made = artifacts(&["generate", "--config", "mine.yaml", "--output", "out"], folder.path());
    assert!(made.status.success(), "{}", said(&made));
    let checked = artifacts(&["generate", "--config", "mine.yaml", "--output", "out", "--check"], folder.path());
    assert!(checked.status.success(), "{}", said(&checked));
    let dashboard = "out/dashboards/plimsoll-metrics.json";
    let judged = artifacts(&["lint", "--config", "mine.yaml", dashboard], folder.path());
    assert!(judged.status.success(), "{}", said(&judged));
    // Without the configuration nobody knows those metrics.
    let unknown = artifacts(&["lint", dashboard], folder.path());
    assert!(!unknown.status.success() && said(&unknown).contains("work_waiting"), "{}", said(&unknown));
    let rules = folder.path().join("out/alert-rules/metrics.yaml");
    let promtool =
        Command::new("promtool").args(["check", "rules"]).arg(&rules).output().expect("apt install prometheus");
    assert!(promtool.status.success() && said(&promtool).contains("3 rules found"), "{}", said(&promtool));
    let text = std::fs::read_to_string(rules).expect("rules");
    assert!(text.contains(r#"(sum by (job, namespace, instance) (work_waiting{tier!~"b|c"})) > 500"#), "{text}");
    assert!(text.contains("/ sum by (job, namespace) (places) < 0.1"), "{text}");
}

/// As somebody writes who knows nothing of templates.
const ODD: &str = r##"
scrape_configs: [{job_name: a, targets: [{url: "http://127.0.0.1:1/metrics", namespace: n}]}]
metrics:
  - name: load
    description: "# Costs in $USD\n---\n{{ template \"x\" }} ${job} [[job]] /d/nobody"
    unit: "{{ .Nobody }} {place} $labels.nobody {{"
    gauge: {series: load, combine: sum}
    thresholds: {warning: {above: 1}}
  - {name: up_time, gauge: {series: up_time, combine: sum}, thresholds: {warning: {below: 1}}}
  - {name: uptime, gauge: {series: uptime, combine: sum}, thresholds: {warning: {below: 1}}}
  - {name: up__time, gauge: {series: uptime, combine: sum}, thresholds: {warning: {below: 1}}}
"##;

/// What promtool expects of the first alert of it.
const STORY: &str = r#"
rule_files: [out/alert-rules/metrics.yaml]
tests:
  - interval: 1m
    input_series: [{series: 'load{job="a",namespace="n"}', values: 2x20}]
    alert_rule_test:
      - eval_time: 10m
        alertname: LoadBeyondThreshold
        exp_alerts:
          - exp_labels: {job: a, namespace: n, severity: warning, category: capacity, service: platform}
            exp_annotations:
              summary: load of a workload is beyond its threshold.
              description: "load of a in namespace n is 2 {{ .Nobody }} {place} $labels.nobody {{."
              runbook_url: https://runbooks.example.com/plimsoll/LoadBeyondThreshold.md
              dashboard_url: https://grafana.example.com/d/plimsoll-metrics?orgId=1&var-job=a
"#;

#[test]
fn what_a_user_writes_is_shown_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("mine.yaml", ODD);
    write("story.yaml", STORY);
    let made = artifacts(&["generate", "--config", "mine.yaml", "--output", "out"], folder.path());
    assert!(made.status.success(), "{}", said(&made));
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        let output = command.args(arguments).current_dir(folder.path()).output().expect("apt install prometheus");
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    assert!(promtool(&["check", "rules", "out/alert-rules/metrics.yaml"]).contains("4 rules found"));
    promtool(&["test", "rules", "story.yaml"]);
    let dashboard = std::fs::read_to_string(folder.path().join("out/dashboards/plimsoll-metrics.json"));
    let shown = r##""# Costs in &#36;USD --- {{ template \"x\" }} &#36;{job} &#91;&#91;job]] /d/nobody""##;
    assert!(dashboard.as_ref().is_ok_and(|text| text.contains(shown)), "{dashboard:?}");
    let mut runbooks: Vec<_> = std::fs::read_dir(folder.path().join("out/alert-rules/runbooks"))
        .expect("runbooks")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    runbooks.sort();
    let expected = ["Load", "UpTime", "UpTimeBeyondThreshold_up__time", "UptimeBeyondThreshold_uptime"];
    let expected = expected.map(|name| match name.contains('_') {
        true => format!("{name}.md"),
        false => format!("{name}BeyondThreshold.md"),
    });
    assert_eq!(runbooks, expected);
}

#[test]
fn a_configuration_with_a_mistake_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = CONFIG.replace("name: answer_p95", "name: 95th-answer");
    std::fs::write(folder.path().join("mine.yaml"), bad).expect("written");
    let made = artifacts(&["generate", "--config", "mine.yaml", "--output", "out"], folder.path());
    assert!(!made.status.success() && !folder.path().join("out").exists(), "{}", said(&made));
    assert!(said(&made).contains("mine.yaml:13:12: metrics[2].name: expected a metric name"), "{}", said(&made));
}

#[test]
fn what_is_shipped_and_what_is_ones_own_do_not_remove_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mine.yaml"), CONFIG).expect("written");
    let own = ["generate", "--config", "mine.yaml", "--output", "own"];
    for (arguments, others) in [(&["generate"][..], &own[..3]), (&own, &["generate", "--output", "own"])] {
        let made = artifacts(arguments, folder.path());
        assert!(made.status.success(), "{}", said(&made));
        let refused = artifacts(others, folder.path());
        assert!(!refused.status.success() && said(&refused).contains("choose another folder"), "{}", said(&refused));
        assert!(artifacts(&[arguments, &["--check"]].concat(), folder.path()).status.success(), "all is there");
    }
}

#[test]
fn what_cannot_be_written_is_told_with_its_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("dashboards"), "no folder").expect("written");
    let made = artifacts(&["generate"], folder.path());
    assert!(!made.status.success() && said(&made).contains("dashboards"), "{}", said(&made));
}
