//! Builds the parts, wires the channels, owns and awaits every task, and shuts down.

mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::middleware;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Check, Readiness};
use crate::api::{self, Api};
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::{self, Discovery, SourceStates};
use crate::model::{Inventory, Timestamp};
use crate::scrape::{self, Plan, Scraper};
use crate::serving::{self, BindError, Certificate, CertificateError};
use crate::storage::{Health, Storage};
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

/// Prefix of every own metric.
const PREFIX: &str = "plimsoll";

/// The first scrape round may hold back readiness for this long at most.
const FIRST_ROUND_TIME_MAX: Duration = Duration::from_secs(60);

/// Starts everything. It runs until `shutdown` is cancelled.
///
/// # Errors
/// [`StartError`] when the port or the certificate cannot be used.
pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Running, StartError> {
    let Options { config, config_file, address, certificate, drain_timeout, clock } = options;
    let certificate = match certificate {
        CertificateSource::SelfSigned => Certificate::self_signed()?,
        CertificateSource::Files { certificate, key } => Certificate::from_files(&certificate, &key)?,
    };
    let listener = serving::bind(address).await?;
    let address = listener.local_addr().map_err(|source| BindError::Io { address, source })?;
    let certificate_pem = certificate.pem.clone();

    let mut registry = Registry::with_prefix(PREFIX);
    register_build(&mut registry);
    let storage = Storage::default();
    let sources = SourceStates::default();
    let (publish_plan, plan) = watch::channel(Arc::new(Plan::new(&config)));
    let (publish_config, config) = watch::channel(Arc::new(config));
    let (publish_inventory, inventory) = watch::channel(Arc::new(Inventory::default()));
    let reload = Reload::new(config_file, publish_config, publish_plan, &mut registry, &clock);
    let mut checks = vec![reload.check()];
    let discovery = Discovery {
        config: config.clone(),
        publish: publish_inventory,
        states: sources.clone(),
        clock: clock.clone(),
        metrics: discovery::Metrics::register(&mut registry),
    };
    let scraper = Scraper {
        storage: storage.clone(),
        plan,
        clock: clock.clone(),
        metrics: scrape::Metrics::register(&mut registry),
    };
    checks.push(discovery_check(sources.clone()));
    checks.push(first_round_check(inventory.clone(), storage.clone(), sources.clone(), clock.clone()));
    checks.push(limits_check(inventory.clone(), config.clone()));
    let api = Api {
        config,
        inventory: inventory.clone(),
        storage: storage.clone(),
        clock: clock.clone(),
        metrics: api::Metrics::register(&mut registry),
    };
    registry.register_collector(Box::new(storage.clone()));
    let (checks, registry) = (Arc::new(checks), Arc::new(registry));
    let admin = Admin { checks, registry, inventory: inventory.clone(), storage, sources, clock };
    let router = admin.router().merge(api.router()).layer(middleware::from_fn(telemetry::correlate));

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

fn discovery_check(sources: SourceStates) -> Check {
    let ask = move || {
        let snapshot = sources.snapshot();
        let failing: Vec<_> =
            snapshot.iter().filter_map(|(name, state)| Some(format!("{name}: {}", state.error.as_ref()?))).collect();
        match (failing.is_empty(), sources.all_reported()) {
            (true, true) => Readiness::Ok,
            (true, false) => Readiness::NotReady("not every source of targets has reported yet".into()),
            (false, _) => Readiness::Degraded(failing.join("; ")),
        }
    };
    Check { name: "discovery", ask: Box::new(ask) }
}

/// Ready once every target was scraped, successfully or not, or the time is up. It stays ready: later
/// failures are per target and show in its state.
fn first_round_check(
    inventory: watch::Receiver<Arc<Inventory>>,
    storage: Storage,
    sources: SourceStates,
    clock: Clock,
) -> Check {
    let started = clock.now();
    let done = AtomicBool::new(false);
    let ask = move || {
        let inventory = inventory.borrow().clone();
        if done.load(Ordering::Relaxed) {
            return down_targets(&inventory, &storage);
        }
        let waiting = waiting(&inventory, &storage);
        if !sources.all_reported() {
            return Readiness::NotReady("targets are not known yet".into());
        }
        if waiting > 0 && !time_is_up(&inventory, started, clock.now()) {
            return Readiness::NotReady(format!(
                "{waiting} of {} targets have not been scraped yet",
                inventory.targets().len()
            ));
        }
        done.store(true, Ordering::Relaxed);
        down_targets(&inventory, &storage)
    };
    Check { name: "scrape", ask: Box::new(ask) }
}

fn waiting(inventory: &Inventory, storage: &Storage) -> usize {
    count(inventory, storage, Health::Unknown)
}

fn down_targets(inventory: &Inventory, storage: &Storage) -> Readiness {
    match count(inventory, storage, Health::Down) {
        0 => Readiness::Ok,
        down => Readiness::Degraded(format!("{down} of {} targets are down; see /status", inventory.targets().len())),
    }
}

fn count(inventory: &Inventory, storage: &Storage, health: Health) -> usize {
    let has = |target: &&Arc<crate::model::Target>| {
        storage.read(&target.id, |store| store.state.health).unwrap_or_default() == health
    };
    inventory.targets().iter().filter(has).count()
}

/// A first round takes one interval for the offsets and one timeout for the slowest.
fn time_is_up(inventory: &Inventory, started: Timestamp, now: Timestamp) -> bool {
    let round = inventory.targets().iter().map(|target| target.scrape_interval + target.scrape_timeout).max();
    now.since(started) > round.unwrap_or_default().min(FIRST_ROUND_TIME_MAX)
}

fn limits_check(inventory: watch::Receiver<Arc<Inventory>>, config: watch::Receiver<Arc<Config>>) -> Check {
    let ask = move || match inventory.borrow().targets_over_limit {
        0 => Readiness::Ok,
        over => Readiness::Degraded(format!(
            "{over} targets are beyond the limit of {} and not scraped",
            config.borrow().limits.targets
        )),
    };
    Check { name: "limits", ask: Box::new(ask) }
}
