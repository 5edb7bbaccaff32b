//! What strangers do to the port, for as long as they are let.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::is_quick;

/// Where the attacked server is, and how to get at it.
#[derive(Clone)]
pub struct Stage {
    address: SocketAddr,
    connector: TlsConnector,
}

/// One kind of attack.
pub struct Attack {
    pub what: &'static str,
    /// So many strangers do it at the same time, each over and over again.
    strangers: usize,
    /// From so many addresses.
    addresses: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Connects, and says nothing.
    Connect,
    Handshake,
    Head,
    HeaderBomb,
    RapidReset,
    /// Asks for what it may not see, as fast as it is answered.
    Unauthenticated,
}

pub const ATTACKS: [Attack; 7] = [
    Attack { what: "10,000 connections of one stranger", strangers: 10_000, addresses: 1, kind: Kind::Connect },
    Attack { what: "10,000 connections from 100 addresses", strangers: 10_000, addresses: 100, kind: Kind::Connect },
    Attack { what: "200 that begin handshakes", strangers: 200, addresses: 1, kind: Kind::Handshake },
    Attack { what: "200 heads that come byte by byte", strangers: 200, addresses: 2, kind: Kind::Head },
    Attack { what: "header bombs of HTTP/2", strangers: 16, addresses: 1, kind: Kind::HeaderBomb },
    Attack { what: "requests reset at once", strangers: 16, addresses: 1, kind: Kind::RapidReset },
    Attack { what: "requests without credentials", strangers: 16, addresses: 1, kind: Kind::Unauthenticated },
];

/// One that was refused comes back after this: so many attackers of one process have the core for themselves otherwise.
const PAUSE: Duration = Duration::from_millis(100);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

// === impl Attack ===

impl Attack {
    /// Lets strangers do it until the result is dropped.
    pub fn start(&self, stage: &Stage, runtime: &Runtime) -> JoinSet<()> {
        let mut strangers = JoinSet::new();
        let count = if is_quick() { self.strangers.min(500) } else { self.strangers };
        for i in 0..count {
            let (stage, kind, from) = (stage.clone(), self.kind, address(i % self.addresses));
            strangers.spawn_on(
                async move {
                    loop {
                        drop(stage.attack(kind, from).await);
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                runtime.handle(),
            );
        }
        strangers
    }
}

fn address(i: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 2, u8::try_from(i + 1).expect("few addresses"))
}

// === impl Stage ===

impl Stage {
    pub fn new(base: &str, certificate: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        roots.add(root).expect("a root");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let address = base.trim_start_matches("https://").parse().expect("an address");
        Self { address, connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Connections after their handshakes, which say nothing.
    pub async fn hold(&self, addresses: usize, each: usize) -> Vec<TlsStream<TcpStream>> {
        let mut held = Vec::new();
        for i in 0..addresses * each {
            held.extend(self.tls(address(50 + i % addresses)).await.ok());
        }
        held
    }

    async fn attack(&self, kind: Kind, from: Ipv4Addr) -> std::io::Result<()> {
        match kind {
            Kind::Connect => self.silent(self.tcp(from).await?).await,
            Kind::Handshake => self.tls(from).await.map(drop),
            Kind::Head => drip(self.tls(from).await?).await,
            Kind::HeaderBomb => self.send(from, &bombs()).await,
            Kind::RapidReset => self.send(from, &resets()).await,
            Kind::Unauthenticated => self.send(from, &questions()).await,
        }
    }

    async fn tcp(&self, from: Ipv4Addr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(self.address).await
    }

    async fn tls(&self, from: Ipv4Addr) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        self.connector.connect(name, self.tcp(from).await?).await
    }

    /// Until the server ends it.
    async fn silent(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.read(&mut [0; 64]).await.map(drop)
    }

    /// Says this, and takes what comes until the server ends it.
    async fn send(&self, from: Ipv4Addr, bytes: &[u8]) -> std::io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(self.tls(from).await?);
        let bytes = [PREFACE, bytes].concat();
        let read = async {
            let mut buffer = vec![0; 16 << 10];
            while reader.read(&mut buffer).await? > 0 {}
            Ok(())
        };
        let (_, read) = tokio::join!(writer.write_all(&bytes), read);
        read
    }
}

/// A head that never ends.
async fn drip(mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(PREFACE).await?;
    stream.write_all(&frame(1, 0, 1, &[0x82])).await?;
    loop {
        stream.write_all(&frame(9, 0, 1, &[0x87])).await?;
        stream.flush().await?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// A frame of HTTP/2 on a stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[length[1], length[2], length[3], kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A header of 4,000 bytes, named again by one byte each (RFC 7541).
fn bombs() -> Vec<u8> {
    let mut entry = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    entry.extend([b'x'; 4000]);
    let block = [entry, vec![0xbe; 12_000]].concat();
    (0..200).flat_map(|i| frame(1, 5, 2 * i + 1, &block)).collect()
}

fn resets() -> Vec<u8> {
    let reset = |i| [get(i, b"/livez"), frame(3, 0, 2 * i + 1, &[0, 0, 0, 8])].concat();
    (0..5_000).flat_map(reset).collect()
}

fn questions() -> Vec<u8> {
    (0..5_000).flat_map(|i| get(i, b"/apis")).collect()
}

fn get(i: u32, path: &[u8]) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("short");
    frame(1, 5, 2 * i + 1, &[&[0x82, 0x87, 0x04, length][..], path].concat())
}
