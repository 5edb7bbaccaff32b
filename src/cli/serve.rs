//! `plimsoll serve`: the main job.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use tokio_util::sync::CancellationToken;

use crate::cli::cluster::Cluster;
use crate::cli::whole_number;
use crate::clock::Clock;
use crate::config;
use crate::server::{self, CertificateSource, Options};
use crate::serving::Limits;

/// Process settings; changing one takes a restart. Everything else is in the configuration file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file: targets and metrics. It is watched, and taken up when it changes.
    #[arg(long, env = "PLIMSOLL_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Address and port of the HTTPS listener; port 0 takes a free one. Without a cluster, loopback only.
    #[arg(long, env = "PLIMSOLL_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443", value_parser = address)]
    pub listen: SocketAddr,
    /// Serving certificate (chain), PEM. Without it a self-signed one is made for local use.
    #[arg(long, env = "PLIMSOLL_TLS_CERT_FILE", value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the serving certificate, PEM.
    #[arg(long, env = "PLIMSOLL_TLS_PRIVATE_KEY_FILE", value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Seconds that requests under way get at shutdown.
    #[arg(long, env = "PLIMSOLL_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = whole_number::<u64>, allow_negative_numbers = true)]
    pub drain_timeout: u64,
}

/// Serves until `shutdown`.
///
/// # Errors
/// Whatever keeps it from starting: the configuration, the kubeconfig, the certificate, the port.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Args { config, listen, tls_cert_file, tls_private_key_file, cluster, drain_timeout } = args;
    let certificate = match (tls_cert_file, tls_private_key_file) {
        (Some(certificate), Some(key)) => CertificateSource::Files { certificate, key },
        (None, None) => CertificateSource::SelfSigned,
        _ => bail!("--tls-cert-file and --tls-private-key-file go together"),
    };
    let options = Options {
        config: config::load(&config)?,
        config_file: Some(config),
        address: listen,
        certificate,
        kubernetes: cluster.config()?,
        limits: Limits::default(),
        drain_timeout: Duration::from_secs(drain_timeout),
        clock: Clock::system(),
    };
    server::start(options, shutdown).await?.wait().await?;
    Ok(())
}

/// Reads `ADDRESS:PORT`. Of host names only `localhost` is known: the others would need a look-up that may hang or change.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, whole_number(port)?)));
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => Err(format!("the port is missing; for example {}", SocketAddr::from((ip, 6443)))),
        Err(_) if text == "localhost" => Err("the port is missing; for example localhost:6443".into()),
        Err(_) => Err("expected an IP address and a port, for example 127.0.0.1:6443 or [::1]:6443".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port() {
        let check = |text: &str, want: &str| match address(text) {
            Ok(address) => assert_eq!(address.to_string(), want, "{text}"),
            Err(error) => assert!(error.contains(want), "{text}: {error}"),
        };
        check("127.0.0.1:0", "127.0.0.1:0");
        check("[::1]:6443", "[::1]:6443");
        check("localhost:6443", "127.0.0.1:6443");
        check("localhost:-1", "expected a whole number from 0 to 65535, found \"-1\"");
        check("localhost", "the port is missing; for example localhost:6443");
        check("127.0.0.1", "the port is missing; for example 127.0.0.1:6443");
        check("::1", "the port is missing; for example [::1]:6443");
        check("example.com:6443", "expected an IP address and a port");
        check("127.0.0.1:99999", "expected an IP address and a port");
    }
}
