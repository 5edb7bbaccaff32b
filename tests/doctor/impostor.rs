//! What may answer where a kube-apiserver is expected: plain HTTP on loopback, whose answer depends on the path alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server that is there as long as its owner.
pub struct Impostor {
    pub url: String,
    _tasks: JoinSet<()>,
}

/// What becomes of a request.
#[derive(Clone)]
pub enum Answer {
    /// A status and a body.
    Page(u16, String),
    /// Success, and a byte now and then, without an end.
    Drip,
    /// Success, and a body without an end.
    Flood,
    /// The connection ends.
    Close,
    /// Something that is no HTTP.
    Noise,
}

/// The first byte of a connection with TLS.
const TLS_HANDSHAKE: u8 = 0x16;

const HEAD: &str = "Content-Type: application/json\r\nConnection: close\r\n";

// === impl Impostor ===

impl Impostor {
    /// Answers each path with what `script` says.
    pub async fn start(script: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (script, mut tasks) = (Arc::new(script), JoinSet::new());
        tasks.spawn(async move {
            let mut exchanges = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let script = script.clone();
                exchanges.spawn(async move { answer(stream, &*script).await.unwrap_or_default() });
            }
        });
        Self { url, _tasks: tasks }
    }

    /// The same to whoever asks for whatever.
    pub async fn with(answer: Answer) -> Self {
        Self::start(move |_| answer.clone()).await
    }
}

async fn answer(mut stream: TcpStream, script: &(dyn Fn(&str) -> Answer + Send + Sync)) -> std::io::Result<()> {
    let mut head = Vec::new();
    // Who begins with TLS says no more before it is answered.
    while !head.starts_with(&[TLS_HANDSHAKE]) && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (chunked, block) = ("Transfer-Encoding: chunked\r\n", format!("100000\r\n{}\r\n", " ".repeat(1 << 20)));
    match script(path) {
        Answer::Page(status, body) => {
            let page = format!("HTTP/1.1 {status} Said\r\n{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(page.as_bytes()).await
        }
        Answer::Drip => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{HEAD}{chunked}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(b"1\r\n \r\n").await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Answer::Flood => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{HEAD}{chunked}\r\n").as_bytes()).await?;
            loop {
                stream.write_all(block.as_bytes()).await?;
            }
        }
        Answer::Close => Ok(()),
        Answer::Noise => stream.write_all(b"\x00\x01 hello\r\n\r\n").await,
    }
}

// === impl Answer ===

impl Answer {
    pub fn json(value: &Value) -> Self {
        Self::Page(200, value.to_string())
    }

    /// As a kube-apiserver says no.
    pub fn status(code: u16, message: &str) -> Self {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
        Self::Page(code, status.to_string())
    }

    /// What a kube-apiserver says of itself.
    pub fn version() -> Self {
        Self::json(&json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}))
    }
}
