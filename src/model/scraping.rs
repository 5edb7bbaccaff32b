//! How targets are scraped: times, formats, credentials and TLS. The targets of a job share one [`Scraping`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Everything about scraping that is not the target's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scraping {
    /// Time between two scrapes of a target.
    pub interval: Duration,
    /// Shorter than `interval`.
    pub timeout: Duration,
    /// Samples older than this are not used.
    pub freshness: Duration,
    /// What targets are asked for, the most wanted first; not empty, each once.
    pub protocols: Vec<ScrapeProtocol>,
    pub client: ClientConfig,
}

/// How requests authenticate and whom they trust. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    pub credentials: Credentials,
    pub tls: ClientTls,
}

/// What goes into the header `Authorization`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    #[default]
    None,
    /// A scheme such as `Bearer`, and what follows it.
    Authorization {
        scheme: Arc<str>,
        credentials: SecretText,
    },
    Basic {
        username: SecretText,
        password: SecretText,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// PEM bundle that replaces the roots of the machine or the image.
    pub ca: Option<SecretText>,
    /// Client certificate and key, PEM; both or none.
    pub certificate: Option<(SecretText, SecretText)>,
    /// The name that is asked for and that the certificate must have, where it is another one than that of the URL.
    pub server_name: Option<Arc<str>>,
    pub insecure_skip_verify: bool,
}

/// A token, password, certificate or key, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretText {
    File(PathBuf),
    /// The text itself; `origin` is what messages call it.
    Inline {
        origin: Arc<str>,
        secret: Secret,
    },
    /// It cannot be had for now. The sentence says why; requests fail with it, and none goes out without.
    Missing(Arc<str>),
}

/// A text that nothing shows. Equal texts are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

/// A format that targets are asked for, by the name it has in Prometheus' `scrape_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum ScrapeProtocol {
    /// Protobuf, the only one with native histograms.
    PrometheusProto,
    /// OpenMetrics 1.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText1_0_0,
    /// OpenMetrics as it was before 1.0.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText0_0_1,
    /// The text format that every client writes.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText0_0_4,
}

/// Longest default of the timeout, as in Prometheus.
const TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// Shortest default of the freshness: one lost scrape of a fast job is no reason to hold an autoscaler.
const FRESHNESS_MIN: Duration = Duration::from_secs(30);

// === impl Scraping ===

impl Scraping {
    /// The timeout where none is given.
    pub fn default_timeout(interval: Duration) -> Duration {
        TIMEOUT_MAX.min(interval * 2 / 3)
    }

    /// How long samples count where nothing is given.
    pub fn default_freshness(interval: Duration) -> Duration {
        FRESHNESS_MIN.max(interval * 5 / 2)
    }
}

// === impl Credentials ===

impl Credentials {
    pub fn bearer(token: SecretText) -> Self {
        Self::Authorization { scheme: "Bearer".into(), credentials: token }
    }
}

// === impl Secret ===

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the request alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl ScrapeProtocol ===

impl ScrapeProtocol {
    /// All of them, the one that says most first: the order of Prometheus when it scrapes native histograms.
    pub const ALL: [Self; 4] =
        [Self::PrometheusProto, Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText0_0_4];

    /// The media range for an `Accept` header, without its weight. As in Prometheus, names beyond ASCII are asked for in
    /// OpenMetrics 1.0 alone; elsewhere a target writes `_` for what older readers do not know.
    pub fn media_range(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_equals_its_like() {
        let inline = |text: &str| SecretText::Inline { origin: "a key".into(), secret: Secret::new(text) };
        assert_eq!(format!("{:?}", inline("hunter2")), "Inline { origin: \"a key\", secret: Secret(…) }");
        assert_eq!(inline("a"), inline("a"));
        assert_ne!(inline("a"), inline("b"));
    }
}
