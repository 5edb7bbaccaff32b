//! Own metrics of reviews.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::serving::review::Failure;

/// Reviews by resource and result, how long they take, and how many were not needed.
#[derive(Clone)]
pub struct Metrics {
    reviews: Family<ResultLabels, Counter>,
    retries: Family<ResourceLabel, Counter>,
    duration: Family<ResourceLabel, Histogram, fn() -> Histogram>,
    cache: Family<ResultLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    resource: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

/// Looks at what earlier reviews of a resource have found. They are counted for each request, so where is known already.
#[derive(Clone)]
pub(super) struct Looks {
    hits: Counter,
    misses: Counter,
}

/// One review under way.
pub(super) struct Timing<'a> {
    metrics: &'a Metrics,
    resource: &'static str,
    started: Instant,
}

pub(in crate::serving) const TOKEN_REVIEWS: &str = "tokenreviews";
pub(in crate::serving) const SUBJECT_ACCESS_REVIEWS: &str = "subjectaccessreviews";

const ANSWERED: &str = "answered";
const HIT: &str = "hit";
const MISS: &str = "miss";

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        // From a kube-apiserver next door (ms) to one that is tried again until the time is up (15 s).
        let buckets = || Histogram::new([0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0]);
        let metrics = Self {
            reviews: Family::default(),
            retries: Family::default(),
            duration: Family::new_with_constructor(buckets),
            cache: Family::default(),
        };
        metrics.begin();
        let (reviews, retries) = (metrics.reviews.clone(), metrics.retries.clone());
        registry.register(
            "reviews",
            "Reviews asked of the kube-apiserver, by resource and what became of them",
            reviews,
        );
        registry.register("review_retries", "Reviews that were asked for once more, by resource", retries);
        registry.register_with_unit(
            "review_duration",
            "Time until a review was answered or given up, with all tries",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "review_cache_requests",
            "Looks at what earlier reviews have found, by resource and whether it was there",
            metrics.cache.clone(),
        );
        metrics
    }

    /// Every series is there from the start.
    fn begin(&self) {
        for resource in [TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS] {
            for result in Failure::ALL.map(Failure::name).into_iter().chain([ANSWERED]) {
                drop(self.reviews.get_or_create(&ResultLabels { resource, result }));
            }
            for result in [HIT, MISS] {
                drop(self.cache.get_or_create(&ResultLabels { resource, result }));
            }
            drop(self.retries.get_or_create(&ResourceLabel { resource }));
            drop(self.duration.get_or_create(&ResourceLabel { resource }));
        }
    }

    pub(super) fn start(&self, resource: &'static str) -> Timing<'_> {
        Timing { metrics: self, resource, started: Instant::now() }
    }

    pub(super) fn retry(&self, resource: &'static str) {
        self.retries.get_or_create(&ResourceLabel { resource }).inc();
    }

    pub(super) fn looks(&self, resource: &'static str) -> Looks {
        let counter = |result| self.cache.get_or_create_owned(&ResultLabels { resource, result });
        Looks { hits: counter(HIT), misses: counter(MISS) }
    }
}

// === impl Looks ===

impl Looks {
    pub(super) fn note(&self, is_hit: bool) {
        if is_hit { &self.hits } else { &self.misses }.inc();
    }
}

// === impl Timing ===

impl Timing<'_> {
    pub(super) fn finish(self, failure: Option<&Failure>) {
        let Self { metrics, resource, started } = self;
        let result = failure.map_or(ANSWERED, |failure| failure.name());
        metrics.reviews.get_or_create(&ResultLabels { resource, result }).inc();
        metrics.duration.get_or_create(&ResourceLabel { resource }).observe(started.elapsed().as_secs_f64());
    }
}
