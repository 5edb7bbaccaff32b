//! The way from the API server to what is behind Services, in place of kube-proxy: a proxy on a socket of the file system,
//! through which the API server connects to everything that is no etcd. `CONNECT` with the address of a Service comes in,
//! the bytes of a connection to one of its ready pods go through. What is no Service it refuses, so nothing is ever
//! dialled that is not on loopback.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::folder::Folder;

/// The socket, and who is behind which Service.
pub struct Egress {
    /// The file that tells the API server.
    pub configuration: PathBuf,
    socket: PathBuf,
    routes: Mutex<Routes>,
    /// Connections so far; the next one goes to the next pod.
    connections: AtomicUsize,
}

/// By address and port of a Service: the pods, each with the port there.
pub type Routes = BTreeMap<SocketAddrV4, Vec<SocketAddrV4>>;

/// What is asked and answered before the bytes of a connection.
const HEAD_MAX: usize = 4096;

const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the API server is told: all that goes to the cluster goes through the socket.
const CONFIGURATION: &str = "
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
  - name: cluster
    connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: 'SOCKET'}}}
";

// === impl Egress ===

impl Egress {
    pub fn new(folder: &Folder) -> Self {
        let socket = folder.path().join("egress.sock");
        let text = CONFIGURATION.replace("SOCKET", &socket.display().to_string());
        let configuration = folder.write("egress.yaml", &text);
        Self { configuration, socket, routes: Mutex::default(), connections: AtomicUsize::new(0) }
    }

    /// From now on connections go there; those that there are stay.
    pub fn set(&self, routes: Routes) {
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// Serves for ever; connections end with it.
    pub async fn run(self: Arc<Self>) {
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => drop(connections.spawn(self.clone().forward(stream))),
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// What is answered to who wants to go there.
    pub async fn answer(&self, destination: &str) -> std::io::Result<String> {
        let mut proxy = UnixStream::connect(&self.socket).await?;
        proxy.write_all(format!("CONNECT {destination} HTTP/1.1\r\n\r\n").as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && proxy.read_buf(&mut head).await? > 0 {}
        Ok(String::from_utf8_lossy(&head).into_owned())
    }

    /// One connection of the API server, until either side ends it.
    async fn forward(self: Arc<Self>, mut client: UnixStream) {
        let connected = match destination(&mut client).await {
            Some(service) => self.connect(&service).await,
            None => Err("expected CONNECT HOST:PORT".to_owned()),
        };
        let head = match &connected {
            Ok(_) => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            Err(why) => format!("HTTP/1.1 502 {why}\r\nContent-Length: 0\r\n\r\n"),
        };
        if client.write_all(head.as_bytes()).await.is_ok()
            && let Ok(mut pod) = connected
        {
            // Who ends it, and how, is told by each side to the other.
            drop(tokio::io::copy_bidirectional(&mut client, &mut pod).await);
        }
    }

    async fn connect(&self, service: &str) -> Result<TcpStream, String> {
        let address = service.parse().ok().and_then(|service| self.pod(service));
        let pod = address.ok_or_else(|| format!("{service} has no ready pod"))?;
        assert!(pod.ip().is_loopback(), "{pod} is not on loopback");
        let connected = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(pod)).await;
        let stream =
            connected.map_err(|_| format!("{pod} does not answer"))?.map_err(|error| format!("{pod}: {error}"))?;
        drop(stream.set_nodelay(true));
        Ok(stream)
    }

    /// The pod for one connection to a Service, each in its turn.
    fn pod(&self, service: SocketAddrV4) -> Option<SocketAddrV4> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = routes.get(&service)?;
        let turn = self.connections.fetch_add(1, Ordering::Relaxed);
        pods.get(turn % pods.len().max(1)).copied()
    }
}

/// What a connection is to be made to.
async fn destination(client: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX || client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    head.strip_prefix("CONNECT ")?.split_once(' ').map(|(service, _)| service.to_owned())
}
