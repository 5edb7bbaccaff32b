//! Plimsoll in a cluster, an autoscaler that asks without end, and strangers with addresses of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll::clock::Clock;
use plimsoll::serving::Limits;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::crowd::connect;
use crate::harness::kube_api::KubeApi;
use crate::harness::pki::{Authority, Leaf, Signed, data};
use crate::harness::{Answer, Plimsoll, config, eventually};

/// Plimsoll with its cluster.
pub struct Scene {
    pub plimsoll: Plimsoll,
    pub address: SocketAddr,
    front_proxy: Signed,
    pub api: KubeApi,
}

/// What the front proxy says of whom it asks for.
pub type Identity<'a> = &'a [(&'a str, &'a str)];

pub const HPA: Identity<'static> = &[
    ("X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
    ("X-Remote-Group", "system:serviceaccounts"),
];

/// An address that is not the kube-apiserver's.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// The kube-apiserver's.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub const NOTHING: &str = "scrape_configs: [{job_name: none, file_sd_configs: [{files: [none.yaml]}]}]
metrics: [{name: load, gauge: {series: load, combine: sum}}]
";

const GROUP: &str = "/apis/custom.metrics.k8s.io/v1beta2";

/// Requests of the autoscaler before an attack begins, and the least while it stands.
const REQUESTS: usize = 10;

/// A kube-controller-manager asks for one metric after the other.
const SOON: Duration = Duration::from_secs(1);

/// Short times, but enough of them for a busy machine to answer who behaves.
pub fn impatient() -> Limits {
    let two = Duration::from_secs(2);
    Limits {
        first_byte: two,
        handshake: two,
        first_request: two,
        head: two,
        request: 2 * two,
        write: two,
        idle: two,
        sweep: Duration::from_millis(50),
        ..Limits::default()
    }
}

// === impl Scene ===

impl Scene {
    pub async fn start(limits: Limits) -> Self {
        Self::start_with(limits, NOTHING, None).await
    }

    pub async fn start_with(limits: Limits, yaml: &str, file: Option<std::path::PathBuf>) -> Self {
        let authority = Authority::new("front-proxy-ca");
        let api = KubeApi::start().await;
        api.write(Some(data(&authority.pem(), r#"["front-proxy-client"]"#)));
        api.permit(HPA[0].1, "*");
        let plimsoll = Plimsoll::start_limited(config(yaml), file, Some(api.config()), limits).await;
        let front_proxy = authority.sign(&Leaf::client("front-proxy-client", Clock::system().now()));
        let address = plimsoll.base.trim_start_matches("https://").parse().expect("an address");
        let scene = Self { plimsoll, address, front_proxy, api };
        let client = scene.front_proxy();
        eventually(|| scene.ask(&client, GROUP, HPA), |answer| answer.code == 200).await;
        scene
    }

    /// A client with the certificate of the front proxy, and connections of its own.
    pub fn front_proxy(&self) -> reqwest::Client {
        let identity = reqwest::Identity::from_pem(self.front_proxy.pem.as_bytes()).expect("an identity");
        self.client().identity(identity).build().expect("a client")
    }

    /// The same from another address.
    pub fn front_proxy_at(&self, address: Ipv4Addr) -> reqwest::Client {
        let identity = reqwest::Identity::from_pem(self.front_proxy.pem.as_bytes()).expect("an identity");
        let client = self.client().identity(identity).local_address(std::net::IpAddr::from(address));
        client.build().expect("a client")
    }

    /// A client that shows nothing.
    pub fn stranger(&self, address: Ipv4Addr) -> reqwest::Client {
        self.client().local_address(std::net::IpAddr::from(address)).build().expect("a client")
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.plimsoll.certificate_pem.as_bytes()).expect("a certificate");
        reqwest::Client::builder().tls_certs_only([root]).no_proxy().timeout(Duration::from_secs(30))
    }

    pub async fn ask(&self, client: &reqwest::Client, path: &str, headers: Identity<'_>) -> Answer {
        self.try_ask(client, path, headers).await.expect("an answer")
    }

    pub async fn try_ask(
        &self,
        client: &reqwest::Client,
        path: &str,
        headers: Identity<'_>,
    ) -> Result<Answer, reqwest::Error> {
        let request = client.get(format!("{}{path}", self.plimsoll.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(Answer::of(request.send().await?).await)
    }

    /// Lets the autoscaler ask without end, over one connection and over new ones, until the attack is over; all of its
    /// requests are answered, and half of them soon, although attackers and attacked share this machine.
    pub async fn withstands<T>(&self, attack: impl Future<Output = T>) -> T {
        let kept = self.front_proxy();
        let mut asked = 0;
        let times = Mutex::new(Vec::new());
        let ask = async |client: &reqwest::Client, number: usize| {
            let started = Instant::now();
            let answer = self.try_ask(client, GROUP, HPA).await;
            let answer = answer.unwrap_or_else(|error| panic!("request {number} of the autoscaler: {error:?}"));
            assert_eq!(answer.code, 200, "request {number} of the autoscaler: {answer:?}");
            times.lock().expect("not poisoned").push(started.elapsed());
        };
        for _ in 0..REQUESTS {
            ask(&kept, asked).await;
            asked += 1;
        }
        let calm = median(times.lock().expect("not poisoned").split_off(0));
        tokio::pin!(attack);
        let mut outcome = None;
        while outcome.is_none() || asked < 2 * REQUESTS {
            let new = self.front_proxy();
            let mut round = Box::pin(async {
                ask(&kept, asked).await;
                ask(&new, asked + 1).await;
            });
            loop {
                tokio::select! {
                    () = &mut round => break,
                    over = &mut attack, if outcome.is_none() => outcome = Some(over),
                }
            }
            drop(round);
            asked += 2;
        }
        let attacked = median(times.into_inner().expect("not poisoned"));
        println!("the autoscaler waits {attacked:?}; before the attack it was {calm:?}");
        assert!(attacked < SOON.max(calm * 10), "the autoscaler waits {attacked:?}; before the attack it was {calm:?}");
        outcome.expect("the loop ended")
    }

    /// The value of an own metric.
    pub async fn metric(&self, series: &str) -> f64 {
        let answer = self.ask(&self.front_proxy(), "/metrics", HPA).await;
        let line = answer.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in: {answer:?}"))
    }

    /// Waits until so many connections have been ended for a reason.
    pub async fn closes(&self, reason: &str, count: f64) {
        let series = format!("plimsoll_serving_connections_closed_total{{reason=\"{reason}\"}}");
        eventually(|| self.metric(&series), |value| *value >= count).await;
    }

    /// A connection of a stranger, before its handshake.
    pub async fn tcp(&self, from: Ipv4Addr) -> std::io::Result<TcpStream> {
        connect(self.address, from).await
    }

    /// A connection of a stranger after it.
    pub async fn tls(&self, from: Ipv4Addr, alpn: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.plimsoll.certificate_pem.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").expect("a name");
        connector.connect(name, self.tcp(from).await?).await
    }

    pub async fn stop(self) {
        self.plimsoll.stop().await;
        drop(self.api);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Sends byte by byte, until the server does not take any more; true when it ended the connection.
pub async fn drip(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> bool {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
            return true;
        }
        if tokio::time::timeout(Duration::from_millis(100), is_ended(stream)).await.unwrap_or(false) {
            return true;
        }
    }
    is_ended(stream).await
}

/// Reads until the end.
pub async fn is_ended(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    true
}

/// A frame of HTTP/2 on a stream.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[length[1], length[2], length[3], kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
