//! What is kept of Services and their EndpointSlices. In: objects of the API. Out: records whose parts are shared.

use std::sync::Arc;

use super::pod::Uid;
use crate::model::Labels;

/// A Service, as far as discovery looks at it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Service {
    pub labels: Labels,
    /// Without `kubectl.kubernetes.io/last-applied-configuration` and values above 4 KiB.
    pub annotations: Labels,
    pub ports: Arc<[ServicePort]>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServicePort {
    pub name: Option<Arc<str>>,
    pub number: u16,
    /// `targetPort` by number or by the name of a container port, as text.
    pub target: Option<Arc<str>>,
    pub protocol: Arc<str>,
}

/// A part of the endpoints of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slice {
    pub name: Arc<str>,
    /// The label `kubernetes.io/service-name`.
    pub service: Arc<str>,
    pub labels: Labels,
    pub family: Family,
    pub ports: Arc<[SlicePort]>,
    /// Endpoints that are pods of the same namespace and not terminating.
    pub endpoints: Arc<[Endpoint]>,
}

/// `addressType` of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
    Fqdn,
}

/// A port that all endpoints of a slice have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SlicePort {
    /// Empty for the only port of a Service that gives it no name.
    pub name: Arc<str>,
    pub number: u16,
    pub protocol: Arc<str>,
}

/// `targetRef` of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub pod: Arc<str>,
    /// `None` where the reference does not tell, and any life of the name is meant.
    pub uid: Option<Uid>,
}
