use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::cluster_api::{ClusterApi, Trouble, source};
use crate::harness::target::Target;
use crate::harness::{Answer, CUSTOM, Plimsoll, eventually};

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
    let port = target.url.trim_end_matches("/metrics").rsplit(':').next().expect("a port");
    let owner =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4", "uid": uid(1), "controller": true});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "ns", "name": name, "uid": uid(name.len() + usize::from(name.as_bytes()[name.len() - 1])),
            "labels": {"app": "web"}, "ownerReferences": [owner],
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": port},
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
    let answer = plimsoll.get("/api/v1/targets").await.json();
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
async fn a_kube_apiserver_that_goes_away_takes_nothing_with_it() {
    let mut api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    api.go();
    let is_said = |answer: &Answer| answer.code == 200 && answer.body.contains("the kube-apiserver does not answer");
    let ready = eventually(|| plimsoll.get("/readyz"), is_said).await;
    assert!(ready.body.contains("pods kubernetes_sd pod: the kube-apiserver does not answer"), "{ready:?}");
    let whole = "the last known 1 pods stay";
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains(whole) && answer.body.contains("since 2"))
        .await;
    let up = "plimsoll_kubernetes_watch_up{resource=\"pods\"}";
    eventually(|| metric(&plimsoll, up), |up| *up == Some(0.0)).await;
    assert!(metric(&plimsoll, "plimsoll_kubernetes_watch_errors_total{resource=\"pods\"}").await >= Some(1.0));
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/web-1/load"), "1").await;
    api.write("pods", &pod("web-2", &target));
    api.come().await;
    become_names(&plimsoll, &["web-1", "web-2"]).await;
    // Others ask the kube-apiserver too, at their own pace.
    eventually(|| plimsoll.get("/readyz?verbose"), |answer| answer.body.contains("[+]discovery ok")).await;
    eventually(|| metric(&plimsoll, up), |up| *up == Some(1.0)).await;
}

#[tokio::test]
async fn without_a_kube_apiserver_at_the_start_it_is_not_ready_and_becomes_so_by_itself() {
    let mut api = ClusterApi::away();
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    let said = |answer: &Answer| answer.code == 503 && answer.body.contains("nothing is known of the cluster yet");
    eventually(|| plimsoll.get("/readyz"), said).await;
    api.come().await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    become_names(&plimsoll, &["web-1"]).await;
}

#[tokio::test]
async fn a_missing_permission_is_said_with_its_rule_and_costs_only_what_it_is_for() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    api.trouble("services", Some(Trouble::Forbidden));
    api.trouble("replicasets", Some(Trouble::Forbidden));
    let plimsoll = api.plimsoll(&pods()).await;
    become_names(&plimsoll, &["web-1"]).await;
    let error = source(&plimsoll, "kubernetes_sd").await["lastError"].as_str().expect("an error").to_owned();
    for part in [
        "replicasets is forbidden: User \"plimsoll\" cannot list",
        "a ClusterRole with {apiGroups: [\"\"], resources: [services], verbs: [list, watch]}",
        "a ClusterRole with {apiGroups: [\"apps\"], resources: [replicasets], verbs: [list, watch]}",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    api.trouble("services", None);
    api.trouble("replicasets", None);
    eventually(|| source(&plimsoll, "kubernetes_sd"), |source| source["lastError"] == "").await;
}

#[tokio::test]
async fn kinds_of_monitors_come_and_go_without_a_restart() {
    let api = ClusterApi::start().await;
    let plimsoll = api.plimsoll(&(job("pods", "{role: podmonitor}") + METRICS)).await;
    let note = "the cluster has no PodMonitors";
    let source = || source(&plimsoll, "kubernetes_sd podmonitor");
    let has_note = |source: &Value| source["mistakes"].to_string().contains(note);
    let state = eventually(source, has_note).await;
    assert_eq!(state["lastError"], "", "it is no error");
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    api.write("podmonitors", &json!({"metadata": {"namespace": "ns", "name": "m"}, "spec": {"selector": {}}}));
    api.serve("podmonitors", true);
    let monitors = "plimsoll_kubernetes_objects{resource=\"podmonitors\"}";
    eventually(|| metric(&plimsoll, monitors), |count| *count == Some(1.0)).await;
    assert!(!has_note(&source().await));
    api.serve("podmonitors", false);
    eventually(|| metric(&plimsoll, monitors), |count| *count == Some(0.0)).await;
    eventually(source, has_note).await;
}

#[tokio::test]
async fn answers_that_cannot_be_read_lose_nothing_and_are_said() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    become_names(&plimsoll, &["web-1"]).await;
    api.trouble("pods", Some(Trouble::Garbage));
    api.gap(|| api.write("pods", &pod("web-2", &target)));
    let said = |source: &Value| source["lastError"].to_string().contains("asked for pods in vain since");
    eventually(|| source(&plimsoll, "kubernetes_sd"), said).await;
    assert_eq!(names(&plimsoll).await, ["web-1"]);
    api.trouble("pods", Some(Trouble::GarbledWatch));
    become_names(&plimsoll, &["web-1", "web-2"]).await;
    api.trouble("pods", None);
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
}

#[tokio::test]
async fn sources_that_name_their_namespaces_look_nowhere_else() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    let mut elsewhere = pod("web-2", &target);
    elsewhere["metadata"]["namespace"] = json!("other");
    api.write("pods", &pod("web-1", &target));
    api.write("pods", &elsewhere);
    let plimsoll = api.plimsoll(&(job("pods", "{role: pod, namespaces: {names: [ns, empty]}}") + METRICS)).await;
    become_names(&plimsoll, &["web-1"]).await;
    let trust = "/api/v1/namespaces/kube-system/configmaps";
    for path in api.requests().iter().filter(|path| !path.starts_with(trust)) {
        assert!(path.contains("/namespaces/ns/") || path.contains("/namespaces/empty/"), "{path}");
    }
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
async fn a_reload_starts_the_watches_that_are_new_and_leaves_the_others_alone() {
    let api = ClusterApi::start().await;
    api.serve("podmonitors", true);
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plimsoll.yaml");
    std::fs::write(&file, pods()).expect("written");
    let plimsoll = api.plimsoll_with(&pods(), Some(file.clone())).await;
    become_names(&plimsoll, &["web-1"]).await;
    let lists = |resource: &str| {
        let is_list = |path: &&String| path.contains(&format!("/{resource}?")) && !path.contains("watch=");
        api.requests().iter().filter(is_list).count()
    };
    assert_eq!((lists("pods"), lists("podmonitors")), (1, 0));
    std::fs::write(&file, job("pods", "{role: pod}, {role: podmonitor}") + METRICS).expect("written");
    eventually(|| source(&plimsoll, "podmonitor"), |source| source["lastSuccess"].is_string()).await;
    become_names(&plimsoll, &["web-1"]).await;
    assert_eq!((lists("pods"), lists("podmonitors")), (1, 1));
}
