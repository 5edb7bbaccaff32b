//! One metric and its reading → the replicas it asks for, as the replica calculator of the controller does it.
//!
//! Values are milli-units in 64-bit integers, averages are cut toward zero, ratios are `f64`: the same steps in
//! the same types, so that the results agree to the last replica.

use std::collections::{BTreeMap, BTreeSet};

use crate::hpa::{Amount, ConditionStatus, Flags, MetricSpec, Pod, PodPhase, PodSample, Reading, Reason};
use crate::hpa::{ResourceTarget, Scale};
use crate::model::Timestamp;

/// What one valid metric asks for, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The replicas asked for. Negative for a negative value, and `i32::MIN` after an overflow
    /// (see [`Proposal::is_overflow`]).
    pub replicas: i32,
    /// What the HPA shows as current value, in milli-units: the mean per pod, or the value itself for a target
    /// of type Value.
    pub usage: i64,
    /// Percentage of the requests, for a utilization target.
    pub utilization: Option<i32>,
    /// Milli-units, or per cent for a utilization target.
    pub target: i64,
    /// Usage over target before missing and unready pods are filled in.
    pub ratio: f64,
    /// The ratio with missing and unready pods filled in, `None` when none had to be.
    pub adjusted_ratio: Option<f64>,
    /// How the pods were counted, for per-pod metrics.
    pub pods: Option<PodCounts>,
    pub rule: Rule,
}

/// How a per-pod metric counted the pods of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCounts {
    pub ready: usize,
    /// Pending, or not ready in the sense of the rules for the resource `cpu`.
    pub unready: usize,
    /// Running without a value.
    pub missing: usize,
    /// Being deleted, or failed.
    pub ignored: usize,
    /// Values under names that are none of the pods. The HPA counts them in the mean.
    pub foreign: usize,
}

/// The rule that gave the replicas of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The ratio is within tolerance: stay.
    WithinTolerance,
    /// Ratio × this many ready pods, rounded up.
    ReadyPods(usize),
    /// Adjusted ratio × this many values, rounded up.
    Adjusted(usize),
    /// The adjusted ratio is within tolerance: stay.
    AdjustedWithinTolerance,
    /// Filling in moved the ratio to the other side of 1: stay.
    AdjustedChangesDirection,
    /// Ratio and number of values point to different directions: stay.
    AdjustedAgainstDirection,
    /// The whole value over the target per replica, rounded up.
    Total,
    /// At zero replicas: the ratio itself, rounded up, with no tolerance.
    FromZero,
}

/// Why a metric gave no proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Reason of the event and of the condition `ScalingActive`.
    pub reason: Reason,
    pub message: String,
}

/// What all metrics of one reconcile share.
pub(super) struct Calculator<'a> {
    pub(super) flags: &'a Flags,
    pub(super) tolerance: Tolerance,
    pub(super) now: Timestamp,
    pub(super) scale: Scale,
    pub(super) pods: &'a [Pod],
}

/// How far the ratio may be from 1 before anything is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerance {
    pub(super) down: f64,
    pub(super) up: f64,
}

/// What the values of the pods are held against.
enum Gauge<'a> {
    Average { target: i64 },
    Utilization { target: i32, requests: &'a BTreeMap<String, i64> },
}

struct Measure {
    ratio: f64,
    usage: i64,
    utilization: Option<i32>,
}

/// The pods by what their values are good for. The sets are disjoint.
#[derive(Default)]
struct Groups<'a> {
    ready: usize,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
    ignored: BTreeSet<&'a str>,
}

type Samples = BTreeMap<String, PodSample>;

const NO_PODS: &str = "no pods returned by selector while calculating replica count";

// === impl Proposal ===

impl Proposal {
    /// Whether the count did not fit into 32 bits. The controller converts without a check for per-pod metrics and
    /// Object AverageValue, and on amd64 gets the smallest integer: a gigantic value scales to `minReplicas`.
    pub fn is_overflow(&self) -> bool {
        self.replicas == i32::MIN
    }

    /// Whether the metric asks for no change because it is near enough to its target.
    pub fn is_within_tolerance(&self) -> bool {
        matches!(self.rule, Rule::WithinTolerance | Rule::AdjustedWithinTolerance)
    }

    fn of(measure: &Measure, target: i64, replicas: i32, rule: Rule) -> Self {
        Self {
            replicas,
            usage: measure.usage,
            utilization: measure.utilization,
            target,
            ratio: measure.ratio,
            adjusted_ratio: None,
            pods: None,
            rule,
        }
    }
}

// === impl Tolerance ===

impl Tolerance {
    fn contains(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

// === impl Calculator ===

impl Calculator<'_> {
    /// The proposal of one metric from what its API answered; an `Err` reading is the reason why it did not.
    ///
    /// # Errors
    /// [`Failure`] when there is no reading, it is empty or of another type, or no pod has a usable value.
    pub(super) fn propose(&self, metric: &MetricSpec, reading: &Result<Reading, String>) -> Result<Proposal, Failure> {
        let outcome = match reading {
            Err(error) => Err(unable_to_get(metric, error)),
            Ok(reading) => self.read(metric, reading),
        };
        outcome.map_err(|message| Failure { reason: metric.failure_reason(), message })
    }

    fn read(&self, metric: &MetricSpec, reading: &Reading) -> Result<Proposal, String> {
        match (metric, reading) {
            (MetricSpec::Pods { average, .. }, Reading::PerPod { samples, .. }) => {
                self.per_pod(metric, samples, &Gauge::Average { target: *average })
            }
            (MetricSpec::Resource { target, .. }, Reading::PerPod { samples, requests }) => {
                self.per_pod(metric, samples, &Gauge::of(*target, requests))
            }
            (MetricSpec::Object { target, .. }, Reading::Object(value)) => match *target {
                Amount::Value(target) => self.value(*value, target),
                Amount::AverageValue(target) => Ok(self.object_average(*value, target)),
            },
            (MetricSpec::External { .. }, Reading::External(items)) if items.is_empty() => {
                Err(unable_to_get(metric, "no metrics returned from external metrics API"))
            }
            (MetricSpec::External { target, .. }, Reading::External(items)) => match *target {
                Amount::Value(target) => self.value(sum_capped(items), target),
                Amount::AverageValue(target) => Ok(self.external_average(items, target)),
            },
            _ => Err(unable_to_get(metric, "the reading is of another metric type")),
        }
    }

    fn per_pod(&self, metric: &MetricSpec, samples: &Samples, gauge: &Gauge<'_>) -> Result<Proposal, String> {
        if samples.is_empty() {
            return Err(unable_to_get(metric, "no metrics returned from the metrics API"));
        }
        if self.pods.is_empty() {
            return Err(NO_PODS.into());
        }
        let groups = self.group(metric, samples);
        let mut values: BTreeMap<&str, i64> = samples.iter().map(|(pod, s)| (pod.as_str(), s.milli)).collect();
        values.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
        if values.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".into());
        }
        gauge.check_requests(self.pods)?;
        let measure = gauge.measure(&values)?;
        let counts = groups.counts(values.len());
        let mut proposal = self.weigh(&measure, &groups, &mut values, gauge)?;
        proposal.pods = Some(counts);
        Ok(proposal)
    }

    fn weigh<'a>(
        &self,
        measure: &Measure,
        groups: &Groups<'a>,
        values: &mut BTreeMap<&'a str, i64>,
        gauge: &Gauge<'_>,
    ) -> Result<Proposal, String> {
        let current = self.scale.spec_replicas;
        let fill_unready = !groups.unready.is_empty() && measure.ratio > 1.0;
        if groups.missing.is_empty() && !fill_unready {
            let (replicas, rule) = if self.tolerance.contains(measure.ratio) {
                (current, Rule::WithinTolerance)
            } else {
                (ceil_times(measure.ratio, groups.ready), Rule::ReadyPods(groups.ready))
            };
            return Ok(Proposal::of(measure, gauge.target(), replicas, rule));
        }
        groups.fill(values, measure.ratio, gauge);
        let adjusted = gauge.measure(values)?.ratio;
        let (replicas, rule) = self.adjusted(measure.ratio, adjusted, values.len());
        let proposal = Proposal::of(measure, gauge.target(), replicas, rule);
        Ok(Proposal { adjusted_ratio: Some(adjusted), ..proposal })
    }

    fn adjusted(&self, ratio: f64, adjusted: f64, values: usize) -> (i32, Rule) {
        let current = self.scale.spec_replicas;
        if self.tolerance.contains(adjusted) {
            return (current, Rule::AdjustedWithinTolerance);
        }
        if (ratio < 1.0 && adjusted > 1.0) || (ratio > 1.0 && adjusted < 1.0) {
            return (current, Rule::AdjustedChangesDirection);
        }
        let replicas = ceil_times(adjusted, values);
        if (adjusted < 1.0 && replicas > current) || (adjusted > 1.0 && replicas < current) {
            return (current, Rule::AdjustedAgainstDirection);
        }
        (replicas, Rule::Adjusted(values))
    }

    fn group(&self, metric: &MetricSpec, samples: &Samples) -> Groups<'_> {
        let mut groups = Groups::default();
        for pod in self.pods {
            let name = pod.name.as_str();
            if pod.deleted || pod.phase == PodPhase::Failed {
                groups.ignored.insert(name);
            } else if pod.phase == PodPhase::Pending {
                groups.unready.insert(name);
            } else if let Some(sample) = samples.get(name) {
                if metric.is_cpu() && self.is_cpu_unready(pod, sample) {
                    groups.unready.insert(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }

    /// The readiness of a pod matters for the resource `cpu` only: starting up burns processor time.
    fn is_cpu_unready(&self, pod: &Pod, sample: &PodSample) -> bool {
        let (Some(ready), Some(started)) = (pod.ready, pod.started) else {
            return true;
        };
        let not_ready = ready.status == ConditionStatus::False;
        if started.plus(self.flags.cpu_initialization_period) > self.now {
            return not_ready || sample.timestamp < ready.since.plus(sample.window);
        }
        not_ready && started.plus(self.flags.initial_readiness_delay) > ready.since
    }

    /// Object and External with a target of type Value.
    fn value(&self, usage: i64, target: i64) -> Result<Proposal, String> {
        let current = self.scale.spec_replicas;
        let ratio = usage as f64 / target as f64;
        let measure = Measure { ratio, usage, utilization: None };
        if current == 0 {
            return Ok(Proposal::of(&measure, target, to_i32(ratio.ceil()), Rule::FromZero));
        }
        if self.tolerance.contains(ratio) {
            return Ok(Proposal::of(&measure, target, current, Rule::WithinTolerance));
        }
        if self.pods.is_empty() {
            return Err(format!("unable to calculate ready pods: {NO_PODS}"));
        }
        // Unlike for per-pod metrics, pods being deleted count here as long as they are ready.
        let ready = self.pods.iter().filter(|pod| pod.phase == PodPhase::Running && pod.is_ready()).count();
        let replicas = to_i32_capped((ratio * ready as f64).ceil());
        Ok(Proposal::of(&measure, target, replicas, Rule::ReadyPods(ready)))
    }

    fn object_average(&self, total: i64, target: i64) -> Proposal {
        let usage = to_i64((total as f64 / f64::from(self.scale.status_replicas)).ceil());
        self.average(total, usage, target, to_i32)
    }

    fn external_average(&self, items: &[i64], target: i64) -> Proposal {
        let total = sum_non_negative(items);
        let usage = if total as f64 >= i64::MAX as f64 {
            i64::MAX
        } else {
            to_i64((total as f64 / f64::from(self.scale.status_replicas)).ceil())
        };
        self.average(total, usage, target, to_i32_capped)
    }

    /// A target of type AverageValue on a whole value: the pods and their readiness play no part. The ratio is
    /// taken over `status.replicas`; with none it is infinite or NaN, which is outside any tolerance.
    fn average(&self, total: i64, usage: i64, target: i64, convert: fn(f64) -> i32) -> Proposal {
        let replicas = self.scale.status_replicas;
        let ratio = total as f64 / (target as f64 * f64::from(replicas));
        let measure = Measure { ratio, usage, utilization: None };
        if self.tolerance.contains(ratio) {
            return Proposal::of(&measure, target, replicas, Rule::WithinTolerance);
        }
        Proposal::of(&measure, target, convert((total as f64 / target as f64).ceil()), Rule::Total)
    }
}

// === impl Gauge ===

impl<'a> Gauge<'a> {
    fn of(target: ResourceTarget, requests: &'a BTreeMap<String, i64>) -> Self {
        match target {
            ResourceTarget::AverageValue(target) => Self::Average { target },
            ResourceTarget::Utilization(target) => Self::Utilization { target, requests },
        }
    }

    fn target(&self) -> i64 {
        match self {
            Self::Average { target } => *target,
            Self::Utilization { target, .. } => i64::from(*target),
        }
    }

    fn check_requests(&self, pods: &[Pod]) -> Result<(), String> {
        let Self::Utilization { requests, .. } = self else {
            return Ok(());
        };
        match pods.iter().find(|pod| !requests.contains_key(&pod.name)) {
            Some(pod) => Err(format!("missing request for the resource in pod {}", pod.name)),
            None => Ok(()),
        }
    }

    fn measure(&self, values: &BTreeMap<&str, i64>) -> Result<Measure, String> {
        match self {
            Self::Average { target } => {
                let usage = sum(values.values().copied()) / values.len() as i64;
                Ok(Measure { ratio: usage as f64 / *target as f64, usage, utilization: None })
            }
            Self::Utilization { target, requests } => utilization(values, *target, requests),
        }
    }

    /// What a pod without a value counts as when the others ask for fewer replicas.
    fn assumed(&self, pod: &str) -> i64 {
        match self {
            Self::Average { target } => *target,
            Self::Utilization { target, requests } => {
                let request = requests.get(pod).copied().unwrap_or(0);
                request.wrapping_mul(i64::from((*target).max(100))) / 100
            }
        }
    }
}

// === impl Groups ===

impl<'a> Groups<'a> {
    fn counts(&self, values: usize) -> PodCounts {
        PodCounts {
            ready: self.ready,
            unready: self.unready.len(),
            missing: self.missing.len(),
            ignored: self.ignored.len(),
            foreign: values.saturating_sub(self.ready),
        }
    }

    /// Gives pods without a usable value one that holds the change back: the target on the way down, 0 on the
    /// way up. At exactly 1 missing pods stay out.
    fn fill(&self, values: &mut BTreeMap<&'a str, i64>, ratio: f64, gauge: &Gauge<'_>) {
        if ratio < 1.0 {
            values.extend(self.missing.iter().map(|pod| (*pod, gauge.assumed(pod))));
        } else if ratio > 1.0 {
            values.extend(self.missing.iter().chain(&self.unready).map(|pod| (*pod, 0)));
        }
    }
}

fn unable_to_get(metric: &MetricSpec, error: &str) -> String {
    match metric {
        MetricSpec::Pods { metric, .. } | MetricSpec::Object { metric, .. } => {
            format!("unable to get metric {}: {error}", metric.name)
        }
        MetricSpec::External { metric, .. } => format!("unable to get external metric {}: {error}", metric.name),
        MetricSpec::Resource { resource, .. } => format!("unable to get metrics for resource {resource}: {error}"),
    }
}

/// Per cent of the requests; values of pods without a request (foreign names) do not count.
fn utilization(values: &BTreeMap<&str, i64>, target: i32, requests: &BTreeMap<String, i64>) -> Result<Measure, String> {
    let known: Vec<(i64, i64)> =
        values.iter().filter_map(|(pod, value)| requests.get(*pod).map(|request| (*value, *request))).collect();
    let total = sum(known.iter().map(|(value, _)| *value));
    let requested = sum(known.iter().map(|(_, request)| *request));
    if requested == 0 {
        return Err("no metrics returned matched known pods".into());
    }
    // Go cuts the quotient to 32 bits without a check.
    let utilization = total.wrapping_mul(100).wrapping_div(requested) as i32;
    let ratio = f64::from(utilization) / f64::from(target);
    Ok(Measure { ratio, usage: total / known.len() as i64, utilization: Some(utilization) })
}

/// Sums as Go does: past the largest integer it goes on at the smallest.
fn sum(values: impl Iterator<Item = i64>) -> i64 {
    values.fold(0, i64::wrapping_add)
}

/// External with a target of type Value: stops at the largest integer.
fn sum_capped(items: &[i64]) -> i64 {
    let sum = items.iter().try_fold(0i64, |sum, item| {
        if *item > 0 && sum > i64::MAX - *item { None } else { Some(sum.wrapping_add(*item)) }
    });
    sum.unwrap_or(i64::MAX)
}

/// External with a target of type AverageValue: the controller takes a negative sum for an overflow, so that a
/// negative value scales to `maxReplicas`.
fn sum_non_negative(items: &[i64]) -> i64 {
    let sum = items.iter().try_fold(0i64, |sum, item| Some(sum.wrapping_add(*item)).filter(|sum| *sum >= 0));
    sum.unwrap_or(i64::MAX)
}

fn ceil_times(ratio: f64, count: usize) -> i32 {
    to_i32((ratio * count as f64).ceil())
}

/// Go's conversion on amd64: cuts toward zero, and what does not fit becomes the smallest integer.
pub(super) fn to_i32(value: f64) -> i32 {
    let whole = value.trunc();
    if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole) { whole as i32 } else { i32::MIN }
}

/// The conversion where the controller does check the upper end.
fn to_i32_capped(value: f64) -> i32 {
    if value > f64::from(i32::MAX) { i32::MAX } else { to_i32(value) }
}

/// As [`to_i32`], for 64 bits.
fn to_i64(value: f64) -> i64 {
    let whole = value.trunc();
    // 2^63 itself does not fit, and `i64::MAX as f64` is 2^63.
    if whole >= i64::MIN as f64 && whole < i64::MAX as f64 { whole as i64 } else { i64::MIN }
}
