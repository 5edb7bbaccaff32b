//! Which connections are open, of whom, and in which order they make room.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::serving::activity::Standing;
use crate::serving::connections::Origin;
use crate::serving::network::Network;

/// The open connections by number and by address.
#[derive(Debug)]
pub(super) struct Table {
    most: usize,
    /// Of those, only for addresses from which the front proxy came.
    reserved: usize,
    most_per_address: usize,
    open: BTreeMap<u64, Entry>,
    next: u64,
    /// Those that make room.
    places: Places,
    next_place: u64,
    addresses: HashMap<Network, Address>,
    /// Addresses from which the front proxy came, and until when that counts.
    trusted: HashMap<Network, Instant>,
    /// Addresses that failed to authenticate too often, and until when they are not listened to.
    failing: HashMap<Network, Instant>,
    /// Requests by address whose token is being judged.
    judged: HashMap<Network, usize>,
}

/// Where a connection stands among those that make room. Strangers are always among them, whatever they do, in the order
/// in which they came; who is known is while it asks nothing, from the one that has been quiet for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    standing: Standing,
    /// Its address was that of the front proxy, too, when it came.
    is_trusted: bool,
    /// Something came of it: the front proxy begins its handshake at once.
    speaks: bool,
    order: u64,
}

type Places = BTreeMap<Place, u64>;

#[derive(Debug)]
struct Entry {
    origin: Origin,
    opened: Instant,
    standing: Standing,
    is_trusted: bool,
    speaks: bool,
    /// `None` for the front proxy, which makes room for nobody, and while somebody who is known asks something.
    place: Option<Place>,
}

/// What is open of an address.
#[derive(Debug, Default)]
struct Address {
    /// All but those of the front proxy.
    count: usize,
    places: Places,
    front_proxies: usize,
}

/// Addresses that are remembered after their connections; there are not as many pods in a cluster.
const REMEMBERED_MAX: usize = 1 << 16;

/// How many times more connections an address may have that the front proxy has, too.
const TRUSTED_FACTOR: usize = 4;

/// Of so many connections one is kept for the addresses of front proxies: 128 of 2,048.
const RESERVED_PART: usize = 16;

/// Time for a handshake and a request. Who has had it makes room before who has not: otherwise who comes in beside
/// strangers that hold on to their places would be the one to go.
const GRACE: Duration = Duration::from_secs(1);

/// Tokens of an address that are judged at a time; there are 16 places for all, and 512 may wait for those.
const JUDGED_MAX: usize = 32;

// === impl Table ===

impl Table {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            reserved: most / RESERVED_PART,
            most_per_address,
            open: BTreeMap::new(),
            next: 0,
            places: Places::new(),
            next_place: 0,
            addresses: HashMap::new(),
            trusted: HashMap::new(),
            failing: HashMap::new(),
            judged: HashMap::new(),
        }
    }

    pub(super) fn is_full(&self, is_trusted: bool) -> bool {
        self.open.len() >= self.most - if is_trusted { 0 } else { self.reserved }
    }

    /// Where the front proxy is there is room for more: it has to come in beside its neighbours.
    pub(super) fn address_is_full(&self, network: Network, is_trusted: bool) -> bool {
        let most = self.most_per_address.saturating_mul(if is_trusted { TRUSTED_FACTOR } else { 1 });
        self.addresses.get(&network).is_some_and(|address| address.count >= most)
    }

    /// The connection that makes room for another one.
    pub(super) fn victim(&self, now: Instant) -> Option<Origin> {
        self.first(&self.places, now)
    }

    /// The one that makes room for another one of its address.
    pub(super) fn victim_of(&self, network: Network, now: Instant) -> Option<Origin> {
        self.first(&self.addresses.get(&network)?.places, now)
    }

    /// Strangers first, and those from the front proxy's addresses last of them.
    fn first(&self, places: &Places, now: Instant) -> Option<Origin> {
        let stranger = [false, true].into_iter().find_map(|is_trusted| self.stranger(places, is_trusted, now));
        let id = stranger.or_else(|| Some(*places.first_key_value()?.1))?;
        Some(self.open.get(&id)?.origin.clone())
    }

    /// Who has said nothing, but it has only just come and another one did not.
    fn stranger(&self, places: &Places, is_trusted: bool, now: Instant) -> Option<u64> {
        let oldest = |speaks| {
            let from = Place { standing: Standing::Stranger, is_trusted, speaks, order: 0 };
            Some(*places.range(from..=Place { order: u64::MAX, ..from }).next()?.1)
        };
        let has_had_time = |id: &u64| {
            let entry = self.open.get(id);
            entry.is_some_and(|entry| now.saturating_duration_since(entry.opened) >= GRACE)
        };
        let (silent, speaking) = (oldest(false), oldest(true));
        let timely = silent.filter(has_had_time).or(speaking.filter(has_had_time));
        timely.or(silent).or(speaking)
    }

    pub(super) fn open(&mut self, is_trusted: bool, now: Instant, make: impl FnOnce(u64) -> Origin) -> Origin {
        self.next += 1;
        let (id, origin) = (self.next, make(self.next));
        self.addresses.entry(origin.network()).or_default().count += 1;
        let (opened, standing) = (now, Standing::Stranger);
        let entry = Entry { origin: origin.clone(), opened, standing, is_trusted, speaks: false, place: None };
        self.open.insert(id, entry);
        self.place(id, true);
        origin
    }

    /// Whether somebody who is known asks nothing, from now on. Of strangers it does not matter.
    pub(super) fn quiet(&mut self, id: u64, is_quiet: bool) {
        if self.open.get(&id).is_some_and(|entry| entry.standing == Standing::Known) {
            self.place(id, is_quiet);
        }
    }

    fn place(&mut self, id: u64, is_among: bool) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        let address = self.addresses.entry(entry.origin.network()).or_default();
        if let Some(place) = entry.place.take() {
            self.places.remove(&place);
            address.places.remove(&place);
        }
        if is_among && entry.standing != Standing::FrontProxy {
            self.next_place += 1;
            let Entry { standing, is_trusted, speaks, .. } = *entry;
            let place = Place { standing, is_trusted, speaks, order: self.next_place };
            self.places.insert(place, id);
            address.places.insert(place, id);
            entry.place = Some(place);
        }
    }

    /// The first byte of a handshake came.
    pub(super) fn speaks(&mut self, id: u64) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.speaks = true;
            self.place(id, true);
        }
    }

    /// Somebody was authenticated on the connection, while something is asked; gives what it was before, where that was
    /// less.
    pub(super) fn promote(&mut self, id: u64, standing: Standing) -> Option<Standing> {
        let entry = self.open.get_mut(&id).filter(|entry| entry.standing < standing)?;
        let before = std::mem::replace(&mut entry.standing, standing);
        if standing == Standing::FrontProxy {
            let address = self.addresses.entry(entry.origin.network()).or_default();
            address.count = address.count.saturating_sub(1);
            address.front_proxies += 1;
        }
        self.place(id, false);
        Some(before)
    }

    /// Forgets a connection, once; gives what it was. The address of a front proxy stays trusted until then.
    pub(super) fn forget(&mut self, id: u64, trusted_until: Instant) -> Option<Standing> {
        self.place(id, false);
        let Entry { origin, standing, .. } = self.open.remove(&id)?;
        let network = origin.network();
        let address = self.addresses.entry(network).or_default();
        if standing == Standing::FrontProxy {
            address.front_proxies = address.front_proxies.saturating_sub(1);
            remember(&mut self.trusted, network, trusted_until);
        } else {
            address.count = address.count.saturating_sub(1);
        }
        if address.count + address.front_proxies == 0 {
            self.addresses.remove(&network);
        }
        Some(standing)
    }

    /// Whether the front proxy has this address, or had it lately.
    pub(super) fn is_trusted(&self, network: Network, now: Instant) -> bool {
        self.addresses.get(&network).is_some_and(|address| address.front_proxies > 0)
            || self.trusted.get(&network).is_some_and(|until| *until > now)
    }

    pub(super) fn fail(&mut self, network: Network, until: Instant) {
        remember(&mut self.failing, network, until);
    }

    /// Until when an address is not listened to.
    pub(super) fn failing(&self, network: Network) -> Option<Instant> {
        self.failing.get(&network).copied()
    }

    /// A token of this address is to be judged; false when too many are.
    pub(super) fn judge(&mut self, network: Network, is_trusted: bool) -> bool {
        let most = JUDGED_MAX * if is_trusted { TRUSTED_FACTOR } else { 1 };
        let judged = self.judged.entry(network).or_default();
        let has_room = *judged < most;
        *judged += usize::from(has_room);
        has_room
    }

    pub(super) fn judged(&mut self, network: Network) {
        if let Some(judged) = self.judged.get_mut(&network) {
            *judged = judged.saturating_sub(1);
            if *judged == 0 {
                self.judged.remove(&network);
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Origin> {
        self.open.values().map(|entry| entry.origin.clone()).collect()
    }

    /// The address that has most connections.
    pub(super) fn busiest(&self) -> Option<(Network, usize)> {
        self.addresses.iter().map(|(network, address)| (*network, address.count)).max_by_key(|(_, count)| *count)
    }

    /// Forgets what is over.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.trusted.retain(|_, until| *until > now);
        self.failing.retain(|_, until| *until > now);
    }
}

/// Beyond the bound nothing is remembered until something is forgotten.
fn remember(addresses: &mut HashMap<Network, Instant>, network: Network, until: Instant) {
    if addresses.len() < REMEMBERED_MAX || addresses.contains_key(&network) {
        addresses.insert(network, until);
    }
}
