//! The model against results of the real controller.
//!
//! `hpa_calc_vectors.jsonl` comes from the `ReplicaCalculator` and `hpa_behavior_vectors.jsonl` from
//! `reconcileAutoscaler` of kube-controller-manager 1.36.2 with a virtual clock.

mod stories;

use serde::Deserialize;

use crate::hpa::proposal::Tolerance;
use crate::hpa::*;

/// Any time will do; the vectors give ages and seconds since the start.
const START: Timestamp = Timestamp(1_767_323_045_000);

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).expect("vectors hold no negative ages"))
}

fn lines<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = format!("{}/tests/fixtures/hpa/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

// === the replica calculator ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalcVector {
    r#in: CalcInput,
    out: CalcOutput,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CalcInput {
    id: u32,
    kind: String,
    spec_replicas: i32,
    status_replicas: i32,
    target: i64,
    tolerance_down: f64,
    tolerance_up: f64,
    #[serde(default)]
    pods: Vec<VectorPod>,
    #[serde(default)]
    pod_metrics: BTreeMap<String, VectorSample>,
    #[serde(default)]
    object_milli: i64,
    #[serde(default)]
    external_milli: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VectorPod {
    name: String,
    phase: String,
    ready: bool,
    start_ago_s: i64,
    ready_transition_ago_s: i64,
    cpu_request_milli: i64,
    #[serde(default)]
    no_ready_condition: bool,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VectorSample {
    milli: i64,
    ago_s: i64,
    window_s: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CalcOutput {
    replicas: i32,
    usage_milli: i64,
    utilization: Option<i32>,
    error: Option<String>,
}

impl VectorPod {
    fn pod(&self) -> Pod {
        let phase = match self.phase.as_str() {
            "Pending" => PodPhase::Pending,
            "Running" => PodPhase::Running,
            "Succeeded" => PodPhase::Succeeded,
            "Failed" => PodPhase::Failed,
            other => panic!("unexpected phase {other}"),
        };
        let status = if self.ready { ConditionStatus::True } else { ConditionStatus::False };
        let ready = ReadyCondition { status, since: START.minus(seconds(self.ready_transition_ago_s)) };
        Pod {
            name: self.name.clone(),
            phase,
            deleted: self.deleted,
            ready: (!self.no_ready_condition).then_some(ready),
            started: Some(START.minus(seconds(self.start_ago_s))),
        }
    }
}

fn metric_name(name: &str) -> MetricIdentifier {
    MetricIdentifier { name: name.into(), selector: None }
}

fn object(target: Amount) -> MetricSpec {
    MetricSpec::Object { metric: metric_name("o"), kind: "Service".into(), name: "s".into(), target }
}

impl CalcInput {
    fn metric(&self) -> MetricSpec {
        let target = self.target;
        let external = |target| MetricSpec::External { metric: metric_name("e"), target };
        let cpu = |target| MetricSpec::Resource { resource: "cpu".into(), container: None, target };
        match self.kind.as_str() {
            "pods" => MetricSpec::Pods { metric: metric_name("q"), average: target },
            "object_value" => object(Amount::Value(target)),
            "object_average" => object(Amount::AverageValue(target)),
            "external_value" => external(Amount::Value(target)),
            "external_average" => external(Amount::AverageValue(target)),
            "cpu_average" => cpu(ResourceTarget::AverageValue(target)),
            "cpu_utilization" => cpu(ResourceTarget::Utilization(i32::try_from(target).expect("per cent"))),
            other => panic!("unexpected kind {other}"),
        }
    }

    fn reading(&self) -> Reading {
        if self.kind.starts_with("object") {
            return Reading::Object(self.object_milli);
        }
        if self.kind.starts_with("external") {
            return Reading::External(self.external_milli.clone());
        }
        let sample = |s: &VectorSample| PodSample {
            milli: s.milli,
            timestamp: START.minus(seconds(s.ago_s)),
            window: seconds(s.window_s),
        };
        Reading::PerPod {
            samples: self.pod_metrics.iter().map(|(pod, s)| (pod.clone(), sample(s))).collect(),
            requests: self.pods.iter().map(|pod| (pod.name.clone(), pod.cpu_request_milli)).collect(),
        }
    }

    fn propose(&self) -> Result<Proposal, Failure> {
        let pods: Vec<Pod> = self.pods.iter().map(VectorPod::pod).collect();
        let calculator = Calculator {
            flags: &Flags::default(),
            tolerance: Tolerance { down: self.tolerance_down, up: self.tolerance_up },
            now: START,
            scale: Scale { spec_replicas: self.spec_replicas, status_replicas: self.status_replicas },
            pods: &pods,
        };
        calculator.propose(&self.metric(), &Ok(self.reading()))
    }
}

#[test]
fn every_proposal_equals_that_of_the_replica_calculator() {
    let vectors: Vec<CalcVector> = lines("hpa_calc_vectors.jsonl");
    assert!(vectors.len() >= 500, "only {} vectors", vectors.len());
    for CalcVector { r#in: input, out: wanted } in &vectors {
        let (id, kind) = (input.id, &input.kind);
        match (input.propose(), &wanted.error) {
            (Err(_), Some(_)) => {}
            (Ok(got), None) => {
                let got = (got.replicas, got.usage, got.utilization.unwrap_or(0));
                assert_eq!(got, (wanted.replicas, wanted.usage_milli, wanted.utilization.unwrap_or(0)), "{id} {kind}");
            }
            (got, wanted) => panic!("{id} {kind}: got {got:?}, wanted the error {wanted:?}"),
        }
    }
}

// === the whole reconcile ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scenario {
    name: String,
    hpa_spec: k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerSpec,
    downscale_stabilization_s: i64,
    gate_scale_to_zero: bool,
    initial_replicas: i32,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    t: i64,
    /// One letter per pod: R ready, N not ready, P pending, M ready without a value.
    #[serde(default)]
    pods: String,
    #[serde(default)]
    status_replicas: i32,
    set_spec_replicas: Option<i32>,
    #[serde(default)]
    pod_metric_each: BTreeMap<String, i64>,
    #[serde(default)]
    object: BTreeMap<String, i64>,
    #[serde(default)]
    external: BTreeMap<String, Vec<i64>>,
    out: StepOutput,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StepOutput {
    spec_replicas: i32,
    status_desired: i32,
    #[serde(default)]
    conditions: BTreeMap<String, String>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    error: bool,
}

impl Step {
    fn pods(&self) -> Vec<Pod> {
        self.pods.chars().enumerate().map(|(index, letter)| pod(&format!("p{index}"), letter)).collect()
    }

    fn reading(&self, metric: &MetricSpec) -> Result<Reading, String> {
        let reading = match metric {
            MetricSpec::Pods { metric, .. } => self.pod_metric_each.get(&metric.name).map(|milli| self.per_pod(*milli)),
            MetricSpec::Object { metric, .. } => self.object.get(&metric.name).copied().map(Reading::Object),
            MetricSpec::External { metric, .. } => self.external.get(&metric.name).cloned().map(Reading::External),
            MetricSpec::Resource { .. } => None,
        };
        reading.ok_or_else(|| "the vector has no value".to_owned())
    }

    fn per_pod(&self, milli: i64) -> Reading {
        let with_value = self.pods.chars().enumerate().filter(|(_, letter)| *letter != 'M');
        let sample = PodSample { milli, timestamp: START, window: Duration::from_secs(60) };
        let samples = with_value.map(|(index, _)| (format!("p{index}"), sample)).collect();
        Reading::PerPod { samples, requests: BTreeMap::new() }
    }
}

/// A pod as a letter of a scenario describes it.
fn pod(name: &str, letter: char) -> Pod {
    let status = if letter == 'R' || letter == 'M' { ConditionStatus::True } else { ConditionStatus::False };
    Pod {
        name: name.into(),
        phase: if letter == 'P' { PodPhase::Pending } else { PodPhase::Running },
        deleted: false,
        ready: Some(ReadyCondition { status, since: START.minus(Duration::from_secs(3600)) }),
        started: Some(START.minus(Duration::from_secs(3600))),
    }
}

/// A decision in the form of the vectors: failures by their reason, rescales with their message.
fn output(decision: &Decision) -> StepOutput {
    let event = |event: &Event| match event.reason {
        Reason::SuccessfulRescale => event.to_string(),
        reason => reason.to_string(),
    };
    let condition = |c: &Condition| (c.kind.to_string(), format!("{}/{}", c.status, c.reason));
    StepOutput {
        spec_replicas: decision.replicas,
        status_desired: decision.desired,
        conditions: decision.conditions.iter().map(condition).collect(),
        events: decision.events.iter().map(event).collect(),
        error: decision.error.is_some(),
    }
}

fn replay(scenario: &Scenario) -> usize {
    let spec = Spec::try_from(&scenario.hpa_spec).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    let flags = Flags {
        downscale_stabilization: seconds(scenario.downscale_stabilization_s),
        scale_to_zero: scenario.gate_scale_to_zero,
        ..Flags::default()
    };
    let (mut memory, mut replicas) = (Memory::default(), scenario.initial_replicas);
    for step in &scenario.steps {
        replicas = step.set_spec_replicas.unwrap_or(replicas);
        let scale = Scale { spec_replicas: replicas, status_replicas: step.status_replicas };
        let (pods, now) = (step.pods(), START.plus(seconds(step.t)));
        let readings: Vec<_> = spec.metrics.iter().map(|metric| step.reading(metric)).collect();
        let observed = Observed { scale, pods: &pods, readings: &readings };
        let decision = reconcile(&flags, &spec, &mut memory, now, &observed);
        assert_eq!(output(&decision), step.out, "{} at {} s:\n{decision}", scenario.name, step.t);
        replicas = decision.replicas;
    }
    scenario.steps.len()
}

#[test]
fn every_reconcile_equals_that_of_the_controller() {
    let scenarios: Vec<Scenario> = lines("hpa_behavior_vectors.jsonl");
    let steps: usize = scenarios.iter().map(replay).sum();
    assert!(steps >= 2000, "only {steps} reconciles");
}
