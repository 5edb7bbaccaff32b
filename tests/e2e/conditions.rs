//! Every change of the condition Available of Plimsoll's APIServices, from their registration on. Comes in: a watch of
//! them, on a thread of its own, for no test lasts as long; goes out: the times that nobody meant.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::harness::controlplane::installed::API_SERVICES;

/// Watches until it is dropped.
pub struct Conditions {
    seen: Arc<Mutex<Seen>>,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// One APIService came into another state.
#[derive(Clone)]
pub struct Change {
    pub name: String,
    pub available: bool,
    /// Reason and message of the condition.
    pub says: String,
    /// Whether a test had taken Plimsoll away.
    pub meant: bool,
    /// After the watch began.
    pub after: Duration,
}

#[derive(Default)]
struct Seen {
    changes: Vec<Change>,
    /// By name: whether it is Available.
    latest: BTreeMap<String, bool>,
    /// Whether a test has taken Plimsoll away.
    away: bool,
}

// === impl Conditions ===

impl Conditions {
    /// To be made when all are Available: what comes before is not seen.
    pub fn watch(client: impl FnOnce() -> Client + Send + 'static) -> Self {
        let (seen, shutdown) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new());
        let (known, ended) = (seen.clone(), shutdown.clone());
        let thread = std::thread::Builder::new().name("conditions".into());
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(ended.run_until_cancelled(async { follow(client(), &known).await }));
        });
        Self { seen, shutdown, thread: Some(thread.expect("a thread")) }
    }

    /// Whether what comes now is meant: a test takes Plimsoll away, or has brought it back.
    pub fn take_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// All changes so far.
    pub fn changes(&self) -> Vec<Change> {
        self.lock().changes.clone()
    }

    /// Whether all are Available as far as is known here.
    pub fn all_available(&self) -> bool {
        let seen = self.lock();
        API_SERVICES.iter().all(|name| seen.latest.get(*name) == Some(&true))
    }

    /// What nobody meant: an APIService that was not Available while Plimsoll was there.
    pub fn outages(&self) -> Vec<String> {
        let changes = self.changes().into_iter();
        changes.filter(|change| !change.available && !change.meant).map(|change| change.to_string()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("not poisoned")
    }
}

impl Drop for Conditions {
    fn drop(&mut self) {
        self.shutdown.cancel();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, available, says, meant, after } = self;
        let is = if *available { "is" } else { "is not" };
        let why = if *meant { ", as a test meant" } else { "" };
        write!(f, "after {after:.1?} {name} {is} Available{why}: {says}")
    }
}

// === impl Seen ===

impl Seen {
    fn note(&mut self, name: String, available: bool, says: String, started: Instant) {
        if self.latest.insert(name.clone(), available) != Some(available) {
            self.changes.push(Change { name, available, says, meant: self.away, after: started.elapsed() });
        }
    }
}

async fn follow(client: Client, seen: &Mutex<Seen>) {
    let (services, started) = (Api::<APIService>::all(client), Instant::now());
    let mut events = kube::runtime::watcher(services, watcher::Config::default()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let (service, is_there) = match event {
            Ok(Event::Apply(service) | Event::InitApply(service)) => (service, true),
            Ok(Event::Delete(service)) => (service, false),
            // The watch begins again by itself.
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        let name = service.name_any();
        if API_SERVICES.contains(&name.as_str()) {
            let (available, says) = if is_there { state(service) } else { (false, "deleted".to_owned()) };
            seen.lock().expect("not poisoned").note(name, available, says, started);
        }
    }
}

/// Whether it is Available, and what the condition says.
fn state(service: APIService) -> (bool, String) {
    let conditions = service.status.and_then(|status| status.conditions).unwrap_or_default();
    let Some(available) = conditions.into_iter().find(|condition| condition.type_ == "Available") else {
        return (false, "no condition".to_owned());
    };
    let says = [available.reason, available.message].map(Option::unwrap_or_default).join(": ");
    (available.status == "True", says)
}
