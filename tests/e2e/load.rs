//! Requests through the API server without a pause, as many clients make them: how many there were, and which were lost.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::harness::controlplane::ControlPlane;
use crate::harness::controlplane::asker::Asker;

/// Goes on until it is dropped.
pub struct Load {
    asked: Arc<AtomicUsize>,
    lost: Arc<Mutex<Vec<Lost>>>,
    _clients: JoinSet<()>,
}

/// A request without an answer that says a number.
#[derive(Clone)]
pub struct Lost {
    pub at: Instant,
    why: String,
}

/// What happened in some time.
pub struct Tally {
    pub asked: usize,
    pub lost: Vec<Lost>,
    pub since: Instant,
}

/// Clients at a time.
const CLIENTS: usize = 4;

/// Between the answer to a client and its next request.
const PAUSE: Duration = Duration::from_millis(20);

// === impl Load ===

impl Load {
    /// Asks for this path.
    pub fn start(cluster: &ControlPlane, path: &str) -> Self {
        let (asked, lost) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<Lost>>>::default());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask(cluster.asker(), path.to_owned(), asked.clone(), lost.clone()));
        }
        Self { asked, lost, _clients: clients }
    }

    /// What comes while something is done.
    pub async fn during<T>(&self, what: impl Future<Output = T>) -> (Tally, T) {
        let (since, before) = (Instant::now(), self.asked.load(Ordering::Relaxed));
        let done = what.await;
        let asked = self.asked.load(Ordering::Relaxed) - before;
        let lost = self.lost.lock().expect("not poisoned").iter().filter(|lost| lost.at >= since).cloned().collect();
        (Tally { asked, lost, since }, done)
    }
}

// === impl Tally ===

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} requests were lost", self.lost.len(), self.asked)?;
        let lines = self.lost.iter().take(5);
        lines.into_iter().try_for_each(|Lost { at, why }| write!(f, "\n  after {:?}: {why}", *at - self.since))
    }
}

async fn ask(asker: Asker, path: String, asked: Arc<AtomicUsize>, lost: Arc<Mutex<Vec<Lost>>>) {
    loop {
        let answer = asker.get(&path).await;
        asked.fetch_add(1, Ordering::Relaxed);
        let why = match answer {
            Ok(said) if said.contains("\"value\":") => None,
            Ok(why) | Err(why) => Some(why),
        };
        if let Some(why) = why {
            lost.lock().expect("not poisoned").push(Lost { at: Instant::now(), why });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
