use serde_json::Value;

use super::fleet::{Fleet, items, page_says, push, text};
use super::scene::{CONFIG, HPA, condition};
use crate::harness::controlplane::direct::Direct;
use crate::harness::controlplane::{ControlPlane, eventually};

const SCALED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 2, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: broker}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Pods, pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "10"}}}]
"#;

#[tokio::test]
async fn without_the_api_server_the_last_state_serves_and_says_so_and_afterwards_all_goes_on() {
    let cluster = ControlPlane::start().await;
    let plimsoll = cluster.plimsoll(CONFIG).await;
    let namespace = cluster.namespace("outage").await;
    let fleet = Fleet::new(&cluster, &namespace);
    fleet.apply(SCALED).await;
    let pods = fleet.ready("app=broker", 2).await;
    for pod in &pods {
        push(pod, "a", 8).await;
    }
    fleet.value_becomes("deployments.apps/broker/waiting_jobs", "16").await;
    let direct = plimsoll.direct();
    page_says(&direct, "/readyz?verbose", &["readyz check passed", "[+]discovery ok"]).await;
    metric_becomes(&direct, "plimsoll_kubernetes_watch_up{resource=\"pods\"}", 1.0).await;

    cluster.stop_apiserver();
    let kept = "the kube-apiserver does not answer since ";
    page_says(
        &direct,
        "/readyz?verbose",
        &["readyz check passed", "[!]discovery degraded", kept, "the last known 3 pods stay"],
    )
    .await;
    metric_becomes(&direct, "plimsoll_kubernetes_watch_up{resource=\"pods\"}", 0.0).await;
    page_says(&direct, "/status", &[kept]).await;
    // It goes on scraping what it knows, and selectors still find it.
    push(&pods[0], "a", 4).await;
    let pods_path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods/%2A/waiting_jobs", namespace);
    let selected = format!("{pods_path}?labelSelector=app%3Dbroker");
    eventually("fresh values", || values(&direct, &selected), |values| *values == ["12", "8"]).await;

    println!("the API server was ready {:?} after it was started again", cluster.start_apiserver().await);
    page_says(&direct, "/readyz?verbose", &["readyz check passed", "[+]discovery ok"]).await;
    metric_becomes(&direct, "plimsoll_kubernetes_watch_up{resource=\"pods\"}", 1.0).await;
    push(&pods[1], "a", 16).await;
    let is_scaled = |hpa: &Value| hpa["status"]["currentReplicas"] == 3 && condition(hpa, "ScalingActive") == "True";
    cluster.object_becomes(&namespace, HPA, "broker", is_scaled).await;
    let pods = fleet.ready("app=broker", 3).await;
    for pod in &pods {
        push(pod, "b", 1).await;
    }
    let in_b = format!("{selected}&metricLabelSelector=queue%3Db");
    eventually("new pods too", || values(&direct, &in_b), |values| *values == ["1", "1", "1"]).await;
}

/// The values that are there, in order.
async fn values(direct: &Direct, path: &str) -> Vec<String> {
    let (_, said) = direct.get(path).await.unwrap_or_default();
    let list: Value = serde_json::from_str(&said).unwrap_or_default();
    let mut values: Vec<_> = items(&list["items"]).map(|item| text(&item["value"]).to_owned()).collect();
    values.sort();
    values
}

/// Waits until an own metric has this value.
async fn metric_becomes(direct: &Direct, series: &str, value: f64) {
    let read = |said: &Option<(u16, String)>| {
        let (_, page) = said.as_ref()?;
        page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    };
    eventually(&format!("{series} {value}"), || direct.get("/metrics"), |said| read(said) == Some(value)).await;
}
