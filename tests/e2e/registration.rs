use std::time::Instant;

use serde_json::Value;

use super::fleet::Fleet;
use super::scene::{CONFIG, condition, reason};
use crate::harness::controlplane::{APISERVER, ControlPlane, eventually};

const SCALED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 1, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: broker}
  maxReplicas: 2
  metrics: [{type: Pods, pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "8"}}}]
"#;

#[tokio::test]
async fn a_namespace_is_deleted_at_once_and_one_deleted_while_plimsoll_is_dead_goes_when_it_is_back() {
    let cluster = ControlPlane::start().await;
    let mut plimsoll = cluster.plimsoll(CONFIG).await;
    let namespace = cluster.namespace("short-lived").await;
    let fleet = Fleet::new(&cluster, &namespace);
    fleet.apply(SCALED).await;
    fleet.ready("app=broker", 1).await;
    let (started, before) = (Instant::now(), cluster.log(APISERVER).len());
    cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]).await;
    println!("a namespace was gone {:?} after its deletion", started.elapsed());
    let log = cluster.log(APISERVER);
    let complaints = complaints(&log[before..]);
    assert!(complaints.is_empty(), "{complaints:#?}");

    plimsoll.kill();
    plimsoll.becomes_available(false).await;
    let stuck = cluster.namespace("stuck").await;
    cluster.kubectl(&["delete", "namespace", &stuck, "--wait=false"]).await;
    let namespace = || cluster.get("", "v1/Namespace", &stuck);
    let fails = |namespace: &Value| condition(namespace, "NamespaceDeletionDiscoveryFailure") == "True";
    let waiting = eventually("Kubernetes waits for the groups", namespace, fails).await;
    let said = reason(&waiting, "NamespaceDeletionDiscoveryFailure");
    assert!(said.contains("custom.metrics.k8s.io"), "{said}");
    plimsoll.restart();
    plimsoll.becomes_available(true).await;
    let started = Instant::now();
    eventually("the namespace is gone", namespace, Value::is_null).await;
    println!("a namespace that waited was gone {:?} after Plimsoll was Available", started.elapsed());
}

/// What the API server complains of in our groups. Errors have several lines, of which any may name a group.
fn complaints(log: &str) -> Vec<&str> {
    let is_ours = |line: &&str| ["custom.metrics.k8s.io", "external.metrics.k8s.io"].iter().any(|it| line.contains(it));
    log.lines().filter(is_ours).filter(|line| !line.starts_with('I')).collect()
}
