use serde_json::json;

use super::*;
use crate::artifacts::samples;
use crate::catalog::{Metric, Unit};

fn manifest(files: &Files) -> Result<Manifest, Refusal> {
    Manifest::of(&samples::catalog(), files, &Version::new(1, 0, 0), None)
}

fn refused(path: &str, text: impl Into<String>) -> String {
    let mut files = samples::files();
    files.add(path, text).expect("a path of its own");
    manifest(&files).expect_err("refused").to_string()
}

#[test]
fn a_manifest_names_all_that_others_rely_on() {
    let manifest = manifest(&samples::files()).expect("a manifest");
    let files: Vec<_> = manifest.files.iter().map(|file| (file.name.as_str(), file.kind)).collect();
    assert_eq!(
        files,
        [
            ("alert-rules/alerts.yaml", Kind::Alerts),
            ("alert-rules/recording.yaml", Kind::RecordingRules),
            ("alert-rules/runbooks/QueueLong.md", Kind::Runbook),
            ("dashboards/queues.json", Kind::Dashboard),
        ]
    );
    assert_eq!(manifest.dashboards["queues"].variables, ["job"]);
    assert_eq!(manifest.alerts["QueueLong"][0]["severity"], "warning");
    assert!(manifest.recording_rules.contains("job:requests:rate5m"));
    let required: Vec<_> = manifest.metrics_required.keys().map(String::as_str).collect();
    assert_eq!(required, ["duration_seconds", "queue_length", "requests_total"], "without what is recorded, by family");
    assert_eq!(
        manifest.metrics_required["queue_length"].labels,
        BTreeSet::from(["job".to_owned(), "queue".to_owned()])
    );
    assert_eq!(manifest.catalog["requests_total"].labels["code"], ["2xx", "5xx"]);
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let manifest = manifest(&samples::files()).expect("a manifest");
    assert_eq!(Manifest::read("artifacts.json", manifest.text().as_bytes()), Ok(manifest));
}

#[test]
fn files_that_did_not_change_keep_the_version_they_came_with() {
    let before = manifest(&samples::files()).expect("a manifest");
    let mut files = samples::files();
    files.0.insert("alert-rules/runbooks/QueueLong.md".to_owned(), "other".to_owned());
    let after = Manifest::of(&samples::catalog(), &files, &Version::new(1, 1, 0), Some(&before)).expect("a manifest");
    let versions: Vec<_> = after.files.iter().map(|file| file.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.0.0", "1.1.0", "1.0.0"]);
}

#[test]
fn two_dashboards_cannot_have_one_uid() {
    let what = refused("dashboards/twin.json", json!({"uid": "queues", "title": "Twin"}).to_string());
    assert_eq!(what, "dashboards/twin.json: its uid queues is that of dashboards/queues.json too");
}

#[test]
fn a_query_that_is_no_promql_is_refused_with_its_place() {
    let what = refused("alert-rules/bad.yaml", "groups: [{name: a, rules: [{alert: Bad, expr: 'sum(up'}]}]");
    assert!(what.starts_with("alert-rules/bad.yaml: alert Bad: unclosed"), "{what}");
}

#[test]
fn names_that_cannot_stand_in_promql_are_refused() {
    for (metric, label, what) in [
        ("queue-length", "queue", r#"metric queue-length: "queue-length" cannot stand in PromQL"#),
        ("9lives", "queue", r#"metric 9lives: "9lives" cannot stand in PromQL"#),
        ("queue_length", "my.label", r#"metric queue_length: "my.label" cannot stand in PromQL"#),
        ("queue_length", "a:b", r#"metric queue_length: "a:b" cannot stand in PromQL"#),
    ] {
        let catalog = samples::catalog().with([Metric::gauge(metric, Unit::Boolean, "").label(label)]);
        let refused = Manifest::of(&catalog, &Files::default(), &Version::new(1, 0, 0), None).expect_err(metric);
        assert!(refused.to_string().starts_with(what), "{refused}");
    }
}

#[test]
fn a_manifest_of_a_newer_format_is_not_guessed_at() {
    let refused = |text: &str| Manifest::read("a/artifacts.json", text.as_bytes()).expect_err(text).to_string();
    let newer = refused(r#"{"schemaVersion": 2, "anything": []}"#);
    assert!(
        newer.starts_with("a/artifacts.json: it has the format 2, and this Plimsoll knows formats up to 1"),
        "{newer}"
    );
    assert!(refused("{}").contains("no schemaVersion"));
    assert!(refused("{").contains("EOF"), "{}", refused("{"));
    assert!(refused(r#"{"schemaVersion": 1}"#).contains("missing field"));
}

#[test]
fn a_manifest_names_no_files_that_lead_elsewhere_or_are_one_file() {
    let good = manifest(&samples::files()).expect("a manifest").text();
    let with = |name: &str| good.replace("\"name\": \"alert-rules/alerts.yaml\"", &format!("\"name\": {name:?}"));
    let refused = |name: &str| Manifest::read("m", with(name).as_bytes()).expect_err(name).to_string();
    for name in ["../victim.txt", "/etc/passwd", "alert-rules/../../a", "C:\\a"] {
        let expected = format!("m: file {name:?}: the path leads out of the folder, or is no plain path");
        assert_eq!(refused(name), expected);
    }
    assert_eq!(
        refused(".git/hooks/post-checkout"),
        "m: file \".git/hooks/post-checkout\": the path has a name that begins with a dot, which no artifact has"
    );
    let twins =
        "m: files \"Dashboards/queues.json\" and \"dashboards/queues.json\" are one file where capitals do not matter";
    assert_eq!(refused("Dashboards/queues.json"), twins);
    assert!(refused("ARTIFACTS.JSON").contains("where capitals do not matter"), "{}", refused("ARTIFACTS.JSON"));
    assert!(refused("z").contains("not in order"), "{}", refused("z"));
}
