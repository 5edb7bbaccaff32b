//! Own metrics of discovery.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::discovery::kubernetes;
use crate::discovery::source::Source;
use crate::model::Inventory;

/// Own metrics of discovery.
#[derive(Clone)]
pub struct Metrics {
    targets: Gauge,
    targets_over_limit: Gauge,
    refreshes: Family<MechanismLabel, Counter>,
    failures: Family<MechanismLabel, Counter>,
    publications: Counter,
    pub(super) kubernetes: kubernetes::Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MechanismLabel {
    mechanism: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let kubernetes = kubernetes::Metrics::register(registry);
        let metrics = Self {
            targets: Gauge::default(),
            targets_over_limit: Gauge::default(),
            refreshes: Family::default(),
            failures: Family::default(),
            publications: Counter::default(),
            kubernetes,
        };
        for mechanism in Source::MECHANISMS {
            drop(metrics.refreshes.get_or_create(&MechanismLabel { mechanism }));
            drop(metrics.failures.get_or_create(&MechanismLabel { mechanism }));
        }
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
        registry.register(
            "discovery_publications",
            "Inventories of targets and objects that were drawn up",
            metrics.publications.clone(),
        );
        metrics
    }

    /// Counts a look of a source that is asked for lists.
    pub(super) fn count(&self, mechanism: &'static str, success: bool) {
        let label = MechanismLabel { mechanism };
        self.refreshes.get_or_create(&label).inc();
        if !success {
            self.failures.get_or_create(&label).inc();
        }
    }

    /// Says what has been published.
    pub(super) fn publish(&self, inventory: &Inventory) {
        self.publications.inc();
        self.targets.set(inventory.targets().len() as i64);
        self.targets_over_limit.set(inventory.targets_over_limit as i64);
    }
}
