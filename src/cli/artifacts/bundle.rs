//! `plimsoll artifacts bundle`: an archive that is the same each time.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use semver::Version;

use super::links::Links;
use super::{failed, opened};
use crate::artifacts::{Bundle, Change, Changelog, Digest, Manifest, missing_version, write};
use crate::catalog::Catalog;
use crate::cli::print;

/// Pack the dashboards and rules into an archive that is the same each time.
///
/// In it are the generated files, artifacts.json (what they are, and the metrics they need), SHA256SUMS and CHANGELOG.md.
/// Its digest is printed, as sha256sum does.
#[derive(Debug, Parser)]
pub struct Args {
    /// Default: plimsoll-artifacts-VERSION.tar.gz.
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Version of the artifacts. Default: the newest of their changelog.
    #[arg(long, value_name = "SEMVER")]
    artifact_version: Option<Version>,
    /// The bundle of the version before, a folder it was unpacked to, or a checkout of it. A version that is too small for
    /// what changed since is refused, and files that did not change keep their version.
    #[arg(long, value_name = "FILE|FOLDER")]
    previous: Option<PathBuf>,
    #[command(flatten)]
    links: Links,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let previous = args.previous.as_deref().map(opened).transpose().map_err(failed)?.map(|bundle| bundle.manifest);
    let bundle = made(&args.links.catalog(), args.artifact_version.clone(), previous.as_ref())?;
    if let Some(previous) = &previous {
        check_version(previous, &bundle.manifest)?;
    }
    let default = || format!("plimsoll-artifacts-{}.tar.gz", bundle.manifest.version).into();
    let output = args.output.clone().unwrap_or_else(default);
    let bytes = bundle.archive().bytes;
    write(&output, &bytes)?;
    print(&format!("{}  {}", Digest::of(&bytes).hex(), output.display()));
    Ok(ExitCode::SUCCESS)
}

/// The bundle of what this program makes of a catalogue.
pub fn made(catalog: &Catalog, version: Option<Version>, previous: Option<&Manifest>) -> anyhow::Result<Bundle> {
    let changelog = Changelog::shipped();
    let version = match version {
        Some(version) => version,
        None => changelog.version()?,
    };
    Ok(Bundle::of(catalog, catalog.files()?, &version, &changelog, previous)?)
}

fn check_version(old: &Manifest, new: &Manifest) -> anyhow::Result<()> {
    let changes = Change::all(old, new);
    let Some(least) = missing_version(&changes, &old.version, &new.version) else { return Ok(()) };
    let gravest = changes.first().map(|change| format!(" ({change})")).unwrap_or_default();
    bail!("version {} is too small after {}: {least} is needed{gravest}", new.version, old.version)
}
