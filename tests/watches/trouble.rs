use serde_json::{Value, json};

use super::{become_names, metric, names, pod, pods};
use crate::harness::cluster_api::{ClusterApi, Trouble, source};
use crate::harness::target::Target;
use crate::harness::{Answer, CUSTOM, Plimsoll, config, eventually};

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
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    eventually(|| metric(&plimsoll, up), |up| *up == Some(1.0)).await;
}

#[tokio::test]
async fn without_a_kube_apiserver_at_the_start_it_is_not_ready_and_becomes_so_by_itself() {
    let mut api = ClusterApi::away();
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let mut plimsoll = Plimsoll::start_in(config(&pods()), None, Some(api.config())).await;
    let said = |answer: &Answer| answer.code == 500 && answer.body.contains("[-]discovery failed: reason withheld");
    eventually(|| plimsoll.get("/readyz"), said).await;
    api.come().await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    api.introduce(&mut plimsoll).await;
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
    let ready = plimsoll.get("/readyz").await;
    assert!(ready.code == 500 && ready.body.contains("to be granted: a ClusterRole with"), "{ready:?}");
    api.trouble("services", None);
    assert_eq!(plimsoll.get("/readyz").await.code, 500, "owners are not known");
    api.trouble("replicasets", None);
    eventually(|| source(&plimsoll, "kubernetes_sd"), |source| source["lastError"] == "").await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    // What was granted once and is not any more is said, and takes no readiness back.
    api.trouble("services", Some(Trouble::Forbidden));
    api.cut();
    let said = |answer: &Answer| answer.body.contains("resources: [services], verbs: [list, watch]");
    assert_eq!(eventually(|| plimsoll.get("/readyz"), said).await.code, 200);
}

#[tokio::test]
async fn without_a_list_that_can_be_read_it_is_not_ready_and_becomes_so_by_itself() {
    let api = ClusterApi::start().await;
    api.trouble("pods", Some(Trouble::Garbage));
    let plimsoll = api.plimsoll(&pods()).await;
    let said = |answer: &Answer| answer.body.contains("the kube-apiserver is asked for pods in vain since");
    assert_eq!(eventually(|| plimsoll.get("/readyz"), said).await.code, 500);
    api.trouble("pods", None);
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
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
async fn a_list_that_does_not_come_holds_up_no_other_kind() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    api.write("pods", &pod("web-1", &target));
    let plimsoll = api.plimsoll(&pods()).await;
    become_names(&plimsoll, &["web-1"]).await;
    api.trouble("services", Some(Trouble::Slow));
    api.gap(|| api.write("pods", &pod("web-2", &target)));
    become_names(&plimsoll, &["web-1", "web-2"]).await;
    api.delete("pods", "ns", "web-1");
    become_names(&plimsoll, &["web-2"]).await;
}

#[tokio::test]
async fn an_object_that_is_none_costs_no_other_and_is_said() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    let mut bad = pod("web-2", &target);
    bad["spec"]["containers"] = json!("none");
    api.write("pods", &pod("web-1", &target));
    api.write("pods", &bad);
    let plimsoll = api.plimsoll(&pods()).await;
    become_names(&plimsoll, &["web-1"]).await;
    let words = "1 of the pods cannot be read and stay as they were known: ns/web-2: invalid type: string";
    let said = |answer: &Answer| answer.code == 200 && answer.body.contains(words);
    eventually(|| plimsoll.get("/readyz"), said).await;
    api.write("pods", &pod("web-2", &target));
    api.write("pods", &pod("web-3", &target));
    become_names(&plimsoll, &["web-1", "web-2", "web-3"]).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    // One that was good stays as it was.
    api.write("pods", &bad);
    eventually(|| plimsoll.get("/readyz"), said).await;
    assert_eq!(names(&plimsoll).await, ["web-1", "web-2", "web-3"]);
    api.delete("pods", "ns", "web-2");
    become_names(&plimsoll, &["web-1", "web-3"]).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
}
