//! A small catalogue and what could be made of it, for tests.

use semver::Version;
use serde_json::json;

use crate::artifacts::{Bundle, Changelog};
use crate::catalog::{Catalog, Files, Metric, Origin, Unit};

pub fn catalog() -> Catalog {
    let queue = Metric::gauge("queue_length", Unit::Count("messages".into()), "Messages that wait").label("queue");
    let requests = Metric::counter("requests_total", "requests", "Requests").closed_label("code", &["2xx", "5xx"]);
    let duration = Metric::histogram("duration_seconds", Unit::Seconds, "Duration of a request");
    let rate = Metric::gauge("job:requests:rate5m", Unit::Count("requests".into()), "Requests per second").label("job");
    let services = [queue, requests, duration].map(|metric| metric.from(Origin::Service));
    Catalog::default().with(services).with([rate.from(Origin::Recorded)])
}

pub fn files() -> Files {
    let mut files = Files::default();
    let dashboard = json!({
        "uid": "queues",
        "title": "Queues",
        "panels": [
            {"id": 1, "title": "Length", "targets": [{"refId": "A", "expr": "sum by (queue) (queue_length{job=~\"$job\"})"}]},
            {"id": 2, "title": "Rate", "targets": [{"refId": "A", "expr": "job:requests:rate5m{job=~\"$job\"}"}]},
        ],
        "templating": {"list": [{"name": "job", "type": "query", "query": "label_values(queue_length, job)"}]},
    });
    files.add("dashboards/queues.json", dashboard.to_string()).expect("a path of its own");
    let recording = "groups: [{name: recording, rules: [{record: 'job:requests:rate5m', \
                     expr: 'sum by (job) (rate(requests_total[5m]))'}]}]\n";
    files.add("alert-rules/recording.yaml", recording).expect("a path of its own");
    let alerts = "groups: [{name: alerts, rules: [\
                  {alert: QueueLong, expr: 'queue_length{queue=\"a\"} > 100', labels: {severity: warning}},\
                  {alert: Slow, expr: 'rate(duration_seconds_sum[5m]) > 5', labels: {severity: critical}}]}]\n";
    files.add("alert-rules/alerts.yaml", alerts).expect("a path of its own");
    files.add("alert-rules/runbooks/QueueLong.md", "# QueueLong\n").expect("a path of its own");
    files
}

pub fn changelog() -> Changelog {
    Changelog { text: "# Changes\n\n## 1.0.0\n\nThe first version.\n".to_owned() }
}

pub fn version() -> Version {
    Version::new(1, 0, 0)
}

pub fn bundle() -> Bundle {
    let made = Bundle::of(&catalog(), files(), &version(), &changelog(), None);
    made.unwrap_or_else(|refusal| panic!("{refusal}"))
}
