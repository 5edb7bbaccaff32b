//! `cargo run --example scene`: the sample platform, Plimsoll and a Prometheus with the shipped rules on loopback, to look at.
//! Everything ends with Ctrl-C, and nothing of it is left.

// The harness of the tests.
#[expect(dead_code, reason = "the tests use more of it")]
#[expect(clippy::disallowed_methods, reason = "what it serves ends with its runtime")]
#[path = ".."]
mod tests {
    pub mod harness;
}

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use plimsoll::clock::Clock;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::stage::{Stage, rule_files};
use crate::harness::{history, pace};
use crate::tests::harness;

/// The sample platform, Plimsoll and Prometheus.
#[derive(clap::Parser)]
struct Args {
    /// Seconds that are recorded before, and become fifteen times as many of history; 0 for none.
    #[arg(long, default_value_t = 120)]
    recorded: u32,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).expect("signals can be waited for"),
        signal(SignalKind::terminate()).expect("signals can be waited for"),
    );
    tokio::select! {
        () = play(&args) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Brings all of it up, says where it is, and stays.
async fn play(args: &Args) {
    let stage = Stage::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let data = (args.recorded > 0).then(|| folder.path().join("data"));
    if let Some(data) = &data {
        say(&format!("recording for {} s, which become {} minutes", args.recorded, args.recorded / 4));
        // As much faster as the past is longer: windows come out right.
        let faster = |(name, rules): (String, Value)| (name, pace::faster(&rules, history::STRETCH));
        let rules: Vec<_> = rule_files().into_iter().map(faster).collect();
        let recorder = stage.prometheus_with(&rules, json!({}), None);
        tokio::time::sleep(Duration::from_secs(args.recorded.into())).await;
        let now = Clock::system().now().0 as f64 / 1000.0;
        history::write(&recorder, now, args.recorded, data).await;
    }
    let prometheus = stage.prometheus_with(&rule_files(), json!({}), data.as_deref());
    say(&format!("plimsoll {}", stage.base));
    say(&format!("prometheus http://{}", prometheus.address));
    std::future::pending().await
}

/// Whoever closed standard output does not want to read it.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}
