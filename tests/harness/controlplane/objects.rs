//! Objects of a control plane: YAML comes in and is applied or deleted; JSON goes out, of an object that may have to become
//! what a test waits for. Kinds are found as they are needed, also those of API groups that come and go.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::discovery::Scope;
use kube::core::gvk::GroupVersionKind;
use serde_json::{Value, json};

use super::{ControlPlane, eventually};

/// The field manager of what tests apply.
const MANAGER: &str = "plimsoll-tests";

// === impl ControlPlane ===

impl ControlPlane {
    /// A new namespace whose name begins with this.
    pub async fn namespace(&self, prefix: &str) -> String {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-")}})).expect("a namespace");
        let made = Api::all(self.client()).create(&PostParams::default(), &namespace).await.expect("made");
        let name = made.metadata.name.expect("a name");
        if self.has_controllers() {
            // No pod is admitted without the account.
            self.object_becomes(&name, "v1/ServiceAccount", "default", |account| !account.is_null()).await;
        }
        name
    }

    /// Applies objects; those without a namespace go to this one.
    pub async fn apply(&self, namespace: &str, yaml: &str) {
        self.apply_all(namespace, &documents(yaml)).await;
    }

    /// The same of objects that were read.
    pub async fn apply_all(&self, namespace: &str, objects: &[Value]) {
        for object in objects {
            let (api, name) = self.api_of(namespace, object).await;
            let patch = PatchParams::apply(MANAGER).force();
            let applied = api.patch(&name, &patch, &Patch::Apply(object)).await;
            applied.unwrap_or_else(|error| panic!("{error}\n{object:#}"));
        }
    }

    /// Deletes objects and does not wait until they are gone.
    pub async fn delete(&self, namespace: &str, yaml: &str) {
        for object in documents(yaml) {
            let (api, name) = self.api_of(namespace, &object).await;
            let deleted = api.delete(&name, &DeleteParams::background()).await;
            deleted.unwrap_or_else(|error| panic!("{error}\n{object:#}"));
        }
    }

    /// One object as JSON; null where there is none.
    pub async fn get(&self, namespace: &str, kind: &str, name: &str) -> Value {
        let (version, kind) = kind.rsplit_once('/').expect("a kind as in apps/v1/Deployment");
        let api = self.api(namespace, version, kind).await;
        let found = api.get_opt(name).await.expect("an answer");
        found.map_or(Value::Null, |mut object| {
            // Who has set which field is most of what a failing test would show.
            object.metadata.managed_fields = None;
            json!(object)
        })
    }

    /// Waits until an object satisfies; panics with its last state when it never does.
    pub async fn object_becomes(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("{kind} {namespace}/{name}");
        eventually(&what, || self.get(namespace, kind, name), good).await
    }

    async fn api_of(&self, namespace: &str, object: &Value) -> (Api<DynamicObject>, String) {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("not complete: {object:#}")).to_owned();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
        let api = self.api(namespace, &text(&object["apiVersion"]), &text(&object["kind"])).await;
        (api, text(&object["metadata"]["name"]))
    }

    async fn api(&self, namespace: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let (resource, scope) = self.resource(&GroupVersionKind::gvk(group, version, kind)).await;
        match scope {
            Scope::Cluster => Api::all_with(self.client(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client(), namespace, &resource),
        }
    }

    async fn resource(&self, kind: &GroupVersionKind) -> (ApiResource, Scope) {
        let found = kube::discovery::pinned_kind(&self.client(), kind).await;
        let (resource, capabilities) = found.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        (resource, capabilities.scope)
    }
}

/// The objects of a YAML text.
pub fn documents(yaml: &str) -> Vec<Value> {
    let read: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    read.into_iter().filter(|document| !document.is_null()).collect()
}
