//! The current set: every target, and the Kubernetes objects the targets stand for.
//!
//! Discovery builds a new [`Inventory`] when something changes and publishes it whole; readers only
//! borrow it. An owner, a Service or a Namespace is known through the targets that name it.

mod listing;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::selector::Selector;
use crate::model::{GroupResource, Identity, Labels, OwnerReference, Target};
use listing::Listing;

/// Targets and objects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    targets: Vec<Arc<Target>>,
    listings: BTreeMap<GroupResource, Listing>,
    /// Whether every source of targets has reported, so that a target which comes later is a new one.
    pub complete: bool,
    /// Targets that discovery found beyond the limit, and so are not part of the inventory.
    pub targets_over_limit: usize,
}

/// One Kubernetes object and the targets whose samples speak for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Shared with the values that are given for the object.
    pub reference: Arc<ObjectReference>,
    /// Of a pod its labels; of every other object the labels that all of its targets share.
    pub labels: Labels,
    /// Targets of the object that are beyond the limit, and so not scraped.
    pub targets_over_limit: usize,
    /// Positions in [`Inventory::targets`].
    members: Vec<usize>,
}

/// What `describedObject` says of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectReference {
    /// For example `v1` or `apps/v1`.
    pub api_version: Arc<str>,
    pub kind: Arc<str>,
    /// `None` for a cluster-scoped object.
    pub namespace: Option<Arc<str>>,
    pub name: Arc<str>,
}

/// What the API of a cluster says of its objects, whether or not a target stands for them.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Running pods that no target stands for; each has its name.
    pub pods: Vec<Arc<Identity>>,
    /// Services and Namespaces with the labels they have themselves.
    pub objects: Vec<(Arc<ObjectReference>, Labels)>,
    pub resources: Arc<Resources>,
}

/// The plural resource by group and kind, as the API serves it.
pub type Resources = BTreeMap<(Box<str>, Box<str>), Box<str>>;

/// The objects while the targets are gone through.
#[derive(Default)]
struct Draft<'t> {
    resources: BTreeMap<GroupResource, usize>,
    /// Number of the resource by API version and kind; two versions of a group may have the same.
    kinds: FxHashMap<(&'t str, &'t str), usize>,
    /// By number of the resource.
    objects: Vec<Vec<Object>>,
    /// Position among the objects of a resource by its number, namespace and name.
    places: FxHashMap<Place<'t>, usize>,
}

type Place<'t> = (usize, Option<&'t Arc<str>>, &'t Arc<str>);

/// An object as a target names it.
struct Named<'t> {
    api_version: &'t str,
    kind: &'t str,
    namespace: Option<&'t Arc<str>>,
    name: &'t Arc<str>,
}

// === impl Inventory ===

impl Inventory {
    /// Indexes the targets; those after the first `limit` are left out, and counted with their objects.
    pub fn new(mut targets: Vec<Arc<Target>>, limit: usize) -> Self {
        let over = targets.split_off(limit.min(targets.len()));
        let mut draft = Draft::default();
        for (position, target) in targets.iter().enumerate() {
            draft.each_object(target, |object| object.add(position));
        }
        for target in &over {
            draft.each_object(target, |object| object.targets_over_limit += 1);
        }
        let listings = draft.listings();
        Self { targets, listings, targets_over_limit: over.len(), complete: false }
    }

    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The resources that have objects, each once, in order.
    pub fn resources(&self) -> impl Iterator<Item = &GroupResource> {
        self.listings.keys()
    }

    /// One object by name; `namespace` is ignored for a cluster-scoped resource.
    pub fn object(&self, resource: &GroupResource, namespace: &str, name: &str) -> Option<&Object> {
        let namespace = if resource.is_cluster_scoped() { "" } else { namespace };
        self.listings.get(resource)?.get(namespace, name)
    }

    /// The objects of a resource in a namespace, in order of their names; all of them where the
    /// resource is cluster-scoped or no namespace is given.
    pub fn objects(&self, resource: &GroupResource, namespace: Option<&str>) -> &[Object] {
        let namespace = namespace.filter(|_| !resource.is_cluster_scoped());
        self.listings.get(resource).map_or(&[], |listing| listing.within(namespace))
    }

    /// Those of [`Self::objects`] that a selector means, in the same order.
    ///
    /// What it costs grows with the objects that meet the rarest `=`, `in`, `key`, `<` or `>` of the selector. A
    /// selector without any of these (`!=`, `notin` and `!key` alone, or empty) has every object of the namespace
    /// looked at.
    pub fn select(&self, resource: &GroupResource, namespace: Option<&str>, selector: &Selector) -> Vec<&Object> {
        let namespace = namespace.filter(|_| !resource.is_cluster_scoped());
        self.listings.get(resource).map_or_else(Vec::new, |listing| listing.select(namespace, selector))
    }

    /// The targets that speak for an object.
    pub fn members<'a>(&'a self, object: &'a Object) -> impl ExactSizeIterator<Item = &'a Arc<Target>> + 'a {
        object.members.iter().map(|position| &self.targets[*position])
    }
}

// === impl Draft ===

impl<'t> Draft<'t> {
    /// Lets `change` see every object that a target stands for, made when it is not there yet.
    fn each_object(&mut self, target: &'t Target, change: impl Fn(&mut Object)) {
        let labels = &target.identity.labels;
        for named in named(&target.identity) {
            let resource = self.resource(&named);
            let objects = &mut self.objects[resource];
            let place = *self.places.entry((resource, named.namespace, named.name)).or_insert_with(|| {
                objects.push(Object::new(&named, labels));
                objects.len() - 1
            });
            let object = &mut objects[place];
            object.labels = object.labels.shared_with(labels);
            change(object);
        }
    }

    /// The number of the resource that an object is of.
    fn resource(&mut self, named: &Named<'t>) -> usize {
        let Self { resources, kinds, objects, .. } = self;
        *kinds.entry((named.api_version, named.kind)).or_insert_with(|| {
            *resources.entry(GroupResource::of_kind(named.api_version, named.kind)).or_insert_with(|| {
                objects.push(Vec::new());
                objects.len() - 1
            })
        })
    }

    fn listings(mut self) -> BTreeMap<GroupResource, Listing> {
        let mut listing = |number: usize| Listing::new(std::mem::take(&mut self.objects[number]));
        self.resources.into_iter().map(|(resource, number)| (resource, listing(number))).collect()
    }
}

// === impl Object ===

impl Object {
    fn new(named: &Named<'_>, labels: &Labels) -> Self {
        let reference = ObjectReference {
            api_version: named.api_version.into(),
            kind: named.kind.into(),
            namespace: named.namespace.cloned(),
            name: named.name.clone(),
        };
        Self { reference: Arc::new(reference), labels: labels.clone(), targets_over_limit: 0, members: Vec::new() }
    }

    /// Where it stands among the objects of its resource: namespace (empty when it has none) and name.
    fn place(&self) -> (&str, &str) {
        (self.reference.namespace.as_deref().unwrap_or_default(), &self.reference.name)
    }

    /// A target may name an object twice; it speaks for it once.
    fn add(&mut self, position: usize) {
        if self.members.last() != Some(&position) {
            self.members.push(position);
        }
    }
}

/// Every object a target stands for.
fn named(identity: &Identity) -> impl Iterator<Item = Named<'_>> {
    let namespace = Some(&identity.namespace);
    std::iter::once(Named::core("Namespace", None, &identity.namespace))
        .chain(identity.pod.iter().map(move |pod| Named::core("Pod", namespace, pod)))
        .chain(identity.node.iter().map(|node| Named::core("Node", None, node)))
        .chain(identity.services.iter().map(move |service| Named::core("Service", namespace, service)))
        .chain(identity.owners.iter().map(|owner| Named::owner(owner, &identity.namespace)))
}

// === impl Named ===

impl<'t> Named<'t> {
    fn core(kind: &'static str, namespace: Option<&'t Arc<str>>, name: &'t Arc<str>) -> Self {
        Self { api_version: "v1", kind, namespace, name }
    }

    fn owner(owner: &'t OwnerReference, namespace: &'t Arc<str>) -> Self {
        Self { api_version: &owner.api_version, kind: &owner.kind, namespace: Some(namespace), name: &owner.name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pod: &str, namespace: &str, labels: &[(&str, &str)]) -> Arc<Target> {
        let identity = Identity {
            namespace: namespace.into(),
            pod: Some(pod.into()),
            owners: [OwnerReference::parse("Deployment/web").expect("an owner")].into(),
            services: ["web".into()].into(),
            node: None,
            labels: labels.iter().copied().collect(),
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
        assert_eq!(web.labels.iter().collect::<Vec<_>>(), [("app", "web")]);
        assert_eq!(inventory.members(web).count(), 2);
    }

    #[test]
    fn objects_of_another_namespace_are_not_listed() {
        let inventory =
            Inventory::new(vec![target("a", "one", &[]), target("b", "two", &[]), target("c", "two-b", &[])], 10);
        let pods = GroupResource::core("pods");
        let names = |ns| inventory.objects(&pods, ns).iter().map(|o| o.reference.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(Some("two")), ["b"]);
        assert_eq!(names(None), ["a", "b", "c"]);
        assert_eq!(inventory.objects(&GroupResource::core("namespaces"), Some("one")).len(), 3);
    }

    #[test]
    fn targets_beyond_the_limit_are_left_out_and_counted() {
        let inventory = Inventory::new(vec![target("a", "ns", &[]), target("b", "ns", &[])], 1);
        assert_eq!((inventory.targets().len(), inventory.targets_over_limit), (1, 1));
    }
}
