//! Static targets, `file_sd`, `http_sd` and the watches of a cluster → the current [`Inventory`] on a watch channel.
//!
//! Every source reports whole lists; a source that fails keeps its last list, also over a reload, and
//! says so in its [`SourceState`]. Readers always see the newest inventory, without a backlog.

mod draft;
mod files;
pub mod kubernetes;
mod metrics;
mod pace;
mod round;
mod slot;
mod source;
mod states;

pub use metrics::Metrics;
pub use states::{SourceState, SourceStates};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::model::Inventory;
use draft::{Draft, Drawn, Part};
use kubernetes::{Change, Kubernetes};
use pace::{Pace, SWARM};
use round::Round;
use slot::{Lists, Report};
use source::blocking;

/// Runs the sources of the current configuration.
pub struct Discovery {
    pub config: watch::Receiver<Arc<Config>>,
    pub publish: watch::Sender<Arc<Inventory>>,
    pub states: SourceStates,
    pub clock: Clock,
    pub metrics: Metrics,
    /// The API of the cluster, where there is one.
    pub cluster: Option<kube::Client>,
}

/// What changes while discovery runs.
struct Work {
    round: Round,
    /// The last lists by the name of their source.
    known: BTreeMap<String, Lists>,
    kubernetes: Option<Kubernetes>,
    pace: Pace,
}

/// What happened next.
enum Event {
    Report(Report),
    Cluster(Change),
    /// The sources of the round have had their time.
    Settled,
    /// It is time to publish.
    Due,
}

// === impl Discovery ===

impl Discovery {
    /// Publishes inventories until `shutdown`. A configuration with other sources starts them anew, each with the list
    /// it had: a source that is down then loses nothing. Watches that are still wanted go on.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut configs = self.config.clone();
        let mut config = configs.borrow_and_update().clone();
        let mut work = self.start(&config);
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                changed = sources_change(&mut configs, &config) => {
                    if changed.is_err() {
                        return;
                    }
                    config = configs.borrow().clone();
                    self.reload(&mut work, &config);
                    continue;
                }
                event = work.next() => event,
            };
            match event {
                Event::Report(report) => self.take(&mut work, report),
                Event::Cluster(change) => self.follow(&mut work, change),
                Event::Settled => work.pace.request(Duration::ZERO, Instant::now()),
                Event::Due => self.publish(&mut work, config.limits.targets).await,
            }
        }
    }

    fn start(&self, config: &Config) -> Work {
        let connect = |client| Kubernetes::new(client, self.clock.clone(), self.metrics.kubernetes.clone());
        let kubernetes = self.cluster.clone().map(connect);
        let mut known = BTreeMap::new();
        let round = Round::start(config, &mut known, &[], kubernetes.is_some());
        let mut work = Work { round, known, kubernetes, pace: Pace::new(Instant::now()) };
        self.begin(&mut work, config);
        work
    }

    /// Starts the sources of a configuration in place of those before.
    fn reload(&self, work: &mut Work, config: &Config) {
        let before = std::mem::take(&mut work.round.slots);
        work.round = Round::start(config, &mut work.known, &before, work.kubernetes.is_some());
        self.begin(work, config);
    }

    fn begin(&self, work: &mut Work, config: &Config) {
        self.states.start(&work.round.slots);
        if let Some(kubernetes) = &mut work.kubernetes {
            kubernetes.follow(&config.jobs);
        }
        self.look_at_watches(work);
    }

    fn take(&self, work: &mut Work, Report { source, finding }: Report) {
        let slot = &mut work.round.slots[source];
        self.metrics.count(slot.source.mechanism(), finding.failure.is_none());
        self.states.record(&slot.name, &finding, self.clock.now());
        slot.take(finding.lists.as_ref());
        if let Some(lists) = finding.lists {
            work.known.insert(slot.name.clone(), lists);
        }
        work.pace.request(Duration::ZERO, Instant::now());
    }

    fn follow(&self, work: &mut Work, change: Change) {
        if change.of_health {
            self.look_at_watches(work);
        }
        if change.of_objects {
            work.pace.request(SWARM, Instant::now());
        }
    }

    /// Notes how the watches stand. A source has reported once all watches that it rests on have answered, and is
    /// complete once they have listed everything.
    fn look_at_watches(&self, work: &mut Work) {
        let Some(kubernetes) = &work.kubernetes else { return };
        for slot in &mut work.round.slots {
            let Some(sd) = slot.source.watched() else { continue };
            let health = kubernetes.health(sd);
            if slot.follow(&health) {
                work.pace.request(Duration::ZERO, Instant::now());
            }
            self.states.watch(&slot.name, health, self.clock.now());
        }
    }

    async fn publish(&self, work: &mut Work, limit: usize) {
        let started = Instant::now();
        let draft = work.draft(limit);
        let (before, now) = (self.publish.borrow().clone(), self.clock.now());
        let drawn = blocking(move || draft.draw(&before, now)).await;
        let inventory = self.note(work, drawn);
        self.metrics.publish(&inventory);
        log_limit(&inventory, &self.publish.borrow(), limit);
        let complete = inventory.complete;
        self.publish.send_replace(Arc::new(inventory));
        if complete {
            self.states.complete();
        }
        let ended = Instant::now();
        work.pace.done(ended - started, ended);
    }

    /// Takes back what was lent, and notes what was found; gives the inventory.
    fn note(&self, work: &mut Work, drawn: Drawn) -> Inventory {
        let Drawn { index, mut inventory, found, repeated, owners } = drawn;
        if let Some(kubernetes) = &mut work.kubernetes {
            kubernetes.index = index;
            kubernetes.note_owners(owners);
        }
        for (number, (targets, omissions)) in found {
            let slot = &mut work.round.slots[number];
            self.states.found(&slot.name, targets.len(), omissions.lines());
            slot.targets = Some(targets);
        }
        self.states.repeat(repeated);
        inventory.complete = work.round.slots.iter().all(|slot| slot.is_complete);
        inventory
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

fn log_limit(now: &Inventory, before: &Inventory, limit: usize) {
    if now.targets_over_limit > 0 && before.targets_over_limit != now.targets_over_limit {
        tracing::error!(
            limit,
            targets_over_limit = now.targets_over_limit,
            "more targets than the limit allows; the ones beyond are not scraped"
        );
    }
}

// === impl Work ===

impl Work {
    /// Waits for the next event. Dropped while it waits, it loses none.
    async fn next(&mut self) -> Event {
        let Self { round, kubernetes, pace, .. } = self;
        let cluster = async {
            match kubernetes {
                Some(kubernetes) => kubernetes.changed().await,
                None => std::future::pending().await,
            }
        };
        let is_waiting = round.is_waiting();
        tokio::select! {
            report = round.next() => report.map_or(Event::Settled, Event::Report),
            change = cluster => Event::Cluster(change),
            () = pace.due(), if !is_waiting => Event::Due,
        }
    }

    /// What the next inventory is drawn up from. Lends the index of the cluster.
    fn draft(&mut self, limit: usize) -> Draft {
        let parts = self.round.slots.iter().map(Part::of).collect();
        let reach = self.kubernetes.as_ref().map(|kubernetes| kubernetes.reach.clone()).unwrap_or_default();
        let index = self.kubernetes.as_mut().map(|kubernetes| std::mem::take(&mut kubernetes.index));
        Draft { index: index.unwrap_or_default(), parts, reach, limit }
    }
}
