//! The command line: one file per subcommand.

pub mod artifacts;
pub mod check;
pub mod cluster;
pub mod demo;
pub mod doctor;
pub mod schema;
pub mod serve;

use std::io::{Write, stderr, stdout};

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::telemetry;

/// Turns what services already expose into numbers the HorizontalPodAutoscaler can trust.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub telemetry: telemetry::Options,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Scrape the targets of a configuration and serve the metrics APIs.
    Serve(Box<serve::Args>),
    /// Show the whole product on this machine: sample services, autoscaling, a live table.
    Demo(demo::Args),
    /// Validate configuration files without running anything.
    Check(check::Args),
    /// Examine a Plimsoll in a cluster: what is wrong, and how to mend it.
    Doctor(doctor::Args),
    /// Make, check, pack and ship the dashboards and rules that belong to the metrics.
    Artifacts(artifacts::Args),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema(schema::Args),
}

/// Options that do not fit together, told as the parser of the command line tells what it refuses: with the same code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// As of any other command that is wrong.
    pub const CODE: u8 = 2;
}

impl Cli {
    /// The command line of this process, with its environment; help and mistakes are told, and end the process. A
    /// variable that is empty is not set: manifests and shells have no other way to say so.
    pub fn of_process() -> Self {
        let command = without_empty(Self::command());
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty)
}

/// Writes a line to standard output; `false` when nobody reads it any more, as after `| head -1`.
fn print(line: &str) -> bool {
    writeln!(stdout(), "{line}").is_ok()
}

/// Writes a line to standard error, if anybody reads it.
fn complain(line: &str) {
    drop(writeln!(stderr(), "{line}"));
}

/// Reads a whole number; clap's own message for `-1` is "invalid digit found in string".
fn whole_number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    let expected = match size_of::<N>() {
        2 => "a whole number from 0 to 65535",
        _ => "a whole number, 0 or more",
    };
    text.parse().map_err(|_| format!("expected {expected}, found {text:?}"))
}
