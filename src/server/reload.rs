//! Watches the configuration file. A good new file takes effect without a restart; a bad one changes
//! nothing but the log, a metric and the readiness detail.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{Check, Readiness};
use crate::clock::Clock;
use crate::config::{self, Config, Diagnostics};
use crate::scrape::Plan;

/// The watcher and the channels it publishes on.
pub(super) struct Reload {
    file: Option<PathBuf>,
    config: watch::Sender<Arc<Config>>,
    plan: watch::Sender<Arc<Plan>>,
    /// Why the newest file is not in force; `None` when it is.
    refused: Arc<Mutex<Option<String>>>,
    clock: Clock,
    metrics: Metrics,
}

struct Metrics {
    successful: Gauge,
    success_time: Gauge<f64, AtomicU64>,
    reloads: Counter,
    failures: Counter,
}

/// How often the file is read again. Reading beats comparing times: a mounted ConfigMap swaps links.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

// === impl Reload ===

impl Reload {
    pub(super) fn new(
        file: Option<PathBuf>,
        config: watch::Sender<Arc<Config>>,
        plan: watch::Sender<Arc<Plan>>,
        registry: &mut Registry,
        clock: &Clock,
    ) -> Self {
        let metrics = Metrics::register(registry);
        metrics.succeeded(clock);
        Self { file, config, plan, refused: Arc::default(), clock: clock.clone(), metrics }
    }

    /// Says in the readiness detail when an old configuration is in force.
    pub(super) fn check(&self) -> Check {
        let refused = self.refused.clone();
        let ask = move || match &*refused.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Readiness::Ok,
            Some(why) => {
                Readiness::Degraded(format!("the changed file is refused, the old configuration stays in force: {why}"))
            }
        };
        Check { name: "config", ask: Box::new(ask) }
    }

    /// Looks at the file until `shutdown`.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let Some(file) = &self.file else { return shutdown.cancelled().await };
        // What is in force was read by the caller; a change in between is seen at the first look.
        let mut seen = None;
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let path = file.clone();
            match tokio::task::spawn_blocking(move || look(&path, seen)).await {
                Ok(None) => {}
                Ok(Some((hash, read))) => {
                    seen = Some(hash);
                    self.take(file, read);
                }
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down.
                    Err(_) => return,
                },
            }
        }
    }

    fn take(&self, file: &Path, read: Result<Config, Diagnostics>) {
        match read {
            Ok(new) if new == **self.config.borrow() => self.in_force(false),
            Ok(new) => {
                self.plan.send_replace(Arc::new(Plan::new(&new)));
                self.config.send_replace(Arc::new(new));
                self.in_force(true);
            }
            Err(diagnostics) => {
                let why = diagnostics.summary();
                tracing::error!(file = %file.display(), "configuration refused, the old one stays in force: {why}");
                self.metrics.failed();
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            }
        }
    }

    fn in_force(&self, changed: bool) {
        let was_refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take().is_some();
        if changed || was_refused {
            let metrics = self.config.borrow().metrics.len();
            tracing::info!(metrics, "configuration reloaded");
            self.metrics.reloads.inc();
            self.metrics.succeeded(&self.clock);
        }
    }
}

/// Reads the file, and checks it when its text, or why there is none, has another hash than `seen`. Blocks.
fn look(file: &Path, seen: Option<u64>) -> Option<(u64, Result<Config, Diagnostics>)> {
    let text = config::text(file);
    let mut hasher = DefaultHasher::new();
    text.as_ref().map_err(ToString::to_string).hash(&mut hasher);
    let hash = hasher.finish();
    (seen != Some(hash)).then(|| (hash, text.and_then(|text| config::read(&text, file))))
}

// === impl Metrics ===

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            successful: Gauge::default(),
            success_time: Gauge::default(),
            reloads: Counter::default(),
            failures: Counter::default(),
        };
        registry.register(
            "config_last_reload_successful",
            "1 when the newest configuration file is in force",
            metrics.successful.clone(),
        );
        registry.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration in force was taken up, since the Unix epoch",
            Unit::Seconds,
            metrics.success_time.clone(),
        );
        registry.register(
            "config_reloads",
            "Changed configuration files, refused ones included",
            metrics.reloads.clone(),
        );
        registry.register(
            "config_reload_failures",
            "Changed configuration files that were refused",
            metrics.failures.clone(),
        );
        metrics
    }

    fn succeeded(&self, clock: &Clock) {
        self.successful.set(1);
        self.success_time.set(clock.now().0 as f64 / 1000.0);
    }

    fn failed(&self) {
        self.successful.set(0);
        self.reloads.inc();
        self.failures.inc();
    }
}
