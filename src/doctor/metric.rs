//! Every metric that an autoscaler asks for, as it is answered now through the kube-apiserver.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{self, MetricTarget};

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::config::one_line;
use crate::doctor::autoscaler::is_asleep;
use crate::doctor::facts::{Autoscaler, Facts, Item, Reading};
use crate::doctor::{Check, Finding, MetricFound, ObjectName};
use crate::model::Timestamp;
use crate::model::quantity::Quantity;

/// The controller takes values of any age; Plimsoll serves none that is older than its freshness.
const AGE_MAX: Duration = Duration::from_secs(120);

/// What Plimsoll says of a histogram that did not grow: idle is not broken.
const IDLE: &str = "nothing was observed in the window";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (namespace, asked) in &facts.autoscalers {
        let place = || match namespace {
            Some(namespace) => ObjectName::cluster("Namespace", namespace),
            None => ObjectName::cluster("Namespace", "*"),
        };
        match asked {
            Err(why) => {
                let unknown = Check::Metrics.unknown(place(), format!("its autoscalers cannot be listed: {why}"));
                findings.push(unknown.fix("ask as somebody who may list horizontalpodautoscalers.autoscaling"));
            }
            Ok(list) if list.iter().all(|one| one.metrics().is_empty()) => {
                findings.push(Check::Metrics.ok(place(), "no autoscaler asks for a custom or external metric"));
            }
            Ok(list) => findings.extend(list.iter().flat_map(|one| of_autoscaler(one, facts))),
        }
    }
    findings
}

pub(super) fn object(autoscaler: &Autoscaler) -> ObjectName {
    ObjectName::namespaced("HorizontalPodAutoscaler", autoscaler.namespace(), autoscaler.name())
}

/// A value in milli-units as people write it.
pub(super) fn written(milli: i64) -> String {
    let text = if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") };
    crate::model::quantity::parse(&text).map_or(text, |quantity: Quantity| quantity.to_string())
}

fn of_autoscaler<'a>(autoscaler: &'a Autoscaler, facts: &'a Facts) -> impl Iterator<Item = Finding> + 'a {
    autoscaler.metrics().into_iter().filter_map(|(spec, reading)| {
        let (name, target) = identity(spec)?;
        Some(judged(autoscaler, name, target, reading, facts.server_now()))
    })
}

/// Name and target of a metric of ours.
pub(super) fn identity(spec: &v2::MetricSpec) -> Option<(&str, &MetricTarget)> {
    let pods = spec.pods.as_ref().map(|source| (source.metric.name.as_str(), &source.target));
    let object = spec.object.as_ref().map(|source| (source.metric.name.as_str(), &source.target));
    let external = spec.external.as_ref().map(|source| (source.metric.name.as_str(), &source.target));
    pods.or(object).or(external)
}

fn judged(autoscaler: &Autoscaler, name: &str, target: &MetricTarget, reading: &Reading, now: Timestamp) -> Finding {
    let object = object(autoscaler);
    let none = |level: &str| MetricFound {
        name: name.into(),
        level: level.into(),
        items: None,
        value: None,
        timestamp: None,
        age_seconds: None,
    };
    match reading {
        Reading::Elsewhere => Check::Metrics.ok(object, format!("{name} is asked of another API")),
        Reading::Refused { level, message } if is_asleep(autoscaler) => Check::Metrics
            .ok(object, format!("{level} metric {name} is not asked for while KEDA keeps 0 replicas: {message}"))
            .metric(none(level)),
        Reading::Refused { level, message } if message.contains(IDLE) => Check::Metrics
            .warning(object, format!("{level} metric {name} has no value while nothing happens: {message}"))
            .expected("observations; meanwhile the autoscaler keeps its replicas, and other metrics do not lower them")
            .fix(served(level))
            .metric(none(level)),
        Reading::Late { level, why } => Check::Metrics
            .unknown(object, format!("{level} metric {name} was not asked for: {why}"))
            .fix(format!("plimsoll doctor --namespace {} # once the API answers", autoscaler.namespace()))
            .metric(none(level)),
        Reading::Refused { level, message } => Check::Metrics
            .failure(object, format!("{level} metric {name} is not served: {message}"))
            .expected("a value; without one the autoscaler does not scale down, and alone not at all")
            .fix(served(level))
            .metric(none(level)),
        Reading::Unasked { level, why } => {
            let unknown = Check::Metrics.unknown(object, format!("{level} metric {name} cannot be asked for: {why}"));
            unknown
                .metric(none(level))
                .fix("ask as somebody who may get scales and custom.metrics.k8s.io, and list external.metrics.k8s.io")
        }
        Reading::Values { level, items } => valued(object, name, (level, target), items, now),
    }
}

fn valued(
    object: ObjectName,
    name: &str,
    (level, target): (&str, &MetricTarget),
    items: &[Item],
    now: Timestamp,
) -> Finding {
    let sum = items.iter().fold(0_i64, |sum, item| sum.saturating_add(item.milli));
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX).max(1);
    let oldest = items.iter().filter_map(|item| item.timestamp).min();
    let age = oldest.map(|oldest| (now.0 - oldest.0).div_euclid(1000)).map(rounded);
    let value = match level {
        "Pod" if count > 1 => format!("{} on average of {count} pods", written(sum / count)),
        "Pod" => format!("{} in 1 pod", written(sum)),
        "External" if count > 1 => format!("{} in {count} items", written(sum)),
        _ => written(sum),
    };
    let goal = goal(target);
    let found = format!("{level} metric {name} is {value}, target {goal}{}", aged(age));
    let metric = MetricFound {
        name: name.into(),
        level: level.into(),
        items: Some(items.len()),
        value: Some(written(sum)),
        timestamp: oldest.map(|oldest| oldest.to_string()),
        age_seconds: age,
    };
    match age {
        Some(age) if age > AGE_MAX.as_secs() as i64 => Check::Metrics
            .warning(object, found)
            .expected(format!(
                "a value that is at most {} s old: the controller takes any age for now",
                AGE_MAX.as_secs()
            ))
            .fix(served(level)),
        _ => Check::Metrics.ok(object, found),
    }
    .metric(metric)
}

/// Clocks are compared to about a second, and timestamps have whole seconds.
fn rounded(age: i64) -> i64 {
    if (-2..0).contains(&age) { 0 } else { age }
}

/// How to see what is served.
fn served(level: &str) -> String {
    let (group, version) = if level == "External" { (EXTERNAL_GROUP, "v1beta1") } else { (CUSTOM_GROUP, "v1beta2") };
    format!("kubectl get --raw /apis/{group}/{version} # what is served")
}

fn aged(age: Option<i64>) -> String {
    match age {
        Some(age) if age < 0 => format!(", {} s in the future", -age),
        Some(age) => format!(", {age} s old"),
        None => ", of unknown age".into(),
    }
}

fn goal(target: &MetricTarget) -> String {
    match (&target.average_value, &target.value) {
        (Some(average), _) => format!("{} per pod", one_line(&average.0)),
        (None, Some(value)) => one_line(&value.0),
        (None, None) => "none".into(),
    }
}

// === impl Autoscaler ===

impl Autoscaler {
    /// Its metrics that are ours to serve, each with what was answered.
    pub(super) fn metrics(&self) -> Vec<(&v2::MetricSpec, &Reading)> {
        let specs = self.object.spec.as_ref().and_then(|spec| spec.metrics.as_ref()).into_iter().flatten();
        let both = specs.zip(&self.readings);
        both.filter(|(_, reading)| !matches!(reading, Reading::Elsewhere)).collect()
    }
}
