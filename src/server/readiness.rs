//! The readiness checks over discovery, scraping, authentication, authorization and the serving certificate, as closures for
//! `admin`.
//!
//! A process becomes ready once, and a reload never takes that back: what goes wrong later is said, and serving goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// A kubelet asks every few seconds.
const KEEP_TIME: Duration = Duration::from_secs(1);

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
    let (started, times) = (clock.now(), clock.clone());
    let done = AtomicBool::new(false);
    let ask = move || {
        let inventory = inventory.borrow().clone();
        if !done.load(Ordering::Relaxed) {
            if !inventory.complete {
                return Readiness::NotReady("targets are not known yet".into());
            }
            let waiting = count(&inventory, &storage, is_waited_for);
            if waiting > 0 && !time_is_up(&inventory, started, times.now()) {
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
    Check { name: "scrape", ask: Box::new(kept(clock, ask)) }
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
            (Some(_), None) => known.in_force.weakness().map_or(Readiness::Ok, Readiness::Degraded),
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
        lines.extend(in_force.weakness(now));
        if lines.is_empty() { Readiness::Ok } else { Readiness::Degraded(lines.join("; ")) }
    };
    Check { name: "certificate", ask: Box::new(ask) }
}

/// Degraded while the kube-apiserver does not say who may what, or whose a token is: who needs it is refused.
pub(super) fn authorization(reviews: Reviews) -> Check {
    let ask = move || reviews.trouble().map_or(Readiness::Ok, Readiness::Degraded);
    Check { name: "authorization", ask: Box::new(ask) }
}

/// Asks at most once in [`KEEP_TIME`]: anybody may want to know, and it takes a look at every target.
fn kept(clock: Clock, ask: impl Fn() -> Readiness + Send + Sync) -> impl Fn() -> Readiness + Send + Sync {
    let last: Mutex<Option<(Timestamp, Readiness)>> = Mutex::default();
    move || {
        let now = clock.now();
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |asked: Timestamp| now >= asked && now.since(asked) < KEEP_TIME;
        match &*last {
            Some((asked, readiness)) if is_fresh(*asked) => readiness.clone(),
            _ => last.insert((now, ask())).1.clone(),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32};

    use super::*;
    use crate::serving::Certificate;

    /// A pair in PEM that ends this year.
    fn pair(year: i32) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(year, 1, 1));
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    #[test]
    fn an_expired_certificate_behind_a_valid_one_degrades_and_does_not_unready() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, key_file] = ["tls.crt", "tls.key"].map(|name| folder.path().join(name));
        let now = Timestamp(1_767_225_600_000);
        let asked = |ends: &[i32]| {
            let pairs: Vec<_> = ends.iter().map(|year| pair(*year)).collect();
            let chain: String = pairs.iter().map(|(certificate, _)| certificate.as_str()).collect();
            std::fs::write(&file, chain).expect("written");
            std::fs::write(&key_file, &pairs[0].1).expect("written");
            let in_force = Some(Arc::new(Certificate::from_files(&file, &key_file).expect("a pair")));
            let standing = watch::Sender::new(Standing { in_force, ..Standing::default() }).subscribe();
            (certificate(standing, Clock::from_fn(move || now)).ask)()
        };
        assert_eq!(asked(&[2040, 2041]), Readiness::Ok);
        let Readiness::Degraded(what) = asked(&[2040, 2025]) else { panic!("it is served") };
        assert!(what.contains("follows the server's own in its chain has expired"), "{what}");
        assert!(matches!(asked(&[2025, 2040]), Readiness::NotReady(_)));
    }

    #[test]
    fn whoever_asks_how_often_the_targets_are_looked_at_once_a_second() {
        let (now, asked) = (Arc::new(AtomicI64::new(1_000_000)), AtomicU32::new(0));
        let clock = {
            let now = now.clone();
            Clock::from_fn(move || Timestamp(now.load(Ordering::Relaxed)))
        };
        let ask = kept(clock, || Readiness::Degraded(asked.fetch_add(1, Ordering::Relaxed).to_string()));
        let answers = |count: usize| (0..count).map(|_| ask()).last();
        let nth = |n: u32| Some(Readiness::Degraded(n.to_string()));
        assert_eq!(answers(1_000), nth(0));
        now.fetch_add(999, Ordering::Relaxed);
        assert_eq!(answers(1_000), nth(0));
        now.fetch_add(1, Ordering::Relaxed);
        assert_eq!(answers(1_000), nth(1));
        // A clock that is set back keeps nothing.
        now.fetch_sub(5_000, Ordering::Relaxed);
        assert_eq!(answers(1_000), nth(2));
    }
}
