//! An object as far as it can be read. In: JSON of a list or a watch. Out: the object, or its name and what is wrong.
//!
//! A list that is read as its type fails as a whole with one object that is not of it; a list of these never does.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::one_line;

/// An object of the API, or why it is none.
#[derive(Clone, Debug)]
pub(super) struct Reading<K> {
    /// Namespace, name and version; each as far as it is there.
    pub meta: ObjectMeta,
    pub object: Result<K, String>,
}

// === impl Reading ===

impl<'de, K: DeserializeOwned> Deserialize<'de> for Reading<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |key: &str| value["metadata"][key].as_str().map(str::to_owned);
        let (name, namespace, resource_version) = (text("name"), text("namespace"), text("resourceVersion"));
        let meta = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Ok(Self { meta, object: serde_json::from_value(value).map_err(|error| one_line(&error)) })
    }
}

/// The same resource as the object's.
impl<K: Resource> Resource for Reading<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn read(json: &str) -> (Option<String>, Result<Pod, String>) {
        let reading: Reading<Pod> = serde_json::from_str(json).expect("it never fails");
        (reading.meta.name, reading.object)
    }

    #[test]
    fn an_object_is_read_or_its_name_is() {
        let (name, pod) = read(r#"{"metadata": {"name": "a"}, "spec": {"containers": []}}"#);
        assert!(name.as_deref() == Some("a") && pod.is_ok_and(|pod| pod.metadata.name == name));
        let (name, pod) = read(r#"{"metadata": {"name": "a", "labels": 7}, "spec": 7}"#);
        assert_eq!(name.as_deref(), Some("a"));
        assert!(pod.is_err_and(|why| why.starts_with("invalid type: integer `7`")));
        assert!(matches!(read("7"), (None, Err(_))));
    }
}
