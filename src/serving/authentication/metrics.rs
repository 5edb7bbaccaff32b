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
    /// Of these by [`Method`]: they are counted for each request, so where is known already.
    known: [Counter; Method::ALL.len()],
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
        let requests = Family::<ResultLabel, Counter>::default();
        let counter = |result| requests.get_or_create_owned(&ResultLabel { result });
        let known = Method::ALL.map(Method::name).map(counter);
        drop(Refusal::ALL.map(Refusal::name).map(counter));
        let metrics = Self { requests, known, updated: Family::default(), confirmed: Family::default() };
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
        match result {
            Ok(method) => self.known[method as usize].inc(),
            Err(refusal) => self.requests.get_or_create(&ResultLabel { result: refusal.name() }).inc(),
        };
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
