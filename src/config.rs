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
pub mod reader;
pub mod scrape_protocol;
mod structure;
mod target_group;
mod text_file;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use file::schema;
pub use metric::{Aggregation, Combine, Definition, Level, Matchers, RangeBoundary, Shape, Sharing, Side};
pub use omissions::{Omissions, one_line};
pub use reader::{load, read, text};
pub use scrape_protocol::ScrapeProtocol;
pub use target_group::{PageError, target_groups};
pub use text_file::read_text;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Identity;

/// Everything the file says, checked: names are unique, durations ordered, matchers compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub jobs: Vec<Arc<Job>>,
    pub metrics: Vec<Arc<Definition>>,
    pub limits: Limits,
}

/// One `scrape_configs` entry: how to scrape, and where its targets come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub name: Arc<str>,
    pub scrape_interval: Duration,
    /// Shorter than `scrape_interval`.
    pub scrape_timeout: Duration,
    /// Samples older than this are not used. Default: 2.5 × `scrape_interval`, at least 30 s.
    pub freshness: Duration,
    /// What targets are asked for, the most wanted first; not empty, each once. Default: [`ScrapeProtocol::ALL`].
    pub scrape_protocols: Vec<ScrapeProtocol>,
    pub client: ClientConfig,
    pub targets: Vec<StaticTarget>,
    pub file_sd: Vec<FileSd>,
    pub http_sd: Vec<HttpSd>,
}

/// How requests of a job authenticate. Files are read again when they change.
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
