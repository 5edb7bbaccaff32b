//! The cluster's API as a source of targets: what watches say of Pods, their owners, Services and monitors → the
//! targets of a job and what is known of the cluster.
//!
//! A pod counts while it runs, has an address and is not being deleted. Its identity comes from the API alone. A
//! kube-apiserver that is away takes nothing with it: what was known last stays, and that is said.

mod annotations;
mod answer;
mod exposure;
mod failure;
mod health;
mod index;
mod interner;
mod kind;
mod kinds;
mod line;
mod material;
mod meta_labels;
mod metrics;
mod monitor;
mod monitors;
mod namespace;
mod owner;
mod pod;
mod reading;
mod reference;
pub mod relabeling;
mod service;
mod sparse;
mod state;
mod uid;
mod watch;
mod watches;

pub(super) use health::Health;
pub(super) use index::Index;
pub use kind::{Need, VERBS, every_need, needs, resources};
pub(super) use metrics::Metrics;
pub use reference::{Reference, references};

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Interval};

use crate::clock::Clock;
use crate::config::{Job, KubernetesSd};
use crate::model::{OwnerReference, Reach};
use index::{Kind, ObjectName};
use kinds::Kinds;
use namespace::Namespace;
use owner::Middle;
use watch::{Message, News, Scope};
use watches::{Effect, Watches};

/// What is known of the cluster, and the watches that keep it so. Lives as long as the process.
pub(super) struct Kubernetes {
    /// Lent to whoever draws up targets, who gives it back.
    pub index: Index,
    watches: Watches,
    /// The sources that the configuration has.
    sds: Vec<KubernetesSd>,
    /// The watches that they ask for; their monitors ask for more.
    configured: BTreeSet<Scope>,
    /// Where every pod is known, be it from before.
    pub reach: Reach,
    /// What to say of objects that monitors name and that are not watched.
    left_out: Vec<String>,
    kinds: Kinds,
    owners: HashSet<OwnerReference>,
    inbox: mpsc::Receiver<Message>,
    batch: Vec<Message>,
    ticks: Interval,
    clock: Clock,
    metrics: Metrics,
}

/// What is not as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    /// Other targets, or other objects.
    pub of_objects: bool,
    /// Whether something may have to be said of a source.
    pub of_health: bool,
}

/// Whole objects on their way: few, since each is as large as the API has it.
const INBOX: usize = 64;

/// How often the state is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(2);

/// Namespaces that name too many objects are few, or somebody means harm.
const LEFT_OUT_LINES: usize = 5;

// === impl Kubernetes ===

impl Kubernetes {
    pub(super) fn new(client: kube::Client, clock: Clock, metrics: Metrics) -> Self {
        let (news, inbox) = mpsc::channel(INBOX);
        Self {
            index: Index::default(),
            watches: Watches::new(client.clone(), news),
            sds: Vec::new(),
            configured: BTreeSet::new(),
            reach: Reach::default(),
            left_out: Vec::new(),
            kinds: Kinds::new(client),
            owners: HashSet::new(),
            inbox,
            batch: Vec::with_capacity(INBOX),
            ticks: tokio::time::interval(TICK),
            clock,
            metrics,
        }
    }

    /// From now on watches what these jobs need. What is wanted before and after is not touched.
    pub(super) fn follow(&mut self, jobs: &[Arc<Job>]) {
        self.sds = jobs.iter().flat_map(|job| &job.kubernetes_sd).cloned().collect();
        self.configured = watches::wanted(&self.sds);
        let pods = self.configured.iter().filter(|scope| scope.kind == Kind::Pod);
        let followed = pods.map(|scope| scope.namespace.as_deref()).collect();
        self.reach = std::mem::take(&mut self.reach).within(&followed);
        self.forget_others();
        self.want();
        self.measure();
    }

    /// Waits for a change. Dropped while it waits, it loses nothing.
    pub(super) async fn changed(&mut self) -> Change {
        loop {
            let change = tokio::select! {
                _ = self.inbox.recv_many(&mut self.batch, INBOX) => self.take_batch(),
                resources = self.kinds.learn() => {
                    Change { of_objects: self.index.set_resources(resources), of_health: false }
                }
                () = self.watches.reap() => continue,
                _ = self.ticks.tick() => self.tick(),
            };
            if change != Change::default() {
                return change;
            }
        }
    }

    /// How the watches stand that a source rests on.
    pub(super) fn health(&self, sd: &KubernetesSd) -> Health {
        let mut health = Health::of(sd, self.watches.iter(), count(&self.index, Kind::Pod));
        if sd.role.own_kind().is_some() {
            health.notes.extend(self.left_out.iter().cloned());
        }
        health
    }

    /// Takes note of the owners there are, so that their resources are known.
    pub(super) fn note_owners(&mut self, owners: HashSet<OwnerReference>) {
        self.owners = owners;
        self.look_up();
    }

    fn look_up(&mut self) {
        let owners = self.owners.iter().map(|owner| (&owner.api_version, &owner.kind));
        self.kinds.look_up(owners, Instant::now());
    }

    fn tick(&mut self) -> Change {
        self.look_up();
        self.measure();
        Change { of_objects: false, of_health: true }
    }

    fn take_batch(&mut self) -> Change {
        let now = self.clock.now();
        let mut change = Change::default();
        let (mut batch, mut of_monitors) = (std::mem::take(&mut self.batch), false);
        for message in batch.drain(..) {
            let Some(Effect { scope, is_gone }) = self.watches.take(&message, now) else { continue };
            of_monitors |= scope.kind.is_optional();
            change.of_health |= !matches!(message.news, News::Object(_) | News::Deleted(_));
            change.of_objects |= is_gone && self.retain(&scope, &HashSet::new());
            change.of_objects |= self.apply(&scope, message.news);
        }
        self.batch = batch;
        if of_monitors {
            change.of_objects |= self.want();
        }
        if change.of_health {
            self.measure();
        }
        change
    }

    fn apply(&mut self, scope: &Scope, news: News) -> bool {
        match news {
            News::Object(object) => self.index.apply(*object),
            News::Deleted((namespace, name)) => self.index.delete(scope.kind, &namespace, &name),
            News::Listed(listed) => self.take_list(scope, &listed),
            News::Failed(_) | News::Unreadable(..) => {
                self.metrics.count_error(scope.kind);
                false
            }
            News::Answered => false,
        }
    }

    /// Takes note that there are no other objects. That nothing runs is news too, the first time.
    fn take_list(&mut self, scope: &Scope, listed: &HashSet<ObjectName>) -> bool {
        let before = self.reach.clone();
        if scope.kind == Kind::Pod {
            self.reach.add(scope.namespace.as_deref());
        }
        self.retain(scope, listed) || self.reach != before
    }

    /// Forgets what a watch is about and a list does not have.
    fn retain(&mut self, scope: &Scope, listed: &HashSet<ObjectName>) -> bool {
        match (&scope.namespace, &scope.name) {
            (Some(namespace), Some(name)) => {
                let is_listed = listed.contains(&(namespace.clone(), name.clone()));
                !is_listed && self.index.delete(scope.kind, namespace, name)
            }
            _ => self.index.retain(scope.kind, scope.namespace.as_deref(), listed),
        }
    }

    /// What the configuration asks for, and the Secrets and ConfigMaps that its monitors refer to.
    fn want(&mut self) -> bool {
        let (secrets, left_out) = watches::single(Kind::Secret, self.index.secrets_wanted(&self.sds));
        let (config_maps, too) = watches::single(Kind::ConfigMap, self.index.config_maps_wanted(&self.sds));
        self.left_out = left_out.into_iter().chain(too).take(LEFT_OUT_LINES).collect();
        let wanted = self.configured.iter().cloned().chain(secrets).chain(config_maps).collect();
        let ended = self.watches.want(&wanted);
        let mut changed = false;
        for scope in ended.iter().filter(|scope| scope.name.is_some()) {
            changed |= self.retain(scope, &HashSet::new());
        }
        changed
    }

    /// Forgets the objects that no watch speaks of any more.
    fn forget_others(&mut self) {
        let known: Vec<Arc<str>> = self.index.namespaces().keys().cloned().collect();
        for kind in kind::WHOLE {
            let scopes = self.configured.iter().filter(|scope| scope.kind == kind);
            let namespaces: Option<BTreeSet<&str>> = scopes.map(|scope| scope.namespace.as_deref()).collect();
            match namespaces {
                None => {}
                Some(none) if none.is_empty() => {
                    self.index.retain(kind, None, &HashSet::new());
                }
                Some(some) => known.iter().filter(|name| !some.contains(&***name)).for_each(|other| {
                    self.index.retain(kind, Some(other), &HashSet::new());
                }),
            }
        }
    }

    fn measure(&self) {
        self.metrics.set(self.watches.iter(), |kind| count(&self.index, kind));
    }
}

/// The objects of a kind that are known.
fn count(index: &Index, kind: Kind) -> usize {
    let of = |known: &Namespace| match kind {
        Kind::Pod => known.pods.len(),
        Kind::ReplicaSet => known.workloads.keys().filter(|(middle, _)| *middle == Middle::ReplicaSet).count(),
        Kind::Job => known.workloads.keys().filter(|(middle, _)| *middle == Middle::Job).count(),
        Kind::Service => known.services.len(),
        Kind::EndpointSlice => known.slices.len(),
        Kind::Namespace => usize::from(known.own.is_some()),
        Kind::PodMonitor => known.pod_monitors.len(),
        Kind::ServiceMonitor => known.service_monitors.len(),
        Kind::Secret => known.secrets.len(),
        Kind::ConfigMap => known.config_maps.len(),
    };
    index.namespaces().values().map(of).sum()
}
