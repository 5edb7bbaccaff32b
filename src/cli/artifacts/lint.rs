//! `plimsoll artifacts lint`: dashboards in files, judged by the rules that the shipped ones keep to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Parser;
use serde_json::Value;

use crate::catalog::{Catalog, Defined, lint};
use crate::cli::{complain, print};
use crate::config;

#[derive(Debug, Parser)]
pub(super) struct Args {
    /// Dashboards in Grafana's classic JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Configuration file of Plimsoll, whose metrics the dashboards may ask for too.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// # Errors
/// When a file cannot be read or is not what it should be.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let definitions = match &args.config {
        Some(file) => config::load(file).map_err(|mistakes| anyhow!("{mistakes}"))?.metrics,
        None => Vec::new(),
    };
    let (catalog, _) = Defined::all(Catalog::shipped(), &definitions)?;
    let given = args.files.iter().map(read).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let judged: BTreeSet<_> = given.keys().cloned().collect();
    let found = lint::lint(&with_shipped(given, &catalog)?, &catalog);
    let found: Vec<_> = found.into_iter().filter(|finding| judged.contains(&finding.file)).collect();
    found.iter().for_each(|finding| complain(&finding.to_string()));
    if found.is_empty() {
        print(&format!("{} dashboards without a finding", judged.len()));
        return Ok(ExitCode::SUCCESS);
    }
    complain(&format!("{} findings in {} dashboards", found.len(), judged.len()));
    Ok(ExitCode::FAILURE)
}

fn read(path: &PathBuf) -> anyhow::Result<(String, Value)> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let json = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    Ok((path.display().to_string(), json))
}

/// Beside the shipped ones, to which they may lead; one that is a shipped one takes its place.
fn with_shipped(given: BTreeMap<String, Value>, catalog: &Catalog) -> anyhow::Result<BTreeMap<String, Value>> {
    let uids: BTreeSet<_> = given.values().map(|json| json["uid"].to_string()).collect();
    let mut all = given;
    for (path, text) in catalog.files()?.0 {
        if lint::is_dashboard(&path) {
            let json: Value = serde_json::from_str(&text).with_context(|| path.clone())?;
            if !uids.contains(&json["uid"].to_string()) {
                all.insert(format!("shipped {path}"), json);
            }
        }
    }
    Ok(all)
}
