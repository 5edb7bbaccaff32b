//! Faults of the platform, from the pod to the receiver of a notification: all that is between is real and as it is shipped,
//! thirty times as fast.

use serde_json::{Value, json};

use crate::harness::alertmanager::Alertmanager;
use crate::harness::pace;
use crate::harness::platform::Fault;
use crate::harness::prometheus::Prometheus;
use crate::harness::stage::{Stage, rule_files};
use std::time::{Duration, Instant};

/// How much faster rules and routes are.
const TIMES: u32 = 30;

/// A latency burns its budget for three quarters of an hour, and a sample is fresh for 30 s, which is not faster.
const PATIENCE: Duration = Duration::from_secs(90);

/// One alert as a receiver was told of it.
#[derive(Clone, Debug)]
struct Notice {
    receiver: String,
    /// Of the group it came with.
    group: Value,
    is_firing: bool,
    labels: Value,
    /// How many alerts came together.
    together: usize,
}

/// All that receivers were told, one by one.
fn notices(alertmanager: &Alertmanager) -> Vec<Notice> {
    let of_message = |(receiver, message): (String, Value)| {
        let alerts = message["alerts"].as_array().cloned().unwrap_or_default();
        let together = alerts.len();
        let notice = move |alert: Value| Notice {
            receiver: receiver.clone(),
            group: message["groupLabels"].clone(),
            is_firing: alert["status"] == "firing",
            labels: alert["labels"].clone(),
            together,
        };
        alerts.into_iter().map(notice).collect::<Vec<_>>()
    };
    alertmanager.told().into_iter().flat_map(of_message).collect()
}

impl Notice {
    fn is(&self, alert: &str, labels: &[(&str, &str)]) -> bool {
        self.labels["alertname"] == alert && labels.iter().all(|(name, value)| self.labels[name] == *value)
    }
}

/// Waits until a receiver was told of an alert.
async fn told(alertmanager: &Alertmanager, is_meant: impl Fn(&Notice) -> bool, what: &str) -> Notice {
    let started = Instant::now();
    loop {
        let all = notices(alertmanager);
        if let Some(found) = all.iter().find(|notice| is_meant(notice)) {
            println!("{what}: after {:?}", started.elapsed());
            return found.clone();
        }
        assert!(started.elapsed() < PATIENCE, "nobody was told of {what} within {PATIENCE:?}, but:\n{}", lines(&all));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn lines(notices: &[Notice]) -> String {
    notices.iter().map(|it| format!("{} {} {}\n", it.receiver, it.is_firing, it.labels)).collect()
}

/// Waits until Plimsoll and the platform are well: autoscalers have their numbers.
async fn are_well(prometheus: &Prometheus) {
    let now = || plimsoll::clock::Clock::system().now().0 as f64 / 1000.0;
    let available = async || {
        prometheus.query("plimsoll_hpa_metric_available == 0 or absent(plimsoll_hpa_metric_available)", now()).await
    };
    crate::harness::eventually(available, Vec::is_empty).await;
    // A busy machine misses a scrape now and then; one that nobody answers stays.
    let started = Instant::now();
    while prometheus.query("count(up == 1) > 20 unless count(up == 0)", now()).await.is_empty() {
        let down = prometheus.query("up == 0", now()).await;
        assert!(started.elapsed() < PATIENCE, "these are down: {down:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_faults_arrive_where_they_should_grouped_and_inhibited() {
    let (stage, alertmanager) = (Stage::start().await, Alertmanager::start(TIMES).await);
    let rules: Vec<_> = rule_files().iter().map(|(name, rules)| (name.clone(), pace::faster(rules, TIMES))).collect();
    let prometheus = stage.prometheus_with(&rules, alertmanager.alerting(), None);
    are_well(&prometheus).await;
    stage.platform.inject("tool-integration", Some(Fault::Down));
    stage.platform.inject("web-dashboard", Some(Fault::Slow));
    ["agents", "agent-orchestrator"].iter().for_each(|it| stage.platform.inject(it, Some(Fault::Frozen)));

    // A source that is down wakes somebody up.
    let of_down = |it: &Notice| it.is("PlatformServiceDown", &[("workload", "tool-integration")]);
    let down = told(&alertmanager, |it| of_down(it) && it.receiver == "on-call", "a service that is down").await;
    assert_eq!(down.labels["severity"], "critical");
    assert_eq!(down.group, json!({"service": "platform", "alertname": "PlatformServiceDown", "namespace": "agents"}));

    // Latency: what is slower than 5 s says that it is slower than 2 s.
    let of_p99 = |it: &Notice| it.is("PlatformResponseTimeP99High", &[("workload", "web-dashboard")]);
    told(&alertmanager, |it| of_p99(it) && it.receiver == "performance", "answers that take long").await;
    let of_burn =
        |it: &Notice| it.is("PlatformLatencyBurn", &[("workload", "web-dashboard"), ("severity", "critical")]);
    told(&alertmanager, |it| of_burn(it) && it.receiver == "on-call", "a latency that burns its budget").await;

    // Samples that stay what they were are no numbers: both autoscalers in one message, that wakes somebody up.
    let of_stale = |it: &Notice| {
        it.is("PlimsollHPAMetricStale", &[("hpa_namespace", "agents"), ("severity", "critical")])
            && it.receiver == "on-call"
    };
    told(&alertmanager, |it| of_stale(it) && it.together > 1, "metrics that are stale").await;
    for hpa in ["agents", "agent-orchestrator"] {
        told(&alertmanager, |it| of_stale(it) && it.labels["hpa"] == hpa, hpa).await;
    }

    // Inhibited, and so told to nobody; those it would have been told to were told of something.
    let all = notices(&alertmanager);
    let inhibited = |it: &&Notice| {
        it.is("PlatformResponseTimeP95High", &[("workload", "web-dashboard")])
            || it.is("PlatformLatencyBurn", &[("workload", "web-dashboard"), ("severity", "warning")])
            || it.is("PlimsollHPAMetricMissing", &[])
            || (it.labels["workload"] == "tool-integration" && !of_down(it))
            // A replica is one here.
            || (it.labels["service"] == "plimsoll"
                && !of_stale(it)
                && !["PlimsollSingleReplica", "PlimsollSourceDegraded"].iter().any(|alert| it.is(alert, &[])))
    };
    let wrong: Vec<Notice> = all.iter().filter(inhibited).cloned().collect();
    assert!(wrong.is_empty(), "{}", lines(&wrong));
    // P95 is high all the same: Alertmanager keeps it back.
    let of_p95 = |alert: &Value| {
        alert["labels"]["alertname"] == "PlatformResponseTimeP95High" && alert["labels"]["workload"] == "web-dashboard"
    };
    let is_kept_back = |alerts: &Vec<Value>| {
        let p95 = alerts.iter().find(|alert| of_p95(alert));
        p95.and_then(|alert| alert["status"]["inhibitedBy"].as_array()).is_some_and(|by| !by.is_empty())
    };
    crate::harness::eventually(async || alertmanager.alerts().await, is_kept_back).await;

    // What other receivers than webhooks are sent is what the templates make of it.
    let sent = alertmanager.told();
    let text_of = |receiver: &str| sent.iter().find(|(it, _)| it == receiver).map(|(_, body)| body.to_string());
    for receiver in ["slack", "pagerduty"] {
        let text = text_of(receiver).unwrap_or_else(|| panic!("{receiver} was sent nothing"));
        assert!(text.contains("runbooks.example.com") || text.contains("grafana.example.com"), "{text}");
        assert!(!text.contains("<no value>"), "{text}");
    }

    // All is well again, and that is told too.
    stage.platform.inject("tool-integration", None);
    told(&alertmanager, |it| of_down(it) && !it.is_firing, "a service that is back").await;
}
