//! The platform as a cluster knows it: Deployments, their pods, the shipped autoscalers and Plimsoll's APIServices.

use serde_json::{Value, json};

use super::World;
use super::pod::Pod;
use super::service::Service;
use crate::harness::cluster_api::ClusterApi;

/// Plimsoll's own.
pub const API_SERVICES: [&str; 3] =
    ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

/// The autoscalers that `deploy` ships, and one by an external metric.
const AUTOSCALERS: [&str; 7] = [
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-api-gateway.yaml"),
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-agent-orchestrator.yaml"),
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-model-orchestration.yaml"),
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-tool-integration.yaml"),
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-web-dashboard.yaml"),
    include_str!("../../../deploy/orchestration/autoscaling/horizontal-pod-autoscaler-agents.yaml"),
    QUEUE_WORKER,
];

const QUEUE_WORKER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: queue-worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: queue-worker}
  minReplicas: 2
  maxReplicas: 6
  metrics:
    - type: External
      external:
        metric: {name: queue_length, selector: {matchLabels: {queue: indexing}}}
        target: {type: AverageValue, averageValue: '10'}
";

pub fn write_api_services(cluster: &ClusterApi) {
    for name in API_SERVICES {
        let condition = json!({"type": "Available", "status": "True", "reason": "Passed"});
        let object = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name, "uid": uid(name)},
            "spec": {}, "status": {"conditions": [condition]},
        });
        cluster.write("apiservices", &object);
    }
}

/// Deployments and pods as they are now; what is no more is deleted.
pub fn write_pods(cluster: &ClusterApi, address: &str, world: &World) {
    let mut gone = cluster.names("pods");
    let known = cluster.names("deployments");
    for service in &world.services {
        if !known.iter().any(|(_, name)| name == service.name) {
            write_deployment(cluster, service);
        }
        for pod in &service.pods {
            let key = (service.namespace.to_owned(), pod.name.clone());
            match gone.iter().position(|it| *it == key) {
                Some(at) => drop(gone.swap_remove(at)),
                None => cluster.write("pods", &self::pod(service, pod, address)),
            }
        }
    }
    gone.iter().for_each(|(namespace, name)| cluster.delete("pods", namespace, name));
}

fn write_deployment(cluster: &ClusterApi, service: &Service) {
    let Service { name, namespace, .. } = service;
    let replica_set = &service.pods[0].replica_set;
    cluster.write(
        "deployments",
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": name, "uid": uid(name)},
            "spec": {"selector": {"matchLabels": {"app": name}}},
        }),
    );
    cluster.write(
        "replicasets",
        &json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "namespace": namespace, "name": replica_set, "uid": uid(replica_set),
                "ownerReferences": [owner("Deployment", name)],
            },
        }),
    );
}

fn pod(service: &Service, pod: &Pod, address: &str) -> Value {
    let (ip, port) = address.rsplit_once(':').expect("an address");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": service.namespace, "name": pod.name, "uid": uid(&pod.name),
            "labels": {"app": service.name, "app.kubernetes.io/name": service.name},
            "ownerReferences": [owner("ReplicaSet", &pod.replica_set)],
            "annotations": {
                "prometheus.io/scrape": "true", "prometheus.io/port": port,
                "prometheus.io/path": format!("/pods/{}/metrics", pod.name),
            },
        },
        "spec": {"containers": [{"name": service.name, "image": service.name}], "nodeName": "n1"},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

fn owner(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid(name), "controller": true})
}

/// Of the name, and another for each.
fn uid(name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("00000000-0000-0000-{:04x}-{:012x}", hash >> 48, hash & 0xffff_ffff_ffff)
}

/// What the autoscalers ask for, and have seen.
pub fn write_autoscalers(cluster: &ClusterApi, world: &World) {
    for text in AUTOSCALERS {
        let mut object: Value = serde_saphyr::from_str(text).expect("a shipped file");
        let name = object["metadata"]["name"].as_str().expect("a name").to_owned();
        let service = world.services.iter().find(|it| it.name == name).expect("a service of the platform");
        object["metadata"]["namespace"] = json!(service.namespace);
        object["metadata"]["uid"] = json!(uid(&format!("autoscaler/{name}")));
        object["status"] = status(service, &object["spec"]);
        cluster.write("horizontalpodautoscalers", &object);
    }
}

fn status(service: &Service, spec: &Value) -> Value {
    let condition = |name: &str, status: bool, reason: &str| json!({"type": name, "status": if status { "True" } else { "False" }, "reason": reason});
    let desired = service.desired();
    let is_limited = desired == *service.replicas.end();
    let metrics = spec["metrics"].as_array().expect("metrics").iter().map(|metric| seen(service, metric));
    let scaled = jiff::Timestamp::from_millisecond(service.scaled).expect("a time").to_string();
    json!({
        "currentReplicas": service.pods.len(), "desiredReplicas": desired, "lastScaleTime": scaled,
        "conditions": [
            condition("AbleToScale", true, "ReadyForNewScale"),
            condition("ScalingActive", true, "ValidMetricFound"),
            condition("ScalingLimited", is_limited, if is_limited { "TooManyReplicas" } else { "DesiredWithinRange" }),
        ],
        "currentMetrics": metrics.collect::<Vec<_>>(),
    })
}

/// A metric of a spec as the status has it.
fn seen(service: &Service, metric: &Value) -> Value {
    let kind = metric["type"].as_str().expect("a type");
    let key = kind.to_lowercase();
    let mut source = metric[&key].clone();
    let target = source.as_object_mut().expect("an object").remove("target").expect("a target");
    let name = source["name"].as_str().or(source["metric"]["name"].as_str()).expect("a name").to_owned();
    let share = |of: f64| json!({"averageUtilization": (of * 100.0).round() as i32, "averageValue": milli(of)});
    source["current"] = match (name.as_str(), target["type"].as_str()) {
        ("cpu", _) => share(service.load() * 0.62),
        ("memory", _) => share(0.55 + 0.1 * service.load()),
        ("queue_length", _) => json!({"averageValue": milli(service.queue_length() / service.pods.len() as f64)}),
        ("decisions_per_second", _) => json!({"averageValue": milli(20.0 * service.load())}),
        ("requests_per_second", _) => json!({"averageValue": milli(50.0 * service.load())}),
        ("latency_p95", _) => json!({"value": milli(service.latency_p95())}),
        other => panic!("the platform does not know {other:?}"),
    };
    json!({"type": kind, key: source})
}

fn milli(value: f64) -> String {
    format!("{}m", (value * 1000.0).round())
}
