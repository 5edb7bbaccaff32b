//! The readiness checks over discovery, scraping, authentication, authorization and the serving certificate, as closures for
//! `admin`.
//!
//! A process becomes ready once, and a reload never takes that back: what goes wrong later is said, and serving goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::admin::{Check, Readiness};
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::SourceStates;
use crate::model::{Inventory, Timestamp};
use crate::serving::Standing;
use crate::serving::authentication::Trust;
use crate::serving::review::Reviews;
use crate::storage::{Health, Storage, TargetState};

/// The first scrapes may hold back readiness for this long at most.
const FIRST_SCRAPES_TIME_MAX: Duration = Duration::from_secs(90);

/// An increase needs two samples.
const FIRST_SCRAPES: u64 = 2;

/// The part of a certificate's life at whose end it should have been renewed: renewal is at two thirds, here and in
/// cert-manager. Of a long life it is this time.
const EXPIRY_IS_NEAR: u32 = 5;
const EXPIRY_IS_NEAR_MAX: Duration = Duration::from_secs(14 * 86_400);

const NOT_COMPLETE: &str = "not every source of targets has said yet what there is";

/// Not ready until every source has reported for the first time since the process started, and those in a cluster know
/// everything that they rest on.
pub(super) fn discovery(sources: SourceStates) -> Check {
    let ask = move || {
        let states = sources.snapshot();
        let line = |(name, state): (&String, &crate::discovery::SourceState)| match &state.error {
            Some(error) => Some(format!("{name}: {error}")),
            None => (!state.reported).then(|| format!("{name}: has not reported yet")),
        };
        let lines = states.iter().filter_map(line).collect::<Vec<_>>().join("; ");
        if !sources.was_complete() {
            let whole = [NOT_COMPLETE, &lines].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
            return Readiness::NotReady(whole.join(": "));
        }
        if lines.is_empty() { Readiness::Ok } else { Readiness::Degraded(lines) }
    };
    Check { name: "discovery", ask: Box::new(ask) }
}

/// Ready once every target was scraped, and twice where that succeeds so that rates exist, or the time is up. It stays
/// ready: later failures are per target and show in its state.
pub(super) fn first_scrapes(inventory: watch::Receiver<Arc<Inventory>>, storage: Storage, clock: Clock) -> Check {
    let started = clock.now();
    let done = AtomicBool::new(false);
    let ask = move || {
        let inventory = inventory.borrow().clone();
        if !done.load(Ordering::Relaxed) {
            if !inventory.complete {
                return Readiness::NotReady("targets are not known yet".into());
            }
            let waiting = count(&inventory, &storage, is_waited_for);
            if waiting > 0 && !time_is_up(&inventory, started, clock.now()) {
                let all = inventory.targets().len();
                return Readiness::NotReady(match count(&inventory, &storage, is_unknown) {
                    0 => format!("{waiting} of {all} targets have been scraped only once; a rate needs two scrapes"),
                    unknown => format!("{unknown} of {all} targets have not been scraped yet"),
                });
            }
            done.store(true, Ordering::Relaxed);
        }
        match count(&inventory, &storage, |state| state.health == Health::Down) {
            0 => Readiness::Ok,
            down => {
                Readiness::Degraded(format!("{down} of {} targets are down; see /status", inventory.targets().len()))
            }
        }
    };
    Check { name: "scrape", ask: Box::new(ask) }
}

/// Degraded while there are targets that are not scraped because there are too many.
pub(super) fn limits(inventory: watch::Receiver<Arc<Inventory>>, config: watch::Receiver<Arc<Config>>) -> Check {
    let ask = move || match inventory.borrow().targets_over_limit {
        0 => Readiness::Ok,
        over => Readiness::Degraded(format!(
            "{over} targets are beyond the limit of {} and not scraped",
            config.borrow().limits.targets
        )),
    };
    Check { name: "limits", ask: Box::new(ask) }
}

/// Not ready while no front proxy is trusted: no request of an autoscaler could be answered.
pub(super) fn authentication(trust: watch::Receiver<Trust>) -> Check {
    let ask = move || {
        let known = trust.borrow();
        match (&known.in_force.front_proxy, known.trouble.clone()) {
            (Some(_), None) => Readiness::Ok,
            (Some(_), Some(trouble)) => Readiness::Degraded(trouble),
            (None, Some(trouble)) => Readiness::NotReady(trouble),
            (None, None) => Readiness::NotReady("the requestheader CA of the cluster has not been read yet".into()),
        }
    };
    Check { name: "authentication", ask: Box::new(ask) }
}

/// Not ready while there is no certificate that a client would take: another replica may have one.
pub(super) fn certificate(standing: watch::Receiver<Standing>, clock: Clock) -> Check {
    let ask = move || {
        let standing = standing.borrow();
        let mut lines: Vec<String> = [&standing.refused, &standing.trouble].into_iter().flatten().cloned().collect();
        let Some(in_force) = &standing.in_force else {
            lines.push("there is no serving certificate yet".into());
            return Readiness::NotReady(lines.join("; "));
        };
        let (end, now) = (in_force.validity.end, clock.now());
        let life = end.since(in_force.validity.start);
        if now >= end {
            lines.push(format!("the serving certificate has expired: it was valid until {end}"));
            return Readiness::NotReady(lines.join("; "));
        }
        if end.since(now) < (life / EXPIRY_IS_NEAR).min(EXPIRY_IS_NEAR_MAX) {
            lines.push(format!("the serving certificate expires at {end} and has not been renewed"));
        }
        if lines.is_empty() { Readiness::Ok } else { Readiness::Degraded(lines.join("; ")) }
    };
    Check { name: "certificate", ask: Box::new(ask) }
}

/// Degraded while the kube-apiserver does not say who may what, or whose a token is: who needs it is refused.
pub(super) fn authorization(reviews: Reviews) -> Check {
    let ask = move || reviews.trouble().map_or(Readiness::Ok, Readiness::Degraded);
    Check { name: "authorization", ask: Box::new(ask) }
}

fn is_unknown(state: &TargetState) -> bool {
    state.health == Health::Unknown
}

/// A target that fails is not waited for: it has no rates, however long one waits.
fn is_waited_for(state: &TargetState) -> bool {
    match state.health {
        Health::Unknown => true,
        Health::Up => state.successes < FIRST_SCRAPES,
        Health::Down => false,
    }
}

fn count(inventory: &Inventory, storage: &Storage, holds: fn(&TargetState) -> bool) -> usize {
    let has = |target: &&Arc<crate::model::Target>| {
        storage.read(&target.id, |store| holds(&store.state)).unwrap_or_else(|| holds(&TargetState::default()))
    };
    inventory.targets().iter().filter(has).count()
}

/// Two scrapes take two intervals, of which the first has the offset, and one timeout for the slowest.
fn time_is_up(inventory: &Inventory, started: Timestamp, now: Timestamp) -> bool {
    let longest = inventory.targets().iter().map(|target| target.scraping.interval * 2 + target.scraping.timeout).max();
    now.since(started) > longest.unwrap_or_default().min(FIRST_SCRAPES_TIME_MAX)
}
