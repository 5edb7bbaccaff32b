//! What this server serves, said in the forms that clients and the aggregator ask for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::types::CustomVersion;
use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP, EXTERNAL_VERSION};
use crate::provider::View;

pub(super) const AGGREGATED_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `GET /`: the paths there are, `pages` among them.
pub(super) fn index(pages: &[String]) -> Value {
    let mut paths: Vec<String> = ["/apis", "/openapi/v2", "/openapi/v3", "/version"].map(str::to_owned).into();
    paths.extend([CUSTOM_GROUP, EXTERNAL_GROUP].map(|group| format!("/apis/{group}")));
    for (group, version) in group_versions() {
        paths.extend(["", "/openapi/v3"].map(|root| format!("{root}/apis/{group}/{version}")));
    }
    paths.extend_from_slice(pages);
    paths.sort();
    json!({ "paths": paths })
}

/// Every group and version that is served.
pub(super) fn group_versions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = |group| versions(group).into_iter().map(move |version| (group, version));
    [CUSTOM_GROUP, EXTERNAL_GROUP].into_iter().flat_map(all)
}

/// `GET /version`, in the form that `kubectl version` reads.
pub(super) fn version() -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = version.split('.');
    json!({
        "major": parts.next(), "minor": parts.next(), "gitVersion": format!("v{version}"),
        "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `GET /apis`: an `APIGroupList`.
pub(super) fn groups() -> Value {
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [entry(CUSTOM_GROUP), entry(EXTERNAL_GROUP)] })
}

/// `GET /apis/<group>`: an `APIGroup`; `None` for a group that is not ours.
pub(super) fn group(name: &str) -> Option<Value> {
    if ![CUSTOM_GROUP, EXTERNAL_GROUP].contains(&name) {
        return None;
    }
    let mut group = json!({ "kind": "APIGroup", "apiVersion": "v1" });
    let entry = entry(name);
    for key in ["name", "versions", "preferredVersion"] {
        group[key] = entry[key].clone();
    }
    Some(group)
}

fn entry(group: &str) -> Value {
    let versions: Vec<_> = versions(group)
        .into_iter()
        .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
        .collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions[0] })
}

/// Preferred version first.
fn versions(group: &str) -> Vec<&'static str> {
    match group {
        CUSTOM_GROUP => CustomVersion::ALL.map(CustomVersion::name).to_vec(),
        _ => vec![EXTERNAL_VERSION],
    }
}

/// `GET /apis/custom.metrics.k8s.io/<version>`: an `APIResourceList`.
pub(super) fn custom_resources(view: &View<'_>, version: CustomVersion) -> Value {
    let resource = |(resource, metric): (crate::model::GroupResource, &str)| {
        json!({
            "name": format!("{resource}/{metric}"), "singularName": "", "namespaced": !resource.is_cluster_scoped(),
            "kind": "MetricValueList", "verbs": ["get"],
        })
    };
    let resources: Vec<_> = view.custom_metrics().into_iter().map(resource).collect();
    resource_list(CUSTOM_GROUP, version.name(), &resources)
}

/// `GET /apis/external.metrics.k8s.io/v1beta1`: an `APIResourceList`.
pub(super) fn external_resources(view: &View<'_>) -> Value {
    let resource = |metric| json!({ "name": metric, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"] });
    let resources: Vec<_> = view.external_metrics().map(resource).collect();
    resource_list(EXTERNAL_GROUP, EXTERNAL_VERSION, &resources)
}

fn resource_list(group: &str, version: &str, resources: &[Value]) -> Value {
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("{group}/{version}"), "resources": resources,
    })
}

/// `GET /apis` as an `APIGroupDiscoveryList`.
pub(super) fn aggregated(view: &View<'_>) -> Value {
    let custom = custom_discovery(view);
    let external = external_discovery(view);
    let item = |group: &str, resources: &[Value]| {
        let version = |version| json!({ "version": version, "freshness": "Current", "resources": resources });
        let versions: Vec<_> = versions(group).into_iter().map(version).collect();
        json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
    };
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [item(CUSTOM_GROUP, &custom), item(EXTERNAL_GROUP, &external)],
    })
}

/// Metrics as subresources of resources that have no operation of their own. Go writes their verbs as null, which clients
/// in other languages do not take for a list.
fn custom_discovery(view: &View<'_>) -> Vec<Value> {
    let mut by_resource: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for (resource, metric) in view.custom_metrics() {
        let kind = json!({ "group": "", "version": "", "kind": "MetricValueList" });
        let subresource = json!({ "subresource": metric, "responseKind": kind, "verbs": ["get"] });
        by_resource.entry(resource).or_default().push(subresource);
    }
    let resource = |(resource, subresources): (crate::model::GroupResource, Vec<Value>)| {
        json!({
            "resource": resource.to_string(), "responseKind": { "group": "", "version": "", "kind": "" },
            "scope": if resource.is_cluster_scoped() { "Cluster" } else { "Namespaced" },
            "singularResource": "", "verbs": [], "subresources": subresources,
        })
    };
    by_resource.into_iter().map(resource).collect()
}

fn external_discovery(view: &View<'_>) -> Vec<Value> {
    let kind = json!({ "group": "", "version": "", "kind": "ExternalMetricValueList" });
    let resource = |metric| json!({ "resource": metric, "responseKind": kind, "scope": "Namespaced", "singularResource": "", "verbs": ["get"] });
    view.external_metrics().map(resource).collect()
}
