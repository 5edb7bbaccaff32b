use std::collections::BTreeSet;

use serde_json::Value;

use super::fleet::{Fleet, items, push, text};
use super::scene::{HPA, Scene, condition, reason};
use crate::harness::controlplane::{ControlPlane, eventually};

/// Two brokers, and an autoscaler with every form of metric there is. Its numbers move nothing: two is all it may have.
const EVERY_FORM: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 2, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: v1
kind: Service
metadata: {name: broker}
spec: {selector: {app: broker}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: broker}
  minReplicas: 2
  maxReplicas: 2
  metrics:
    - type: Pods
      pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "8"}}
    - type: Pods
      pods:
        metric: {name: waiting_jobs, selector: {matchLabels: {queue: a}}}
        target: {type: AverageValue, averageValue: "8"}
    - type: Pods
      pods:
        metric: {name: waiting_jobs, selector: {matchExpressions: [{key: queue, operator: In, values: [b, a]}]}}
        target: {type: AverageValue, averageValue: "8"}
    - type: Pods
      pods:
        metric: {name: waiting_jobs, selector: {matchExpressions: [{key: queue, operator: NotIn, values: [b]}]}}
        target: {type: AverageValue, averageValue: "8"}
    - type: Pods
      pods:
        metric: {name: waiting_jobs, selector: {matchExpressions: [{key: queue, operator: Exists}]}}
        target: {type: AverageValue, averageValue: "8"}
    - type: Pods
      pods:
        metric: {name: waiting_jobs, selector: {matchExpressions: [{key: tenant, operator: DoesNotExist}]}}
        target: {type: AverageValue, averageValue: "8"}
    - type: Object
      object:
        describedObject: {apiVersion: v1, kind: Service, name: broker}
        metric: {name: waiting_jobs}
        target: {type: Value, value: "8"}
    - type: Object
      object:
        describedObject: {apiVersion: apps/v1, kind: Deployment, name: broker}
        metric: {name: waiting_jobs}
        target: {type: AverageValue, averageValue: "8"}
    - type: Object
      object:
        describedObject: {apiVersion: apps/v1, kind: Deployment, name: broker}
        metric:
          name: waiting_jobs
          selector: {matchLabels: {queue: b}, matchExpressions: [{key: tenant, operator: DoesNotExist}]}
        target: {type: Value, value: "8"}
    - type: Object
      object:
        describedObject: {apiVersion: v1, kind: Node, name: node-1}
        metric: {name: waiting_jobs, selector: {matchLabels: {queue: NAMESPACE}}}
        target: {type: Value, value: "8"}
    - type: Object
      object:
        # Its name does not count: it is the namespace of the autoscaler.
        describedObject: {apiVersion: v1, kind: Namespace, name: kube-system}
        metric: {name: waiting_jobs}
        target: {type: Value, value: "8"}
    - type: External
      external: {metric: {name: Waiting_Jobs}, target: {type: AverageValue, averageValue: "8"}}
    - type: External
      external:
        metric: {name: waiting_jobs, selector: {matchLabels: {queue: a}}}
        target: {type: Value, value: "8"}
---
# An Ingress has no pods, so no value.
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec: {replicas: 1, selector: {matchLabels: {app: front}}, template: POD(front)}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: front}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: front}
  minReplicas: 1
  maxReplicas: 2
  metrics:
    - type: Object
      object:
        describedObject: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: front}
        metric: {name: waiting_jobs}
        target: {type: Value, value: "8"}
"#;

/// What the autoscaler read, in the order of its metrics: an average or a value.
const READ: [&str; 13] = ["10", "2", "8", "4", "10", "10", "20", "10", "12", "4", "20", "10", "4"];

/// What it asked for, below the group of custom metrics and the namespace.
const CUSTOM: [&str; 12] = [
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker",
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker&metricLabelSelector=queue%3Da",
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker&metricLabelSelector=queue+in+%28a%2Cb%29",
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker&metricLabelSelector=queue+notin+%28b%29",
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker&metricLabelSelector=queue",
    "pods/%2A/waiting_jobs?labelSelector=app%3Dbroker&metricLabelSelector=%21tenant",
    "services/broker/waiting_jobs",
    "deployments.apps/broker/waiting_jobs",
    "deployments.apps/broker/waiting_jobs?metricLabelSelector=queue%3Db%2C%21tenant",
    "nodes/node-1/waiting_jobs?metricLabelSelector=queue%3DNAMESPACE",
    "metrics/waiting_jobs",
    "ingresses.networking.k8s.io/front/waiting_jobs",
];

/// What it asked for below the group of external metrics and the namespace.
const EXTERNAL: [&str; 2] = ["waiting_jobs", "waiting_jobs?labelSelector=queue%3Da"];

#[tokio::test]
async fn the_controller_gets_an_answer_to_every_form_of_request_in_the_version_that_has_priority() {
    let scene = Scene::new("requests").await;
    let (fleet, log) = (Fleet::new(&scene.cluster, &scene.namespace), || scene.plimsoll.output());
    fleet.apply(EVERY_FORM).await;
    let brokers = fleet.ready("app=broker", 2).await;
    for (pod, [a, b]) in brokers.iter().zip([[3, 5], [1, 7]]) {
        push(pod, "a", a).await;
        push(pod, "b", b).await;
    }
    push(&brokers[0], &scene.namespace, 4).await;

    let every_value = |hpa: &Value| read(hpa) == READ && condition(hpa, "ScalingActive") == "True";
    scene.becomes(HPA, "broker", every_value).await;
    let front = scene.becomes(HPA, "front", is_inactive).await;
    let said = reason(&front, "ScalingActive");
    let ours = format!(
        "unable to fetch metrics from custom metrics API: the server could not find the metric waiting_jobs for \
         ingresses.networking.k8s.io front in namespace {}: ",
        scene.namespace
    );
    assert!(said.starts_with("FailedGetObjectMetric: ") && said.contains(&ours), "{said}");

    let seen = asked_since(0, log, &scene.namespace, "v1beta2").await;
    prefer(&scene.cluster, "v1beta1", 300).await;
    let seen = asked_since(seen, log, &scene.namespace, "v1beta1").await;
    scene.becomes(HPA, "broker", every_value).await;
    prefer(&scene.cluster, "v1beta1", 100).await;
    asked_since(seen, log, &scene.namespace, "v1beta2").await;
    scene.becomes(HPA, "broker", every_value).await;
}

/// Waits until everything was asked for in this version after so many lines of the log; gives how many there are now.
/// Requests of the version before may be among them, as the change reaches the controller; nothing else may.
async fn asked_since(lines: usize, log: impl Fn() -> String, namespace: &str, version: &str) -> usize {
    let expected = requests(namespace, version);
    let count = || log().lines().count();
    let seen = || async { logged(&log(), lines, namespace) };
    let all: BTreeSet<_> = ["v1beta1", "v1beta2"].iter().flat_map(|version| requests(namespace, version)).collect();
    let seen = eventually(&format!("every request in {version}"), seen, |seen| seen.is_superset(&expected)).await;
    assert!(seen.is_subset(&all), "{:#?}", seen.difference(&all));
    if lines == 0 {
        assert_eq!(seen, expected, "in {version} alone");
    }
    count()
}

fn requests(namespace: &str, version: &str) -> BTreeSet<String> {
    let custom = format!("/apis/custom.metrics.k8s.io/{version}/namespaces/{namespace}/");
    let external = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/");
    let custom = CUSTOM.iter().map(|rest| format!("{custom}{}", rest.replace("NAMESPACE", namespace)));
    custom.chain(EXTERNAL.iter().map(|rest| format!("{external}{rest}"))).collect()
}

/// The different requests about a namespace after so many lines.
fn logged(log: &str, after: usize, namespace: &str) -> BTreeSet<String> {
    let lines = log.lines().skip(after).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let answered = lines.filter(|line| line["message"] == "request answered");
    let whole = answered.map(|line| match (text(&line["path"]), text(&line["query"])) {
        (path, "") => path.to_owned(),
        (path, query) => format!("{path}?{query}"),
    });
    whole.filter(|request| request.contains(&format!("/namespaces/{namespace}/"))).collect()
}

/// Gives a version of custom metrics this priority; the other one has 200.
async fn prefer(cluster: &ControlPlane, version: &str, priority: u32) {
    let (name, patch) =
        (format!("{version}.custom.metrics.k8s.io"), format!("{{\"spec\":{{\"versionPriority\":{priority}}}}}"));
    cluster.kubectl(&["patch", "apiservice", &name, "--type=merge", "-p", &patch]).await;
}

fn read(hpa: &Value) -> Vec<&str> {
    items(&hpa["status"]["currentMetrics"]).map(number).collect()
}

/// What was read of a metric: an average where the target is one.
fn number(metric: &Value) -> &str {
    let current = &metric[text(&metric["type"]).to_lowercase()]["current"];
    text(if current["averageValue"].is_null() { &current["value"] } else { &current["averageValue"] })
}

fn is_inactive(hpa: &Value) -> bool {
    condition(hpa, "ScalingActive") == "False"
}
