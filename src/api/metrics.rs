//! Own metrics of the API.

use std::time::Instant;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};

/// Requests by group and code, and how long they take.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<GroupLabel, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    group: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: &'static str,
}

/// One request under way.
pub(super) struct Timing<'a> {
    metrics: &'a Metrics,
    group: &'static str,
    started: Instant,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        // From a value of one pod (tens of µs) to a list of thousands (ms), and what should not be.
        let buckets = || Histogram::new([0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0]);
        let metrics = Self { requests: Family::default(), duration: Family::new_with_constructor(buckets) };
        registry.register("api_requests", "Requests by API group and status code", metrics.requests.clone());
        registry.register_with_unit(
            "api_request_duration",
            "Time to answer a request",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    pub(super) fn start(&self, path: &str) -> Timing<'_> {
        let groups = [CUSTOM_GROUP, EXTERNAL_GROUP];
        let of_group = |group: &&str| path.strip_prefix("/apis/").is_some_and(|rest| rest.starts_with(*group));
        Timing { metrics: self, group: groups.into_iter().find(of_group).unwrap_or(""), started: Instant::now() }
    }
}

// === impl Timing ===

impl Timing<'_> {
    pub(super) fn finish(self, code: StatusCode) {
        let Self { metrics, group, started } = self;
        metrics.requests.get_or_create(&RequestLabels { group, code: code.as_u16() }).inc();
        metrics.duration.get_or_create(&GroupLabel { group }).observe(started.elapsed().as_secs_f64());
    }
}
