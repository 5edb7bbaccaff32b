//! The open connections: who may open another one, whose time is over, and who makes room.
//!
//! In come addresses and what their connections do; out go orders to leave. Before a request is authenticated only an
//! address is known, so bounds by address hold for strangers alone, and it is always a stranger that makes room: no
//! number of them keeps the front proxy out, or ends a connection of it. Strangers make room whatever they do; who is
//! known does only while it asks nothing.

mod origin;
mod table;

pub use origin::Origin;
pub(super) use origin::{Judging, Order, Under};

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::config::Tier;
use crate::serving::activity::{Closure, Standing, Verdict};
use crate::serving::limits::Limits;
use crate::serving::metrics::Metrics;
use crate::serving::network::Network;
use crate::serving::rate::Rate;
use table::Table;

/// The open connections. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    table: Mutex<Table>,
    /// Handshakes by address; none where all are on this machine.
    arrivals: Option<Rate>,
    /// Failed authentications by address.
    failures: Rate,
    pub(super) metrics: Metrics,
    /// What there was to say since the last line about it.
    refused: AtomicU64,
    closed: AtomicU64,
}

/// A connection's place among the open ones, for as long as it lives.
pub(super) struct Lease(Origin);

/// Why a connection is closed before its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// Its address begins too many handshakes in a time.
    Rate,
    /// All of its address answer something to somebody who is known.
    Address,
    /// All that are open do, or are of the front proxy.
    Full,
}

/// An address from which the front proxy came counts as its own for this long after its last connection.
pub(super) const TRUST_TIME: Duration = Duration::from_secs(600);

// === impl Refused ===

impl Refused {
    pub(super) const ALL: [Self; 3] = [Self::Rate, Self::Address, Self::Full];

    /// The value of the label `reason`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Address => "address_full",
            Self::Full => "full",
        }
    }
}

// === impl Connections ===

impl Connections {
    /// `counts_addresses`: whether an address tells clients apart.
    pub(super) fn new(limits: Limits, counts_addresses: bool) -> Self {
        let at_once = NonZeroU32::new(limits.new_at_once).unwrap_or(NonZeroU32::MIN);
        let per_second = NonZeroU32::new(limits.new_per_second).unwrap_or(NonZeroU32::MIN);
        let arrivals = counts_addresses.then(|| Rate::new(Quota::per_second(per_second).allow_burst(at_once)));
        let failures = NonZeroU32::new(limits.failures_per_minute).unwrap_or(NonZeroU32::MIN);
        let per_address = if counts_addresses { limits.connections_per_address } else { usize::MAX };
        Self(Arc::new(Shared {
            table: Mutex::new(Table::new(limits.connections, per_address)),
            limits,
            arrivals,
            failures: Rate::new(Quota::per_minute(failures)),
            metrics: Metrics::default(),
            refused: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }))
    }

    /// Shows what goes on at the port.
    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Takes a new connection in, where necessary in place of another one.
    pub(super) fn open(&self, address: IpAddr, now: Instant) -> Result<Lease, Refused> {
        let network = Network::from(address);
        let mut table = self.0.table();
        let is_trusted = table.is_trusted(network, now);
        if table.address_is_full(network, is_trusted) {
            let victim = table.victim_of(network, now).ok_or_else(|| self.0.refuse(Refused::Address))?;
            self.close(&mut table, &victim, Closure::AddressFull);
        }
        if table.is_full(is_trusted) {
            let victim = table.victim(now).ok_or_else(|| self.0.refuse(Refused::Full))?;
            self.close(&mut table, &victim, Closure::Full);
        }
        let origin = table.open(is_trusted, now, |id| Origin::new(id, network, self.0.clone(), now));
        self.0.metrics.open(Standing::Stranger, 1);
        Ok(Lease(origin))
    }

    /// Ends the connection that a new one would end, for want of file descriptors.
    pub(super) fn make_room(&self) {
        let mut table = self.0.table();
        if let Some(victim) = table.victim(Instant::now()) {
            self.close(&mut table, &victim, Closure::Full);
        }
    }

    fn close(&self, table: &mut Table, victim: &Origin, closure: Closure) {
        self.0.forget(table, victim.id());
        self.0.cut(victim, closure);
    }

    /// Looks whose time is over.
    pub(super) fn sweep(&self, now: Instant) {
        let all = self.0.table().all();
        for origin in all {
            match origin.verdict(&self.0.limits, now) {
                Some(Verdict::Cut(closure)) => self.0.cut(&origin, closure),
                Some(Verdict::Leave(closure)) => {
                    self.0.metrics.closed(closure);
                    origin.order(Order::Leave, now);
                }
                None => {}
            }
        }
        self.0.table().tidy(now);
    }

    /// One line for all that strangers do, however much it is.
    pub(super) fn tell(&self) {
        let (refused, closed) = (self.0.refused.swap(0, Ordering::Relaxed), self.0.closed.swap(0, Ordering::Relaxed));
        if refused + closed == 0 {
            return;
        }
        let busiest = self.0.table().busiest().map_or("none".into(), |(network, count)| format!("{network} ({count})"));
        tracing::warn!(refused, closed, "connections of strangers refused or cut off; most are open from {busiest}");
    }

    /// Counts a request that was refused for its tier, or for failed authentications.
    pub(super) fn limited(&self, tier: Option<Tier>) {
        self.0.metrics.limited(tier);
    }

    /// Asks all to leave.
    pub(super) fn leave(&self, now: Instant) {
        for origin in self.0.table().all() {
            origin.order(Order::Leave, now);
        }
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

// === impl Shared ===

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that is not answered.
    fn refuse(&self, why: Refused) -> Refused {
        self.metrics.refused(why);
        self.refused.fetch_add(1, Ordering::Relaxed);
        why
    }

    /// Ends a connection at once. One that was asked to leave has been counted.
    fn cut(&self, origin: &Origin, closure: Closure) {
        if origin.order(Order::Cut, Instant::now()) == Order::Stay {
            tracing::debug!(reason = closure.name(), "connection cut off");
            self.metrics.closed(closure);
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget(&self, table: &mut Table, id: u64) {
        if let Some(standing) = table.forget(id, Instant::now() + TRUST_TIME) {
            self.metrics.open(standing, -1);
        }
    }
}

// === impl Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        let shared = self.0.shared();
        shared.forget(&mut shared.table(), self.0.id());
    }
}

impl std::ops::Deref for Lease {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::activity::Framing;

    fn connections(most: usize) -> Connections {
        Connections::new(Limits { connections: most, connections_per_address: 4, ..Limits::default() }, true)
    }

    fn address(i: usize) -> IpAddr {
        IpAddr::from([127, 0, 3, u8::try_from(i + 1).expect("few")])
    }

    /// So many connections of clients that ask something each, and take no answer.
    fn busy(connections: &Connections, count: usize, standing: Standing, now: Instant) -> Vec<(Lease, Under)> {
        let busy = |i| {
            let lease = connections.open(address(i / 4), now).expect("room");
            assert!(lease.shaken(1));
            let under = lease.begin(Framing::Http2);
            lease.promote(standing);
            (lease, under)
        };
        (0..count).map(busy).collect()
    }

    fn is_cut(lease: &Lease) -> bool {
        *lease.orders().borrow() == Order::Cut
    }

    #[test]
    fn strangers_make_room_also_while_they_ask_and_who_has_just_come_has_time() {
        let (connections, now) = (connections(32), Instant::now());
        let held = busy(&connections, 30, Standing::Stranger, now);
        let later = now + Duration::from_secs(2);
        let newcomer = connections.open(address(100), later).expect("room");
        let another = connections.open(address(101), later).expect("room");
        let cut: Vec<_> = held.iter().map(|(lease, _)| is_cut(lease)).collect();
        assert_eq!((&cut[..3], cut[3..].contains(&true)), (&[true, true, false][..], false));
        assert!(!is_cut(&newcomer) && !is_cut(&another));
        // The same at an address that has all its connections.
        let next = connections.open(address(1), later).expect("room");
        assert_eq!([is_cut(&held[4].0), is_cut(&held[5].0), is_cut(&next)], [true, false, false]);
    }

    #[test]
    fn who_says_nothing_makes_room_before_who_has_spoken() {
        let (connections, now) = (connections(4), Instant::now());
        let spoken = connections.open(address(0), now).expect("room");
        assert!(spoken.shaken(1));
        let silent = connections.open(address(1), now).expect("room");
        let others = [2, 3].map(|i| connections.open(address(i), now).expect("room"));
        let later = now + Duration::from_secs(2);
        let _newcomer = connections.open(address(4), later).expect("room");
        assert_eq!((is_cut(&spoken), is_cut(&silent), others.iter().any(is_cut)), (false, true, false));
    }

    #[test]
    fn places_are_kept_for_the_front_proxy_whoever_else_asks() {
        let (connections, now) = (connections(32), Instant::now());
        let front_proxy = connections.open(address(100), now).expect("room");
        front_proxy.promote(Standing::FrontProxy);
        let held = busy(&connections, 29, Standing::Known, now);
        assert_eq!(connections.open(address(101), now).err(), Some(Refused::Full));
        let others = [0, 1].map(|_| connections.open(address(100), now).expect("kept"));
        assert!(!others.iter().any(is_cut) && !held.iter().any(|(lease, _)| is_cut(lease)));
    }

    #[test]
    fn what_a_connection_has_been_found_to_be_it_stays() {
        let (connections, now) = (connections(32), Instant::now());
        let lease = connections.open(address(0), now).expect("room");
        let promote = |standing| connections.0.table().promote(lease.id(), standing);
        assert_eq!(promote(Standing::FrontProxy), Some(Standing::Stranger));
        // As when another request has found out meanwhile.
        assert_eq!([promote(Standing::Known), promote(Standing::FrontProxy)], [None; 2]);
        lease.promote(Standing::Known);
        assert_eq!(connections.0.table().busiest(), Some((lease.network(), 0)));
    }

    #[test]
    fn who_merely_connects_takes_no_handshake_from_others_of_its_address() {
        let (connections, now) = (connections(32), Instant::now());
        let held: Vec<_> = (0..600).map(|_| connections.open(address(0), now).expect("room")).collect();
        assert_eq!(held.iter().filter(|lease| !is_cut(lease)).count(), 4);
        let shaken = (0..600).filter(|_| held[599].may_shake(now)).count();
        assert!((100..=110).contains(&shaken), "{shaken}");
        let other = connections.open(address(1), now).expect("room");
        assert!(other.may_shake(now));
    }

    #[test]
    fn few_tokens_of_an_address_are_judged_at_a_time() {
        let (connections, now) = (connections(32), Instant::now());
        let lease = connections.open(address(0), now).expect("room");
        let mut judging: Vec<_> = (0..32).map(|_| lease.judge(now).expect("few")).collect();
        assert!(lease.judge(now).is_none());
        assert!(connections.open(address(1), now).expect("room").judge(now).is_some());
        judging.pop();
        assert!(lease.judge(now).is_some());
    }
}
