//! A part of 127.0.0.0/8 that belongs to one running control plane, so that what runs at the same time does not meet
//! on an address. Nothing leaves loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// 127.x.0.0/16, claimed until it is dropped, or until the process ends in whatever way.
pub struct Network {
    /// The x.
    part: u8,
    /// The last two bytes of the address given out next.
    next: AtomicU16,
    /// An abstract socket: the kernel knows it for as long as the process lives, and per network namespace, as loopback.
    _claim: UnixListener,
}

/// Of the last two bytes, those from here on are addresses of Services: nothing listens there.
const SERVICES: u16 = 0xf000;

/// The lower parts are left to people.
const PARTS: std::ops::Range<u8> = 64..255;

// === impl Network ===

impl Network {
    pub fn claim() -> Self {
        // A process that ended a moment ago may have sockets there yet: do not all begin with the same part.
        let offset = std::process::id() as usize % PARTS.len();
        let mut parts = PARTS.cycle().skip(offset).take(PARTS.len());
        parts.find_map(Self::claim_part).expect("so many control planes do not run at a time")
    }

    fn claim_part(part: u8) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("plimsoll-tests-127.{part}")).expect("a short name");
        let claim = UnixListener::bind_addr(&name).ok()?;
        Some(Self { part, next: AtomicU16::new(2), _claim: claim })
    }

    /// The address of what is no pod: etcd, the API server, the node.
    pub fn node(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.part, 0, 1)
    }

    /// An address that nothing had before.
    pub fn next(&self) -> Ipv4Addr {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        assert!(next < SERVICES, "so many pods do not run in one control plane");
        let [high, low] = next.to_be_bytes();
        Ipv4Addr::new(127, self.part, high, low)
    }

    /// The addresses of Services: what is not taken on the way to one stays on loopback.
    pub fn services(&self) -> String {
        let [high, low] = SERVICES.to_be_bytes();
        format!("127.{}.{high}.{low}/{}", self.part, 16 + SERVICES.leading_ones())
    }

    /// A port of the node's address. Who else takes one there takes it from here.
    pub fn free_port(&self) -> u16 {
        let listener = TcpListener::bind((self.node(), 0)).and_then(|listener| listener.local_addr());
        listener.expect("a free port").port()
    }
}
