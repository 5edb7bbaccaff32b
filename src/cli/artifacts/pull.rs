//! `plimsoll artifacts pull`: a bundle out of an OCI registry.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use super::failed;
use super::registry::Access;
use crate::artifacts::registry::Address;
use crate::artifacts::{Bundle, Contents, Digest, check_free, write};
use crate::cli::print;

/// Pull a bundle from an OCI registry into a new folder, or into a file.
///
/// Nothing is written before all of it is here, has its digests and agrees with its manifest.
#[derive(Debug, Parser)]
pub struct Args {
    /// Where from: oci://HOST/REPOSITORY:TAG, or …@sha256:DIGEST
    address: Address,
    /// Folder to unpack to, which is not there yet or is empty; or, with the ending .tar.gz, the file of the bundle.
    #[arg(long, short = 'o', value_name = "FOLDER|FILE", default_value = "artifacts")]
    output: PathBuf,
    /// The digest that push printed; anything else is refused.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Digest>,
    #[command(flatten)]
    access: Access,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { address, output, digest: expected, access } = args;
    let is_file = output.to_string_lossy().ends_with(".tar.gz");
    if !is_file {
        check_free(&output)?;
    }
    let pulled = access.to(address.clone())?.pull().await?;
    if let Some(expected) = expected.filter(|expected| *expected != pulled.digest) {
        bail!("{address}: expected {expected}, found {}", pulled.digest);
    }
    let contents = Contents::of_archive(&address.to_string(), &pulled.bytes)?;
    let bundle = Bundle::read(&address.to_string(), contents).map_err(failed)?;
    if is_file {
        write(&output, &pulled.bytes)?;
    } else {
        bundle.contents.unpack(&output)?;
    }
    print(&format!("{} {address} version {} in {}", pulled.digest, bundle.manifest.version, output.display()));
    Ok(ExitCode::SUCCESS)
}
