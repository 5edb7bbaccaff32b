//! The wire form of metric values (`k8s.io/metrics` `pkg/apis/{custom_metrics,external_metrics}`).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Serialize, Serializer};

use crate::aggregate::{Basis, Value};
use crate::model::quantity::Quantity;
use crate::model::{ObjectReference, Timestamp};
use crate::provider::{ExternalValue, MetricValue};

/// Versions of the custom metrics API; the names of the keys differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CustomVersion {
    V1Beta1,
    V1Beta2,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    kind: &'static str,
    api_version: String,
    metadata: Empty,
    items: Vec<T>,
}

#[derive(Serialize)]
struct Empty {}

/// `MetricValue` in either version.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Item<'a> {
    #[serde(rename_all = "camelCase")]
    V1Beta1 {
        described_object: DescribedObject<'a>,
        metric_name: &'a str,
        #[serde(serialize_with = "text")]
        timestamp: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        window: Option<u64>,
        #[serde(serialize_with = "text")]
        value: Quantity,
        selector: Option<&'a LabelSelector>,
    },
    #[serde(rename_all = "camelCase")]
    V1Beta2 {
        described_object: DescribedObject<'a>,
        metric: Metric<'a>,
        #[serde(serialize_with = "text")]
        timestamp: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        window_seconds: Option<u64>,
        #[serde(serialize_with = "text")]
        value: Quantity,
    },
}

#[derive(Serialize)]
pub(super) struct Metric<'a> {
    name: &'a str,
    selector: Option<&'a LabelSelector>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribedObject<'a> {
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
    api_version: &'a str,
}

/// `ExternalMetricValue`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalItem<'a> {
    metric_name: &'a str,
    metric_labels: BTreeMap<&'a str, &'a str>,
    #[serde(serialize_with = "text")]
    timestamp: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u64>,
    #[serde(serialize_with = "text")]
    value: Quantity,
}

/// An item with names of usual length takes some 200 bytes.
const ITEM_BYTES: usize = 256;

// === impl List ===

impl<T> List<T> {
    /// What it takes in bytes when it is written, roughly.
    pub(super) fn size(&self) -> usize {
        (self.items.len() + 1) * ITEM_BYTES
    }
}

// === impl CustomVersion ===

impl CustomVersion {
    pub(super) const ALL: [Self; 2] = [Self::V1Beta2, Self::V1Beta1];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1Beta1 => "v1beta1",
            Self::V1Beta2 => "v1beta2",
        }
    }
}

/// A `MetricValueList`; `selector` is the one of the request, by which the values were chosen.
pub(super) fn custom_list<'a>(
    version: CustomVersion,
    metric: &'a str,
    selector: Option<&'a LabelSelector>,
    values: &'a [MetricValue],
) -> List<Item<'a>> {
    let item = |value: &'a MetricValue| {
        let described_object = DescribedObject::of(&value.object);
        let (timestamp, window, value) = parts(&value.value, metric);
        match version {
            CustomVersion::V1Beta1 => {
                Item::V1Beta1 { described_object, metric_name: metric, timestamp, window, value, selector }
            }
            CustomVersion::V1Beta2 => Item::V1Beta2 {
                described_object,
                metric: Metric { name: metric, selector },
                timestamp,
                window_seconds: window,
                value,
            },
        }
    };
    List {
        kind: "MetricValueList",
        api_version: format!("{}/{}", super::CUSTOM_GROUP, version.name()),
        metadata: Empty {},
        items: values.iter().map(item).collect(),
    }
}

/// An `ExternalMetricValueList`.
pub(super) fn external_list<'a>(metric: &'a str, values: &'a [ExternalValue]) -> List<ExternalItem<'a>> {
    let item = |value: &'a ExternalValue| {
        let metric_labels = value.labels.iter().collect();
        let (timestamp, window, value) = parts(&value.value, metric);
        ExternalItem { metric_name: metric, metric_labels, timestamp, window, value }
    };
    List {
        kind: "ExternalMetricValueList",
        api_version: format!("{}/{}", super::EXTERNAL_GROUP, super::EXTERNAL_VERSION),
        metadata: Empty {},
        items: values.iter().map(item).collect(),
    }
}

/// Time, window in seconds and quantity of a value.
fn parts(value: &Value, metric: &str) -> (Timestamp, Option<u64>, Quantity) {
    let quantity = Quantity::from_f64(value.number).expect("the aggregate gives finite numbers only");
    if quantity.is_clamped() {
        tracing::warn!(metric, value = value.number, "value clamped to what the HPA can read: {quantity}");
    }
    (value.basis.timestamp, window_seconds(&value.basis), quantity)
}

/// Written straight into the answer, without a string of its own.
fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The span the value covers in whole seconds, at least one; `None` for a value of one moment.
fn window_seconds(basis: &Basis) -> Option<u64> {
    basis.span.map(|span| (span.as_secs_f64().round() as u64).max(1))
}

impl<'a> DescribedObject<'a> {
    fn of(object: &'a ObjectReference) -> Self {
        Self {
            kind: &object.kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
            api_version: &object.api_version,
        }
    }
}
