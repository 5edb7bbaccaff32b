//! One connection as its requests and its streams see it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::serving::activity::{Activity, Closure, Framing, Standing, Verdict};
use crate::serving::connections::{Refused, Shared};
use crate::serving::limits::Limits;
use crate::serving::network::Network;

/// The connection that a request came over, known to each of them. Clones are the same connection.
#[derive(Clone)]
pub struct Origin(Arc<State>);

struct State {
    id: u64,
    network: Network,
    shared: Arc<Shared>,
    activity: Mutex<Activity>,
    /// Whether handshake bytes are counted: read with every packet.
    is_shaking: AtomicBool,
    order: watch::Sender<Order>,
}

/// What a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::serving) enum Order {
    Stay,
    /// Answer what is asked, and end.
    Leave,
    Cut,
}

/// A token that is being judged, and counts for its address until this is dropped.
pub(in crate::serving) struct Judging(Origin);

/// A request under way; it ends when this is dropped.
pub(in crate::serving) struct Under {
    origin: Origin,
    request: u64,
}

// === impl Origin ===

impl Origin {
    pub(super) fn new(id: u64, network: Network, shared: Arc<Shared>, now: Instant) -> Self {
        let (activity, is_shaking) = (Mutex::new(Activity::new(now)), AtomicBool::new(true));
        Self(Arc::new(State { id, network, shared, activity, is_shaking, order: watch::Sender::new(Order::Stay) }))
    }

    pub(in crate::serving) fn id(&self) -> u64 {
        self.0.id
    }

    pub(in crate::serving) fn network(&self) -> Network {
        self.0.network
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    pub(in crate::serving) fn limits(&self) -> &Limits {
        &self.0.shared.limits
    }

    pub(in crate::serving) fn activity(&self) -> MutexGuard<'_, Activity> {
        self.0.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::serving) fn is_front_proxy(&self) -> bool {
        self.activity().standing == Standing::FrontProxy
    }

    pub(in crate::serving) fn is_stranger(&self) -> bool {
        self.activity().standing == Standing::Stranger
    }

    /// Counts the bytes of a handshake; false when there are too many, and it is over.
    pub(in crate::serving) fn shaken(&self, bytes: usize) -> bool {
        if !self.0.is_shaking.load(Ordering::Relaxed) {
            return true;
        }
        let counted = self.activity().handshake_bytes(bytes, self.limits());
        match counted {
            Ok(has_begun) => {
                if has_begun {
                    self.0.shared.table().speaks(self.0.id);
                }
                true
            }
            Err(closure) => {
                self.cut(closure);
                false
            }
        }
    }

    pub(in crate::serving) fn handshake_done(&self) {
        self.0.is_shaking.store(false, Ordering::Relaxed);
        self.activity().handshake_done(Instant::now());
    }

    /// A request has come. Dropping the result ends it.
    pub(in crate::serving) fn begin(&self, framing: Framing) -> Under {
        let begin = || self.activity().begin(framing, Instant::now());
        let request = if self.is_front_proxy() {
            begin()
        } else {
            let mut table = self.0.shared.table();
            table.quiet(self.0.id, false);
            begin()
        };
        Under { origin: self.clone(), request }
    }

    /// Somebody was authenticated; what a connection has been found to be it stays.
    pub(in crate::serving) fn promote(&self, standing: Standing) {
        if self.activity().standing >= standing {
            return;
        }
        let mut table = self.0.shared.table();
        if let Some(before) = table.promote(self.0.id, standing) {
            // Under the lock of the table: two requests may find out at the same time.
            self.activity().promote(standing);
            self.0.shared.metrics.open(before, -1);
            self.0.shared.metrics.open(standing, 1);
        }
    }

    /// A request came of a stranger, or was refused for their number. After too many the connection ends.
    pub(in crate::serving) fn spend(&self) {
        // Where addresses tell nobody apart there is nobody else.
        let is_over = self.0.shared.arrivals.is_some() && !self.activity().spend(self.limits());
        if is_over && self.order(Order::Leave, Instant::now()) == Order::Stay {
            self.0.shared.metrics.closed(Closure::Limited);
        }
    }

    /// Until when its address is not listened to, since it failed to authenticate too often.
    pub(in crate::serving) fn failing_until(&self, now: Instant) -> Option<Instant> {
        let table = self.0.shared.table();
        let until = table.failing(self.0.network).filter(|until| *until > now)?;
        (!table.is_trusted(self.0.network, now)).then_some(until)
    }

    /// The token of a request is to be judged; `None` while too many of its address are.
    pub(in crate::serving) fn judge(&self, now: Instant) -> Option<Judging> {
        let mut table = self.0.shared.table();
        let is_trusted = table.is_trusted(self.0.network, now);
        table.judge(self.0.network, is_trusted).then(|| Judging(self.clone()))
    }

    /// A ClientHello came whole, and answering it is what costs; false when its address sends too many.
    pub(in crate::serving) fn may_shake(&self, now: Instant) -> bool {
        let shared = &self.0.shared;
        let is_trusted = shared.table().is_trusted(self.0.network, now);
        let arrivals = shared.arrivals.as_ref().filter(|_| !is_trusted);
        let is_fine = arrivals.is_none_or(|arrivals| arrivals.take(self.0.network).is_ok());
        if !is_fine {
            shared.refuse(Refused::Rate);
        }
        is_fine
    }

    /// An authentication failed.
    pub(in crate::serving) fn fail(&self, now: Instant) {
        if let Err(wait) = self.0.shared.failures.take(self.0.network) {
            self.0.shared.table().fail(self.0.network, now + wait);
        }
    }

    pub(super) fn verdict(&self, limits: &Limits, now: Instant) -> Option<Verdict> {
        self.activity().verdict(limits, now)
    }

    /// Gives an order; gives the one before.
    pub(super) fn order(&self, order: Order, now: Instant) -> Order {
        if order == Order::Leave {
            self.activity().leave(now);
        }
        let mut before = order;
        self.0.order.send_if_modified(|given| {
            before = *given;
            *given = before.max(order);
            *given > before
        });
        before
    }

    pub(in crate::serving) fn orders(&self) -> watch::Receiver<Order> {
        self.0.order.subscribe()
    }

    pub(in crate::serving) fn cut(&self, closure: Closure) {
        self.0.shared.cut(self, closure);
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} of {}", self.0.id, self.0.network)
    }
}

// === impl Judging ===

impl Drop for Judging {
    fn drop(&mut self) {
        self.0.0.shared.table().judged(self.0.0.network);
    }
}

// === impl Under ===

impl Drop for Under {
    fn drop(&mut self) {
        let end = || {
            let mut activity = self.origin.activity();
            activity.end(self.request, Instant::now());
            activity.is_quiet()
        };
        if self.origin.is_front_proxy() {
            end();
        } else {
            let mut table = self.origin.0.shared.table();
            if end() {
                table.quiet(self.origin.0.id, true);
            }
        }
    }
}
