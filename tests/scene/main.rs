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

use tokio::signal::unix::{SignalKind, signal};

use crate::harness::stage::Stage;
use crate::tests::harness;

#[tokio::main]
async fn main() {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).expect("signals can be waited for"),
        signal(SignalKind::terminate()).expect("signals can be waited for"),
    );
    tokio::select! {
        () = play() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Brings all of it up, says where it is, and stays.
async fn play() {
    let stage = Stage::start().await;
    let prometheus = stage.prometheus();
    say(&format!("plimsoll {}", stage.base));
    say(&format!("prometheus http://{}", prometheus.address));
    std::future::pending().await
}

/// Whoever closed standard output does not want to read it.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}
