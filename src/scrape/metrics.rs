//! Own metrics of the scrape loops. A job has all of its series from when it is configured, and none after.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::storage::{FailureReason, IssueKind};

/// Counters of scrapes, failures beside totals. Clones share the values.
#[derive(Clone)]
pub struct Metrics {
    pub targets: Gauge,
    pub duration: Histogram,
    jobs: Jobs,
    issues: Family<KindLabel, Counter>,
}

/// Counters of one job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobMetrics {
    scrapes: Counter,
    /// In the order of [`FailureReason::ALL`].
    failures: [Counter; FailureReason::ALL.len()],
}

/// Those of the configured jobs by name.
#[derive(Clone, Debug, Default)]
struct Jobs(Arc<Mutex<BTreeMap<Arc<str>, JobMetrics>>>);

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
            jobs: Jobs::default(),
            issues: Family::default(),
        };
        IssueKind::ALL.iter().for_each(|kind| drop(metrics.issues.get_or_create(&KindLabel { kind: kind.name() })));
        registry.register("scrape_targets", "Targets with a scrape loop", metrics.targets.clone());
        registry.register_with_unit(
            "scrape_duration",
            "Time from request to stored page",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_collector(Box::new(metrics.jobs.clone()));
        registry.register("scrape_sample_issues", "Oddities of scraped samples by kind", metrics.issues.clone());
        metrics
    }

    /// From now on there are these jobs. Those that stay keep their counts.
    pub(super) fn follow(&self, jobs: &[Arc<str>]) {
        let mut known = self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|job, _| jobs.contains(job));
        for job in jobs {
            known.entry(job.clone()).or_default();
        }
    }

    /// The counters of a job. One that is not configured any more counts where nobody looks.
    pub(super) fn of(&self, job: &str) -> JobMetrics {
        self.jobs.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned().unwrap_or_default()
    }

    pub(super) fn issue(&self, kind: IssueKind) {
        self.issues.get_or_create(&KindLabel { kind: kind.name() }).inc();
    }
}

// === impl JobMetrics ===

impl JobMetrics {
    pub(super) fn succeeded(&self) {
        self.scrapes.inc();
    }

    pub(super) fn failed(&self, reason: FailureReason) {
        self.scrapes.inc();
        let place = FailureReason::ALL.iter().position(|each| *each == reason).expect("ALL has every reason");
        self.failures[place].inc();
    }
}

// === impl Jobs ===

impl Collector for Jobs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let help = "Scrapes, failed ones included.";
        let mut scrapes = encoder.encode_descriptor("scrapes", help, None, MetricType::Counter)?;
        for (job, counters) in &jobs {
            counters.scrapes.encode(scrapes.encode_family(&[("scrape_job", &**job)])?)?;
        }
        let mut failures =
            encoder.encode_descriptor("scrape_failures", "Failed scrapes by reason.", None, MetricType::Counter)?;
        for (job, counters) in &jobs {
            for (reason, counter) in FailureReason::ALL.iter().zip(&counters.failures) {
                counter.encode(failures.encode_family(&[("scrape_job", &**job), ("reason", reason.name())])?)?;
            }
        }
        Ok(())
    }
}
