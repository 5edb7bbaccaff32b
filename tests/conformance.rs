use std::collections::BTreeMap;

use k8s_metrics::custom_metrics::v1beta2::MetricValue;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResourceList, LabelSelector, Status, Time,
};
use kube::core::discovery::v2::APIGroupDiscoveryList;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::harness::target::Target;
use crate::harness::{Answer, CUSTOM, EXTERNAL, Plimsoll};

pub const V1BETA1: &str = "/apis/custom.metrics.k8s.io/v1beta1";
const CUSTOM_VERSIONS: [&str; 2] = [CUSTOM, V1BETA1];

/// What clients accept that want all of discovery at once.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Headers with which requests of the autoscaler arrive from the kube-apiserver.
const AUTOSCALER: [(&str, &str); 9] = [
    ("accept", "application/vnd.kubernetes.protobuf, */*"),
    ("accept-encoding", "gzip"),
    (
        "user-agent",
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/0000000/system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    ),
    ("x-forwarded-host", "localhost:443"),
    ("x-forwarded-proto", "https"),
    ("x-remote-user", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
    ("x-remote-group", "system:serviceaccounts"),
    ("x-remote-uid", "1c1990a0-5424-4218-b6b0-f7fc00a93d72"),
    ("x-remote-extra-authentication.kubernetes.io%2fcredential-id", "JTI=58b6cb92-f404-40b3-a807-eb8ec2601f2a"),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List<T> {
    kind: String,
    api_version: String,
    metadata: Nothing,
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// `MetricValue` of custom.metrics.k8s.io/v1beta1.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ValueV1Beta1 {
    described_object: DescribedObject,
    metric_name: String,
    timestamp: Time,
    window: Option<i64>,
    value: String,
    selector: Option<LabelSelector>,
}

/// `MetricValue` of custom.metrics.k8s.io/v1beta2.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ValueV1Beta2 {
    described_object: DescribedObject,
    metric: Identifier,
    timestamp: Time,
    window_seconds: Option<i64>,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identifier {
    name: String,
    selector: Option<LabelSelector>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DescribedObject {
    kind: String,
    namespace: Option<String>,
    name: String,
    api_version: String,
}

/// `ExternalMetricValue` of external.metrics.k8s.io/v1beta1.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExternalValue {
    metric_name: String,
    metric_labels: BTreeMap<String, String>,
    timestamp: Time,
    window: Option<i64>,
    value: String,
}

/// What both versions of the custom API say of a value.
#[derive(Debug, PartialEq)]
struct Said {
    object: String,
    metric: String,
    window: Option<i64>,
    value: String,
    selector: Option<LabelSelector>,
}

/// Two pods of a Deployment behind a Service on one node, in the namespace ns.
pub async fn platform() -> (Plimsoll, Target) {
    let page = "load 1.5\nqps{verb=\"GET\",code=\"200\"} 3\nqps{verb=\"GET\",code=\"500\"} 4\nqps{verb=\"PUT\",code=\"200\"} 5\n";
    let target = Target::page(page).await;
    let pod = |name: &str| {
        format!(
            "{{url: \"{}?{name}\", namespace: ns, pod: {name}, owner: \"ReplicaSet/web-5d4, Deployment/web\", \
             services: [websvc], node: n1, labels: {{app: web}}}}",
            target.url
        )
    };
    let yaml = format!(
        "scrape_configs:\n  - {{job_name: web, scrape_interval: 300ms, scrape_timeout: 250ms, targets: [{}, {}]}}\n\
         metrics:\n  - {{name: load, gauge: {{series: load, combine: sum}}}}\n  \
         - {{name: qps, split_by: [code, verb], gauge: {{series: qps, combine: sum}}}}\n",
        pod("web-1"),
        pod("web-2"),
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/metrics/load"), "3").await;
    (plimsoll, target)
}

/// Asks, and checks what holds for every answer: client-go sleeps on a `Retry-After` inside a worker of the autoscaler.
pub async fn ask(plimsoll: &Plimsoll, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = plimsoll.http.request(method, format!("{}{path}", plimsoll.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = Answer::of(request.send().await.expect("an answer")).await;
    assert!(!answer.headers.contains_key("retry-after"), "{path}: {:?}", answer.headers);
    answer
}

/// Asks as the autoscaler does.
async fn autoscaler(plimsoll: &Plimsoll, path: &str) -> Answer {
    let answer = ask(plimsoll, Method::GET, path, &AUTOSCALER).await;
    assert_eq!(answer.header("content-type"), "application/json", "{path}");
    answer
}

/// Decodes a list of the custom API by types of its version.
#[track_caller]
fn decode_custom(version: &str, answer: &Answer) -> Vec<Said> {
    let object = |object: DescribedObject| {
        let namespace = object.namespace.map(|namespace| namespace + "/").unwrap_or_default();
        format!("{} {} {namespace}{}", object.api_version, object.kind, object.name)
    };
    let (kind, api_version, said): (String, String, Vec<Said>) = if version == V1BETA1 {
        let list: List<ValueV1Beta1> = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        let List { kind, api_version, metadata: Nothing {}, items } = list;
        let say = |item: ValueV1Beta1| {
            let ValueV1Beta1 { described_object, metric_name: metric, timestamp, window, value, selector } = item;
            assert!(timestamp.0.as_second() > 0);
            Said { object: object(described_object), metric, window, value, selector }
        };
        (kind, api_version, items.into_iter().map(say).collect())
    } else {
        let list: List<ValueV1Beta2> = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        let List { kind, api_version, metadata: Nothing {}, items } = list;
        let say = |item: ValueV1Beta2| {
            let ValueV1Beta2 { described_object, metric, timestamp, window_seconds: window, value } = item;
            assert!(timestamp.0.as_second() > 0);
            let Identifier { name, selector } = metric;
            Said { object: object(described_object), metric: name, window, value, selector }
        };
        let theirs: k8s_openapi::List<MetricValue<Pod>> =
            serde_json::from_str(&answer.body).expect("a MetricValueList");
        assert_eq!(theirs.items.len(), items.len());
        (kind, api_version, items.into_iter().map(say).collect())
    };
    assert_eq!((kind.as_str(), format!("/apis/{api_version}").as_str()), ("MetricValueList", version));
    said
}

fn match_labels(labels: &[(&str, &str)]) -> LabelSelector {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    LabelSelector { match_labels: Some(labels.iter().map(pair).collect()), ..LabelSelector::default() }
}

#[tokio::test]
async fn every_form_of_request_of_the_autoscaler_is_answered_in_both_versions() {
    let (plimsoll, _target) = platform().await;
    let web = ["v1 Pod ns/web-1", "v1 Pod ns/web-2"];
    for (path, metric, objects, value) in [
        ("namespaces/ns/pods/%2A/load?labelSelector=app%3Dweb", "load", &web[..], "1500m"),
        (
            "namespaces/ns/pods/%2A/qps?labelSelector=app%3Dweb&metricLabelSelector=code+notin+%28400%2C500%29%2Cverb%3DGET",
            "qps",
            &web,
            "3",
        ),
        ("namespaces/ns/services/websvc/load", "load", &["v1 Service ns/websvc"], "3"),
        ("namespaces/ns/deployments.apps/web/load", "load", &["apps/v1 Deployment ns/web"], "3"),
        ("namespaces/ns/replicasets.apps/web-5d4/load", "load", &["apps/v1 ReplicaSet ns/web-5d4"], "3"),
        ("namespaces/ns/nodes/n1/load", "load", &["v1 Node n1"], "3"),
        ("nodes/n1/load", "load", &["v1 Node n1"], "3"),
        ("nodes/%2A/load", "load", &["v1 Node n1"], "3"),
        ("namespaces/ns/metrics/load", "load", &["v1 Namespace ns"], "3"),
        ("namespaces/ns/services/websvc/qps?metricLabelSelector=verb%3DGET", "qps", &["v1 Service ns/websvc"], "14"),
        ("namespaces/ns/pods/web-2/load", "load", &web[1..], "1500m"),
    ] {
        for version in CUSTOM_VERSIONS {
            let answer = autoscaler(&plimsoll, &format!("{version}/{path}")).await;
            assert_eq!(answer.code, 200, "{version}/{path}: {answer:?}");
            let said = decode_custom(version, &answer);
            assert_eq!(said.iter().map(|said| said.object.as_str()).collect::<Vec<_>>(), objects, "{version}/{path}");
            for said in said {
                assert_eq!((said.metric.as_str(), said.value.as_str(), said.window), (metric, value, None), "{path}");
                let is_chosen = path.contains("metricLabelSelector");
                assert_eq!(said.selector.is_some(), is_chosen, "{path}");
                if path.contains("services/websvc/qps") {
                    assert_eq!(said.selector, Some(match_labels(&[("verb", "GET")])), "{path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn external_metrics_are_chosen_by_the_label_selector() {
    let (plimsoll, _target) = platform().await;
    let items = async |path: &str| -> Vec<(String, String)> {
        let answer = autoscaler(&plimsoll, &format!("{EXTERNAL}/namespaces/ns/{path}")).await;
        let list: List<ExternalValue> =
            serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        let names = (list.kind.as_str(), list.api_version.as_str());
        assert_eq!(names, ("ExternalMetricValueList", "external.metrics.k8s.io/v1beta1"));
        let say = |item: ExternalValue| {
            let ExternalValue { metric_name, metric_labels, timestamp, window, value } = item;
            assert!(timestamp.0.as_second() > 0 && path.starts_with(&metric_name) && window.is_none());
            let labels: Vec<_> = metric_labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            (labels.join(","), value)
        };
        list.items.into_iter().map(say).collect()
    };
    assert_eq!(items("load").await, [(String::new(), "3".to_owned())]);
    let chosen = items("qps?labelSelector=verb%3DGET").await;
    assert_eq!(chosen, [("code=200,verb=GET".into(), "6".into()), ("code=500,verb=GET".into(), "8".into())]);
    assert_eq!(items("qps?labelSelector=code+in+%28500%29").await.len(), 1);
}

#[tokio::test]
async fn what_there_is_not_is_a_status_with_its_reason() {
    let (plimsoll, _target) = platform().await;
    let missing = [
        "namespaces/ns/ingresses.networking.k8s.io/ing/load",
        // The case of a name is kept, and this one is not defined.
        "namespaces/ns/services/websvc/Load",
        "namespaces/ns/pods/%2A/load?labelSelector=app%3Dnone",
        "namespaces/other/pods/%2A/load?labelSelector=app%3Dweb",
        "namespaces/other/metrics/load",
        // Too short, too long.
        "nodes/n1",
        "namespaces/ns/pods/web-1/load/more",
        "namespaces/ns",
        "metrics",
    ];
    let custom = missing.iter().flat_map(|path| CUSTOM_VERSIONS.map(|version| format!("{version}/{path}")));
    let external =
        ["myqueue", "load/more", "", "pods/web-1/load"].map(|path| format!("{EXTERNAL}/namespaces/ns/{path}"));
    let bare =
        ["/apis/none", "/apis/none/v1", "/apis/custom.metrics.k8s.io/v1", "/apis/external.metrics.k8s.io/v1beta2"];
    let above = [format!("{EXTERNAL}/load")];
    for path in custom.chain(external).chain(bare.map(str::to_owned)).chain(above) {
        let answer = autoscaler(&plimsoll, &path).await;
        let status: Status = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path}: {e}: {answer:?}"));
        let said = (answer.code, status.code, status.status.as_deref(), status.reason.as_deref());
        assert_eq!(said, (404, Some(404), Some("Failure"), Some("NotFound")), "{path}");
        assert!(status.message.is_some_and(|message| message.starts_with("the server could not find the ")), "{path}");
    }
}

/// Resource and whether it has namespaces, subresources as `resource/subresource`, as the kube-apiserver reads them out
/// of either kind of discovery.
fn aggregated(list: &APIGroupDiscoveryList, group: &str, version: &str) -> Vec<(String, bool)> {
    let of = |name: Option<&String>| name.cloned().unwrap_or_default();
    let group = list.items.iter().find(|item| item.metadata.as_ref().is_some_and(|m| m.name.as_deref() == Some(group)));
    let versions = &group.expect("the group").versions;
    let version = versions.iter().find(|known| known.version.as_deref() == Some(version)).expect("the version");
    assert_eq!(version.freshness.as_deref(), Some("Current"));
    let mut all = Vec::new();
    for resource in &version.resources {
        let is_namespaced = resource.scope.as_deref() == Some("Namespaced");
        assert!(is_namespaced || resource.scope.as_deref() == Some("Cluster"), "{resource:?}");
        let name = of(resource.resource.as_ref());
        if !resource.verbs.is_empty() {
            all.push((name.clone(), is_namespaced));
        }
        for subresource in &resource.subresources {
            let kind = subresource.response_kind.as_ref().and_then(|kind| kind.kind.as_deref());
            assert_eq!((kind, &subresource.verbs[..]), (Some("MetricValueList"), &["get".to_owned()][..]));
            all.push((format!("{name}/{}", of(subresource.subresource.as_ref())), is_namespaced));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn both_kinds_of_discovery_say_the_same() {
    let (plimsoll, _target) = platform().await;
    let answer = ask(&plimsoll, Method::GET, "/apis", &[("accept", AGGREGATED)]).await;
    assert_eq!(answer.json()["kind"], "APIGroupDiscoveryList");
    assert_eq!(answer.json()["apiVersion"], "apidiscovery.k8s.io/v2");
    let list: APIGroupDiscoveryList = serde_json::from_str(&answer.body).expect("an APIGroupDiscoveryList");
    let groups: APIGroupList = serde_json::from_value(plimsoll.ok("/apis").await).expect("an APIGroupList");
    assert_eq!((groups.groups.len(), list.items.len()), (2, 2));
    for group in &groups.groups {
        let alone: APIGroup =
            serde_json::from_value(plimsoll.ok(&format!("/apis/{}", group.name)).await).expect("an APIGroup");
        assert_eq!(&alone, group);
        for version in &group.versions {
            let path = format!("/apis/{}", version.group_version);
            let resources: APIResourceList =
                serde_json::from_value(plimsoll.ok(&path).await).expect("an APIResourceList");
            assert_eq!(resources.group_version, version.group_version);
            let mut legacy: Vec<_> = resources.resources.iter().map(|r| (r.name.clone(), r.namespaced)).collect();
            legacy.sort();
            assert_eq!(legacy, aggregated(&list, &group.name, &version.version), "{path}");
            check_scopes(&legacy);
        }
    }
}

/// A parent is in a namespace or it is not, and nothing is there twice: else the kube-apiserver refuses the whole list.
fn check_scopes(resources: &[(String, bool)]) {
    let mut scopes = BTreeMap::new();
    for (name, is_namespaced) in resources {
        let parent = name.split('/').next().expect("a first part");
        assert_eq!(*scopes.entry(parent).or_insert(*is_namespaced), *is_namespaced, "{name}");
    }
    let mut names: Vec<_> = resources.iter().map(|(name, _)| name).collect();
    names.dedup();
    assert_eq!(names.len(), resources.len());
    assert!(!resources.is_empty());
}

#[tokio::test]
async fn an_api_without_metrics_is_an_empty_list() {
    let target = Target::page("load 1\n").await;
    let yaml = |level: &str| {
        format!(
            "scrape_configs:\n  - {{job_name: web, targets: [{{url: \"{}\", namespace: ns, pod: a}}]}}\n\
             metrics:\n  - {{name: load, levels: [{level}], gauge: {{series: load, combine: sum}}}}\n",
            target.url
        )
    };
    for (level, empty, full) in [("pods", EXTERNAL, CUSTOM), ("external", CUSTOM, EXTERNAL)] {
        let plimsoll = Plimsoll::start(&yaml(level)).await;
        assert_eq!(plimsoll.ok(empty).await["resources"], Value::Array(Vec::new()), "{level}");
        assert_eq!(plimsoll.ok(full).await["resources"].as_array().map(Vec::len), Some(1), "{level}");
        let answer = ask(&plimsoll, Method::GET, "/apis", &[("accept", AGGREGATED)]).await;
        let list: APIGroupDiscoveryList = serde_json::from_str(&answer.body).expect("an APIGroupDiscoveryList");
        let (group, version) = empty.trim_start_matches("/apis/").split_once('/').expect("a version");
        assert!(aggregated(&list, group, version).is_empty(), "{level}");
    }
}
