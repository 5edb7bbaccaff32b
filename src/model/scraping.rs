//! How targets are scraped: times, formats, credentials and TLS. The targets of a job share one [`Scraping`].

use std::path::PathBuf;
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

/// How requests authenticate. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    pub credentials: Credentials,
    pub tls: ClientTls,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    #[default]
    None,
    BearerTokenFile(PathBuf),
    Basic {
        username: String,
        password_file: PathBuf,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// PEM bundle that replaces the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and key, PEM; both or none.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub insecure_skip_verify: bool,
}

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
