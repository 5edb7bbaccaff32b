//! A target on loopback whose behaviour a test can change at any time.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the target answers.
#[derive(Clone)]
pub enum Behaviour {
    /// A text page.
    Page(String),
    /// A page with its own content type and extra header lines.
    Typed {
        content_type: &'static str,
        headers: &'static str,
        body: Vec<u8>,
    },
    Status(&'static str),
    /// Takes the request and never answers.
    Hang,
    /// One byte a second, for ever.
    Drip,
    /// Says so many bytes come, and sends them.
    Flood {
        bytes: u64,
        says_length: bool,
    },
    /// Closes the connection in the middle of a page.
    Break,
    /// A page that ends where the connection does.
    Undelimited(&'static [u8]),
}

/// A listening target. It ends with the test's runtime.
#[derive(Clone)]
pub struct Target {
    pub url: String,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<Mutex<Vec<String>>>,
}

// === impl Target ===

impl Target {
    pub async fn page(page: &str) -> Self {
        Self::start(Behaviour::Page(page.to_owned())).await
    }

    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let target = Self {
            url: format!("http://{address}/metrics"),
            behaviour: Arc::new(Mutex::new(behaviour)),
            requests: Arc::default(),
        };
        let serving = target.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        target
    }

    pub fn port(&self) -> u16 {
        let port = self.url.trim_end_matches("/metrics").rsplit(':').next();
        port.and_then(|port| port.parse().ok()).expect("a port")
    }

    /// From now on answers this.
    pub fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("not poisoned") = behaviour;
    }

    pub fn set_page(&self, page: &str) {
        self.set(Behaviour::Page(page.to_owned()));
    }

    /// Heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(head) = read_head(&mut stream).await {
            self.requests.lock().expect("not poisoned").push(head);
            let behaviour = self.behaviour.lock().expect("not poisoned").clone();
            if answer(&mut stream, behaviour).await.is_err() {
                return;
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn answer(stream: &mut TcpStream, behaviour: Behaviour) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Page(page) => respond(stream, "text/plain; version=0.0.4", "", page.as_bytes()).await,
        Behaviour::Typed { content_type, headers, body } => respond(stream, content_type, headers, &body).await,
        Behaviour::Status(line) => {
            stream.write_all(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => drip(stream).await,
        Behaviour::Flood { bytes, says_length } => flood(stream, bytes, says_length).await,
        Behaviour::Undelimited(page) => {
            stream.write_all(&[b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n", page].concat()).await?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        Behaviour::Break => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nqueue_length 5\n").await?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
    }
}

async fn respond(stream: &mut TcpStream, content_type: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
    loop {
        stream.write_all(b"q").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn flood(stream: &mut TcpStream, bytes: u64, says_length: bool) -> std::io::Result<()> {
    let length = if says_length { format!("content-length: {bytes}\r\n") } else { "connection: close\r\n".to_owned() };
    stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n").as_bytes()).await?;
    let line = b"some_series_nobody_wants{label=\"value\"} 1\n".repeat(1000);
    let mut sent = 0;
    while sent < bytes {
        stream.write_all(&line).await?;
        sent += line.len() as u64;
    }
    Err(std::io::ErrorKind::ConnectionAborted.into())
}

pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).expect("in memory");
    encoder.finish().expect("in memory")
}
