//! Own metrics of the scrape loops.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::storage::{FailureReason, IssueKind};

/// Counters of scrapes, failures beside totals.
#[derive(Clone)]
pub struct Metrics {
    pub targets: Gauge,
    pub duration: Histogram,
    scrapes: Counter,
    failures: Family<ReasonLabel, Counter>,
    issues: Family<KindLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            targets: Gauge::default(),
            duration: Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]),
            scrapes: Counter::default(),
            failures: Family::default(),
            issues: Family::default(),
        };
        FailureReason::ALL
            .iter()
            .for_each(|reason| drop(metrics.failures.get_or_create(&ReasonLabel { reason: reason.name() })));
        registry.register("scrape_targets", "Targets with a scrape loop", metrics.targets.clone());
        registry.register_with_unit(
            "scrape_duration",
            "Time from request to stored page",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("scrapes", "Scrapes, failed ones included", metrics.scrapes.clone());
        registry.register("scrape_failures", "Failed scrapes by reason", metrics.failures.clone());
        registry.register("scrape_sample_issues", "Oddities of scraped samples by kind", metrics.issues.clone());
        metrics
    }

    pub(super) fn succeeded(&self) {
        self.scrapes.inc();
    }

    pub(super) fn failed(&self, reason: FailureReason) {
        self.scrapes.inc();
        self.failures.get_or_create(&ReasonLabel { reason: reason.name() }).inc();
    }

    pub(super) fn issue(&self, kind: IssueKind) {
        self.issues.get_or_create(&KindLabel { kind: kind.name() }).inc();
    }
}
