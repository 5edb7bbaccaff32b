//! `plimsoll doctor`: what is wrong with a Plimsoll in a cluster, each with its fix.

use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::ValueEnum;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::cluster::{Chosen, UserCluster};
use crate::cli::{complain, print};
use crate::clock::Clock;
use crate::credential;
use crate::doctor::{Doctor, Report, ServiceName, Step};

/// Examine a Plimsoll in a cluster: what is wrong, and how to mend it.
///
/// It changes nothing. Exit code 0: no failures, though there may be warnings and what could not be asked; 1: failures;
/// 2: there is no cluster to examine, or nothing could be asked of it, or the command line is wrong.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub cluster: UserCluster,
    /// Namespace whose autoscalers are looked at; may be given several times. Default: all.
    #[arg(long, short = 'n', value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Vec<String>,
    /// Service of Plimsoll.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "plimsoll-system/plimsoll", value_parser = service)]
    pub service: ServiceName,
    /// URL at which Plimsoll itself answers, for its scrape targets: https://localhost:10250 with
    /// `kubectl -n plimsoll-system port-forward service/plimsoll 10250:443`. In a pod it is found without.
    #[arg(long, value_name = "URL", value_parser = server)]
    pub server: Option<hyper::Uri>,
    /// Plimsoll's configuration, which says what its metrics are. Default: in a pod of Plimsoll its own, elsewhere that
    /// of the ConfigMap with the name of the Service.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Form of the report.
    #[arg(long, short = 'o', value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// Where there was nothing to examine.
const COULD_NOT_WORK: u8 = 2;

/// Where the shipped manifests mount it.
const MOUNTED_CONFIG: &str = "/etc/plimsoll/plimsoll.yaml";

/// Fits terminals of the usual width, and reads well on wider ones.
const WIDTH: usize = 80;

/// Writes the report to stdout, and to stderr, on a terminal, what is being done.
///
/// # Errors
/// None: what keeps it from working is said, and has an exit code of its own.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<ExitCode> {
    let output = args.output;
    let examined = tokio::select! {
        examined = examined(args) => examined,
        () = shutdown.cancelled() => Err(anyhow!("interrupted")),
    };
    Ok(match examined {
        Ok(report) => tell(&report, output),
        Err(error) => {
            complain(&format!("plimsoll: {error}"));
            if output == Output::Json {
                // Who reads JSON reads stdout.
                let _: bool = print(&json!({ "error": error.to_string() }).to_string());
            }
            ExitCode::from(COULD_NOT_WORK)
        }
    })
}

async fn examined(args: Args) -> anyhow::Result<Report> {
    let Args { cluster, namespace, service, server, config, output: _ } = args;
    let Chosen { config: kubernetes, is_pod, origin } = cluster.chosen()?;
    let doctor = Doctor {
        kubernetes: credential::resolved(kubernetes).await.map_err(|what| anyhow!("{what} ({origin})"))?,
        is_pod,
        service,
        namespaces: namespace,
        server,
        config_file: config.or_else(|| mounted(is_pod)),
        clock: Clock::system(),
        progress: if stderr().is_terminal() { Box::new(say) } else { Box::new(|_| ()) },
    };
    doctor.examine().await.map_err(|error| anyhow!("{error} ({origin})"))
}

/// The configuration of the pod that this is, whose account may not read the ConfigMap.
fn mounted(is_pod: bool) -> Option<PathBuf> {
    Some(PathBuf::from(MOUNTED_CONFIG)).filter(|file| is_pod && file.exists())
}

fn say(step: Step) {
    match step {
        Step::Begins(what) => complain(&format!("asking: {what}")),
        Step::Ends(what, time) => complain(&format!("asked:  {what} ({:.1} s)", time.as_secs_f64())),
    }
}

fn tell(report: &Report, output: Output) -> ExitCode {
    let lines = match output {
        Output::Json => vec![serde_json::to_string_pretty(report).expect("plain data")],
        Output::Text => report.lines(WIDTH, is_coloured()),
    };
    // The exit code tells the result even where nobody reads the lines.
    let _: bool = lines.iter().all(|line| print(line));
    code(report)
}

fn code(report: &Report) -> ExitCode {
    match report.is_blank() {
        true => ExitCode::from(COULD_NOT_WORK),
        false => ExitCode::from(u8::from(report.summary.failure > 0)),
    }
}

/// See <https://no-color.org>: any value that is not empty switches colours off.
fn is_coloured() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stdout().is_terminal() && !is_dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn service(text: &str) -> Result<ServiceName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if is_label(namespace) && is_label(name) => {
            Ok(ServiceName { namespace: namespace.into(), name: name.into() })
        }
        _ => Err("expected NAMESPACE/NAME, for example plimsoll-system/plimsoll".into()),
    }
}

fn namespace(text: &str) -> Result<String, String> {
    match is_label(text) {
        true => Ok(text.into()),
        false => Err("expected the name of a namespace: lower-case letters, digits and -".into()),
    }
}

/// As the names of Services and Namespaces are.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('-') && !text.ends_with('-')
}

fn server(text: &str) -> Result<hyper::Uri, String> {
    let expected = || "expected an https URL without a path, for example https://localhost:10250".to_owned();
    let url: hyper::Uri = text.parse().map_err(|_| expected())?;
    let is_plain = url.scheme_str() == Some("https") && matches!(url.path(), "" | "/") && url.query().is_none();
    // A user or password in it would be sent to nobody, and a port that is none is read as no port.
    let is_bare = url.authority().is_some_and(|authority| {
        let rest = authority.as_str().strip_prefix(authority.host());
        rest.is_some_and(|rest| rest.is_empty() || url.port_u16().is_some())
    });
    if is_plain && is_bare { Ok(url) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_a_namespace_and_a_name() {
        let good = ServiceName { namespace: "a".into(), name: "b-1".into() };
        assert_eq!(service("a/b-1"), Ok(good));
        for bad in ["", "a", "a/", "/b", "a/b/c", "A/b", "a/b_c", "-a/b", "a/b c"] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_sent_to_https_alone() {
        for good in ["https://localhost:10250", "https://[::1]:10250/"] {
            assert!(server(good).is_ok(), "{good}");
        }
        for bad in [
            "http://localhost:10250",
            "localhost:10250",
            "https://a/b",
            "https://a?b=c",
            "https://u:p@a",
            "https://a:443.",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }
}
