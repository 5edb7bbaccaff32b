//! What HorizontalPodAutoscalers ask for, and what they get: for the own metrics, and for nothing else.
//!
//! In: a watch of all HorizontalPodAutoscalers of the cluster, and what Plimsoll answers from. Out: a [`Board`], which the
//! own metrics show. Where the account may not list them there is nothing to show, and all else works. Never here: a write
//! to the cluster, a value of a metric that has none, or an answer to anybody.

mod answer;
mod autoscaler;
mod board;
mod metrics;
mod pause;

pub use board::Board;

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::model::Inventory;
use crate::provider::View;
use crate::storage::Storage;
use answer::Outcome;
use autoscaler::Autoscaler;
use board::Known;
use pause::{Failure, Pause};

/// Follows the autoscalers, and asks for them what they ask for.
pub struct Autoscaling {
    pub client: kube::Client,
    pub config: watch::Receiver<Arc<Config>>,
    pub inventory: watch::Receiver<Arc<Inventory>>,
    pub storage: Storage,
    /// Names of the API groups that others serve; what autoscalers ask of these is not answered here.
    pub elsewhere: watch::Receiver<BTreeSet<String>>,
    pub clock: Clock,
    pub board: Board,
}

/// What is answered is looked at so often, where that is cheap: three times while an autoscaler looks once.
const INTERVAL: Duration = Duration::from_secs(5);

/// Of a core at most this part is taken by looking.
const SHARE: u32 = 10;

/// The server ends a watch after so many seconds, and it is taken up again: one that is dead without a word is noticed.
const WATCH_SECONDS: u32 = 60;

/// A page of a list comes within this time.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Autoscalers of one page of a list; each has some 5 KB.
const PAGE_SIZE: u32 = 100;

// === impl Autoscaling ===

impl Autoscaling {
    /// Keeps the board current until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
            () = self.keep_answers() => {}
        }
    }

    /// One list after the other, each followed for as long as that works. What is known stays while nobody answers.
    async fn follow(&self) {
        let api: Api<HorizontalPodAutoscaler> = Api::all(self.client.clone());
        let config = || watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE);
        let mut pause = Pause::default();
        loop {
            let failure = self.relay(pin!(watcher(api.clone(), config())), &mut pause).await;
            match failure {
                Failure::Expired => {}
                Failure::Refused(_) => self.board.forget(),
                Failure::Trouble(_) => self.board.down(),
            }
            sleep(pause.after(&failure, Instant::now())).await;
        }
    }

    /// Takes what a stream says until a new list is needed.
    async fn relay(
        &self,
        mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<HorizontalPodAutoscaler>>>>,
        pause: &mut Pause,
    ) -> Failure {
        let mut listing = None;
        loop {
            let patience = if listing.is_some() { PAGE_TIMEOUT } else { Duration::MAX };
            let event = match timeout(patience, stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Failure::from(&error),
                Ok(None) => return Failure::Trouble("the watch ended".into()),
                Err(_) => return Failure::Trouble(format!("no page of the list within {PAGE_TIMEOUT:?}")),
            };
            match event {
                Event::Init => listing = Some(Known::default()),
                Event::InitApply(object) => listing.get_or_insert_default().apply(Autoscaler::from(&object)),
                Event::InitDone => {
                    self.board.listed(listing.take().unwrap_or_default());
                    pause.success();
                }
                Event::Apply(object) => self.board.change(|known| known.apply(Autoscaler::from(&object))),
                Event::Delete(object) => self.board.change(|known| known.delete(&Autoscaler::from(&object))),
            }
        }
    }

    /// Asks what the autoscalers ask, again and again, on a thread on which nobody waits.
    async fn keep_answers(&self) {
        loop {
            let started = Instant::now();
            let (autoscalers, storage, now) = (self.board.autoscalers(), self.storage.clone(), self.clock.now());
            let (config, inventory) = (self.config.borrow().clone(), self.inventory.borrow().clone());
            let elsewhere = self.elsewhere.borrow().clone();
            let asked = move || {
                let view = View { config: &config, inventory: &inventory, storage: &storage, now };
                let outcomes =
                    |autoscaler: Arc<Autoscaler>| (answer::outcomes(&view, &elsewhere, &autoscaler), autoscaler);
                autoscalers.into_iter().map(outcomes).collect::<Vec<(Vec<Outcome>, _)>>()
            };
            match tokio::task::spawn_blocking(asked).await {
                Ok(answered) => self.board.answer(answered),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down.
                    Err(_) => return,
                },
            }
            let pause = INTERVAL.max(started.elapsed() * SHARE);
            tokio::select! {
                () = sleep(pause) => {}
                () = self.board.was_listed() => {}
            }
        }
    }
}
