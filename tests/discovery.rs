use serde_json::{Value, json};

use crate::harness::target::{Behaviour, Target};
use crate::harness::{Answer, CUSTOM, Plimsoll, config, eventually};

const METRICS: &str = "metrics:\n  - {name: load, gauge: {series: load, combine: sum}}\n";

fn group(target: &Target, pod: &str) -> Value {
    let address = target.url.trim_start_matches("http://").trim_end_matches("/metrics");
    json!({"targets": [address], "labels": {
        "namespace": "ns", "pod": pod, "owner": "Deployment/web", "services": "web", "node": "n1", "app": "web",
    }})
}

fn write(path: &std::path::Path, groups: &[Value]) {
    std::fs::write(path, json!(groups).to_string()).expect("written");
}

async fn pods(plimsoll: &Plimsoll) -> Vec<String> {
    let answer = plimsoll.get(&format!("{CUSTOM}/namespaces/ns/pods/%2A/load?labelSelector=app%3Dweb")).await;
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let items = body["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["describedObject"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn target_files_are_followed_as_they_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    let file = folder.path().join("a.json");
    write(&file, &[group(&one, "web-1")]);
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         file_sd_configs: [{{files: [\"{}/*.json\"], refresh_interval: 1m}}]\n{METRICS}",
        folder.path().display()
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1"]).await;
    write(&folder.path().join("b.json"), &[group(&two, "web-2")]);
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1", "web-2"]).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/deployments.apps/web/load"), "3").await;
    std::fs::write(&file, "[{\"targets\": ").expect("written");
    let answer =
        eventually(|| plimsoll.get("/status/targets"), |answer| answer.body.contains("its last 1 targets stay")).await;
    assert!(answer.body.contains("a.json"), "{answer:?}");
    assert_eq!(pods(&plimsoll).await, ["web-1", "web-2"], "a broken file keeps its last targets");
    std::fs::remove_file(folder.path().join("b.json")).expect("removed");
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1"]).await;
}

#[tokio::test]
async fn a_missing_target_file_degrades_and_costs_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    let files = ["a.json", "b.json"].map(|name| folder.path().join(name));
    write(&files[0], &[group(&one, "web-1")]);
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         file_sd_configs: [{{files: [\"{}\", \"{}\"]}}]\n{METRICS}",
        files[0].display(),
        files[1].display()
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1"]).await;
    let degraded = |answer: &Answer| answer.code == 200 && answer.body.contains("b.json: the file cannot be read");
    let ready = eventually(|| plimsoll.get("/readyz?verbose"), degraded).await;
    assert!(ready.body.contains("[!]discovery degraded: job file_sd"), "{ready:?}");
    let failures = "plimsoll_discovery_failures_total{mechanism=\"file_sd\"} ";
    assert!(plimsoll.get("/metrics").await.body.contains(&format!("\n{failures}1\n")));
    write(&files[1], &[group(&two, "web-2")]);
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1", "web-2"]).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    std::fs::remove_file(&files[0]).expect("removed");
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("a.json: the file cannot be read")).await;
    assert_eq!(pods(&plimsoll).await, ["web-1", "web-2"]);
    assert!(plimsoll.get("/metrics").await.body.contains(&format!("\n{failures}2\n")));
}

#[tokio::test]
async fn a_wrong_group_is_said_and_the_others_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Target::page("load 1\n").await;
    let file = folder.path().join("a.json");
    write(&file, &[json!({"targets": ["127.0.0.1:1"], "labels": {"pod": "x"}}), group(&one, "web-1")]);
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         file_sd_configs: [{{files: [\"{}\"]}}]\n{METRICS}",
        file.display()
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1"]).await;
    let sources = plimsoll.get("/status/targets").await.json()["data"]["sources"].clone();
    let mistake = sources[0]["mistakes"][0].as_str().unwrap_or_default().to_owned();
    assert!(mistake.contains("namespace"), "{sources:#}");
}

#[tokio::test]
async fn a_target_endpoint_that_fails_keeps_its_last_targets() {
    let one = Target::page("load 1\n").await;
    let list = |groups: &[Value]| Behaviour::Typed {
        content_type: "application/json",
        headers: "",
        body: json!(groups).to_string().into_bytes(),
    };
    let endpoint = Target::start(list(&[group(&one, "web-1")])).await;
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
         http_sd_configs: [{{url: \"{}\", refresh_interval: 200ms}}]\n{METRICS}",
        endpoint.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    eventually(|| pods(&plimsoll), |pods| *pods == ["web-1"]).await;
    endpoint.set(Behaviour::Status("500 Internal Server Error"));
    let degraded = |answer: &Answer| answer.code == 200 && answer.body.contains("[!]discovery");
    let ready = eventually(|| plimsoll.get("/readyz"), degraded).await;
    assert!(ready.body.contains("answered 500"), "{ready:?}");
    assert_eq!(pods(&plimsoll).await, ["web-1"]);
    endpoint.set(list(&[]));
    eventually(|| plimsoll.get("/status/targets"), |answer| answer.body.contains("\"activeTargets\":[]")).await;
}

#[tokio::test]
async fn targets_beyond_the_limit_are_not_scraped_and_said() {
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    targets:\n      \
         - {{url: \"{}\", namespace: ns, pod: a}}\n      - {{url: \"{}\", namespace: ns, pod: b}}\nlimits: {{targets: 1}}\n{METRICS}",
        one.url, two.url
    );
    let plimsoll = Plimsoll::start_with(config(&yaml), None).await;
    plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/a/load"), "1").await;
    let ready = plimsoll.get("/readyz").await;
    assert!(ready.body.contains("1 targets are beyond the limit of 1"), "{ready:?}");
    assert!(plimsoll.get("/metrics").await.body.contains("\nplimsoll_discovery_targets_over_limit 1\n"));
    assert_eq!(two.requests().len(), 0);
}
