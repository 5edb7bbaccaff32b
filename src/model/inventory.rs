//! The current set: every target, every pod without one, and the Kubernetes objects they stand for.
//!
//! Discovery builds a new [`Inventory`] when something changes and publishes it whole; readers only borrow it. An owner
//! or a Node is known through the targets and pods that name it; Services and Namespaces are known by themselves where
//! a cluster is watched.

mod draft;
mod listing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::model::selector::Selector;
use crate::model::{GroupResource, Identity, Labels, Reach, Target, Timestamp};
use draft::{Draft, Standing};
use listing::Listing;

/// Targets and objects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    targets: Vec<Arc<Target>>,
    pods: Vec<PodWithoutTarget>,
    listings: BTreeMap<GroupResource, Listing>,
    /// Of what stands for each object: positions in `targets`, then in `pods`.
    positions: Box<[u32]>,
    /// Targets that were there not long ago, the newest last.
    departures: Vec<Departure>,
    /// Where it tells what a cluster has, so that what is not in it does not run.
    pub reach: Reach,
    /// Whether every source of targets has reported, so that a target which comes later is a new one.
    pub complete: bool,
    /// Targets that discovery found beyond the limit, and so are not part of the inventory.
    pub targets_over_limit: usize,
}

/// A target that is there no more.
#[derive(Clone, Debug)]
struct Departure {
    target: Arc<Target>,
    /// When it was missed first.
    at: Timestamp,
}

/// Departures matter while those that came in their place have no value yet: some intervals.
const DEPARTURE_AGE_MAX: Duration = Duration::from_secs(600);

/// Of more departures the oldest are forgotten.
const DEPARTURES_MAX: usize = 10_000;

/// A running pod that no target stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct PodWithoutTarget {
    /// Shared with whoever found the pod; it has a name.
    pub identity: Arc<Identity>,
    /// When it came to a cluster that was known already; `None` for one that was there from the start, or was a target.
    pub joined: Option<Timestamp>,
}

/// One Kubernetes object with the targets whose samples speak for it and the pods nobody speaks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Shared with the values that are given for the object.
    pub reference: Arc<ObjectReference>,
    /// Of a pod its labels; of a Service or Namespace its own where they are known; of every other object the labels
    /// that all of its pods share.
    pub labels: Labels,
    /// Where its part of [`Inventory::positions`] starts.
    start: usize,
    targets: u32,
    pods: u32,
    over_limit: u32,
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
    /// The namespaces that all of this is about.
    pub reach: Reach,
}

/// The plural resource by group and kind, as the API serves it.
pub type Resources = BTreeMap<(Box<str>, Box<str>), Box<str>>;

// === impl Inventory ===

impl Inventory {
    /// Indexes the targets; those after the first `limit` are left out, and counted with their objects.
    pub fn new(targets: Vec<Arc<Target>>, limit: usize) -> Self {
        Self::of(targets, &Cluster::default(), limit)
    }

    /// The same with what a cluster has. A pod that a target stands for is known by that target alone.
    pub fn of(mut targets: Vec<Arc<Target>>, cluster: &Cluster, limit: usize) -> Self {
        // Positions have 32 bits.
        let over = targets.split_off(limit.min(targets.len()).min(u32::MAX as usize));
        let expected = targets.len() + cluster.pods.len() + cluster.objects.len();
        let mut draft = Draft::new(&cluster.resources, expected);
        cluster.objects.iter().for_each(|(reference, labels)| draft.exists(reference, labels));
        for (position, target) in (0..).zip(&targets) {
            draft.add(&target.identity, Standing::Target(position));
        }
        over.iter().for_each(|target| draft.add(&target.identity, Standing::OverLimit));
        let pods = add_pods(&mut draft, &cluster.pods);
        let (listings, positions) = draft.finish();
        let (targets_over_limit, reach) = (over.len(), cluster.reach.clone());
        let departures = Vec::new();
        Self { targets, pods, listings, positions, departures, reach, complete: false, targets_over_limit }
    }

    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The running pods that no target stands for.
    pub fn pods_without_target(&self) -> &[PodWithoutTarget] {
        &self.pods
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
        let positions = &self.positions[object.start..][..object.targets as usize];
        positions.iter().map(|position| &self.targets[*position as usize])
    }

    /// Those of [`Self::pods_without_target`] that belong to an object.
    pub fn pods_without_target_of<'a>(
        &'a self,
        object: &'a Object,
    ) -> impl ExactSizeIterator<Item = &'a PodWithoutTarget> + 'a {
        let positions = &self.positions[object.start..][object.targets as usize..][..object.pods as usize];
        positions.iter().map(|position| &self.pods[*position as usize])
    }

    /// The same as what follows `before` at `now`: its pods without target keep when they joined, and those that a
    /// complete inventory of their namespace did not have join now. Targets that are gone are departures.
    #[must_use]
    pub fn after(mut self, before: &Self, now: Timestamp) -> Self {
        let is_new_in = |namespace| before.complete && before.reach.has(namespace);
        let pods = GroupResource::core("pods");
        let mut old = before.objects(&pods, None).iter().peekable();
        for object in self.listings.get(&pods).map_or(&[][..], |listing| listing.within(None)) {
            while old.next_if(|old| old.place() < object.place()).is_some() {}
            let known = old.peek().filter(|old| old.place() == object.place());
            let joined = match known {
                Some(old) => before.pods_without_target_of(old).next().and_then(|pod| pod.joined),
                None => is_new_in(object.place().0).then_some(now),
            };
            for position in &self.positions[object.start + object.targets as usize..][..object.pods as usize] {
                self.pods[*position as usize].joined = joined;
            }
        }
        self.departures = self.departed(before, now);
        self
    }

    /// How many targets of an object are gone since then.
    pub fn departed_since(&self, object: &Object, then: Timestamp) -> usize {
        let recent = self.departures.iter().rev().take_while(|departure| departure.at >= then);
        recent.filter(|departure| draft::stands_for(&departure.target.identity, &object.reference)).count()
    }

    fn departed(&self, before: &Self, now: Timestamp) -> Vec<Departure> {
        let there: FxHashSet<_> = self.targets.iter().map(|target| &target.id).collect();
        let is_gone = |target: &&Arc<Target>| !there.contains(&target.id);
        let gone = before.targets.iter().filter(is_gone).map(|target| Departure { target: target.clone(), at: now });
        let earlier = before.departures.iter().filter(|departure| now.since(departure.at) <= DEPARTURE_AGE_MAX);
        let mut departures: Vec<_> = earlier.cloned().chain(gone).collect();
        departures.drain(..departures.len().saturating_sub(DEPARTURES_MAX));
        departures
    }
}

/// Adds the pods that no target stands for, and returns them in order, each once.
fn add_pods<'t>(draft: &mut Draft<'t>, pods: &'t [Arc<Identity>]) -> Vec<PodWithoutTarget> {
    let mut added = Vec::with_capacity(pods.len());
    for pod in pods {
        let is_known = pod.pod.as_ref().is_none_or(|name| draft.has_pod(&pod.namespace, name));
        if let (false, Ok(position)) = (is_known, u32::try_from(added.len())) {
            draft.add(pod, Standing::Pod(position));
            added.push(PodWithoutTarget { identity: pod.clone(), joined: None });
        }
    }
    added
}

// === impl Object ===

impl Object {
    fn new(reference: Arc<ObjectReference>, labels: Labels) -> Self {
        Self { reference, labels, start: 0, targets: 0, pods: 0, over_limit: 0 }
    }

    /// Targets of the object that are beyond the limit, and so not scraped.
    pub fn targets_over_limit(&self) -> usize {
        self.over_limit as usize
    }

    /// Running pods of the object that no target stands for.
    pub fn pods_without_target(&self) -> usize {
        self.pods as usize
    }

    /// Whether any target stands for it, be it one beyond the limit.
    pub fn has_target(&self) -> bool {
        self.targets > 0 || self.over_limit > 0
    }

    /// Where it stands among the objects of its resource: namespace (empty when it has none) and name.
    fn place(&self) -> (&str, &str) {
        (self.reference.namespace.as_deref().unwrap_or_default(), &self.reference.name)
    }

    /// Counts one more that stands for it; returns its position where it is to be found later.
    fn count(&mut self, standing: Standing) -> Option<u32> {
        let (count, position) = match standing {
            Standing::Target(position) => (&mut self.targets, Some(position)),
            Standing::OverLimit => (&mut self.over_limit, None),
            Standing::Pod(position) => (&mut self.pods, Some(position)),
        };
        *count += 1;
        position
    }
}

#[cfg(test)]
mod tests;
