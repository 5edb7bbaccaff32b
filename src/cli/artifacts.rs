//! `plimsoll artifacts`: the dashboards and rules that belong to the metrics, made, checked, packed and shipped.

mod lint;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::artifacts::Folder;
use crate::catalog::{Catalog, rule::Links};
use crate::cli::{complain, print};

#[derive(Debug, Parser)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write dashboards, rules, runbooks and what loads them.
    Generate(Generate),
    /// Judge dashboards of your own by the rules of the shipped ones.
    Lint(lint::Args),
}

#[derive(Debug, Parser)]
struct Generate {
    /// Folder to write to: `dashboards/`, `alert-rules/` and `deploy/monitoring/` come to be in it.
    #[arg(long, default_value = ".")]
    output: PathBuf,
    /// Write nothing; fail when a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// Folder of the runbooks, where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL")]
    runbooks_url: Option<String>,
    /// The Grafana where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL")]
    grafana_url: Option<String>,
}

/// # Errors
/// When a query is wrong or a file cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Generate(args) => generate(args),
        Command::Lint(args) => lint::run(args),
    }
}

fn generate(args: &Generate) -> anyhow::Result<ExitCode> {
    let mut catalog = Catalog::shipped();
    catalog.links = links(args);
    let (files, folder) = (catalog.files()?, Folder(args.output.clone()));
    if args.check {
        let differences = folder.differences(&files).context("the folder cannot be compared")?;
        differences.iter().for_each(|difference| complain(&difference.to_string()));
        if !differences.is_empty() {
            complain("to mend it: plimsoll artifacts generate");
            return Ok(ExitCode::FAILURE);
        }
    } else {
        folder.write(&files).context("the artifacts cannot be written")?;
    }
    print(&format!("{} files in {}", files.0.len(), args.output.display()));
    Ok(ExitCode::SUCCESS)
}

fn links(args: &Generate) -> Links {
    let url = |given: &Option<String>, default: String| match given {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => default,
    };
    let Links { runbooks, grafana } = Links::default();
    Links { runbooks: url(&args.runbooks_url, runbooks), grafana: url(&args.grafana_url, grafana) }
}
