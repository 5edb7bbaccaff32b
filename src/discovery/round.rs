//! The sources of one configuration while it is in force, and the tasks that ask them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::discovery::slot::{Lists, Report, Slot};
use crate::discovery::source::Source;

/// The sources of one configuration. Those that still run when it is dropped end.
pub(super) struct Round {
    pub slots: Vec<Slot>,
    inbox: mpsc::Receiver<Report>,
    tasks: JoinSet<()>,
    /// Until when the old inventory stays because a source has not reported; `None` once that is over.
    waits_until: Option<Instant>,
    /// Ends the tasks when it is dropped.
    _token: DropGuard,
}

/// After a reload the old inventory stays until every new source has reported, at most this long.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

const INBOX: usize = 16;

// === impl Round ===

impl Round {
    /// Starts the sources of a configuration. `known` holds the last lists by the name of their source; those of
    /// sources that there are no more are forgotten. `before` are the slots that end.
    pub(super) fn start(
        config: &Config,
        known: &mut BTreeMap<String, Lists>,
        before: &[Slot],
        has_cluster: bool,
    ) -> Self {
        let sources = Source::all(config, has_cluster);
        let mut slots: Vec<_> = sources.into_iter().map(|(job, source)| Slot::new(job, source, known)).collect();
        slots.iter_mut().for_each(|slot| slot.keep(before));
        known.retain(|name, _| slots.iter().any(|slot| slot.name == *name));
        let (reports, inbox) = mpsc::channel(INBOX);
        let token = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for (number, slot) in slots.iter().enumerate() {
            let last = known.get(&slot.name).cloned().unwrap_or_default();
            tasks.spawn(slot.source.clone().run(number, last, reports.clone(), token.clone()));
        }
        let waits_until = Some(Instant::now() + SETTLE_TIME_MAX);
        Self { slots, inbox, tasks, waits_until, _token: token.drop_guard() }
    }

    /// Whether the inventory of before stays for now.
    pub(super) fn is_waiting(&self) -> bool {
        self.waits_until.is_some() && self.slots.iter().any(|slot| !slot.reported)
    }

    /// Waits for the next report; `None` says once that the sources have had their time. A source that panicked panics
    /// here.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let Self { slots, inbox, tasks, waits_until, .. } = self;
        loop {
            let settled = async {
                match waits_until.filter(|_| slots.iter().any(|slot| !slot.reported)) {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(report) = inbox.recv() => return Some(report),
                () = settled => {
                    *waits_until = None;
                    return None;
                }
                Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                },
            }
        }
    }
}
