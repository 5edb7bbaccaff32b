//! The running pods that nothing scrapes, counted by owner. In: the inventory. Out: the owners with the most of them, a
//! bounded number. Never here: a judgement, since in most clusters only a part is meant to be scraped.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::{Identity, Inventory, OwnerReference};

/// What runs and is not scraped.
pub(super) struct PodsWithoutTarget {
    pub(super) all: usize,
    /// Those with the most pods first.
    pub(super) owners: Vec<Owner>,
    /// Owners that are not among `owners`.
    pub(super) owners_left_out: usize,
}

/// The pods of one owner.
pub(super) struct Owner {
    pub(super) namespace: String,
    /// For example `Deployment/web`; `None` for pods that nothing owns.
    pub(super) name: Option<String>,
    pub(super) pods: usize,
    /// Names of the first few pods.
    pub(super) examples: Vec<String>,
}

/// A page is read by people: those with fewer pods than fifty others are not what they look for.
const OWNERS_MAX: usize = 50;

const EXAMPLES_MAX: usize = 3;

// === impl PodsWithoutTarget ===

impl PodsWithoutTarget {
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut pods: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for pod in inventory.pods_without_target() {
            let (identity, name) = (&*pod.identity, pod.identity.pod.as_deref().unwrap_or_default());
            pods.entry((&*identity.namespace, top(identity))).or_default().push(name);
        }
        let mut owners: Vec<_> = pods.into_iter().collect();
        owners.sort_by_key(|(_, pods)| Reverse(pods.len()));
        let owners_left_out = owners.len().saturating_sub(OWNERS_MAX);
        let shown =
            owners.into_iter().take(OWNERS_MAX).map(|((namespace, owner), pods)| Owner::new(namespace, owner, pods));
        Self { all: inventory.pods_without_target().len(), owners: shown.collect(), owners_left_out }
    }
}

/// The end of the chain of owners, which is the one that people know.
fn top(identity: &Identity) -> Option<&OwnerReference> {
    identity.owners.last()
}

// === impl Owner ===

impl Owner {
    fn new(namespace: &str, owner: Option<&OwnerReference>, mut pods: Vec<&str>) -> Self {
        let count = pods.len();
        pods.sort_unstable();
        pods.truncate(EXAMPLES_MAX);
        Self {
            namespace: namespace.to_owned(),
            name: owner.map(|owner| format!("{}/{}", owner.kind, owner.name)),
            pods: count,
            examples: pods.into_iter().map(str::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Cluster;

    /// Pods as `owner/pod`, in the namespace `ns`.
    fn pods<'a>(texts: impl IntoIterator<Item = (&'a str, String)>) -> PodsWithoutTarget {
        let pod = |(owner, pod): (&str, String)| {
            let chain = [format!("ReplicaSet/{owner}-5d4f"), format!("Deployment/{owner}")];
            let owners = chain.iter().filter(|_| !owner.is_empty());
            let owners = owners.map(|owner| OwnerReference::parse(owner).expect("an owner")).collect();
            let pod = Some(pod.into());
            Arc::new(Identity { namespace: "ns".into(), pod, owners, ..Identity::default() })
        };
        let cluster = Cluster { pods: texts.into_iter().map(pod).collect(), ..Cluster::default() };
        PodsWithoutTarget::of(&Inventory::of(Vec::new(), &cluster, 10))
    }

    #[test]
    fn pods_are_counted_by_the_end_of_their_owners_with_few_examples() {
        let web = (1..=5).rev().map(|number| ("web", format!("web-{number}")));
        let found = pods([("", "bare".to_owned()), ("one", "one-1".to_owned())].into_iter().chain(web));
        let owners: Vec<_> =
            found.owners.iter().map(|owner| (owner.name.as_deref(), owner.pods, owner.examples.join(" "))).collect();
        let expected = [
            (Some("Deployment/web"), 5, "web-1 web-2 web-3".to_owned()),
            (None, 1, "bare".to_owned()),
            (Some("Deployment/one"), 1, "one-1".to_owned()),
        ];
        assert_eq!((found.all, owners.as_slice(), found.owners_left_out), (7, &expected[..], 0));
    }

    #[test]
    fn owners_beyond_those_with_the_most_pods_are_counted() {
        let names: Vec<_> = (0..60).map(|number| format!("w{number}")).collect();
        let found = pods(names.iter().map(|name| (name.as_str(), format!("{name}-1"))));
        assert_eq!((found.all, found.owners.len(), found.owners_left_out), (60, 50, 10));
    }
}
