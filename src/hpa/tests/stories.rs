//! What the vectors do not tell: zero and back, restarts, partial failures, explanations.

use crate::hpa::proposal::Tolerance;
use crate::hpa::tests::{START, metric_name, object, pod, seconds};
use crate::hpa::*;

/// One HPA on the external metric `e` with an AverageValue of 10, reconciled every 15 s.
struct Story {
    flags: Flags,
    spec: Spec,
    memory: Memory,
    now: Timestamp,
    replicas: i32,
}

impl Story {
    fn new(min_replicas: i32, replicas: i32) -> Self {
        let target = Amount::AverageValue(10_000);
        let metrics = vec![MetricSpec::External { metric: metric_name("e"), target }];
        let spec = Spec { min_replicas, max_replicas: 10, metrics, behavior: None };
        // Seen before, so that the first reconcile of a story is not the first of the controller.
        let mut memory = Memory::default();
        memory.history.begin(replicas, START);
        Self { flags: Flags::default(), spec, memory, now: START, replicas }
    }

    fn with_zero_gate(mut self) -> Self {
        self.flags = Flags { scale_to_zero: true, downscale_stabilization: Duration::ZERO, ..self.flags };
        self
    }

    fn behaving(mut self, behavior: serde_json::Value) -> Self {
        let behavior: k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior =
            serde_json::from_value(behavior).expect("a behavior");
        self.spec.behavior = Some(Behavior::try_from(&behavior).expect("a valid behavior"));
        self
    }

    /// Reconciles with one ready pod per replica and writes the scale.
    fn reconcile(&mut self, readings: &[Result<Reading, String>]) -> Decision {
        let pods: Vec<Pod> = (0..self.replicas).map(|index| pod(&format!("p{index}"), 'R')).collect();
        let scale = Scale { spec_replicas: self.replicas, status_replicas: self.replicas };
        let observed = Observed { scale, pods: &pods, readings };
        self.now = self.now.plus(Duration::from_secs(15));
        let decision = reconcile(&self.flags, &self.spec, &mut self.memory, self.now, &observed);
        self.replicas = decision.replicas;
        decision
    }

    fn value(&mut self, milli: i64) -> Decision {
        self.reconcile(&[Ok(Reading::External(vec![milli]))])
    }

    fn reason(&self, kind: ConditionType) -> Option<Reason> {
        self.memory.status.condition(kind).map(|condition| condition.reason)
    }
}

#[test]
fn with_the_gate_an_idle_target_goes_to_zero_and_wakes() {
    let mut story = Story::new(0, 2).with_zero_gate();
    assert_eq!(story.value(0).replicas, 0);
    assert!(story.memory.status.is_true(ConditionType::ScaledToZero));
    let asleep = story.value(0);
    assert_eq!((asleep.replicas, asleep.error), (0, None));
    assert!(story.memory.status.is_true(ConditionType::ScaledToZero), "stays until the next rescale");
    // 0.1 % over a multiple of the target: no tolerance at zero.
    assert_eq!(story.value(20_010).replicas, 3);
    assert_eq!(story.reason(ConditionType::ScaledToZero), Some(Reason::NotScaledToZero));
}

#[test]
fn a_target_that_someone_else_stopped_stays_at_zero() {
    for mut story in [Story::new(0, 0).with_zero_gate(), Story::new(1, 0).with_zero_gate(), Story::new(1, 0)] {
        let scale = Scale { spec_replicas: 0, status_replicas: 0 };
        assert!(!needs_metrics(&story.flags, &story.spec, &story.memory, scale));
        let decision = story.value(90_000);
        assert_eq!((decision.replicas, decision.verdict), (0, Verdict::Disabled));
        assert_eq!(story.reason(ConditionType::ScalingActive), Some(Reason::ScalingDisabled));
    }
}

#[test]
fn without_the_gate_a_target_that_went_to_zero_stays_there() {
    let mut story = Story::new(0, 1).with_zero_gate();
    assert_eq!(story.value(0).replicas, 0);
    story.flags.scale_to_zero = false;
    assert_eq!(story.value(90_000).verdict, Verdict::Disabled);
}

#[test]
fn a_minimum_raised_at_zero_wakes_the_target() {
    for behavior in [None, Some(serde_json::json!({"scaleDown": {"stabilizationWindowSeconds": 0}}))] {
        let mut story = Story::new(0, 1).with_zero_gate();
        if let Some(behavior) = behavior {
            story = story.behaving(behavior);
        }
        assert_eq!(story.value(0).replicas, 0);
        story.spec.min_replicas = 2;
        assert_eq!(story.value(0).replicas, 2);
    }
}

#[test]
fn a_restart_of_the_controller_blocks_scaling_down_for_one_window() {
    let mut story = Story::new(1, 5);
    for _ in 0..20 {
        assert_eq!(story.value(10_000).replicas, 5);
    }
    story.memory = std::mem::take(&mut story.memory).after_restart();
    for _ in 0..20 {
        assert_eq!(story.value(10_000).replicas, 5);
    }
    assert_eq!(story.value(10_000).replicas, 5, "the edge of the window still counts");
    assert_eq!(story.value(10_000).replicas, 1);
}

#[test]
fn a_failing_metric_blocks_scaling_down_but_not_up() {
    let mut story = Story::new(1, 3);
    story.spec.metrics.push(object(Amount::Value(10_000)));
    let broken = Err("the server could not find the metric o for services s".to_owned());
    let down = story.reconcile(&[Ok(Reading::External(vec![10_000])), broken.clone()]);
    assert_eq!((down.replicas, &down.verdict), (3, &Verdict::Held));
    assert_eq!(story.reason(ConditionType::ScalingActive), Some(Reason::FailedGetObjectMetric));
    let up = story.reconcile(&[Ok(Reading::External(vec![50_000])), broken]);
    assert_eq!((up.replicas, &up.verdict), (5, &Verdict::Computed { metric: 0, proposed: 5 }));
    assert!(up.error.is_some_and(|error| error.starts_with("invalid metrics (1 invalid out of 2)")));
}

#[test]
fn a_reading_that_is_absent_or_of_another_type_is_a_failure() {
    let mut story = Story::new(1, 3);
    for readings in [vec![], vec![Ok(Reading::Object(1))], vec![Ok(Reading::External(vec![]))]] {
        let decision = story.reconcile(&readings);
        assert_eq!((decision.replicas, decision.verdict), (3, Verdict::Held), "{readings:?}");
    }
}

#[test]
fn a_gigantic_value_per_pod_overflows_to_the_minimum() {
    let mut story = Story::new(2, 3);
    story.flags.downscale_stabilization = Duration::ZERO;
    story.spec.metrics = vec![MetricSpec::Pods { metric: metric_name("q"), average: 1000 }];
    let sample = PodSample { milli: 3_000_000_000_000, timestamp: START, window: Duration::ZERO };
    let samples = (0..3).map(|index| (format!("p{index}"), sample)).collect();
    let decision = story.reconcile(&[Ok(Reading::PerPod { samples, requests: BTreeMap::new() })]);
    assert_eq!(decision.replicas, 2);
    assert!(decision.metrics[0].outcome.as_ref().is_ok_and(Proposal::is_overflow));
}

#[test]
fn a_decision_explains_itself() {
    let mut story = Story::new(1, 3).behaving(serde_json::json!({}));
    let up = "\
3 -> 7 replicas: external metric e(nil) proposes 9
  external metric e(nil): usage 28.334 / target 10 = 2.833; total / target per replica -> 9
  stabilisation leaves 9
  allowed now: at most 7 (Max of 4 pods per 15 s from 3: 7, 100 % per 15 s from 3: 6)
  limited to 7 (ScaleUpLimit)";
    assert_eq!(story.value(85_000).to_string(), up);
    let down = "\
stays at 7: external metric e(nil) proposes 3
  external metric e(nil): usage 4.286 / target 10 = 0.429; total / target per replica -> 3
  stabilisation makes 3 to 7: recent recommendations from 3 (up) to 9 (down)";
    assert_eq!(story.value(30_000).to_string(), down);
    let held = "\
held at 7: invalid metrics (1 invalid out of 1), first error is: unable to get external metric e: gone
  external metric e(nil): invalid, unable to get external metric e: gone";
    assert_eq!(story.reconcile(&[Err("gone".into())]).to_string(), held);
}

/// The proposal of a per-pod metric for 4 replicas, each pod requesting 1.
fn propose(pods: &[Pod], metric: &MetricSpec, values: &[(&str, i64)]) -> Proposal {
    let scale = Scale { spec_replicas: 4, status_replicas: 4 };
    let flags = Flags::default();
    let calculator = Calculator { flags: &flags, tolerance: Tolerance { down: 0.1, up: 0.1 }, now: START, scale, pods };
    let sample = |milli| PodSample { milli, timestamp: START, window: Duration::from_secs(60) };
    let reading = Reading::PerPod {
        samples: values.iter().map(|(pod, milli)| ((*pod).to_owned(), sample(*milli))).collect(),
        requests: pods.iter().map(|pod| (pod.name.clone(), 1000)).collect(),
    };
    calculator.propose(metric, &Ok(reading)).expect("a proposal")
}

fn cpu(target: ResourceTarget) -> MetricSpec {
    MetricSpec::Resource { resource: "cpu".into(), container: None, target }
}

#[test]
fn a_missing_pod_counts_as_its_whole_request_or_the_target_above_that() {
    let pods: Vec<Pod> = ["a", "b", "c", "d"].into_iter().map(|name| pod(name, 'R')).collect();
    let check = |target, adjusted| {
        let metric = cpu(ResourceTarget::Utilization(target));
        let proposal = propose(&pods, &metric, &[("a", 200), ("b", 200)]);
        assert_eq!(proposal.adjusted_ratio, Some(adjusted), "target {target} %");
    };
    // (200 + 200 + 2 x 1000) / 4000 = 60 %
    check(50, 1.2);
    // (200 + 200 + 2 x 2000) / 4000 = 110 %
    check(200, 0.55);
}

#[test]
fn a_pod_that_starts_up_is_unready_for_cpu_until_its_period_is_over() {
    let check = |age: i64, status: ConditionStatus, transition_age: i64, unready: usize| {
        let ready = ReadyCondition { status, since: START.minus(seconds(transition_age)) };
        let started = Some(START.minus(seconds(age)));
        let young = Pod { ready: Some(ready), started, ..pod("young", 'R') };
        let pods = [pod("old", 'R'), young];
        let metric = cpu(ResourceTarget::AverageValue(1000));
        let counts = propose(&pods, &metric, &[("old", 1000), ("young", 1000)]).pods.expect("counts");
        assert_eq!(counts.unready, unready, "{age} s old, {status} since {transition_age} s");
    };
    use ConditionStatus::{False, True};
    // Within 5 minutes: ready for at least one window.
    check(299, True, 59, 1);
    check(299, True, 60, 0);
    check(299, False, 200, 1);
    // Later: not ready, and never was (the transition came within 30 s of the start).
    check(300, True, 1, 0);
    check(400, False, 371, 1);
    check(400, False, 370, 0);
}

#[test]
fn policies_that_are_used_up_do_not_push_back() {
    let behavior = serde_json::json!({"scaleUp": {"policies": [
        {"type": "Pods", "value": 2, "periodSeconds": 60}, {"type": "Percent", "value": 10, "periodSeconds": 15}
    ]}});
    let mut story = Story::new(1, 3).behaving(behavior);
    assert_eq!(story.value(90_000).replicas, 5);
    // Someone else scales up; 2 of the 9 came from the HPA, so the period began with 7.
    story.replicas = 9;
    story.spec.behavior.as_mut().expect("a behavior").scale_up.select = SelectPolicy::Min;
    story.spec.behavior.as_mut().expect("a behavior").scale_up.policies[0].amount = PolicyAmount::Pods(1);
    let decision = story.value(100_000_000);
    assert_eq!(decision.replicas, 9);
    let rate = decision.normalisation.and_then(|normalisation| normalisation.rate).expect("a rate");
    assert_eq!((rate.policies[0].replicas, rate.replicas), (8, 9));
}
