//! Static targets, `file_sd` and `http_sd` → the current [`Inventory`] on a watch channel.
//!
//! Every source reports whole lists; a source that fails keeps its last list, also over a reload, and
//! says so in its [`SourceState`]. Readers always see the newest inventory, without a backlog. Kubernetes watches
//! will be one more source here.

mod files;
#[allow(dead_code, reason = "the watches that feed it come next")]
mod kubernetes;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
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
use crate::config::{Config, Job, Omissions, StaticTarget};
use crate::model::{Inventory, Target, TargetId, Timestamp, redacted};
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
pub struct SourceStates(Arc<Mutex<States>>);

#[derive(Default)]
struct States {
    sources: BTreeMap<String, SourceState>,
    /// Whether an inventory was ever complete.
    was_complete: bool,
}

/// State of one source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceState {
    pub targets: usize,
    pub last_success: Option<Timestamp>,
    /// Why the last refresh failed, as a whole or in part; `None` after a success.
    pub error: Option<String>,
    /// What was left out of the last list, with the reason; few lines, and how many more there are.
    pub mistakes: Vec<String>,
    /// Whether the source has reported, be it a failure, or keeps a list from before a reload.
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

/// Targets of one source by the file they stand in; a source that knows no files has one list under no name.
type Lists = BTreeMap<PathBuf, Vec<StaticTarget>>;

/// What a source found, by its number.
struct Report {
    source: usize,
    finding: Finding,
}

/// One look of a source at its targets.
#[derive(Default)]
struct Finding {
    /// `None` when nothing could be had and nothing is known from before.
    lists: Option<Lists>,
    omissions: Omissions,
    /// Why the look failed, as a whole or in part.
    failure: Option<String>,
}

/// One source while its configuration is in force.
struct Slot {
    name: String,
    job: Arc<Job>,
    source: Source,
    /// `None` while the source has no list.
    targets: Option<Vec<Arc<Target>>>,
    reported: bool,
}

/// After a reload the old inventory stays until every new source has reported, at most this long.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

// === impl Discovery ===

impl Discovery {
    /// Publishes inventories until `shutdown`. A configuration with other sources starts them anew, each with the list
    /// it had: a source that is down then loses nothing.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut configs = self.config.clone();
        let mut known = BTreeMap::new();
        loop {
            let config = configs.borrow_and_update().clone();
            let generation = shutdown.child_token();
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = sources_change(&mut configs, &config) => if changed.is_err() { return },
                () = self.run_generation(&config, &mut known, &generation) => {}
            }
            generation.cancel();
        }
    }

    /// Runs the sources of one configuration; ends only when it is dropped or cancelled. `known` holds the last lists
    /// by the name of their source.
    async fn run_generation(&self, config: &Config, known: &mut BTreeMap<String, Lists>, token: &CancellationToken) {
        let mut slots: Vec<_> =
            Source::all(config).into_iter().map(|(job, source)| Slot::new(job, source, known)).collect();
        known.retain(|name, _| slots.iter().any(|slot| slot.name == *name));
        self.states.start(&slots);
        let (reports, mut inbox) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        for (number, slot) in slots.iter().enumerate() {
            let last = known.get(&slot.name).cloned().unwrap_or_default();
            tasks.spawn(slot.source.clone().run(number, last, reports.clone(), token.clone()));
        }
        let settled = tokio::time::sleep(SETTLE_TIME_MAX);
        tokio::pin!(settled);
        let mut waiting = true;
        loop {
            waiting &= slots.iter().any(|slot| !slot.reported);
            if !waiting {
                self.publish(&slots, config.limits.targets);
            }
            tokio::select! {
                Some(Report { source, finding }) = inbox.recv() => self.take(&mut slots[source], finding, known),
                () = &mut settled, if waiting => waiting = false,
                Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                },
            }
        }
    }

    fn take(&self, slot: &mut Slot, finding: Finding, known: &mut BTreeMap<String, Lists>) {
        self.metrics.count(slot.source.mechanism(), finding.failure.is_none());
        self.states.record(&slot.name, &finding, self.clock.now());
        slot.reported = true;
        if let Some(lists) = finding.lists {
            slot.targets = Some(join_all(&slot.job, &lists));
            known.insert(slot.name.clone(), lists);
        }
    }

    fn publish(&self, slots: &[Slot], limit: usize) {
        let targets = slots.iter().filter_map(|slot| slot.targets.as_ref()).flatten().cloned().collect();
        let mut inventory = Inventory::new(unique(targets), limit);
        inventory.complete = slots.iter().all(|slot| slot.reported || slot.targets.is_some());
        let complete = inventory.complete;
        self.metrics.targets.set(inventory.targets().len() as i64);
        self.metrics.targets_over_limit.set(inventory.targets_over_limit as i64);
        log_limit(&inventory, &self.publish.borrow(), limit);
        self.publish.send_replace(Arc::new(inventory));
        if complete {
            self.states.complete();
        }
    }
}

/// Waits for a configuration that finds other targets than `current`; most reloads change metrics only.
async fn sources_change(
    configs: &mut watch::Receiver<Arc<Config>>,
    current: &Config,
) -> Result<(), watch::error::RecvError> {
    loop {
        configs.changed().await?;
        let new = configs.borrow_and_update();
        if new.jobs != current.jobs || new.limits.targets != current.limits.targets {
            return Ok(());
        }
    }
}

// === impl Finding ===

impl Finding {
    /// One whole list.
    fn list(targets: Vec<StaticTarget>, omissions: Omissions) -> Self {
        Self { lists: Some([(PathBuf::new(), targets)].into()), omissions, failure: None }
    }
}

// === impl Slot ===

impl Slot {
    fn new(job: Arc<Job>, source: Source, known: &BTreeMap<String, Lists>) -> Self {
        let name = source.name();
        let targets = known.get(&name).map(|lists| join_all(&job, lists));
        Self { name, job, source, targets, reported: false }
    }
}

fn join_all(job: &Job, lists: &Lists) -> Vec<Arc<Target>> {
    lists.values().flatten().map(|target| Arc::new(join(job, target.clone()))).collect()
}

/// A target with what its job says of scraping.
fn join(job: &Job, target: StaticTarget) -> Target {
    Target {
        id: TargetId::new(&job.name, &target.url, &target.identity),
        url: target.url,
        job: job.name.clone(),
        identity: target.identity,
        scraping: job.scraping.clone(),
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
    /// A copy of all states by name of the source, as it may be shown.
    pub fn snapshot(&self) -> BTreeMap<String, SourceState> {
        self.lock().sources.iter().map(|(name, state)| (shown(name), state.clone())).collect()
    }

    /// Whether an inventory was ever complete since the process started.
    pub fn was_complete(&self) -> bool {
        self.lock().was_complete
    }

    fn complete(&self) {
        self.lock().was_complete = true;
    }

    /// Sources that keep their list keep their state with it.
    fn start(&self, slots: &[Slot]) {
        let mut states = self.lock();
        let mut before = std::mem::take(&mut states.sources);
        let mut state = |slot: &Slot| before.remove(&slot.name).filter(|_| slot.targets.is_some()).unwrap_or_default();
        states.sources = slots.iter().map(|slot| (slot.name.clone(), state(slot))).collect();
    }

    fn record(&self, name: &str, finding: &Finding, now: Timestamp) {
        let mut states = self.lock();
        let state = states.sources.entry(name.to_owned()).or_default();
        state.reported = true;
        let error = finding.failure.clone();
        if let Some(error) = error.as_ref().filter(|error| state.error.as_ref() != Some(error)) {
            tracing::warn!(source = shown(name), "discovery fails, its last targets stay: {error}");
        }
        if error.is_none() {
            state.last_success = Some(now);
        }
        state.error = error;
        let Some(lists) = &finding.lists else { return };
        let mistakes = finding.omissions.lines();
        for what in mistakes.iter().filter(|what| !state.mistakes.contains(what)) {
            tracing::warn!(source = shown(name), "left out of the targets: {what}");
        }
        state.targets = lists.values().map(Vec::len).sum();
        state.mistakes = mistakes;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, States> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a source without the secrets that the URL of an endpoint may hold.
fn shown(name: &str) -> String {
    match name.split_once(" http_sd ") {
        Some((job, url)) => format!("{job} http_sd {}", redacted(url)),
        None => name.to_owned(),
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
