//! The probes of a container, as a kubelet runs them: HTTP requests at the pod's address. What they say decides whether the
//! pod is Ready, and whether its process is ended and started again.

use std::net::Ipv4Addr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The probes of a container that runs; they end with it.
pub struct Probes {
    health: watch::Receiver<Health>,
    _probing: JoinSet<()>,
}

/// What the probes have found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    pub is_started: bool,
    pub is_ready: bool,
    /// Whether it is to be ended: it never started, or does not live any more.
    pub has_failed: bool,
}

/// One probe with what it asks.
struct Prober {
    http: reqwest::Client,
    url: String,
    delay: Duration,
    period: Duration,
    successes: i32,
    failures: i32,
}

// === impl Probes ===

impl Probes {
    /// Without any, a container is ready as soon as it runs.
    ///
    /// # Errors
    /// Probes that are none over HTTP.
    pub fn start(container: &Container, address: Ipv4Addr) -> Result<Self, String> {
        let prober =
            |probe: &Option<Probe>| probe.as_ref().map(|probe| Prober::new(probe, container, address)).transpose();
        let startup = prober(&container.startup_probe)?;
        let (readiness, liveness) = (prober(&container.readiness_probe)?, prober(&container.liveness_probe)?);
        let (found, health) = watch::channel(Health::default());
        let mut probing = JoinSet::new();
        probing.spawn(run(startup, readiness, liveness, found));
        Ok(Self { health, _probing: probing })
    }

    pub fn health(&self) -> Health {
        *self.health.borrow()
    }
}

// === impl Prober ===

impl Prober {
    fn new(probe: &Probe, container: &Container, address: Ipv4Addr) -> Result<Self, String> {
        let get = probe.http_get.as_ref().ok_or("the kubelet of the tests knows no probe but httpGet")?;
        let port = port(&get.port, container).ok_or_else(|| format!("no port {:?}", get.port))?;
        let scheme = get.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let url = format!("{scheme}://{address}:{port}{}", get.path.as_deref().unwrap_or("/"));
        // A kubelet takes any certificate, and makes a connection for each.
        let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
        let http = http
            .http1_only()
            .pool_max_idle_per_host(0)
            .timeout(seconds(probe.timeout_seconds, 1))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            url,
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            successes: probe.success_threshold.unwrap_or(1),
            failures: probe.failure_threshold.unwrap_or(3),
        })
    }

    /// Whether it answers well.
    async fn ask(&self) -> bool {
        let answer = self.http.get(&self.url).send().await;
        answer.is_ok_and(|answer| (200..400).contains(&answer.status().as_u16()))
    }

    /// Tells each change of its mind; it begins undecided.
    async fn watch(&self, mut tell: impl FnMut(bool)) {
        tokio::time::sleep(self.delay).await;
        let (mut in_a_row, mut last) = (0, None);
        loop {
            let good = self.ask().await;
            in_a_row = if last == Some(good) { in_a_row + 1 } else { 1 };
            last = Some(good);
            if in_a_row == if good { self.successes } else { self.failures } {
                tell(good);
            }
            tokio::time::sleep(self.period).await;
        }
    }
}

async fn run(
    startup: Option<Prober>,
    readiness: Option<Prober>,
    liveness: Option<Prober>,
    found: watch::Sender<Health>,
) {
    if let Some(startup) = startup {
        let mut started = found.subscribe();
        let tell =
            |good| found.send_modify(|health| *health = Health { is_started: good, has_failed: !good, ..*health });
        tokio::select! {
            () = startup.watch(tell) => {}
            _ = started.wait_for(|health| health.is_started) => {}
        }
    }
    let is_ready = readiness.is_none();
    found.send_modify(|health| *health = Health { is_started: true, is_ready, ..*health });
    let readiness = async {
        if let Some(readiness) = &readiness {
            readiness.watch(|good| found.send_modify(|health| health.is_ready = good)).await;
        }
    };
    let liveness = async {
        if let Some(liveness) = &liveness {
            liveness.watch(|good| found.send_modify(|health| health.has_failed = !good)).await;
        }
    };
    tokio::join!(readiness, liveness);
    // Without one of them nothing changes any more, but the container is what it is.
    std::future::pending().await
}

/// The number of a port that may be named.
fn port(port: &IntOrString, container: &Container) -> Option<i32> {
    match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port)
        }
    }
}

fn seconds(given: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(given.and_then(|given| u64::try_from(given).ok()).unwrap_or(default))
}
