//! The configuration file and the flags → a [`Config`] that cannot be wrong.
//!
//! In goes YAML text; out comes a checked value, or every mistake at once with its line and column.
//! Nothing here opens a socket; only `config` reads the configuration file, and within a bound.

pub mod diagnostic;
mod document;
pub mod duration;
pub mod file;
mod key_path;
mod matcher;
pub mod metric;
mod mistake;
mod name;
mod omissions;
mod pattern;
mod rate_limit;
pub mod reader;
mod structure;
mod target_group;
mod text_file;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use file::schema;
pub use metric::{
    Aggregation, Bound, Combine, Definition, Level, Matchers, RangeBoundary, Selection, Severity, Shape, Sharing, Side,
    Threshold,
};
pub use name::url as check_url;
pub use omissions::{Omissions, one_line, told, with_causes};
pub use rate_limit::{RateLimits, Tier, Tiers};
pub use reader::{load, read, text};
pub use target_group::{PageError, target_groups};
pub use text_file::read_text;

pub use crate::model::{ClientConfig, ClientTls, Credentials, ScrapeProtocol, Scraping, Secret, SecretText};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Identity;
use crate::model::selector::Selector;

/// Everything the file says, checked: names are unique, durations ordered, matchers compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub jobs: Vec<Arc<Job>>,
    pub metrics: Vec<Arc<Definition>>,
    pub limits: Limits,
    pub rate_limits: RateLimits,
}

/// One `scrape_configs` entry: how to scrape, and where its targets come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub name: Arc<str>,
    /// Default of `freshness`: 2.5 × `interval`, at least 30 s; of `protocols`: [`ScrapeProtocol::ALL`].
    pub scraping: Arc<Scraping>,
    pub targets: Vec<StaticTarget>,
    pub file_sd: Vec<FileSd>,
    pub http_sd: Vec<HttpSd>,
    pub kubernetes_sd: Vec<KubernetesSd>,
}

/// A target written into the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticTarget {
    pub url: String,
    pub identity: Identity,
}

/// Files in Prometheus' `file_sd` format.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSd {
    /// Paths relative to the configuration file; the last component may hold `*`.
    pub files: Vec<PathBuf>,
    pub refresh_interval: Duration,
}

/// An endpoint in Prometheus' `http_sd` format.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSd {
    pub url: String,
    pub refresh_interval: Duration,
}

/// Objects of the cluster that become targets, by watches.
#[derive(Clone, Debug, PartialEq)]
pub struct KubernetesSd {
    pub role: Role,
    /// Namespaces of the objects; empty for all.
    pub namespaces: Vec<String>,
    /// Labels of the objects of the role (pods, Services, PodMonitors, ServiceMonitors).
    pub selector: Selector,
}

/// Which objects say what is scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Pods with the annotation `prometheus.io/scrape: "true"`.
    Pod,
    /// The pods behind Services with that annotation.
    EndpointSlice,
    /// The pods that PodMonitors select.
    PodMonitor,
    /// The endpoints of Services that ServiceMonitors select.
    ServiceMonitor,
}

/// Bounds that keep a hostile or broken target from hurting the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Targets of all jobs together; the ones beyond are not scraped. Default 10,000.
    pub targets: usize,
    /// Wanted series of one target; a page with more is a failed scrape. Default 10,000.
    pub series_per_target: usize,
    /// Bytes of a page after decompression; a larger one is a failed scrape. Default 64 MiB.
    pub body_size_bytes: usize,
    /// Bytes of a label name or value; a longer one fails the scrape. Default 4,096.
    pub label_length: usize,
    /// Labels of one series; more fail the scrape. Default 64.
    pub labels_per_series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            targets: 10_000,
            series_per_target: 10_000,
            body_size_bytes: 64 << 20,
            label_length: 4_096,
            labels_per_series: 64,
        }
    }
}
