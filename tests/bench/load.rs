//! Requests against a server: as many as it takes, for their cost; at a steady rate, for their time.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::is_quick;
use crate::process::installed;
use crate::scene::Server;

/// Connections of the load generator; the kube-controller-manager has one.
const CONNECTIONS: usize = 4;

/// What of a server's CPU time is not spent on requests, per second.
pub fn background(server: &Server) -> f64 {
    let (before, started) = (server.process.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(if is_quick() { 1 } else { 4 }));
    (server.process.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64()
}

/// CPU time of the server per request for a URL.
pub fn cost(server: &Server, url: &str, background: f64) -> Duration {
    let seconds = if is_quick() { 1 } else { 2 };
    let (before, started) = (server.process.cpu(), Instant::now());
    let requests = saturate(url, seconds);
    let spent = (server.process.cpu() - before).as_secs_f64() - background * started.elapsed().as_secs_f64();
    Duration::from_secs_f64(spent.max(0.0) / requests as f64)
}

/// Asks as fast as answers come; gives how many came. They are to be all alike: the first one is looked at by who asks.
fn saturate(url: &str, seconds: u64) -> u64 {
    let mut wrk = Command::new(installed("wrk", "wrk"));
    wrk.args(["--threads=1", &format!("--connections={CONNECTIONS}"), &format!("--duration={seconds}s")]);
    let output = wrk.args(["--timeout=10s", url]).output().expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(count, _)| count.parse());
    let Some(Ok(requests)) = found else { panic!("wrk {url}: {text}{}", String::from_utf8_lossy(&output.stderr)) };
    assert!(requests > 0 && !text.contains("Socket errors"), "wrk {url}: {text}");
    requests
}

/// Times of answers at a steady rate over one connection, sorted.
pub fn latencies(server: &Server, url: &str, per_second: u32) -> Vec<Duration> {
    let count = per_second * if is_quick() { 1 } else { 4 };
    let period = Duration::from_secs(1) / per_second;
    let started = Instant::now();
    let mut all: Vec<_> = (0..count)
        .map(|i| {
            // Timed from when it is due: a slow answer does not hide that the next one waits.
            let due = started + period * i;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            assert!(server.client.get(url).is_some_and(|(code, _)| code == 200), "{url}");
            due.elapsed()
        })
        .collect();
    all.sort();
    all
}

/// The value below which a share of the sorted values lies.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
