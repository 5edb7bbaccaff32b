//! Pages of programs that nobody here wrote: each is started, used a little, and asked once for each format.

mod postgresql;
mod redis;

use std::path::Path;
use std::process::Command;

use reqwest::Client;
use tempfile::TempDir;

use crate::harness::eventually;
use crate::harness::pages::Page;
use crate::harness::program::{Program, free_port, installed};
use crate::harness::prometheus::Prometheus;

/// A running program that has pages.
struct Exporter {
    name: &'static str,
    address: String,
    path: String,
    /// Words that the page has once there is something to see.
    sign: &'static str,
    _program: Program,
}

const TEXT: &str = "text/plain;version=0.0.4";
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1";

/// Every page that the programs give: text from all, OpenMetrics from those that know it.
pub async fn pages() -> Vec<Page> {
    let folder = tempfile::tempdir().expect("a folder");
    let (redis, postgres) = (redis::Server::start(&folder), postgresql::Server::start());
    let prometheus = Prometheus::start(&serde_json::json!([]));
    let http = Client::builder().no_proxy().build().expect("a client");
    let exporters = [
        node_exporter(),
        pushgateway(&http).await,
        process_exporter(),
        alertmanager(&folder),
        blackbox(&folder, &prometheus.address),
        haproxy(&folder),
        python(),
        redis.exporter(),
        postgres.exporter(),
    ];
    let mut pages = fetch(&http, "prometheus", &format!("http://{}/metrics", prometheus.address), "").await;
    for exporter in &exporters {
        let url = format!("http://{}{}", exporter.address, exporter.path);
        pages.extend(fetch(&http, exporter.name, &url, exporter.sign).await);
    }
    pages
}

async fn fetch(http: &Client, name: &str, url: &str, sign: &str) -> Vec<Page> {
    let text = get(http, name, url, sign, TEXT).await;
    let mut openmetrics = get(http, name, url, sign, OPENMETRICS).await;
    let both = openmetrics.content_type.as_ref().is_some_and(|header| header.starts_with("application/openmetrics"));
    openmetrics.name.push_str(", OpenMetrics");
    [text].into_iter().chain(both.then_some(openmetrics)).collect()
}

async fn get(http: &Client, name: &str, url: &str, sign: &str, accept: &str) -> Page {
    let ask = || async {
        let response = http.get(url).header("accept", accept).send().await.ok()?;
        let content_type = response.headers().get("content-type").map(|value| value.to_str().expect("text").to_owned());
        let body = response.error_for_status().ok()?.bytes().await.ok()?.to_vec();
        Some(Page { name: name.to_owned(), content_type, body })
    };
    let good = |page: &Option<Page>| {
        page.as_ref().is_some_and(|page| String::from_utf8_lossy(&page.body).lines().any(|line| line.contains(sign)))
    };
    eventually(ask, good).await.expect("a page")
}

// === impl Exporter ===

impl Exporter {
    /// Starts a program that is its own package, with the arguments for an address.
    fn start(name: &'static str, arguments: impl FnOnce(&str) -> Vec<String>) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = installed(name, name);
        command.args(arguments(&address));
        Self::run(name, command, address)
    }

    fn run(name: &'static str, command: Command, address: String) -> Self {
        Self { name, address, path: "/metrics".to_owned(), sign: "", _program: Program::start(command) }
    }
}

fn node_exporter() -> Exporter {
    Exporter::start("prometheus-node-exporter", |address| vec![format!("--web.listen-address={address}")])
}

/// Its page has what somebody pushed.
async fn pushgateway(http: &Client) -> Exporter {
    let arguments = |address: &str| vec![format!("--web.listen-address={address}"), "--persistence.file=".to_owned()];
    let exporter = Exporter::start("prometheus-pushgateway", arguments);
    // The value of `where` is `a/b"c` in base 64.
    let url = format!("http://{}/metrics/job/batch/where@base64/YS9iImM=", exporter.address);
    let page = "# TYPE rows_total counter\nrows_total{table=\"a \\\"b\\\", c\\nd\"} 1e15\n\
                # TYPE wait_seconds histogram\nwait_seconds_bucket{le=\"0.5\"} 1\nwait_seconds_bucket{le=\"+Inf\"} 2\n\
                wait_seconds_sum 1e-9\nwait_seconds_count 2\nodd{instance=\"i\"} NaN\n";
    let push = || async { http.put(&url).body(page).send().await.ok().map(|answer| answer.status().as_u16()) };
    eventually(push, |status| *status == Some(200)).await;
    exporter
}

fn process_exporter() -> Exporter {
    Exporter::start("prometheus-process-exporter", |address| {
        vec![format!("-web.listen-address={address}"), "-procnames=prometheus,redis-server,postgres".to_owned()]
    })
}

fn alertmanager(folder: &TempDir) -> Exporter {
    let config = file(folder, "alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    Exporter::start("prometheus-alertmanager", |address| {
        let storage = folder.path().join("alertmanager");
        vec![
            format!("--config.file={config}"),
            format!("--storage.path={}", storage.display()),
            format!("--web.listen-address={address}"),
            "--cluster.listen-address=".to_owned(),
        ]
    })
}

/// Its page about a probe of another program.
fn blackbox(folder: &TempDir, probed: &str) -> Exporter {
    let config = file(folder, "blackbox.yml", "modules: {http: {prober: http}}\n");
    let arguments = |address: &str| vec![format!("--config.file={config}"), format!("--web.listen-address={address}")];
    let mut exporter = Exporter::start("prometheus-blackbox-exporter", arguments);
    exporter.path = format!("/probe?module=http&target=http://{probed}/-/healthy");
    exporter
}

/// Writes its pages itself, in C.
fn haproxy(folder: &TempDir) -> Exporter {
    let address = format!("127.0.0.1:{}", free_port());
    let text = format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n\
         frontend front\n  bind {address}\n  http-request use-service prometheus-exporter if {{ path /metrics }}\n\
         backend back\n  server nobody 127.0.0.1:1\n"
    );
    let config = file(folder, "haproxy.cfg", &text);
    let mut command = installed("/usr/sbin/haproxy", "haproxy");
    command.args(["-db", "-f", &config]);
    Exporter::run("haproxy", command, address)
}

/// The Python client library, which has all that OpenMetrics has.
fn python() -> Exporter {
    let library = Path::new("/usr/lib/python3/dist-packages/prometheus_client");
    assert!(library.is_dir(), "run `make setup` (or: apt-get install python3-prometheus-client)");
    let port = free_port();
    let mut command = installed("/usr/bin/python3", "python3");
    command.args(["-c", include_str!("programs/service.py"), &port.to_string()]);
    Exporter::run("python3", command, format!("127.0.0.1:{port}"))
}

/// Writes a file and gives its path.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}
