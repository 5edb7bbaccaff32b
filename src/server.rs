//! Builds the parts, wires the channels, owns and awaits every task, and shuts down.

mod readiness;
mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::{self, Discovery, SourceStates};
use crate::model::Inventory;
use crate::scrape::{self, Plan, Scraper};
use crate::serving::{self, BindError, Certificate, CertificateError};
use crate::storage::Storage;
use crate::telemetry;
use reload::Reload;

/// What the process is started with; changing any of it takes a restart.
pub struct Options {
    pub config: Config,
    /// The file `config` came from, to be watched; `None` for a configuration that never changes.
    pub config_file: Option<PathBuf>,
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    pub certificate: CertificateSource,
    /// Requests under way at shutdown get this long.
    pub drain_timeout: Duration,
    pub clock: Clock,
}

/// Where the serving certificate comes from.
pub enum CertificateSource {
    /// Made at start, for local use.
    SelfSigned,
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// Why the process cannot start; one clear line each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Bind(#[from] BindError),
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
    router: Router,
}

/// Prefix of every own metric.
const PREFIX: &str = "plimsoll";

/// Starts everything. It runs until `shutdown` is cancelled.
///
/// # Errors
/// [`StartError`] when the port or the certificate cannot be used.
pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Running, StartError> {
    let Options { config, config_file, address, certificate, drain_timeout, clock } = options;
    let certificate = certificate.load()?;
    let listener = serving::bind(address).await?;
    let address = listener.local_addr().map_err(|source| BindError::Io { address, source })?;
    let certificate_pem = certificate.pem.clone();
    let Parts { reload, discovery, scraper, inventory, router } = Parts::build(config, config_file, &clock);
    let mut tasks = JoinSet::new();
    tasks.spawn(named("reload", reload.run(shutdown.clone())));
    tasks.spawn(named("discovery", discovery.run(shutdown.clone())));
    tasks.spawn(named("scrape", scraper.run(inventory, shutdown.clone())));
    let token = shutdown.clone();
    tasks.spawn(named("serving", async move {
        serving::serve(listener, &certificate, router, drain_timeout, token).await;
    }));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    Ok(Running { address, certificate_pem, tasks, shutdown })
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

// === impl CertificateSource ===

impl CertificateSource {
    fn load(&self) -> Result<Certificate, CertificateError> {
        match self {
            Self::SelfSigned => Certificate::self_signed(),
            Self::Files { certificate, key } => Certificate::from_files(certificate, key),
        }
    }
}

// === impl Parts ===

impl Parts {
    /// Makes the parts and the channels between them; none of them runs yet.
    fn build(config: Config, config_file: Option<PathBuf>, clock: &Clock) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        register_build(&mut registry);
        let storage = Storage::default();
        registry.register_collector(Box::new(storage.clone()));
        let sources = SourceStates::default();
        let (publish_plan, plan) = watch::channel(Arc::new(Plan::new(&config)));
        let (publish_config, config) = watch::channel(Arc::new(config));
        let (publish, inventory) = watch::channel(Arc::new(Inventory::default()));
        let reload = Reload::new(config_file, publish_config, publish_plan, &mut registry, clock);
        let checks = vec![
            reload.check(),
            readiness::discovery(sources.clone()),
            readiness::first_scrapes(inventory.clone(), storage.clone(), clock.clone()),
            readiness::limits(inventory.clone(), config.clone()),
        ];
        let (states, metrics) = (sources.clone(), discovery::Metrics::register(&mut registry));
        let discovery = Discovery { config: config.clone(), publish, states, clock: clock.clone(), metrics };
        let metrics = scrape::Metrics::register(&mut registry);
        let scraper = Scraper { storage: storage.clone(), plan, clock: clock.clone(), metrics };
        let api_metrics = api::Metrics::register(&mut registry);
        let (checks, registry) = (Arc::new(checks), Arc::new(registry));
        let (shared, times) = (storage.clone(), clock.clone());
        let admin = Admin { checks, registry, inventory: inventory.clone(), storage: shared, sources, clock: times };
        let (metrics, pages) = (api_metrics, admin.paths().into());
        let api = Api { config, inventory: inventory.clone(), storage, clock: clock.clone(), metrics, pages };
        let router = admin.router().merge(api.router()).layer(middleware::from_fn(telemetry::correlate));
        Self { reload, discovery, scraper, inventory, router }
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

fn register_build(registry: &mut Registry) {
    let labels = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "Version of the running program", Info::new(labels));
}
