use serde_json::{Value, json};

use super::{METRICS, become_names, job, metric, pod};
use crate::harness::cluster_api::{ClusterApi, Trouble, source};
use crate::harness::target::Target;
use crate::harness::{CUSTOM, eventually};

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
    let up = "plimsoll_kubernetes_watch_up{resource=\"podmonitors\"}";
    assert_eq!(metric(&plimsoll, up).await, None, "nothing that could be up, and nobody to be woken");
    api.write("podmonitors", &json!({"metadata": {"namespace": "ns", "name": "m"}, "spec": {"selector": {}}}));
    api.serve("podmonitors", true);
    let monitors = "plimsoll_kubernetes_objects{resource=\"podmonitors\"}";
    eventually(|| metric(&plimsoll, monitors), |count| *count == Some(1.0)).await;
    assert_eq!(metric(&plimsoll, up).await, Some(1.0));
    assert!(!has_note(&source().await));
    api.serve("podmonitors", false);
    eventually(|| metric(&plimsoll, monitors), |count| *count == Some(0.0)).await;
    eventually(source, has_note).await;
    eventually(|| metric(&plimsoll, up), Option::is_none).await;
    api.serve("podmonitors", true);
    eventually(|| metric(&plimsoll, monitors), |count| *count == Some(1.0)).await;
    eventually(source, |source| !has_note(source)).await;
}

/// A pod with a port of a name, as monitors want it.
fn named_port(name: &str, target: &Target) -> Value {
    let mut pod = pod(name, target);
    pod["metadata"]["annotations"] = json!({});
    pod["spec"]["containers"][0]["ports"] = json!([{"name": "metrics", "containerPort": target.port()}]);
    pod
}

#[tokio::test]
async fn monitors_find_their_pods_as_their_relabelings_say() {
    let api = ClusterApi::start().await;
    ["podmonitors", "servicemonitors"].iter().for_each(|resource| api.serve(resource, true));
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    let web = json!({"matchLabels": {"app": "web"}});
    let relabelings = json!([
        {"sourceLabels": ["__meta_kubernetes_pod_name"], "regex": "web-2", "action": "drop"},
        {"targetLabel": "__metrics_path__", "replacement": "/metrics"},
    ]);
    api.write(
        "podmonitors",
        &json!({"metadata": {"namespace": "ns", "name": "pods"}, "spec": {
            "selector": web, "podMetricsEndpoints": [{"port": "metrics", "path": "/wrong", "relabelings": relabelings}],
        }}),
    );
    api.write(
        "servicemonitors",
        &json!({"metadata": {"namespace": "ns", "name": "services"}, "spec": {
            "selector": web,
            "endpoints": [{"port": "http", "relabelings": [
                {"sourceLabels": ["__meta_kubernetes_pod_name"], "regex": "web-2", "action": "keep"},
            ]}],
        }}),
    );
    api.write("services", &json!({"metadata": {"namespace": "ns", "name": "front", "labels": {"app": "web"}}}));
    let endpoint =
        |pod: &str| json!({"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "namespace": "ns", "name": pod}});
    api.write(
        "endpointslices",
        &json!({
            "metadata": {"namespace": "ns", "name": "front-1", "labels": {"kubernetes.io/service-name": "front"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": two.port(), "protocol": "TCP"}],
            "endpoints": [endpoint("web-1"), endpoint("web-2")],
        }),
    );
    api.write("pods", &named_port("web-1", &one));
    api.write("pods", &named_port("web-2", &two));
    let plimsoll = api.plimsoll(&(job("pods", "{role: podmonitor}, {role: servicemonitor}") + METRICS)).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/web-1/load"), "1").await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/web-2/load"), "2").await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/services/front/load"), "3").await;
    api.delete("podmonitors", "ns", "pods");
    become_names(&plimsoll, &["web-2"]).await;
}

#[tokio::test]
async fn secrets_and_config_maps_of_monitors_are_followed_one_by_one() {
    let api = ClusterApi::start().await;
    api.serve("podmonitors", true);
    let target = Target::page("load 1\n").await;
    let key = |name: &str, key: &str| json!({"name": name, "key": key});
    api.write(
        "podmonitors",
        &json!({"metadata": {"namespace": "ns", "name": "m"}, "spec": {
            "selector": {}, "podMetricsEndpoints": [{
                "port": "metrics",
                "basicAuth": {"username": key("login", "user"), "password": key("login", "password")},
                "tlsConfig": {"ca": {"configMap": key("roots", "ca.crt")}},
            }],
        }}),
    );
    let secret = |user: &str| {
        json!({"metadata": {"namespace": "ns", "name": "login"}, "data": {
            "user": user, "password": "c2VjcmV0",
        }})
    };
    api.trouble("secrets", Some(Trouble::Forbidden));
    api.write("secrets", &secret("YWxpY2U="));
    api.write("secrets", &json!({"metadata": {"namespace": "ns", "name": "other"}, "data": {}}));
    let pem = crate::harness::pki::Authority::new("roots").pem();
    api.write("configmaps", &json!({"metadata": {"namespace": "ns", "name": "roots"}, "data": {"ca.crt": pem}}));
    api.write("pods", &named_port("web-1", &target));
    let plimsoll = api.plimsoll(&(job("pods", "{role: podmonitor}") + METRICS)).await;
    let failed = |state: &Value| state["lastErrorReason"] == "credentials";
    let state = plimsoll.target_becomes("metrics", failed).await;
    assert!(state["lastError"].to_string().contains("there is no Secret ns/login, or it may not be read"), "{state}");
    let rule =
        "a Role in ns with {apiGroups: [\"\"], resources: [secrets], resourceNames: [login], verbs: [list, watch]}";
    // One monitor keeps nobody else from being served.
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200 && answer.body.contains(rule)).await;
    assert!(target.requests().is_empty(), "nothing is sent without credentials");

    api.trouble("secrets", None);
    let value = format!("{CUSTOM}/namespaces/ns/pods/web-1/load");
    plimsoll.value_becomes(&value, "1").await;
    let shown = |credentials: &'static str| {
        let last = || async { target.requests().last().cloned().unwrap_or_default().to_lowercase() };
        eventually(last, move |head| head.contains(&format!("basic {credentials}").to_lowercase()))
    };
    shown("YWxpY2U6c2VjcmV0").await;
    api.write("secrets", &secret("Ym9i"));
    shown("Ym9iOnNlY3JldA==").await;
    api.delete("secrets", "ns", "login");
    plimsoll.target_becomes("metrics", failed).await;
    let asked = api.requests();
    assert!(
        asked.iter().all(|path| !path.contains("/secrets") || path.contains("metadata.name%3Dlogin")),
        "{asked:#?}"
    );
    api.delete("podmonitors", "ns", "m");
    let secrets = "plimsoll_kubernetes_objects{resource=\"secrets\"}";
    eventually(|| metric(&plimsoll, secrets), Option::is_none).await;
}
