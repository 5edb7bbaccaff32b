//! Static targets, `file_sd` and `http_sd` → the current [`Inventory`] on a watch channel.
//!
//! Every source reports whole lists; a source that fails keeps its last list and says so in its
//! [`SourceState`]. Readers always see the newest inventory, without a backlog. Kubernetes watches
//! will be one more source here.

mod source;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Job, StaticTarget};
use crate::model::{Inventory, Target, TargetId, Timestamp};
use source::Source;

/// Runs the sources of the current configuration.
pub struct Discovery {
    pub config: watch::Receiver<Arc<Config>>,
    pub publish: watch::Sender<Arc<Inventory>>,
    pub states: SourceStates,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// What is known of each source, for readiness and the status page. Clones share the content.
#[derive(Clone, Default)]
pub struct SourceStates(Arc<Mutex<BTreeMap<String, SourceState>>>);

/// State of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceState {
    pub targets: usize,
    pub last_success: Option<Timestamp>,
    /// Why the last refresh failed; `None` after a success.
    pub error: Option<String>,
    /// Groups of the last list that were left out, with the reason.
    pub mistakes: Vec<String>,
    /// Whether the source has reported at all, be it a failure.
    pub reported: bool,
}

/// Own metrics of discovery.
#[derive(Clone)]
pub struct Metrics {
    targets: Gauge,
    targets_over_limit: Gauge,
    refreshes: Family<MechanismLabel, Counter>,
    failures: Family<MechanismLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MechanismLabel {
    mechanism: &'static str,
}

/// One whole list of a source, or why there is none.
struct Report {
    source: usize,
    outcome: Result<Found, String>,
}

/// What a source found: targets, and what it had to leave out.
struct Found {
    targets: Vec<StaticTarget>,
    mistakes: Vec<String>,
}

/// After a reload the old inventory stays until every new source has reported, at most this long.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

// === impl Discovery ===

impl Discovery {
    /// Publishes inventories until `shutdown`; starts its sources anew with each configuration.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let config = self.config.borrow_and_update().clone();
            let generation = shutdown.child_token();
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.config.changed() => if changed.is_err() { return },
                () = run_generation(&config, &self.publish, &self.states, &self.clock, &self.metrics, generation.clone()) => {}
            }
            generation.cancel();
        }
    }
}

/// Runs the sources of one configuration; ends only when it is dropped or cancelled.
async fn run_generation(
    config: &Arc<Config>,
    publish: &watch::Sender<Arc<Inventory>>,
    states: &SourceStates,
    clock: &Clock,
    metrics: &Metrics,
    token: CancellationToken,
) {
    let sources = Source::all(config);
    states.start(sources.iter().map(|(_, source)| source.name()));
    let (reports, mut inbox) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    let mut lists: Vec<Option<Vec<Arc<Target>>>> = vec![None; sources.len()];
    for (number, (_, source)) in sources.iter().enumerate() {
        tasks.spawn(source.clone().run(number, reports.clone(), token.clone()));
    }
    let settled = tokio::time::sleep(SETTLE_TIME_MAX);
    tokio::pin!(settled);
    let mut waiting = true;
    loop {
        tokio::select! {
            Some(report) = inbox.recv() => {
                let (job, source) = &sources[report.source];
                metrics.count(source.mechanism(), report.outcome.is_ok());
                states.record(&source.name(), &report.outcome, clock.now());
                let list = &mut lists[report.source];
                match report.outcome {
                    Ok(found) => *list = Some(found.targets.into_iter().map(|target| Arc::new(join(job, target))).collect()),
                    Err(_) => { list.get_or_insert_default(); }
                }
            }
            () = &mut settled, if waiting => waiting = false,
            Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                std::panic::resume_unwind(error.into_panic());
            },
        }
        if waiting && lists.iter().any(Option::is_none) {
            continue;
        }
        let targets = lists.iter().flatten().flatten().cloned().collect();
        let inventory = Inventory::new(unique(targets), config.limits.targets);
        metrics.targets.set(inventory.targets().len() as i64);
        metrics.targets_over_limit.set(inventory.targets_over_limit as i64);
        log_limit(&inventory, &publish.borrow(), config.limits.targets);
        publish.send_replace(Arc::new(inventory));
    }
}

/// A target with what its job says of scraping.
fn join(job: &Job, target: StaticTarget) -> Target {
    Target {
        id: TargetId::new(&job.name, &target.url, &target.identity),
        url: target.url,
        job: job.name.clone(),
        identity: target.identity,
        scrape_interval: job.scrape_interval,
        scrape_timeout: job.scrape_timeout,
        freshness: job.freshness,
    }
}

/// Two sources may bring the same target; it is scraped once.
fn unique(mut targets: Vec<Arc<Target>>) -> Vec<Arc<Target>> {
    let mut seen = rustc_hash::FxHashSet::default();
    targets.retain(|target| seen.insert(target.id.clone()));
    targets
}

fn log_limit(now: &Inventory, before: &Inventory, limit: usize) {
    if now.targets_over_limit > 0 && before.targets_over_limit != now.targets_over_limit {
        tracing::error!(
            limit,
            targets_over_limit = now.targets_over_limit,
            "more targets than the limit allows; the ones beyond are not scraped"
        );
    }
}

// === impl SourceStates ===

impl SourceStates {
    /// A copy of all states by name of the source.
    pub fn snapshot(&self) -> BTreeMap<String, SourceState> {
        self.lock().clone()
    }

    /// Whether every source has reported since the last configuration.
    pub fn all_reported(&self) -> bool {
        self.lock().values().all(|state| state.reported)
    }

    fn start(&self, names: impl Iterator<Item = String>) {
        *self.lock() = names.map(|name| (name, SourceState::default())).collect();
    }

    fn record(&self, name: &str, outcome: &Result<Found, String>, now: Timestamp) {
        let mut states = self.lock();
        let state = states.entry(name.to_owned()).or_default();
        state.reported = true;
        match outcome {
            Ok(found) => {
                if state.mistakes != found.mistakes {
                    found
                        .mistakes
                        .iter()
                        .for_each(|what| tracing::warn!(source = name, "target group left out: {what}"));
                }
                let mistakes = found.mistakes.clone();
                *state = SourceState {
                    targets: found.targets.len(),
                    last_success: Some(now),
                    error: None,
                    mistakes,
                    reported: true,
                };
            }
            Err(error) => {
                if state.error.as_ref() != Some(error) {
                    tracing::warn!(source = name, "discovery fails, its last targets stay: {error}");
                }
                state.error = Some(error.clone());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, SourceState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            targets: Gauge::default(),
            targets_over_limit: Gauge::default(),
            refreshes: Family::default(),
            failures: Family::default(),
        };
        registry.register("discovery_targets", "Targets of all sources within the limit", metrics.targets.clone());
        registry.register(
            "discovery_targets_over_limit",
            "Targets that are not scraped because the limit is reached",
            metrics.targets_over_limit.clone(),
        );
        registry.register(
            "discovery_refreshes",
            "Lists asked of sources, failed ones included",
            metrics.refreshes.clone(),
        );
        registry.register("discovery_failures", "Lists that could not be had", metrics.failures.clone());
        metrics
    }

    fn count(&self, mechanism: &'static str, success: bool) {
        let label = MechanismLabel { mechanism };
        self.refreshes.get_or_create(&label).inc();
        let failures = self.failures.get_or_create(&label);
        if !success {
            failures.inc();
        }
    }
}
