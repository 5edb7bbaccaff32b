//! The ports of pods that an endpoint of a monitor means, as prometheus-operator's own rules choose them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::endpoint::{Endpoint, Port};
use super::{Count, Monitor};
use crate::discovery::kubernetes::answer::Mistakes;
use crate::discovery::kubernetes::meta_labels::{Behind, Candidate};
use crate::discovery::kubernetes::namespace::Namespace;
use crate::discovery::kubernetes::pod::{Container, ContainerPort, Pod};
use crate::discovery::kubernetes::service::{Service, Slice};

// === impl Monitor ===

impl Monitor {
    pub(super) fn candidates<'n>(
        &self,
        endpoint: &Endpoint,
        namespace: &'n Namespace,
        mistakes: &mut Mistakes,
    ) -> (Vec<Candidate<'n>>, Count) {
        let mut all = match self.name.of_services {
            true => self.of_services(namespace, mistakes),
            false => self.of_pods(namespace),
        };
        let selected: BTreeSet<_> = all.iter().map(|candidate| candidate.pod.name()).collect();
        let selected = selected.len();
        all.retain(|candidate| endpoint.port.means(candidate));
        let meant = all.len();
        (all, Count { selected, meant })
    }

    fn of_pods<'n>(&self, namespace: &'n Namespace) -> Vec<Candidate<'n>> {
        let pods = namespace.pods.values().filter(|pod| self.selector.matches(|key| pod.identity.labels.get(key)));
        pods.flat_map(|pod| {
            let ports = pod.containers.iter().flat_map(ports);
            ports.map(move |(container, port)| Candidate {
                pod,
                address: pod.address,
                port: port.map(|port| port.number),
                container: Some((container, port)),
                service: None,
            })
        })
        .collect()
    }

    fn of_services<'n>(&self, namespace: &'n Namespace, mistakes: &mut Mistakes) -> Vec<Candidate<'n>> {
        let services = namespace.services.iter();
        let selected = services.filter(|(_, service)| self.selector.matches(|key| service.labels.get(key)));
        let mut found = Vec::new();
        for (name, service) in selected {
            let slices: Vec<&Slice> = namespace.slices_of(name).collect();
            let foreign: usize = slices.iter().map(|slice| slice.foreign).sum();
            if foreign > 0 {
                let object = format!(
                    "{}, Service {}/{name}",
                    self.name,
                    service.reference.namespace.as_deref().unwrap_or_default()
                );
                let sentence =
                    format!("{foreign} of its endpoints refer to no pod of the namespace, and are not scraped");
                mistakes.note(object.clone(), object, sentence);
            }
            found.extend(behind(namespace, name, service, &slices));
        }
        found
    }
}

/// The ports that a container declares, or that it declares none: rules may know better.
fn ports(container: &Container) -> impl Iterator<Item = (&Container, Option<&ContainerPort>)> {
    let none = container.ports.is_empty().then_some((container, None));
    container.ports.iter().map(move |port| (container, Some(port))).chain(none)
}

/// The pods behind a Service: each port of the Service once, whatever networks it is in, then the other ports that
/// their containers declare.
fn behind<'n>(
    namespace: &'n Namespace,
    name: &'n str,
    service: &'n Service,
    slices: &[&'n Slice],
) -> Vec<Candidate<'n>> {
    let mut found: BTreeMap<(&str, u16, &str), Candidate<'n>> = BTreeMap::new();
    let mut pods = BTreeMap::new();
    for slice in slices {
        for pod in slice.endpoints.iter().filter_map(|endpoint| namespace.pod_of(endpoint)) {
            pods.entry(pod.name()).or_insert((pod, *slice));
            let address = address(pod, slice);
            for port in &slice.ports {
                let candidate = Candidate {
                    pod,
                    address,
                    port: Some(port.number),
                    container: declared(pod, port.number),
                    service: Some(Behind { name, service, slice, port: Some(port) }),
                };
                let place = (&**pod.name(), port.number, &*port.name);
                // Of two addresses of a pod that of `status.podIP` goes first.
                if address == pod.address || !found.contains_key(&place) {
                    found.insert(place, candidate);
                }
            }
        }
    }
    let served: BTreeSet<(&str, u16)> = found.keys().map(|(pod, number, _)| (*pod, *number)).collect();
    let others = pods.into_values().flat_map(|(pod, slice)| {
        let declared =
            pod.containers.iter().flat_map(|container| container.ports.iter().map(move |port| (container, port)));
        declared.map(move |(container, port)| Candidate {
            pod,
            address: pod.address,
            port: Some(port.number),
            container: Some((container, Some(port))),
            service: Some(Behind { name, service, slice, port: None }),
        })
    });
    let others: Vec<_> =
        others.filter(|other| !served.contains(&(&**other.pod.name(), other.port.unwrap_or_default()))).collect();
    found.into_values().chain(others).collect()
}

/// The address of a pod in the network of a slice, or its first one.
fn address(pod: &Pod, slice: &Slice) -> IpAddr {
    pod.addresses().find(|address| slice.family.has(*address)).unwrap_or(pod.address)
}

fn declared(pod: &Pod, number: u16) -> Option<(&Container, Option<&ContainerPort>)> {
    let mut all = pod.containers.iter().flat_map(ports);
    all.find(|(_, port)| port.is_some_and(|port| port.number == number))
}

// === impl Port ===

impl Port {
    fn means(&self, candidate: &Candidate<'_>) -> bool {
        let declared = candidate.container.and_then(|(_, port)| port);
        match self {
            Self::All => true,
            Self::Service(name) => {
                candidate.service.and_then(|behind| behind.port).is_some_and(|port| *port.name == **name)
            }
            Self::Name(name) => declared.is_some_and(|port| port.name.as_deref() == Some(name)),
            Self::Number(number) => declared.is_some_and(|port| port.number == *number),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("a port"),
            Self::Service(name) => write!(f, "a port of the Service with the name {name:?}"),
            Self::Name(name) => write!(f, "a container port with the name {name:?}"),
            Self::Number(number) => write!(f, "a declared container port {number}"),
        }
    }
}
