//! What an autoscaler may decide. Comes in: its status with the value that it saw, and the states of the Deployment and of
//! the pods that it may have seen; goes out: every number of replicas that the algorithm gives for them.
//!
//! Which state it saw is not known to the moment, and a mean does not say of whom: so there may be more than one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricStatus, MetricValueStatus};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use plimsoll::hpa::{
    Amount, ConditionStatus, Flags, Memory, MetricSpec, Observed, Pod, PodPhase, PodSample, Reading, ReadyCondition,
    Scale, Spec, reconcile,
};
use plimsoll::model::{Timestamp, quantity};

/// The metrics do not depend on it, and behavior neither, as the tests write it.
const NOW: Timestamp = Timestamp(0);

/// The replicas that an autoscaler with one metric may want.
pub fn allowed(
    object: &HorizontalPodAutoscaler,
    selector: &LabelSelector,
    scales: &[Scale],
    pods: &[Vec<Arc<ApiPod>>],
) -> Vec<i32> {
    let spec = Spec::try_from(object.spec.as_ref().expect("an autoscaler has a spec")).expect("the API server took it");
    let seen = object.status.as_ref().and_then(|status| status.current_metrics.as_ref()?.first());
    let mut allowed = BTreeSet::new();
    let pods: Vec<Vec<Pod>> = pods.iter().map(|pods| matched(selector, pods)).collect();
    for (scale, pods) in scales.iter().flat_map(|scale| pods.iter().map(move |pods| (*scale, pods))) {
        let readings = seen.map_or_else(Vec::new, |seen| readings(&spec.metrics[0], seen, scale, pods));
        allowed.extend(readings.into_iter().map(|reading| {
            let observed = Observed { scale, pods, readings: &[Ok(reading)] };
            reconcile(&Flags::default(), &spec, &mut Memory::default(), NOW, &observed).desired
        }));
    }
    allowed.into_iter().collect()
}

/// What the metrics API may have answered, given what the status shows of it.
fn readings(spec: &MetricSpec, seen: &MetricStatus, scale: Scale, pods: &[Pod]) -> Vec<Reading> {
    match spec {
        MetricSpec::Pods { .. } => per_pod(&seen.pods.as_ref().map(|seen| &seen.current), pods),
        MetricSpec::Object { target, .. } => {
            let current = seen.object.as_ref().map(|seen| &seen.current);
            current
                .map_or_else(Vec::new, |current| totals(current, *target, scale))
                .into_iter()
                .map(Reading::Object)
                .collect()
        }
        MetricSpec::External { target, .. } => {
            let current = seen.external.as_ref().map(|seen| &seen.current);
            let totals = current.map_or_else(Vec::new, |current| totals(current, *target, scale));
            totals.into_iter().map(|total| Reading::External(vec![total])).collect()
        }
        MetricSpec::Resource { .. } => Vec::new(),
    }
}

/// The smallest and the largest total that give the value. A mean is the total over the replicas, rounded up.
fn totals(current: &MetricValueStatus, target: Amount, scale: Scale) -> Vec<i64> {
    match target {
        Amount::Value(_) => current.value.as_ref().map(|value| milli(&value.0)).into_iter().collect(),
        Amount::AverageValue(_) => {
            let replicas = i64::from(scale.status_replicas);
            let Some(mean) = current.average_value.as_ref().map(|value| milli(&value.0)) else { return Vec::new() };
            vec![((mean - 1) * replicas + 1).max(0), mean * replicas]
        }
    }
}

/// For each number of pods that may have had a value, the smallest and the largest sum that give the mean, cut.
fn per_pod(current: &Option<&MetricValueStatus>, pods: &[Pod]) -> Vec<Reading> {
    let Some(mean) = current.and_then(|current| Some(milli(&current.average_value.as_ref()?.0))) else {
        return Vec::new();
    };
    let running: Vec<&Pod> = pods.iter().filter(|pod| pod.phase == PodPhase::Running && !pod.deleted).collect();
    let with_value = (1..=running.len()).flat_map(|count| [(count, 0), (count, count - 1)]);
    let reading = |(count, more): (usize, usize)| {
        let sample = |milli| PodSample { milli, timestamp: NOW, window: Duration::from_secs(60) };
        let mut samples: BTreeMap<_, _> = running[..count].iter().map(|pod| (pod.name.clone(), sample(mean))).collect();
        let first = samples.values_mut().next().expect("at least one");
        first.milli += i64::try_from(more).expect("a few pods");
        Reading::PerPod { samples, requests: BTreeMap::new() }
    };
    with_value.map(reading).collect()
}

/// The pods that a selector of equalities matches, as the algorithm looks at them.
fn matched(selector: &LabelSelector, pods: &[Arc<ApiPod>]) -> Vec<Pod> {
    let is_matched = |pod: &&Arc<ApiPod>| {
        let mut wanted = selector.match_labels.iter().flatten();
        wanted.all(|(key, value)| pod.labels().get(key) == Some(value))
    };
    pods.iter().filter(is_matched).map(|pod| read(pod)).collect()
}

fn read(pod: &ApiPod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let ready = ready.map(|ready| match ready.status.as_str() {
        "True" => ConditionStatus::True,
        _ => ConditionStatus::False,
    });
    Pod {
        name: pod.name_any(),
        phase: match status.phase.as_deref() {
            Some("Pending") => PodPhase::Pending,
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            _ => PodPhase::Unknown,
        },
        deleted: pod.metadata.deletion_timestamp.is_some(),
        ready: ready.map(|status| ReadyCondition { status, since: NOW }),
        started: None,
    }
}

fn milli(text: &str) -> i64 {
    quantity::parse(text).expect("a quantity of the API").milli()
}
