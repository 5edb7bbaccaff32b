// What a real kube-apiserver allows and tells.
mod genuine;
// PodMonitors, ServiceMonitors, and what they refer to.
mod monitors;
// Namespaces that are named, and configurations that change.
mod reload;
// A kube-apiserver that is away, refuses, is slow or talks nonsense.
mod trouble;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster_api::{ClusterApi, source};
use crate::harness::target::Target;
use crate::harness::{CUSTOM, Plimsoll, eventually};

const METRICS: &str = "metrics:\n  - {name: load, gauge: {series: load, combine: sum}}\n";

/// One job that looks for pods.
fn pods() -> String {
    job("pods", "{role: pod}") + METRICS
}

fn job(name: &str, sds: &str) -> String {
    let head = if name == "pods" { "scrape_configs:\n" } else { "" };
    format!(
        "{head}  - job_name: {name}\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         kubernetes_sd_configs: [{sds}]\n"
    )
}

/// A running pod of Deployment `web` whose page is that of a target on this machine.
fn pod(name: &str, target: &Target) -> Value {
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": uid(1), "controller": true});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "ns", "name": name, "uid": uid(name.len() + usize::from(name.as_bytes()[name.len() - 1])),
            "labels": {"app": "web"}, "ownerReferences": [owner],
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": target.port().to_string()},
        },
        "spec": {"containers": [{"name": "web", "image": "web"}], "nodeName": "n1"},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]},
    })
}

fn uid(number: usize) -> String {
    format!("00000000-0000-0000-0000-{number:012}")
}

fn replica_set(owner: (&str, &str, &str)) -> Value {
    let (api_version, kind, name) = owner;
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid(2), "controller": true});
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"namespace": "ns", "name": "web-5d4", "uid": uid(1), "ownerReferences": [owner]},
    })
}

async fn names(plimsoll: &Plimsoll) -> Vec<String> {
    let answer = plimsoll.get("/status/targets").await.json();
    let targets = answer["data"]["activeTargets"].as_array().expect("targets").clone();
    targets.iter().map(|target| target["labels"]["pod"].as_str().expect("a pod").to_owned()).collect()
}

async fn become_names(plimsoll: &Plimsoll, expected: &[&str]) {
    eventually(|| names(plimsoll), |names| *names == expected).await;
}

/// The value of an own metric, `None` while there is none.
async fn metric(plimsoll: &Plimsoll, name: &str) -> Option<f64> {
    let page = plimsoll.get("/metrics").await.body;
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn pods_become_targets_with_their_owners_and_services_and_go_with_them() {
    let api = ClusterApi::start().await;
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    api.write("replicasets", &replica_set(("apps/v1", "Deployment", "web")));
    api.write("services", &json!({"metadata": {"namespace": "ns", "name": "front"}}));
    api.write(
        "endpointslices",
        &json!({
            "metadata": {"namespace": "ns", "name": "front-1", "labels": {"kubernetes.io/service-name": "front"}},
            "addressType": "IPv4", "ports": [],
            "endpoints": [{"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "namespace": "ns", "name": "web-1"}}],
        }),
    );
    api.write("pods", &pod("web-1", &one));
    let plimsoll = api.plimsoll(&pods()).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load"), "1").await;
    api.write("pods", &pod("web-2", &two));
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load"), "3").await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/services/front/load"), "1").await;
    let mut terminating = pod("web-2", &two);
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    api.write("pods", &terminating);
    become_names(&plimsoll, &["web-1"]).await;
    api.delete("pods", "ns", "web-1");
    become_names(&plimsoll, &[]).await;
    assert_eq!(metric(&plimsoll, "plimsoll_kubernetes_objects{resource=\"services\"}").await, Some(1.0));
    plimsoll.stop().await;
}

#[tokio::test]
async fn what_happened_in_a_gap_is_found_by_a_list() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    ["web-1", "web-2"].iter().for_each(|name| api.write("pods", &pod(name, &target)));
    let plimsoll = api.plimsoll(&pods()).await;
    become_names(&plimsoll, &["web-1", "web-2"]).await;
    api.gap(|| {
        api.delete("pods", "ns", "web-1");
        api.write("pods", &pod("web-3", &target));
    });
    become_names(&plimsoll, &["web-2", "web-3"]).await;
    // A watch that ends goes on where it stood: no list.
    let lists =
        || api.requests().iter().filter(|path| path.starts_with("/api/v1/pods?") && !path.contains("watch=")).count();
    let before = lists();
    api.cut();
    api.write("pods", &pod("web-4", &target));
    become_names(&plimsoll, &["web-2", "web-3", "web-4"]).await;
    assert_eq!(lists(), before);
}

#[tokio::test]
async fn the_plural_of_a_kind_is_asked_of_the_cluster() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    api.write("replicasets", &replica_set(("example.com/v1", "Proxy", "p")));
    api.register("example.com/v1", "Proxy", "proxen");
    let plimsoll = api.plimsoll(&pods()).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/proxen.example.com/p/load"), "1").await;
    let asked = |path: &String| path.starts_with("/apis/") && path.matches('/').count() == 3;
    let asked: Vec<_> = api.requests().into_iter().filter(asked).filter(|path| !path.contains('?')).collect();
    assert_eq!(asked, ["/apis/example.com/v1"], "no other group is asked for its kinds");
}

#[tokio::test]
async fn a_page_that_two_jobs_find_is_scraped_once() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("replicasets", &replica_set(("apps/v1", "Deployment", "web")));
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&(job("pods", "{role: pod}") + &job("again", "{role: pod}") + METRICS)).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load"), "1").await;
    assert_eq!(names(&plimsoll).await, ["web-1"]);
    let said = source(&plimsoll, "again").await["mistakes"].to_string();
    assert!(said.contains("1 target is there by pods kubernetes_sd pod already"), "{said}");
    assert_eq!(source(&plimsoll, "pods").await["mistakes"], json!([]));
}

#[tokio::test]
async fn without_a_cluster_a_source_in_one_says_what_to_do_and_the_others_go_on() {
    let target = Target::page("load 1\n").await;
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         kubernetes_sd_configs: [{{role: pod}}]\n    \
         targets: [{{url: \"{}\", namespace: ns, pod: a}}]\n{METRICS}",
        target.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/a/load"), "1").await;
    let ready = eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    assert!(ready.body.contains("no connection to a cluster; start with --kubeconfig"), "{ready:?}");
}

#[tokio::test]
async fn a_change_that_means_nothing_is_not_published() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    let publications = metric(&plimsoll, "plimsoll_discovery_publications_total").await;
    let mut same = pod("web-1", &target);
    same["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    api.write("pods", &same);
    // Seen only when what comes after it is.
    api.write("namespaces", &json!({"metadata": {"name": "ns", "labels": {"team": "a"}}}));
    let is_one_more = |now: &Option<f64>| *now == publications.map(|before| before + 1.0);
    eventually(|| metric(&plimsoll, "plimsoll_discovery_publications_total"), is_one_more).await;
    let time = Duration::from_millis(500);
    tokio::time::sleep(time).await;
    assert!(is_one_more(&metric(&plimsoll, "plimsoll_discovery_publications_total").await));
}

#[tokio::test]
async fn lists_of_several_pages_and_bursts_of_events_are_taken_whole_and_published_seldom() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    let silent = |number: usize| {
        let mut silent = pod(&format!("silent-{number}"), &target);
        silent["metadata"]["annotations"] = json!({});
        silent
    };
    (0..600).for_each(|number| api.write("pods", &silent(number)));
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    let known = "plimsoll_kubernetes_objects{resource=\"pods\"}";
    eventually(|| metric(&plimsoll, known), |count| *count == Some(601.0)).await;
    let pages = api.requests().iter().filter(|path| path.contains("/pods?") && path.contains("continue=")).count();
    assert_eq!(pages, 15, "pages of 40 pods after the first");
    become_names(&plimsoll, &["web-1"]).await;
    let publications = metric(&plimsoll, "plimsoll_discovery_publications_total").await.expect("some");
    (600..2600).for_each(|number| api.write("pods", &silent(number)));
    eventually(|| metric(&plimsoll, known), |count| *count == Some(2601.0)).await;
    (0..2600).for_each(|number| api.delete("pods", "ns", &format!("silent-{number}")));
    eventually(|| metric(&plimsoll, known), |count| *count == Some(1.0)).await;
    let more = metric(&plimsoll, "plimsoll_discovery_publications_total").await.expect("some") - publications;
    assert!(more < 400.0, "{more} publications of 4,600 events");
    become_names(&plimsoll, &["web-1"]).await;
}

#[tokio::test]
async fn a_pod_that_joins_takes_no_value_away() {
    let api = ClusterApi::start().await;
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    let slice = |pods: &[&str], target: &Target| {
        let port: u16 = target.port();
        let endpoint = |pod: &&str| json!({"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "namespace": "ns", "name": pod}});
        json!({
            "metadata": {"namespace": "ns", "name": format!("front-{}", pods[0]),
                         "labels": {"kubernetes.io/service-name": "front"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
        })
    };
    api.write("replicasets", &replica_set(("apps/v1", "Deployment", "web")));
    api.write(
        "services",
        &json!({"metadata": {
            "namespace": "ns", "name": "front", "annotations": {"prometheus.io/scrape": "true"},
        }}),
    );
    api.write("endpointslices", &slice(&["web-1"], &one));
    api.write("pods", &pod("web-1", &one));
    // Long enough for every look within the time that a new pod has: two intervals.
    let config = job("pods", "{role: endpointslice}").replace("300ms", "3s") + METRICS;
    let plimsoll = api.plimsoll(&config).await;
    let path = format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load");
    plimsoll.value_becomes(&path, "1").await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    api.write("pods", &pod("web-2", &two));
    let known = "plimsoll_kubernetes_objects{resource=\"pods\"}";
    let pods_known = || async {
        assert_eq!(plimsoll.get(&path).await.code, 200, "before it is a target");
        metric(&plimsoll, known).await
    };
    eventually(pods_known, |count| *count == Some(2.0)).await;
    api.write("endpointslices", &slice(&["web-2"], &two));
    let value = || async {
        let answer = plimsoll.get(&path).await;
        assert_eq!(answer.code, 200, "while it joins: {answer:?}");
        answer.json()["items"][0]["value"].clone()
    };
    eventually(value, |value| *value == "3").await;
}

#[test]
fn the_permissions_are_those_that_the_watches_use_and_no_others() {
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).expect("a list") };
    let mut granted = std::collections::BTreeSet::new();
    let roles = ["base", "components/monitor-credentials"].map(|folder| {
        let file = format!("{}/deploy/orchestration/{folder}/cluster-role.yaml", env!("CARGO_MANIFEST_DIR"));
        serde_saphyr::from_str::<Value>(&std::fs::read_to_string(file).expect("a file")).expect("YAML")
    });
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().expect("rules")) {
        for (group, resource) in texts(&rule["apiGroups"])
            .iter()
            .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource)))
        {
            // By their names alone, for the own metrics.
            let is_named = !rule["resourceNames"].is_null();
            let verbs = if is_named { &["get"][..] } else { &plimsoll::discovery::kubernetes::VERBS[..] };
            assert_eq!(texts(&rule["verbs"]), verbs, "{resource}");
            granted.insert((group, resource));
        }
    }
    let for_metrics = [("autoscaling", "horizontalpodautoscalers"), ("apiregistration.k8s.io", "apiservices")];
    let used = plimsoll::discovery::kubernetes::resources().chain(for_metrics);
    assert_eq!(granted, used.map(|(group, resource)| (group.to_owned(), resource.to_owned())).collect());
}
