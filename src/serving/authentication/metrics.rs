//! Own metrics of authentication.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::model::Timestamp;
use crate::serving::authentication::{Method, Refusal};

/// Requests by what was found of them, and how old that is by which they are judged.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<ResultLabel, Counter>,
    updated: Time,
    confirmed: Time,
}

/// A gauge that is not there before there is a time.
type Time = Family<NoLabels, Gauge<f64, AtomicU64>>;
type NoLabels = [(&'static str, &'static str); 0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { requests: Family::default(), updated: Family::default(), confirmed: Family::default() };
        for result in Refusal::ALL.map(Refusal::name).into_iter().chain(Method::ALL.map(Method::name)) {
            drop(metrics.requests.get_or_create(&ResultLabel { result }));
        }
        registry.register(
            "authentication_requests",
            "Requests by how their user was found, or why not",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "authentication_trust_last_update_timestamp",
            "When the requestheader CA or the client CA in force was taken up, since the Unix epoch",
            Unit::Seconds,
            metrics.updated.clone(),
        );
        registry.register_with_unit(
            "authentication_trust_last_confirmation_timestamp",
            "When the cluster last showed both CAs in force, since the Unix epoch",
            Unit::Seconds,
            metrics.confirmed.clone(),
        );
        metrics
    }

    pub(super) fn request(&self, result: Result<Method, Refusal>) {
        let result = result.map_or_else(Refusal::name, Method::name);
        self.requests.get_or_create(&ResultLabel { result }).inc();
    }

    pub(super) fn updated(&self, now: Timestamp) {
        set(&self.updated, now);
    }

    pub(super) fn confirmed(&self, now: Timestamp) {
        set(&self.confirmed, now);
    }
}

fn set(time: &Time, now: Timestamp) {
    time.get_or_create(&[]).set(now.0 as f64 / 1000.0);
}
