//! `plimsoll schema`: the JSON Schema of the configuration file, for editors and pipelines.

use std::io::Write;
use std::process::ExitCode;

use crate::config;

/// Print the JSON Schema of the configuration file
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Writes the schema (2020-12) to stdout.
pub fn run(_args: &Args) -> ExitCode {
    // `#` keeps the layout of JSON for people. A reader that closes the pipe early is no mistake of ours.
    match writeln!(std::io::stdout(), "{:#}", config::schema()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
