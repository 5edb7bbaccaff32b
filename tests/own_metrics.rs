// Comparison with the catalogue of all metrics.
mod catalogue;

use serde_json::{Value, json};

use crate::harness::cluster_api::{ClusterApi, Trouble};
use crate::harness::target::Target;
use crate::harness::{CUSTOM, Plimsoll, config, eventually};

const CONFIG: &str = "scrape_configs:
  - job_name: agents
    scrape_interval: 300ms
    scrape_timeout: 250ms
    freshness: 1s
    targets: [{url: \"URL\", namespace: ns, pod: web-1, owner: Deployment/web, services: [front]}]
metrics:
  - {name: queue_length, gauge: {series: queue, combine: sum}, split_by: [queue]}
";

/// An autoscaler of Deployment `web` that asks for a metric of its pods, one that nobody has, and the CPU.
fn autoscaler() -> Value {
    let pods = |name: &str, selector: &Value| {
        json!({"type": "Pods", "pods": {
            "metric": {"name": name, "selector": selector}, "target": {"type": "AverageValue", "averageValue": "2500m"},
        }})
    };
    let cpu = json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
    }});
    let seen = json!({"type": "Pods", "pods": {"metric": {"name": "queue_length"}, "current": {"averageValue": "3"}}});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "ns", "name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 10,
            "metrics": [
                pods("queue_length", &json!({"matchLabels": {"queue": "a"}})),
                pods("queue_lenght", &Value::Null),
                cpu,
            ],
        },
        "status": {
            "currentReplicas": 3, "desiredReplicas": 4, "lastScaleTime": "2026-01-02T03:04:05Z",
            "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}],
            "currentMetrics": [seen],
        },
    })
}

fn api_service(version: &str, status: &str) -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": version}, "spec": {"groupPriorityMinimum": 100, "versionPriority": 100},
        "status": {"conditions": [{"type": "Available", "status": status}]},
    })
}

/// A page with a queue of 6 messages, and a cluster with one autoscaler.
async fn world() -> (ClusterApi, Target) {
    let api = ClusterApi::start().await;
    api.write("horizontalpodautoscalers", &autoscaler());
    let target = Target::page("queue{queue=\"a\"} 6\nqueue{queue=\"b\"} 1\n").await;
    (api, target)
}

async fn start(api: &ClusterApi, target: &Target) -> Plimsoll {
    let plimsoll = api.plimsoll(&CONFIG.replace("URL", &target.url)).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/web-1/queue_length"), "7").await;
    plimsoll
}

/// The value of the series of a name with these labels among others, `None` while there is none.
async fn value(plimsoll: &Plimsoll, name: &str, labels: &[&str]) -> Option<f64> {
    let page = plimsoll.get("/metrics").await.body;
    let is_meant = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
    };
    page.lines().find(is_meant)?.rsplit(' ').next()?.parse().ok()
}

async fn becomes(plimsoll: &Plimsoll, name: &str, labels: &[&str], expected: Option<f64>) {
    eventually(|| value(plimsoll, name, labels), |value| *value == expected).await;
}

const QUEUE: &[&str] = &[
    r#"hpa_namespace="ns",hpa="web",type="pods",metric="queue_length",target_type="AverageValue""#,
    r#"selector="queue=a""#,
];

#[tokio::test]
async fn an_autoscaler_is_shown_with_what_it_asks_for_and_what_it_gets() {
    let (api, target) = world().await;
    let plimsoll = start(&api, &target).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_value", QUEUE, Some(6.0)).await;
    let age = value(&plimsoll, "plimsoll_hpa_metric_age_seconds", QUEUE).await.expect("an age");
    assert!((0.0..10.0).contains(&age), "{age}");
    let of = r#"hpa_namespace="ns",hpa="web""#;
    let typo = r#"metric="queue_lenght""#;
    for (name, labels, expected) in [
        ("hpa_metric_available", QUEUE, Some(1.0)),
        ("hpa_metric_target", QUEUE, Some(2.5)),
        ("hpa_metric_seen", QUEUE, Some(3.0)),
        ("hpa_metric_available", &[of, typo], Some(0.0)),
        ("hpa_metric_value", &[of, typo], None),
        ("hpa_metric_target", &[of, r#"metric="cpu",target_type="Utilization""#], Some(80.0)),
        ("hpa_metric_available", &[of, r#"metric="cpu""#], None),
        ("hpa_current_replicas", &[of], Some(3.0)),
        ("hpa_desired_replicas", &[of], Some(4.0)),
        ("hpa_min_replicas", &[of], Some(2.0)),
        ("hpa_max_replicas", &[of], Some(10.0)),
        ("hpa_last_scale_timestamp_seconds", &[of], Some(1_767_323_045.0)),
        ("hpa_condition", &[of, r#"condition="ScalingActive",status="true""#], Some(1.0)),
        ("hpa_condition", &[of, r#"condition="ScalingActive",status="false""#], Some(0.0)),
        ("hpa_watch_up", &[], Some(1.0)),
    ] {
        assert_eq!(value(&plimsoll, &format!("plimsoll_{name}"), labels).await, expected, "{name} {labels:?}");
    }
    // It is gone, and so is everything of it.
    api.delete("horizontalpodautoscalers", "ns", "web");
    becomes(&plimsoll, "plimsoll_hpa_max_replicas", &[of], None).await;
    assert!(!plimsoll.get("/metrics").await.body.contains(of));
    plimsoll.stop().await;
}

#[tokio::test]
async fn a_metric_that_goes_missing_is_not_available_and_has_no_value() {
    let (api, target) = world().await;
    let plimsoll = start(&api, &target).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_available", QUEUE, Some(1.0)).await;
    target.set(crate::harness::target::Behaviour::Status("500 Internal Server Error"));
    becomes(&plimsoll, "plimsoll_hpa_metric_available", QUEUE, Some(0.0)).await;
    assert_eq!(value(&plimsoll, "plimsoll_hpa_metric_value", QUEUE).await, None);
    let age = value(&plimsoll, "plimsoll_hpa_metric_age_seconds", QUEUE).await;
    assert!(age.is_some_and(|age| age > 0.0), "it was there, and grew too old: {age:?}");
    let typo = [r#"hpa="web""#, r#"metric="queue_lenght""#];
    assert_eq!(value(&plimsoll, "plimsoll_hpa_metric_age_seconds", &typo).await, None, "it never was there");
    assert_eq!(value(&plimsoll, "plimsoll_hpa_metric_target", QUEUE).await, Some(2.5), "it is asked for still");
    let job = r#"scrape_job="agents""#;
    becomes(&plimsoll, "plimsoll_source_targets", &[job, r#"state="stale""#], Some(1.0)).await;
    assert!(value(&plimsoll, "plimsoll_scrape_failures_total", &[job, r#"reason="http_status""#]).await >= Some(1.0));
    assert!(value(&plimsoll, "plimsoll_source_last_success_timestamp_seconds", &[job]).await > Some(1e9));
    plimsoll.stop().await;
}

#[tokio::test]
async fn without_the_right_to_follow_autoscalers_all_else_works() {
    let (api, target) = world().await;
    api.trouble("horizontalpodautoscalers", Some(Trouble::Forbidden));
    let plimsoll = start(&api, &target).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    assert_eq!(value(&plimsoll, "plimsoll_hpa_watch_up", &[]).await, Some(0.0));
    assert!(!plimsoll.get("/metrics").await.body.contains("plimsoll_hpa_metric_target{"));
    let asked = api.requests().iter().filter(|path| path.contains("horizontalpodautoscalers")).count();
    assert_eq!(asked, 1, "it does not ask again at once");
    plimsoll.stop().await;
}

#[tokio::test]
async fn while_the_kube_apiserver_is_away_autoscalers_stay_as_they_were() {
    let (mut api, target) = world().await;
    let plimsoll = start(&api, &target).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_value", QUEUE, Some(6.0)).await;
    api.go();
    becomes(&plimsoll, "plimsoll_hpa_watch_up", &[], Some(0.0)).await;
    assert_eq!(value(&plimsoll, "plimsoll_hpa_metric_value", QUEUE).await, Some(6.0));
    let mut scaled = autoscaler();
    scaled["status"]["currentReplicas"] = json!(4);
    api.write("horizontalpodautoscalers", &scaled);
    api.come().await;
    becomes(&plimsoll, "plimsoll_hpa_current_replicas", &[], Some(4.0)).await;
    assert_eq!(value(&plimsoll, "plimsoll_hpa_watch_up", &[]).await, Some(1.0));
    plimsoll.stop().await;
}

#[tokio::test]
async fn what_the_kube_apiserver_says_of_our_apis_is_shown_and_what_it_does_not_say_is_not() {
    let (api, target) = world().await;
    api.write("apiservices", &api_service("v1beta2.custom.metrics.k8s.io", "True"));
    api.write("apiservices", &api_service("v1beta1.external.metrics.k8s.io", "False"));
    let plimsoll = start(&api, &target).await;
    let name = "plimsoll_apiservice_available";
    becomes(&plimsoll, name, &[r#"apiservice="v1beta2.custom.metrics.k8s.io""#], Some(1.0)).await;
    becomes(&plimsoll, name, &[r#"apiservice="v1beta1.external.metrics.k8s.io""#], Some(0.0)).await;
    assert_eq!(value(&plimsoll, name, &[r#"apiservice="v1beta1.custom.metrics.k8s.io""#]).await, None);
    plimsoll.stop().await;
}

#[tokio::test]
async fn what_another_adapter_serves_is_neither_available_nor_missing() {
    let (api, target) = world().await;
    let mut external = autoscaler();
    let metric = |name: &str| {
        json!({"type": "External", "external": {
            "metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "4"},
        }})
    };
    external["metadata"]["name"] = json!("worker");
    external["spec"]["metrics"] = json!([metric("s0-redis-jobs")]);
    api.write("horizontalpodautoscalers", &external);
    let mut theirs = api_service("v1beta1.external.metrics.k8s.io", "False");
    theirs["spec"]["service"] = json!({"namespace": "keda", "name": "keda-operator-metrics-apiserver"});
    api.write("apiservices", &theirs);
    let plimsoll = start(&api, &target).await;
    let jobs = [r#"hpa="worker""#, r#"metric="s0-redis-jobs""#];
    becomes(&plimsoll, "plimsoll_hpa_metric_target", &jobs, Some(4.0)).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_available", &jobs, None).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_available", QUEUE, Some(1.0)).await;
    let of_group = [r#"apiservice="v1beta1.external.metrics.k8s.io""#];
    assert_eq!(value(&plimsoll, "plimsoll_apiservice_available", &of_group).await, None, "it is no API of ours");
    plimsoll.stop().await;
}

#[tokio::test]
async fn a_job_has_its_series_from_when_it_is_configured_until_it_is_not() {
    let target = Target::page("queue{queue=\"a\"} 6\n").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plimsoll.yaml");
    let one = CONFIG.replace("URL", &target.url);
    let missing = folder.path().join("none.json");
    let job = |name: &str| {
        let files = format!("  - job_name: {name}\n    file_sd_configs: [{{files: [\"{}\"]}}]\n", missing.display());
        one.replace("metrics:\n", &format!("{files}metrics:\n"))
    };
    std::fs::write(&file, &one).expect("written");
    let plimsoll = Plimsoll::start_with(config(&one), Some(file.clone())).await;
    eventually(|| value(&plimsoll, "plimsoll_scrapes_total", &[r#"scrape_job="agents""#]), |it| *it >= Some(1.0)).await;
    std::fs::write(&file, job("idle")).expect("written");
    let idle = r#"scrape_job="idle""#;
    becomes(&plimsoll, "plimsoll_scrapes_total", &[idle], Some(0.0)).await;
    for (name, label) in
        [("plimsoll_scrape_failures_total", r#"reason="timeout""#), ("plimsoll_source_targets", r#"state="fresh""#)]
    {
        assert_eq!(value(&plimsoll, name, &[idle, label]).await, Some(0.0), "{name}");
    }
    assert!(value(&plimsoll, "plimsoll_scrapes_total", &[r#"scrape_job="agents""#]).await >= Some(1.0), "it counts on");
    std::fs::write(&file, &one).expect("written");
    becomes(&plimsoll, "plimsoll_scrapes_total", &[idle], None).await;
    assert!(!plimsoll.get("/metrics").await.body.contains(idle));
    plimsoll.stop().await;
}

#[tokio::test]
async fn a_readiness_check_is_in_one_state_at_a_time() {
    let (_api, target) = world().await;
    let plimsoll = Plimsoll::start(&CONFIG.replace("URL", &target.url)).await;
    let check = r#"check="scrape""#;
    becomes(&plimsoll, "plimsoll_readiness", &[check, r#"state="ok""#], Some(1.0)).await;
    target.set(crate::harness::target::Behaviour::Status("500 Internal Server Error"));
    becomes(&plimsoll, "plimsoll_readiness", &[check, r#"state="degraded""#], Some(1.0)).await;
    for state in [r#"state="ok""#, r#"state="not_ready""#] {
        assert_eq!(value(&plimsoll, "plimsoll_readiness", &[check, state]).await, Some(0.0), "{state}");
    }
    plimsoll.stop().await;
}

#[tokio::test]
async fn requests_are_told_apart_by_what_they_ask_for() {
    let (_api, target) = world().await;
    let plimsoll = Plimsoll::start(&CONFIG.replace("URL", &target.url)).await;
    let custom = r#"group="custom.metrics.k8s.io""#;
    let lists = [custom, r#"verb="list""#, r#"code="404""#];
    assert_eq!(value(&plimsoll, "plimsoll_api_requests_total", &lists).await, Some(0.0), "from the start");
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/web-1/queue_length"), "7").await;
    assert_eq!(plimsoll.get(&format!("{CUSTOM}/namespaces/ns/pods/*/none")).await.code, 404);
    assert_eq!(value(&plimsoll, "plimsoll_api_requests_total", &lists).await, Some(1.0));
    let gets = [custom, r#"verb="get""#, r#"code="200""#];
    assert!(value(&plimsoll, "plimsoll_api_requests_total", &gets).await >= Some(1.0));
    let count = value(&plimsoll, "plimsoll_api_request_duration_seconds_count", &[custom, r#"verb="list""#]).await;
    assert_eq!(count, Some(1.0));
    plimsoll.stop().await;
}
