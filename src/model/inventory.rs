//! The current set: every target, and the Kubernetes objects the targets stand for.
//!
//! Discovery builds a new [`Inventory`] when something changes and publishes it whole; readers only
//! borrow it. An owner, a Service or a Namespace is known through the targets that name it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{GroupResource, Identity, OwnerReference, Target};

/// Targets and objects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    targets: Vec<Arc<Target>>,
    /// By resource, then by (namespace, name); the namespace of a cluster-scoped object is empty.
    objects: BTreeMap<GroupResource, BTreeMap<(String, String), Object>>,
    /// Whether every source of targets has reported, so that a target which comes later is a new one.
    pub complete: bool,
    /// Targets that discovery found beyond the limit, and so are not part of the inventory.
    pub targets_over_limit: usize,
}

/// One Kubernetes object and the targets whose samples speak for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub reference: ObjectReference,
    /// Of a pod its labels; of every other object the labels that all of its targets share.
    pub labels: BTreeMap<String, String>,
    /// Targets of the object that are beyond the limit, and so not scraped.
    pub targets_over_limit: usize,
    /// Positions in [`Inventory::targets`].
    members: Vec<usize>,
}

/// What `describedObject` says of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectReference {
    /// For example `v1` or `apps/v1`.
    pub api_version: String,
    pub kind: String,
    /// `None` for a cluster-scoped object.
    pub namespace: Option<String>,
    pub name: String,
}

// === impl Inventory ===

impl Inventory {
    /// Indexes the targets; those after the first `limit` are left out, and counted with their objects.
    pub fn new(mut targets: Vec<Arc<Target>>, limit: usize) -> Self {
        let over = targets.split_off(limit.min(targets.len()));
        let mut inventory = Self { targets, targets_over_limit: over.len(), ..Self::default() };
        for position in 0..inventory.targets.len() {
            let target = inventory.targets[position].clone();
            inventory.each_object(&target, |object| object.add(position));
        }
        for target in over {
            inventory.each_object(&target, |object| object.targets_over_limit += 1);
        }
        inventory
    }

    /// Lets `change` see every object that a target stands for, made when it is not there yet.
    fn each_object(&mut self, target: &Target, change: impl Fn(&mut Object)) {
        for (resource, reference) in references(&target.identity) {
            let key = (reference.namespace.clone().unwrap_or_default(), reference.name.clone());
            let labels = &target.identity.labels;
            let object = self.objects.entry(resource).or_default().entry(key);
            let object = object.or_insert_with(|| Object {
                reference,
                labels: labels.clone(),
                targets_over_limit: 0,
                members: Vec::new(),
            });
            object.labels.retain(|name, value| labels.get(name) == Some(value));
            change(object);
        }
    }

    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The resources that have objects, each once, in order.
    pub fn resources(&self) -> impl Iterator<Item = &GroupResource> {
        self.objects.keys()
    }

    /// One object by name; `namespace` is ignored for a cluster-scoped resource.
    pub fn object(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<&Object> {
        let namespace = if resource.is_cluster_scoped() { "" } else { namespace };
        self.objects.get(resource)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// The objects of a resource in a namespace, in order of their names; all of them where the
    /// resource is cluster-scoped or no namespace is given.
    pub fn objects<'a>(
        &'a self,
        resource: &GroupResource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Object> + 'a {
        let namespace = namespace.filter(|_| !resource.is_cluster_scoped());
        let start = (namespace.unwrap_or_default().to_owned(), String::new());
        self.objects
            .get(resource)
            .into_iter()
            .flat_map(move |objects| objects.range(start.clone()..))
            .take_while(move |((in_namespace, _), _)| namespace.is_none_or(|wanted| wanted == in_namespace))
            .map(|(_, object)| object)
    }

    /// The targets that speak for an object.
    pub fn members<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Arc<Target>> + 'a {
        object.members.iter().map(|position| &self.targets[*position])
    }
}

// === impl Object ===

impl Object {
    /// A target may name an object twice; it speaks for it once.
    fn add(&mut self, position: usize) {
        if self.members.last() != Some(&position) {
            self.members.push(position);
        }
    }
}

/// Every object a target stands for, with its resource.
fn references(identity: &Identity) -> Vec<(GroupResource, ObjectReference)> {
    let namespace = &identity.namespace;
    let mut all = vec![(GroupResource::core("namespaces"), core("Namespace", None, namespace))];
    if let Some(pod) = &identity.pod {
        all.push((GroupResource::core("pods"), core("Pod", Some(namespace), pod)));
    }
    if let Some(node) = &identity.node {
        all.push((GroupResource::core("nodes"), core("Node", None, node)));
    }
    for service in &identity.services {
        all.push((GroupResource::core("services"), core("Service", Some(namespace), service)));
    }
    for owner in &identity.owners {
        all.push((owner.group_resource(), owned(owner, namespace)));
    }
    all
}

fn core(kind: &str, namespace: Option<&String>, name: &str) -> ObjectReference {
    ObjectReference { api_version: "v1".into(), kind: kind.into(), namespace: namespace.cloned(), name: name.into() }
}

fn owned(owner: &OwnerReference, namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        namespace: Some(namespace.to_owned()),
        name: owner.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pod: &str, namespace: &str, labels: &[(&str, &str)]) -> Arc<Target> {
        let identity = Identity {
            namespace: namespace.into(),
            pod: Some(pod.into()),
            owners: vec![OwnerReference::parse("Deployment/web").expect("an owner")],
            services: vec!["web".into()],
            node: None,
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        Arc::new(Target::for_test(&format!("http://{pod}/metrics"), identity))
    }

    #[test]
    fn an_owner_has_the_labels_that_all_of_its_pods_share() {
        let inventory = Inventory::new(
            vec![
                target("a", "ns", &[("app", "web"), ("hash", "1")]),
                target("b", "ns", &[("app", "web"), ("hash", "2")]),
            ],
            10,
        );
        let web = inventory.object(&GroupResource::parse("deployments.apps"), "ns", "web").expect("the deployment");
        assert_eq!(web.labels.iter().collect::<Vec<_>>(), [(&"app".to_owned(), &"web".to_owned())]);
        assert_eq!(inventory.members(web).count(), 2);
    }

    #[test]
    fn objects_of_another_namespace_are_not_listed() {
        let inventory =
            Inventory::new(vec![target("a", "one", &[]), target("b", "two", &[]), target("c", "two-b", &[])], 10);
        let pods = GroupResource::core("pods");
        let names = |ns| inventory.objects(&pods, ns).map(|o| o.reference.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(Some("two")), ["b"]);
        assert_eq!(names(None), ["a", "b", "c"]);
        assert_eq!(inventory.objects(&GroupResource::core("namespaces"), Some("one")).count(), 3);
    }

    #[test]
    fn targets_beyond_the_limit_are_left_out_and_counted() {
        let inventory = Inventory::new(vec![target("a", "ns", &[]), target("b", "ns", &[])], 1);
        assert_eq!((inventory.targets().len(), inventory.targets_over_limit), (1, 1));
    }
}
