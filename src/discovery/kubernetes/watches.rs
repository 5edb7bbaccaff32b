//! The watches that run. In: which are wanted, and their news. Out: how each stands.
//!
//! They live as long as somebody wants them, over all reloads: one that is wanted again is not touched.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::index::{Kind, ObjectName};
use super::kind;
use super::state::State;
use super::watch::{Message, Patience, Scope, Watch};
use crate::config::KubernetesSd;
use crate::model::Timestamp;

/// The watches by what they are about.
pub(super) struct Watches {
    client: kube::Client,
    running: BTreeMap<Scope, Running>,
    /// What each running watch is about, by its number.
    scopes: BTreeMap<u64, Scope>,
    tasks: JoinSet<()>,
    news: mpsc::Sender<Message>,
    /// Number of the next watch.
    next: u64,
}

struct Running {
    number: u64,
    state: State,
    token: CancellationToken,
}

/// What news mean for whoever keeps the objects.
pub(super) struct Effect {
    pub scope: Scope,
    /// The kind is gone, and all of its objects with it.
    pub is_gone: bool,
}

/// Single objects of a kind that are watched in a namespace: each takes a connection, and who may write monitors there
/// could name any number.
const SINGLES_MAX: usize = 50;

// === impl Watches ===

impl Watches {
    pub(super) fn new(client: kube::Client, news: mpsc::Sender<Message>) -> Self {
        Self { client, running: BTreeMap::new(), scopes: BTreeMap::new(), tasks: JoinSet::new(), news, next: 0 }
    }

    /// Starts what is wanted and does not run, and ends what runs and is not wanted; gives the latter.
    pub(super) fn want(&mut self, wanted: &BTreeSet<Scope>) -> Vec<Scope> {
        let ended: Vec<_> = self.running.extract_if(.., |scope, _| !wanted.contains(scope)).collect();
        for (_, running) in &ended {
            running.token.cancel();
            self.scopes.remove(&running.number);
        }
        for scope in wanted {
            if !self.running.contains_key(scope) {
                self.start(scope.clone());
            }
        }
        ended.into_iter().map(|(scope, _)| scope).collect()
    }

    fn start(&mut self, scope: Scope) {
        let (number, token) = (self.next, CancellationToken::new());
        self.next += 1;
        let patience = Patience::default();
        let watch = Watch { scope: scope.clone(), number, news: self.news.clone(), patience };
        let task = watch.run(self.client.clone());
        let ended = token.clone();
        self.tasks.spawn(async move { ended.run_until_cancelled(task).await.unwrap_or(()) });
        self.scopes.insert(number, scope.clone());
        self.running.insert(scope, Running { number, state: State::default(), token });
    }

    /// Takes news into the state of their watch; `None` when that has been ended.
    pub(super) fn take(&mut self, message: &Message, now: Timestamp) -> Option<Effect> {
        let scope = self.scopes.get(&message.number)?.clone();
        let is_gone = self.running.get_mut(&scope)?.state.take(&scope, &message.news, now);
        Some(Effect { scope, is_gone })
    }

    /// Every watch and how it stands, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Scope, &State)> {
        self.running.iter().map(|(scope, running)| (scope, &running.state))
    }

    /// Waits for the end of a watch that was ended; a watch that panicked panics here. Waits for ever while there is
    /// none.
    pub(super) async fn reap(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// The watches that sources need: of all namespaces, or of those that they name where every one does.
pub(super) fn wanted(sds: &[KubernetesSd]) -> BTreeSet<Scope> {
    let own = sds.iter().filter_map(|sd| sd.role.own_kind());
    let everywhere = sds.iter().any(|sd| sd.namespaces.is_empty());
    let namespaces: BTreeSet<Option<String>> = match everywhere {
        true => [None].into(),
        false => sds.iter().flat_map(|sd| &sd.namespaces).cloned().map(Some).collect(),
    };
    let kinds: BTreeSet<Kind> = kind::ALWAYS.into_iter().filter(|_| !sds.is_empty()).chain(own).collect();
    // A Role in a namespace gives nobody a list of namespaces.
    let kinds = kinds.into_iter().filter(|kind| everywhere || *kind != Kind::Namespace);
    let scope = |kind, namespace: &Option<String>| Scope { kind, namespace: namespace.clone(), name: None };
    kinds.flat_map(|kind| namespaces.iter().map(move |namespace| scope(kind, namespace))).collect()
}

/// The watches of single objects of a kind, and what to say of namespaces where too many are named.
pub(super) fn single(kind: Kind, names: BTreeSet<ObjectName>) -> (Vec<Scope>, Vec<String>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut scopes = Vec::new();
    for (namespace, name) in names {
        let count = counts.entry(namespace.clone()).or_default();
        *count += 1;
        if *count <= SINGLES_MAX {
            scopes.push(Scope { kind, namespace: Some(namespace), name: Some(name) });
        }
    }
    counts.retain(|_, count| *count > SINGLES_MAX);
    let line = |(namespace, count)| {
        format!("monitors in {namespace} name {count} {}; the first {SINGLES_MAX} by name are read", kind.resource())
    };
    (scopes, counts.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    fn sd(role: Role, namespaces: &[&str]) -> KubernetesSd {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        KubernetesSd { role, namespaces, selector: crate::model::selector::Selector::default() }
    }

    #[track_caller]
    fn check(sds: &[KubernetesSd], expected: &[&str]) {
        let written = |Scope { kind, namespace, .. }: &Scope| match namespace {
            Some(namespace) => format!("{namespace}/{}", kind.resource()),
            None => kind.resource().to_owned(),
        };
        let wanted: Vec<_> = wanted(sds).iter().map(written).collect();
        assert_eq!(wanted, expected);
    }

    #[test]
    fn what_is_watched_follows_from_roles_and_namespaces() {
        check(&[], &[]);
        check(&[sd(Role::Pod, &[])], &["pods", "replicasets", "jobs", "services", "endpointslices", "namespaces"]);
        check(
            &[sd(Role::Pod, &["a"]), sd(Role::PodMonitor, &[])],
            &["pods", "replicasets", "jobs", "services", "endpointslices", "namespaces", "podmonitors"],
        );
    }

    #[test]
    fn a_namespace_whose_monitors_name_too_many_objects_takes_nothing_from_others() {
        let names = (0..SINGLES_MAX + 7).map(|number| ("greedy".to_owned(), format!("{number:03}")));
        let names = names.chain([("modest".to_owned(), "one".to_owned())]).collect();
        let (scopes, said) = single(Kind::Secret, names);
        assert_eq!(scopes.len(), SINGLES_MAX + 1);
        assert_eq!(scopes.last().and_then(|scope| scope.namespace.as_deref()), Some("modest"));
        assert_eq!(said, ["monitors in greedy name 57 secrets; the first 50 by name are read"]);
    }

    #[test]
    fn sources_that_all_name_their_namespaces_need_no_permission_elsewhere() {
        check(
            &[sd(Role::Pod, &["b", "a"]), sd(Role::ServiceMonitor, &["a"])],
            &[
                "a/pods",
                "b/pods",
                "a/replicasets",
                "b/replicasets",
                "a/jobs",
                "b/jobs",
                "a/services",
                "b/services",
                "a/endpointslices",
                "b/endpointslices",
                "a/servicemonitors",
                "b/servicemonitors",
            ],
        );
    }
}
