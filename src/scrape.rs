//! One loop per target: fetch, parse, store, record health.
//!
//! The current set of targets comes in on a watch channel; samples go to [`Storage`]. A failed scrape
//! is data. A target that hangs, floods or answers garbage holds up its own loop and no other.

mod content;
mod metrics;
mod negotiation;
mod sources;

pub use metrics::Metrics;
pub use sources::Sources;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::client::{Client, Page, Request};
use crate::clock::Clock;
use crate::config::{Aggregation, ClientConfig, Config, Limits, ScrapeProtocol, Shape, Side};
use crate::exposition;
use crate::model::{Inventory, Labels, Scraping, Target, TargetId, Timestamp, canonical_bound, redacted};
use crate::storage::{self, Bounds, Failure, Health, IssueKind, Scrape, Storage, TargetStore, Wanted};
use content::Content;
use metrics::JobMetrics;

/// How to scrape under one configuration.
pub struct Plan {
    wanted: Arc<Wanted>,
    limits: Limits,
    /// Names of the jobs.
    jobs: Vec<Arc<str>>,
}

/// How targets that are scraped alike are asked.
struct Access {
    client: Client,
    accept: HeaderValue,
}

/// Runs the loops.
pub struct Scraper {
    pub storage: Storage,
    pub plan: watch::Receiver<Arc<Plan>>,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// The loops that run.
struct Fleet {
    loops: HashMap<TargetId, (Arc<Target>, CancellationToken)>,
    accesses: HashMap<(ClientConfig, Vec<ScrapeProtocol>), Arc<Access>>,
    tasks: JoinSet<()>,
    /// Whether a complete inventory was seen: a target that comes after it is new, not only newly seen.
    is_known: bool,
    shutdown: CancellationToken,
}

/// One target's loop.
struct Loop {
    target: Arc<Target>,
    access: Arc<Access>,
    store: Arc<Mutex<TargetStore>>,
    plan: watch::Receiver<Arc<Plan>>,
    clock: Clock,
    metrics: Metrics,
    job_metrics: JobMetrics,
}

/// Pages above this size are parsed on a thread of their own (at some 500 MB/s, half a millisecond).
const INLINE_SIZE_MAX: usize = 256 << 10;

// === impl Plan ===

impl Plan {
    pub fn new(config: &Config) -> Self {
        let jobs = config.jobs.iter().map(|job| Arc::from(&*job.name)).collect();
        Self { wanted: Arc::new(wanted(config)), limits: config.limits.clone(), jobs }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            series: self.limits.series_per_target,
            label_length: self.limits.label_length,
            labels_per_series: self.limits.labels_per_series,
        }
    }
}

/// All sample names that the definitions read.
pub fn wanted(config: &Config) -> Wanted {
    let mut wanted = Wanted::default();
    for definition in &config.metrics {
        match &definition.shape {
            Shape::Gauge { series, .. } | Shape::Queue { series, .. } => wanted.gauge(&series.name),
            Shape::Rate { counter, window } => want_counter(&mut wanted, &counter.name, *window),
            Shape::Quantile { histogram, window, .. } => {
                let created = format!("{}_created", histogram.name);
                // Native under the base name, classic with the suffix: a page has the one, the other or both.
                wanted.counter(&histogram.name, &created, *window);
                wanted.counter(&format!("{}_bucket", histogram.name), &created, *window);
            }
            Shape::Ratio { numerator, denominator, window } => {
                for side in [numerator, denominator] {
                    match side {
                        Side::Gauge(gauge) => wanted.gauge(&gauge.name),
                        Side::Counter(counter) => want_counter(&mut wanted, &counter.name, *window),
                    }
                }
            }
        }
        if definition.aggregation != Aggregation::Exact {
            definition.shape.selections().iter().for_each(|(name, _)| wanted.former_lives(name));
        }
    }
    wanted
}

fn want_counter(wanted: &mut Wanted, name: &str, window: Duration) {
    let base =
        ["_total", "_count", "_sum", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    wanted.counter(name, &format!("{base}_created"), window);
}

// === impl Scraper ===

impl Scraper {
    /// Keeps one loop per target of the inventory until `shutdown`.
    pub async fn run(self, mut inventory: watch::Receiver<Arc<Inventory>>, shutdown: CancellationToken) {
        let (loops, accesses) = (HashMap::new(), HashMap::new());
        let mut fleet = Fleet { loops, accesses, tasks: JoinSet::new(), is_known: false, shutdown };
        let mut plan = self.plan.clone();
        loop {
            let current = inventory.borrow_and_update().clone();
            // A plan is there before the targets that are found by it.
            self.metrics.follow(&plan.borrow_and_update().jobs);
            self.reconcile(&current, &mut fleet);
            while fleet.is_unchanged(&mut inventory, &mut plan).await {}
            if fleet.shutdown.is_cancelled() || inventory.has_changed().is_err() {
                break;
            }
        }
        fleet.loops.values().for_each(|(_, token)| token.cancel());
        while fleet.tasks.join_next().await.is_some() {}
    }

    /// Ends the loops of targets that are gone, starts those of new ones. A target that only changed its
    /// labels keeps its loop, and so its place in the interval.
    fn reconcile(&self, inventory: &Inventory, fleet: &mut Fleet) {
        let current: HashMap<&TargetId, &Arc<Target>> =
            inventory.targets().iter().map(|target| (&target.id, target)).collect();
        fleet.loops.retain(|id, (target, token)| {
            let stays = current.get(id).is_some_and(|now| is_scraped_alike(now, target));
            if !stays {
                token.cancel();
            }
            stays
        });
        self.storage.retain(|id| current.contains_key(id));
        let joined = fleet.is_known.then(|| self.clock.now());
        for (id, target) in current {
            if !fleet.loops.contains_key(id) {
                let token = fleet.shutdown.child_token();
                fleet.loops.insert(id.clone(), (target.clone(), token.clone()));
                let access = fleet.access(target);
                fleet.tasks.spawn(self.new_loop(target.clone(), access, joined).run(token));
            }
        }
        fleet.accesses.retain(|_, access| Arc::strong_count(access) > 1);
        fleet.is_known |= inventory.complete;
        self.metrics.targets.set(fleet.loops.len() as i64);
    }

    fn new_loop(&self, target: Arc<Target>, access: Arc<Access>, joined: Option<Timestamp>) -> Loop {
        Loop {
            access,
            job_metrics: self.metrics.of(&target.job),
            store: self.storage.open(&target.id, joined),
            target,
            plan: self.plan.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

fn is_scraped_alike(one: &Target, other: &Target) -> bool {
    Arc::ptr_eq(&one.scraping, &other.scraping) || one.scraping == other.scraping
}

// === impl Fleet ===

impl Fleet {
    /// The connections and formats for a target, shared with those that are scraped alike.
    fn access(&mut self, target: &Target) -> Arc<Access> {
        let Scraping { client, protocols, .. } = &*target.scraping;
        let access = self.accesses.entry((client.clone(), protocols.clone())).or_insert_with(|| {
            Arc::new(Access { client: Client::new(client.clone()), accept: negotiation::accept(protocols) })
        });
        access.clone()
    }

    /// Waits for something to happen; `true` when it was only a loop that ended, as cancelled ones do.
    async fn is_unchanged(
        &mut self,
        inventory: &mut watch::Receiver<Arc<Inventory>>,
        plan: &mut watch::Receiver<Arc<Plan>>,
    ) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            _ = inventory.changed() => false,
            Ok(()) = plan.changed() => false,
            Some(ended) = self.tasks.join_next() => {
                ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                true
            }
        }
    }
}

// === impl Loop ===

impl Loop {
    async fn run(self, token: CancellationToken) {
        let interval = self.target.scraping.interval;
        let first = Instant::now() + wait(offset(&self.target.id, interval), interval, self.clock.now());
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let span = tracing::debug_span!("scrape", job = %self.target.job, url = %redacted(&self.target.url), otel.status_code = tracing::field::Empty);
            tokio::select! {
                () = token.cancelled() => return,
                () = self.scrape().instrument(span) => {}
            }
        }
    }

    async fn scrape(&self) {
        let plan = self.plan.borrow().clone();
        let time = self.clock.now();
        let started = Instant::now();
        let outcome = self.fetch_and_store(&plan, time, started).await;
        let duration = started.elapsed();
        self.metrics.duration.observe(duration.as_secs_f64());
        match outcome {
            Ok(issues) => {
                self.job_metrics.succeeded();
                issues.into_iter().for_each(|kind| self.metrics.issue(kind));
            }
            Err(failure) => self.fail(failure, time, duration),
        }
    }

    async fn fetch_and_store(
        &self,
        plan: &Arc<Plan>,
        time: Timestamp,
        started: Instant,
    ) -> Result<Vec<IssueKind>, Failure> {
        let page = self.access.client.get(&self.target.url, &self.request(plan)).await?;
        let scrape = Scrape {
            time,
            duration: started.elapsed(),
            freshness: self.target.scraping.freshness,
            body_size_bytes: page.body.len(),
            samples_scraped: 0,
        };
        let was = storage::lock(&self.store).state.health;
        let issues = if page.body.len() <= INLINE_SIZE_MAX {
            store_page(&page, scrape, plan, &self.store)
        } else {
            let (plan, store) = (plan.clone(), self.store.clone());
            let stored = tokio::task::spawn_blocking(move || store_page(&page, scrape, &plan, &store)).await;
            stored.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
        }?;
        if was == Health::Down {
            tracing::info!(job = %self.target.job, url = %redacted(&self.target.url), "scrape succeeds again");
        }
        Ok(issues)
    }

    fn request(&self, plan: &Plan) -> Request {
        let seconds = self.target.scraping.timeout.as_secs_f64().to_string();
        let seconds = seconds.parse().expect("a number is a legal header value");
        Request {
            accept: self.access.accept.clone(),
            headers: [("x-prometheus-scrape-timeout-seconds".parse().expect("a legal name"), seconds)]
                .into_iter()
                .collect(),
            timeout: self.target.scraping.timeout,
            body_size_max: plan.limits.body_size_bytes,
        }
    }

    /// Records a failure; only the first of a row is logged, the counter has them all.
    fn fail(&self, failure: Failure, time: Timestamp, duration: Duration) {
        self.job_metrics.failed(failure.reason);
        tracing::Span::current().record("otel.status_code", "ERROR");
        let mut store = storage::lock(&self.store);
        if store.state.failure.as_ref().map(|before| before.reason) != Some(failure.reason) {
            tracing::warn!(
                job = %self.target.job, url = %redacted(&self.target.url), reason = %failure.reason,
                "scrape fails: {failure}"
            );
        }
        store.fail(failure, time, duration);
    }
}

/// Where in the interval a target is scraped: spread evenly, and the same after a restart.
fn offset(id: &TargetId, interval: Duration) -> Duration {
    let mut hasher = rustc_hash::FxHasher::default();
    id.hash(&mut hasher);
    // The upper bits of this hash are the well-mixed ones.
    interval.mul_f64((hasher.finish() >> 32) as f64 / f64::from(u32::MAX))
}

/// The time until the next moment that lies at `offset` in its interval on the clock.
fn wait(offset: Duration, interval: Duration, now: Timestamp) -> Duration {
    let (interval, offset) = (interval.as_millis().max(1), offset.as_millis());
    let into = u128::from(now.0.unsigned_abs()) % interval;
    Duration::from_millis(((offset + interval - into) % interval) as u64)
}

/// Reads a page outside the lock and commits it within.
fn store_page(
    page: &Page,
    mut scrape: Scrape,
    plan: &Plan,
    store: &Mutex<TargetStore>,
) -> Result<Vec<IssueKind>, Failure> {
    let content = Content::read(page, &plan.wanted, plan.limits.series_per_target)?;
    scrape.samples_scraped = content.samples_scraped;
    storage::lock(store).commit(content.points(), scrape, &plan.wanted, plan.bounds(), decode)
}

/// The labels of a series, bounds of buckets and quantiles in one spelling.
fn decode(series: &str) -> Result<Labels, String> {
    let (name, labels) = exposition::labels(series).map_err(|error| error.to_string())?;
    let label = if name.ends_with("_bucket") { "le" } else { "quantile" };
    match labels.get(label).and_then(canonical_bound) {
        Some(bound) => Ok(Labels::new(labels.iter().map(|(n, v)| (n, if n == label { bound.as_str() } else { v })))),
        None => Ok(labels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    #[test]
    fn a_restarted_loop_keeps_its_place_in_the_interval() {
        let (offset, interval) = (Duration::from_secs(4), Duration::from_secs(15));
        let at = |seconds: i64| wait(offset, interval, Timestamp(seconds * 1000)).as_secs();
        assert_eq!([at(0), at(3), at(4), at(5), at(15), at(34)], [4, 1, 0, 14, 4, 0]);
    }

    #[test]
    fn bounds_are_one_however_a_format_writes_them() {
        let label = |series: &str, label: &str| decode(series).expect("labels").get(label).map(str::to_owned);
        for bound in ["1", "1.0", "1e0", "+1"] {
            assert_eq!(label(&format!("h_bucket{{le=\"{bound}\"}}"), "le").as_deref(), Some("1"));
            assert_eq!(label(&format!("s{{quantile=\"{bound}\"}}"), "quantile").as_deref(), Some("1"));
            assert_eq!(label(&format!("m{{le=\"{bound}\"}}"), "le").as_deref(), Some(bound), "no bucket");
        }
        assert_eq!(label("h_bucket{le=\"Inf\"}", "le").as_deref(), Some("+Inf"));
        assert_eq!(label("h_bucket{le=\"high\"}", "le").as_deref(), Some("high"));
    }

    #[test]
    fn offsets_spread_targets_over_the_whole_interval() {
        let mut buckets = [0_u32; 10];
        for port in 0..10_000 {
            let id = TargetId::new("job", &format!("http://127.0.0.1:{port}/metrics"), &Identity::default());
            let offset = offset(&id, Duration::from_secs(10));
            buckets[(offset.as_secs() as usize).min(9)] += 1;
        }
        assert!(buckets.iter().all(|count| (800..1200).contains(count)), "{buckets:?}");
    }
}
