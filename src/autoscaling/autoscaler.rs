//! A HorizontalPodAutoscaler as the API has it → what matters of it: its replicas, and what it asks for. All else is
//! forgotten.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricIdentifier, MetricSpec,
    MetricStatus, MetricTarget, MetricValueStatus,
};

use crate::model::selector::{self, Selector};
use crate::model::{Timestamp, quantity};

/// One HorizontalPodAutoscaler.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Autoscaler {
    pub namespace: String,
    pub name: String,
    /// What it scales.
    pub scaled: Reference,
    pub min: i32,
    pub max: i32,
    /// Replicas that it saw and wanted last; `None` before it looked.
    pub current: Option<i32>,
    pub desired: Option<i32>,
    /// Type and status, which is `True`, `False` or `Unknown`.
    pub conditions: Vec<(String, String)>,
    pub last_scale: Option<Timestamp>,
    /// No two have the same source, name, selector and kind of target.
    pub metrics: Vec<Asked>,
}

/// An object in the namespace of the autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

/// A metric that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub source: Source,
    pub name: String,
    /// As it stands in a request; empty for all.
    pub selector_text: String,
    /// `None` for one that cannot be asked with.
    pub selector: Option<Selector>,
    pub target: TargetType,
    /// What it should be; of [`TargetType::Utilization`] percent.
    pub wanted: Option<f64>,
    /// What the autoscaler says it was when it looked last.
    pub seen: Option<f64>,
}

/// What a metric is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Pods,
    Object(Reference),
    External,
    Resource,
    /// With the name of the container.
    ContainerResource(String),
}

/// How values are compared with what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetType {
    Value,
    AverageValue,
    Utilization,
}

// === impl Autoscaler ===

impl From<&HorizontalPodAutoscaler> for Autoscaler {
    fn from(object: &HorizontalPodAutoscaler) -> Self {
        let (metadata, status) = (&object.metadata, object.status.as_ref());
        let mut autoscaler = Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            current: status.and_then(|status| status.current_replicas),
            desired: status.map(|status| status.desired_replicas),
            conditions: conditions(status),
            last_scale: status.and_then(|status| Some(Timestamp(status.last_scale_time.as_ref()?.0.as_millisecond()))),
            ..Self::default()
        };
        let Some(spec) = &object.spec else { return autoscaler };
        autoscaler.scaled = Reference::from(&spec.scale_target_ref);
        // As the API fills it in.
        (autoscaler.min, autoscaler.max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
        let seen = status.and_then(|status| status.current_metrics.as_deref()).unwrap_or_default();
        for (place, metric) in spec.metrics.iter().flatten().enumerate() {
            let asked = Asked::of(metric, seen.get(place));
            autoscaler.metrics.extend(asked.filter(|asked| !autoscaler.metrics.iter().any(|it| it.is_like(asked))));
        }
        autoscaler
    }
}

fn conditions(status: Option<&HorizontalPodAutoscalerStatus>) -> Vec<(String, String)> {
    let all = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let mut conditions: Vec<_> = all.map(|it| (it.type_.clone(), it.status.clone())).collect();
    conditions.sort();
    conditions.dedup_by(|later, first| later.0 == first.0);
    conditions
}

// === impl Reference ===

impl From<&CrossVersionObjectReference> for Reference {
    fn from(reference: &CrossVersionObjectReference) -> Self {
        let CrossVersionObjectReference { api_version, kind, name } = reference;
        // As the controller takes it where it is not said.
        let api_version = api_version.clone().unwrap_or_else(|| "v1".into());
        Self { api_version, kind: kind.clone(), name: name.clone() }
    }
}

// === impl Asked ===

impl Asked {
    /// `None` for a metric whose source is not set, as it never is in what an API server took.
    fn of(spec: &MetricSpec, status: Option<&MetricStatus>) -> Option<Self> {
        let of_identifier = |source, identifier: &MetricIdentifier, target: &MetricTarget| {
            let text = identifier.selector.as_ref().map(selector::text).unwrap_or(Ok(String::new()));
            let selector = text.as_deref().ok().and_then(|text| Selector::parse(text).ok());
            let selector_text = selector.as_ref().map(Selector::to_string).unwrap_or_default();
            Self { selector_text, selector, ..Self::simple(source, &identifier.name, target) }
        };
        let mut asked = match spec.type_.as_str() {
            "Pods" => spec.pods.as_ref().map(|it| of_identifier(Source::Pods, &it.metric, &it.target)),
            "Object" => spec
                .object
                .as_ref()
                .map(|it| of_identifier(Source::Object(Reference::from(&it.described_object)), &it.metric, &it.target)),
            "External" => spec.external.as_ref().map(|it| of_identifier(Source::External, &it.metric, &it.target)),
            "Resource" => spec.resource.as_ref().map(|it| Self::simple(Source::Resource, &it.name, &it.target)),
            "ContainerResource" => spec
                .container_resource
                .as_ref()
                .map(|it| Self::simple(Source::ContainerResource(it.container.clone()), &it.name, &it.target)),
            _ => None,
        }?;
        asked.seen = status.and_then(|status| asked.seen_in(status));
        Some(asked)
    }

    fn simple(source: Source, name: &str, target: &MetricTarget) -> Self {
        let MetricTarget { type_, value, average_value, average_utilization } = target;
        let target = TargetType::of(type_);
        let wanted = target.choose(value.as_ref(), average_value.as_ref(), *average_utilization);
        let (selector_text, selector) = (String::new(), Some(Selector::default()));
        Self { source, name: name.to_owned(), selector_text, selector, target, wanted, seen: None }
    }

    /// The value in a status of this metric. One that could not be had leaves an empty status behind, of no type.
    fn seen_in(&self, status: &MetricStatus) -> Option<f64> {
        let (name, current) = match &self.source {
            Source::Pods => status.pods.as_ref().map(|it| (&it.metric.name, &it.current)),
            Source::Object(_) => status.object.as_ref().map(|it| (&it.metric.name, &it.current)),
            Source::External => status.external.as_ref().map(|it| (&it.metric.name, &it.current)),
            Source::Resource => status.resource.as_ref().map(|it| (&it.name, &it.current)),
            Source::ContainerResource(_) => status.container_resource.as_ref().map(|it| (&it.name, &it.current)),
        }?;
        let MetricValueStatus { value, average_value, average_utilization } = current;
        let value = self.target.choose(value.as_ref(), average_value.as_ref(), *average_utilization);
        value.filter(|_| *name == self.name)
    }

    fn is_like(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.source.clone(), it.name.clone(), it.selector_text.clone(), it.target);
        key(self) == key(other)
    }
}

// === impl Source ===

impl Source {
    /// The value of the label `type`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Object(_) => "object",
            Self::External => "external",
            Self::Resource => "resource",
            Self::ContainerResource(_) => "container_resource",
        }
    }

    /// The API group that is asked; `None` for what is the matter of metrics-server.
    pub(super) fn group(&self) -> Option<&'static str> {
        match self {
            Self::Pods | Self::Object(_) => Some("custom.metrics.k8s.io"),
            Self::External => Some("external.metrics.k8s.io"),
            Self::Resource | Self::ContainerResource(_) => None,
        }
    }

    /// Kind and name of an object, or the container; else empty.
    pub(super) fn object(&self) -> String {
        match self {
            Self::Object(Reference { kind, name, .. }) => format!("{kind}/{name}"),
            Self::ContainerResource(container) => container.clone(),
            Self::Pods | Self::External | Self::Resource => String::new(),
        }
    }
}

// === impl TargetType ===

impl TargetType {
    fn of(text: &str) -> Self {
        match text {
            "Utilization" => Self::Utilization,
            "AverageValue" => Self::AverageValue,
            _ => Self::Value,
        }
    }

    /// As the API writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Value => "Value",
            Self::AverageValue => "AverageValue",
            Self::Utilization => "Utilization",
        }
    }

    /// The one of three that is meant.
    fn choose(self, value: Option<&Quantity>, average_value: Option<&Quantity>, percent: Option<i32>) -> Option<f64> {
        match self {
            Self::Value => number(value?),
            Self::AverageValue => number(average_value?),
            Self::Utilization => percent.map(f64::from),
        }
    }
}

type Quantity = k8s_openapi::apimachinery::pkg::api::resource::Quantity;

fn number(quantity: &Quantity) -> Option<f64> {
    quantity::parse(&quantity.0).ok().map(|quantity| quantity.approximate())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &serde_json::Value, status: &serde_json::Value) -> Autoscaler {
        let object = json!({"metadata": {"namespace": "agents", "name": "web"}, "spec": spec, "status": status});
        Autoscaler::from(&serde_json::from_value::<HorizontalPodAutoscaler>(object).expect("an autoscaler"))
    }

    fn pods(selector: &serde_json::Value, target: &serde_json::Value) -> serde_json::Value {
        json!({"type": "Pods", "pods": {"metric": {"name": "queue_length", "selector": selector}, "target": target}})
    }

    #[test]
    fn what_was_seen_is_told_as_the_target_has_it() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        let external = json!({"type": "External", "external": {"metric": {"name": "Jobs"}, "target": {"type": "AverageValue", "averageValue": "1500m"}}});
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let average = json!({"type": "AverageValue", "averageValue": "10"});
        let spec =
            json!({"scaleTargetRef": web, "maxReplicas": 9, "metrics": [pods(&json!(null), &average), cpu, external]});
        let status = json!({
            "currentReplicas": 3, "desiredReplicas": 4, "lastScaleTime": "2026-01-02T03:04:05Z",
            "conditions": [{"type": "ScalingActive", "status": "True"}, {"type": "AbleToScale", "status": "False"}],
            "currentMetrics": [
                {"type": "Pods", "pods": {"metric": {"name": "queue_length"}, "current": {"averageValue": "12500m"}}},
                {"type": ""},
                {"type": "External", "external": {"metric": {"name": "other"}, "current": {"averageValue": "7"}}},
            ],
        });
        let autoscaler = read(&spec, &status);
        let told: Vec<_> = autoscaler.metrics.iter().map(|it| (it.source.name(), it.wanted, it.seen)).collect();
        let want = [("pods", Some(10.0), Some(12.5)), ("resource", Some(80.0), None), ("external", Some(1.5), None)];
        assert_eq!(told, want, "a status that is empty or of another metric tells nothing");
        assert_eq!((autoscaler.min, autoscaler.max), (1, 9));
        assert_eq!((autoscaler.current, autoscaler.desired), (Some(3), Some(4)));
        assert_eq!(autoscaler.last_scale.map(|time| time.to_string()).as_deref(), Some("2026-01-02T03:04:05Z"));
        let conditions: Vec<_> =
            autoscaler.conditions.iter().map(|(kind, status)| format!("{kind} {status}")).collect();
        assert_eq!(conditions, ["AbleToScale False", "ScalingActive True"]);
    }

    #[test]
    fn of_metrics_that_cannot_be_told_apart_the_first_counts() {
        let average = |value| json!({"type": "AverageValue", "averageValue": value});
        let selector = |text| json!({"matchLabels": {"queue": text}});
        let metrics = [
            pods(&selector("a"), &average("10")),
            pods(&selector("b"), &average("10")),
            pods(&selector("a"), &average("20")),
        ];
        let web = json!({"kind": "Deployment", "name": "web"});
        let autoscaler = read(&json!({"scaleTargetRef": web, "maxReplicas": 9, "metrics": metrics}), &json!(null));
        let told: Vec<_> = autoscaler.metrics.iter().map(|it| (it.selector_text.as_str(), it.wanted)).collect();
        assert_eq!(told, [("queue=a", Some(10.0)), ("queue=b", Some(10.0))]);
        assert_eq!((autoscaler.current, autoscaler.desired), (None, None), "it has not looked yet");
    }

    #[test]
    fn a_selector_that_is_none_is_not_taken_for_an_empty_one() {
        let odd = json!({"matchExpressions": [{"key": "queue", "operator": "Near"}]});
        let metrics = [pods(&odd, &json!({"type": "AverageValue", "averageValue": "1"}))];
        let web = json!({"kind": "Deployment", "name": "web"});
        let autoscaler = read(&json!({"scaleTargetRef": web, "maxReplicas": 9, "metrics": metrics}), &json!(null));
        assert_eq!(autoscaler.metrics[0].selector, None);
    }
}
