//! The pretended pods: a process that serves the pages of all of them, each at its own address.
//!
//! Every pod has an address in 127.0.0.0/8 and they share a port, so a scraper has a connection to each, as in a
//! cluster. Started as `bench generator SIZE IDLE_SECONDS`; says its port and serves until it is killed.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::page::Page;

/// The hidden argument.
pub const COMMAND: &str = "generator";

/// How a request's head is longest; a scraper's has some 300 bytes.
const HEAD_SIZE_MAX: usize = 4096;

/// The address of a pod.
pub fn address(pod: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1 + (pod / 62_500) as u8, (pod / 250 % 250) as u8, 1 + (pod % 250) as u8)
}

/// The pod of an address.
pub fn pod(address: Ipv4Addr) -> usize {
    let [_, high, middle, low] = address.octets().map(usize::from);
    (high - 1) * 62_500 + middle * 250 + low - 1
}

/// The process.
pub fn run(arguments: &[String]) -> std::io::Result<()> {
    let [size, idle, ..] = arguments else { return Err(std::io::Error::other("expected SIZE IDLE_SECONDS")) };
    let page = Page::new(size.parse().map_err(std::io::Error::other)?);
    let idle = Duration::from_secs(idle.parse().map_err(std::io::Error::other)?);
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = listen().await?;
        println!("{}", listener.local_addr()?.port());
        serve(listener, idle, move |_| page.at(started.elapsed().as_millis() as u64)).await
    })
}

/// Takes connections to every address of 127.0.0.0/8.
pub async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await
}

/// Answers every request with what `page` gives for the pod; a connection that is idle for so long is closed.
pub async fn serve(
    listener: TcpListener,
    idle: Duration,
    page: impl Fn(usize) -> Vec<u8> + 'static,
) -> std::io::Result<()> {
    let page = Rc::new(page);
    let serving = async {
        loop {
            let (stream, peer) = listener.accept().await?;
            // The port is open on all addresses of the machine, but only meant for itself.
            if peer.ip().is_loopback() {
                let page = page.clone();
                spawn_local(async move { connection(stream, idle, &*page).await });
            }
        }
    };
    LocalSet::new().run_until(serving).await
}

async fn connection(mut stream: TcpStream, idle: Duration, page: &impl Fn(usize) -> Vec<u8>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let std::net::IpAddr::V4(address) = stream.local_addr()?.ip() else { return Ok(()) };
    let mut head = [0; HEAD_SIZE_MAX];
    loop {
        let mut length = 0;
        while !head[..length].ends_with(b"\r\n\r\n") {
            let Ok(read) = tokio::time::timeout(idle, stream.read(&mut head[length..])).await else { return Ok(()) };
            length += match read? {
                0 => return Ok(()),
                bytes => bytes,
            };
        }
        stream.write_all(&page(pod(address))).await?;
    }
}
