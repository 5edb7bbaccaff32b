//! The listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel completes while this process is busy; it takes no more than `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// `EAFNOSUPPORT` and `EADDRNOTAVAIL` on Linux: IPv6 is not built in, or switched off.
const NO_IPV6: [i32; 2] = [97, 99];

/// Listens. `[::]` takes IPv4 too, whatever the system's default is; where there is no IPv6, it is `0.0.0.0`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let is_any = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match open(address) {
        Err(error) if is_any && error.raw_os_error().is_some_and(|code| NO_IPV6.contains(&code)) => {
            tracing::info!("listening on IPv4 alone, since this system has no IPv6: {error}");
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        opened => opened,
    }
}

/// An address is free at once after a restart: connections of the former process may still be ending.
fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_address_of_both_versions_takes_both() {
        let listener = listen("[::]:0".parse().expect("an address")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let hosts: &[&str] = if address.is_ipv6() { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
        for host in hosts {
            let (connected, accepted) = tokio::join!(TcpStream::connect((*host, address.port())), listener.accept());
            let (_, peer) = accepted.expect("a connection");
            assert!(connected.is_ok() && peer.ip().to_canonical().to_string() == *host, "{peer}");
        }
    }

    #[tokio::test]
    async fn an_address_is_taken_by_one_and_free_at_once_afterwards() {
        let first = listen("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = first.local_addr().expect("an address");
        let taken = listen(address).expect_err("taken");
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        // This side closes first, so its end lingers.
        let (client, accepted) = tokio::join!(TcpStream::connect(address), first.accept());
        drop(accepted);
        drop((first, client));
        listen(address).expect("free again");
    }
}
