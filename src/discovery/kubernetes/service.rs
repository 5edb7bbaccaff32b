//! What is kept of Services and their EndpointSlices. In: objects of the API. Out: records.
//!
//! An endpoint stands for a pod by its `targetRef`, never by its address, and only for one of its own namespace.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ServicePort as ApiServicePort;
use k8s_openapi::api::discovery::v1::{Endpoint as ApiEndpoint, EndpointPort as ApiEndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::annotations::Annotations;
use super::interner::Interner;
use super::pod::{Pod, port_number};
use super::sparse;
use super::uid::Uid;
use crate::model::{Labels, ObjectReference};

/// A Service, as far as discovery looks at it.
#[derive(Debug, PartialEq)]
pub(super) struct Service {
    pub reference: Arc<ObjectReference>,
    pub labels: Labels,
    pub annotations: Annotations,
    pub ports: Box<[ServicePort]>,
}

/// A port of a Service.
#[derive(Debug, PartialEq)]
pub(super) struct ServicePort {
    pub name: Option<Arc<str>>,
    pub number: u16,
    /// `targetPort` by number or by the name of a container port, as text.
    pub target: Option<Arc<str>>,
    pub protocol: Arc<str>,
}

/// A part of the endpoints of a Service.
#[derive(Debug, PartialEq)]
pub(super) struct Slice {
    /// The label `kubernetes.io/service-name`.
    pub service: Arc<str>,
    pub labels: Labels,
    pub family: Family,
    pub ports: Box<[SlicePort]>,
    pub endpoints: Box<[Endpoint]>,
    /// Endpoints that refer to no pod of the namespace.
    pub foreign: usize,
}

/// `addressType` of a slice that lists addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

/// A port that all endpoints of a slice have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SlicePort {
    /// Empty for the only port of a Service that gives it no name.
    pub name: Arc<str>,
    pub number: u16,
    pub protocol: Arc<str>,
}

/// A pod behind a Service, ready or not.
#[derive(Debug, PartialEq)]
pub(super) struct Endpoint {
    pub pod: Arc<str>,
    /// `None` where the reference does not tell, and any life of the name is meant.
    pub uid: Option<Uid>,
}

// === impl Service ===

impl Service {
    pub(super) fn read(
        service: sparse::Service,
        namespace: &Arc<str>,
        name: &Arc<str>,
        interner: &mut Interner,
    ) -> Self {
        let reference = ObjectReference {
            api_version: interner.text("v1"),
            kind: interner.text("Service"),
            namespace: Some(namespace.clone()),
            name: name.clone(),
        };
        let ports = service.spec.and_then(|spec| spec.ports).into_iter().flatten();
        Self {
            reference: Arc::new(reference),
            labels: interner.labels(service.metadata.labels),
            annotations: Annotations::read(service.metadata.annotations, interner),
            ports: ports.filter_map(|port| ServicePort::read(&port, interner)).collect(),
        }
    }
}

// === impl ServicePort ===

impl ServicePort {
    fn read(port: &ApiServicePort, interner: &mut Interner) -> Option<Self> {
        let target = port.target_port.as_ref().map(|target| match target {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(name) => name.clone(),
        });
        Some(Self {
            name: port.name.as_deref().map(|name| interner.text(name)),
            number: port_number(port.port)?,
            target: target.map(|target| interner.text(&target)),
            protocol: interner.text(port.protocol.as_deref().unwrap_or("TCP")),
        })
    }
}

// === impl Slice ===

impl Slice {
    /// `None` for a slice that belongs to no Service, or lists names instead of addresses.
    pub(super) fn read(slice: sparse::EndpointSlice, namespace: &str, interner: &mut Interner) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get("kubernetes.io/service-name")?;
        let service = interner.text(service);
        let family = match slice.address_type.as_str() {
            "IPv4" => Family::Ipv4,
            "IPv6" => Family::Ipv6,
            _ => return None,
        };
        let terminates = |endpoint: &ApiEndpoint| {
            endpoint.conditions.as_ref().is_some_and(|conditions| conditions.terminating == Some(true))
        };
        let staying: Vec<_> = slice.endpoints.iter().flatten().filter(|endpoint| !terminates(endpoint)).collect();
        let endpoints: Box<[Endpoint]> =
            staying.iter().filter_map(|endpoint| Endpoint::read(endpoint, namespace, interner)).collect();
        let ports = slice.ports.iter().flatten().filter_map(|port| SlicePort::read(port, interner)).collect();
        let foreign = staying.len() - endpoints.len();
        Some(Self { service, labels: interner.labels(slice.metadata.labels), family, ports, endpoints, foreign })
    }

    pub(super) fn tcp_ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().filter(|port| &*port.protocol == "TCP").map(|port| port.number)
    }
}

// === impl Family ===

impl Family {
    pub(super) fn has(self, address: std::net::IpAddr) -> bool {
        address.is_ipv4() == (self == Self::Ipv4)
    }
}

// === impl SlicePort ===

impl SlicePort {
    /// `None` for a port without a number, which means all of them.
    fn read(port: &ApiEndpointPort, interner: &mut Interner) -> Option<Self> {
        Some(Self {
            name: interner.text(port.name.as_deref().unwrap_or_default()),
            number: port_number(port.port?)?,
            protocol: interner.text(port.protocol.as_deref().unwrap_or("TCP")),
        })
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// A reference into another namespace would let its author speak for pods that are not theirs.
    fn read(endpoint: &ApiEndpoint, namespace: &str, interner: &mut Interner) -> Option<Self> {
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
        if target.namespace.as_deref().is_some_and(|of| of != namespace) {
            return None;
        }
        Some(Self { pod: interner.text(target.name.as_deref()?), uid: target.uid.as_deref().map(Uid::read) })
    }

    /// Whether this life of the name is meant.
    pub(super) fn is(&self, pod: &Pod) -> bool {
        self.pod == *pod.name() && self.uid.is_none_or(|uid| uid == pod.uid)
    }
}
