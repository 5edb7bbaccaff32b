//! What a monitor made of its candidates last time. In: candidates. Out: the same again for those that are as they were,
//! since rules cost far more than a look. What a monitor no longer looks at is forgotten.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::discovery::kubernetes::annotations::Annotations;
use crate::discovery::kubernetes::meta_labels::{Behind, Candidate};
use crate::discovery::kubernetes::service::{Family, SlicePort};
use crate::model::{Identity, Labels, ObjectReference, Target};

/// Outcomes by everything that they rest on.
#[derive(Default)]
pub(super) struct Outcomes(HashMap<Key, Outcome>);

/// A target; nothing where rules drop it; or what is wrong with it.
pub(super) type Outcome = Result<Option<Arc<Target>>, Arc<str>>;

/// An endpoint of the monitor, and a candidate.
pub(super) struct Key {
    endpoint: usize,
    /// Whose address in memory stands for the record of the pod: a pod that changed has another identity.
    identity: Arc<Identity>,
    address: IpAddr,
    port: Option<u16>,
    /// Addresses of a container in that record, and of its port.
    container: Option<(usize, Option<usize>)>,
    service: Option<Box<Service>>,
}

/// What rules may look at of a Service and of the slice that led from it to the pod.
#[derive(PartialEq)]
struct Service {
    reference: Arc<ObjectReference>,
    labels: Labels,
    annotations: Annotations,
    slice: Labels,
    family: Family,
    port: Option<SlicePort>,
}

// === impl Outcomes ===

impl Outcomes {
    pub(super) fn take(&mut self, key: &Key) -> Option<Outcome> {
        self.0.remove(key)
    }

    pub(super) fn insert(&mut self, key: Key, outcome: Outcome) {
        self.0.insert(key, outcome);
    }
}

// === impl Key ===

impl Key {
    pub(super) fn of(endpoint: usize, candidate: &Candidate<'_>) -> Self {
        let Candidate { pod, address, port, container, service } = *candidate;
        let container = container.map(|(container, port)| (place(container), port.map(place)));
        let (identity, service) = (pod.identity.clone(), service.map(|behind| Box::new(Service::of(&behind))));
        Self { endpoint, identity, address, port, container, service }
    }

    fn parts(&self) -> impl PartialEq + '_ {
        let Self { endpoint, identity, address, port, container, service } = self;
        (endpoint, Arc::as_ptr(identity), address, port, container, service)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.endpoint, Arc::as_ptr(&self.identity), self.port).hash(hasher);
    }
}

fn place<T>(part: &T) -> usize {
    std::ptr::from_ref(part).addr()
}

// === impl Service ===

impl Service {
    fn of(behind: &Behind<'_>) -> Self {
        let Behind { service, slice, port, .. } = behind;
        Self {
            reference: service.reference.clone(),
            labels: service.labels.clone(),
            annotations: service.annotations.clone(),
            slice: slice.labels.clone(),
            family: slice.family,
            port: port.cloned(),
        }
    }
}
