//! `plimsoll artifacts diff`: what changed between two versions, and whether the newer one says so.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::{COULD_NOT_WORK, opened};
use crate::artifacts::{Bundle, Change, Refusal, missing_version};
use crate::cli::{complain, print};

/// Tell what changed between two versions, and whether the newer version says so.
///
/// Major: a metric, a label or a value of a closed one, an alert or a label of one (severity too), a recording rule, the uid or a
/// variable of a dashboard, or a file that is loaded is gone or has another name; a metric has another kind or unit; a newer
/// Grafana or Prometheus is needed. Minor: any of these is new. Patch: all else. Exit code 0: the version of NEW is large enough;
/// 1: it is too small; 2: something could not be read.
#[derive(Debug, Parser)]
pub struct Args {
    /// A bundle, a folder it was unpacked to, or a checkout in which it was generated.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Likewise.
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

pub fn run(args: &Args) -> ExitCode {
    match (opened(&args.old), opened(&args.new)) {
        (Ok(old), Ok(new)) => tell(&old, &new),
        (old, new) => {
            let faults = [old.err(), new.err()].into_iter().flatten().flatten();
            faults.for_each(|fault: Refusal| complain(&format!("plimsoll: {fault}")));
            ExitCode::from(COULD_NOT_WORK)
        }
    }
}

fn tell(old: &Bundle, new: &Bundle) -> ExitCode {
    let changes = Change::all(&old.manifest, &new.manifest);
    let _: bool = changes.iter().all(|change| print(&change.to_string()));
    let (before, after) = (&old.manifest.version, &new.manifest.version);
    match missing_version(&changes, before, after) {
        Some(least) => {
            complain(&format!("version {after} is too small after {before}: {least} is needed"));
            ExitCode::FAILURE
        }
        None => {
            print(&format!("{} changes from {before} to {after}", changes.len()));
            ExitCode::SUCCESS
        }
    }
}
