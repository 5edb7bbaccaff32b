//! A Redis server with some odd keys, and its exporter.

use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::TempDir;

use super::Exporter;
use crate::harness::program::{Program, free_port, installed};

pub struct Server {
    port: u16,
    _program: Program,
}

/// Keys that become labels.
const KEYS: [&str; 4] = ["plain", "with \"quotes\"", "with \\ and {braces}", "日本語"];

impl Server {
    pub fn start(folder: &TempDir) -> Self {
        let port = free_port();
        let mut command = installed("redis-server", "redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]).current_dir(folder.path());
        let program = Program::start(command);
        program.line(&["Ready to accept connections"]);
        for key in KEYS {
            set(port, key);
        }
        Self { port, _program: program }
    }

    pub fn exporter(&self) -> Exporter {
        let mut exporter = Exporter::start("prometheus-redis-exporter", |address| {
            vec![
                format!("-web.listen-address={address}"),
                format!("-redis.addr=redis://127.0.0.1:{}", self.port),
                "-check-keys=*".to_owned(),
            ]
        });
        exporter.sign = "redis_up 1";
        exporter
    }
}

fn set(port: u16, key: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Redis listens");
    let command = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$1\r\n5\r\n", key.len());
    stream.write_all(command.as_bytes()).expect("sent");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"+OK\r\n");
}
