//! A real Prometheus that scrapes what a test serves, and what it says through its API.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Program, free_port, installed};

/// A running Prometheus with a data folder of its own.
pub struct Prometheus {
    pub address: String,
    http: reqwest::Client,
    _program: Program,
    _folder: TempDir,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts one with these `scrape_configs`.
    pub fn start(scrape_configs: &Value) -> Self {
        Self::start_with(&json!({ "scrape_configs": scrape_configs }), None)
    }

    /// Starts one with this configuration; with a folder of data, in that.
    pub fn start_with(config: &Value, data: Option<&Path>) -> Self {
        super::install_crypto();
        let folder = tempfile::tempdir().expect("a folder");
        let (address, path) = (format!("127.0.0.1:{}", free_port()), folder.path().join("prometheus.yml"));
        // JSON is YAML, and needs no thought about quotes.
        std::fs::write(&path, config.to_string()).expect("written");
        let own = folder.path().join("data");
        let mut command = installed("prometheus", "prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", data.unwrap_or(&own).display()));
        command.arg(format!("--web.listen-address={address}"));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { address, http, _program: Program::start(command), _folder: folder }
    }

    /// The `data` of an answer of the API; null while there is none.
    pub async fn data(&self, path: &str) -> Value {
        self.answer(path).await["data"].take()
    }

    /// An answer of the API whole; null while there is none.
    pub async fn answer(&self, path: &str) -> Value {
        let response = self.http.get(format!("http://{}/api/v1/{path}", self.address)).send().await;
        let Ok(response) = response else { return Value::Null };
        response.json().await.unwrap_or_default()
    }

    /// The result of an expression at a time in seconds since 1970.
    pub async fn query(&self, expression: &str, time: f64) -> Vec<Value> {
        let expression = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let mut data = self.data(&format!("query?time={time}&query={expression}")).await;
        match data["result"].take() {
            Value::Array(result) => result,
            _ => Vec::new(),
        }
    }
}
