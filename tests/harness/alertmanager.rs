//! A real Alertmanager with the shipped configuration, whose receivers are all on loopback, and what they were told.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Segment, State};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::pace;
use super::program::{Program, free_port, installed};

/// A running Alertmanager.
pub struct Alertmanager {
    pub address: String,
    _program: Program,
    told: Told,
    _folder: TempDir,
}

/// What receivers were told, in order: where, and what.
type Told = Arc<Mutex<Vec<(String, Value)>>>;

/// Where the shipped configuration expects secrets.
const SECRETS: &str = "/etc/alertmanager/secrets";

/// Where it expects templates.
const TEMPLATES: &str = "/etc/alertmanager/templates";

// === impl Alertmanager ===

impl Alertmanager {
    /// Starts one `times` as fast as the configuration in `alert-rules` says.
    pub async fn start(times: u32) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("alert-rules/alertmanager");
        let text = std::fs::read_to_string(shipped.join("alertmanager.yaml")).expect("alert-rules/alertmanager");
        let told = Told::default();
        let (receivers, folder) = (receive(told.clone()).await, tempfile::tempdir().expect("a folder"));
        let text = text.replace(SECRETS, &folder.path().display().to_string());
        let text = text.replace(TEMPLATES, &shipped.join("templates").display().to_string());
        ["pagerduty-key", "smtp-password", "slack-url"].iter().for_each(|name| {
            // Of the secrets the URL alone is used: the others have to be there.
            std::fs::write(folder.path().join(name), format!("http://{receivers}/slack")).expect("written");
        });
        let mut config: Value = serde_saphyr::from_str(&text).expect("the shipped file");
        config["global"]["pagerduty_url"] = json!(format!("http://{receivers}/pagerduty"));
        config["receivers"].as_array_mut().expect("receivers").iter_mut().for_each(|it| add_webhook(it, &receivers));
        pace::faster_routes(&mut config["route"], times);
        let (address, path) = (format!("127.0.0.1:{}", free_port()), folder.path().join("alertmanager.yml"));
        // JSON is YAML.
        std::fs::write(&path, config.to_string()).expect("written");
        let mut command = installed("prometheus-alertmanager", "prometheus-alertmanager");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
        Self { address, _program: Program::start(command), told, _folder: folder }
    }

    /// What a Prometheus needs to know of it.
    pub fn alerting(&self) -> Value {
        json!({"alerting": {"alertmanagers": [{"static_configs": [{"targets": [self.address]}]}]}})
    }

    /// The alerts it knows, with what keeps them back; none while it does not answer.
    pub async fn alerts(&self) -> Vec<Value> {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let Ok(answer) = http.get(format!("http://{}/api/v2/alerts", self.address)).send().await else {
            return Vec::new();
        };
        answer.json().await.unwrap_or_default()
    }

    /// What receivers were told so far, in order: where, and what.
    pub fn told(&self) -> Vec<(String, Value)> {
        self.told.lock().expect("not poisoned").clone()
    }
}

/// Takes whatever is sent; gives the address.
async fn receive(told: Told) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let router = Router::new().route("/{receiver}", post(take)).with_state(told);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn take(State(told): State<Told>, Segment(receiver): Segment<String>, Json(body): Json<Value>) -> Json<Value> {
    told.lock().expect("not poisoned").push((receiver, body));
    Json(json!({"status": "success"}))
}

/// Tells loopback too what a receiver is told, and by mail nobody: that takes a server of its own.
fn add_webhook(receiver: &mut Value, receivers: &str) {
    let name = receiver["name"].as_str().expect("a name").to_owned();
    receiver.as_object_mut().expect("a receiver").remove("email_configs");
    if name != "nobody" {
        receiver["webhook_configs"] = json!([{"url": format!("http://{receivers}/{name}"), "send_resolved": true}]);
    }
}
