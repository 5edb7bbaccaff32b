use serde_json::Value;

use super::fleet::{Fleet, items, push, text};
use super::scene::Scene;
use crate::harness::controlplane::installed::API_SERVICES;
use crate::harness::controlplane::{ControlPlane, eventually};

/// Two brokers, an autoscaler that has its numbers, and one that asks for a metric that nobody defined.
const OBJECTS: &str = r#"
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
    - {type: Pods, pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "8"}}}
    - type: Object
      object:
        describedObject: {apiVersion: v1, kind: Service, name: broker}
        metric: {name: waiting_jobs, selector: {matchLabels: {queue: a}}}
        target: {type: Value, value: "8"}
    - {type: External, external: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "10"}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: misspelt}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: other}
  maxReplicas: 2
  metrics: [{type: External, external: {metric: {name: waiting_jobz}, target: {type: Value, value: "8"}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
spec: {replicas: 1, selector: {matchLabels: {app: other}}, template: POD(other)}
"#;

/// Paths below the group of custom metrics, and the values that are there.
const CUSTOM: [(&str, &[&str]); 12] = [
    ("namespaces/NAMESPACE/pods/%2A/waiting_jobs", &["8", "8", "2"]),
    ("namespaces/NAMESPACE/pods/*/waiting_jobs?labelSelector=app%3Dbroker", &["8", "8"]),
    ("namespaces/NAMESPACE/pods/POD/waiting_jobs?metricLabelSelector=queue%3Db", &["5"]),
    ("namespaces/NAMESPACE/services/broker/waiting_jobs", &["16"]),
    ("namespaces/NAMESPACE/services/%2A/waiting_jobs?metricLabelSelector=queue+notin+%28a%29", &["12"]),
    ("namespaces/NAMESPACE/deployments.apps/broker/waiting_jobs", &["16"]),
    ("namespaces/NAMESPACE/nodes/node-1/waiting_jobs?metricLabelSelector=queue%3DNAMESPACE", &["2"]),
    ("nodes/node-1/waiting_jobs?metricLabelSelector=queue%3DNAMESPACE", &["2"]),
    ("nodes/%2A/waiting_jobs?metricLabelSelector=queue%3DNAMESPACE", &["2"]),
    ("namespaces/NAMESPACE/metrics/waiting_jobs", &["18"]),
    ("namespaces/%2A/metrics/waiting_jobs?labelSelector=kubernetes.io%2Fmetadata.name%3DNAMESPACE", &["18"]),
    ("namespaces/NAMESPACE/deployments.apps/broker/waiting_jobs/", &["16"]),
];

/// The same of external metrics.
const EXTERNAL: [(&str, &[&str]); 2] = [
    ("namespaces/NAMESPACE/waiting_jobs", &["4", "12", "2"]),
    ("namespaces/NAMESPACE/waiting_jobs?labelSelector=queue%3Da", &["4"]),
];

#[tokio::test]
async fn kubectl_reads_every_form_and_describes_what_an_autoscaler_has() {
    let scene = Scene::new("kubectl").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(OBJECTS).await;
    let brokers = fleet.ready("app=broker", 2).await;
    for (pod, [a, b]) in brokers.iter().zip([[3, 5], [1, 7]]) {
        push(pod, "a", a).await;
        push(pod, "b", b).await;
    }
    let other = &fleet.ready("app=other", 1).await[0];
    push(other, fleet.namespace, 2).await;
    fleet.value_becomes("metrics/waiting_jobs", "18").await;

    let name = brokers[0]["metadata"]["name"].as_str().expect("a name");
    let path = |group: &str, rest: &str| {
        format!("/apis/{group}/{}", rest.replace("NAMESPACE", fleet.namespace).replace("POD", name))
    };
    for version in ["v1beta2", "v1beta1"] {
        let group = format!("custom.metrics.k8s.io/{version}");
        for (rest, values) in CUSTOM {
            check(&scene.cluster, &path(&group, rest), "MetricValueList", &group, values).await;
        }
    }
    let group = "external.metrics.k8s.io/v1beta1";
    for (rest, values) in EXTERNAL {
        check(&scene.cluster, &path(group, rest), "ExternalMetricValueList", group, values).await;
    }

    let describe = async |name: &str| fleet.kubectl(&["describe", "hpa", name]).await;
    eventually("numbers", || describe("broker"), |said| has_lines(said, &DESCRIBED)).await;
    let is_refused = |said: &String| said.contains("FailedGetExternalMetric");
    let said = eventually("a reason", || describe("misspelt"), is_refused).await;
    let ours = format!(
        "unable to fetch metrics from external metrics API: the server could not find the metric waiting_jobz in \
         namespace {}: the configuration defines no metric of this name; did you mean waiting_jobs?",
        fleet.namespace
    );
    assert!(said.contains(&ours) && said.contains("<unknown> / 8"), "{said}");
}

#[tokio::test]
async fn kubectl_finds_what_is_registered() {
    let scene = Scene::new("kubectl").await;
    let cluster = &scene.cluster;
    let said = cluster.kubectl(&[&["get", "apiservices", "--no-headers"], &API_SERVICES[..]].concat()).await;
    let rows: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(rows, API_SERVICES.map(|name| [name, "plimsoll-system/plimsoll", "True"]));

    let resources = ["api-resources", "--no-headers", "--cached=false", "--api-group=external.metrics.k8s.io"];
    let said = || cluster.kubectl(&resources);
    let row = ["waiting_jobs external.metrics.k8s.io/v1beta1 true ExternalMetricValueList"];
    eventually("a resource", said, |said| has_lines(said, &row)).await;
    let versions = cluster.kubectl(&["api-versions"]).await;
    for version in GROUP_VERSIONS {
        assert!(versions.lines().any(|line| line == version), "{version}: {versions}");
    }
    let explain = ["explain", "waiting_jobs", "--api-version=external.metrics.k8s.io/v1beta1"];
    // It reads a document that the API server fetches a little after the registration.
    let said = eventually("a description", || cluster.try_kubectl(&explain), Result::is_ok).await.expect("it is");
    assert!(said.contains("KIND:       ExternalMetricValueList"), "{said}");
    assert!(said.contains("items\t<[]ExternalMetricValue>"), "{said}");
}

#[tokio::test]
async fn the_discovery_of_the_whole_cluster_has_the_groups_and_they_are_current() {
    let scene = Scene::new("kubectl").await;
    let cluster = &scene.cluster;
    let groups = eventually("current", || aggregated(cluster), |groups| freshness(groups) == FRESHNESS).await;
    let custom = &groups[0]["versions"][0];
    let pods = items(&custom["resources"]).find(|it| it["resource"] == "pods").expect("pods");
    assert_eq!((&pods["scope"], &pods["responseKind"]["kind"]), (&"Namespaced".into(), &"".into()), "{pods:#}");
    let metric = items(&pods["subresources"]).find(|it| it["subresource"] == "waiting_jobs").expect("a metric");
    assert_eq!((&metric["responseKind"]["kind"], &metric["verbs"]), (&"MetricValueList".into(), &vec!["get"].into()));
    let external = items(&groups[1]["versions"][0]["resources"]).find(|it| it["resource"] == "waiting_jobs");
    let external = external.expect("a metric");
    assert_eq!(external["responseKind"]["kind"], "ExternalMetricValueList");

    let index = || async { json(&cluster.kubectl(&["get", "--raw", "/openapi/v3"]).await) };
    let path = |version: &str| format!("apis/{version}");
    let has_all = |index: &Value| GROUP_VERSIONS.iter().all(|version| index["paths"].get(path(version)).is_some());
    let index = eventually("documents", index, has_all).await;
    for version in GROUP_VERSIONS {
        let url = index["paths"][path(version)]["serverRelativeURL"].as_str().expect("an address");
        let document = json(&cluster.kubectl(&["get", "--raw", url]).await);
        let mut paths = document["paths"].as_object().expect("paths").keys();
        assert!(
            paths.any(|known| known.starts_with(&format!("/apis/{version}/namespaces/{{namespace}}"))),
            "{version}"
        );
    }
}

/// What a described autoscaler has, but for the width of columns.
const DESCRIBED: [&str; 5] = [
    "\"waiting_jobs\" on pods: 8 / 8",
    "\"waiting_jobs\" on Service/broker (target value): 4 / 8",
    "\"waiting_jobs\" (target average value): 9 / 10",
    "Deployment pods: 2 current / 2 desired",
    "ScalingActive True ValidMetricFound the HPA was able to successfully calculate a replica count from pods metric \
     waiting_jobs",
];

const GROUP_VERSIONS: [&str; 3] =
    ["custom.metrics.k8s.io/v1beta2", "custom.metrics.k8s.io/v1beta1", "external.metrics.k8s.io/v1beta1"];

/// Group, versions in the order of preference, and how fresh each is.
const FRESHNESS: [(&str, &str, &str); 3] = [
    ("custom.metrics.k8s.io", "v1beta2", "Current"),
    ("custom.metrics.k8s.io", "v1beta1", "Current"),
    ("external.metrics.k8s.io", "v1beta1", "Current"),
];

/// What clients ask `/apis` for that want to know everything at once.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// What `kubectl get --raw` says of a path: a list of this kind and version with these values.
async fn check(cluster: &ControlPlane, path: &str, kind: &str, group_version: &str, values: &[&str]) {
    let list = json(&cluster.kubectl(&["get", "--raw", path]).await);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&kind.into(), &group_version.into()), "{path}");
    let found: Vec<_> = items(&list["items"]).map(|item| item["value"].as_str().unwrap_or_default()).collect();
    let (mut found, mut values) = (found, values.to_vec());
    found.sort_unstable();
    values.sort_unstable();
    assert_eq!(found, values, "{path}");
}

/// Our groups in the discovery document of the cluster.
async fn aggregated(cluster: &ControlPlane) -> Vec<Value> {
    let request = hyper::Request::get("/apis").header("accept", AGGREGATED).body(Vec::new()).expect("a request");
    let said = cluster.client().request_text(request).await.expect("an answer");
    let mut groups: Vec<_> = items(&json(&said)["items"]).cloned().collect();
    groups.retain(|group| {
        ["custom.metrics.k8s.io", "external.metrics.k8s.io"].iter().any(|it| group["metadata"]["name"] == *it)
    });
    groups.sort_by_key(|group| group["metadata"]["name"].to_string());
    groups
}

fn freshness(groups: &[Value]) -> Vec<(&str, &str, &str)> {
    let mut rows = Vec::new();
    for group in groups {
        let name = text(&group["metadata"]["name"]);
        for version in items(&group["versions"]) {
            rows.push((name, text(&version["version"]), text(&version["freshness"])));
        }
    }
    rows
}

/// Whether a text has these lines, where blanks of any number are one.
fn has_lines(text: &str, wanted: &[&str]) -> bool {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = text.lines().map(words).collect();
    wanted.iter().all(|wanted| lines.iter().any(|line| line == wanted))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
