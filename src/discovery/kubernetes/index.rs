//! Everything known of the cluster. In: objects as watches report them. Out: the targets of a job, and the pods,
//! Services and Namespaces that exist.
//!
//! Never here: I/O, a clock, or an object of the API kept whole. The order of events does not matter: the same objects
//! give the same answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;

use super::answer::Answer;
use super::interner::Interner;
use super::monitors::{self, Monitors};
use super::namespace::{Monitor, Namespace};
use super::owner::{Middle, Workload};
use super::pod::Pod;
use super::reference::{Reference, references};
use super::service::{Service, Slice};
use super::sparse;
use crate::config::{Job, KubernetesSd, Omissions, Role};
use crate::model::{Cluster, ObjectReference, Reach, Resources, Target};

/// All objects of all watches, and the answers given last.
#[derive(Default)]
pub(in crate::discovery) struct Index {
    namespaces: BTreeMap<Arc<str>, Namespace>,
    resources: Arc<Resources>,
    interner: Interner,
    answers: Vec<Answer>,
    monitors: Monitors,
    /// Changes so far.
    version: u64,
}

/// An object as a watch reports it.
#[expect(clippy::large_enum_variant, reason = "objects are taken one at a time, and none is kept")]
pub(super) enum Watched {
    Pod(sparse::Pod),
    ReplicaSet(sparse::Metadata),
    Job(sparse::Metadata),
    Service(sparse::Service),
    EndpointSlice(sparse::EndpointSlice),
    Namespace(sparse::Metadata),
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

/// Namespace and name; of a Namespace the first does not matter.
pub(super) type ObjectName = (String, String);

/// Namespace and name of an object; a Namespace is in itself.
struct Place {
    namespace: Arc<str>,
    name: Arc<str>,
}

// === impl Index ===

impl Index {
    /// Takes an object as it is now. Returns whether something changed that an answer may rest on. An object without a
    /// name is none.
    pub(super) fn apply(&mut self, object: Watched) -> bool {
        let interner = &mut self.interner;
        let Some(place) = Place::of(object.kind(), object.metadata(), interner) else { return false };
        let known = self.namespaces.entry(place.namespace.clone()).or_default();
        let changed = set(known, object, &place, interner);
        if changed {
            self.version += 1;
            known.touch(self.version);
        }
        if known.is_empty() {
            self.namespaces.remove(&place.namespace);
        }
        changed
    }

    /// Forgets an object; the namespace of a Namespace does not matter.
    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        let namespace = if kind == Kind::Namespace { name } else { namespace };
        let Some(known) = self.namespaces.get_mut(namespace) else { return false };
        let changed = known.remove(kind, name);
        if changed {
            self.version += 1;
            known.touch(self.version);
        }
        if known.is_empty() {
            self.namespaces.remove(namespace);
        }
        changed
    }

    /// Forgets the objects of a kind that a list no longer has; `scope` is the namespace of the watch, `None` for all.
    pub(super) fn retain(&mut self, kind: Kind, scope: Option<&str>, listed: &HashSet<ObjectName>) -> bool {
        let listed: HashSet<(&str, &str)> = listed.iter().map(|(namespace, name)| (&**namespace, &**name)).collect();
        match kind {
            Kind::Namespace => {
                let names: HashSet<&str> = listed.into_iter().map(|(_, name)| name).collect();
                self.retain_in(kind, scope, |_, name| names.contains(name))
            }
            _ => self.retain_in(kind, scope, |namespace, name| listed.contains(&(namespace, name))),
        }
    }

    /// The plural resources of the kinds, as the API serves them.
    pub(super) fn set_resources(&mut self, resources: Arc<Resources>) -> bool {
        let changed = self.resources != resources;
        self.resources = resources;
        changed
    }

    /// The targets that a source of a job finds, ordered by namespace, pod and URL, and what it had to leave out. A
    /// target that did not change stays the same `Arc`.
    pub(in crate::discovery) fn targets(&mut self, job: &Job, sd: &KubernetesSd) -> (Vec<Arc<Target>>, Omissions) {
        self.settle();
        match sd.role {
            Role::Pod | Role::EndpointSlice => self.annotated(job, sd),
            Role::PodMonitor | Role::ServiceMonitor => self.monitors.targets(job, sd, &self.namespaces),
        }
    }

    /// The running pods that none of the `scraped` targets stands for, the Services and the Namespaces, of the
    /// namespaces within `reach`.
    ///
    /// To be asked after [`Self::targets`] of every source: answers to sources that were not asked for since the last
    /// time are forgotten.
    pub(in crate::discovery) fn cluster(&mut self, scraped: &[Arc<Target>], reach: Reach) -> Cluster {
        self.settle();
        self.answers.retain_mut(|answer| std::mem::take(&mut answer.is_wanted));
        self.monitors.retain_wanted();
        let scraped = scraped.iter().map(|target| &target.identity);
        let scraped: HashSet<_> = scraped.map(|identity| (&identity.namespace, identity.pod.as_ref())).collect();
        let mut cluster = Cluster { resources: self.resources.clone(), ..Cluster::default() };
        for (_, known) in self.namespaces.iter().filter(|(name, _)| reach.has(name)) {
            let identities = known.pods.values().map(|pod| &pod.identity);
            let others = identities.filter(|own| !scraped.contains(&(&own.namespace, own.pod.as_ref())));
            cluster.pods.extend(others.cloned());
            let services = known.services.values();
            cluster.objects.extend(known.own.clone());
            cluster.objects.extend(services.map(|service| (service.reference.clone(), service.labels.clone())));
        }
        cluster.reach = reach;
        cluster
    }

    /// Secrets that the monitors of these sources refer to.
    pub(super) fn secrets_wanted(&self, sds: &[KubernetesSd]) -> BTreeSet<ObjectName> {
        self.wanted(sds, |reference| match reference {
            Reference::Secret(name) => Some(name),
            Reference::ConfigMap(_) => None,
        })
    }

    /// ConfigMaps that the monitors of these sources refer to.
    pub(super) fn config_maps_wanted(&self, sds: &[KubernetesSd]) -> BTreeSet<ObjectName> {
        self.wanted(sds, |reference| match reference {
            Reference::ConfigMap(name) => Some(name),
            Reference::Secret(_) => None,
        })
    }

    /// Every namespace with what it has, in order. Owners and Services of its pods are those of the last
    /// [`Self::targets`] or [`Self::cluster`].
    pub(super) fn namespaces(&self) -> &BTreeMap<Arc<str>, Namespace> {
        &self.namespaces
    }

    /// Objects that monitors refer to, which lie in their own namespaces.
    fn wanted(&self, sds: &[KubernetesSd], is_meant: impl Fn(Reference<'_>) -> Option<&str>) -> BTreeSet<ObjectName> {
        let mut wanted = BTreeSet::new();
        for (namespace, known) in &self.namespaces {
            let monitors = sds.iter().flat_map(|sd| monitors::selected(sd, namespace, known));
            let names = monitors.flat_map(|(_, monitor)| references(&monitor.spec)).filter_map(&is_meant);
            wanted.extend(names.map(|name| (namespace.to_string(), name.to_owned())));
        }
        wanted
    }

    fn settle(&mut self) {
        self.namespaces.values_mut().for_each(|known| known.settle(&mut self.interner));
    }

    fn annotated(&mut self, job: &Job, sd: &KubernetesSd) -> (Vec<Arc<Target>>, Omissions) {
        let known = self.answers.iter().position(|answer| answer.is_to(job, sd));
        let place = known.unwrap_or_else(|| {
            self.answers.push(Answer::new(job, sd));
            self.answers.len() - 1
        });
        let answer = &mut self.answers[place];
        answer.is_wanted = true;
        answer.update(&self.namespaces);
        answer.all()
    }

    /// `keep` gets namespace and name.
    fn retain_in(&mut self, kind: Kind, scope: Option<&str>, keep: impl Fn(&str, &str) -> bool) -> bool {
        let before = self.version;
        self.namespaces.retain(|name, known| {
            let is_meant = scope.is_none_or(|scope| *scope == **name);
            if is_meant && known.retain(kind, |object| keep(name, object)) {
                self.version += 1;
                known.touch(self.version);
            }
            !known.is_empty()
        });
        self.version > before
    }
}

/// Takes an object into its namespace.
fn set(known: &mut Namespace, object: Watched, place: &Place, interner: &mut Interner) -> bool {
    let name = &place.name;
    match object {
        Watched::Pod(pod) => known.set_pod(name, Pod::read(pod, interner)),
        Watched::ReplicaSet(meta) => {
            known.set_workload(Middle::ReplicaSet, name, Workload::read(meta.metadata, interner))
        }
        Watched::Job(meta) => known.set_workload(Middle::Job, name, Workload::read(meta.metadata, interner)),
        Watched::Service(service) => {
            replace(&mut known.services, name, Some(Service::read(service, &place.namespace, name, interner)))
        }
        Watched::EndpointSlice(slice) => {
            replace(&mut known.slices, name, Slice::read(slice, &place.namespace, interner))
        }
        Watched::Namespace(meta) => {
            let own = (reference(name, interner), interner.labels(meta.metadata.labels));
            known.own.replace(own.clone()) != Some(own)
        }
        Watched::PodMonitor(monitor) => replace(&mut known.pod_monitors, name, Some(Monitor::read(monitor, interner))),
        Watched::ServiceMonitor(monitor) => {
            replace(&mut known.service_monitors, name, Some(Monitor::read(monitor, interner)))
        }
        Watched::Secret(secret) => replace(&mut known.secrets, name, Some(secret.into())),
        Watched::ConfigMap(map) => replace(&mut known.config_maps, name, Some(map.into())),
    }
}

/// Puts an object in the place of the one known, or takes that away. Returns whether it makes a difference.
fn replace<V: PartialEq>(objects: &mut BTreeMap<Arc<str>, V>, name: &Arc<str>, object: Option<V>) -> bool {
    match object {
        Some(object) if objects.get(name) == Some(&object) => false,
        Some(object) => {
            objects.insert(name.clone(), object);
            true
        }
        None => objects.remove(name).is_some(),
    }
}

fn reference(name: &Arc<str>, interner: &mut Interner) -> Arc<ObjectReference> {
    let (api_version, kind) = (interner.text("v1"), interner.text("Namespace"));
    Arc::new(ObjectReference { api_version, kind, namespace: None, name: name.clone() })
}

// === impl Watched ===

impl Watched {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Pod(_) => Kind::Pod,
            Self::ReplicaSet(_) => Kind::ReplicaSet,
            Self::Job(_) => Kind::Job,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Namespace(_) => Kind::Namespace,
            Self::PodMonitor(_) => Kind::PodMonitor,
            Self::ServiceMonitor(_) => Kind::ServiceMonitor,
            Self::Secret(_) => Kind::Secret,
            Self::ConfigMap(_) => Kind::ConfigMap,
        }
    }

    pub(super) fn name(&self) -> ObjectName {
        let metadata = self.metadata();
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Pod(object) => &object.metadata,
            Self::ReplicaSet(object) | Self::Job(object) | Self::Namespace(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::EndpointSlice(object) => &object.metadata,
            Self::PodMonitor(object) | Self::ServiceMonitor(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
            Self::ConfigMap(object) => &object.metadata,
        }
    }
}

// === impl Place ===

impl Place {
    fn of(kind: Kind, metadata: &ObjectMeta, interner: &mut Interner) -> Option<Self> {
        let name = metadata.name.as_deref()?;
        let namespace = if kind == Kind::Namespace { name } else { metadata.namespace.as_deref()? };
        Some(Self { namespace: interner.text(namespace), name: interner.text(name) })
    }
}

#[cfg(test)]
mod tests;
