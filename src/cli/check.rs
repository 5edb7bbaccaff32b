//! `plimsoll check`: validates configuration files without contacting anything.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{complain, print};
use crate::config::{self, Config};

/// Check configuration files; reports every mistake with its line
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Writes one line per good file to stdout and every mistake to stderr; fails when there is one.
pub fn run(args: &Args) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in &args.files {
        match config::load(file) {
            // The exit code tells the result even where nobody reads the line.
            Ok(config) => drop(print(&summary(file, &config))),
            Err(diagnostics) => {
                complain(&diagnostics.to_string());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn summary(file: &Path, config: &Config) -> String {
    let targets = config.jobs.iter().map(|job| job.targets.len()).sum();
    let [jobs, targets, metrics] =
        [(config.jobs.len(), "job"), (targets, "target"), (config.metrics.len(), "metric")].map(counted);
    format!("{}: ok, {jobs}, {targets}, {metrics}", file.display())
}

fn counted((count, noun): (usize, &str)) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
