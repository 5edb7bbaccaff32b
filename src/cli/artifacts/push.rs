//! `plimsoll artifacts push`: a bundle into an OCI registry.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use super::bundle::made;
use super::failed;
use super::links::Links;
use super::registry::Access;
use crate::artifacts::Bundle;
use crate::artifacts::registry::{Address, Annotations, Artifact, Format};
use crate::cli::print;

/// Push a bundle to an OCI registry, for Flux or grafana-operator.
///
/// The digest is printed, and is the same each time the same is pushed. A push that fails leaves the tag as it was.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where to: oci://HOST/REPOSITORY:TAG
    address: Address,
    /// The bundle, or the folder it was unpacked to. Default: that of this version of Plimsoll.
    #[arg(long, value_name = "FILE|FOLDER")]
    bundle: Option<PathBuf>,
    /// Who reads it: flux (an OCIRepository: the whole bundle), or grafana (a GrafanaDashboard with `spec.oci`: the
    /// dashboards, each by the path UID.json).
    #[arg(long, value_enum, default_value_t = Reader::Flux)]
    format: Reader,
    /// URL of the repository that the artifacts come from, as an annotation.
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// What they were made of there, as an annotation: main@sha1:COMMIT. Default: their version and the digest of the bundle.
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// When they were made, as an annotation. The default is the same each time, and so is the digest.
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS", default_value_t = 0)]
    created: i64,
    #[command(flatten)]
    links: Links,
    #[command(flatten)]
    access: Access,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reader {
    Flux,
    Grafana,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { address, bundle, format, source, revision, created, links, access } = args;
    let bundle = match &bundle {
        Some(path) => Bundle::open(path).map_err(failed)?,
        None => made(&links.catalog(), None, None)?,
    };
    let format = match format {
        Reader::Flux => Format::Flux,
        Reader::Grafana => Format::Grafana,
    };
    let artifact = Artifact::of(&bundle, format, &Annotations { source, revision, created });
    let digest = access.to(address.clone())?.push(&artifact).await?;
    print(&format!("{digest} {address}"));
    Ok(ExitCode::SUCCESS)
}
