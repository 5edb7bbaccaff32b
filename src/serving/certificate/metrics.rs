//! Own metrics of the serving certificate.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::model::Timestamp;
use crate::serving::certificate::Certificate;

/// When what is served ends, and what became of what was offered and written. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    not_after: Time,
    authority_not_after: Time,
    reloads: Family<ResultLabel, Counter>,
    writes: Family<WriteLabels, Counter>,
}

/// A gauge that is not there before there is a time.
type Time = Family<NoLabels, Gauge<f64, AtomicU64>>;
type NoLabels = [(&'static str, &'static str); 0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    resource: &'static str,
    result: &'static str,
}

/// What became of a write to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Somebody else was first; what they wrote is taken.
    Conflict,
    Failed,
}

const TAKEN_UP: &str = "taken_up";
const REFUSED: &str = "refused";
pub(super) const SECRETS: &str = "secrets";
pub(super) const API_SERVICES: &str = "apiservices";

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        metrics.begin();
        registry.register_with_unit(
            "serving_certificate_not_after_timestamp",
            "When the serving certificate in force ends, since the Unix epoch",
            Unit::Seconds,
            metrics.not_after.clone(),
        );
        registry.register_with_unit(
            "serving_certificate_authority_not_after_timestamp",
            "When the authority ends that signs the self-managed serving certificate, since the Unix epoch",
            Unit::Seconds,
            metrics.authority_not_after.clone(),
        );
        registry.register(
            "serving_certificate_reloads",
            "Changed serving certificates, by what became of them",
            metrics.reloads.clone(),
        );
        registry.register(
            "serving_certificate_writes",
            "Changes to the Secret and the APIServices that keep the self-managed serving certificate, by result",
            metrics.writes.clone(),
        );
        metrics
    }

    /// Every series is there from the start.
    fn begin(&self) {
        for result in [TAKEN_UP, REFUSED] {
            drop(self.reloads.get_or_create(&ResultLabel { result }));
        }
        for resource in [SECRETS, API_SERVICES] {
            for result in [Written::Done, Written::Conflict, Written::Failed].map(Written::name) {
                drop(self.writes.get_or_create(&WriteLabels { resource, result }));
            }
        }
    }

    pub(super) fn in_force(&self, certificate: &Certificate) {
        set(&self.not_after, certificate.validity.end);
    }

    pub(super) fn taken_up(&self, certificate: &Certificate) {
        self.in_force(certificate);
        self.reloads.get_or_create(&ResultLabel { result: TAKEN_UP }).inc();
    }

    pub(super) fn refused(&self) {
        self.reloads.get_or_create(&ResultLabel { result: REFUSED }).inc();
    }

    pub(super) fn authority(&self, not_after: Timestamp) {
        set(&self.authority_not_after, not_after);
    }

    pub(super) fn written(&self, resource: &'static str, written: Written) {
        self.writes.get_or_create(&WriteLabels { resource, result: written.name() }).inc();
    }
}

// === impl Written ===

impl Written {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

fn set(time: &Time, at: Timestamp) {
    time.get_or_create(&[]).set(at.0 as f64 / 1000.0);
}
