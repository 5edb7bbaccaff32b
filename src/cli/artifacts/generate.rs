//! `plimsoll artifacts generate`: files for a checkout.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use super::links::Links;
use crate::artifacts::{Changelog, Difference, Folder, Manifest, RECORD};
use crate::catalog::{Catalog, Files};
use crate::cli::{complain, print};

#[derive(Debug, Parser)]
pub struct Args {
    /// Folder to write to: `dashboards/`, `alert-rules/` and `deploy/monitoring/` come to be in it. Files that former versions
    /// made and this one does not are removed, unless somebody changed them.
    #[arg(long, default_value = ".")]
    output: PathBuf,
    /// Write nothing; fail when a file is not what would be written, or would be removed.
    #[arg(long)]
    check: bool,
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
    let (catalog, folder) = (args.links.catalog(), Folder(args.output.clone()));
    let generation = Generation::of(&catalog, catalog.files()?, &folder)?;
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

// === impl Generation ===

impl Generation {
    /// Files that have not changed keep their version. All that can be refused is refused here.
    fn of(catalog: &Catalog, files: Files, folder: &Folder) -> anyhow::Result<Self> {
        let before = folder.record()?;
        let manifest = Manifest::of(catalog, &files, &Changelog::shipped().version()?, before.as_ref())?;
        let stale = before.map(|before| folder.stale(&before, &files)).transpose();
        let stale = stale.context("the folder cannot be compared")?.unwrap_or_default();
        let mut record = Files::default();
        record.add(RECORD, manifest.text());
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
        let kept = self.stale.iter().filter(|difference| matches!(difference, Difference::Abandoned(_)));
        kept.for_each(|difference| complain(&difference.to_string()));
        Ok(())
    }
}
