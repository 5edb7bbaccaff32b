//! The OpenAPI documents: one of version 3 for each group and version with their index, and one of version 2 for all.
//!
//! `kubectl explain` reads them, and the kube-apiserver takes them over into its own. Types of Kubernetes that are not
//! of our groups are written out where they are used: a definition under their name would have to equal the one of the
//! kube-apiserver, which changes from release to release. The metrics themselves appear in version 3 only, as paths of
//! the external API: what `kubectl explain` is asked for. Version 2 never changes while the program runs, since the
//! kube-apiserver merges all of its documents again for each change.

mod notation;
mod operations;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::api::discovery::group_versions;
use crate::api::document::Document;
use crate::api::types::CustomVersion;
use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP, EXTERNAL_VERSION};
use crate::provider::View;
use notation::Notation;

/// What is documented: one version of one group.
#[derive(Clone, Copy)]
enum Subject {
    Custom(CustomVersion),
    External,
}

static V2: LazyLock<Document> = LazyLock::new(|| {
    let subjects = || group_versions().filter_map(|(group, version)| Subject::parse(group, version));
    let merge = |part: fn(Subject) -> Map<String, Value>| subjects().flat_map(part).collect::<Map<_, _>>();
    Document::new(&json!({
        "swagger": "2.0", "info": info(),
        "paths": merge(|subject| operations::paths(Notation::V2, subject, &[])),
        "definitions": merge(|subject| schemas::definitions(Notation::V2, subject)),
    }))
});

/// `GET /openapi/v2`.
pub(super) fn v2() -> &'static Document {
    &V2
}

/// `GET /openapi/v3`: where the documents are. Nothing but our groups: the kube-apiserver would take any other entry
/// for its own document of that path.
pub(super) fn index(view: &View<'_>) -> Document {
    let address = |(group, version)| {
        let document = v3(view, group, version)?;
        let url = format!("/openapi/v3/apis/{group}/{version}?hash={}", document.hash());
        Some((format!("apis/{group}/{version}"), json!({ "serverRelativeURL": url })))
    };
    let paths: Map<String, Value> = group_versions().filter_map(address).collect();
    Document::new(&json!({ "paths": paths }))
}

/// `GET /openapi/v3/apis/<group>/<version>`; `None` for what is not served.
///
/// Made anew each time: the kube-apiserver asks once a minute, and the metrics are those of the current configuration.
pub(super) fn v3(view: &View<'_>, group: &str, version: &str) -> Option<Document> {
    let subject = Subject::parse(group, version)?;
    let metrics: Vec<&str> = view.external_metrics().collect();
    Some(Document::new(&json!({
        "openapi": "3.0.0", "info": info(),
        "paths": operations::paths(Notation::V3, subject, &metrics),
        "components": { "schemas": schemas::definitions(Notation::V3, subject) },
    })))
}

fn info() -> Value {
    json!({ "title": "Plimsoll", "version": env!("CARGO_PKG_VERSION") })
}

// === impl Subject ===

impl Subject {
    fn parse(group: &str, version: &str) -> Option<Self> {
        match group {
            CUSTOM_GROUP => CustomVersion::parse(version).map(Self::Custom),
            EXTERNAL_GROUP if version == EXTERNAL_VERSION => Some(Self::External),
            _ => None,
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Custom(_) => CUSTOM_GROUP,
            Self::External => EXTERNAL_GROUP,
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Custom(version) => version.name(),
            Self::External => EXTERNAL_VERSION,
        }
    }

    /// Kind of the lists that are answered.
    fn list_kind(self) -> &'static str {
        match self {
            Self::Custom(_) => "MetricValueList",
            Self::External => "ExternalMetricValueList",
        }
    }

    /// `x-kubernetes-group-version-kind` of a kind of this group and version.
    fn group_version_kind(self, kind: &str) -> Value {
        json!({ "group": self.group(), "kind": kind, "version": self.version() })
    }

    /// The name of a type, as in documents of servers written in Go: its package in `k8s.io/metrics`.
    fn schema_name(self, kind: &str) -> String {
        let package = match self {
            Self::Custom(_) => "custom_metrics",
            Self::External => "external_metrics",
        };
        format!("io.k8s.metrics.pkg.apis.{package}.{}.{kind}", self.version())
    }
}
