//! What is known of a target's scrapes: a failed scrape is data.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::model::{self, Timestamp};
use crate::storage::Scrape;

/// Health and history of one target.
#[derive(Clone, Debug, Default)]
pub struct TargetState {
    pub health: Health,
    /// Start of the last scrape, successful or not.
    pub last_scrape: Option<Timestamp>,
    pub last_duration: Duration,
    pub last_success: Option<Timestamp>,
    pub first_success: Option<Timestamp>,
    /// Successful scrapes since the target is known.
    pub successes: u64,
    /// Why the last scrape failed; `None` after a success.
    pub failure: Option<Failure>,
    /// Oddities of the samples, by kind; they stay until the target ends.
    pub issues: BTreeMap<IssueKind, Issue>,
    pub body_size_bytes: usize,
    pub samples_scraped: usize,
    pub series: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    Up,
    Down,
}

/// Why a scrape failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub reason: FailureReason,
    pub message: String,
}

/// The closed list of reasons, as it stands in labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureReason {
    /// A credential, CA or certificate file cannot be read or used.
    Credentials,
    /// The name of the host cannot be resolved.
    Resolve,
    /// No TCP connection.
    Connect,
    Tls,
    /// No whole page within the scrape timeout.
    Timeout,
    /// An answer other than 200.
    HttpStatus,
    /// The connection broke within the page.
    Body,
    /// The page is larger than `body_size_bytes`.
    BodySizeLimit,
    /// The page is not an exposition, or a malformed one.
    Exposition,
    /// More wanted series than `series_per_target`.
    SeriesLimit,
    /// A label longer than `label_length` or more than `labels_per_series`.
    LabelLimit,
}

/// An oddity of a sample that does not fail the scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How often since the target is known.
    pub count: u64,
    pub last: Timestamp,
    /// The last occurrence, with series and numbers.
    pub example: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IssueKind {
    DuplicateSeries,
    TimestampInFuture,
    TimestampTooOld,
    OutOfOrder,
    CounterReset,
    NotFinite,
}

// === impl TargetState ===

impl TargetState {
    pub(super) fn succeed(&mut self, scrape: Scrape, series: usize) {
        self.health = Health::Up;
        self.last_scrape = Some(scrape.time);
        self.first_success.get_or_insert(scrape.time);
        self.last_success = Some(scrape.time);
        self.successes += 1;
        self.last_duration = scrape.duration;
        self.failure = None;
        self.body_size_bytes = scrape.body_size_bytes;
        self.samples_scraped = scrape.samples_scraped;
        self.series = series;
    }

    pub(super) fn fail(&mut self, failure: Failure, time: Timestamp, duration: Duration) {
        self.health = Health::Down;
        self.last_scrape = Some(time);
        self.last_duration = duration;
        self.failure = Some(failure);
    }

    pub(super) fn note(&mut self, kind: IssueKind, time: Timestamp, example: &str) {
        let issue = self.issues.entry(kind).or_insert(Issue { count: 0, last: time, example: String::new() });
        issue.count += 1;
        issue.last = time;
        example.clone_into(&mut issue.example);
    }
}

// === impl Health ===

impl Health {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

// === impl Failure ===

impl Failure {
    /// The message is cut where it is too long to be read.
    pub fn new(reason: FailureReason, message: impl fmt::Display) -> Self {
        Self { reason, message: model::excerpt(&message) }
    }
}

// === impl FailureReason ===

impl FailureReason {
    pub const ALL: [Self; 11] = [
        Self::Credentials,
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::HttpStatus,
        Self::Body,
        Self::BodySizeLimit,
        Self::Exposition,
        Self::SeriesLimit,
        Self::LabelLimit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::Body => "body",
            Self::BodySizeLimit => "body_size_limit",
            Self::Exposition => "exposition",
            Self::SeriesLimit => "series_limit",
            Self::LabelLimit => "label_limit",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl IssueKind ===

impl IssueKind {
    pub const ALL: [Self; 6] = [
        Self::DuplicateSeries,
        Self::TimestampInFuture,
        Self::TimestampTooOld,
        Self::OutOfOrder,
        Self::CounterReset,
        Self::NotFinite,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::DuplicateSeries => "duplicate_series",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::OutOfOrder => "out_of_order",
            Self::CounterReset => "counter_reset",
            Self::NotFinite => "not_finite",
        }
    }
}
