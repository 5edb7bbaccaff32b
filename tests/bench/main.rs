//! `make bench`: what Plimsoll costs, each figure beside a named baseline of the same run.
//!
//! `make bench ARGS="parse serving"` runs the named sections only. The table goes to the terminal and to
//! `target/bench/table.md`, curves to `target/bench/*.svg`.

mod allocations;
mod parse;
mod report;

use report::{Report, Section};

/// Measures one thing.
type Run = fn() -> Section;

/// The sections by name, in the order of the table.
const SECTIONS: [(&str, Run); 1] = [("parse", parse::run)];

fn main() -> std::io::Result<()> {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut report = Report::default();
    for (name, run) in SECTIONS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            report.add(run());
        }
    }
    report.finish()
}
