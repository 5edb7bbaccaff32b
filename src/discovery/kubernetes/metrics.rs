//! Own metrics of the watches.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::index::Kind;
use super::kind;
use super::state::State;
use super::watch::Scope;

/// Counters and states by kind.
#[derive(Clone)]
pub(in crate::discovery) struct Metrics {
    up: Family<ResourceLabel, Gauge>,
    errors: Family<ResourceLabel, Counter>,
    objects: Family<ResourceLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of the watches.
    pub(in crate::discovery) fn register(registry: &mut Registry) -> Self {
        let metrics = Self { up: Family::default(), errors: Family::default(), objects: Family::default() };
        let help = "1 when the objects of a resource are known and followed by watches";
        registry.register("kubernetes_watch_up", help, metrics.up.clone());
        let help = "Lists and watches of the kube-apiserver that failed";
        registry.register("kubernetes_watch_errors", help, metrics.errors.clone());
        let help = "Objects of the cluster that are known; of pods those that run";
        registry.register("kubernetes_objects", help, metrics.objects.clone());
        metrics
    }

    pub(super) fn count_error(&self, kind: Kind) {
        self.errors.get_or_create(&label(kind)).inc();
    }

    /// Sets what there is of each kind that is watched, and forgets the others.
    pub(super) fn set<'w>(
        &self,
        watches: impl Iterator<Item = (&'w Scope, &'w State)>,
        objects: impl Fn(Kind) -> usize,
    ) {
        let mut known: BTreeMap<&str, (Option<bool>, Kind)> = BTreeMap::new();
        for (scope, state) in watches {
            let (up, _) = known.entry(scope.kind.resource()).or_insert((None, scope.kind));
            if !state.is_absent(scope) {
                *up = Some(up.unwrap_or(true) && state.is_up());
            }
        }
        // Never all at once, so that who looks meanwhile misses none.
        for (_, resource) in kind::resources().filter(|(_, resource)| !known.contains_key(resource)) {
            self.up.remove(&ResourceLabel { resource });
            self.objects.remove(&ResourceLabel { resource });
        }
        for (up, kind) in known.into_values() {
            let label = label(kind);
            match up {
                Some(up) => {
                    self.up.get_or_create(&label).set(i64::from(up));
                }
                // There is nothing to follow, which is no fault.
                None => {
                    self.up.remove(&label);
                }
            }
            self.objects.get_or_create(&label).set(objects(kind) as i64);
            drop(self.errors.get_or_create(&label));
        }
    }
}

fn label(kind: Kind) -> ResourceLabel {
    ResourceLabel { resource: kind.resource() }
}
