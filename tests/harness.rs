//! The real server on a free port, fake targets with scripted behaviour, and real programs as children.

pub mod alertmanager;
pub mod cluster_api;
pub mod container;
pub mod controlplane;
pub mod crowd;
pub mod history;
pub mod kube_api;
pub mod pace;
pub mod pages;
pub mod pki;
pub mod platform;
pub mod program;
pub mod prometheus;
pub mod promql;
pub mod registry;
pub mod stage;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use plimsoll::clock::Clock;
use plimsoll::config::{self, Config};
use plimsoll::model::Timestamp;
use plimsoll::server::{self, CertificateSource, Options, Running};
use plimsoll::serving::{Limits, ServiceName};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Plimsoll in this process, on its own port, asked over HTTPS like any other server.
pub struct Plimsoll {
    pub base: String,
    pub http: reqwest::Client,
    pub certificate_pem: String,
    /// Milliseconds that its clock is ahead of the real one.
    ahead: Arc<AtomicI64>,
    shutdown: CancellationToken,
    running: Option<Running>,
}

/// An answer with its body read.
pub struct Answer {
    pub code: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

/// Longest wait for something that happens within a few scrape intervals.
const PATIENCE: Duration = Duration::from_secs(20);

pub const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2";
pub const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

pub fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Reads a configuration as the program does; the text is trimmed of common indentation by YAML itself.
pub fn config(yaml: &str) -> Config {
    config::reader::read(yaml, std::path::Path::new("test.yaml")).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Asks until the answer satisfies; panics with the last answer when it never does.
pub async fn eventually<T: std::fmt::Debug, F: Future<Output = T>>(
    mut ask: impl FnMut() -> F,
    good: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}; last seen: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

// === impl Plimsoll ===

impl Plimsoll {
    pub async fn start(yaml: &str) -> Self {
        Self::start_with(config(yaml), None).await
    }

    pub async fn start_with(config: Config, config_file: Option<std::path::PathBuf>) -> Self {
        Self::start_in(config, config_file, None).await
    }

    /// In a cluster, where there is one.
    pub async fn start_in(
        config: Config,
        config_file: Option<std::path::PathBuf>,
        kubernetes: Option<kube::Config>,
    ) -> Self {
        Self::start_limited(config, config_file, kubernetes, Limits::default()).await
    }

    /// The same with limits of one's choice.
    pub async fn start_limited(
        config: Config,
        config_file: Option<std::path::PathBuf>,
        kubernetes: Option<kube::Config>,
        limits: Limits,
    ) -> Self {
        install_crypto();
        let ahead = Arc::new(AtomicI64::new(0));
        let (offset, real) = (ahead.clone(), Clock::system());
        let shutdown = CancellationToken::new();
        let options = Options {
            config,
            config_file,
            address: "127.0.0.1:0".parse().expect("an address"),
            certificate: CertificateSource::SelfSigned,
            service: ServiceName::default(),
            kubernetes,
            limits,
            drain_timeout: Duration::from_secs(2),
            clock: Clock::from_fn(move || Timestamp(real.now().0 + offset.load(Ordering::Relaxed))),
        };
        let running = server::start(options, shutdown.clone()).await.expect("it starts");
        let root = reqwest::Certificate::from_pem(running.certificate_pem.as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().expect("a client");
        let (base, certificate_pem) = (format!("https://{}", running.address), running.certificate_pem.clone());
        Self { base, http, certificate_pem, ahead, shutdown, running: Some(running) }
    }

    /// Moves the clock of the server forward.
    pub fn advance(&self, time: Duration) {
        self.ahead.fetch_add(time.as_millis() as i64, Ordering::Relaxed);
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Asks until the server answers 200.
    pub async fn ok(&self, path: &str) -> Value {
        eventually(|| self.get(path), |answer| answer.code == 200).await.json()
    }

    /// Asks until the server refuses with a message that contains `words`.
    pub async fn refused(&self, path: &str, words: &str) -> Answer {
        eventually(|| self.get(path), |answer| answer.code != 200 && answer.message().contains(words)).await
    }

    /// The value of the only item at `path`.
    pub async fn value(&self, path: &str) -> String {
        let list = self.ok(path).await;
        let items = list["items"].as_array().expect("items");
        assert_eq!(items.len(), 1, "{list:#}");
        items[0]["value"].as_str().expect("a quantity").to_owned()
    }

    /// Waits until the only item at `path` has this value.
    pub async fn value_becomes(&self, path: &str, expected: &str) {
        eventually(|| self.get(path), |answer| answer.code == 200 && answer.json()["items"][0]["value"] == *expected)
            .await;
    }

    /// The state of the target whose URL contains `part`, as `/status/targets` shows it.
    pub async fn target(&self, part: &str) -> Value {
        let answer = self.get("/status/targets").await.json();
        let targets = answer["data"]["activeTargets"].as_array().expect("targets").clone();
        let found =
            targets.into_iter().find(|target| target["scrapeUrl"].as_str().is_some_and(|url| url.contains(part)));
        found.unwrap_or(Value::Null)
    }

    /// Waits until the state of a target satisfies.
    pub async fn target_becomes(&self, part: &str, good: impl Fn(&Value) -> bool) -> Value {
        eventually(|| self.target(part), good).await
    }

    /// Shuts down and waits for the end.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.running.take().expect("it runs").wait().await.expect("a clean end");
    }
}

impl Drop for Plimsoll {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

// === impl Answer ===

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        Self { code, headers, body: response.text().await.expect("a body") }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The message of a Status, empty when the body is none.
    pub fn message(&self) -> String {
        let status: Value = serde_json::from_str(&self.body).unwrap_or_default();
        status["message"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.body)
    }
}
