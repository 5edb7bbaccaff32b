use super::*;
use crate::artifacts::samples;
use crate::catalog::{Catalog, Files, Metric, Origin, Unit};

fn manifest(catalog: &Catalog, files: &Files) -> Manifest {
    let made = Manifest::of(catalog, files, &Version::new(1, 2, 3), None);
    made.unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// What a change of the sample's files comes to.
fn after_edit(path: &str, from: &str, to: &str) -> Vec<String> {
    let mut files = samples::files();
    let text = files.0.get_mut(path).expect("a file of the sample");
    assert!(text.contains(from), "{text}");
    *text = text.replace(from, to);
    changes(&samples::catalog(), &files)
}

fn changes(catalog: &Catalog, files: &Files) -> Vec<String> {
    let old = manifest(&samples::catalog(), &samples::files());
    let found = Change::all(&old, &manifest(catalog, files));
    found.iter().map(ToString::to_string).collect()
}

fn after_catalog(metric: Metric) -> Vec<String> {
    changes(&samples::catalog().with([metric.from(Origin::Service)]), &samples::files())
}

fn without(name: &str) -> Catalog {
    let catalog = samples::catalog();
    let kept: Vec<_> = catalog.metrics().filter(|metric| metric.name != name).cloned().collect();
    Catalog::default().with(kept)
}

fn queue() -> Metric {
    Metric::gauge("queue_length", Unit::Count("messages".into()), "Messages that wait")
}

#[test]
fn nothing_changed() {
    assert_eq!(changes(&samples::catalog(), &samples::files()), [""; 0]);
}

#[test]
fn a_metric_that_is_renamed_breaks_the_queries_of_others() {
    let renamed = Metric::gauge("queue_depth", Unit::Count("messages".into()), "Messages that wait").label("queue");
    let found = changes(&without("queue_length").with([renamed.from(Origin::Service)]), &samples::files());
    assert_eq!(
        found,
        ["major: metric queue_length is gone; is it queue_depth now?", "minor: metric queue_depth is new"]
    );
}

#[test]
fn a_metric_that_is_removed_breaks_the_queries_of_others() {
    assert_eq!(changes(&without("duration_seconds"), &samples::files()), ["major: metric duration_seconds is gone"]);
}

#[test]
fn a_metric_that_is_new_breaks_nothing() {
    assert_eq!(after_catalog(Metric::gauge("ready", Unit::Boolean, "")), ["minor: metric ready is new"]);
}

#[test]
fn a_label_that_is_renamed_breaks_matchers_of_others() {
    let found = after_catalog(queue().label("name"));
    assert_eq!(
        found,
        ["major: metric queue_length: label queue is gone", "minor: metric queue_length: label name is new",]
    );
}

#[test]
fn a_metric_in_another_unit_or_of_another_kind_means_something_else() {
    let seconds = Metric::gauge("queue_length", Unit::Seconds, "Messages that wait").label("queue");
    let found = after_catalog(seconds);
    assert_eq!(found, [r#"major: metric queue_length has the unit "seconds" and had {"count":"messages"}"#]);
    let gauge = Metric::gauge("requests_total", Unit::Count("requests".into()), "Requests");
    let found = after_catalog(gauge.closed_label("code", &["2xx", "5xx"]));
    assert_eq!(found, ["major: metric requests_total is a gauge and was a counter"]);
}

#[test]
fn a_metric_in_other_words_is_the_same() {
    let metric = Metric::gauge("queue_length", Unit::Count("messages".into()), "Waiting messages").label("queue");
    assert_eq!(after_catalog(metric), ["patch: metric queue_length is described in other words"]);
}

#[test]
fn values_of_a_closed_label_are_relied_on() {
    let requests = |codes| Metric::counter("requests_total", "requests", "Requests").closed_label("code", codes);
    let place = "metric requests_total: label code";
    assert_eq!(after_catalog(requests(&["2xx"])), [format!("major: {place}: value 5xx is gone")]);
    assert_eq!(after_catalog(requests(&["2xx", "4xx", "5xx"])), [format!("minor: {place}: value 4xx is new")]);
    assert_eq!(after_catalog(requests(&[])), [format!("minor: {place} may have any value")]);
    let closed = after_catalog(queue().closed_label("queue", &["a", "b"]));
    assert_eq!(closed, ["major: metric queue_length: label queue has only these values: a, b"]);
}

#[test]
fn an_alert_that_is_renamed_slips_through_routes_and_silences() {
    let found = after_edit("alert-rules/alerts.yaml", "QueueLong", "QueueTooLong");
    assert_eq!(
        found,
        [
            "major: alert QueueLong is gone",
            "minor: alert QueueTooLong is new",
            "patch: file alert-rules/alerts.yaml changed",
        ]
    );
}

#[test]
fn an_alert_with_another_severity_is_routed_elsewhere() {
    let found = after_edit("alert-rules/alerts.yaml", "severity: warning", "severity: critical");
    assert_eq!(
        found,
        [
            r#"major: alert QueueLong no longer has {severity="warning"}"#,
            r#"minor: alert QueueLong now has {severity="critical"}"#,
            "patch: file alert-rules/alerts.yaml changed",
        ]
    );
}

#[test]
fn an_alert_with_one_more_label_is_still_matched() {
    let found = after_edit("alert-rules/alerts.yaml", "severity: warning", "severity: warning, team: queues");
    assert_eq!(found[0], r#"minor: alert QueueLong now has {severity="warning", team="queues"}"#);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn an_alert_with_another_threshold_is_the_same_alert() {
    let found = after_edit("alert-rules/alerts.yaml", "> 100", "> 200");
    assert_eq!(found, ["patch: file alert-rules/alerts.yaml changed"]);
}

#[test]
fn a_recording_rule_that_is_renamed_breaks_the_queries_of_others() {
    let mut files = samples::files();
    for text in files.0.values_mut() {
        *text = text.replace("job:requests:rate5m", "job:requests:rate10m");
    }
    let found = changes(&samples::catalog(), &files);
    assert_eq!(
        found[..2],
        ["major: recording rule job:requests:rate5m is gone", "minor: recording rule job:requests:rate10m is new",]
    );
}

#[test]
fn links_go_to_a_dashboard_by_its_uid_and_its_variables() {
    let found = after_edit("dashboards/queues.json", r#""uid":"queues""#, r#""uid":"lines""#);
    assert_eq!(found[..2], ["major: dashboard queues is gone", "minor: dashboard lines is new"]);
    let found = after_edit("dashboards/queues.json", r#""name":"job""#, r#""name":"service""#);
    assert_eq!(found[0], "major: dashboard queues: variable job is gone");
    let found = after_edit("dashboards/queues.json", r#""title":"Queues""#, r#""title":"Lines""#);
    assert_eq!(found[0], r#"patch: dashboard queues has the title "Lines""#);
}

#[test]
fn what_is_loaded_by_its_path_stays_there() {
    let mut files = samples::files();
    let rules = files.0.remove("alert-rules/recording.yaml").expect("a file of the sample");
    files.add("alert-rules/recorded.yaml", rules).expect("a path of its own");
    let found = changes(&samples::catalog(), &files);
    assert_eq!(
        found,
        ["major: file alert-rules/recording.yaml is gone", "minor: file alert-rules/recorded.yaml is new"]
    );
    let mut files = samples::files();
    files.0.remove("alert-rules/runbooks/QueueLong.md");
    assert_eq!(changes(&samples::catalog(), &files), ["patch: file alert-rules/runbooks/QueueLong.md is gone"]);
}

#[test]
fn the_changelog_tells_of_changes_and_is_none() {
    let mut files = samples::files();
    files.add(CHANGELOG, "## 1.2.4\n").expect("a path of its own");
    assert_eq!(changes(&samples::catalog(), &files), [""; 0]);
}

#[test]
fn a_newer_grafana_is_a_demand() {
    let old = manifest(&samples::catalog(), &samples::files());
    let mut new = old.clone();
    new.minimum.grafana = Version::new(12, 0, 0);
    let found = Change::all(&old, &new);
    assert_eq!(found[0].to_string(), "major: Grafana 12.0.0 is needed, 9.0.0 no longer suffices");
    assert_eq!(Change::all(&new, &old)[0].to_string(), "minor: Grafana 9.0.0 suffices");
}

#[test]
fn the_version_grows_with_the_gravest_change() {
    let least = |class: Option<Class>, old: &str, new: &str| {
        let changes: Vec<_> = class.into_iter().map(|class| Change { class, what: String::new() }).collect();
        let parse = |text: &str| text.parse().expect("a version");
        missing_version(&changes, &parse(old), &parse(new)).map(|version| version.to_string())
    };
    let needs = |version: &str| Some(version.to_owned());
    assert_eq!(least(Some(Class::Major), "1.2.3", "1.3.0"), needs("2.0.0"));
    assert_eq!(least(Some(Class::Major), "0.2.3", "0.3.0"), needs("1.0.0"));
    assert_eq!(least(Some(Class::Major), "1.2.3", "2.0.0"), None);
    assert_eq!(least(Some(Class::Minor), "1.2.3", "1.2.4"), needs("1.3.0"));
    assert_eq!(least(Some(Class::Minor), "1.2.3", "2.0.0"), None);
    assert_eq!(least(Some(Class::Patch), "1.2.3", "1.2.3"), needs("1.2.4"));
    assert_eq!(least(Some(Class::Patch), "1.2.3", "1.2.4"), None);
    assert_eq!(least(None, "1.2.3", "1.2.3"), None);
    assert_eq!(least(None, "1.2.3", "1.2.2"), needs("1.2.3"));
    assert_eq!(least(Some(Class::Major), "1.2.3", "2.0.0-rc.1"), None);
    assert_eq!(least(Some(Class::Major), "2.0.0-rc.1", "2.0.0"), None);
    assert_eq!(least(Some(Class::Patch), "2.0.0-rc.2", "2.0.0-rc.1"), needs("2.0.0"));
}
