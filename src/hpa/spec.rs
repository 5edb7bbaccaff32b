//! The spec of an HPA as the API server stores it: defaulted and validated.
//!
//! An `autoscaling/v2` object comes in, a [`Spec`] that needs no second check goes out. What the API server
//! would refuse is an error here too.

mod object;

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::hpa::proposal::Tolerance;
use crate::hpa::{Flags, Reason};

/// What one HPA asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// 1 unless set; 0 needs the gate HPAScaleToZero and an Object or External metric.
    pub min_replicas: i32,
    pub max_replicas: i32,
    /// Never empty when it comes from an API object.
    pub metrics: Vec<MetricSpec>,
    /// Without it another, older set of rules limits scaling; an empty `behavior: {}` is not the same as none.
    pub behavior: Option<Behavior>,
}

/// One metric and its target. Values are in milli-units and above 0.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricSpec {
    Pods {
        metric: MetricIdentifier,
        /// `averageValue`.
        average: i64,
    },
    Object {
        metric: MetricIdentifier,
        /// Kind and name of the described object.
        kind: String,
        name: String,
        target: Amount,
    },
    External {
        metric: MetricIdentifier,
        target: Amount,
    },
    /// Resource, and with a container ContainerResource.
    Resource {
        resource: String,
        container: Option<String>,
        target: ResourceTarget,
    },
}

/// Name and selector of a custom or external metric.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricIdentifier {
    pub name: String,
    pub selector: Option<LabelSelector>,
}

/// The target of a metric that is one value for the whole workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Value(i64),
    AverageValue(i64),
}

/// The target of a resource metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceTarget {
    AverageValue(i64),
    /// Per cent of the requests.
    Utilization(i32),
}

/// How fast the target may change in each direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    pub scale_up: ScalingRules,
    pub scale_down: ScalingRules,
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingRules {
    /// `None` downwards means the flag of the controller.
    pub stabilization_window: Option<Duration>,
    pub select: SelectPolicy,
    pub policies: Vec<Policy>,
    /// `None` means the flag of the controller.
    pub tolerance: Option<f64>,
}

/// Which policy counts; Max is the one that allows the biggest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPolicy {
    Max,
    Min,
    Disabled,
}

/// How much may change in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub amount: PolicyAmount,
    pub period: Duration,
}

/// The size of the change that a policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyAmount {
    Pods(i32),
    Percent(i32),
}

/// Why the API server would refuse a spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SpecError {
    /// Path of the field, for example `spec.metrics[0].pods.target.averageValue`.
    pub field: String,
    pub problem: String,
}

// === impl Spec ===

impl Spec {
    /// Whether the spec has a metric that can be read without pods.
    pub fn has_object_or_external(&self) -> bool {
        self.metrics.iter().any(|m| matches!(m, MetricSpec::Object { .. } | MetricSpec::External { .. }))
    }

    /// Lowest and highest ratio of usage to target at which nothing is done.
    pub fn tolerated_ratios(&self, flags: &Flags) -> (f64, f64) {
        let tolerance = self.tolerance(flags);
        (1.0 - tolerance.down, 1.0 + tolerance.up)
    }

    pub(super) fn tolerance(&self, flags: &Flags) -> Tolerance {
        let own = |rules: fn(&Behavior) -> &ScalingRules| {
            self.behavior.as_ref().and_then(|behavior| rules(behavior).tolerance).unwrap_or(flags.tolerance)
        };
        Tolerance { down: own(|behavior| &behavior.scale_down), up: own(|behavior| &behavior.scale_up) }
    }
}

// === impl MetricSpec ===

impl MetricSpec {
    /// Whether the rules for pods that start up apply.
    pub(super) fn is_cpu(&self) -> bool {
        matches!(self, Self::Resource { resource, .. } if resource == "cpu")
    }

    pub(super) fn failure_reason(&self) -> Reason {
        match self {
            Self::Pods { .. } => Reason::FailedGetPodsMetric,
            Self::Object { .. } => Reason::FailedGetObjectMetric,
            Self::External { .. } => Reason::FailedGetExternalMetric,
            Self::Resource { container: None, .. } => Reason::FailedGetResourceMetric,
            Self::Resource { .. } => Reason::FailedGetContainerResourceMetric,
        }
    }
}

/// The name that the controller gives the metric in conditions and events.
impl fmt::Display for MetricSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods { metric, .. } => write!(f, "pods metric {}", metric.name),
            Self::Object { metric, kind, target: Amount::Value(_), .. } => write!(f, "{kind} metric {}", metric.name),
            // An Object metric with an AverageValue is called external by the controller too.
            Self::Object { metric, .. } | Self::External { metric, .. } => {
                write!(f, "external metric {}({})", metric.name, go_text(metric.selector.as_ref()))
            }
            Self::Resource { resource, container, target } => {
                let kind = if container.is_some() { "container resource" } else { "resource" };
                write!(f, "{resource} {kind}")?;
                match target {
                    ResourceTarget::AverageValue(_) => Ok(()),
                    ResourceTarget::Utilization(_) => f.write_str(" utilization (percentage of request)"),
                }
            }
        }
    }
}

/// A selector as Go prints it (`LabelSelector.String` in apimachinery), which is what events show.
fn go_text(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels: String =
        selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},")).collect();
    let requirements: String = selector
        .match_expressions
        .iter()
        .flatten()
        .map(|r| {
            let values = r.values.as_deref().unwrap_or_default().join(" ");
            format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", r.key, r.operator)
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},\
         MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )
}
