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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::Labels;
    use crate::model::selector::Selector;
    use crate::provider::Coverage;

    const COVERAGE: Coverage = Coverage { targets_with_data: 1, targets_missing: 0 };

    /// 2026-01-02T03:04:05Z.
    fn value(number: f64, span: Option<u64>) -> Value {
        let timestamp = Timestamp(1_767_323_045_000);
        Value {
            number,
            basis: Basis { timestamp, span: span.map(Duration::from_secs), series: 1, samples: 1 },
            saturated: false,
        }
    }

    /// The list with one item, as the types of `k8s.io/metrics` are encoded in Go; but for core objects, to which the
    /// library for servers gives the version `/v1`.
    #[track_caller]
    fn check_custom(version: CustomVersion, span: Option<u64>, selector: &str, item: &str) {
        let namespace = Some("ns".into());
        let object = ObjectReference { api_version: "v1".into(), kind: "Pod".into(), namespace, name: "p-1".into() };
        let values = [MetricValue { object: Arc::new(object), value: value(12.345, span), coverage: COVERAGE }];
        let selector = Selector::parse(selector).expect("a selector");
        let selector = selector.to_label_selector().filter(|_| !selector.is_empty());
        let written =
            serde_json::to_string(&custom_list(version, "qps", selector.as_ref(), &values)).expect("plain data");
        let described = r#"{"describedObject":{"kind":"Pod","namespace":"ns","name":"p-1","apiVersion":"v1"},"#;
        let list = r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io"#;
        let version = version.name();
        assert_eq!(written, format!(r#"{list}/{version}","metadata":{{}},"items":[{described}{item}}}]}}"#));
    }

    #[test]
    fn values_are_written_as_go_writes_them() {
        let time = r#""timestamp":"2026-01-02T03:04:05Z""#;
        for (span, window, seconds) in [(None, "", ""), (Some(60), r#""window":60,"#, r#""windowSeconds":60,"#)] {
            for (selector, json) in [("", "null"), ("verb=GET", r#"{"matchLabels":{"verb":"GET"}}"#)] {
                let item = format!(r#""metricName":"qps",{time},{window}"value":"12345m","selector":{json}"#);
                check_custom(CustomVersion::V1Beta1, span, selector, &item);
                let item = format!(r#""metric":{{"name":"qps","selector":{json}}},{time},{seconds}"value":"12345m""#);
                check_custom(CustomVersion::V1Beta2, span, selector, &item);
            }
        }
    }

    #[test]
    fn external_values_are_written_as_go_writes_them() {
        let external = |labels, value| ExternalValue { labels, value, coverage: COVERAGE };
        let values =
            [external(Labels::new([("a", "b")]), value(42.0, Some(60))), external(Labels::default(), value(0.5, None))];
        let written = serde_json::to_string(&external_list("q", &values)).expect("plain data");
        assert_eq!(
            written,
            r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[{"metricName":"q","metricLabels":{"a":"b"},"timestamp":"2026-01-02T03:04:05Z","window":60,"value":"42"},{"metricName":"q","metricLabels":{},"timestamp":"2026-01-02T03:04:05Z","value":"500m"}]}"#
        );
    }

    #[test]
    fn a_list_without_items_has_an_empty_list_of_them() {
        let custom = serde_json::to_value(custom_list(CustomVersion::V1Beta2, "qps", None, &[])).expect("plain data");
        let external = serde_json::to_value(external_list("q", &[])).expect("plain data");
        assert_eq!((custom["items"].to_string(), external["items"].to_string()), ("[]".into(), "[]".into()));
    }
}
