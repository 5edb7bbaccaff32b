//! The whole on loopback: the sample platform in a cluster, Plimsoll as it was built, autoscalers that ask it, and a real
//! Prometheus with the shipped rules that scrapes all of them every two seconds: a busy machine has to keep up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster_api::{ClusterApi, TOKEN};
use super::controlplane::programs::plimsoll;
use super::platform::Platform;
use super::program::Program;
use super::prometheus::Prometheus;

/// Everything that runs. It ends with it.
pub struct Stage {
    pub platform: Platform,
    /// `https://127.0.0.1:port` of Plimsoll.
    pub base: String,
    _plimsoll: Program,
    pub http: reqwest::Client,
    folder: TempDir,
}

/// The configuration of Plimsoll: the shipped one, at the pace of the stage.
const CONFIG: &str = include_str!("../../deploy/config/kubernetes.yaml");

/// What autoscalers ask for, as paths.
const ASKED: [&str; 7] = [
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/deployments.apps/agent-orchestrator/queue_length",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/deployments.apps/model-orchestration/queue_length",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/deployments.apps/model-orchestration/latency_p95",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/decisions_per_second?labelSelector=app%3Dagents",
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/requests_per_second?labelSelector=app%3Dweb-dashboard",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/models/queue_length?labelSelector=queue%3Dindexing",
    "/apis/custom.metrics.k8s.io/v1beta2",
];

/// How often they do: fifteen times as often as in a cluster, as all of the stage.
const ASKED_EVERY: Duration = Duration::from_secs(1);

// === impl Stage ===

impl Stage {
    pub async fn start() -> Self {
        super::install_crypto();
        let cluster = Arc::new(ClusterApi::start().await);
        let platform = Platform::start(cluster.clone()).await;
        let folder = tempfile::tempdir().expect("a folder");
        let plimsoll = serve(folder.path(), &cluster);
        let line = plimsoll.line(&["serving", "127.0.0.1:"]);
        let mut words = line.split(['"', ' ', '=']);
        let address = words.find(|word| word.starts_with("127.0.0.1:")).expect("an address");
        let base = format!("https://{address}");
        let http =
            cluster.front_proxy("system:serviceaccount:kube-system:horizontal-pod-autoscaler", &["system:masters"]);
        let http = http.tls_danger_accept_invalid_certs(true).build().expect("a client");
        tokio::spawn(ask(http.clone(), base.clone()));
        Self { platform, base, _plimsoll: plimsoll, http, folder }
    }

    /// What a Prometheus has to scrape.
    pub fn scrape_configs(&self) -> Value {
        let plimsoll = self.base.trim_start_matches("https://");
        let labels = json!({
            "namespace": "plimsoll-system", "pod": "plimsoll-0", "instance": "10.1.250.1:6443",
        });
        json!([
            {
                "job_name": "plimsoll", "scheme": "https", "tls_config": {"insecure_skip_verify": true},
                "authorization": {"credentials": TOKEN},
                "static_configs": [{"targets": [plimsoll], "labels": labels}],
            },
            {
                "job_name": "platform", "honor_labels": true,
                "http_sd_configs": [{"url": self.platform.discovery_url(), "refresh_interval": "2s"}],
            },
        ])
    }

    /// A Prometheus that scrapes it and evaluates the shipped rules, both every two seconds.
    pub fn prometheus(&self) -> Prometheus {
        self.prometheus_with(&rule_files(), json!({}), None)
    }

    /// The same with rules of one's choice, by the names of their files, more configuration, and data that is there already.
    pub fn prometheus_with(&self, rules: &[(String, Value)], more: Value, data: Option<&Path>) -> Prometheus {
        let paths = rules.iter().map(|(name, rules)| {
            let path = self.folder.path().join(format!("rules-{name}"));
            // JSON is YAML.
            std::fs::write(&path, rules.to_string()).expect("written");
            path.display().to_string()
        });
        let mut config = json!({
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
            "rule_files": paths.collect::<Vec<_>>(), "scrape_configs": self.scrape_configs(),
        });
        let Value::Object(more) = more else { panic!("{more} is no object") };
        config.as_object_mut().expect("an object").extend(more);
        Prometheus::start_with(&config, data)
    }
}

/// The shipped rules by path, each group evaluated as often as Prometheus does by itself.
pub fn rule_files() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("alert-rules");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let mut rules: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for group in rules["groups"].as_array_mut().into_iter().flatten() {
            group.as_object_mut().expect("a group").remove("interval");
        }
        if rules["groups"].is_array() {
            found.push((path.file_name().expect("a file").to_string_lossy().into_owned(), rules));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

/// Plimsoll in the cluster.
fn serve(folder: &Path, cluster: &ClusterApi) -> Program {
    let (config, kubeconfig) = (folder.join("plimsoll.yaml"), folder.join("kubeconfig"));
    std::fs::write(&config, paced(CONFIG)).expect("written");
    std::fs::write(&kubeconfig, self::kubeconfig(&cluster.url()).to_string()).expect("written");
    let mut command = super::controlplane::programs::guarded(&plimsoll());
    command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config).arg("--kubeconfig").arg(kubeconfig);
    command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBECONFIG");
    Program::start(command)
}

/// Scraped as often as a Prometheus does it here.
fn paced(config: &str) -> String {
    let mut whole: Value = serde_saphyr::from_str(config).expect("a shipped file");
    for job in whole["scrape_configs"].as_array_mut().expect("jobs") {
        (job["scrape_interval"], job["scrape_timeout"]) = (json!("2s"), json!("1900ms"));
    }
    whole.to_string()
}

fn kubeconfig(server: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "stage",
        "clusters": [{"name": "stage", "cluster": {"server": server}}],
        "users": [{"name": "plimsoll", "user": {}}],
        "contexts": [{"name": "stage", "context": {"cluster": "stage", "user": "plimsoll"}}],
    })
}

/// Asks as kube-controller-manager does, until the runtime ends.
async fn ask(http: reqwest::Client, base: String) {
    let mut ticks = tokio::time::interval(ASKED_EVERY);
    loop {
        ticks.tick().await;
        for path in ASKED {
            // While there is no answer the next one is asked for.
            let Ok(answer) = http.get(format!("{base}{path}")).send().await else { continue };
            drop(answer.bytes().await);
        }
    }
}
