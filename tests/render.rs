//! The dashboards as people see them: drawn with Grafana's own components in a Chromium, from what a real Prometheus says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use plimsoll::catalog::lint;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::program::installed;
use crate::harness::prometheus::Prometheus;
use crate::harness::stage::Stage;

/// Windows have to fill before every panel has something to show.
const PATIENCE: Duration = Duration::from_secs(150);

/// Whether windows are full: rates of requests, as often as makes a line.
const FILLED: &str = "count_over_time(sum(rate(http_requests_total[8s]))[20s:1s]) >= 10";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A script of `tests/render`, with the packages that it takes.
fn script(name: &str) -> Command {
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("render/node_modules");
    assert!(modules.is_dir(), "{} is not there; run `make setup`", modules.display());
    let mut command = installed("node", "nodejs");
    command.arg(root().join("tests/render").join(name)).arg("--modules").arg(modules);
    command
}

/// Draws dashboards of a folder as they are after `seconds`; all of them where none is named.
async fn draw(prometheus: &Prometheus, dashboards: &Path, output: &Path, seconds: u32, uids: &[String]) -> Output {
    let mut command = script("render.mjs");
    command.args(["--prometheus", &format!("http://{}", prometheus.address), "--interval", "1"]);
    command.args(["--range", &seconds.to_string()]).arg("--dashboards").arg(dashboards).arg("--output").arg(output);
    command.args(uids);
    run(command).await
}

/// Without keeping from their work those whom it asks.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The specimen, one panel of each kind, with the first query of its second panel changed.
fn specimen(uid: &str, query: Option<&str>) -> Value {
    let text = std::fs::read_to_string(root().join("tests/render/specimen.json")).expect("the specimen");
    let mut dashboard: Value = serde_json::from_str(&text).expect("JSON");
    dashboard["uid"] = json!(uid);
    if let Some(query) = query {
        dashboard["panels"][1]["targets"][0]["expr"] = json!(query);
    }
    dashboard
}

/// Every dashboard of the repository.
fn uids() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("dashboards")).expect("there are dashboards");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let found: Vec<_> = names
        .filter(|name| lint::is_dashboard(&format!("dashboards/{name}")))
        .map(|name| name.trim_end_matches(".json").to_owned())
        .collect();
    assert!(!found.is_empty(), "there are dashboards");
    found
}

fn is_picture(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panel_that_is_not_drawn_is_named() {
    let watched = Prometheus::start(&json!([]));
    let target = |job: &str, address: &str| json!({ "job_name": job, "scrape_interval": "1s", "static_configs": [{ "targets": [address] }] });
    let prometheus = Prometheus::start(&json!([target("prometheus", &watched.address), target("down", "127.0.0.1:1")]));
    // As many points as make a graph.
    let drawn = "count_over_time(rate(prometheus_http_request_duration_seconds_count[4s])[10s:1s]) >= 5";
    let rates = || async { prometheus.query(drawn, now()).await };
    eventually(rates, |series| !series.is_empty()).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (uid, query) in [("good", None), ("empty", Some("up > 5")), ("wrong", Some("sum(up"))] {
        let path = folder.path().join(format!("{uid}.json"));
        std::fs::write(path, specimen(uid, query).to_string()).expect("written");
    }
    let output = draw(&prometheus, folder.path(), folder.path(), 30, &[]).await;
    let mut complaints: Vec<_> = text(&output.stderr).lines().map(str::to_owned).collect();
    complaints.sort();
    assert_eq!(complaints.len(), 2, "{complaints:#?}\n{}", text(&output.stdout));
    assert_eq!(complaints[0], "empty: panel \"Targets up\": No data");
    assert!(complaints[1].starts_with("wrong: panel \"Targets up\": ") && complaints[1].contains("parse error"));
    assert!(!output.status.success() && is_picture(&folder.path().join("good.png")));
}

fn now() -> f64 {
    plimsoll::clock::Clock::system().now().0 as f64 / 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_of_every_dashboard_is_drawn() {
    let stage = Stage::start().await;
    let (started, prometheus) = (Instant::now(), stage.prometheus());
    let (folder, mut left) = (tempfile::tempdir().expect("a folder"), uids());
    // Before, no panel could show anything, and to draw takes much of a small machine.
    while prometheus.query(FILLED, now()).await.is_empty() {
        assert!(started.elapsed() < PATIENCE, "there are no rates of requests");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    loop {
        // All that happened: some of it happens in the beginning only, and to draw takes long on a busy machine.
        let seconds = started.elapsed().as_secs().max(60) as u32;
        let output = draw(&prometheus, &root().join("dashboards"), folder.path(), seconds, &left).await;
        let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            break;
        }
        // What was drawn well once need not be drawn again.
        left.retain(|uid| text(&output.stderr).lines().any(|line| line.starts_with(&format!("{uid}: "))));
        assert!(!left.is_empty() && started.elapsed() < PATIENCE, "{said}");
    }
    for uid in uids() {
        assert!(is_picture(&folder.path().join(format!("{uid}.png"))), "{uid} was not drawn");
    }
}

#[tokio::test]
async fn dashboards_are_of_the_types_that_grafana_has_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bad = specimen("bad", None);
    bad["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["mode"] = json!("absolut");
    std::fs::write(folder.path().join("bad.json"), bad.to_string()).expect("written");
    // In one go: most of the time goes into the types themselves.
    let mut command = script("types.mjs");
    command.args(uids().iter().map(|uid| root().join(format!("dashboards/{uid}.json"))));
    command.arg(folder.path().join("bad.json"));
    let output = run(command).await;
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    let found: Vec<_> = said.lines().filter(|line| line.contains("error TS")).collect();
    assert!(!output.status.success() && found.len() == 1, "{said}");
    assert!(found[0].contains("bad.json") && found[0].contains("absolut"), "{said}");
}

#[tokio::test]
async fn the_lint_knows_the_units_that_grafana_has() {
    let mut command = script("render.mjs");
    command.arg("--units");
    let output = run(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), include_str!("../src/catalog/lint/units.txt"));
}
