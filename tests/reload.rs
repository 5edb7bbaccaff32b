use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::target::{Behaviour, Target};
use crate::harness::{CUSTOM, Plimsoll, config, eventually};

fn yaml(target: &Target, metric: &str) -> String {
    format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    targets:\n      \
         - {{url: \"{}\", namespace: ns, pod: pod}}\nmetrics:\n  - {{name: {metric}, gauge: {{series: load, combine: sum}}}}\n",
        target.url
    )
}

async fn started(folder: &tempfile::TempDir, target: &Target) -> (Plimsoll, PathBuf) {
    let file = folder.path().join("plimsoll.yaml");
    std::fs::write(&file, yaml(target, "old")).expect("written");
    let plimsoll = Plimsoll::start_with(config(&yaml(target, "old")), Some(file.clone())).await;
    plimsoll.value_becomes(&path("old"), "5").await;
    (plimsoll, file)
}

fn path(metric: &str) -> String {
    format!("{CUSTOM}/namespaces/ns/pods/pod/{metric}")
}

#[tokio::test]
async fn a_changed_file_takes_effect_without_a_restart() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Target::page("load 5\n").await);
    let (plimsoll, file) = started(&folder, &target).await;
    // As an editor or a mounted ConfigMap does it: a new file takes the place of the old one.
    let new = folder.path().join("new");
    std::fs::write(&new, yaml(&target, "new")).expect("written");
    std::fs::rename(&new, &file).expect("renamed");
    plimsoll.value_becomes(&path("new"), "5").await;
    plimsoll.refused(&path("old"), "defines no metric of this name; it defines new").await;
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_configuration_and_says_so() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Target::page("load 5\n").await);
    let (plimsoll, file) = started(&folder, &target).await;
    std::fs::write(&file, yaml(&target, "new").replace("combine", "combin")).expect("written");
    let detail =
        eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200 && answer.body.contains("refused")).await;
    assert!(
        detail.body.contains("[!]config degraded: the changed file is refused, the old configuration stays in force"),
        "{detail:?}"
    );
    assert!(detail.body.contains("combin"), "{detail:?}");
    assert_eq!(plimsoll.value(&path("old")).await, "5");
    let metrics = plimsoll.get("/metrics").await.body;
    assert!(metrics.contains("\nplimsoll_config_last_reload_successful 0\n"), "{metrics}");
    assert!(metrics.contains("\nplimsoll_config_reload_failures_total 1\n"), "{metrics}");
    std::fs::write(&file, yaml(&target, "new")).expect("written");
    plimsoll.value_becomes(&path("new"), "5").await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body == "ok").await;
    std::fs::remove_file(&file).expect("removed");
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200 && answer.body.contains("refused")).await;
    assert_eq!(plimsoll.value(&path("new")).await, "5");
}

/// A target, a page that lists it, and a configuration file that names the page.
struct Listed {
    target: Target,
    endpoint: Target,
    file: PathBuf,
    plimsoll: Plimsoll,
}

impl Listed {
    async fn start(folder: &Path) -> Self {
        let target = Target::page("load 5\n").await;
        let address = target.url.trim_start_matches("http://").trim_end_matches("/metrics");
        let groups = serde_json::json!([{"targets": [address], "labels": {"namespace": "ns", "pod": "pod"}}]);
        let body = groups.to_string().into_bytes();
        let endpoint = Target::start(Behaviour::Typed { content_type: "application/json", headers: "", body }).await;
        let file = folder.join("plimsoll.yaml");
        std::fs::write(&file, Self::yaml(&endpoint, "1m", "old")).expect("written");
        let plimsoll = Plimsoll::start_with(config(&Self::yaml(&endpoint, "1m", "old")), Some(file.clone())).await;
        eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
        Self { target, endpoint, file, plimsoll }
    }

    fn yaml(endpoint: &Target, refresh: &str, metric: &str) -> String {
        format!(
            "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    \
             http_sd_configs: [{{url: \"{}\", refresh_interval: {refresh}}}]\n\
             metrics:\n  - {{name: {metric}, gauge: {{series: load, combine: sum}}}}\n",
            endpoint.url
        )
    }

    fn write(&self, yaml: &str) {
        std::fs::write(&self.file, yaml).expect("written");
    }
}

#[tokio::test]
async fn a_reload_of_metrics_leaves_the_sources_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = Listed::start(folder.path()).await;
    listed.write(&Listed::yaml(&listed.endpoint, "1m", "new"));
    listed.plimsoll.value_becomes(&path("new"), "5").await;
    assert_eq!(listed.endpoint.requests().len(), 1, "the list was not asked for again");
}

#[tokio::test]
async fn a_reload_keeps_the_targets_of_a_source_that_is_down() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = Listed::start(folder.path()).await;
    listed.endpoint.set(Behaviour::Status("500 Internal Server Error"));
    listed.target.set(Behaviour::Hang);
    listed.write(&Listed::yaml(&listed.endpoint, "2m", "new"));
    let degraded = eventually(|| listed.plimsoll.get("/readyz"), |answer| answer.body.contains("answered 500")).await;
    assert_eq!(degraded.code, 200, "{degraded:?}");
    assert!(degraded.body.contains("[!]discovery degraded: job http_sd"), "{degraded:?}");
    assert_eq!(listed.plimsoll.value(&path("new")).await, "5", "its samples stay");
}

#[tokio::test]
async fn a_reload_never_makes_it_unready() {
    let folder = tempfile::tempdir().expect("a folder");
    let (listed, slow) = (Listed::start(folder.path()).await, Target::start(Behaviour::Hang).await);
    let two = Listed::yaml(&listed.endpoint, "1m", "new")
        .replace("http_sd_configs: [", &format!("http_sd_configs: [{{url: \"{}\", refresh_interval: 1m}}, ", slow.url));
    listed.write(&two);
    listed.plimsoll.value_becomes(&path("new"), "5").await;
    // Until the slow source is given up and beyond.
    let (mut waited, mut failed) = (false, false);
    for _ in 0..240 {
        let ready = listed.plimsoll.get("/readyz").await;
        assert_eq!(ready.code, 200, "{ready:?}");
        assert_eq!(listed.plimsoll.value(&path("new")).await, "5");
        waited |= ready.body.contains("has not reported yet");
        failed |= ready.body.contains("discovery degraded") && !ready.body.contains("has not reported yet");
        if failed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(waited && failed, "waited {waited}, failed {failed}");
}

#[tokio::test]
async fn ten_thousand_mistakes_are_told_in_a_few() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Target::page("load 5\n").await);
    let (plimsoll, file) = started(&folder, &target).await;
    let many = "  - {name: 5}\n".repeat(10_000);
    std::fs::write(&file, format!("scrape_configs: []\nmetrics:\n{many}")).expect("written");
    let ready = eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("refused")).await;
    assert!(ready.code == 200 && ready.body.len() < 5_000, "{} bytes", ready.body.len());
    assert!(ready.body.contains("; and ") && ready.body.contains(" more\n"), "{ready:?}");
}

#[tokio::test]
async fn a_configuration_that_is_no_regular_file_is_refused_without_waiting_for_it() {
    let (folder, target) = (tempfile::tempdir().expect("a folder"), Target::page("load 5\n").await);
    let (plimsoll, file) = started(&folder, &target).await;
    std::fs::remove_file(&file).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().expect("mkfifo").success());
    eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("expected a regular file")).await;
    std::fs::remove_file(&file).expect("removed");
    std::fs::write(&file, yaml(&target, "new")).expect("written");
    plimsoll.value_becomes(&path("new"), "5").await;
    plimsoll.stop().await;
}

#[tokio::test]
async fn ready_means_that_rates_exist() {
    let target = Target::page("requests_total 5\n").await;
    let yaml = format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 1s\n    scrape_timeout: 500ms\n    targets:\n      \
         - {{url: \"{}\", namespace: ns, pod: pod}}\nmetrics:\n  - {{name: requests, rate: {{counter: requests_total}}}}\n",
        target.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    assert_eq!(plimsoll.get(&path("requests")).await.code, 200);
}
