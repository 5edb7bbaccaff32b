//! Plimsoll as a process beside the control plane, with a certificate that comes from where a test says. Many may run at
//! once; one of them is behind the APIServices.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use plimsoll::clock::Clock;
use plimsoll::server::{self, CertificateSource, Options};
use plimsoll::serving::{Lifetimes, Limits};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::egress::Routes;
use super::programs::{guarded, plimsoll};
use super::{ControlPlane, eventually, last_lines};
use crate::harness::program::Program;

/// A Plimsoll of its own. Dropped, it ends.
pub struct Certified {
    pub address: SocketAddr,
    host: Host,
    identity: String,
}

/// What it runs in.
enum Host {
    Process(Program),
    /// This process, as long as the task is there.
    Here(JoinSet<()>),
}

/// Clients that ask without a pause until they are told to end.
pub struct Load {
    clients: JoinSet<()>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    forwarded: AtomicU64,
    connected: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

/// The name by which the API server calls it.
pub const SERVICE_HOST: &str = "plimsoll.plimsoll-system.svc";
pub const NAMESPACE: &str = "plimsoll-system";
pub const SECRET: &str = "plimsoll-serving";
pub const NAMES: [&str; 3] =
    ["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

const API_SERVICE: &str = "apiregistration.k8s.io/v1/APIService";
const OBJECTS: &str = include_str!("certified.yaml");
const USER: &str = "system:serviceaccount:plimsoll-system:plimsoll";

/// It needs no target that answers to be ready.
const CONFIG: &str = "
scrape_configs:
  - job_name: none
    targets: [{url: \"http://127.0.0.1:9/metrics\", namespace: ns, pod: pod}]
metrics:
  - {name: load, gauge: {series: load, combine: sum}}
";

/// What the API server forwards, and what a page of its own would not do for.
const FORWARDED: &str = "/apis/custom.metrics.k8s.io/v1beta2";

const TIMEOUT: Duration = Duration::from_secs(20);

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts one with these flags, and waits until it listens.
    pub async fn certified(&self, flags: &[&str]) -> Certified {
        let premises = &self.premises;
        let address = SocketAddr::from((premises.network.node(), premises.network.free_port()));
        let config = premises.folder.write(&format!("certified-{}.yaml", address.port()), CONFIG);
        let mut command = guarded(&plimsoll());
        command.args(["serve", "--listen", &address.to_string(), "--config"]).arg(config).args(flags);
        command.env("KUBECONFIG", self.account());
        self.answering(address, Host::Process(Program::start(command))).await
    }

    /// Starts one in this process that makes certificates which live so short that a test sees many of them: the command
    /// line does not give them.
    pub async fn certified_for(&self, lifetimes: Lifetimes) -> Certified {
        // Another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let network = &self.premises.network;
        let kubeconfig = Kubeconfig::read_from(self.account()).expect("a kubeconfig");
        let service = format!("{NAMESPACE}/plimsoll").parse().expect("a Service");
        let options = Options {
            config: plimsoll::config::read(CONFIG, Path::new("plimsoll.yaml")).expect("a good configuration"),
            config_file: None,
            address: SocketAddr::from((network.node(), network.free_port())),
            certificate: CertificateSource::SelfManaged { secret: SECRET.into(), service, lifetimes },
            kubernetes: Some(kubeconfig.try_into().expect("complete")),
            limits: Limits::default(),
            drain_timeout: Duration::from_secs(2),
            clock: Clock::system(),
        };
        let running = server::start(options, CancellationToken::new()).await.expect("it starts");
        let (address, mut tasks) = (running.address, JoinSet::new());
        tasks.spawn(async move { running.wait().await.expect("it runs on") });
        self.answering(address, Host::Here(tasks)).await
    }

    async fn answering(&self, address: SocketAddr, host: Host) -> Certified {
        let certified = Certified { address, host, identity: self.premises.front_proxy_identity() };
        drop(eventually("Plimsoll answers", || certified.get("/livez", None), Result::is_ok).await);
        certified
    }

    /// The kubeconfig of the service account, written once: another process may be reading it.
    fn account(&self) -> PathBuf {
        let written = self.premises.folder.path().join(format!("{}.kubeconfig", USER.replace(':', "-")));
        if written.is_file() { written } else { self.premises.user(USER) }
    }

    /// Makes this one known to the API server. What the APIServices trust is not said.
    pub async fn register(&self, certified: &Certified) {
        self.apply("default", OBJECTS).await;
        let service = self.get(NAMESPACE, "v1/Service", "plimsoll").await;
        let address = service["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
        let SocketAddr::V4(plimsoll) = certified.address else { panic!("{} is not IPv4", certified.address) };
        let route = (SocketAddrV4::new(address.expect("an address"), 443), vec![plimsoll]);
        self.premises.egress.set(Routes::from([route]));
    }

    /// The namespace and the permissions alone.
    pub async fn permit_certificates(&self) {
        let (permissions, _) = OBJECTS.split_once("---\napiVersion: v1\nkind: Service\n").expect("a Service");
        self.apply("default", permissions).await;
    }

    /// The Secret, with whatever is in it replaced.
    pub async fn write_secret(&self, data: &Value) {
        self.kubectl(&["delete", "secret", "-n", NAMESPACE, SECRET, "--ignore-not-found"]).await;
        let metadata = serde_json::json!({"name": SECRET, "namespace": NAMESPACE});
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
        self.apply(NAMESPACE, &secret.to_string()).await;
    }

    /// Changes the Secret as `kubectl patch` does.
    pub async fn patch_secret(&self, kind: &str, patch: &str) {
        self.kubectl(&["patch", "secret", "-n", NAMESPACE, SECRET, "--type", kind, "-p", patch]).await;
    }

    /// A value in the Secret; empty where there is none.
    pub async fn in_secret(&self, key: &str) -> String {
        let secret = self.get(NAMESPACE, "v1/Secret", SECRET).await;
        text(&secret["data"][key])
    }

    /// What an APIService trusts; empty where nothing is said.
    pub async fn bundle(&self, name: &str) -> String {
        text(&self.get("", API_SERVICE, name).await["spec"]["caBundle"])
    }

    pub async fn api_service(&self, name: &str) -> Value {
        self.get("", API_SERVICE, name).await
    }

    /// Changes an APIService as `kubectl patch` does.
    pub async fn patch_api_service(&self, name: &str, patch: &str) {
        self.kubectl(&["patch", "apiservice", name, "--type", "merge", "-p", patch]).await;
    }

    /// Applies an object as its only owner, as `kubectl apply --server-side --force-conflicts` does.
    pub async fn apply_by_force(&self, object: &Value) {
        let file = self.premises.folder.write("applied.json", &object.to_string());
        let file = file.to_str().expect("UTF-8");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", file]).await;
    }

    /// Waits until every APIService trusts what the Secret says, and is Available.
    pub async fn all_trust_the_secret(&self) {
        let ask = async || {
            let mut states = Vec::new();
            let wanted = self.in_secret("ca.crt").await;
            for name in NAMES {
                let is_trusted = !wanted.is_empty() && self.bundle(name).await == wanted;
                states.push((is_trusted, is_available(&self.api_service(name).await)));
            }
            states
        };
        eventually("APIServices trust", ask, |states| states.iter().all(|state| *state == (true, true))).await;
    }

    /// Waits until the APIServices are Available.
    pub async fn all_available(&self) {
        for name in NAMES {
            eventually(name, || self.api_service(name), is_available).await;
        }
    }

    /// A certificate of the cluster's authority for the Service: certificate and key, PEM, and their files.
    pub fn pair(&self, name: &str) -> ([String; 2], [PathBuf; 2]) {
        let premises = &self.premises;
        let pair = premises.authority.server(&premises.folder, name, vec![SERVICE_HOST.to_owned()]);
        let files = [pair.certificate, pair.key];
        (files.clone().map(|file| std::fs::read_to_string(file).expect("it was written")), files)
    }

    /// Whom the APIServices have to trust for [`Self::pair`].
    pub fn authority_pem(&self) -> &str {
        &self.premises.authority.pem
    }

    /// Clients of the API server, and clients that connect anew each time and trust what an APIService says just then.
    pub fn load(self: &Arc<Self>, certified: &Certified, clients: usize) -> Load {
        let (mut tasks, counts) = (JoinSet::new(), Arc::new(Counts::default()));
        for _ in 0..clients {
            let (control_plane, counted) = (self.clone(), counts.clone());
            tasks.spawn(async move { control_plane.forward(&counted).await });
            let (control_plane, counted) = (self.clone(), counts.clone());
            let (address, identity) = (certified.address, certified.identity.clone());
            tasks.spawn(async move { control_plane.connect(address, &identity, &counted).await });
        }
        Load { clients: tasks, counts }
    }

    async fn forward(&self, counts: &Counts) {
        let asker = self.asker();
        loop {
            let answer = asker.get(FORWARDED).await;
            counts.count(&counts.forwarded, answer.map(drop).map_err(|error| format!("forwarded: {error}")));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn connect(&self, address: SocketAddr, identity: &str, counts: &Counts) {
        loop {
            let bundle = self.bundle(NAMES[1]).await;
            let answer = ask(address, identity, FORWARDED, Some(&bundle)).await;
            counts.count(&counts.connected, answer.map(drop).map_err(|error| format!("connected: {error}")));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

// === impl Certified ===

impl Certified {
    /// Status code and body, by a new connection; `bundle` is whom to trust, anybody where there is none.
    pub async fn get(&self, path: &str, bundle: Option<&str>) -> Result<(u16, String), String> {
        ask(self.address, &self.identity, path, bundle).await
    }

    /// Waits until a page has these words.
    pub async fn says(&self, path: &str, words: &[&str]) {
        let has = |said: &Result<(u16, String), String>| {
            said.as_ref().is_ok_and(|(_, said)| words.iter().all(|word| said.contains(word)))
        };
        drop(eventually(&format!("{path} says {words:?}"), || self.get(path, None), has).await);
    }

    /// The same of what it says to a kubelet: while it trusts nobody it refuses who says who he is.
    pub async fn says_to_anybody(&self, path: &str, words: &[&str]) {
        let has = |said: &Result<(u16, String), String>| {
            said.as_ref().is_ok_and(|(_, said)| words.iter().all(|word| said.contains(word)))
        };
        drop(eventually(&format!("{path} says {words:?}"), || ask(self.address, "", path, None), has).await);
    }

    /// Everything that its process has said.
    pub fn output(&self) -> String {
        match &self.host {
            Host::Process(program) => program.output(),
            Host::Here(tasks) => format!("it runs here, with {} tasks", tasks.len()),
        }
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        if let (true, Host::Process(program)) = (std::thread::panicking(), &self.host) {
            eprintln!("--- plimsoll at {}\n{}", self.address, last_lines(program));
        }
    }
}

// === impl Load ===

impl Load {
    /// Ends it: requests that the API server forwarded, requests by new connections, and what failed.
    pub async fn end(mut self) -> (u64, u64, Vec<String>) {
        self.clients.shutdown().await;
        let failures = self.counts.failures.lock().expect("not poisoned").clone();
        (self.counts.forwarded.load(Ordering::Relaxed), self.counts.connected.load(Ordering::Relaxed), failures)
    }
}

// === impl Counts ===

impl Counts {
    fn count(&self, good: &AtomicU64, result: Result<(), String>) {
        match result {
            Ok(()) => drop(good.fetch_add(1, Ordering::Relaxed)),
            Err(why) => self.failures.lock().expect("not poisoned").push(why),
        }
    }
}

/// As the front proxy, in the name of an administrator; without an identity as a kubelet, which is nobody.
async fn ask(address: SocketAddr, identity: &str, path: &str, bundle: Option<&str>) -> Result<(u16, String), String> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT);
    let client = match identity {
        "" => client,
        identity => client.identity(reqwest::Identity::from_pem(identity.as_bytes()).expect("an identity")),
    };
    let client = match bundle {
        Some(bundle) => client.tls_certs_only(reqwest::Certificate::from_pem_bundle(bundle.as_bytes()).expect("PEM")),
        None => client.tls_danger_accept_invalid_certs(true),
    };
    let client = client.resolve(SERVICE_HOST, address).build().expect("a client");
    let request = client.get(format!("https://{SERVICE_HOST}:{}{path}", address.port()));
    let request = request.header("X-Remote-User", "administrator").header("X-Remote-Group", "system:masters");
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let code = answer.status().as_u16();
    let body = answer.text().await.map_err(|error| format!("{error:?}"))?;
    match path.starts_with("/apis") && code != 200 {
        true => Err(format!("{code} {body}")),
        false => Ok((code, body)),
    }
}

fn text(base64: &Value) -> String {
    let bytes: Option<ByteString> = serde_json::from_value(base64.clone()).expect("base64");
    bytes.map(|bytes| String::from_utf8(bytes.0).expect("text")).unwrap_or_default()
}

fn is_available(service: &Value) -> bool {
    let mut conditions = service["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Available" && condition["status"] == "True")
}
