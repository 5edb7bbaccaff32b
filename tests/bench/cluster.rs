//! What it costs to know a cluster, beside a store of whole Pods as kube-rs keeps it.

pub mod api;
mod objects;
pub mod store;

use std::time::{Duration, Instant};

use crate::load::quantile;
use crate::process::Process;
use crate::report::{Row, Section, megabytes, number, time, times};
use crate::scene::{Scene, Server};
use crate::{is_quick, progress};

/// Pods at one end and at the other; the difference is what a pod costs.
struct Sizes {
    few: usize,
    many: usize,
}

/// The scene with a cluster in it.
struct Cluster {
    scene: Scene,
    api: Process,
    port: u16,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    pods: usize,
}

/// What it took to get to know a cluster.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    resident: f64,
    peak: f64,
}

/// What a cluster that changes costs.
struct Churn {
    /// Share of a core.
    cpu: f64,
    /// From a change to the inventory that has it, in order.
    delays: Vec<Duration>,
    /// Changes of pods that were made in all.
    changes: u64,
    /// Resident memory after a minute of changes, and the most of the minutes after.
    warm: f64,
    most: f64,
}

/// Changes of pods a second: a cluster of 10,000 pods in which every one is replaced within 10 minutes.
const RATE: u64 = 100;

/// As many times faster time passes to see what stays in memory.
const SPEEDUP: u64 = 10;

const START_TIMEOUT: Duration = Duration::from_secs(120);

/// For what is freed a moment later.
const SETTLING: Duration = Duration::from_secs(3);

/// How often it is looked at whether a change has come.
const POLL_PERIOD: Duration = Duration::from_millis(2);

const MEMORY_GOAL: f64 = 1500.0;

pub fn run() -> Section {
    let sizes = if is_quick() { Sizes { few: 100, many: 1000 } } else { Sizes { few: 100, many: 10_000 } };
    let known = [sizes.few, sizes.many].map(|pods| Cluster::start(pods, 0).cost_of_plimsoll());
    let targets = [sizes.few, sizes.many].map(|pods| Cluster::start(pods, pods).cost_of_plimsoll());
    let stores = [sizes.few, sizes.many].map(|pods| Cluster::start(pods, 0).cost_of_store());
    let churn = Cluster::start(sizes.many, 0).churn();
    Section {
        title: "Knowing a cluster",
        method: format!(
            "A process plays the kube-apiserver by the protocol of lists and watches: pods of {} KB in Deployments of \
             {} with ReplicaSets, Services and EndpointSlices. Plimsoll starts in it with {} pods and with {}; what a pod \
             costs is the difference of resident memory. The baseline keeps the same pods whole, as the reflector of \
             kube-rs does. A change is one watch event of a pod.",
            number(pod_size() as f64 / 1000.0),
            objects::DEPLOYMENT_SIZE,
            sizes.few,
            sizes.many,
        ),
        rows: rows(&sizes, &known, &targets, &stores).into_iter().chain(churn.rows()).collect(),
    }
}

fn pod_size() -> usize {
    let pod = objects::Pod { place: 0, life: 0, is_target: false };
    pod.object(objects::Phase::Ready, 1).to_string().len()
}

fn rows(sizes: &Sizes, known: &[Cost; 2], targets: &[Cost; 2], stores: &[Cost; 2]) -> Vec<Row> {
    let per_pod = |[few, many]: &[Cost; 2]| (many.resident - few.resident) / (sizes.many - sizes.few) as f64;
    let (of_known, of_target, of_store) = (per_pod(known), per_pod(targets), per_pod(stores));
    let bytes = |bytes: f64| format!("{} KB", number(bytes / 1000.0));
    let (all, whole) = (known[1], stores[1]);
    vec![
        Row::new("resident memory per pod that is known", bytes(of_known))
            .beside(format!("kube-rs reflector {}", bytes(of_store)), times(of_store, of_known))
            .goal("≤ 1.5 KB", of_known <= MEMORY_GOAL),
        Row::new(
            "resident memory per pod that is a target too: with its scrape loop and the state of its last scrape, which \
             was refused",
            bytes(of_target),
        ),
        Row::new(format!("resident memory with {} pods", sizes.many), megabytes(all.resident))
            .beside(format!("kube-rs reflector {}", megabytes(whole.resident)), times(whole.resident, all.resident)),
        Row::new("most that was ever resident", megabytes(all.peak))
            .beside(format!("kube-rs reflector {}", megabytes(whole.peak)), times(whole.peak, all.peak)),
        Row::new(format!("CPU time from the start until {} pods are known", sizes.many), time(all.cpu)).beside(
            format!("kube-rs reflector {}", time(whole.cpu)),
            times(whole.cpu.as_secs_f64(), all.cpu.as_secs_f64()),
        ),
        Row::new("time until then, on a machine that plays the server too", time(all.wall)),
    ]
}

// === impl Cluster ===

impl Cluster {
    fn start(pods: usize, targets: usize) -> Self {
        let scene = Scene::with_port(0);
        let arguments = [api::COMMAND.to_owned(), pods.to_string(), targets.to_string()];
        let mut api = scene.beside("cluster-api", &arguments);
        let port = api.wait_for("the start", START_TIMEOUT, |process| process.output().trim().parse().ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { scene, api, port, http, runtime, pods }
    }

    fn plimsoll(&self) -> Server {
        self.scene.plimsoll_with(CONFIG, Some(&kubeconfig(self.port)))
    }

    fn cost_of_plimsoll(mut self) -> Cost {
        progress(format_args!("cluster: Plimsoll in a cluster of {} pods", self.pods));
        let started = Instant::now();
        let mut plimsoll = self.plimsoll();
        self.wait_known(&mut plimsoll);
        Cost::of(&plimsoll.process, started)
    }

    fn cost_of_store(self) -> Cost {
        progress(format_args!("cluster: a store of {} whole pods", self.pods));
        let started = Instant::now();
        let mut store = self.scene.beside("store", &[store::COMMAND.to_owned(), self.port.to_string()]);
        store.wait_for("the list", START_TIMEOUT, |store| store.output().contains("ready").then_some(()));
        Cost::of(&store, started)
    }

    /// Waits for the inventory that has every pod.
    fn wait_known(&mut self, plimsoll: &mut Server) {
        let (url, client) = (plimsoll.url("/readyz"), &plimsoll.client);
        plimsoll.process.wait_for("readiness", START_TIMEOUT, |_| client.get(&url).filter(|(code, _)| *code == 200));
        let (url, expected) = (plimsoll.url("/metrics"), self.pods as f64);
        plimsoll.process.wait_for("the pods", START_TIMEOUT, |_| {
            (client.metric(&url, r#"plimsoll_kubernetes_objects{resource="pods"}"#) >= expected).then_some(())
        });
    }

    fn play(&self, what: &str) {
        let request = self.http.post(format!("http://127.0.0.1:{}/play/{what}", self.port)).send();
        let response = self.runtime.block_on(request).expect("an answer");
        assert!(response.status().is_success(), "{what}: {}", response.status());
    }

    fn churn(mut self) -> Churn {
        let seconds = if is_quick() { 5 } else { 60 };
        let mut plimsoll = self.plimsoll();
        self.wait_known(&mut plimsoll);
        progress(format_args!("cluster: {RATE} changes a second for {seconds} s"));
        self.play(&format!("churn?rate={RATE}"));
        std::thread::sleep(SETTLING);
        let (before, started) = (plimsoll.process.cpu(), Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        let cpu = (plimsoll.process.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64();
        progress("cluster: how long a change takes to arrive");
        let mut delays: Vec<Duration> =
            (0..if is_quick() { 10 } else { 200 }).map(|i| self.delay(&plimsoll, i)).collect();
        delays.sort();
        let (warm, most) = self.sizes(&plimsoll, seconds);
        assert!(self.api.cpu() > Duration::ZERO, "the cluster is still there");
        Churn { cpu, delays, changes: SPEEDUP * RATE * seconds, warm, most }
    }

    /// A pod that is to be scraped comes; how long until it is a target. Then it goes.
    fn delay(&self, plimsoll: &Server, number: u64) -> Duration {
        // At any moment of the pace at which inventories are drawn up.
        std::thread::sleep(Duration::from_millis(37 * (number % 11)));
        let targets = || plimsoll.client.metric(&plimsoll.url("/metrics"), "plimsoll_discovery_targets");
        let wait = |expected: f64| {
            let started = Instant::now();
            while targets() != expected {
                assert!(started.elapsed() < START_TIMEOUT, "the change is not seen");
                std::thread::sleep(POLL_PERIOD);
            }
        };
        let changed = Instant::now();
        self.play("add");
        wait(1.0);
        let delay = changed.elapsed();
        self.play("remove");
        wait(0.0);
        delay
    }

    /// Resident memory after a minute of changes at [`SPEEDUP`], and the most in the nine minutes after.
    fn sizes(&self, plimsoll: &Server, seconds: u64) -> (f64, f64) {
        progress(format_args!("cluster: ten minutes of changes in {seconds} s"));
        self.play(&format!("churn?rate={}", SPEEDUP * RATE));
        let sizes: Vec<f64> = (0..10)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(100 * seconds));
                plimsoll.process.memory().resident
            })
            .collect();
        (sizes[0], sizes[1..].iter().copied().fold(0.0, f64::max))
    }
}

const CONFIG: &str = "scrape_configs:
  - job_name: pods
    scrape_interval: 15s
    kubernetes_sd_configs: [{role: pod}]
metrics:
  - name: queue_length
    gauge: {series: queue_length, combine: sum}
";

/// The kubeconfig of a cluster at a port of this machine.
pub fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: bench
contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]
clusters: [{{name: bench, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]
users: [{{name: bench, user: {{}}}}]
"
    )
}

// === impl Cost ===

impl Cost {
    /// What a process has spent that knows everything now.
    fn of(process: &Process, started: Instant) -> Self {
        let (cpu, wall) = (process.cpu(), started.elapsed());
        std::thread::sleep(SETTLING);
        let memory = process.memory();
        Self { cpu, wall, resident: memory.resident, peak: memory.peak }
    }
}

// === impl Churn ===

impl Churn {
    fn rows(&self) -> Vec<Row> {
        let at = |share| quantile(&self.delays, share);
        let growth = self.most / self.warm - 1.0;
        vec![
            Row::new(
                format!("CPU while pods change, {RATE} changes a second"),
                format!("{} % of a core", number(100.0 * self.cpu)),
            ),
            Row::new(
                "from a pod that comes among those changes to the inventory that has it: p50 / p99",
                format!("{} / {}", time(at(0.5)), time(at(0.99))),
            )
            .goal("≤ 1 s", at(0.99) <= Duration::from_secs(1)),
            Row::new(
                format!("resident memory, the most of nine tenths of {} changes", self.changes),
                megabytes(self.most),
            )
            .beside(
                format!("after the first tenth {}", megabytes(self.warm)),
                format!("{} % more", number(100.0 * growth)),
            )
            .goal("≤ 10 % more", growth <= 0.1),
        ]
    }
}
