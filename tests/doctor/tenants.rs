//! `plimsoll doctor` among autoscalers of many: what is odd with some of them, or cannot be asked, says nothing of the
//! others.

use serde_json::{Value, json};

use super::impostor::{Answer, Impostor};
use super::strangers::report;

const LOAD: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/load";

/// An autoscaler that asks for the load of its pods.
fn autoscaler(name: &str, target: &Value) -> Value {
    let metric = json!({"metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "10"}});
    json!({
        "metadata": {"name": name, "namespace": "agents"},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4,
                 "metrics": [{"type": "Pods", "pods": metric}]},
        "status": {"conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]},
    })
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
}

/// A cluster of these autoscalers, where the Deployment web is well.
fn answer(path: &str, autoscalers: &[Value]) -> Answer {
    let path = path.split('?').next().unwrap_or_default();
    let list = |kind: &str, items: &Value| json!({"kind": kind, "metadata": {}, "items": items});
    match path {
        "/version" => Answer::version(),
        "/apis/autoscaling/v2/horizontalpodautoscalers" => {
            Answer::json(&list("HorizontalPodAutoscalerList", &json!(autoscalers)))
        }
        "/apis/apps/v1" => Answer::json(&json!({"resources": [{"name": "deployments", "kind": "Deployment"}]})),
        "/apis/custom.metrics.k8s.io" => Answer::json(&json!({"versions": [{"version": "v1beta2"}]})),
        "/apis/apps/v1/namespaces/agents/deployments/web/scale" => {
            Answer::json(&json!({"metadata": {"name": "web"}, "spec": {"replicas": 1},
                                 "status": {"replicas": 1, "selector": "app=web"}}))
        }
        "/api/v1/namespaces/agents/pods" => Answer::json(&list("PodList", &json!([{"metadata": {"name": "p"}}]))),
        LOAD => Answer::json(&json!({"items": [{"describedObject": {"name": "p"}, "value": "5"}]})),
        _ => Answer::status(404, "the server could not find the requested resource"),
    }
}

/// State and text of what is said of the metrics of each autoscaler, in the order of the names.
async fn metrics(impostor: &Impostor) -> Vec<(String, String, String)> {
    let (_, report) = report(impostor, &[]).await;
    let findings = report["findings"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |it: &Value| (text(&it["object"]["name"]), text(&it["state"]), text(&it["found"]));
    findings.iter().filter(|finding| finding["check"] == "metrics").map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_with_odd_names_keep_nobody_else_from_being_looked_at() {
    let odd = ["a b", "a\u{7f}", "?x=y", "a#b", "%zz", "\u{e9}", "a/../b", "a\nb"];
    let mut all: Vec<Value> =
        odd.iter().enumerate().map(|(nth, name)| autoscaler(&format!("a{nth}"), &deployment(name))).collect();
    let odd_version = json!({"apiVersion": "apps v1/\u{1b}", "kind": "Deployment", "name": "web"});
    all.push(autoscaler("b", &odd_version));
    all.extend(["web-1", "web-2", "web-3"].map(|name| autoscaler(name, &deployment("web"))));
    let impostor = Impostor::start(move |path| answer(path, &all)).await;
    let told = metrics(&impostor).await;
    assert_eq!(told.len(), odd.len() + 4, "{told:#?}");
    for (name, state, found) in told {
        let (want, words) = match name.as_str() {
            "b" => ("failure", "the API has no version apps v1/"),
            name if name.starts_with("web") => ("ok", "Pod metric load is 5 in 1 pod"),
            _ => ("failure", "what it scales does not exist"),
        };
        assert!(state == want && found.contains(words), "{name}: {state}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_asked_is_not_known_and_no_failure() {
    let scale = "/apis/apps/v1/namespaces/agents/deployments/web/scale";
    for (at, said, words) in [
        (scale, Answer::status(403, "deployments.apps \"web\" is forbidden"), "cannot be asked for: deployments.apps"),
        (scale, Answer::status(500, "etcd is away"), "was not asked for: etcd is away"),
        (scale, Answer::Close, "was not asked for: it closes the connection"),
        (scale, Answer::Page(200, "<html>".into()), "was not asked for: "),
        ("/apis/apps/v1", Answer::status(403, "no discovery"), "cannot be asked for: no discovery"),
        ("/apis/custom.metrics.k8s.io", Answer::status(503, "not now"), "was not asked for: not now"),
        (LOAD, Answer::status(403, "pods.custom.metrics.k8s.io is forbidden"), "cannot be asked for: pods.custom"),
        (LOAD, Answer::Close, "was not asked for: it closes the connection"),
    ] {
        let impostor = Impostor::start(move |path| match path.split('?').next() == Some(at) {
            true => said.clone(),
            false => answer(path, &[autoscaler("web", &deployment("web"))]),
        })
        .await;
        let told = metrics(&impostor).await;
        assert!(told.len() == 1 && told[0].1 == "unknown" && told[0].2.contains(words), "{words}: {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_controller_is_refused_too_is_a_failure() {
    let group = "/apis/custom.metrics.k8s.io";
    for (at, said, words) in [
        (group, Answer::status(404, "no"), "no custom metrics API (custom.metrics.k8s.io) registered"),
        (LOAD, Answer::status(503, "the server is currently unable to handle the request"), "currently unable"),
        (LOAD, Answer::Page(200, "<html>".into()), "it is no list"),
        (LOAD, Answer::Flood, "its answer has more than 64 MiB"),
    ] {
        let impostor = Impostor::start(move |path| match path.split('?').next() == Some(at) {
            true => said.clone(),
            false => answer(path, &[autoscaler("web", &deployment("web"))]),
        })
        .await;
        let told = metrics(&impostor).await;
        assert!(told.len() == 1 && told[0].1 == "failure" && told[0].2.contains(words), "{words}: {told:#?}");
    }
}
