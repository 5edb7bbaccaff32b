//! What each job has of its targets, counted when it is asked for. In: the inventory and what is known of its targets.
//! Out: own metrics by job. Never here: a job that is not configured.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::{Inventory, Target, Timestamp};
use crate::scrape::Plan;
use crate::storage::{Health, Storage, TargetState};

/// The jobs of the configuration with their targets.
pub struct Sources {
    pub plan: watch::Receiver<Arc<Plan>>,
    pub inventory: watch::Receiver<Arc<Inventory>>,
    pub storage: Storage,
    pub clock: Clock,
}

/// The targets of one job.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// In the order of [`STATES`].
    targets: [u32; STATES.len()],
    /// The earliest of the last successful scrapes of its targets.
    last_success: Option<Timestamp>,
}

/// What a target has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    /// Fresh samples.
    Fresh,
    /// Samples that are fresh still, although the last scrape failed.
    Failing,
    /// No fresh samples.
    Stale,
    /// It was not scraped yet.
    New,
}

const STATES: [Freshness; 4] = [Freshness::Fresh, Freshness::Failing, Freshness::Stale, Freshness::New];

// === impl Sources ===

impl Sources {
    fn tally(&self) -> BTreeMap<Arc<str>, Tally> {
        let mut tallies: BTreeMap<_, _> =
            self.plan.borrow().jobs.iter().map(|job| (job.clone(), Tally::default())).collect();
        let (inventory, now) = (self.inventory.borrow().clone(), self.clock.now());
        for target in inventory.targets() {
            let Some(tally) = tallies.get_mut(&target.job) else { continue };
            match self.storage.read(&target.id, |store| tally.add(target, &store.state, now)) {
                Some(()) => {}
                None => tally.add(target, &TargetState::default(), now),
            }
        }
        tallies
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tallies = self.tally();
        let help = "Targets by what is known of them: fresh samples; fresh ones although the last scrape failed; none \
                    that are fresh; not scraped yet.";
        let mut targets = encoder.encode_descriptor("source_targets", help, None, MetricType::Gauge)?;
        for (job, tally) in &tallies {
            for (state, count) in STATES.iter().zip(tally.targets) {
                let labels = [("scrape_job", &**job), ("state", state.name())];
                ConstGauge::new(i64::from(count)).encode(targets.encode_family(&labels)?)?;
            }
        }
        let help = "When the target that was not scraped for longest last was, since the Unix epoch.";
        let (name, unit) = ("source_last_success_timestamp", Unit::Seconds);
        let mut last = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?;
        for (job, tally) in &tallies {
            let Some(time) = tally.last_success else { continue };
            ConstGauge::new(time.0 as f64 / 1000.0).encode(last.encode_family(&[("scrape_job", &**job)])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.tally()).finish()
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, target: &Target, state: &TargetState, now: Timestamp) {
        let freshness = Freshness::of(target, state, now);
        let counts = STATES.iter().zip(&mut self.targets);
        counts.filter(|(each, _)| **each == freshness).for_each(|(_, count)| *count += 1);
        self.last_success = [self.last_success, state.last_success].into_iter().flatten().min();
    }
}

// === impl Freshness ===

impl Freshness {
    fn of(target: &Target, state: &TargetState, now: Timestamp) -> Self {
        let is_fresh = state.last_success.is_some_and(|last| now.since(last) <= target.scraping.freshness);
        match (is_fresh, state.health) {
            (_, Health::Unknown) => Self::New,
            (false, _) => Self::Stale,
            (true, Health::Down) => Self::Failing,
            (true, Health::Up) => Self::Fresh,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Failing => "failing",
            Self::Stale => "stale",
            Self::New => "new",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    fn freshness(health: Health, last_success: Option<i64>) -> &'static str {
        let target = Target::for_test("http://127.0.0.1:9000/metrics", Identity::default());
        let state =
            TargetState { health, last_success: last_success.map(|s| Timestamp(s * 1000)), ..TargetState::default() };
        Freshness::of(&target, &state, Timestamp(100_000)).name()
    }

    #[test]
    fn a_target_is_told_by_what_it_has_to_give() {
        assert_eq!(freshness(Health::Unknown, None), "new");
        assert_eq!(freshness(Health::Up, Some(60)), "fresh");
        assert_eq!(freshness(Health::Down, Some(60)), "failing");
        assert_eq!(freshness(Health::Down, Some(59)), "stale");
        assert_eq!(freshness(Health::Up, Some(59)), "stale", "a loop that does not come round");
        assert_eq!(freshness(Health::Down, None), "stale");
    }

    #[test]
    fn a_job_is_as_old_as_the_target_that_was_scraped_longest_ago() {
        let target = Target::for_test("http://127.0.0.1:9000/metrics", Identity::default());
        let mut tally = Tally::default();
        for (health, last) in [(Health::Up, Some(90)), (Health::Down, Some(30)), (Health::Unknown, None)] {
            let last_success = last.map(|seconds| Timestamp(seconds * 1000));
            tally.add(&target, &TargetState { health, last_success, ..TargetState::default() }, Timestamp(100_000));
        }
        assert_eq!(tally, Tally { targets: [1, 0, 1, 1], last_success: Some(Timestamp(30_000)) });
    }
}
