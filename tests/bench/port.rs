//! What an autoscaler notices of an attack on the port: the time of its requests alone and under each, in one run.

mod attack;

use std::time::{Duration, Instant};

use plimsoll::clock::Clock;

use crate::harness::kube_api::KubeApi;
use crate::harness::pki::{Authority, Leaf, data};
use crate::load::quantile;
use crate::report::{Row, Section, number, time, times};
use crate::scene::{Scene, Server};
use crate::{is_quick, progress};
use attack::{ATTACKS, Attack, Stage};

/// The autoscaler: a client with the certificate of the front proxy and one connection.
struct Autoscaler {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    certificate: String,
    identity: String,
    url: String,
}

/// Requests of the autoscaler a second: a controller with 1,500 metrics every 15 s.
const PER_SECOND: u32 = 100;

/// For what is opened and cut off to be so before it is measured.
const SETTLING: Duration = Duration::from_secs(2);

const CONFIG: &str = "scrape_configs: [{job_name: none, file_sd_configs: [{files: [none.yaml]}]}]
metrics: [{name: load, gauge: {series: load, combine: sum}}]
";

pub fn run() -> Section {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let authority = Authority::new("front-proxy-ca");
    let api = runtime.block_on(KubeApi::start());
    api.write(Some(data(&authority.pem(), r#"["front-proxy-client"]"#)));
    let scene = Scene::with_port(0);
    let plimsoll = scene.plimsoll_with(CONFIG, Some(&kubeconfig(&api.url())));
    let identity = authority.sign(&Leaf::client("front-proxy-client", Clock::system().now())).pem;
    let autoscaler = Autoscaler::new(&plimsoll, scene.certificate(), &identity);
    let stage = Stage::new(&plimsoll.base, scene.certificate());
    let mut rows = Vec::new();
    let alone = autoscaler.latencies();
    rows.push(Row::new("alone", both(&alone)));
    for attack in ATTACKS {
        rows.push(under(&attack, &stage, &runtime, &autoscaler, &plimsoll));
    }
    rows.push(memory(&stage, &runtime, &plimsoll));
    Section {
        title: "Protection of the port",
        method: format!(
            "Time of an autoscaler's request, p50 / p99, through the certificate of a front proxy over one connection \
             with {PER_SECOND} requests a second, while strangers with other addresses of the same machine attack; \
             the baseline is the same without an attack, before and after each. They share the cores, so what the \
             attackers themselves spend counts too. New: the longest time of a request over a new connection.",
        ),
        rows,
    }
}

/// One attack, with a measurement before it.
fn under(
    attack: &Attack,
    stage: &Stage,
    runtime: &tokio::runtime::Runtime,
    autoscaler: &Autoscaler,
    plimsoll: &Server,
) -> Row {
    progress(format_args!("port: {}", attack.what));
    let alone = autoscaler.latencies();
    let running = attack.start(stage, runtime);
    std::thread::sleep(SETTLING);
    let (before, started) = (plimsoll.process.cpu(), Instant::now());
    let attacked = autoscaler.latencies();
    let cpu = (plimsoll.process.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64();
    let new = autoscaler.newcomer();
    drop(running);
    std::thread::sleep(SETTLING);
    let [base, figure] = [&alone, &attacked].map(|all| quantile(all, 0.5).as_secs_f64());
    let what = format!("{}; new {}, CPU {} %", attack.what, time(new), number(cpu * 100.0));
    Row::new(what, both(&attacked)).beside(format!("alone {}", both(&alone)), times(base, figure))
}

/// What a connection costs that a stranger holds after its handshake.
fn memory(stage: &Stage, runtime: &tokio::runtime::Runtime, plimsoll: &Server) -> Row {
    const ADDRESSES: usize = 10;
    progress("port: memory of idle connections");
    let before = plimsoll.process.memory().resident;
    let held = runtime.block_on(stage.hold(ADDRESSES, 90));
    let after = plimsoll.process.memory().resident;
    let each = (after - before) / held.len() as f64;
    let what = format!("resident memory per idle connection of a stranger after its handshake, of {}", held.len());
    Row::new(what, format!("{} KB", number(each / 1000.0))).goal("≤ 80 KB", each <= 80e3)
}

fn both(all: &[Duration]) -> String {
    format!("{} / {}", time(quantile(all, 0.5)), time(quantile(all, 0.99)))
}

fn kubeconfig(url: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: bench
contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]
clusters: [{{name: bench, cluster: {{server: '{url}'}}}}]
users: [{{name: bench, user: {{}}}}]
"
    )
}

// === impl Autoscaler ===

impl Autoscaler {
    fn new(plimsoll: &Server, certificate: &str, identity: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = connections(certificate, identity);
        let url = plimsoll.url("/apis/custom.metrics.k8s.io/v1beta2");
        let autoscaler =
            Self { runtime, http, certificate: certificate.to_owned(), identity: identity.to_owned(), url };
        let started = Instant::now();
        while autoscaler.ask(&autoscaler.http) != Some(200) {
            assert!(started.elapsed() < Duration::from_secs(30), "the front proxy is not known");
            std::thread::sleep(Duration::from_millis(50));
        }
        autoscaler
    }

    fn ask(&self, http: &reqwest::Client) -> Option<u16> {
        let request = http.get(&self.url).header("X-Remote-Group", "system:masters");
        let request = request.header("X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler");
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let code = response.status().as_u16();
            response.bytes().await.ok().map(|_| code)
        })
    }

    /// Times of answers at a steady rate, sorted; each counts from when it was due.
    fn latencies(&self) -> Vec<Duration> {
        let count = PER_SECOND * if is_quick() { 1 } else { 5 };
        let started = Instant::now();
        let mut all: Vec<_> = (0..count)
            .map(|i| {
                let due = started + Duration::from_secs(1) * i / PER_SECOND;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                assert_eq!(self.ask(&self.http), Some(200), "request {i} of the autoscaler");
                due.elapsed()
            })
            .collect();
        all.sort();
        all
    }

    /// The longest time of a few requests over new connections.
    fn newcomer(&self) -> Duration {
        let times = (0..5).map(|i| {
            let new = connections(&self.certificate, &self.identity);
            let started = Instant::now();
            assert_eq!(self.ask(&new), Some(200), "new connection {i} of the autoscaler");
            started.elapsed()
        });
        times.max().unwrap_or_default()
    }
}

/// A client with connections of its own.
fn connections(certificate: &str, identity: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
    let identity = reqwest::Identity::from_pem(identity.as_bytes()).expect("an identity");
    let http = reqwest::Client::builder().tls_certs_only([root]).identity(identity).no_proxy();
    http.timeout(Duration::from_secs(20)).build().expect("a client")
}
