//! `plimsoll artifacts verify`: is a bundle whole, and has what runs what it asks for?

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use super::{COULD_NOT_WORK, opened};
use crate::artifacts::verify::{all_queries, plimsoll, prometheus::Prometheus};
use crate::artifacts::{Bundle, Digest, Refusal, SIZE_MAX, read_bounded};
use crate::cli::{complain, print};
use crate::clock::Clock;
use crate::config::{ClientConfig, ClientTls, Credentials, SecretText, check_url};

/// Check that a bundle is whole, and that a Prometheus or a Plimsoll has what it asks for.
///
/// Each finding is a line: a file that was changed, is missing or was added; a query whose metric or label is not there.
/// Exit code 0: no findings; 1: findings; 2: something could not be examined.
#[derive(Debug, Parser)]
pub struct Args {
    /// The bundle, a folder it was unpacked to, or a checkout in which it was generated.
    #[arg(value_name = "FILE|FOLDER")]
    path: PathBuf,
    /// Digest that the file of the bundle has to have.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Digest>,
    /// A running Prometheus that is asked for what each query of each dashboard and rule reads: http://localhost:9090
    #[arg(long, value_name = "URL", value_parser = url)]
    prometheus: Option<String>,
    /// File with a bearer token for the Prometheus.
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    prometheus_token_file: Option<PathBuf>,
    /// A running Plimsoll that is asked for its metrics: https://localhost:10250
    #[arg(long, value_name = "URL", value_parser = url)]
    plimsoll: Option<String>,
    /// File with a bearer token for the Plimsoll: of an account that may get /metrics.
    #[arg(long, value_name = "FILE", requires = "plimsoll")]
    plimsoll_token_file: Option<PathBuf>,
    /// PEM bundle of authorities instead of those of the machine, for both.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Client certificate for the Plimsoll, PEM.
    #[arg(long, value_name = "FILE", requires_all = ["plimsoll", "key_file"])]
    certificate_file: Option<PathBuf>,
    /// Key of the client certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

/// What came of it.
enum Outcome {
    Findings(Vec<Refusal>),
    NotExamined(Vec<Refusal>),
}

pub async fn run(args: Args) -> ExitCode {
    match examined(&args).await {
        Outcome::Findings(found) if found.is_empty() => {
            print(&format!("{}: no findings", args.path.display()));
            ExitCode::SUCCESS
        }
        Outcome::Findings(found) => {
            let _: bool = found.iter().all(|finding| print(&finding.to_string()));
            complain(&format!("{} findings", found.len()));
            ExitCode::FAILURE
        }
        Outcome::NotExamined(why) => {
            why.iter().for_each(|why| complain(&format!("plimsoll: {why}")));
            ExitCode::from(COULD_NOT_WORK)
        }
    }
}

async fn examined(args: &Args) -> Outcome {
    match args.digest.as_ref().map(|digest| check_digest(&args.path, digest)) {
        Some(Err(refusal)) => return Outcome::NotExamined(vec![refusal]),
        Some(Ok(Some(finding))) => return Outcome::Findings(vec![finding]),
        Some(Ok(None)) | None => {}
    }
    let bundle = match opened(&args.path) {
        Ok(bundle) => bundle,
        Err(why) if !args.path.exists() => return Outcome::NotExamined(why),
        Err(faults) => return Outcome::Findings(faults),
    };
    match against_running(args, &bundle).await {
        Ok(found) => Outcome::Findings(found),
        Err(refusal) => Outcome::NotExamined(vec![refusal]),
    }
}

fn check_digest(path: &Path, expected: &Digest) -> Result<Option<Refusal>, Refusal> {
    let found = Digest::of(&read_bounded(path, SIZE_MAX)?);
    let what = || Refusal::new(path.display(), format!("expected {expected}, found {found}"));
    Ok((found != *expected).then(what))
}

async fn against_running(args: &Args, bundle: &Bundle) -> Result<Vec<Refusal>, Refusal> {
    let mut found = Vec::new();
    if let Some(url) = &args.prometheus {
        let client = client(args.prometheus_token_file.as_ref(), args.ca_file.as_ref(), None);
        let prometheus = Prometheus::new(url, client, Clock::system().now().0 / 1000);
        found.extend(prometheus.findings(&all_queries(bundle)?, &bundle.manifest.recording_rules).await?);
    }
    if let Some(url) = &args.plimsoll {
        let pair = args.certificate_file.as_ref().zip(args.key_file.as_ref());
        let client = client(args.plimsoll_token_file.as_ref(), args.ca_file.as_ref(), pair);
        found.extend(plimsoll::findings(&bundle.manifest, url, client).await?);
    }
    Ok(found)
}

fn client(token: Option<&PathBuf>, ca: Option<&PathBuf>, pair: Option<(&PathBuf, &PathBuf)>) -> ClientConfig {
    let file = |path: &PathBuf| SecretText::File(path.clone());
    let credentials = token.map_or(Credentials::None, |token| Credentials::Authorization {
        scheme: Arc::from("Bearer"),
        credentials: file(token),
    });
    let certificate = pair.map(|(certificate, key)| (file(certificate), file(key)));
    ClientConfig { credentials, tls: ClientTls { ca: ca.map(file), certificate, ..ClientTls::default() } }
}

fn url(text: &str) -> Result<String, String> {
    check_url(text).map(|()| text.to_owned())
}
