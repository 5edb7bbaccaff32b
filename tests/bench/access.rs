//! What it costs to know who asks and whether he may, beside answering whoever asks on this machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::cluster::{api, kubeconfig};
use crate::load::background;
use crate::page::Size;
use crate::process::Process;
use crate::report::{Row, Section, number, time};
use crate::scene::{BATCH_SIZE, Pace, Scene, Server, plimsoll_config, pod_name};
use crate::{is_quick, progress};

const PACE: Pace = Pace { interval: 15, window: 60 };

/// Connections of a client.
const CONNECTIONS: usize = 4;

/// Rounds, in each of which every kind of client has its turn.
const ROUNDS: usize = 5;

/// A request of somebody costs at most so many times that of whoever.
const GOAL: f64 = 1.3;

/// Users other than the cluster's own would be refused beyond their rates.
const UNLIMITED: &str = "rate_limits: {default: unlimited, tiers: {unlimited: 1000000}}\n";

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// One kind of client.
struct Client<'a> {
    what: &'static str,
    server: &'a Server,
    idle: f64,
    http: reqwest::Client,
    /// CPU time of the server for a request, in each round.
    costs: Vec<Duration>,
}

pub fn run() -> Section {
    let pace = if is_quick() { Pace { interval: 2, window: 10 } } else { PACE };
    let scene = Scene::start(Size::Small, Duration::from_secs(300));
    scene.write_targets(0..BATCH_SIZE);
    let (front_proxy, clients) = (authority("front-proxy-ca"), authority("kubernetes-ca"));
    let (api, port) = cluster(&scene, &front_proxy, &clients);
    let config = plimsoll_config(pace) + UNLIMITED;
    let mut local = scene.plimsoll_with(&config, None);
    let mut guarded = scene.plimsoll_with(&config, Some(&kubeconfig(port)));
    local.wait_ready(pace);
    guarded.wait_ready(pace);
    let [free, known] = [background(&local), background(&guarded)];
    let proxied = [("X-Remote-User", AUTOSCALER), ("X-Remote-Group", "system:serviceaccounts")];
    let token = format!("Bearer {}", "t".repeat(1_000));
    let mut kinds = [
        Client::new("anybody on this machine, without a cluster", &local, free, None, &[]),
        Client::new(
            "the front proxy, for an autoscaler",
            &guarded,
            known,
            Some(leaf(&front_proxy, "front-proxy")),
            &proxied,
        ),
        Client::new("a user with a certificate", &guarded, known, Some(leaf(&clients, "alice")), &[]),
        Client::new("an account with a token of 1 KB", &guarded, known, None, &[("Authorization", &token)]),
    ];
    let path =
        format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/{}/requests_per_second", pod_name(7));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for round in 1..=ROUNDS {
        progress(format_args!("access: round {round} of {ROUNDS}"));
        for kind in &mut kinds {
            kind.measure(&runtime, &path);
        }
    }
    drop(api);
    Section {
        title: "Knowing who asks",
        method: format!(
            "CPU time of the server per request for the rate of one pod, over HTTPS with keep-alive ({CONNECTIONS} \
             connections, as fast as answers come; what scraping spends meanwhile is taken off), the median of {ROUNDS} \
             rounds in which all take turns. What the kube-apiserver says of user and permission is known for 10 s, so \
             nearly every request finds it there.",
        ),
        rows: rows(&kinds),
    }
}

const AUTOSCALER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

fn rows(kinds: &[Client<'_>]) -> Vec<Row> {
    let baseline = kinds[0].median();
    let row = |kind: &Client<'_>| {
        let ratio = kind.median().as_secs_f64() / baseline.as_secs_f64();
        Row::new(kind.what, time(kind.median()))
            .beside(format!("{} {}", kinds[0].what, time(baseline)), format!("{} of it", number(ratio)))
            .goal(format!("≤ {GOAL}"), ratio <= GOAL)
    };
    [Row::new(kinds[0].what, time(baseline))].into_iter().chain(kinds[1..].iter().map(row)).collect()
}

// === impl Client ===

impl<'a> Client<'a> {
    fn new(
        what: &'static str,
        server: &'a Server,
        idle: f64,
        identity: Option<String>,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<reqwest::header::HeaderName>().expect("a name"), value.parse().expect("a value"))
        });
        let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).http1_only().no_proxy();
        let builder = builder.default_headers(headers.collect());
        let identity = identity.map(|pem| reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
        let http = identity.into_iter().fold(builder, reqwest::ClientBuilder::identity).build().expect("a client");
        Self { what, server, idle, http, costs: Vec::new() }
    }

    /// Asks as fast as answers come.
    fn measure(&mut self, runtime: &Runtime, path: &str) {
        let (seconds, url) = (if is_quick() { 1 } else { 3 }, self.server.url(path));
        let (count, http) = (AtomicU64::new(0), &self.http);
        // The first of each has more to do: a connection, and what is not known yet.
        runtime.block_on(futures::future::join_all((0..CONNECTIONS).map(|_| ask(http, &url))));
        let (before, started) = (self.server.process.cpu(), Instant::now());
        let until = started + Duration::from_secs(seconds);
        let connection = async || {
            while Instant::now() < until {
                ask(http, &url).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        runtime.block_on(futures::future::join_all((0..CONNECTIONS).map(|_| connection())));
        let spent = (self.server.process.cpu() - before).as_secs_f64() - self.idle * started.elapsed().as_secs_f64();
        self.costs.push(Duration::from_secs_f64(spent.max(0.0) / count.load(Ordering::Relaxed) as f64));
    }

    fn median(&self) -> Duration {
        let mut costs = self.costs.clone();
        costs.sort();
        costs[costs.len() / 2]
    }
}

/// What is measured is an answer with a value.
async fn ask(http: &reqwest::Client, url: &str) {
    let answer = http.get(url).send().await.expect("an answer");
    let (code, body) = (answer.status(), answer.text().await.expect("a body"));
    assert!(code == 200 && body.contains("\"value\""), "{url}: {code} {body}");
}

/// A cluster without pods that knows these authorities, and its port.
fn cluster(scene: &Scene, front_proxy: &Issuer, clients: &Issuer) -> (Process, u16) {
    let data = json!({
        "requestheader-client-ca-file": front_proxy.pem(), "client-ca-file": clients.pem(),
        "requestheader-allowed-names": "[\"front-proxy\"]", "requestheader-username-headers": "[\"X-Remote-User\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
    });
    let file = scene.write("trust.json", &data.to_string());
    let arguments = [api::COMMAND.to_owned(), "0".into(), "0".into(), file.display().to_string()];
    let mut api = scene.beside("cluster-api", &arguments);
    let port = api.wait_for("the start", START_TIMEOUT, |process| process.output().trim().parse().ok());
    (api, port)
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A certificate for a client, with its key.
fn leaf(authority: &Issuer, name: &str) -> String {
    let (mut params, key) = (named(name), KeyPair::generate().expect("a key"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.signed_by(&key, authority).expect("a certificate").pem() + &key.serialize_pem()
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
