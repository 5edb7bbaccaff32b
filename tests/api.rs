use std::time::Duration;

use k8s_metrics::custom_metrics::v1beta2::MetricValue;
use k8s_metrics::external_metrics::v1beta1::ExternalMetricValueList;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIGroupList, APIResourceList, Status};
use serde_json::{Value, json};

use crate::harness::target::Target;
use crate::harness::{CUSTOM, EXTERNAL, Plimsoll};

const V1BETA1: &str = "/apis/custom.metrics.k8s.io/v1beta1";

const METRICS: &str = r#"
metrics:
  - {name: queue_length, unit: messages, split_by: [queue], queue: {series: agent_queue_length, sharing: partitioned}}
  - {name: shared_queue_length, queue: {series: agent_queue_length, sharing: shared}}
  - {name: load, gauge: {series: load, combine: avg}}
  - {name: huge, gauge: {series: huge, combine: sum}}
  - {name: only_external, levels: [external], gauge: {series: load, combine: sum}}
"#;

fn page(a: u32, b: u32, load: f64) -> String {
    format!("agent_queue_length{{queue=\"a\"}} {a}\nagent_queue_length{{queue=\"b\"}} {b}\nload {load}\nhuge 1e300\n")
}

struct Queue;

impl k8s_metrics::external_metrics::ExternalMetric for Queue {
    const KIND: &'static str = "ExternalMetricValue";
    const URL_PATH_SEGMENT: &'static str = "queue_length";
}

/// Two pods of one Deployment behind a Service, and one pod of another.
async fn platform() -> (Plimsoll, [Target; 3]) {
    let targets =
        [Target::page(&page(10, 4, 1.5)).await, Target::page(&page(12, 3, 0.5)).await, Target::page("load 7\n").await];
    let [one, two, other] = &targets;
    let yaml = format!(
        r#"
scrape_configs:
  - job_name: platform
    scrape_interval: 300ms
    scrape_timeout: 250ms
    targets:
      - {{url: "{}", namespace: agents, pod: web-1, owner: "ReplicaSet/web-5d4, Deployment/web", services: [web], node: n1, labels: {{app: web, tier: a}}}}
      - {{url: "{}", namespace: agents, pod: web-2, owner: "ReplicaSet/web-5d4, Deployment/web", services: [web], node: n2, labels: {{app: web, tier: b}}}}
      - {{url: "{}", namespace: agents, pod: other-1, owner: StatefulSet/other, labels: {{app: other}}}}
{METRICS}"#,
        one.url, two.url, other.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/agents/deployments.apps/web/queue_length"), "29").await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/agents/pods/other-1/load"), "7").await;
    (plimsoll, targets)
}

/// A list with its times replaced, after checking that they are times of Kubernetes.
fn timeless(mut list: Value) -> Value {
    for item in list["items"].as_array_mut().expect("items") {
        let time = item["timestamp"].as_str().expect("a time");
        assert!(time.len() == 20 && time.ends_with('Z') && !time.contains('.'), "{time}");
        item["timestamp"] = json!("T");
    }
    list
}

#[tokio::test]
async fn one_definition_answers_at_every_level() {
    let (plimsoll, _targets) = platform().await;
    for (path, expected) in [
        ("namespaces/agents/pods/web-1/queue_length", "14"),
        ("namespaces/agents/deployments.apps/web/queue_length", "29"),
        ("namespaces/agents/replicasets.apps/web-5d4/queue_length", "29"),
        ("namespaces/agents/services/web/queue_length", "29"),
        ("namespaces/agents/metrics/queue_length", "29"),
        ("namespaces/agents/nodes/n2/queue_length", "15"),
        ("nodes/n2/queue_length", "15"),
        ("namespaces/agents/queue_length", "29"),
        // Every pod reports the same two queues: 12 of the one, 4 of the other.
        ("namespaces/agents/deployments.apps/web/shared_queue_length", "16"),
        ("namespaces/agents/deployments.apps/web/load", "1"),
        ("namespaces/agents/statefulsets.apps/other/load", "7"),
        ("namespaces/agents/metrics/load", "3"),
    ] {
        for version in [CUSTOM, V1BETA1] {
            assert_eq!(plimsoll.value(&format!("{version}/{path}")).await, expected, "{version}/{path}");
        }
    }
    assert_eq!(plimsoll.value(&format!("{EXTERNAL}/namespaces/agents/only_external")).await, "9");
}

#[tokio::test]
async fn bodies_are_those_of_kubernetes_to_the_key() {
    let (plimsoll, _targets) = platform().await;
    let path = "namespaces/agents/deployments.apps/web/queue_length?metricLabelSelector=queue%3Da";
    let describe = json!({"kind": "Deployment", "namespace": "agents", "name": "web", "apiVersion": "apps/v1"});
    let selector = json!({"matchLabels": {"queue": "a"}});
    assert_eq!(
        timeless(plimsoll.ok(&format!("{CUSTOM}/{path}")).await),
        json!({
            "kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta2", "metadata": {},
            "items": [{"describedObject": describe, "metric": {"name": "queue_length", "selector": selector}, "timestamp": "T", "value": "22"}],
        })
    );
    assert_eq!(
        timeless(plimsoll.ok(&format!("{V1BETA1}/{path}")).await),
        json!({
            "kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta1", "metadata": {},
            "items": [{"describedObject": describe, "metricName": "queue_length", "timestamp": "T", "value": "22", "selector": selector}],
        })
    );
    let external = plimsoll.ok(&format!("{EXTERNAL}/namespaces/agents/queue_length")).await;
    assert_eq!(
        timeless(external),
        json!({
            "kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {},
            "items": [
                {"metricName": "queue_length", "metricLabels": {"queue": "a"}, "timestamp": "T", "value": "22"},
                {"metricName": "queue_length", "metricLabels": {"queue": "b"}, "timestamp": "T", "value": "7"},
            ],
        })
    );
    let raw = plimsoll.get(&format!("{CUSTOM}/namespaces/agents/pods/web-1/load")).await;
    assert!(raw.body.starts_with(r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[{"describedObject":{"kind":"Pod","namespace":"agents","name":"web-1","apiVersion":"v1"},"metric":{"name":"load","selector":null},"timestamp":""#), "{}", raw.body);
    assert!(raw.body.trim_end().ends_with(r#","value":"1500m"}]}"#), "{}", raw.body);
}

#[tokio::test]
async fn an_independent_client_decodes_the_answers() {
    let (plimsoll, _targets) = platform().await;
    let external = plimsoll.get(&format!("{EXTERNAL}/namespaces/agents/queue_length")).await;
    let decoded: ExternalMetricValueList<Queue> =
        serde_json::from_str(&external.body).expect("an ExternalMetricValueList");
    assert_eq!(decoded.items.len(), 2);
    let pods = plimsoll.get(&format!("{CUSTOM}/namespaces/agents/pods/%2A/load?labelSelector=app%3Dweb")).await;
    let decoded: k8s_openapi::List<MetricValue<Pod>> = serde_json::from_str(&pods.body).expect("a MetricValueList");
    let values: Vec<_> = decoded.items.iter().map(|item| item.value.0.as_str()).collect();
    assert_eq!(values, ["1500m", "500m"]);
    for path in ["/apis", "/apis/custom.metrics.k8s.io", CUSTOM, V1BETA1, EXTERNAL] {
        let body = plimsoll.get(path).await.body;
        let decodes = match path.matches('/').count() {
            1 => serde_json::from_str::<APIGroupList>(&body).map(drop),
            2 => serde_json::from_str::<APIGroup>(&body).map(drop),
            _ => serde_json::from_str::<APIResourceList>(&body).map(drop),
        };
        decodes.unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
    }
    let status = plimsoll.get(&format!("{CUSTOM}/namespaces/agents/pods/nobody/load")).await;
    let status: Status = serde_json::from_str(&status.body).expect("a Status");
    assert_eq!((status.code, status.reason.as_deref()), (Some(404), Some("NotFound")));
}

#[tokio::test]
async fn all_objects_arrive_as_an_escaped_star_and_are_chosen_by_selectors() {
    let (plimsoll, _targets) = platform().await;
    let names = async |query: &str| -> Vec<String> {
        let list = plimsoll.ok(&format!("{CUSTOM}/namespaces/agents/{query}")).await;
        let items = list["items"].as_array().expect("items");
        items.iter().map(|item| item["describedObject"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("pods/%2A/load?labelSelector=app%3Dweb").await, ["web-1", "web-2"]);
    assert_eq!(names("pods/*/load").await, ["other-1", "web-1", "web-2"]);
    assert_eq!(
        names("pods/%2A/load?labelSelector=app+in+%28web%2Cother%29%2Ctier+notin+%28a%29").await,
        ["other-1", "web-2"]
    );
    assert_eq!(names("pods/%2A/load?labelSelector=%21tier&unknown=1&limit=5").await, ["other-1"]);
    assert_eq!(names("pods/%2A/load?fieldSelector=metadata.name%3Dweb-2").await, ["web-2"]);
    // The other pod has no queue, so it is left out: the HPA takes it for missing, not for empty.
    assert_eq!(names("pods/%2A/queue_length").await, ["web-1", "web-2"]);
    assert_eq!(names("deployments.apps/%2A/load?labelSelector=app%3Dweb").await, ["web"]);
    assert_eq!(
        plimsoll.value(&format!("{EXTERNAL}/namespaces/agents/queue_length?labelSelector=queue+in+%28b%29")).await,
        "7"
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_and_never_zero() {
    let (plimsoll, _targets) = platform().await;
    for (path, code, message) in [
        (
            "namespaces/agents/pods/nobody/load",
            404,
            "the server could not find the metric load for pods nobody in namespace agents: no target stands for this object; \
             check its name, namespace and the targets' identity",
        ),
        (
            "namespaces/agents/pods/web-1/lod",
            404,
            "the server could not find the metric lod for pods web-1 in namespace agents: the configuration defines no metric \
             of this name; did you mean load?",
        ),
        (
            "namespaces/agents/pods/%2A/load?labelSelector=app%3Dnone",
            404,
            "the server could not find the metric load for pods in namespace agents with selector app=none: the selector \
             matches no object that has a target; check the selector and the targets' labels",
        ),
        (
            "namespaces/agents/pods/web-1/only_external",
            404,
            "the server could not find the metric only_external for pods web-1 in namespace agents: it is not served for pods; \
             the definition restricts it to external",
        ),
        (
            "namespaces/agents/pods/web-1/queue_length?metricLabelSelector=queue%3Dc",
            404,
            "the server could not find the metric queue_length for pods web-1 in namespace agents: there is data, but none \
             whose labels match queue=c",
        ),
        (
            "namespaces/agents/pods/web-1/load?metricLabelSelector=queue%3Dc",
            400,
            "metric load: it cannot be chosen by the label \"queue\", for its definition has no split_by",
        ),
        ("namespaces/agents/pods/web-1", 404, "the server could not find the requested resource"),
        ("namespaces/agents/pods/web-1/load/more", 404, "the server could not find the requested resource"),
    ] {
        let answer = plimsoll.get(&format!("{CUSTOM}/{path}")).await;
        // Three segments are a root-scoped request for a resource called namespaces.
        let known = answer.message() == message || path.ends_with("pods/web-1") && answer.code == 404;
        assert!(answer.code == code && known, "{path}: {answer:?}");
    }
    for path in [
        "/apis/nothing",
        "/apis/custom.metrics.k8s.io/v1",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/agents",
        "/apis/external.metrics.k8s.io/v1beta1/load",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/agents/load/x",
    ] {
        let answer = plimsoll.get(path).await;
        assert_eq!(
            (answer.code, answer.message().as_str()),
            (404, "the server could not find the requested resource"),
            "{path}"
        );
    }
    let external = plimsoll.get(&format!("{EXTERNAL}/namespaces/nowhere/load")).await;
    assert!(external.code == 404 && external.message().contains("metric load in namespace nowhere"), "{external:?}");
    let bad = plimsoll.get(&format!("{CUSTOM}/namespaces/agents/pods/%2A/load?labelSelector=a%3D%3D%3D")).await;
    assert!(bad.code == 400 && bad.message().starts_with("unable to parse labelSelector \"a===\""), "{bad:?}");
    let index = plimsoll.get("/nothing").await;
    assert!(index.code == 404 && index.json()["paths"].is_array(), "{index:?}");
}

#[tokio::test]
async fn a_value_too_large_for_the_hpa_is_clamped_not_wrapped() {
    let (plimsoll, _targets) = platform().await;
    assert_eq!(plimsoll.value(&format!("{CUSTOM}/namespaces/agents/pods/web-1/huge")).await, "9223372036854775807m");
}

#[tokio::test]
async fn a_value_ends_when_its_sample_is_no_longer_fresh() {
    let (plimsoll, [one, ..]) = platform().await;
    one.set(crate::harness::target::Behaviour::Hang);
    plimsoll.target_becomes(&one.url, |target| target["health"] == "down").await;
    let path = format!("{CUSTOM}/namespaces/agents/pods/web-1/load");
    assert_eq!(plimsoll.value(&path).await, "1500m", "a failed scrape does not end a fresh sample");
    plimsoll.advance(Duration::from_secs(31));
    let answer = plimsoll.refused(&path, "the scrape fails (timeout)").await;
    assert!(
        answer.message().contains("no complete page within the scrape timeout of 250ms; last success 20"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_total_is_not_served_when_too_many_of_its_targets_have_no_data() {
    let (plimsoll, [one, ..]) = platform().await;
    one.set(crate::harness::target::Behaviour::Status("500 Internal Server Error"));
    plimsoll.target_becomes(&one.url, |target| target["health"] == "down").await;
    plimsoll.advance(Duration::from_secs(31));
    let path = format!("{CUSTOM}/namespaces/agents/deployments.apps/web/queue_length");
    let answer = plimsoll.refused(&path, "1 of 2 targets have data, a share below min_coverage 0.8").await;
    assert!(answer.message().contains("(http_status): the target answered 500"), "{answer:?}");
    // A shared queue is known from any one pod.
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/agents/deployments.apps/web/shared_queue_length"), "15").await;
}

#[tokio::test]
async fn discovery_lists_what_is_served() {
    let (plimsoll, _targets) = platform().await;
    let list = plimsoll.ok(CUSTOM).await;
    let resources = list["resources"].as_array().expect("resources");
    let entry = |name: &str| resources.iter().find(|resource| resource["name"] == name).cloned();
    let expected = json!({"name": "deployments.apps/load", "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": ["get"]});
    assert_eq!(entry("deployments.apps/load"), Some(expected));
    assert_eq!(entry("namespaces/load").expect("an entry")["namespaced"], false);
    assert_eq!(entry("nodes/load").expect("an entry")["namespaced"], false);
    assert_eq!(entry("pods/only_external"), None);
    let external = plimsoll.ok(EXTERNAL).await;
    assert_eq!(
        external["resources"][4],
        json!({"name": "only_external", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]})
    );
    let groups = plimsoll.ok("/apis/").await;
    assert_eq!(groups["groups"][0]["preferredVersion"]["groupVersion"], "custom.metrics.k8s.io/v1beta2");
    assert_eq!(plimsoll.get("/api").await.code, 404);
}

#[tokio::test]
async fn aggregated_discovery_has_a_tag_and_is_not_sent_twice() {
    let (plimsoll, _targets) = platform().await;
    let accept = ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json");
    let answer = plimsoll.get_with("/apis", &[accept]).await;
    assert_eq!(answer.header("content-type"), "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let body = answer.json();
    assert_eq!(body["items"][0]["versions"][0]["version"], "v1beta2");
    let pods = body["items"][0]["versions"][0]["resources"]
        .as_array()
        .expect("resources")
        .iter()
        .find(|r| r["resource"] == "pods")
        .cloned();
    let first = pods.expect("pods")["subresources"][0].clone();
    assert_eq!(
        first,
        json!({"subresource": "queue_length", "responseKind": {"group": "", "version": "", "kind": "MetricValueList"}, "verbs": ["get"]})
    );
    let again = plimsoll.get_with("/apis", &[accept, ("if-none-match", answer.header("etag"))]).await;
    assert_eq!((again.code, again.body.as_str()), (304, ""));
    let other = plimsoll.get_with("/apis", &[accept, ("if-none-match", "\"other\"")]).await;
    assert_eq!(other.code, 200);
}

#[tokio::test]
async fn the_hpa_gets_json_and_who_takes_only_protobuf_gets_406() {
    let (plimsoll, _targets) = platform().await;
    let path = format!("{CUSTOM}/namespaces/agents/pods/%2A/load?labelSelector=app%3Dweb");
    let hpa = plimsoll
        .get_with(&path, &[("accept", "application/vnd.kubernetes.protobuf, */*"), ("accept-encoding", "gzip")])
        .await;
    assert_eq!((hpa.code, hpa.header("content-type")), (200, "application/json"));
    let protobuf = plimsoll.get_with(&path, &[("accept", "application/vnd.kubernetes.protobuf")]).await;
    assert_eq!((protobuf.code, protobuf.json()["reason"].as_str()), (406, Some("NotAcceptable")));
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let (plimsoll, _targets) = platform().await;
    let url = format!("{}{CUSTOM}/namespaces/agents/pods/web-1/load", plimsoll.base);
    for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::PATCH] {
        let answer = plimsoll.http.request(method.clone(), &url).send().await.expect("an answer");
        assert_eq!(answer.status(), 405, "{method}");
        assert!(answer.headers().get("retry-after").is_none());
    }
    let head = plimsoll.http.head(&url).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), head.text().await.expect("no body").as_str()), (200, ""));
    let watch = plimsoll.get(&format!("{EXTERNAL}/namespaces/agents/load?watch=true")).await;
    assert_eq!(watch.code, 405);
}

#[tokio::test]
async fn people_get_indented_json() {
    let (plimsoll, _targets) = platform().await;
    let curl = plimsoll.get_with("/apis", &[("user-agent", "curl/8.0")]).await;
    assert!(curl.body.starts_with("{\n  \"kind\": \"APIGroupList\""), "{}", curl.body);
    let pretty = plimsoll.get("/apis?pretty=true").await;
    assert_eq!(pretty.body, curl.body);
}

#[tokio::test]
async fn the_shutdown_is_clean() {
    let (plimsoll, _targets) = platform().await;
    plimsoll.stop().await;
}
