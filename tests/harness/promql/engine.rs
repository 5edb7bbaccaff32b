//! The real engines: Prometheus 2 as Debian ships it, and Prometheus 3's engine built from its modules.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use plimsoll::model::{Timestamp, is_stale_marker};
use prost::Message;
use serde_json::{Value, json};

use super::{Labels, Query, Series, Vector};
use crate::harness::controlplane::programs::workshop;
use crate::harness::program::{Program, free_port, installed};
use crate::harness::{eventually, install_crypto};

/// A Prometheus 2 on loopback that takes remote writes.
pub struct Prometheus2 {
    base: String,
    http: reqwest::Client,
    _program: Program,
    _folder: tempfile::TempDir,
}

/// Series that Prometheus 3 reads in its own notation.
pub struct Load<'a> {
    pub start: Timestamp,
    pub interval: Duration,
    pub lines: &'a [String],
}

/// Series per remote write.
const BATCH: usize = 2_000;

// === impl Prometheus2 ===

impl Prometheus2 {
    pub async fn start() -> Self {
        install_crypto();
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "scrape_configs: []\n").expect("written");
        let mut command = installed("prometheus", "prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.arg("--web.enable-remote-write-receiver");
        let program = Program::start(command);
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let engine = Self { base: format!("http://127.0.0.1:{port}"), http, _program: program, _folder: folder };
        let ready = || async { engine.http.get(format!("{}/-/ready", engine.base)).send().await.map(|a| a.status()) };
        drop(eventually(ready, |status| status.as_ref().is_ok_and(reqwest::StatusCode::is_success)).await);
        engine.check_version().await;
        engine
    }

    /// The rules changed with the major version.
    async fn check_version(&self) {
        let answer = self.json("/api/v1/status/buildinfo", &[]).await;
        let version = answer["data"]["version"].as_str().expect("a version");
        assert!(version.starts_with("2."), "expected Prometheus 2, found {version}");
    }

    /// Stores series; in the order given they come out again.
    pub async fn write(&self, series: &[Series]) {
        for batch in series.chunks(BATCH) {
            let request = WriteRequest { timeseries: batch.iter().map(TimeSeries::from).collect() };
            let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).expect("in memory");
            let request = self.http.post(format!("{}/api/v1/write", self.base)).body(body);
            let request =
                request.header("content-encoding", "snappy").header("x-prometheus-remote-write-version", "0.1.0");
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            assert!(status.is_success(), "{status} {}", answer.text().await.expect("a body"));
        }
    }

    pub async fn query(&self, query: &Query) -> Vector {
        let time = format!("{}.{:03}", query.time.0 / 1_000, query.time.0 % 1_000);
        let parameters = [("query", query.expression.to_string()), ("time", time)];
        let answer = self.json("/api/v1/query", &parameters).await;
        assert_eq!(answer["status"], "success", "{}: {answer}", query.expression);
        let points = answer["data"]["result"].as_array().expect("a vector");
        points.iter().map(|point| (labels(&point["metric"]), number(&point["value"][1]))).collect()
    }

    async fn json(&self, path: &str, parameters: &[(&str, String)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), parameters).expect("a URL");
        let text = self.http.get(url).send().await.expect("an answer").text().await.expect("a body");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// What Prometheus 3 answers to all queries.
pub fn prometheus3(series: &[Series], load: Option<&Load<'_>>, queries: &[Query]) -> Vec<Vector> {
    let request = json!({
        "series": series.iter().map(series_json).collect::<Vec<_>>(),
        "load": load.map(|load| json!({
            "start_millis": load.start.0,
            "interval_millis": load.interval.as_millis() as u64,
            "lines": load.lines,
        })),
        "queries": queries.iter().map(|query| json!({
            "expression": query.expression.to_string(),
            "time_millis": query.time.0,
        })).collect::<Vec<_>>(),
    });
    let answer: Value = serde_json::from_slice(&run(oracle(), &request)).expect("JSON");
    let points = |vector: &Value| vector.as_array().expect("a vector").clone();
    let vector = |vector: &Value| {
        points(vector).iter().map(|point| (labels(&point["labels"]), number(&point["value"]))).collect()
    };
    answer.as_array().expect("results").iter().map(vector).collect()
}

fn run(program: &Path, request: &Value) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    // It answers when it has read everything.
    child.stdin.take().expect("piped").write_all(request.to_string().as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{} failed: {}", program.display(), output.status);
    output.stdout
}

fn series_json(series: &Series) -> Value {
    let timestamps: Vec<_> = series.samples.iter().map(|sample| sample.timestamp.0).collect();
    let text = |value: f64| if is_stale_marker(value) { "stale".to_owned() } else { format!("{value:e}") };
    let values: Vec<_> = series.samples.iter().map(|sample| text(sample.value)).collect();
    json!({ "labels": series.labels, "timestamps": timestamps, "values": values })
}

/// The program of `tests/oracle`, built when its source or a module has changed.
pub fn oracle() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = workshop().join("promql-oracle");
        let mut command = Command::new(go());
        command.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").env("CGO_ENABLED", "0");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle"));
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tests/oracle does not build; run `make setup`\n{why}");
        program
    })
}

/// The Go that `make setup` has chosen or fetched; before that, the one in the path.
fn go() -> PathBuf {
    let chosen = workshop().join("go");
    if chosen.is_file() { chosen } else { "go".into() }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().expect("labels").iter();
    pairs.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value}: expected a number"))
}

// === Remote write 1.0 (prompb/remote.proto, prompb/types.proto) ===

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WrittenSample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct WrittenSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

impl From<&Series> for TimeSeries {
    fn from(series: &Series) -> Self {
        let label = |(name, value): (&String, &String)| Label { name: name.clone(), value: value.clone() };
        let samples = series.samples.iter();
        let sample = samples.map(|sample| WrittenSample { value: sample.value, timestamp: sample.timestamp.0 });
        Self { labels: series.labels.iter().map(label).collect(), samples: sample.collect() }
    }
}
