//! `plimsoll artifacts`: the dashboards and rules that belong to the metrics, made, checked, packed and shipped.

mod bundle;
mod diff;
mod generate;
mod links;
mod lint;
mod pull;
mod push;
mod registry;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::artifacts::{Bundle, MANIFEST, RECORD, Refusal};
use crate::cli::complain;

#[derive(Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write dashboards, rules, runbooks and what loads them.
    Generate(generate::Args),
    /// Judge dashboards of your own by the rules of the shipped ones.
    Lint(lint::Args),
    /// Pack them into an archive that is the same each time.
    Bundle(bundle::Args),
    /// Push them to an OCI registry, for Flux or grafana-operator.
    Push(push::Args),
    /// Pull them from an OCI registry into a new folder.
    Pull(pull::Args),
    /// Check that a bundle is whole, and that a Prometheus or a Plimsoll has what it asks for.
    Verify(verify::Args),
    /// Tell what changed between two versions, and whether the newer version says so.
    Diff(diff::Args),
}

/// Where there was nothing to examine.
const COULD_NOT_WORK: u8 = 2;

/// # Errors
/// When it cannot be done; findings are no error, but have an exit code of their own.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    let work = async {
        match args.command {
            Command::Generate(args) => generate::run(&args),
            Command::Lint(args) => lint::run(&args),
            Command::Bundle(args) => bundle::run(&args),
            Command::Push(args) => push::run(args).await,
            Command::Pull(args) => pull::run(args).await,
            Command::Verify(args) => Ok(verify::run(args).await),
            Command::Diff(args) => Ok(diff::run(&args)),
        }
    };
    tokio::select! {
        done = work => done,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    }
}

/// Reads a bundle, the folder it was unpacked to, or a checkout in which it was generated.
fn opened(path: &Path) -> Result<Bundle, Vec<Refusal>> {
    if path.join(RECORD).is_file() && !path.join(MANIFEST).is_file() {
        return Bundle::of_checkout(path);
    }
    Bundle::open(path)
}

/// All faults but the last are told; that one is the error.
fn failed(mut faults: Vec<Refusal>) -> anyhow::Error {
    let last = faults.pop().expect("a failure has a fault");
    faults.iter().for_each(|fault| complain(&fault.to_string()));
    last.into()
}
