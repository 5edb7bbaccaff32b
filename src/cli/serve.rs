//! `plimsoll serve`: the main job.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cli::cluster::Cluster;
use crate::cli::{Usage, whole_number};
use crate::clock::Clock;
use crate::config::{self, duration};
use crate::server::{self, CertificateSource, Options, StartError};
use crate::serving::{Lifetimes, Limits, ServiceName};

/// Process settings; changing one takes a restart. Everything else is in the configuration file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file: targets and metrics. It is watched, and taken up when it changes.
    #[arg(long, env = "PLIMSOLL_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Address and port of the HTTPS listener; port 0 takes a free one. Without a cluster, loopback only.
    #[arg(long, env = "PLIMSOLL_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443", value_parser = address)]
    pub listen: SocketAddr,
    /// Serving certificate (chain), PEM; read again when it changes. Without it and the other ways to have one, a
    /// self-signed one is made for local use, which is valid for a year from the start.
    #[arg(long, env = "PLIMSOLL_TLS_CERT_FILE", value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the serving certificate, PEM; read again when it changes.
    #[arg(long, env = "PLIMSOLL_TLS_PRIVATE_KEY_FILE", value_name = "FILE", requires = "tls_cert_file", conflicts_with_all = ["tls_secret", "tls_self_managed_secret"])]
    pub tls_private_key_file: Option<PathBuf>,
    /// Existing Secret with the serving certificate, in the namespace of --service: read from the cluster and watched.
    #[arg(long, env = "PLIMSOLL_TLS_SECRET", value_name = "NAME", value_parser = name, conflicts_with = "tls_cert_file")]
    pub tls_secret: Option<String>,
    /// Secret in the namespace of --service in which Plimsoll keeps a certificate authority and a serving certificate
    /// of its own, for all replicas. It has to exist and may be empty. The caBundle of the APIServices is kept too.
    #[arg(long, env = "PLIMSOLL_TLS_SELF_MANAGED_SECRET", value_name = "NAME", value_parser = name, conflicts_with_all = ["tls_cert_file", "tls_secret"])]
    pub tls_self_managed_secret: Option<String>,
    /// The Service in front of Plimsoll: what its own certificate is for, where its Secrets are, and by which it tells
    /// APIServices of its own from those of others.
    #[arg(long, env = "PLIMSOLL_SERVICE", value_name = "NAMESPACE/NAME", default_value_t = ServiceName::default())]
    pub service: ServiceName,
    /// How long a self-managed serving certificate is valid, at least 10m; it is renewed at two thirds of that.
    /// Default: 30d.
    #[arg(long, env = "PLIMSOLL_TLS_CERTIFICATE_LIFETIME", value_name = "DURATION", value_parser = lifetime, requires = "tls_self_managed_secret", conflicts_with_all = ["tls_cert_file", "tls_secret"])]
    pub tls_certificate_lifetime: Option<Duration>,
    /// How long a self-managed certificate authority is valid, at least three lives of a certificate; its successor is
    /// made two lives of a certificate before the end. Default: 365d.
    #[arg(long, env = "PLIMSOLL_TLS_CA_LIFETIME", value_name = "DURATION", value_parser = lifetime, requires = "tls_self_managed_secret", conflicts_with_all = ["tls_cert_file", "tls_secret"])]
    pub tls_ca_lifetime: Option<Duration>,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Seconds that requests under way get at shutdown.
    #[arg(long, env = "PLIMSOLL_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = 10, value_parser = whole_number::<u64>, allow_negative_numbers = true)]
    pub drain_timeout: u64,
}

/// A kube-apiserver may be a minute behind, and the clocks of a cluster differ; with less, nothing is left of a life.
const LIFETIME_MIN: Duration = Duration::from_secs(600);

/// Serves until `shutdown`.
///
/// # Errors
/// Whatever keeps it from starting: the configuration, the kubeconfig, the certificate, the port; [`Usage`] where the
/// options do not fit together.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let certificate = args.certificate()?;
    let Args { config, listen, service, cluster, drain_timeout, .. } = args;
    let options = Options {
        config: config::load(&config)?,
        config_file: Some(config),
        address: listen,
        certificate,
        service,
        kubernetes: cluster.config()?,
        limits: Limits::default(),
        drain_timeout: Duration::from_secs(drain_timeout),
        clock: Clock::system(),
    };
    match server::start(options, shutdown).await {
        Ok(running) => Ok(running.wait().await?),
        // That was asked for.
        Err(StartError::Interrupted) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

// === impl Args ===

impl Args {
    fn certificate(&self) -> Result<CertificateSource, Usage> {
        let defaults = Lifetimes::default();
        let lifetimes = Lifetimes {
            certificate: self.tls_certificate_lifetime.unwrap_or(defaults.certificate),
            authority: self.tls_ca_lifetime.unwrap_or(defaults.authority),
        };
        let least = lifetimes.certificate * Lifetimes::AUTHORITY_MIN;
        if lifetimes.authority < least {
            let (own, least) = (duration::write(lifetimes.authority), duration::write(least));
            let what = "expected at least three times --tls-certificate-lifetime";
            return Err(Usage(format!("--tls-ca-lifetime is {own}; {what}: {least}")));
        }
        let service = self.service.clone();
        Ok(match (&self.tls_cert_file, &self.tls_private_key_file, &self.tls_secret, &self.tls_self_managed_secret) {
            (Some(certificate), Some(key), ..) => {
                CertificateSource::Files { certificate: certificate.clone(), key: key.clone() }
            }
            (None, None, Some(name), _) => {
                CertificateSource::Secret { namespace: service.namespace, name: name.clone() }
            }
            (None, None, None, Some(secret)) => {
                CertificateSource::SelfManaged { secret: secret.clone(), service, lifetimes }
            }
            (None, None, None, None) => CertificateSource::SelfSigned,
            _ => return Err(Usage("--tls-cert-file and --tls-private-key-file go together".into())),
        })
    }
}

/// Reads the name of a Secret, a subdomain as RFC 1123 has it: it becomes a part of a path and of a selector.
fn name(text: &str) -> Result<String, String> {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        let is_inner = label.chars().all(|c| is_alphanumeric(c) || c == '-');
        is_inner && label.starts_with(is_alphanumeric) && label.ends_with(is_alphanumeric)
    };
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "expected the name of a Secret: lower-case letters, digits, - and ., a letter or digit around each ., found \
             {text:?}"
        )),
    }
}

/// Reads how long something of our own is valid.
fn lifetime(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        short if short < LIFETIME_MIN => Err(format!("expected at least {}", duration::write(LIFETIME_MIN))),
        lifetime => Ok(lifetime),
    }
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
    fn names_of_secrets_are_subdomains() {
        let long = "a".repeat(254);
        for good in ["s", "tls-1", "a.b-c.d", &long[1..]] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a..b", ".a", "a.", "-a", "a-", "a.-b", "A", "a_b", "a/b", &long] {
            assert!(name(bad).is_err_and(|error| error.contains("expected the name of a Secret")), "{bad}");
        }
    }

    #[test]
    fn lives_are_long_enough_for_a_cluster_to_follow() {
        assert_eq!(lifetime("10m"), Ok(LIFETIME_MIN));
        for short in ["1ms", "9m59s"] {
            assert_eq!(lifetime(short), Err("expected at least 10m".into()), "{short}");
        }
    }

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
