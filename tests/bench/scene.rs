//! What is measured, set up: pretended pods, Plimsoll, and Prometheus beside it.

use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::generator;
use crate::page::{Size, WANTED};
use crate::process::{Process, installed};
use crate::progress;

/// The pods with the folder that everything of the scene is in.
pub struct Scene {
    /// `None` when somebody else serves the pages.
    generator: Option<Process>,
    folder: TempDir,
    port: u16,
    certificate: String,
}

/// A server that scrapes the pods.
pub struct Server {
    pub process: Process,
    pub client: Client,
    pub base: String,
}

/// How to scrape and over which time to look back, in seconds.
#[derive(Clone, Copy)]
pub struct Pace {
    pub interval: u64,
    pub window: u64,
}

/// What Prometheus stores of the pages.
#[derive(Clone, Copy, PartialEq)]
pub enum Keeps {
    Everything,
    /// It reads everything all the same.
    Wanted,
}

/// Pods of one Deployment, and pods that a narrow selector matches.
pub const DEPLOYMENT_SIZE: usize = 1000;
pub const BATCH_SIZE: usize = 10;

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// For two rounds of scrapes, on a machine that may be busy.
const SCRAPES_TIMEOUT: Duration = Duration::from_secs(180);

// === impl Scene ===

impl Scene {
    /// Starts the pods; an idle connection is closed by them after `idle`.
    pub fn start(size: Size, idle: Duration) -> Self {
        let folder = TempDir::new().expect("a folder");
        let bench = std::env::current_exe().expect("this program");
        let arguments = [generator::COMMAND.to_owned(), size.to_string(), idle.as_secs().to_string()];
        let mut generator = Process::start("generator", &bench, &arguments, folder.path());
        let port = generator.wait_for("the start", START_TIMEOUT, |process| process.output().trim().parse().ok());
        Self::new(folder, port, Some(generator))
    }

    /// Pods that are served at a port already.
    pub fn with_port(port: u16) -> Self {
        Self::new(TempDir::new().expect("a folder"), port, None)
    }

    fn new(folder: TempDir, port: u16, generator: Option<Process>) -> Self {
        let certificate = write_pair(folder.path());
        Self { generator, folder, port, certificate }
    }

    /// What servers show to their clients, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// CPU time of the process that serves the pages.
    pub fn generator_cpu(&self) -> Duration {
        self.generator.as_ref().map_or(Duration::ZERO, Process::cpu)
    }

    /// Starts this program once more, for what its arguments say.
    pub fn beside(&self, name: &'static str, arguments: &[String]) -> Process {
        let bench = std::env::current_exe().expect("this program");
        Process::start(name, &bench, arguments, self.folder.path())
    }

    /// Says which pods there are; takes effect at once, also while servers run.
    pub fn write_targets(&self, pods: Range<usize>) {
        write_targets(self.folder.path(), self.port, pods);
    }

    pub fn plimsoll(&self, pace: Pace) -> Server {
        self.plimsoll_with(&plimsoll_config(pace), None)
    }

    /// Plimsoll with a configuration of its own, in the cluster of a kubeconfig where one is given.
    pub fn plimsoll_with(&self, config: &str, kubeconfig: Option<&str>) -> Server {
        let config = self.write("plimsoll.yaml", config);
        let kubeconfig = kubeconfig.map(|kubeconfig| self.write("kubeconfig.yaml", kubeconfig));
        let program = Path::new(env!("CARGO_BIN_EXE_plimsoll"));
        self.server("plimsoll", program, "/livez", |port| {
            let mut arguments = vec![
                "serve".into(),
                format!("--config={}", config.display()),
                format!("--listen=127.0.0.1:{port}"),
                format!("--tls-cert-file={}", self.path("cert.pem").display()),
                format!("--tls-private-key-file={}", self.path("key.pem").display()),
            ];
            arguments.extend(kubeconfig.iter().map(|file| format!("--kubeconfig={}", file.display())));
            arguments
        })
    }

    pub fn prometheus(&self, name: &'static str, pace: Pace, keeps: Keeps) -> Server {
        let config = self.write(&format!("{name}.yaml"), &prometheus_config(pace, keeps));
        let web = self.write("web.yaml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n");
        let program = installed("prometheus", "prometheus");
        self.server(name, &program, "/-/ready", |port| {
            vec![
                format!("--config.file={}", config.display()),
                format!("--web.config.file={}", web.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--storage.tsdb.path={}", self.path(name).display()),
                "--log.level=warn".into(),
            ]
        })
    }

    fn server(
        &self,
        name: &'static str,
        program: &Path,
        probe: &str,
        arguments: impl Fn(u16) -> Vec<String>,
    ) -> Server {
        let port = free_port();
        let client = Client::new(&self.certificate);
        let base = format!("https://127.0.0.1:{port}");
        let mut process = Process::start(name, program, &arguments(port), self.folder.path());
        let is_up = |_: &Process| client.get(&format!("{base}{probe}")).filter(|(code, _)| *code == 200);
        process.wait_for("the start", START_TIMEOUT, is_up);
        Server { process, client, base }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the scene.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("a file");
        self.path(name)
    }
}

// === impl Server ===

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Waits until Plimsoll has scraped every target twice.
    pub fn wait_ready(&mut self, pace: Pace) {
        let (url, client) = (self.url("/readyz"), &self.client);
        progress(format_args!("waiting until all targets are scraped twice, some {} s", 2 * pace.interval));
        self.process.wait_for("readiness", SCRAPES_TIMEOUT, |_| client.get(&url).filter(|(code, _)| *code == 200));
    }

    /// Waits until a query of Prometheus gives at least this.
    pub fn wait_query(&mut self, query: &str, least: f64) {
        let (base, client) = (self.base.clone(), &self.client);
        self.process.wait_for(query, SCRAPES_TIMEOUT, |_| {
            let (_, body) = client.get(&query_url(&base, query))?;
            let found = scalar(&serde_json::from_str(&body).ok()?)?;
            (found >= least).then_some(())
        });
    }

    /// The single number that a query of Prometheus gives.
    pub fn query(&self, query: &str) -> f64 {
        let answer = self.client.json(&query_url(&self.base, query));
        scalar(&answer).unwrap_or_else(|| panic!("{query}: {answer}"))
    }
}

/// URL of an instant query.
pub fn query_url(base: &str, query: &str) -> String {
    let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
    format!("{base}/api/v1/query?query={query}")
}

fn scalar(answer: &Value) -> Option<f64> {
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A serving pair for both servers; gives the certificate.
fn write_pair(folder: &Path) -> String {
    let pair = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a pair");
    std::fs::write(folder.join("cert.pem"), pair.cert.pem()).expect("a file");
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).expect("a file");
    pair.cert.pem()
}

/// A file in the format of `file_sd`, replaced as a whole.
fn write_targets(folder: &Path, port: u16, pods: Range<usize>) {
    let group = |pod: usize| {
        let app = format!("web-{}", pod / DEPLOYMENT_SIZE);
        json!({
            "targets": [format!("{}:{port}", generator::address(pod))],
            "labels": {
                "namespace": "agents", "pod": pod_name(pod), "owner": format!("Deployment/{app}"), "services": app,
                "app": app, "batch": batch_name(pod),
            },
        })
    };
    let groups: Vec<_> = pods.map(group).collect();
    std::fs::write(folder.join("targets.new"), json!(groups).to_string()).expect("a file");
    std::fs::rename(folder.join("targets.new"), folder.join("targets.json")).expect("the same folder");
}

pub fn pod_name(pod: usize) -> String {
    format!("web-{pod:05}")
}

pub fn batch_name(pod: usize) -> String {
    format!("batch-{:04}", pod / BATCH_SIZE)
}

/// Five families are wanted, as the pages have them.
pub fn plimsoll_config(Pace { interval, window }: Pace) -> String {
    format!(
        "scrape_configs:
  - job_name: bench
    scrape_interval: {interval}s
    file_sd_configs: [{{files: [targets.json], refresh_interval: {interval}s}}]
metrics:
  - name: queue_length
    queue: {{series: agent_queue_length, sharing: partitioned}}
    split_by: [queue]
  - name: requests_in_flight
    gauge: {{series: http_requests_in_flight, combine: sum}}
  - name: decisions_per_second
    rate: {{counter: agent_decisions_total, window: {window}s}}
  - name: requests_per_second
    rate: {{counter: http_requests_total, window: {window}s}}
  - name: inference_latency_p95
    quantile: {{histogram: model_inference_duration_seconds, q: 0.95, window: {window}s}}
"
    )
}

fn prometheus_config(Pace { interval, .. }: Pace, keeps: Keeps) -> String {
    let keep = match keeps {
        Keeps::Everything => String::new(),
        Keeps::Wanted => format!(
            "    metric_relabel_configs: [{{source_labels: [__name__], regex: '({})(_bucket)?', action: keep}}]\n",
            WANTED.join("|")
        ),
    };
    format!(
        "scrape_configs:
  - job_name: bench
    scrape_interval: {interval}s
    scrape_timeout: {interval}s
    file_sd_configs: [{{files: [targets.json], refresh_interval: {interval}s}}]
{keep}"
    )
}
