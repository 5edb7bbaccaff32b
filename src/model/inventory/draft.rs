//! The objects while they are gathered. In: what exists by itself, then every target and pod, in order. Out: listings,
//! and who stands for which object. Never here: an object twice, or one counted twice by the same target or pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::listing::Listing;
use super::{Object, ObjectReference, Resources};
use crate::model::{GroupResource, Identity, Labels, OwnerReference};

/// Objects found so far, each known by its number.
pub(super) struct Draft<'t> {
    /// How the cluster names resources; kinds that are not among them have the plural that is usual.
    plurals: &'t Resources,
    /// Number of each resource.
    resources: BTreeMap<GroupResource, usize>,
    /// By API version and kind; two versions of a group may have the same resource.
    kinds: FxHashMap<(&'t str, &'t str), Kind>,
    sketches: Vec<Sketch>,
    /// Number of an object by the number of its resource, its namespace (empty when it has none) and its name.
    numbers: FxHashMap<(usize, &'t str, &'t str), u32>,
    /// Number of an object and position of a target or pod that stands for it, in order of the position.
    standing: Vec<(u32, u32)>,
    /// How many targets and pods were added.
    added: usize,
}

/// What a target or pod is to its objects.
#[derive(Clone, Copy)]
pub(super) enum Standing {
    /// A target at this position.
    Target(u32),
    /// A target that is not scraped, for there are too many.
    OverLimit,
    /// A pod at this position that no target stands for.
    Pod(u32),
}

/// What the objects of a kind have in common.
struct Kind {
    resource: usize,
    is_cluster_scoped: bool,
    api_version: Arc<str>,
    kind: Arc<str>,
}

struct Sketch {
    resource: usize,
    object: Object,
    labels: Origin,
    /// The last one that stood for it, by the order of adding.
    last: usize,
}

/// Where the labels of an object are from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Own,
    /// Those that all of its pods share.
    Pods,
}

/// An object as a target or pod names it.
struct Named<'t> {
    api_version: &'t str,
    kind: &'t str,
    namespace: &'t Arc<str>,
    name: &'t Arc<str>,
}

/// Kinds that say themselves which pods are theirs. As an owner (of a static pod its Node, of an executor the driver's
/// Pod) one of them would count pods that it is not.
const NO_OWNERS: [&str; 4] = ["Namespace", "Node", "Pod", "Service"];

const CORE: &str = "v1";

/// Namespace, Node, Pod, Service, ReplicaSet and Deployment.
const OBJECTS_OF_POD: usize = 6;

// === impl Draft ===

impl<'t> Draft<'t> {
    /// Makes room for so many objects, as blocks that grow are kept by the allocator in every size they had.
    pub(super) fn new(plurals: &'t Resources, objects: usize) -> Self {
        Self {
            plurals,
            resources: BTreeMap::new(),
            kinds: FxHashMap::default(),
            sketches: Vec::with_capacity(objects),
            numbers: FxHashMap::with_capacity_and_hasher(objects, FxBuildHasher),
            standing: Vec::with_capacity(objects * OBJECTS_OF_POD),
            added: 0,
        }
    }

    /// An object that is there with or without pods. To be called before anything stands for it.
    pub(super) fn exists(&mut self, reference: &'t Arc<ObjectReference>, labels: &Labels) {
        let kind = kind(&mut self.kinds, &mut self.resources, self.plurals, &reference.api_version, &reference.kind);
        let namespace = reference.namespace.as_deref().unwrap_or_default();
        let sketches = &mut self.sketches;
        self.numbers.entry((kind.resource, namespace, &reference.name)).or_insert_with(|| {
            let object = Object::new(reference.clone(), labels.clone());
            sketches.push(Sketch { resource: kind.resource, object, labels: Origin::Own, last: 0 });
            number(sketches.len() - 1)
        });
    }

    /// A target or pod stands for every object that it names, once.
    pub(super) fn add(&mut self, identity: &'t Identity, standing: Standing) {
        self.added += 1;
        for named in named(identity) {
            let number = self.number(&named, &identity.labels);
            let sketch = &mut self.sketches[number as usize];
            if std::mem::replace(&mut sketch.last, self.added) == self.added {
                continue;
            }
            sketch.share(&identity.labels);
            if let Some(position) = sketch.object.count(standing) {
                self.standing.push((number, position));
            }
        }
    }

    /// Whether the pod of an identity is among the objects.
    pub(super) fn has_pod(&self, namespace: &str, pod: &str) -> bool {
        let resource = self.kinds.get(&(CORE, "Pod")).map(|kind| kind.resource);
        resource.is_some_and(|resource| self.numbers.contains_key(&(resource, namespace, pod)))
    }

    /// Number of the object that is named, made when it is not there yet.
    fn number(&mut self, named: &Named<'t>, labels: &Labels) -> u32 {
        let Self { kinds, resources, plurals, sketches, numbers, .. } = self;
        let kind = kind(kinds, resources, plurals, named.api_version, named.kind);
        let namespace: &str = if kind.is_cluster_scoped { "" } else { named.namespace };
        *numbers.entry((kind.resource, namespace, named.name)).or_insert_with(|| {
            let object = Object::new(Arc::new(kind.reference(named)), labels.clone());
            sketches.push(Sketch { resource: kind.resource, object, labels: Origin::Pods, last: 0 });
            number(sketches.len() - 1)
        })
    }

    /// The objects by resource, and the positions of what stands for them: of one object they lie together, targets
    /// before pods.
    pub(super) fn finish(mut self) -> (BTreeMap<GroupResource, Listing>, Box<[u32]>) {
        let mut sizes = vec![0; self.resources.len()];
        let mut end = 0;
        for Sketch { resource, object, .. } in &mut self.sketches {
            sizes[*resource] += 1;
            object.start = end;
            end += (object.targets + object.pods) as usize;
        }
        let positions = self.positions(end);
        let mut objects: Vec<Vec<Object>> = sizes.into_iter().map(Vec::with_capacity).collect();
        self.sketches.into_iter().for_each(|sketch| objects[sketch.resource].push(sketch.object));
        let mut listing = |number: usize| Listing::new(std::mem::take(&mut objects[number]));
        (self.resources.into_iter().map(|(resource, number)| (resource, listing(number))).collect(), positions)
    }

    fn positions(&self, length: usize) -> Box<[u32]> {
        let mut ends: Vec<usize> = self.sketches.iter().map(|sketch| sketch.object.start).collect();
        let mut positions = vec![0; length];
        for (number, position) in &self.standing {
            let end = &mut ends[*number as usize];
            positions[*end] = *position;
            *end += 1;
        }
        positions.into()
    }
}

fn kind<'a, 't>(
    kinds: &'a mut FxHashMap<(&'t str, &'t str), Kind>,
    resources: &mut BTreeMap<GroupResource, usize>,
    plurals: &Resources,
    api_version: &'t str,
    name: &'t str,
) -> &'a Kind {
    kinds.entry((api_version, name)).or_insert_with(|| {
        let resource = resource(plurals, api_version, name);
        let is_cluster_scoped = resource.is_cluster_scoped();
        let next = resources.len();
        let resource = *resources.entry(resource).or_insert(next);
        Kind { resource, is_cluster_scoped, api_version: api_version.into(), kind: name.into() }
    })
}

/// As the cluster serves the kind; where it does not say, as it is usual.
fn resource(plurals: &Resources, api_version: &str, kind: &str) -> GroupResource {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match plurals.get(&(group.into(), kind.into())) {
        Some(plural) => GroupResource::new(group, plural),
        None => GroupResource::of_kind(api_version, kind),
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("four billion objects do not fit into memory")
}

/// Every object that a target or pod stands for.
fn named(identity: &Identity) -> impl Iterator<Item = Named<'_>> {
    let core = |kind, name| Named { api_version: CORE, kind, namespace: &identity.namespace, name };
    std::iter::once(core("Namespace", &identity.namespace))
        .chain(identity.pod.iter().map(move |pod| core("Pod", pod)))
        .chain(identity.node.iter().map(move |node| core("Node", node)))
        .chain(identity.services.iter().map(move |service| core("Service", service)))
        .chain(
            identity.owners.iter().filter(|owner| may_own(owner)).map(|owner| Named::owner(owner, &identity.namespace)),
        )
}

/// Whether an object is among those that an identity names.
pub(super) fn stands_for(identity: &Identity, object: &ObjectReference) -> bool {
    let is_there = object.namespace.as_ref().is_none_or(|namespace| *namespace == identity.namespace);
    let is_it = |named: Named<'_>| (named.kind, &**named.name) == (&*object.kind, &*object.name);
    is_there && named(identity).any(is_it)
}

/// An owner reference says what its author likes: `v1 namespace` and `/v1 Namespace` lead to the same resource as
/// `v1 Namespace`, and would speak for a Namespace that is not theirs.
fn may_own(owner: &OwnerReference) -> bool {
    let is_core = owner.api_version.split_once('/').is_none_or(|(group, _)| group.is_empty());
    !is_core || !NO_OWNERS.iter().any(|kind| kind.eq_ignore_ascii_case(&owner.kind))
}

// === impl Kind ===

impl Kind {
    fn reference(&self, named: &Named<'_>) -> ObjectReference {
        ObjectReference {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: (!self.is_cluster_scoped).then(|| named.namespace.clone()),
            name: named.name.clone(),
        }
    }
}

// === impl Sketch ===

impl Sketch {
    fn share(&mut self, labels: &Labels) {
        if self.labels == Origin::Pods && !self.object.labels.is_empty() {
            self.object.labels = self.object.labels.shared_with(labels);
        }
    }
}

// === impl Named ===

impl<'t> Named<'t> {
    fn owner(owner: &'t OwnerReference, namespace: &'t Arc<str>) -> Self {
        Self { api_version: &owner.api_version, kind: &owner.kind, namespace, name: &owner.name }
    }
}
