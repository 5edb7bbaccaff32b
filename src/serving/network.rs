//! Where a client is: what limits by address count by.

use std::fmt;
use std::net::IpAddr;

/// An address, one for each pod.
///
/// Of IPv6 it is the whole too, not the 64 bits of a network: a cluster gives those to a node, and one pod would take what
/// its neighbours and the probes of their kubelet need. Clusters let a pod send from its own address alone. Who may send
/// from a whole network is bounded by what holds for all: strangers make room in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

// === impl Network ===

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_is_the_same_in_both_forms_and_pods_of_a_node_are_told_apart() {
        let check = |address: &str, want: &str| {
            let address: IpAddr = address.parse().expect(address);
            assert_eq!(Network::from(address).to_string(), want, "{address}");
        };
        check("10.1.2.3", "10.1.2.3");
        check("::ffff:10.1.2.3", "10.1.2.3");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6");
        check("2001:db8:1:2::1", "2001:db8:1:2::1");
        check("::1", "::1");
    }
}
