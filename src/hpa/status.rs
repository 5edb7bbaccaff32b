//! The status of an HPA: conditions, reasons and events, named as the API names them.

use std::fmt;

use crate::model::Timestamp;

/// The part of the status of an HPA that the algorithm reads or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `status.desiredReplicas`.
    pub desired_replicas: i32,
    /// At most one per type, in the order they were first set.
    pub conditions: Vec<Condition>,
    pub last_scale_time: Option<Timestamp>,
}

/// One condition of an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: ConditionType,
    pub status: ConditionStatus,
    pub reason: Reason,
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
}

/// Types of conditions of an HPA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    AbleToScale,
    ScalingActive,
    ScalingLimited,
    ScaledToZero,
}

/// The status of a condition of any object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// Reasons of conditions and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    SucceededGetScale,
    SucceededRescale,
    ReadyForNewScale,
    ScaleDownStabilized,
    ScaleUpStabilized,
    ScalingDisabled,
    ValidMetricFound,
    FailedGetPodsMetric,
    FailedGetObjectMetric,
    FailedGetExternalMetric,
    FailedGetResourceMetric,
    FailedGetContainerResourceMetric,
    FailedComputeMetricsReplicas,
    SuccessfulRescale,
    DesiredWithinRange,
    ScaleUpLimit,
    ScaleDownLimit,
    TooManyReplicas,
    TooFewReplicas,
    ScaledToZero,
    NotScaledToZero,
}

/// An event that the controller sends for an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub reason: Reason,
    pub message: String,
}

// === impl Status ===

impl Status {
    /// The condition of a type, `None` while it was never set.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether a condition is there and True.
    pub fn is_true(&self, kind: ConditionType) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    pub(super) fn set(&mut self, kind: ConditionType, status: bool, reason: Reason, message: &str, now: Timestamp) {
        let status = if status { ConditionStatus::True } else { ConditionStatus::False };
        let new = Condition { kind, status, reason, message: message.to_owned(), last_transition_time: now };
        match self.conditions.iter_mut().find(|condition| condition.kind == kind) {
            Some(old) if old.status == status => {
                *old = Condition { last_transition_time: old.last_transition_time, ..new };
            }
            Some(old) => *old = new,
            None => self.conditions.push(new),
        }
    }
}

// === impl ConditionType ===

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are named as the API writes them.
        fmt::Debug::fmt(self, f)
    }
}

// === impl ConditionStatus ===

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

// === impl Reason ===

impl Reason {
    /// The message of the condition `ScalingLimited` for this reason.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::ScaleUpLimit => "the desired replica count is increasing faster than the maximum scale rate",
            Self::ScaleDownLimit => "the desired replica count is decreasing faster than the maximum scale rate",
            Self::TooManyReplicas => "the desired replica count is more than the maximum replica count",
            Self::TooFewReplicas => "the desired replica count is less than the minimum replica count",
            _ => "the desired count is within the acceptable range",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

// === impl Event ===

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
