//! Thousands of connections that say nothing.

use std::net::{Ipv4Addr, SocketAddr};

use futures::StreamExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, MutexGuard};

/// The connections; the server may have ended many of them.
pub struct Crowd {
    pub connections: Vec<TcpStream>,
    _turn: MutexGuard<'static, ()>,
}

/// Two crowds at a time would be more files than a process may have.
static TURN: Mutex<()> = Mutex::const_new(());

/// For both ends of what other tests do in this process meanwhile.
const OTHERS: usize = 6_000;

const SIZE: usize = 10_000;

/// Ten thousand, for which this process has room then.
pub fn size() -> usize {
    let needed = Some((SIZE + OTHERS) as u64);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // None is no limit; only root may have more than the hard one.
    let maximum = if maximum.is_some() { maximum.max(needed) } else { None };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    assert!(
        raised.is_ok(),
        "a process may have too few files open for {SIZE} connections: ulimit -Hn {}",
        SIZE + OTHERS
    );
    SIZE
}

// === impl Crowd ===

impl Crowd {
    /// Opens so many; each has an address by its number.
    pub async fn gather(to: SocketAddr, from: impl Fn(usize) -> Ipv4Addr, count: usize) -> Self {
        let turn = TURN.lock().await;
        let opened = futures::stream::iter(0..count).map(|i| connect(to, from(i)));
        let connections = opened.buffer_unordered(256).filter_map(async |opened| opened.ok()).collect().await;
        Self { connections, _turn: turn }
    }
}

/// A connection from an address of this machine.
pub async fn connect(to: SocketAddr, from: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}
