//! Which connections are open, of whom, and in which order they make room.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use crate::serving::activity::Standing;
use crate::serving::connections::Origin;
use crate::serving::network::Network;

/// The open connections by number and by address.
#[derive(Debug)]
pub(super) struct Table {
    most: usize,
    most_per_address: usize,
    open: BTreeMap<u64, Entry>,
    next: u64,
    /// Those that ask nothing: strangers before who is known, and of those who has said nothing at all before who has;
    /// each from the one that has been quiet for longest.
    quiet: BTreeMap<Place, u64>,
    next_place: u64,
    addresses: HashMap<Network, Address>,
    /// Addresses from which the front proxy came, and until when that counts.
    trusted: HashMap<Network, Instant>,
    /// Addresses that failed to authenticate too often, and until when they are not listened to.
    failing: HashMap<Network, Instant>,
}

type Place = (Standing, bool, u64);

#[derive(Debug)]
struct Entry {
    origin: Origin,
    standing: Standing,
    /// Something came of it: the front proxy begins its handshake at once.
    speaks: bool,
    /// In `quiet`; `None` while something is asked, and for the front proxy, which makes room for nobody.
    place: Option<Place>,
}

/// What is open of an address.
#[derive(Debug, Default)]
struct Address {
    /// All but those of the front proxy.
    count: usize,
    quiet: BTreeSet<Place>,
    front_proxies: usize,
}

/// Addresses that are remembered after their connections; there are not as many pods in a cluster.
const REMEMBERED_MAX: usize = 1 << 16;

/// How many times more connections an address may have that the front proxy has, too.
const TRUSTED_FACTOR: usize = 4;

// === impl Table ===

impl Table {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            most_per_address,
            open: BTreeMap::new(),
            next: 0,
            quiet: BTreeMap::new(),
            next_place: 0,
            addresses: HashMap::new(),
            trusted: HashMap::new(),
            failing: HashMap::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= self.most
    }

    /// Where the front proxy is there is room for more: it has to come in beside its neighbours.
    pub(super) fn address_is_full(&self, network: Network, is_trusted: bool) -> bool {
        let most = self.most_per_address.saturating_mul(if is_trusted { TRUSTED_FACTOR } else { 1 });
        self.addresses.get(&network).is_some_and(|address| address.count >= most)
    }

    /// The connection that makes room for another one.
    pub(super) fn oldest_quiet(&self) -> Option<Origin> {
        let (_, id) = self.quiet.first_key_value()?;
        Some(self.open.get(id)?.origin.clone())
    }

    /// The one that makes room for another one of its address.
    pub(super) fn oldest_quiet_of(&self, network: Network) -> Option<Origin> {
        let id = self.quiet.get(self.addresses.get(&network)?.quiet.first()?)?;
        Some(self.open.get(id)?.origin.clone())
    }

    pub(super) fn open(&mut self, make: impl FnOnce(u64) -> Origin) -> Origin {
        self.next += 1;
        let (id, origin) = (self.next, make(self.next));
        self.addresses.entry(origin.network()).or_default().count += 1;
        self.open
            .insert(id, Entry { origin: origin.clone(), standing: Standing::Stranger, speaks: false, place: None });
        self.quiet(id, true);
        origin
    }

    /// Whether a connection asks nothing, from now on.
    pub(super) fn quiet(&mut self, id: u64, is_quiet: bool) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        let address = self.addresses.entry(entry.origin.network()).or_default();
        if let Some(place) = entry.place.take() {
            self.quiet.remove(&place);
            address.quiet.remove(&place);
        }
        if is_quiet && entry.standing != Standing::FrontProxy {
            self.next_place += 1;
            let place = (entry.standing, entry.speaks, self.next_place);
            self.quiet.insert(place, id);
            address.quiet.insert(place);
            entry.place = Some(place);
        }
    }

    /// The first byte of a handshake came.
    pub(super) fn speaks(&mut self, id: u64) {
        if let Some(entry) = self.open.get_mut(&id) {
            entry.speaks = true;
            self.quiet(id, true);
        }
    }

    /// Somebody was authenticated on the connection, while something is asked; gives what it was before.
    pub(super) fn promote(&mut self, id: u64, standing: Standing) -> Option<Standing> {
        self.quiet(id, false);
        let entry = self.open.get_mut(&id)?;
        let before = std::mem::replace(&mut entry.standing, standing);
        if standing == Standing::FrontProxy && before != standing {
            let address = self.addresses.entry(entry.origin.network()).or_default();
            address.count -= 1;
            address.front_proxies += 1;
        }
        Some(before)
    }

    /// Forgets a connection, once; gives what it was. The address of a front proxy stays trusted until then.
    pub(super) fn forget(&mut self, id: u64, trusted_until: Instant) -> Option<Standing> {
        self.quiet(id, false);
        let Entry { origin, standing, .. } = self.open.remove(&id)?;
        let network = origin.network();
        let address = self.addresses.entry(network).or_default();
        if standing == Standing::FrontProxy {
            address.front_proxies -= 1;
            remember(&mut self.trusted, network, trusted_until);
        } else {
            address.count -= 1;
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
