use std::fs;

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{FILES, alerts, folder, list, read, root, run, text, yaml};
use crate::harness::program::installed;

#[test]
fn amtool_has_nothing_to_say_against_the_configuration_and_finds_the_template() {
    let (right, said) = run(installed("amtool", "prometheus-alertmanager")
        .arg("check-config")
        .arg(alertmanager().path().join("it.yaml")));
    assert!(right && said.contains("1 templates") && said.contains("5 receivers"), "{said}");
}

#[test]
fn each_alert_goes_to_whom_it_concerns() {
    let folder = alertmanager();
    for rule in alerts() {
        let (name, labels) = (text(&rule, "alert"), &rule["labels"]);
        let expected = match (text(labels, "severity"), text(labels, "category")) {
            ("critical", _) => "on-call",
            ("warning", "performance") => "performance",
            ("warning", _) => "team",
            _ => "nobody",
        };
        assert_routed(
            &folder,
            expected,
            &[format!("alertname={name}"), label(labels, "severity"), label(labels, "category")],
        );
    }
    assert_routed(&folder, "mail", &["alertname=SomebodyElses".to_owned(), "severity=page".to_owned()]);
}

#[test]
fn secrets_are_in_files_and_nowhere_else() {
    let text = read("alert-rules/alertmanager/alertmanager.yaml");
    for key in ["smtp_auth_password", "slack_api_url", "routing_key", "service_key", "api_url"] {
        assert!(
            !text.lines().any(|line| line.trim_start().trim_start_matches("- ").starts_with(&format!("{key}:"))),
            "{key}"
        );
    }
    assert_eq!(text.matches("/etc/alertmanager/secrets/").count(), 3);
}

#[test]
fn an_alert_is_kept_back_only_by_one_that_is_there() {
    let known: Vec<_> = alerts().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    let configuration = yaml("alert-rules/alertmanager/alertmanager.yaml");
    let rules = list(&configuration, "inhibit_rules");
    assert!(rules.len() > 10);
    for matcher in rules.iter().flat_map(|rule| [list(rule, "source_matchers"), list(rule, "target_matchers")].concat())
    {
        let matcher = matcher.as_str().expect("a matcher");
        let Some((_, value)) = matcher.split_once("alertname ") else { continue };
        let value = value.split('"').nth(1).expect("a value");
        for name in value.split('|').filter(|name| !name.starts_with("Kube")) {
            assert!(known.iter().any(|known| known == name), "{name}");
        }
    }
}

#[test]
fn an_alert_keeps_back_none_that_is_worse() {
    let configuration = yaml("alert-rules/alertmanager/alertmanager.yaml");
    let mut alerts: Vec<_> =
        alerts().iter().map(|rule| (text(rule, "alert").to_owned(), rule["labels"].clone())).collect();
    // As kubernetes-mixin has them.
    for name in ["KubeAggregatedAPIDown", "KubeAggregatedAPIErrors", "KubeHpaMaxedOut", "KubeHpaReplicasMismatch"] {
        alerts.push((name.to_owned(), json!({"severity": "warning", "name": "v1beta1.external.metrics.k8s.io"})));
    }
    let rank = |labels: &Value| ["info", "warning", "critical"].iter().position(|it| *it == text(labels, "severity"));
    let mut pairs = 0;
    for rule in list(&configuration, "inhibit_rules") {
        let matching = |key| {
            let of_rule =
                |(name, labels): &&(String, Value)| list(rule, key).iter().all(|it| matches(name, labels, it));
            alerts.iter().filter(of_rule).collect::<Vec<_>>()
        };
        let targets = matching("target_matchers");
        for (source, labels) in matching("source_matchers") {
            for (target, of_target) in &targets {
                assert!(rank(labels) >= rank(of_target), "{source} {labels} keeps back {target} {of_target}");
                pairs += 1;
            }
        }
    }
    assert!(pairs > 50, "{pairs} alerts keep back others");
}

/// Whether an alert has what a matcher of Alertmanager wants, `severity != "critical"`.
fn matches(alert: &str, labels: &Value, matcher: &Value) -> bool {
    let mut words = matcher.as_str().expect("a matcher").splitn(3, ' ');
    let (name, operator, wanted) = (words.next(), words.next(), words.next().expect("three words").trim_matches('"'));
    let name = name.expect("a label");
    let value = if name == "alertname" { alert } else { labels[name].as_str().unwrap_or_default() };
    let pattern = Regex::new(&format!("^(?:{wanted})$")).expect("a regular expression");
    match operator.expect("an operator") {
        "=" => value == wanted,
        "!=" => value != wanted,
        "=~" => pattern.is_match(value),
        "!~" => !pattern.is_match(value),
        other => panic!("{other} in {matcher}"),
    }
}

#[test]
fn promtool_has_nothing_to_say_against_the_configuration_of_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["token", "ca.crt"] {
        fs::write(folder.path().join(name), "").expect("written");
    }
    for name in FILES {
        fs::write(folder.path().join(format!("rules-{name}.yaml")), read(format!("alert-rules/{name}.yaml")))
            .expect("written");
    }
    let text = read("deploy/monitoring/prometheus.yaml")
        .replace("/etc/prometheus-rules/", &at("rules-"))
        .replace("/etc/prometheus-plimsoll/ca.crt", &at("ca.crt"))
        .replace("/var/run/secrets/kubernetes.io/serviceaccount/", &at(""));
    let mut configuration: Value = serde_saphyr::from_str(&text).expect("YAML");
    // Debian's promtool is built without discovery in Kubernetes.
    for job in configuration["scrape_configs"].as_array_mut().expect("jobs") {
        let sources = job
            .as_object_mut()
            .expect("a job")
            .remove("kubernetes_sd_configs")
            .expect("each job finds its targets there");
        assert_discovery(&sources);
    }
    fs::write(folder.path().join("prometheus.yaml"), configuration.to_string()).expect("written");
    let (right, said) =
        run(installed("promtool", "prometheus").args(["check", "config"]).arg(folder.path().join("prometheus.yaml")));
    assert!(right && said.contains("6 rule files found"), "{said}");
}

/// The keys of this discovery that are used here, and no others.
fn assert_discovery(sources: &Value) {
    for source in sources.as_array().expect("sources") {
        assert!(["pod", "node", "endpointslice"].contains(&text(source, "role")), "{source}");
        let keys: Vec<_> = source.as_object().expect("a source").keys().map(String::as_str).collect();
        assert!(
            keys == ["role"] || keys == ["role", "namespaces"] && source["namespaces"]["names"].is_array(),
            "{source}"
        );
    }
}

#[test]
fn prometheus_keeps_thirty_days_and_is_mounted_what_its_configuration_reads() {
    let set = yaml("deploy/monitoring/stateful-set-prometheus.yaml");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    assert!(list(container, "args").iter().any(|flag| flag == "--storage.tsdb.retention.time=30d"));
    let mounts: Vec<_> = list(container, "volumeMounts").iter().map(|mount| text(mount, "mountPath")).collect();
    let configuration = read("deploy/monitoring/prometheus.yaml");
    for path in configuration.split_whitespace().filter(|word| word.starts_with("/etc/")) {
        let (folder, _) = path.rsplit_once('/').expect("a folder");
        assert!(mounts.contains(&folder), "{path} is in none of {mounts:?}");
    }
}

/// The configuration in a folder of its own, with its templates where it looks for them.
fn alertmanager() -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let text = read(folder().join("alertmanager/alertmanager.yaml"));
    let text = text.replace(
        "/etc/alertmanager/templates",
        &root().join("alert-rules/alertmanager/templates").display().to_string(),
    );
    fs::write(copy.path().join("it.yaml"), text).expect("written");
    copy
}

fn label(labels: &Value, name: &str) -> String {
    format!("{name}={}", text(labels, name))
}

fn assert_routed(folder: &TempDir, receiver: &str, labels: &[String]) {
    let mut amtool = installed("amtool", "prometheus-alertmanager");
    amtool.args(["config", "routes", "test", &format!("--verify.receivers={receiver}")]);
    let (right, said) =
        run(amtool.arg(format!("--config.file={}", folder.path().join("it.yaml").display())).args(labels));
    assert!(right, "{labels:?} should go to {receiver}: {said}");
}
