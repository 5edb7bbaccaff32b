//! What is kept of a Pod. In: the object of the API. Out: a record whose parts are shared between pods, or nothing
//! where the pod does not count: the autoscaler takes pods that are pending, done or being deleted as not ready or not
//! there, and what they did is moving to others.

use std::net::IpAddr;
use std::sync::Arc;

use super::annotations::Annotations;
use super::interner::Interner;
use super::owner::Controller;
use super::sparse;
use super::uid::Uid;
use crate::model::Identity;

/// A pod that runs, has an address and is not being deleted.
#[derive(Debug, PartialEq)]
pub(super) struct Pod {
    /// Namespace, name, owners up the chain as far as they are known, Services, node and labels.
    pub identity: Arc<Identity>,
    /// Which life of the name it is: a pod of a `StatefulSet` comes back under its name.
    pub uid: Uid,
    /// `status.podIP`.
    pub address: IpAddr,
    /// The rest of `status.podIPs`: of a pod in two networks the address of the other family.
    pub other_addresses: Box<[IpAddr]>,
    pub annotations: Annotations,
    /// The containers, then the init containers that keep running, each in order of the object.
    pub containers: Arc<[Container]>,
    /// The owner reference with `controller: true`.
    pub controller: Option<Arc<Controller>>,
}

/// A container of a pod, as far as discovery looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Container {
    pub name: Arc<str>,
    pub image: Arc<str>,
    /// An init container that keeps running beside the others (`restartPolicy: Always`).
    pub is_sidecar: bool,
    pub ports: Box<[ContainerPort]>,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContainerPort {
    pub name: Option<Arc<str>>,
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

// === impl Pod ===

impl Pod {
    /// `None` for a pod that does not count. Owners above the controller and Services are not looked for here.
    pub(super) fn read(pod: sparse::Pod, interner: &mut Interner) -> Option<Self> {
        let (metadata, spec, status) = (pod.metadata, pod.spec?, pod.status?);
        if metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
            return None;
        }
        let (address, other_addresses) = addresses(&status)?;
        let identity = Identity {
            namespace: interner.text(&metadata.namespace?),
            pod: Some(interner.text(&metadata.name?)),
            owners: Arc::default(),
            services: Arc::default(),
            node: spec.node_name.as_deref().map(|node| interner.text(node)),
            labels: interner.labels(metadata.labels),
        };
        Some(Self {
            identity: Arc::new(identity),
            uid: Uid::read(metadata.uid.as_deref().unwrap_or_default()),
            address,
            other_addresses,
            annotations: Annotations::read(metadata.annotations, interner),
            containers: containers(spec, interner),
            controller: Controller::read(metadata.owner_references, interner),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        self.identity.pod.as_ref().expect("the identity of a pod names it")
    }

    /// `status.podIPs`.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.address).chain(self.other_addresses.iter().copied())
    }

    /// The TCP ports that its containers declare, each once, in order of the object.
    pub(super) fn tcp_ports(&self) -> Vec<u16> {
        let ports = self.containers.iter().flat_map(|container| &container.ports);
        let mut numbers = Vec::new();
        for port in ports.filter(|port| &*port.protocol == "TCP") {
            if !numbers.contains(&port.number) {
                numbers.push(port.number);
            }
        }
        numbers
    }

    /// Whether the records are alike but for what [`Self::read`] does not look for.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let own = |pod: &Self| (pod.uid, pod.address, pod.identity.node.clone());
        own(self) == own(other)
            && self.other_addresses == other.other_addresses
            && self.identity.labels == other.identity.labels
            && self.annotations == other.annotations
            && self.containers == other.containers
            && self.controller == other.controller
    }
}

/// The address of the pod and its further ones; `None` while it has none.
fn addresses(status: &sparse::PodStatus) -> Option<(IpAddr, Box<[IpAddr]>)> {
    let several = status.pod_ips.iter().flatten().map(|address| address.ip.as_str());
    let mut all: Vec<IpAddr> = Vec::new();
    for address in status.pod_ip.as_deref().into_iter().chain(several).filter_map(|text| text.parse().ok()) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let (first, others) = all.split_first()?;
    Some((*first, others.into()))
}

fn containers(spec: sparse::PodSpec, interner: &mut Interner) -> Arc<[Container]> {
    let sidecars = spec.init_containers.into_iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let all = spec.containers.into_iter().flatten().map(|container| (container, false));
    let all = all.chain(sidecars.map(|container| (container, true)));
    let read: Arc<[Container]> =
        all.map(|(container, sidecar)| Container::read(container, sidecar, interner)).collect();
    interner.containers.intern(read)
}

// === impl Container ===

impl Container {
    fn read(container: sparse::Container, is_sidecar: bool, interner: &mut Interner) -> Self {
        let ports = container.ports.into_iter().flatten().filter_map(|port| {
            Some(ContainerPort {
                name: port.name.as_deref().map(|name| interner.text(name)),
                number: port_number(port.container_port)?,
                protocol: interner.text(port.protocol.as_deref().unwrap_or("TCP")),
            })
        });
        let ports = ports.collect();
        let image = interner.text(container.image.as_deref().unwrap_or_default());
        Self { name: interner.text(&container.name), image, is_sidecar, ports }
    }
}

/// `None` for what is no port, which kube-apiserver does not let through.
pub(super) fn port_number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number > 0)
}
