use serde_json::json;

use super::{METRICS, become_names, job, metric, names, pod, pods, replica_set};
use crate::harness::cluster_api::{ClusterApi, Trouble, source};
use crate::harness::target::Target;
use crate::harness::{CUSTOM, eventually};

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
    // Whom to believe, and what is only shown, which goes where the account may not.
    let others =
        ["/api/v1/namespaces/kube-system/configmaps", "/apis/autoscaling/v2/", "/apis/apiregistration.k8s.io/v1/"];
    for path in api.requests().iter().filter(|path| others.iter().all(|other| !path.starts_with(other))) {
        assert!(path.contains("/namespaces/ns/") || path.contains("/namespaces/empty/"), "{path}");
    }
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

#[tokio::test]
async fn a_reload_to_other_namespaces_loses_nothing_while_the_lists_do_not_come() {
    let api = ClusterApi::start().await;
    let target = Target::page("load 1\n").await;
    let mut elsewhere = pod("web-2", &target);
    elsewhere["metadata"]["namespace"] = json!("other");
    api.write("replicasets", &replica_set(("apps/v1", "Deployment", "web")));
    api.write("pods", &pod("web-1", &target));
    api.write("pods", &elsewhere);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plimsoll.yaml");
    std::fs::write(&file, pods()).expect("written");
    let plimsoll = api.plimsoll_with(&pods(), Some(file.clone())).await;
    become_names(&plimsoll, &["web-1", "web-2"]).await;
    let configure = |sd: &str| std::fs::write(&file, job("pods", sd) + METRICS).expect("written");

    api.trouble("pods", Some(Trouble::Slow));
    configure("{role: pod, namespaces: {names: [ns]}}");
    // Published without an answer, once that was waited for long enough.
    become_names(&plimsoll, &["web-1"]).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load"), "1").await;
    let path = |namespace: &str| format!("{CUSTOM}/namespaces/{namespace}/deployments.apps/none/load");
    plimsoll.refused(&path("ns"), "no running pod that is known belongs to this object").await;
    plimsoll.refused(&path("other"), "no target stands for this object").await;
    api.trouble("pods", None);
    api.write("pods", &pod("web-3", &target));
    become_names(&plimsoll, &["web-1", "web-3"]).await;

    api.trouble("pods", Some(Trouble::Slow));
    let publications = metric(&plimsoll, "plimsoll_discovery_publications_total").await;
    configure("{role: pod}");
    let is_later = |now: &Option<f64>| *now > publications;
    eventually(|| metric(&plimsoll, "plimsoll_discovery_publications_total"), is_later).await;
    assert_eq!(names(&plimsoll).await, ["web-1", "web-3"]);
    api.trouble("pods", None);
    become_names(&plimsoll, &["web-1", "web-3", "web-2"]).await;
    plimsoll.refused(&path("other"), "no running pod that is known belongs to this object").await;
}
