//! Own metrics of the API.

use std::time::Instant;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};

/// Requests by group, verb and code, and how long they take.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<Asked, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    group: &'static str,
    verb: &'static str,
    code: u16,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    group: &'static str,
    verb: &'static str,
}

/// One request under way.
pub(super) struct Timing<'a> {
    metrics: &'a Metrics,
    asked: Asked,
    started: Instant,
}

/// Whatever is of neither group: discovery, OpenAPI, what is not found.
const OTHER: &str = "other";

/// One object, or a document.
const GET: &str = "get";
/// Selected objects, or the items of an external metric.
const LIST: &str = "list";

/// These are there from the start, so that the first failure is an increase too.
const CODES: [u16; 3] = [200, 404, 500];

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        // From a value of one pod (tens of µs) to a list of thousands (ms), and what should not be.
        let buckets =
            || Histogram::new([0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0]);
        let metrics = Self { requests: Family::default(), duration: Family::new_with_constructor(buckets) };
        metrics.begin();
        registry.register("api_requests", "Requests by API group, verb and status code", metrics.requests.clone());
        registry.register_with_unit(
            "api_request_duration",
            "Time to answer a request",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    fn begin(&self) {
        let of = |group| [(group, GET), (group, LIST)];
        for (group, verb) in of(CUSTOM_GROUP).into_iter().chain(of(EXTERNAL_GROUP)).chain([(OTHER, GET)]) {
            drop(self.duration.get_or_create(&Asked { group, verb }));
            CODES.iter().for_each(|&code| drop(self.requests.get_or_create(&RequestLabels { group, verb, code })));
        }
    }

    pub(super) fn start(&self, path: &str) -> Timing<'_> {
        Timing { metrics: self, asked: Asked::of(path), started: Instant::now() }
    }
}

// === impl Asked ===

impl Asked {
    fn of(path: &str) -> Self {
        let mut segments = path.strip_prefix("/apis/").unwrap_or_default().split('/').filter(|part| !part.is_empty());
        let first = segments.next().unwrap_or_default();
        let group = [CUSTOM_GROUP, EXTERNAL_GROUP].into_iter().find(|group| *group == first).unwrap_or(OTHER);
        // After the version.
        let rest: Vec<&str> = segments.skip(1).collect();
        let is_star = |name: &str| name == "*" || name.eq_ignore_ascii_case("%2a");
        let is_list = match (group, &rest[..]) {
            (CUSTOM_GROUP, [.., name, _metric]) => is_star(name),
            (EXTERNAL_GROUP, ["namespaces", _, _metric]) => true,
            _ => false,
        };
        Self { group, verb: if is_list { LIST } else { GET } }
    }
}

// === impl Timing ===

impl Timing<'_> {
    pub(super) fn finish(self, code: StatusCode) {
        let Self { metrics, asked: Asked { group, verb }, started } = self;
        metrics.requests.get_or_create(&RequestLabels { group, verb, code: code.as_u16() }).inc();
        metrics.duration.get_or_create(&Asked { group, verb }).observe(started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_objects_and_external_items_are_lists() {
        let check = |path, group, verb| assert_eq!(Asked::of(path), Asked { group, verb }, "{path}");
        check("/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods/*/queue_length", CUSTOM_GROUP, LIST);
        check("/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods/%2A/queue_length", CUSTOM_GROUP, LIST);
        check("/apis/custom.metrics.k8s.io/v1beta1/namespaces/a/services/web/queue_length", CUSTOM_GROUP, GET);
        check("/apis/custom.metrics.k8s.io/v1beta1/namespaces/a/metrics/queue_length", CUSTOM_GROUP, GET);
        check("/apis/external.metrics.k8s.io/v1beta1/namespaces/a/queue_length", EXTERNAL_GROUP, LIST);
        check("/apis/external.metrics.k8s.io/v1beta1", EXTERNAL_GROUP, GET);
        check("/apis/custom.metrics.k8s.io", CUSTOM_GROUP, GET);
        check("/apis/custom.metrics.k8s.iox/v1", OTHER, GET);
        check("/openapi/v3", OTHER, GET);
    }
}
