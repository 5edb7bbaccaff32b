use crate::harness::target::Target;
use crate::harness::{CUSTOM, Plimsoll, config, eventually};

fn yaml(target: &Target, metric: &str) -> String {
    format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    targets:\n      \
         - {{url: \"{}\", namespace: ns, pod: pod}}\nmetrics:\n  - {{name: {metric}, gauge: {{series: load, combine: sum}}}}\n",
        target.url
    )
}

async fn started(folder: &tempfile::TempDir, target: &Target) -> (Plimsoll, std::path::PathBuf) {
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
    let detail = eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("refused")).await;
    assert_eq!(detail.code, 200, "{detail:?}");
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
    assert_eq!(plimsoll.get("/readyz").await.body, "ok");
    std::fs::remove_file(&file).expect("removed");
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200 && answer.body.contains("refused")).await;
    assert_eq!(plimsoll.value(&path("new")).await, "5");
}
