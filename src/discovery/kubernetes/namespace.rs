//! What is known of one namespace. In: its objects. Out: the same as records, each pod with its owners and Services.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::core::DynamicObject;

use super::index::Kind;
use super::interner::Interner;
use super::material::Material;
use super::owner::{Middle, Workload, Workloads};
use super::pod::Pod;
use super::service::{Endpoint, Service, Slice};
use crate::model::{Identity, Labels, ObjectReference, OwnerReference};

/// The objects of a namespace by their names.
#[derive(Default)]
pub(super) struct Namespace {
    /// The Namespace itself; `None` while only objects in it are known.
    pub own: Option<(Arc<ObjectReference>, Labels)>,
    /// Boxed: in order of their names, half of a node of the tree stays empty.
    pub pods: BTreeMap<Arc<str>, Box<Pod>>,
    pub workloads: Workloads,
    pub services: BTreeMap<Arc<str>, Service>,
    pub slices: BTreeMap<Arc<str>, Slice>,
    pub pod_monitors: BTreeMap<Arc<str>, Monitor>,
    pub service_monitors: BTreeMap<Arc<str>, Monitor>,
    pub secrets: BTreeMap<Arc<str>, Material>,
    pub config_maps: BTreeMap<Arc<str>, Material>,
    /// Grows with every change, over all namespaces and also over one that goes and comes back.
    pub version: u64,
    /// Whether every pod has the owners and Services it is known to have.
    is_settled: bool,
}

/// A PodMonitor or a ServiceMonitor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Monitor {
    pub labels: Labels,
    pub spec: serde_json::Value,
}

/// Endpoints by the pod they refer to, each with its Service.
type Endpoints<'s> = HashMap<&'s str, Vec<(&'s Endpoint, &'s Arc<str>)>>;

// === impl Namespace ===

impl Namespace {
    /// The slices of a Service, in order of their names.
    pub(super) fn slices_of<'n>(&'n self, service: &'n str) -> impl Iterator<Item = &'n Slice> {
        self.slices.values().filter(move |slice| &*slice.service == service)
    }

    /// The pod that an endpoint stands for, where it counts.
    pub(super) fn pod_of(&self, endpoint: &Endpoint) -> Option<&Pod> {
        self.pods.get(&endpoint.pod).map(|pod| &**pod).filter(|pod| endpoint.is(pod))
    }

    /// Takes a pod as it is now, `None` when it does not count. One that did not change stays as it is.
    pub(super) fn set_pod(&mut self, name: &Arc<str>, pod: Option<Pod>) -> bool {
        let known = self.pods.get(name);
        match pod {
            Some(pod) if known.is_some_and(|known| known.is_like(&pod)) => false,
            Some(pod) => {
                self.pods.insert(name.clone(), Box::new(pod));
                true
            }
            None => self.pods.remove(name).is_some(),
        }
    }

    pub(super) fn set_workload(&mut self, middle: Middle, name: &Arc<str>, workload: Workload) -> bool {
        let place = (middle, name.clone());
        if self.workloads.get(&place) == Some(&workload) {
            return false;
        }
        self.workloads.insert(place, workload);
        true
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Pod => self.pods.remove(name).is_some(),
            Kind::ReplicaSet => self.workloads.remove(&(Middle::ReplicaSet, name.into())).is_some(),
            Kind::Job => self.workloads.remove(&(Middle::Job, name.into())).is_some(),
            Kind::Service => self.services.remove(name).is_some(),
            Kind::EndpointSlice => self.slices.remove(name).is_some(),
            Kind::Namespace => self.own.take().is_some(),
            Kind::PodMonitor => self.pod_monitors.remove(name).is_some(),
            Kind::ServiceMonitor => self.service_monitors.remove(name).is_some(),
            Kind::Secret => self.secrets.remove(name).is_some(),
            Kind::ConfigMap => self.config_maps.remove(name).is_some(),
        }
    }

    /// Forgets the objects of a kind whose names are not among those to `keep`.
    pub(super) fn retain(&mut self, kind: Kind, keep: impl Fn(&str) -> bool) -> bool {
        match kind {
            Kind::Pod => retain(&mut self.pods, keep),
            Kind::ReplicaSet => self.retain_workloads(Middle::ReplicaSet, keep),
            Kind::Job => self.retain_workloads(Middle::Job, keep),
            Kind::Service => retain(&mut self.services, keep),
            Kind::EndpointSlice => retain(&mut self.slices, keep),
            Kind::Namespace => self.own.take_if(|(own, _)| !keep(&own.name)).is_some(),
            Kind::PodMonitor => retain(&mut self.pod_monitors, keep),
            Kind::ServiceMonitor => retain(&mut self.service_monitors, keep),
            Kind::Secret => retain(&mut self.secrets, keep),
            Kind::ConfigMap => retain(&mut self.config_maps, keep),
        }
    }

    fn retain_workloads(&mut self, middle: Middle, keep: impl Fn(&str) -> bool) -> bool {
        let before = self.workloads.len();
        self.workloads.retain(|(of, name), _| *of != middle || keep(name));
        self.workloads.len() < before
    }

    /// Notes that something changed.
    pub(super) fn touch(&mut self, version: u64) {
        self.version = version;
        self.is_settled = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        let monitors = self.pod_monitors.is_empty() && self.service_monitors.is_empty();
        let materials = self.secrets.is_empty() && self.config_maps.is_empty();
        let services = self.services.is_empty() && self.slices.is_empty();
        self.own.is_none() && self.pods.is_empty() && self.workloads.is_empty() && monitors && materials && services
    }

    /// Gives every pod its owners and Services. A pod that has them already keeps its identity.
    pub(super) fn settle(&mut self, interner: &mut Interner) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let endpoints = endpoints(&self.slices);
        // Controllers are shared, so that their addresses tell them apart.
        let mut chains = HashMap::new();
        for (name, pod) in &mut self.pods {
            let owners = pod.controller.as_ref().map_or_else(Arc::default, |controller| {
                let chain = || interner.owners.intern(controller.chain(&self.workloads, &pod.identity.labels).into());
                Arc::clone(chains.entry(Arc::as_ptr(controller)).or_insert_with(chain))
            });
            let services = interner.services.intern(services(pod, endpoints.get(&**name)));
            pod.join(owners, services);
        }
    }
}

fn retain<V>(objects: &mut BTreeMap<Arc<str>, V>, keep: impl Fn(&str) -> bool) -> bool {
    let before = objects.len();
    objects.retain(|name, _| keep(name));
    objects.len() < before
}

fn endpoints(slices: &BTreeMap<Arc<str>, Slice>) -> Endpoints<'_> {
    let mut endpoints = Endpoints::new();
    for slice in slices.values() {
        for endpoint in &slice.endpoints {
            endpoints.entry(&endpoint.pod).or_default().push((endpoint, &slice.service));
        }
    }
    endpoints
}

/// The Services whose endpoints mean the pod, in order of their names, each once.
fn services(pod: &Pod, endpoints: Option<&Vec<(&Endpoint, &Arc<str>)>>) -> Arc<[Arc<str>]> {
    let meant = endpoints.into_iter().flatten().filter(|(endpoint, _)| endpoint.is(pod));
    let mut services: Vec<Arc<str>> = meant.map(|(_, service)| Arc::clone(service)).collect();
    services.sort_unstable();
    services.dedup();
    services.into()
}

// === impl Monitor ===

impl Monitor {
    pub(super) fn read(mut monitor: DynamicObject, interner: &mut Interner) -> Self {
        let spec = monitor.data.get_mut("spec").map(serde_json::Value::take).unwrap_or_default();
        Self { labels: interner.labels(monitor.metadata.labels), spec }
    }
}

// === impl Pod ===

impl Pod {
    /// Keeps the identity where it says the same.
    fn join(&mut self, owners: Arc<[OwnerReference]>, services: Arc<[Arc<str>]>) {
        if self.identity.owners != owners || self.identity.services != services {
            self.identity = Arc::new(Identity { owners, services, ..(*self.identity).clone() });
        }
    }
}
