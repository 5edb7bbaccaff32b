//! The paths that answer GET, with their parameters.

use serde_json::{Map, Value, json};

use crate::api::openapi::Subject;
use crate::api::openapi::notation::{Notation, Place};

/// What a GET on one path does.
struct Operation<'a> {
    /// Below the group and version; parameters in braces.
    path: &'a str,
    /// Last part of the id, which no other operation has.
    id: &'a str,
    description: &'a str,
    query: &'a [&'a str],
}

const OBJECT_QUERY: [&str; 3] = ["fieldSelector", "labelSelector", "metricLabelSelector"];

const CUSTOM: [Operation<'static>; 3] = [
    Operation {
        path: "namespaces/{namespace}/{resource}/{name}/{metric}",
        id: "NamespacedObjectMetric",
        description: "read a metric of an object in a namespace, or with the name * of all that the selectors match",
        query: &OBJECT_QUERY,
    },
    Operation {
        path: "namespaces/{namespace}/metrics/{metric}",
        id: "NamespaceMetric",
        description: "read a metric of the namespace itself",
        query: &["metricLabelSelector"],
    },
    Operation {
        path: "{resource}/{name}/{metric}",
        id: "ObjectMetric",
        description: "read a metric of an object without a namespace, or with the name * of all that the selectors match",
        query: &OBJECT_QUERY,
    },
];

const EXTERNAL: Operation<'static> = Operation {
    path: "namespaces/{namespace}/{metric}",
    id: "NamespacedMetric",
    description: "read an external metric, an item for each group of labels",
    query: &["labelSelector"],
};

/// `metrics` get paths of their own beside the one that stands for all.
pub(super) fn paths(notation: Notation, subject: Subject, metrics: &[&str]) -> Map<String, Value> {
    let root = format!("/apis/{}/{}/", subject.group(), subject.version());
    let mut paths = Map::new();
    paths.insert(root.clone(), json!({ "get": list_of_resources(notation, subject) }));
    let mut insert = |operation: &Operation<'_>| {
        paths.insert(format!("{root}{}", operation.path), operation.item(notation, subject));
    };
    match subject {
        Subject::Custom(_) => CUSTOM.iter().for_each(insert),
        Subject::External => {
            insert(&EXTERNAL);
            for metric in metrics {
                let path = format!("namespaces/{{namespace}}/{metric}");
                insert(&Operation { path: &path, id: &format!("NamespacedMetric_{metric}"), ..EXTERNAL });
            }
        }
    }
    paths
}

fn list_of_resources(notation: Notation, subject: Subject) -> Value {
    let schema = json!({ "type": "object", "description": "An APIResourceList of meta/v1." });
    with_formats(
        notation,
        json!({
            "description": "list the metrics there are",
            "operationId": format!("get{}APIResources", name(subject)),
            "tags": [tag(subject)],
            "responses": { "200": notation.answer("OK", &schema) },
        }),
    )
}

/// OpenAPI 2 says for each operation what 3 says for each answer, or not at all.
fn with_formats(notation: Notation, mut operation: Value) -> Value {
    if matches!(notation, Notation::V2) {
        operation["produces"] = json!(["application/json"]);
        operation["schemes"] = json!(["https"]);
    }
    operation
}

/// `CustomMetricsV1beta2`.
fn name(subject: Subject) -> String {
    let group = match subject {
        Subject::Custom(_) => "CustomMetrics",
        Subject::External => "ExternalMetrics",
    };
    format!("{group}{}", subject.version().replacen('v', "V", 1))
}

fn tag(subject: Subject) -> String {
    let mut name = name(subject).replace("V1", "_v1");
    name[..1].make_ascii_lowercase();
    name
}

// === impl Operation ===

impl Operation<'_> {
    /// A path item.
    fn item(&self, notation: Notation, subject: Subject) -> Value {
        let parameters = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = parameters.map(|name| notation.parameter(Place::Path, name, describe(name)));
        json!({ "get": self.get(notation, subject), "parameters": parameters.collect::<Vec<_>>() })
    }

    fn get(&self, notation: Notation, subject: Subject) -> Value {
        let kind = subject.list_kind();
        let list = notation.reference(&subject.schema_name(kind));
        let status =
            json!({ "type": "object", "description": "A Status of meta/v1 whose message says what is missing." });
        let query = self.query.iter().map(|name| notation.parameter(Place::Query, name, describe(name)));
        with_formats(
            notation,
            json!({
                "description": self.description,
                "operationId": format!("read{}{}", name(subject), self.id),
                "tags": [tag(subject)],
                "parameters": query.collect::<Vec<_>>(),
                "responses": {
                    "200": notation.answer("OK", &list),
                    "404": notation.answer("No value", &status),
                },
                // The verb that RBAC asks about: a request without the name of an object is a list.
                "x-kubernetes-action": match subject { Subject::Custom(_) => "get", Subject::External => "list" },
                "x-kubernetes-group-version-kind": subject.group_version_kind(kind),
            }),
        )
    }
}

fn describe(parameter: &str) -> &'static str {
    match parameter {
        "namespace" => "namespace of the object, or of the autoscaler that asks for an external metric",
        "resource" => "plural of the kind of the object, with its group behind a dot: pods, deployments.apps",
        "name" => "name of the object, or *",
        "metric" => "name of the metric",
        "fieldSelector" => "restricts the objects by metadata.name and metadata.namespace",
        "labelSelector" => "restricts the objects, or the items of an external metric, by their labels",
        _ => "chooses among what the metric is split by",
    }
}
