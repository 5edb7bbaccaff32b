//! The kinds that are watched, as the API names them, and which of them a source of targets rests on.

use kube::core::ApiResource;

use super::index::Kind;
use super::watches;
use crate::config::{KubernetesSd, Role};

/// What an account must be allowed for some sources: [`VERBS`] on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Empty for the core.
    pub group: &'static str,
    pub resource: &'static str,
    /// `None` for all namespaces.
    pub namespace: Option<String>,
    /// Single objects are read where a monitor names them, and else it is not needed.
    pub is_for_references: bool,
}

/// Group of the monitors of the Prometheus operator.
const MONITORING: &str = "monitoring.coreos.com";

/// Read for every role: pods, what owns them, and what selects and holds them.
pub(super) const ALWAYS: [Kind; 6] =
    [Kind::Pod, Kind::ReplicaSet, Kind::Job, Kind::Service, Kind::EndpointSlice, Kind::Namespace];

/// Watched as a whole; of the others single objects are.
pub(super) const WHOLE: [Kind; 8] = [
    Kind::Pod,
    Kind::ReplicaSet,
    Kind::Job,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Namespace,
    Kind::PodMonitor,
    Kind::ServiceMonitor,
];

/// Of these single objects are watched, which monitors name.
const SINGLE: [Kind; 2] = [Kind::Secret, Kind::ConfigMap];

/// What is asked of the API for every kind that is watched, and nothing else is.
pub const VERBS: [&str; 2] = ["list", "watch"];

/// Group and plural of everything that is watched: what an account must be allowed for all roles together.
pub fn resources() -> impl Iterator<Item = (&'static str, &'static str)> {
    WHOLE.into_iter().chain(SINGLE).map(|kind| (kind.group(), kind.resource()))
}

/// The same as needs, in all namespaces.
pub fn every_need() -> impl Iterator<Item = Need> {
    let need = |kind: Kind| Need {
        group: kind.group(),
        resource: kind.resource(),
        namespace: None,
        is_for_references: SINGLE.contains(&kind),
    };
    WHOLE.into_iter().chain(SINGLE).map(need)
}

/// What these sources need, and no more.
pub fn needs(sds: &[KubernetesSd]) -> Vec<Need> {
    let need = |kind: Kind, namespace, is_for_references| Need {
        group: kind.group(),
        resource: kind.resource(),
        namespace,
        is_for_references,
    };
    let wanted = watches::wanted(sds);
    let monitored = wanted.iter().filter(|scope| scope.kind.is_optional());
    let references = monitored.flat_map(|scope| SINGLE.map(|kind| need(kind, scope.namespace.clone(), true)));
    let whole = wanted.iter().map(|scope| need(scope.kind, scope.namespace.clone(), false));
    let mut needs: Vec<Need> = whole.chain(references).collect();
    needs.sort();
    needs.dedup();
    needs
}

// === impl Role ===

impl Role {
    /// The kind that is read for this role alone.
    pub(super) fn own_kind(self) -> Option<Kind> {
        match self {
            Self::Pod | Self::EndpointSlice => None,
            Self::PodMonitor => Some(Kind::PodMonitor),
            Self::ServiceMonitor => Some(Kind::ServiceMonitor),
        }
    }

    /// Whether a source of this role rests on a kind.
    pub(super) fn reads(self, kind: Kind) -> bool {
        let of_monitors = SINGLE.contains(&kind) && self.own_kind().is_some();
        ALWAYS.contains(&kind) || self.own_kind() == Some(kind) || of_monitors
    }
}

// === impl Kind ===

impl Kind {
    /// API group; empty for the core.
    pub(super) fn group(self) -> &'static str {
        match self {
            Self::ReplicaSet => "apps",
            Self::Job => "batch",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::PodMonitor | Self::ServiceMonitor => MONITORING,
            Self::Pod | Self::Service | Self::Namespace | Self::Secret | Self::ConfigMap => "",
        }
    }

    /// The plural in paths, rules and metrics.
    pub(super) fn resource(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::ReplicaSet => "replicasets",
            Self::Job => "jobs",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Namespace => "namespaces",
            Self::PodMonitor => "podmonitors",
            Self::ServiceMonitor => "servicemonitors",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
        }
    }

    /// Whether a cluster may well not have the kind.
    pub(super) fn is_optional(self) -> bool {
        matches!(self, Self::PodMonitor | Self::ServiceMonitor)
    }

    /// The kind of a monitor, which no library knows.
    pub(super) fn api_resource(self) -> ApiResource {
        ApiResource {
            group: self.group().into(),
            version: "v1".into(),
            api_version: format!("{}/v1", self.group()),
            kind: format!("{self:?}"),
            plural: self.resource().into(),
        }
    }
}
