//! `make bench`: what Plimsoll costs, each figure beside a named baseline of the same run.
//!
//! `make bench ARGS="fleet serving"` runs the named sections only; `--quick` makes them small and short, to see that
//! they work. The table goes to the terminal and to `target/bench/table.md`, curves to `target/bench/*.svg`. Everything
//! that is measured is a real process on loopback; it ends with its section, also when that fails.

mod access;
mod allocations;
mod churn;
mod client;
mod cluster;
mod curve;
mod curves;
mod fleet;
mod generator;
mod load;
mod page;
mod parse;
mod port;
mod process;
mod report;
mod scene;
mod serving;
mod visibility;

/// The cluster of the integration tests, as far as it takes one here.
#[path = "../harness"]
#[allow(dead_code, reason = "the tests use more of it")]
#[allow(clippy::disallowed_methods, reason = "what it serves ends with its runtime")]
mod harness {
    pub mod kube_api;
    pub mod pki;
    pub mod program;
}

use report::{Report, Section};

/// Measures one thing.
type Run = fn() -> Section;

/// The sections by name, in the order of the table.
const SECTIONS: [(&str, Run); 9] = [
    ("parse", parse::run),
    ("fleet", fleet::run),
    ("serving", serving::run),
    ("access", access::run),
    ("visibility", visibility::run),
    ("curves", curves::run),
    ("churn", churn::run),
    ("cluster", cluster::run),
    ("port", port::run),
];

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(generator::COMMAND) => return generator::run(&arguments[1..]),
        Some(cluster::api::COMMAND) => return cluster::api::run(&arguments[1..]),
        Some(cluster::store::COMMAND) => return cluster::store::run(&arguments[1..]),
        _ => {}
    }
    rustls::crypto::ring::default_provider().install_default().expect("nothing installed a provider before");
    // Cargo adds `--bench`.
    let asked: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    if let Some(unknown) = asked.iter().find(|asked| SECTIONS.iter().all(|(name, _)| name != *asked)) {
        let names: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
        return Err(std::io::Error::other(format!("no section {unknown}; there are: {}", names.join(", "))));
    }
    let mut report = Report::default();
    for (name, run) in SECTIONS {
        if asked.is_empty() || asked.iter().any(|asked| *asked == name) {
            report.add(run())?;
        }
    }
    Ok(())
}

/// Whether the sections are to be small and short: their figures then say nothing.
fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// Tells whoever waits what is being done.
fn progress(text: impl std::fmt::Display) {
    eprintln!("bench: {text}");
}
