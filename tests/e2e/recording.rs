//! What happens to the autoscalers, Deployments and pods of a namespace, with the time at which it was seen. Comes in: a
//! watch of each kind; goes out: states in order, and whether the [`model`] explains every decision.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use plimsoll::hpa::Scale;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::model;
use crate::harness::controlplane::eventually;

/// Goes on until it is dropped.
pub struct Recording {
    autoscalers: Log<HorizontalPodAutoscaler>,
    deployments: Log<Deployment>,
    pods: Log<Pod>,
    _watches: JoinSet<()>,
}

/// A decision of an autoscaler, as its status shows it.
#[derive(Clone)]
pub struct Decision {
    pub at: Instant,
    /// `status.currentReplicas`: what the Deployment had when it was made.
    pub current: i32,
    pub desired: i32,
    /// Whether there was a valid metric.
    pub is_active: bool,
    object: Arc<HorizontalPodAutoscaler>,
}

/// How well the model explains the decisions of an autoscaler.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explained {
    pub decisions: usize,
    /// Those that could have been no other.
    pub unambiguous: usize,
}

/// What was seen of one kind, in order.
struct Log<K>(Arc<Mutex<Vec<Moment<K>>>>);

/// An object came into a state.
struct Moment<K> {
    at: Instant,
    name: String,
    /// `None` when it was deleted.
    object: Option<Arc<K>>,
}

/// A reconcile looks at the cluster up to this long before its outcome is seen here; the controller's caches are a little
/// late themselves.
const ROUND: Duration = Duration::from_secs(2);

/// What one watch may be behind another.
const LAG: Duration = Duration::from_millis(200);

// === impl Recording ===

impl Recording {
    pub async fn start(client: Client, namespace: &str) -> Self {
        let mut watches = JoinSet::new();
        let recording = Self {
            autoscalers: Log::watch(Api::namespaced(client.clone(), namespace), &mut watches),
            deployments: Log::watch(Api::namespaced(client.clone(), namespace), &mut watches),
            pods: Log::watch(Api::namespaced(client, namespace), &mut watches),
            _watches: watches,
        };
        let is_known = || async { !recording.deployments.lock().is_empty() };
        eventually("the recording begins", is_known, |known| *known).await;
        recording
    }

    /// What `spec.replicas` of a Deployment has been since a time, the value at that time first.
    pub fn replicas(&self, deployment: &str, since: Instant) -> Vec<i32> {
        let wanted = |state: &Arc<Deployment>| state.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let mut seen: Vec<i32> = self.deployments.states(deployment, since).iter().map(wanted).collect();
        seen.dedup();
        seen
    }

    /// Every new status of an autoscaler.
    pub fn decisions(&self, autoscaler: &str) -> Vec<Decision> {
        let moments = self.autoscalers.lock();
        let named = moments.iter().filter(|moment| moment.name == autoscaler);
        let mut decisions: Vec<Decision> =
            named.filter_map(|moment| Decision::of(moment.at, moment.object.as_ref()?)).collect();
        decisions.dedup_by(|later, earlier| later.object.status == earlier.object.status);
        decisions
    }

    /// Waits for a decision after a time that is as wanted.
    pub async fn decision(&self, autoscaler: &str, since: Instant, good: impl Fn(&Decision) -> bool) -> Decision {
        let find = || async {
            let decisions = self.decisions(autoscaler);
            decisions.into_iter().find(|decision| decision.at > since && good(decision))
        };
        let found = eventually(&format!("a decision of {autoscaler}"), find, Option::is_some).await;
        found.expect("it is there")
    }

    /// Panics where the model does not explain a decision.
    pub fn check(&self, autoscaler: &str) -> Explained {
        let decisions = self.decisions(autoscaler);
        let (mut explained, mut before, mut wrong) = (Explained::default(), 0, Vec::new());
        for decision in &decisions {
            let allowed = self.allowed(decision, before);
            if !allowed.contains(&decision.desired) {
                wrong.push(format!("{allowed:?} allowed: {decision:?}"));
            }
            explained.decisions += 1;
            explained.unambiguous += usize::from(allowed.len() == 1);
            before = decision.desired;
        }
        assert!(wrong.is_empty(), "{autoscaler} decided what the algorithm does not:\n{}", wrong.join("\n"));
        explained
    }

    /// What it may have decided; without a valid metric what it had decided before.
    fn allowed(&self, decision: &Decision, before: i32) -> Vec<i32> {
        if !decision.is_active {
            return vec![before];
        }
        let from = decision.at.checked_sub(ROUND).expect("the machine runs for longer");
        let until = decision.at + LAG;
        let name = decision.object.spec.as_ref().map_or("", |spec| &spec.scale_target_ref.name);
        let states = self.deployments.states_until(name, from, until);
        let scale = |state: &Arc<Deployment>| Scale {
            spec_replicas: state.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            status_replicas: state.status.as_ref().and_then(|status| status.replicas).unwrap_or_default(),
        };
        // Both numbers of a scale come from one state.
        let scales = states.iter().map(scale).filter(|scale| scale.spec_replicas == decision.current);
        let scales: Vec<Scale> = scales.collect();
        let pods: Vec<Vec<Arc<Pod>>> = self.pods.sets(from, until);
        let selector = states.last().and_then(|state| state.spec.as_ref()).map(|spec| spec.selector.clone());
        model::allowed(&decision.object, &selector.unwrap_or_default(), &scales, &pods)
    }
}

// === impl Decision ===

impl Decision {
    /// `None` before the first reconcile.
    fn of(at: Instant, object: &Arc<HorizontalPodAutoscaler>) -> Option<Self> {
        let status = object.status.as_ref()?;
        let active = status.conditions.iter().flatten().find(|condition| condition.type_ == "ScalingActive")?;
        Some(Self {
            at,
            current: status.current_replicas.unwrap_or_default(),
            desired: status.desired_replicas,
            is_active: active.status == "True",
            object: object.clone(),
        })
    }
}

impl Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { current, desired, is_active, object, .. } = self;
        let seen = object.status.as_ref().and_then(|status| status.current_metrics.as_ref());
        let metric = if *is_active { "a" } else { "no" };
        write!(f, "from {current} to {desired} replicas with {metric} valid metric; {}", serde_json::json!(seen))
    }
}

// === impl Log ===

impl<K> Log<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    fn watch(api: Api<K>, watches: &mut JoinSet<()>) -> Self {
        let log = Self(Arc::default());
        let seen = log.0.clone();
        watches.spawn(async move {
            let mut events = kube::runtime::watcher(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let (object, is_there) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, true),
                    Ok(Event::Delete(object)) => (object, false),
                    // The watch begins again by itself.
                    Ok(Event::Init | Event::InitDone) | Err(_) => continue,
                };
                let moment =
                    Moment { at: Instant::now(), name: object.name_any(), object: is_there.then(|| Arc::new(object)) };
                seen.lock().expect("not poisoned").push(moment);
            }
        });
        log
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moment<K>>> {
        self.0.lock().expect("not poisoned")
    }

    /// The state of an object at a time, and all after.
    fn states(&self, name: &str, since: Instant) -> Vec<Arc<K>> {
        self.states_until(name, since, Instant::now())
    }

    fn states_until(&self, name: &str, from: Instant, to: Instant) -> Vec<Arc<K>> {
        let moments = self.lock();
        let known: Vec<_> = moments.iter().filter(|moment| moment.name == name && moment.at <= to).collect();
        let first = known.iter().rposition(|moment| moment.at <= from).unwrap_or(0);
        known[first..].iter().filter_map(|moment| moment.object.clone()).collect()
    }

    /// All objects there were, at a time and after each change until another.
    fn sets(&self, from: Instant, to: Instant) -> Vec<Vec<Arc<K>>> {
        let (mut current, mut sets) = (BTreeMap::new(), Vec::new());
        let set = |current: &BTreeMap<String, Arc<K>>| current.values().cloned().collect();
        for moment in self.lock().iter().take_while(|moment| moment.at <= to) {
            if moment.at > from {
                sets.push(set(&current));
            }
            match &moment.object {
                Some(object) => current.insert(moment.name.clone(), object.clone()),
                None => current.remove(&moment.name),
            };
        }
        sets.push(set(&current));
        sets
    }
}
