//! The HorizontalPodAutoscaler algorithm as kube-controller-manager 1.36 runs it.
//!
//! In come the spec of one HPA, what the controller remembers of it, the scale and the pods of its target, and
//! one reading per metric. Out comes a [`Decision`]: the replicas to write and every step that led to them.
//! Nothing here asks an API, reads a clock or writes a scale; the caller writes `Decision::replicas`.
//!
//! Quirks of the controller that change a result are kept, and said where they are: an explanation must say
//! what the cluster will do, not what would be right. Source: `pkg/controller/podautoscaler` in
//! kubernetes/kubernetes (`horizontal.go`, `replica_calculator.go`).

mod behavior;
mod explanation;
mod proposal;
mod spec;
mod status;

#[cfg(test)]
mod tests;

pub use behavior::{Direction, Normalisation, PolicyLimit, RateLimit};
pub use proposal::{Failure, PodCounts, Proposal, Rule};
pub use spec::{Amount, Behavior, MetricIdentifier, MetricSpec, Policy, PolicyAmount, ResourceTarget};
pub use spec::{ScalingRules, SelectPolicy, Spec, SpecError};
pub use status::{Condition, ConditionStatus, ConditionType, Event, Reason, Status};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hpa::behavior::History;
use crate::hpa::proposal::Calculator;
use crate::model::Timestamp;

/// The flags and gates of kube-controller-manager that the algorithm depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Flags {
    /// `--horizontal-pod-autoscaler-tolerance`; a spec may set its own per direction.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub downscale_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`; concerns the resource `cpu` only.
    pub cpu_initialization_period: Duration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`; concerns the resource `cpu` only.
    pub initial_readiness_delay: Duration,
    /// Feature gate `HPAScaleToZero` (KEP-2021), off by default up to 1.36.
    pub scale_to_zero: bool,
}

/// The scale subresource of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`: how many are wanted.
    pub spec_replicas: i32,
    /// `status.replicas`: how many there are.
    pub status_replicas: i32,
}

/// One pod that the selector of the target matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub phase: PodPhase,
    /// Whether `metadata.deletionTimestamp` is set.
    pub deleted: bool,
    /// The condition `Ready`, `None` while the pod has none.
    pub ready: Option<ReadyCondition>,
    /// `status.startTime`.
    pub started: Option<Timestamp>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

/// The condition `Ready` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyCondition {
    pub status: ConditionStatus,
    /// `lastTransitionTime`.
    pub since: Timestamp,
}

/// What a metrics API answered for one metric of the spec. Values are in milli-units, as the HPA reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Metrics of type Pods, Resource and ContainerResource, by pod name.
    PerPod {
        samples: BTreeMap<String, PodSample>,
        /// What each pod requests of the resource; read only for a utilization target. A pod without a
        /// request is left out and makes the metric invalid, as in the controller.
        requests: BTreeMap<String, i64>,
    },
    /// Metrics of type Object.
    Object(i64),
    /// Metrics of type External: the value of each item.
    External(Vec<i64>),
}

/// The value of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSample {
    pub milli: i64,
    /// Time and window matter for the resource `cpu` only; the HPA never refuses an old value.
    pub timestamp: Timestamp,
    pub window: Duration,
}

/// What one reconcile sees of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    pub scale: Scale,
    pub pods: &'a [Pod],
    /// In the order of `Spec::metrics`; an error is the reason why there is no reading. May be empty when
    /// [`needs_metrics`] says that none is read.
    pub readings: &'a [Result<Reading, String>],
}

/// What the controller keeps of one HPA between two reconciles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Stands in the HPA object, so it survives the controller.
    pub status: Status,
    history: History,
}

/// The outcome of one reconcile and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// `spec.replicas` of the scale before.
    pub current: i32,
    /// `spec.replicas` of the scale after; the caller writes it when it differs from `current`.
    pub replicas: i32,
    /// `status.desiredReplicas` of the HPA after; stays as it was when the metrics are invalid.
    pub desired: i32,
    pub verdict: Verdict,
    /// One for each metric of the spec; empty when no metric was read.
    pub metrics: Vec<MetricDecision>,
    /// What stabilisation, policies and the bounds made of the proposal.
    pub normalisation: Option<Normalisation>,
    /// All conditions of the HPA after, also those this reconcile did not touch.
    pub conditions: Vec<Condition>,
    /// In the order they were sent.
    pub events: Vec<Event>,
    /// What the controller logs. Set too when it scaled in spite of an invalid metric.
    pub error: Option<String>,
}

/// How the decision was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target is at zero and the HPA did not bring it there.
    Disabled,
    /// More replicas than `maxReplicas`: no metric is read.
    AboveMax,
    /// Fewer replicas than `minReplicas`: no metric is read.
    BelowMin,
    /// Every metric is invalid, or some are and the others would scale down: nothing is changed.
    Held,
    /// The largest valid proposal, which `metric` made (an index into `Decision::metrics`).
    Computed { metric: usize, proposed: i32 },
}

/// What one metric contributed.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDecision {
    /// As events name it, for example `pods metric queue_length`.
    pub name: String,
    pub outcome: Result<Proposal, Failure>,
}

/// One reconcile while it goes on.
struct Round<'a> {
    flags: &'a Flags,
    spec: &'a Spec,
    now: Timestamp,
    memory: &'a mut Memory,
    decision: Decision,
}

/// Runs one reconcile at `now` and updates `memory`, taking for granted that the scale can be read and written.
///
/// Not modelled, because they need the API: a selector that is empty or shared with another HPA, and failed
/// reads or writes of the scale. `now` must not go backwards from call to call.
pub fn reconcile(flags: &Flags, spec: &Spec, memory: &mut Memory, now: Timestamp, observed: &Observed<'_>) -> Decision {
    let current = observed.scale.spec_replicas;
    let verdict = verdict_without_metrics(flags, spec, &memory.status, current);
    let decision = Decision::holding(current, verdict.clone().unwrap_or(Verdict::Held));
    let mut round = Round { flags, spec, now, memory, decision };
    round.observe_scale();
    match verdict {
        Some(Verdict::Disabled) => round.disable(),
        Some(Verdict::AboveMax) => {
            round.rescale(spec.max_replicas, "Current number of replicas above Spec.MaxReplicas");
        }
        Some(_) => round.rescale(spec.min_replicas, "Current number of replicas below Spec.MinReplicas"),
        None => round.compute(observed),
    }
    round.finish()
}

/// Whether the next reconcile reads metrics: it does not for a disabled target or one outside its bounds.
pub fn needs_metrics(flags: &Flags, spec: &Spec, memory: &Memory, scale: Scale) -> bool {
    verdict_without_metrics(flags, spec, &memory.status, scale.spec_replicas).is_none()
}

fn verdict_without_metrics(flags: &Flags, spec: &Spec, status: &Status, current: i32) -> Option<Verdict> {
    if current == 0 {
        let scaled_to_zero = flags.scale_to_zero && status.is_true(ConditionType::ScaledToZero);
        let wakes = scaled_to_zero && (spec.min_replicas != 0 || spec.has_object_or_external());
        return (!wakes).then_some(Verdict::Disabled);
    }
    if current > spec.max_replicas {
        return Some(Verdict::AboveMax);
    }
    (current < spec.min_replicas).then_some(Verdict::BelowMin)
}

// === impl Flags ===

/// The defaults of kube-controller-manager 1.36.
impl Default for Flags {
    fn default() -> Self {
        Self {
            tolerance: 0.1,
            downscale_stabilization: Duration::from_secs(300),
            cpu_initialization_period: Duration::from_secs(300),
            initial_readiness_delay: Duration::from_secs(30),
            scale_to_zero: false,
        }
    }
}

// === impl Pod ===

impl Pod {
    /// Whether the condition `Ready` is True.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }
}

// === impl Memory ===

impl Memory {
    /// The memory after a restart of the controller: the status stays, recommendations and scale events are
    /// lost, and the next reconcile records the current replicas as its first recommendation.
    #[must_use]
    pub fn after_restart(self) -> Self {
        Self { status: self.status, history: History::default() }
    }
}

// === impl Decision ===

impl Decision {
    fn holding(current: i32, verdict: Verdict) -> Self {
        Self {
            current,
            replicas: current,
            desired: current,
            verdict,
            metrics: Vec::new(),
            normalisation: None,
            conditions: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }

    /// Whether the scale is to be written.
    pub fn is_rescale(&self) -> bool {
        self.replicas != self.current
    }
}

// === impl Round ===

impl Round<'_> {
    fn observe_scale(&mut self) {
        self.memory.history.begin(self.decision.current, self.now);
        let message = "the HPA controller was able to get the target's current scale";
        self.condition(ConditionType::AbleToScale, true, Reason::SucceededGetScale, message);
    }

    fn disable(&mut self) {
        let message = "scaling is disabled since the replica count of the target is zero";
        self.condition(ConditionType::ScalingActive, false, Reason::ScalingDisabled, message);
    }

    fn compute(&mut self, observed: &Observed<'_>) {
        self.evaluate(observed);
        let best = self.best();
        let failures: Vec<&Failure> = self.decision.metrics.iter().filter_map(|m| m.outcome.as_ref().err()).collect();
        let invalid = invalid_metrics(&failures, self.decision.metrics.len());
        let first = failures.first().map(|failure| (*failure).clone());
        self.decision.error.clone_from(&invalid);
        let best_replicas = best.map_or(0, |(_, replicas)| replicas);
        match (best, first) {
            (Some((metric, proposed)), None) => self.follow(metric, proposed),
            (Some((metric, proposed)), Some(_)) if best_replicas >= self.decision.current => {
                self.follow(metric, proposed);
            }
            (_, first) => self.hold(first, invalid.unwrap_or_else(|| "the spec has no metric".into())),
        }
    }

    /// Asks every metric for its proposal; each failure is an event of its own.
    fn evaluate(&mut self, observed: &Observed<'_>) {
        let calculator = Calculator {
            flags: self.flags,
            tolerance: self.spec.tolerance(self.flags),
            now: self.now,
            scale: observed.scale,
            pods: observed.pods,
        };
        let none = Err("no reading was given for this metric".to_owned());
        for (index, metric) in self.spec.metrics.iter().enumerate() {
            let outcome = calculator.propose(metric, observed.readings.get(index).unwrap_or(&none));
            if let Err(failure) = &outcome {
                self.event(failure.reason, failure.message.clone());
            }
            self.decision.metrics.push(MetricDecision { name: metric.to_string(), outcome });
        }
    }

    /// The largest valid proposal. As in the controller a 0 gives way to whatever comes next, a negative
    /// proposal too; this shows only in which metric is named.
    fn best(&self) -> Option<(usize, i32)> {
        let mut best: Option<(usize, i32)> = None;
        for (index, metric) in self.decision.metrics.iter().enumerate() {
            let Ok(proposal) = &metric.outcome else { continue };
            if best.is_none_or(|(_, replicas)| replicas == 0 || proposal.replicas > replicas) {
                best = Some((index, proposal.replicas));
            }
        }
        best
    }

    fn hold(&mut self, first: Option<Failure>, error: String) {
        if let Some(failure) = first {
            let message = format!("the HPA was unable to compute the replica count: {}", failure.message);
            self.condition(ConditionType::ScalingActive, false, failure.reason, &message);
        }
        self.event(Reason::FailedComputeMetricsReplicas, error.clone());
        self.decision.error = Some(error);
        self.decision.verdict = Verdict::Held;
        self.decision.desired = self.memory.status.desired_replicas;
    }

    fn follow(&mut self, metric: usize, proposed: i32) {
        let name = self.decision.metrics[metric].name.clone();
        let message = format!("the HPA was able to successfully calculate a replica count from {name}");
        self.condition(ConditionType::ScalingActive, true, Reason::ValidMetricFound, &message);
        self.decision.verdict = Verdict::Computed { metric, proposed };
        let (current, proposed) = (self.decision.current, proposed.max(0));
        // Compared before stabilisation; a scale that only stabilisation asks for has an empty reason.
        let reason = match proposed.cmp(&current) {
            std::cmp::Ordering::Greater => format!("{name} above target"),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal => String::new(),
        };
        let replicas = self.normalise(proposed);
        if replicas != current {
            self.rescale(replicas, &reason);
        }
    }

    fn normalise(&mut self, proposed: i32) -> i32 {
        let current = self.decision.current;
        let history = &mut self.memory.history;
        let normalisation = history.normalise(self.flags, self.spec, self.now, current, proposed);
        let (reason, message) = normalisation.stabilization();
        self.condition(ConditionType::AbleToScale, true, reason, message);
        let (reason, message) = (normalisation.limit, normalisation.limit.message());
        self.condition(ConditionType::ScalingLimited, normalisation.is_limited(), reason, message);
        let mut replicas = normalisation.replicas;
        // A target that was scaled to zero wakes to at least minReplicas, whatever the policies say.
        if current == 0 {
            replicas = replicas.max(self.spec.min_replicas);
        }
        self.decision.normalisation = Some(normalisation);
        replicas
    }

    fn rescale(&mut self, replicas: i32, reason: &str) {
        let current = self.decision.current;
        let message = format!("the HPA controller was able to update the target scale to {replicas}");
        self.condition(ConditionType::AbleToScale, true, Reason::SucceededRescale, &message);
        self.event(Reason::SuccessfulRescale, format!("New size: {replicas}; reason: {reason}"));
        if let Some(behavior) = &self.spec.behavior {
            self.memory.history.record_scale(behavior, self.now, current, replicas);
        }
        if self.flags.scale_to_zero {
            self.mark_zero(replicas == 0 && self.spec.min_replicas == 0 && self.spec.has_object_or_external());
        }
        self.memory.status.last_scale_time = Some(self.now);
        self.decision.replicas = replicas;
        self.decision.desired = replicas;
    }

    fn mark_zero(&mut self, to_zero: bool) {
        let (reason, message) = if to_zero {
            (Reason::ScaledToZero, "the HPA controller scaled the workload to zero")
        } else {
            (Reason::NotScaledToZero, "the HPA controller did not scale the workload to zero")
        };
        self.condition(ConditionType::ScaledToZero, to_zero, reason, message);
    }

    fn condition(&mut self, kind: ConditionType, status: bool, reason: Reason, message: &str) {
        self.memory.status.set(kind, status, reason, message, self.now);
    }

    fn event(&mut self, reason: Reason, message: String) {
        self.decision.events.push(Event { reason, message });
    }

    fn finish(mut self) -> Decision {
        self.memory.status.desired_replicas = self.decision.desired;
        self.decision.conditions.clone_from(&self.memory.status.conditions);
        self.decision
    }
}

fn invalid_metrics(failures: &[&Failure], total: usize) -> Option<String> {
    let first = failures.first()?;
    Some(format!("invalid metrics ({} invalid out of {total}), first error is: {}", failures.len(), first.message))
}
