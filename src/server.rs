//! Builds the parts, wires the channels, owns and awaits every task, and shuts down.

mod access;
mod certificate;
mod process;
mod readiness;
mod reload;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use kube::client::ClientBuilder;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::util::MapErrLayer;

use crate::admin::{Admin, Check, Checks};
use crate::api::{self, Api, Status};
use crate::autoscaling::{Autoscaling, Board};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::credential;
use crate::discovery::{self, Discovery, SourceStates};
use crate::model::Inventory;
use crate::scrape::{self, Plan, Scraper, Sources};
use crate::serving::authentication::TrustWatch;
use crate::serving::gate::Gate;
use crate::serving::rate_limits::RateLimits;
use crate::serving::{
    self, BindError, CertificateError, Clients, Connections, Lifetimes, Limits, Registration, RegistrationMetrics,
    ServiceName,
};
use crate::storage::Storage;
use crate::telemetry;
use access::Access;
use process::Process;
use reload::Reload;

/// What the process is started with; changing any of it takes a restart.
pub struct Options {
    pub config: Config,
    /// The file `config` came from, to be watched; `None` for a configuration that never changes.
    pub config_file: Option<PathBuf>,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    pub certificate: CertificateSource,
    /// In front of this process, where there is one: what leads to another one is not ours.
    pub service: ServiceName,
    /// The cluster to work in, which says who asks and who may. `None` without one: nobody is authenticated, and only this
    /// machine can ask.
    pub kubernetes: Option<kube::Config>,
    /// What a client may take of the port.
    pub limits: Limits,
    /// Requests under way at shutdown get this long.
    pub drain_timeout: Duration,
    pub clock: Clock,
}

/// Where the serving certificate comes from.
pub enum CertificateSource {
    /// Made at start, for local use.
    SelfSigned,
    /// Read again whenever they change.
    Files { certificate: PathBuf, key: PathBuf },
    /// Read and watched, and written by others.
    Secret { namespace: String, name: String },
    /// Made here, and shared by all replicas through a Secret in the namespace of the Service.
    SelfManaged { secret: String, service: ServiceName, lifetimes: Lifetimes },
}

/// Why the process cannot start; one clear line each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot make a client of the cluster at {url}: {what}")]
    Kubernetes { url: String, what: String },
    #[error(
        "the serving certificate is to come from Secret {0}, and there is no cluster; name one with --kubeconfig, or \
         run in a pod with a service account"
    )]
    NoCluster(String),
    #[error("a signal ended it before it served")]
    Interrupted,
    #[error("the credential plugin {plugin} of the kubeconfig does not answer within {} s", limit.as_secs())]
    SilentPlugin { plugin: String, limit: Duration },
}

/// A server that runs.
pub struct Running {
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// The serving certificate in PEM, to be trusted by local clients.
    pub certificate_pem: String,
    tasks: JoinSet<&'static str>,
    shutdown: CancellationToken,
}

/// A task ended that should run as long as the process.
#[derive(Debug, thiserror::Error)]
#[error("the task {0} ended unexpectedly")]
pub struct TaskEnded(&'static str);

/// What runs or is served, wired up.
struct Parts {
    reload: Reload,
    discovery: Discovery,
    scraper: Scraper,
    inventory: watch::Receiver<Arc<Inventory>>,
    /// `None` without a cluster.
    trust: Option<TrustWatch>,
    /// As before.
    looks: Option<Looks>,
    router: Router,
}

/// The cluster to work in, and what is ours there.
#[derive(Clone)]
struct Cluster {
    client: kube::Client,
    service: ServiceName,
}

/// What looks at the cluster for the own metrics alone.
struct Looks {
    autoscaling: Autoscaling,
    registration: Registration,
}

/// Prefix of every own metric, but for those of the process.
const PREFIX: &str = "plimsoll";

/// A kube-apiserver that is there answers at once; the rest is a network that drops packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Nothing comes for so long only from what is dead: the longest watch, that of the front proxy's ConfigMap, is asked to
/// end after 290 s, and ends itself 5 s later.
const READ_TIMEOUT: Duration = Duration::from_secs(300);

/// Starts everything. It runs until `shutdown` is cancelled.
///
/// # Errors
/// [`StartError`] when the port, the certificate or the credentials for the cluster cannot be used.
pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Running, StartError> {
    let Options { config, config_file, address, certificate, service, kubernetes, limits, drain_timeout, clock } =
        options;
    let cluster = match kubernetes {
        Some(config) => Some(Cluster { client: connected(config, &shutdown).await?, service }),
        None => None,
    };
    let clients = if cluster.is_some() { Clients::Authenticated } else { Clients::Local };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process { started: clock.now() }));
    let own = registry.sub_registry_with_prefix(PREFIX);
    let client = cluster.as_ref().map(|it| &it.client);
    let (certificate, keeper) = certificate.start(client, &clock, own, &shutdown).await?;
    let mut listener = serving::bind_with(address, clients, limits).await?;
    listener.answer = |oversize| Status::too_large(oversize.code(), oversize).into_response();
    let (address, certificate_pem) = (listener.address, certificate.pem());
    let standing = readiness::certificate(certificate.standing(), clock.clone());
    let connections = listener.connections.clone();
    connections.register(own);
    let Parts { reload, discovery, scraper, inventory, trust, looks, router } =
        Parts::build(config, config_file, &clock, cluster, registry, standing, connections);
    let mut tasks = JoinSet::new();
    tasks.spawn(named("reload", reload.run(shutdown.clone())));
    tasks.spawn(named("discovery", discovery.run(shutdown.clone())));
    tasks.spawn(named("scrape", scraper.run(inventory, shutdown.clone())));
    if let Some(trust) = trust {
        tasks.spawn(named("authentication", trust.run(shutdown.clone())));
    }
    if let Some(Looks { autoscaling, registration }) = looks {
        tasks.spawn(named("autoscaling", autoscaling.run(shutdown.clone())));
        tasks.spawn(named("registration", registration.run(shutdown.clone())));
    }
    if let Some(keeper) = keeper {
        tasks.spawn(named("certificate", keeper.run(shutdown.clone())));
    }
    let token = shutdown.clone();
    tasks.spawn(named("serving", async move {
        serving::serve(listener, certificate, router, drain_timeout, token).await;
    }));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    Ok(Running { address, certificate_pem, tasks, shutdown })
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// The client, on a thread of its own where a credential plugin has to run for it, which may hang.
async fn connected(config: kube::Config, shutdown: &CancellationToken) -> Result<kube::Client, StartError> {
    if config.auth_info.exec.is_none() {
        return client(config);
    }
    let (plugin, limit) = (credential::plugin(&config), credential::patience(&config));
    let made = tokio::task::spawn_blocking(move || client(config));
    tokio::select! {
        made = made => made.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(StartError::Interrupted),
        }),
        () = shutdown.cancelled() => Err(StartError::Interrupted),
        () = tokio::time::sleep(limit) => Err(StartError::SilentPlugin { plugin, limit }),
    }
}

/// The client that everything shares which asks the cluster. It repeats nothing by itself: who asks knows whether it is
/// still worth it.
fn client(mut config: kube::Config) -> Result<kube::Client, StartError> {
    let url = config.cluster_url.to_string();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let plugin = credential::plugin(&config);
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        let what = credential::described(&plugin, &error).unwrap_or_else(|| config::one_line(&error));
        StartError::Kubernetes { url, what }
    })?;
    // A token that ends is asked for again during some request, and many places tell its error.
    Ok(builder.with_layer(&MapErrLayer::new(move |error| credential::without_secrets(&plugin, error))).build())
}

// === impl Parts ===

impl Parts {
    /// Makes the parts and the channels between them; none of them runs yet.
    fn build(
        config: Config,
        config_file: Option<PathBuf>,
        clock: &Clock,
        cluster: Option<Cluster>,
        mut all: Registry,
        certificate: Check,
        connections: Connections,
    ) -> Self {
        let registry = all.sub_registry_with_prefix(PREFIX);
        register_build(registry);
        let storage = Storage::default();
        registry.register_collector(Box::new(storage.clone()));
        let sources = SourceStates::default();
        let (publish_plan, plan) = watch::channel(Arc::new(Plan::new(&config)));
        let (publish_config, config) = watch::channel(Arc::new(config));
        let (publish, inventory) = watch::channel(Arc::new(Inventory::default()));
        let reload = Reload::new(config_file, publish_config, publish_plan, registry, clock);
        let access = cluster.as_ref().map(|it| Access::new(it.client.clone(), clock, registry));
        let mut checks = vec![
            reload.check(),
            readiness::discovery(sources.clone()),
            readiness::first_scrapes(inventory.clone(), storage.clone(), clock.clone()),
            readiness::limits(inventory.clone(), config.clone()),
            certificate,
        ];
        checks.extend(access.iter().flat_map(Access::checks));
        let looks = cluster.clone().map(|Cluster { client, service }| {
            let board = Board::new(clock.clone());
            registry.register_collector(Box::new(board.clone()));
            let (metrics, api_services) = (RegistrationMetrics::register(registry), certificate::api_services());
            let (tell, elsewhere) = watch::channel(BTreeSet::new());
            let registration = Registration { client: client.clone(), service, api_services, elsewhere: tell, metrics };
            let (config, inventory, storage) = (config.clone(), inventory.clone(), storage.clone());
            let clock = clock.clone();
            let autoscaling = Autoscaling { client, config, inventory, storage, elsewhere, clock, board };
            Looks { autoscaling, registration }
        });
        let (states, metrics) = (sources.clone(), discovery::Metrics::register(registry));
        let cluster = cluster.map(|cluster| cluster.client);
        let discovery = Discovery { config: config.clone(), publish, states, clock: clock.clone(), metrics, cluster };
        let (jobs, shared, times) = (plan.clone(), storage.clone(), clock.clone());
        let jobs = Sources { plan: jobs, inventory: inventory.clone(), storage: shared, clock: times };
        registry.register_collector(Box::new(jobs));
        let metrics = scrape::Metrics::register(registry);
        let scraper = Scraper { storage: storage.clone(), plan, clock: clock.clone(), metrics };
        let limits = RateLimits::new(config.clone(), connections, |too_many| {
            Status::too_many_requests(too_many, too_many.retry_after_seconds()).into_response()
        });
        let api_metrics = api::Metrics::register(registry);
        let checks = Arc::new(checks);
        registry.register_collector(Box::new(Checks(checks.clone())));
        let registry = Arc::new(all);
        let (shared, times) = (storage.clone(), clock.clone());
        let admin = Admin { checks, registry, inventory: inventory.clone(), storage: shared, sources, clock: times };
        let (metrics, pages) = (api_metrics, admin.paths().into());
        let api = Api { config, inventory: inventory.clone(), storage, clock: clock.clone(), metrics, pages };
        let router = admin.router().merge(api.router());
        let gate = access.as_ref().map(|access| access.gate(&limits));
        let router = router.layer(middleware::from_fn_with_state(gate, enter));
        let trust = access.map(|access| access.watch);
        Self { reload, discovery, scraper, inventory, trust, looks, router }
    }
}

// === impl Running ===

impl Running {
    /// Waits until all tasks have ended after the shutdown.
    ///
    /// # Errors
    /// [`TaskEnded`] when a task ended before; the others are then shut down. A task that panicked
    /// panics here.
    pub async fn wait(mut self) -> Result<(), TaskEnded> {
        let mut early = None;
        while let Some(ended) = self.tasks.join_next().await {
            let name = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            if !self.shutdown.is_cancelled() {
                tracing::error!(task = name, "a task ended unexpectedly; shutting down");
                early.get_or_insert(TaskEnded(name));
                self.shutdown.cancel();
            }
        }
        tracing::info!("stopped");
        early.map_or(Ok(()), Err)
    }
}

/// Middleware: what happens to each request before the router.
async fn enter(State(gate): State<Option<Gate>>, request: Request, next: Next) -> Response {
    let pass = async |request| match &gate {
        Some(gate) => gate.pass(request, next).await,
        None => next.run(request).await,
    };
    telemetry::correlate(request, pass).await
}

fn register_build(registry: &mut Registry) {
    let labels = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "Version of the running program", Info::new(labels));
}
