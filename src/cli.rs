//! The command line: one file per subcommand.

pub mod check;
pub mod demo;
pub mod schema;
pub mod serve;

use clap::{Parser, Subcommand};

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
    Serve(serve::Args),
    /// Show the whole product on this machine: sample services, autoscaling, a live table.
    Demo(demo::Args),
    /// Validate configuration files without running anything.
    Check(check::Args),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema(schema::Args),
}
