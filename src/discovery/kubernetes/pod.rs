//! What is kept of a Pod. In: the object of the API. Out: a record whose parts are shared between pods.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Identity, Labels};

/// A pod that runs, has an address and is not being deleted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    /// Namespace, name, owners up the chain as far as they are known, Services, node and labels.
    pub identity: Arc<Identity>,
    /// Which life of the name it is: a pod of a `StatefulSet` comes back under its name.
    pub uid: Uid,
    /// Without `kubectl.kubernetes.io/last-applied-configuration` and values above 4 KiB.
    pub annotations: Labels,
    /// Of the init containers those that keep running; first these, then the containers, each in order of the object.
    pub containers: Arc<[Container]>,
    /// `status.podIPs`, the first of which is `status.podIP`; not empty.
    pub addresses: Arc<[IpAddr]>,
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
    pub ports: Arc<[ContainerPort]>,
}

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContainerPort {
    pub name: Option<Arc<str>>,
    pub number: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

/// What controls an object, by its owner references.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    pub api_version: Arc<str>,
    pub kind: Arc<str>,
    pub name: Arc<str>,
    pub uid: Uid,
}

/// The UID of an object: a UUID, as kube-apiserver makes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Uid([u8; 16]);
