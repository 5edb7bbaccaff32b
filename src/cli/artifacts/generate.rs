//! `plimsoll artifacts generate`: files for a checkout.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Parser;

use super::links::Links;
use crate::artifacts::{Changelog, Difference, Folder, Manifest, RECORD};
use crate::catalog::dashboard::UID_OF_DEFINITIONS;
use crate::catalog::{self, Catalog, Files};
use crate::cli::{complain, print};
use crate::config;

#[derive(Debug, Parser)]
pub struct Args {
    /// Folder to write to: `dashboards/`, `alert-rules/` and `deploy/monitoring/` come to be in it. Files that former versions
    /// made and this one does not are removed, unless somebody changed them.
    #[arg(long, default_value = ".")]
    output: PathBuf,
    /// Write nothing; fail when a file is not what would be written, or would be removed.
    #[arg(long)]
    check: bool,
    /// Configuration file of Plimsoll: dashboards of the metrics it defines and alerts of their thresholds are made, instead of what
    /// is shipped.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    links: Links,
}

/// What is made, and what no longer is.
struct Generation {
    files: Files,
    /// The manifest as a file.
    record: Files,
    stale: Vec<Difference>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ((catalog, files), folder) = (made(args)?, Folder(args.output.clone()));
    let generation = Generation::of(&catalog, files, &folder)?;
    if args.check && !generation.is_there(&folder)? {
        complain("to mend it: plimsoll artifacts generate");
        return Ok(ExitCode::FAILURE);
    }
    if !args.check {
        generation.write(&folder)?;
    }
    print(&format!("{} files in {}", generation.files.0.len(), args.output.display()));
    Ok(ExitCode::SUCCESS)
}

/// What is shipped, or what belongs to a configuration, with the catalogue of what it reads.
fn made(args: &Args) -> anyhow::Result<(Catalog, Files)> {
    let catalog = args.links.catalog();
    let Some(config) = &args.config else {
        let files = catalog.files()?;
        return Ok((catalog, files));
    };
    let config = config::load(config).map_err(|mistakes| anyhow!("{mistakes}"))?;
    Ok(catalog::files_of(catalog, &config.metrics)?)
}

/// Neither removes what belongs to the other: they are not versions of each other.
fn is_of_configuration(manifest: &Manifest) -> bool {
    manifest.dashboards.contains_key(UID_OF_DEFINITIONS)
}

// === impl Generation ===

impl Generation {
    /// Files that have not changed keep their version. All that can be refused is refused here.
    fn of(catalog: &Catalog, files: Files, folder: &Folder) -> anyhow::Result<Self> {
        let before = folder.record()?;
        let manifest = Manifest::of(catalog, &files, &Changelog::shipped().version()?, before.as_ref())?;
        if let Some(before) =
            before.as_ref().filter(|before| is_of_configuration(before) != is_of_configuration(&manifest))
        {
            let what = if is_of_configuration(before) { "what belongs to a configuration" } else { "what is shipped" };
            bail!("{} has {what}, which would be removed; choose another folder with --output", folder.0.display());
        }
        let stale = before.map(|before| folder.stale(&before, &files)).transpose();
        let stale = stale.context("the folder cannot be compared")?.unwrap_or_default();
        let mut record = Files::default();
        record.add(RECORD, manifest.text())?;
        Ok(Self { files, record, stale })
    }

    /// Tells each difference.
    fn is_there(&self, folder: &Folder) -> anyhow::Result<bool> {
        let mut found = folder.differences(&self.files).context("the folder cannot be compared")?;
        found.extend(folder.differences(&self.record).context("the folder cannot be compared")?);
        found.extend(self.stale.iter().cloned());
        found.iter().for_each(|difference| complain(&difference.to_string()));
        Ok(found.is_empty())
    }

    /// The record comes last: until then that of the last time says what there may be.
    fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        folder.write(&self.files).context("the artifacts cannot be written")?;
        folder.remove(&self.stale).context("what is made no more cannot be removed")?;
        folder.write(&self.record).context("the record of the artifacts cannot be written")?;
        self.stale.iter().for_each(|difference| complain(&difference.to_string()));
        Ok(())
    }
}
