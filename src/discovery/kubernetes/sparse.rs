//! Objects of the API as far as discovery looks at them. In: JSON. Out: the fields that records are made from.
//!
//! Never here: the rest, not even for a moment. Half of a pod is `managedFields`, and a page of a list has hundreds of
//! pods.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};

/// An object of kind `K`, of which `F` is read.
#[derive(Clone, Debug)]
pub(super) struct Sparse<K, F> {
    pub fields: F,
    kind: PhantomData<fn() -> K>,
}

/// What is read of an object.
pub(super) trait Fields {
    /// Whether the server need not send more than the metadata.
    const IS_METADATA: bool = false;

    fn metadata(&self) -> &ObjectMeta;
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

/// Of a `ReplicaSet`, a `Job` or a `Namespace`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pod {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    pub spec: Option<PodSpec>,
    pub status: Option<PodStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub node_name: Option<String>,
    pub containers: Option<Vec<Container>>,
    pub init_containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub name: String,
    pub image: Option<String>,
    pub ports: Option<Vec<ContainerPort>>,
    pub restart_policy: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub name: Option<String>,
    pub container_port: i32,
    pub protocol: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodStatus {
    pub phase: Option<String>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub pod_ips: Option<Vec<PodIp>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodIp {
    #[serde(default)]
    pub ip: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Service {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    pub spec: Option<ServiceSpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    pub address_type: String,
    pub endpoints: Option<Vec<Endpoint>>,
    pub ports: Option<Vec<EndpointPort>>,
}

/// The part of [`ObjectMeta`] that is looked at.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Option::<Meta>::deserialize(deserializer)?.unwrap_or_default();
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        ..ObjectMeta::default()
    })
}

// === impl Sparse ===

impl<'de, K, F: Deserialize<'de>> Deserialize<'de> for Sparse<K, F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { fields: F::deserialize(deserializer)?, kind: PhantomData })
    }
}

/// Asked for as `K` is.
impl<K: Resource, F: Fields> Resource for Sparse<K, F> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn metadata_api() -> bool {
        F::IS_METADATA
    }

    fn meta(&self) -> &ObjectMeta {
        self.fields.metadata()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.fields.metadata_mut()
    }
}

// === impl Fields ===

impl Fields for Metadata {
    const IS_METADATA: bool = true;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Fields for Pod {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Fields for Service {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Fields for EndpointSlice {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{apps, core};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_asked_for_as_its_kind_and_read_in_part() {
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "labels": null, "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
            "spec": {"containers": null, "volumes": [{"name": "config"}]},
        });
        let pod: Sparse<core::v1::Pod, Pod> = serde_json::from_value(object).expect("a pod");
        assert_eq!(pod.meta().name.as_deref(), Some("web"));
        assert_eq!(pod.meta().managed_fields, None);
        assert!(pod.fields.spec.is_some_and(|spec| spec.containers.is_none()) && pod.fields.status.is_none());
        assert_eq!(Sparse::<core::v1::Pod, Pod>::url_path(&(), Some("ns")), "/api/v1/namespaces/ns/pods");
        assert!(!Sparse::<core::v1::Pod, Pod>::metadata_api());
    }

    #[test]
    fn of_a_replica_set_the_server_sends_metadata_alone() {
        type ReplicaSet = Sparse<apps::v1::ReplicaSet, Metadata>;
        assert!(ReplicaSet::metadata_api());
        assert_eq!(ReplicaSet::url_path(&(), None), "/apis/apps/v1/replicasets");
        let read: ReplicaSet = serde_json::from_value(json!({"metadata": {"uid": "a"}, "spec": 7})).expect("an object");
        assert_eq!(read.meta().uid.as_deref(), Some("a"));
    }
}
