//! The types of the answers.

use serde_json::{Map, Value, json};

use crate::api::openapi::Subject;
use crate::api::openapi::notation::Notation;
use crate::api::types::CustomVersion;

/// The definitions of one group and version by name.
pub(super) fn definitions(notation: Notation, subject: Subject) -> Map<String, Value> {
    let (item_kind, item) = match subject {
        Subject::Custom(CustomVersion::V1Beta1) => ("MetricValue", value_v1beta1(notation)),
        Subject::Custom(CustomVersion::V1Beta2) => ("MetricValue", value_v1beta2(notation, subject)),
        Subject::External => ("ExternalMetricValue", external_value()),
    };
    let mut definitions = Map::new();
    let list = list(subject, &notation.reference(&subject.schema_name(item_kind)));
    for (kind, mut schema) in [(subject.list_kind(), list), (item_kind, item)] {
        schema["x-kubernetes-group-version-kind"] = json!([subject.group_version_kind(kind)]);
        definitions.insert(subject.schema_name(kind), schema);
    }
    if let Subject::Custom(CustomVersion::V1Beta2) = subject {
        definitions.insert(subject.schema_name("MetricIdentifier"), identifier(notation));
    }
    definitions
}

fn list(subject: Subject, item: &Value) -> Value {
    let description = match subject {
        Subject::Custom(_) => "Values of one metric, an item for each object.",
        Subject::External => "Values of one metric, an item for each group of labels.",
    };
    object(
        description,
        json!({
            "apiVersion": text("Group and version of the list."),
            "kind": text("Kind of the list."),
            "metadata": { "type": "object", "description": "ListMeta of meta/v1. Always empty: a list comes whole." },
            "items": { "type": "array", "description": "The values.", "items": item },
        }),
        &["items"],
    )
}

fn value_v1beta1(notation: Notation) -> Value {
    object(
        "The value of a metric for one object.",
        json!({
            "describedObject": described_object(),
            "metricName": text("Name of the metric."),
            "timestamp": timestamp(),
            "window": window(),
            "value": quantity(),
            "selector": selector(notation),
        }),
        &["describedObject", "metricName", "timestamp", "value"],
    )
}

fn value_v1beta2(notation: Notation, subject: Subject) -> Value {
    object(
        "The value of a metric for one object.",
        json!({
            "describedObject": described_object(),
            "metric": notation.reference(&subject.schema_name("MetricIdentifier")),
            "timestamp": timestamp(),
            "windowSeconds": window(),
            "value": quantity(),
        }),
        &["describedObject", "metric", "timestamp", "value"],
    )
}

fn identifier(notation: Notation) -> Value {
    let properties = json!({ "name": text("Name of the metric."), "selector": selector(notation) });
    object("Which metric it is.", properties, &["name"])
}

fn external_value() -> Value {
    let labels = "Values of the labels the metric is split by; empty where it is not.";
    object(
        "The value of an external metric for one group of labels. The autoscaler adds the groups up.",
        json!({
            "metricName": text("Name of the metric."),
            "metricLabels": map(labels),
            "timestamp": timestamp(),
            "window": window(),
            "value": quantity(),
        }),
        &["metricName", "metricLabels", "timestamp", "value"],
    )
}

/// An `ObjectReference` of core/v1, as far as it is filled in.
fn described_object() -> Value {
    object(
        "The object that the value is about.",
        json!({
            "apiVersion": text("Group and version of the object."),
            "kind": text("Kind of the object."),
            "name": text("Name of the object."),
            "namespace": text("Namespace of the object; absent where it has none."),
        }),
        &["apiVersion", "kind", "name"],
    )
}

/// A `LabelSelector` of meta/v1.
fn selector(notation: Notation) -> Value {
    let values =
        json!({ "type": "array", "description": "What the operator compares with.", "items": { "type": "string" } });
    let expression = object(
        "A condition on one label.",
        json!({
            "key": text("Name of the label."),
            "operator": text("In, NotIn, Exists or DoesNotExist."),
            "values": values,
        }),
        &["key", "operator"],
    );
    notation.nullable(object(
        "The metricLabelSelector of the request; null where it had none.",
        json!({
            "matchLabels": map("Labels and the values they must have."),
            "matchExpressions": { "type": "array", "description": "Further conditions.", "items": expression },
        }),
        &[],
    ))
}

fn timestamp() -> Value {
    let description =
        "When the newest sample was taken that the value rests on; of several series, the earliest of these.";
    json!({ "type": "string", "format": "date-time", "description": description })
}

fn window() -> Value {
    let description = "Seconds up to the timestamp that the value covers; absent for a value of one moment.";
    json!({ "type": "integer", "format": "int64", "description": description })
}

fn quantity() -> Value {
    text("The value as a Kubernetes quantity, such as 12, 1500m or 2k.")
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn map(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": { "type": "string" } })
}

/// `required` may not be an empty list.
fn object(description: &str, properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "description": description });
    schema["properties"] = properties;
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
