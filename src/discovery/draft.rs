//! The lists of all sources → an [`Inventory`], and what to say of each source.
//!
//! Takes up to tens of milliseconds for a large cluster, on a thread of its own. A page is scraped once, whoever brings it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::{Job, KubernetesSd, Omissions, one_line};
use crate::discovery::kubernetes::Index;
use crate::discovery::slot::Slot;
use crate::model::{Inventory, OwnerReference, Reach, Target, Timestamp, redacted};

/// What an inventory is drawn up from.
pub(super) struct Draft {
    /// Lent by the one who follows the cluster.
    pub index: Index,
    /// In the order of the configuration.
    pub parts: Vec<Part>,
    /// Where the index tells what there is.
    pub reach: Reach,
    pub limit: usize,
}

/// One source.
pub(super) struct Part {
    pub name: String,
    pub list: List,
}

/// The targets of a source.
pub(super) enum List {
    Known(Vec<Arc<Target>>),
    /// To be looked up in the index.
    Watched(Arc<Job>, KubernetesSd),
}

/// What came of it.
pub(super) struct Drawn {
    pub index: Index,
    pub inventory: Inventory,
    /// By number of the part, for those that were looked up: its targets and what was left out.
    pub found: BTreeMap<usize, (Vec<Arc<Target>>, Omissions)>,
    /// By name of the source what another one brings already.
    pub repeated: BTreeMap<String, Vec<String>>,
    /// Every owner that a pod has.
    pub owners: HashSet<OwnerReference>,
}

/// Where a page of a pod is, whichever source says it and by whichever address of the pod. A query does not make another
/// page of it: to different sources it would be the same series, and sums would count them twice.
#[derive(PartialEq, Eq, Hash)]
struct Page<'t> {
    /// Port and path; the whole URL of a target that names no pod.
    place: (&'t str, &'t str),
    namespace: &'t str,
    pod: Option<&'t str>,
}

/// Targets that other sources bring already: how many, and one of them.
struct Repetition<'t> {
    count: usize,
    example: &'t Target,
}

// === impl Draft ===

impl Draft {
    /// Draws up what follows on the inventory `before`.
    pub(super) fn draw(mut self, before: &Inventory, now: Timestamp) -> Drawn {
        let mut found = BTreeMap::new();
        for (number, part) in self.parts.iter_mut().enumerate() {
            if let List::Watched(job, sd) = &part.list {
                let (targets, omissions) = self.index.targets(job, sd);
                found.insert(number, (targets.clone(), omissions));
                part.list = List::Known(targets);
            }
        }
        let (targets, repeated) = unique(&self.parts);
        let cluster = self.index.cluster(&targets, self.reach);
        let pods = cluster.pods.iter().map(|pod| &pod.owners);
        let owners = owners(targets.iter().map(|target| &target.identity.owners).chain(pods));
        let inventory = Inventory::of(targets, &cluster, self.limit).after(before, now);
        Drawn { index: self.index, inventory, found, repeated, owners }
    }
}

// === impl Part ===

impl Part {
    /// The part of a source: what it has, or what is to be looked up once its watches have answered.
    pub(super) fn of(slot: &Slot) -> Self {
        let list = match slot.source.watched().filter(|_| slot.reported) {
            Some(sd) => List::Watched(slot.job.clone(), sd.clone()),
            None => List::Known(slot.targets.clone().unwrap_or_default()),
        };
        Self { name: slot.name.clone(), list }
    }
}

// === impl List ===

impl List {
    fn targets(&self) -> &[Arc<Target>] {
        match self {
            Self::Known(targets) => targets,
            Self::Watched(..) => &[],
        }
    }
}

/// Every page once, for the first source that brings it, and what the others say of it.
fn unique(parts: &[Part]) -> (Vec<Arc<Target>>, BTreeMap<String, Vec<String>>) {
    let mut first: FxHashMap<Page<'_>, usize> = FxHashMap::default();
    // Within a source, one page may be meant with several queries.
    let mut seen = FxHashSet::default();
    let mut repetitions: BTreeMap<(usize, usize), Repetition<'_>> = BTreeMap::new();
    let mut targets = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        for target in part.list.targets() {
            let page = Page::of(target);
            let is_new = seen.insert((&*target.url, page.namespace, page.pod));
            let by = *first.entry(page).or_insert(number);
            if by == number && is_new {
                targets.push(target.clone());
            } else if by != number {
                repetitions.entry((number, by)).or_insert(Repetition { count: 0, example: target }).count += 1;
            }
        }
    }
    let mut repeated: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((number, by), repetition) in repetitions {
        repeated.entry(parts[number].name.clone()).or_default().push(repetition.line(&parts[by].name));
    }
    (targets, repeated)
}

// === impl Page ===

impl<'t> Page<'t> {
    fn of(target: &'t Target) -> Self {
        let pod = target.identity.pod.as_deref();
        let place = pod.and_then(|_| place(&target.url)).unwrap_or(("", &target.url));
        Self { place, namespace: &target.identity.namespace, pod }
    }
}

/// Port and path of a URL.
fn place(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let default = if scheme == "https" { "443" } else { "80" };
    let port = authority.rsplit_once(':').map_or(default, |(_, port)| if port.ends_with(']') { default } else { port });
    Some((port, path.split('?').next().unwrap_or_default()))
}

// === impl Repetition ===

impl Repetition<'_> {
    fn line(&self, by: &str) -> String {
        let Target { url, identity, .. } = self.example;
        let pod = identity.pod.as_deref().map_or_else(String::new, |pod| format!("/{pod}"));
        let example = one_line(&format_args!("{} of {}{pod}", redacted(url), identity.namespace));
        let (what, so) = if self.count == 1 { ("target is", "it is") } else { ("targets are", "each is") };
        format!("{} {what} there by {by} already and {so} scraped once: {example}", self.count)
    }
}

/// Every owner once. Pods of a workload share theirs.
fn owners<'t>(chains: impl Iterator<Item = &'t Arc<[OwnerReference]>>) -> HashSet<OwnerReference> {
    let mut seen = FxHashSet::default();
    let new = chains.filter(|chain| seen.insert(Arc::as_ptr(chain).cast::<OwnerReference>()));
    new.flat_map(|chain| chain.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, TargetId};

    fn target(job: &str, url: &str, pod: &str) -> Arc<Target> {
        let identity = Identity { namespace: "ns".into(), pod: Some(pod.into()), ..Identity::default() };
        let target = Target::for_test(url, identity.clone());
        Arc::new(Target { id: TargetId::new(job, url, &identity), job: job.into(), ..target })
    }

    fn part(name: &str, targets: &[&Arc<Target>]) -> Part {
        Part { name: name.into(), list: List::Known(targets.iter().copied().cloned().collect()) }
    }

    #[test]
    fn a_page_is_scraped_once_by_the_first_that_brings_it_and_the_others_say_so() {
        let (a, again) = (target("one", "http://a/metrics", "a"), target("two", "http://a/metrics", "a"));
        let (other_pod, other_page) = (target("two", "http://a/metrics", "b"), target("two", "http://a/queue", "a"));
        let parts = [part("one static", &[&a, &a]), part("two pods", &[&again, &other_pod, &other_page])];
        let (targets, repeated) = unique(&parts);
        assert_eq!(targets, [a, other_pod, other_page]);
        let line = "1 target is there by one static already and it is scraped once: http://a/metrics of ns/a";
        assert_eq!(repeated, [("two pods".into(), vec![line.to_owned()])].into());
    }

    #[test]
    fn neither_a_query_nor_another_address_makes_another_page_of_a_pod() {
        let found = target("one", "http://10.0.0.1:8080/metrics", "a");
        let same =
            ["http://[fd00::1]:8080/metrics", "http://10.0.0.1:8080/metrics?x=y", "https://10.0.0.1:8080/metrics"];
        for url in same {
            let again = target("two", url, "a");
            let (targets, repeated) = unique(&[part("one", &[&found]), part("two", &[&again])]);
            assert_eq!((targets, repeated.len()), (vec![found.clone()], 1), "{url}");
        }
        let probes =
            ["?target=x", "?target=y"].map(|query| target("one", &format!("http://10.0.0.1/probe{query}"), "a"));
        let other = target("two", "http://10.0.0.1:8081/metrics", "a");
        let (targets, repeated) = unique(&[part("one", &[&probes[0], &probes[1]]), part("two", &[&other])]);
        assert_eq!((targets.len(), repeated.len()), (3, 0));
        for (url, at) in [
            ("http://a", ("80", "")),
            ("https://[::1]/m", ("443", "/m")),
            ("http://[::1]:9/m?x", ("9", "/m")),
            ("http://a?x=/y:1", ("80", "")),
        ] {
            assert_eq!(place(url), Some(at), "{url}");
        }
    }

    #[test]
    fn every_owner_is_named_once() {
        let chain = |name: &str| -> Arc<[OwnerReference]> {
            [OwnerReference::parse(&format!("Deployment/{name}")).expect("an owner")].into()
        };
        let (web, again, other) = (chain("web"), chain("web"), chain("other"));
        assert_eq!(owners([&web, &web, &again, &other].into_iter()).len(), 2);
    }
}
