use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::program::{Program, free_port, installed};
use crate::harness::{CUSTOM, EXTERNAL, Plimsoll, eventually};

/// A real node exporter on a free port.
fn node_exporter() -> (Program, u16) {
    let port = free_port();
    let mut command = installed("prometheus-node-exporter", "prometheus-node-exporter");
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let program = Program::start(command);
    (program, port)
}

/// A real Prometheus that scrapes the targets every second.
fn prometheus(targets: &[String], folder: &tempfile::TempDir) -> (Program, u16) {
    let (port, config) = (free_port(), folder.path().join("prometheus.yml"));
    let yaml = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: all\n    static_configs: [{{targets: [\"127.0.0.1:{port}\", {}]}}]\n",
        targets.iter().map(|target| format!("\"{target}\"")).collect::<Vec<_>>().join(", ")
    );
    std::fs::write(&config, yaml).expect("written");
    let mut command = installed("prometheus", "prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    (Program::start(command), port)
}

/// A shipped sample configuration with its address replaced and a short interval.
fn sample(name: &str, default: &str, port: u16) -> String {
    let path = format!("{}/deploy/config/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a sample");
    assert!(text.contains(default), "{name} no longer scrapes {default}");
    let (head, rest) = text
        .replace(default, &format!("127.0.0.1:{port}"))
        .split_once("    targets:")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("targets");
    let head: String =
        head.lines().filter(|line| !line.contains("scrape_interval")).map(|line| format!("{line}\n")).collect();
    format!("{head}    scrape_interval: 1s\n    targets:{rest}")
}

fn number(quantity: &Value) -> f64 {
    let text = quantity.as_str().expect("a quantity");
    plimsoll::model::quantity::parse(text).expect("a quantity").milli() as f64 / 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_over_a_real_node_exporter_is_served() {
    let (_exporter, port) = node_exporter();
    let yaml = sample("node-exporter.yaml", "127.0.0.1:9100", port);
    let plimsoll = Plimsoll::start(&yaml).await;
    for metric in crate::harness::config(&yaml).metrics {
        let list = plimsoll.ok(&format!("{EXTERNAL}/namespaces/monitoring/{}", metric.name)).await;
        assert!(!list["items"].as_array().expect("items").is_empty(), "{list:#}");
    }
    let load = plimsoll.ok(&format!("{CUSTOM}/nodes/%2A/node_load")).await;
    assert!((0.0..1000.0).contains(&number(&load["items"][0]["value"])), "{load:#}");
    let memory = plimsoll
        .ok(&format!("{CUSTOM}/namespaces/monitoring/daemonsets.apps/node-exporter/memory_available_ratio"))
        .await;
    assert!((0.001..1.0).contains(&number(&memory["items"][0]["value"])), "{memory:#}");
    let cpu = plimsoll.ok(&format!("{CUSTOM}/namespaces/monitoring/pods/node-exporter-1/cpu_seconds_per_second")).await;
    assert!((0.0..512.0).contains(&number(&cpu["items"][0]["value"])), "{cpu:#}");
    assert_eq!(plimsoll.target(&port.to_string()).await["issues"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_over_a_real_prometheus_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_prometheus, port) = prometheus(&[], &folder);
    let yaml = sample("prometheus.yaml", "127.0.0.1:9090", port);
    let plimsoll = Plimsoll::start(&yaml).await;
    for metric in crate::harness::config(&yaml).metrics {
        let list = plimsoll.ok(&format!("{EXTERNAL}/namespaces/monitoring/{}", metric.name)).await;
        assert!(!list["items"].as_array().expect("items").is_empty(), "{list:#}");
    }
}

/// The first value of an instant query; `None` while there is none.
async fn query(http: &reqwest::Client, port: u16, expression: &str) -> Option<f64> {
    let url = format!("http://127.0.0.1:{port}/api/v1/query?query={expression}");
    let text = http.get(url).send().await.ok()?.text().await.ok()?;
    let body: Value = serde_json::from_str(&text).ok()?;
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_and_plimsoll_tell_the_same_of_one_exporter() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_exporter, exporter_port) = node_exporter();
    let (_prometheus, port) = prometheus(&[format!("127.0.0.1:{exporter_port}")], &folder);
    let plimsoll = Plimsoll::start(&format!(
        "scrape_configs:\n  - job_name: node\n    scrape_interval: 1s\n    targets:\n      \
         - {{url: 'http://127.0.0.1:{exporter_port}/metrics', namespace: ns, pod: node}}\nmetrics:\n  \
         - {{name: memory, gauge: {{series: node_memory_MemTotal_bytes, combine: sum}}}}\n  \
         - {{name: processors, rate: {{counter: node_cpu_seconds_total, window: 5s}}}}\n"
    ))
    .await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let memory = eventually(|| query(&http, port, "node_memory_MemTotal_bytes"), Option::is_some).await;
    let ours = plimsoll.ok(&format!("{CUSTOM}/namespaces/ns/pods/node/memory")).await;
    assert_eq!(Some(number(&ours["items"][0]["value"])), memory);
    // All modes together pass one second per second and processor: for us from the second scrape on, for
    // Prometheus, which takes a young series for a slow one, once its window is full.
    let list = plimsoll.ok(&format!("{CUSTOM}/namespaces/ns/pods/node/processors")).await;
    let ours = number(&list["items"][0]["value"]);
    let ask = || query(&http, port, "sum(rate(node_cpu_seconds_total[5s]))");
    eventually(ask, |theirs| theirs.is_some_and(|theirs| (ours - theirs).abs() < 0.1 * ours)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_finds_no_fault_with_the_own_metrics() {
    let (_exporter, port) = node_exporter();
    let plimsoll = Plimsoll::start(&sample("node-exporter.yaml", "127.0.0.1:9100", port)).await;
    plimsoll.ok(&format!("{CUSTOM}/nodes/%2A/node_load")).await;
    let page = plimsoll.get("/metrics").await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let mut command = installed("promtool", "prometheus");
    let mut promtool = command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    promtool.stdin.take().expect("piped").write_all(page.body.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{}", page.body);
    for family in page.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().expect("a name");
        assert!(name.starts_with("plimsoll_") || name.starts_with("process_"), "{family}");
        assert!(page.body.contains(&format!("# HELP {name} ")), "{name} has no HELP");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_scrapes_the_own_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_exporter, exporter_port) = node_exporter();
    let plimsoll = Plimsoll::start(&sample("node-exporter.yaml", "127.0.0.1:9100", exporter_port)).await;
    let address = plimsoll.base.trim_start_matches("https://").to_owned();
    let (port, config) = (free_port(), folder.path().join("prometheus.yml"));
    let yaml = format!(
        "scrape_configs:\n  - job_name: plimsoll\n    scheme: https\n    scrape_interval: 1s\n    \
         tls_config: {{insecure_skip_verify: true}}\n    static_configs: [{{targets: [\"{address}\"]}}]\n"
    );
    std::fs::write(&config, yaml).expect("written");
    let mut command = installed("prometheus", "prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _prometheus = Program::start(command);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://127.0.0.1:{port}/api/v1/query?query=plimsoll_scrapes_total");
    let ask = || {
        let (http, url) = (http.clone(), url.clone());
        async move { http.get(url).send().await.ok()?.text().await.ok() }
    };
    eventually(ask, |body| body.as_ref().is_some_and(|body| body.contains("\"plimsoll_scrapes_total\""))).await;
}
