//! What the end-to-end tests share: one control plane, one Plimsoll with one configuration, and a watch of its
//! APIServices. A test has a namespace of its own there; one that takes Plimsoll away has all of it for itself.
//!
//! A scene that ends checks that the APIServices were Available for the whole run but where a test meant otherwise; one
//! that fails shows what the cluster and Plimsoll know.

use std::ops::Deref;
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::conditions::Conditions;
use super::recording::Recording;
use crate::harness::controlplane::direct::Direct;
use crate::harness::controlplane::programs::kubernetes;
use crate::harness::controlplane::registered::Registered;
use crate::harness::controlplane::{ControlPlane, Shared, eventually};

/// A namespace in the cluster of all tests. Others use Plimsoll too, unless `P` is [`Alone`].
pub struct Scene<P: Deref<Target = Registered> = Together> {
    pub namespace: String,
    pub plimsoll: P,
    pub conditions: Arc<Conditions>,
    _stage: Arc<Stage>,
    pub cluster: Shared,
}

/// Plimsoll as others use it too.
pub type Together = OwnedRwLockReadGuard<Registered>;

/// Plimsoll for one test alone.
pub type Alone = OwnedRwLockWriteGuard<Registered>;

/// It is there while a scene is.
struct Stage {
    conditions: Arc<Conditions>,
    plimsoll: Arc<RwLock<Registered>>,
    _cluster: Shared,
    started: Instant,
}

pub const HPA: &str = "autoscaling/v2/HorizontalPodAutoscaler";
pub const DEPLOYMENT: &str = "apps/v1/Deployment";

/// What the Plimsoll of all tests serves.
pub const CONFIG: &str = include_str!("plimsoll.yaml");

/// Lines of Plimsoll's log that are shown when a test fails.
const LAST_LINES: usize = 40;

// === impl Scene ===

impl Scene {
    /// A namespace whose name begins with this.
    pub async fn new(prefix: &str) -> Self {
        let stage = Stage::shared().await;
        let plimsoll = loop {
            let plimsoll = stage.plimsoll.clone().read_owned().await;
            if plimsoll.is_there() {
                break plimsoll;
            }
            drop(plimsoll);
            stage.alone().await;
        };
        Self::on(stage, plimsoll, prefix).await
    }
}

impl Scene<Alone> {
    /// The same when all others that run now have ended; no other begins before it ends.
    pub async fn alone(prefix: &str) -> Self {
        let stage = Stage::shared().await;
        let plimsoll = stage.alone().await;
        Self::on(stage, plimsoll, prefix).await
    }

    /// Kills Plimsoll, and waits until its APIServices are not Available.
    pub async fn take_plimsoll_away(&mut self) {
        self.conditions.take_away(true);
        self.plimsoll.kill();
        self.plimsoll.becomes_available(false).await;
    }

    /// Starts it again, and waits until its APIServices are Available.
    pub async fn bring_plimsoll_back(&mut self) {
        bring_back(&mut self.plimsoll, &self.conditions).await;
    }
}

impl<P: Deref<Target = Registered>> Scene<P> {
    async fn on(stage: Arc<Stage>, plimsoll: P, prefix: &str) -> Self {
        let (cluster, conditions) = (ControlPlane::shared().await, stage.conditions.clone());
        let namespace = cluster.namespace(prefix).await;
        Self { namespace, plimsoll, conditions, _stage: stage, cluster }
    }

    pub async fn apply(&self, yaml: &str) {
        self.cluster.apply(&self.namespace, yaml).await;
    }

    /// What kubectl says in the namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.namespace], arguments].concat()).await
    }

    /// An object of the namespace; null where there is none.
    pub async fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster.get(&self.namespace, kind, name).await
    }

    /// Waits until an object of the namespace satisfies.
    pub async fn becomes(&self, kind: &str, name: &str, good: impl Fn(&Value) -> bool) -> Value {
        self.cluster.object_becomes(&self.namespace, kind, name, good).await
    }

    /// Waits until a Deployment has this many replicas, all of them Ready.
    pub async fn has_replicas(&self, name: &str, count: i64) {
        let status = |it: &Value, key: &str| it["status"][key].as_i64().unwrap_or_default();
        let good = |it: &Value| {
            it["spec"]["replicas"] == count
                && ["replicas", "readyReplicas"].iter().all(|key| status(it, key) == count)
                && it["status"]["observedGeneration"] == it["metadata"]["generation"]
        };
        self.becomes(DEPLOYMENT, name, good).await;
    }

    /// Pods by selector, also those that end.
    pub async fn pods(&self, selector: &str) -> Vec<Value> {
        let said = self.kubectl(&["get", "pods", "-l", selector, "-o", "json"]).await;
        let mut list: Value = serde_json::from_str(&said).expect("JSON");
        serde_json::from_value(list["items"].take()).expect("a list")
    }

    /// Waits until there are so many pods that a selector matches, all of them Ready.
    pub async fn ready_pods(&self, selector: &str, count: usize) -> Vec<Value> {
        let good = |pods: &Vec<Value>| pods.len() == count && pods.iter().all(|pod| condition(pod, "Ready") == "True");
        eventually(&format!("{count} Ready pods with {selector}"), || self.pods(selector), good).await
    }

    /// The address of the only Ready pod of the broker.
    pub async fn broker(&self) -> String {
        address(&self.ready_pods("app=broker", 1).await[0])
    }

    /// Asks each pod that a selector matches; all have to be Ready.
    pub async fn request_each(&self, selector: &str, count: usize, request_line: (&str, &str)) {
        let (method, path) = request_line;
        for pod in self.ready_pods(selector, count).await {
            request(method, &format!("{}{path}", address(&pod))).await;
        }
    }

    /// What the custom metrics API answers for a path in the namespace; null where it refuses.
    pub async fn custom(&self, path: &str) -> Value {
        let path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/{path}", self.namespace);
        let said = self.cluster.try_kubectl(&["get", "--raw", &path]).await;
        said.map_or(Value::Null, |said| serde_json::from_str(&said).expect("JSON"))
    }

    /// How often an autoscaler had no valid metric, of those that it sent events of.
    pub async fn failures(&self, autoscaler: &str) -> i64 {
        let field = format!("involvedObject.name={autoscaler},reason=FailedComputeMetricsReplicas");
        let said = self.kubectl(&["get", "events", "--field-selector", &field, "-o", "json"]).await;
        let list: Value = serde_json::from_str(&said).expect("JSON");
        let events = list["items"].as_array().into_iter().flatten();
        events.map(|event| event["count"].as_i64().unwrap_or(1)).sum()
    }

    /// Waits until an autoscaler has been without a valid metric this many times more.
    pub async fn fails_again(&self, autoscaler: &str, times: i64) {
        let before = self.failures(autoscaler).await;
        let what = format!("{autoscaler} fails {times} times more");
        eventually(&what, || self.failures(autoscaler), |now| *now >= before + times).await;
    }

    /// Records what happens in the namespace from now on.
    pub async fn record(&self) -> Recording {
        Recording::start(self.cluster.client(), &self.namespace).await
    }

    /// What helps to understand a failure.
    fn describe(&self) -> String {
        let kubectl = |arguments: &[&str]| {
            let mut command = Command::new(kubernetes("kubectl"));
            command.args(["-n", &self.namespace]).args(arguments).env("KUBECONFIG", self.cluster.kubeconfig());
            command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let log = self.plimsoll.output();
        let log: Vec<&str> = log.lines().filter(|line| !line.contains("\"DEBUG\"")).collect();
        let last = log[log.len().saturating_sub(LAST_LINES)..].join("\n");
        format!(
            "--- objects\n{}\n{}\n--- targets\n{}\n--- Plimsoll\n{last}\n",
            kubectl(&["get", "hpa,deployment,pods", "-o", "wide"]),
            kubectl(&["describe", "hpa"]),
            targets(self.plimsoll.direct()),
        )
    }
}

impl<P: Deref<Target = Registered>> Drop for Scene<P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
        }
        let mut delete = Command::new(kubernetes("kubectl"));
        delete.args(["delete", "namespace", "--wait=false", &self.namespace]);
        // The processes of its pods would go on beside other tests. The cluster may be gone when a test fails.
        drop(delete.env("KUBECONFIG", self.cluster.kubeconfig()).output());
        if !std::thread::panicking() {
            let (outages, available) = (self.conditions.outages(), self.conditions.all_available());
            assert!(outages.is_empty() && available, "an APIService was not Available: {outages:#?}");
        }
    }
}

// === impl Stage ===

impl Stage {
    /// The one of this process, made where no test has it.
    async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Stage>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(stage) = shared.upgrade() {
            return stage;
        }
        let started = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&started);
        started
    }

    async fn start() -> Self {
        let (started, cluster) = (Instant::now(), ControlPlane::shared().await);
        let plimsoll = cluster.plimsoll(CONFIG).await;
        println!("control plane: {:?}; APIServices Available: {:?}", cluster.started_in, plimsoll.available_in);
        let watched = Arc::downgrade(&cluster);
        let client = move || watched.upgrade().expect("a scene begins").client();
        let conditions = Arc::new(Conditions::watch(client));
        eventually("the watch begins", || async { conditions.all_available() }, |known| *known).await;
        Self { conditions, plimsoll: Arc::new(RwLock::new(plimsoll)), _cluster: cluster, started }
    }

    /// Plimsoll alone; it is back where a test failed that had taken it away.
    async fn alone(&self) -> Alone {
        let mut plimsoll = self.plimsoll.clone().write_owned().await;
        if !plimsoll.is_there() {
            bring_back(&mut plimsoll, &self.conditions).await;
        }
        plimsoll
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        println!("the end-to-end tests took {:?}", self.started.elapsed());
    }
}

async fn bring_back(plimsoll: &mut Registered, conditions: &Conditions) {
    plimsoll.restart();
    plimsoll.becomes_available(true).await;
    eventually("the watch knows", || async { conditions.all_available() }, |known| *known).await;
    conditions.take_away(false);
}

/// The status of a condition; empty where the object does not have it.
pub fn condition<'a>(object: &'a Value, name: &str) -> &'a str {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

/// Reason and message of a condition; empty where the object does not have it.
pub fn reason(object: &Value, name: &str) -> String {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == name);
    let text = |key: &str| found.and_then(|condition| condition[key].as_str()).unwrap_or_default();
    found.map(|_| format!("{}: {}", text("reason"), text("message"))).unwrap_or_default()
}

/// Where the workload in a pod listens.
pub fn address(pod: &Value) -> String {
    format!("{}:8080", pod["status"]["podIP"].as_str().expect("an address"))
}

/// Asks a workload.
pub async fn request(method: &str, url: &str) -> String {
    let method = method.parse().expect("a method");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let answer = client.request(method, format!("http://{url}")).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.expect("a body")
}

/// What Plimsoll says of itself; on a thread of its own, for a scene ends inside of a runtime.
fn targets(direct: Direct) -> String {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let said = std::thread::spawn(move || runtime().block_on(direct.get("/status/targets"))).join();
    said.ok().flatten().map_or_else(|| "no answer".into(), |(_, said)| said)
}
