//! What one side says of a page, in a form in which two can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::UNIX_EPOCH;

/// What one side says of a page.
#[derive(Debug)]
pub enum Reading {
    Refused(String),
    Read(Content),
}

/// What a page holds.
#[derive(Debug, Default)]
pub struct Content {
    /// Sample lines, with duplicates.
    pub lines: usize,
    pub samples: BTreeSet<Sample>,
    /// Family → type, but for families of unknown type. The last line about a family counts.
    pub types: BTreeMap<String, String>,
}

/// One sample. Two are the same if their labels, the bits of their values and their explicit times are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    /// With `__name__`.
    labels: BTreeMap<String, String>,
    value_bits: u64,
    /// Milliseconds since 1970 as the page gives them; `None` for a sample of the moment of the scrape.
    time: Option<i64>,
}

/// Prometheus keeps explicit times from so long before the start of the test, in milliseconds.
const BEFORE_MAX: i64 = 40 * 60 * 1000;
/// … until so long after it.
pub const AFTER_MAX: i64 = 9 * 60 * 1000;

/// Milliseconds since 1970.
pub fn now() -> i64 {
    UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64
}

// === impl Content ===

impl Content {
    /// Samples without those whose times Prometheus reads and does not keep.
    pub fn kept(&self, start: i64) -> impl Iterator<Item = &Sample> {
        let kept = start - BEFORE_MAX..start + AFTER_MAX;
        self.samples.iter().filter(move |sample| sample.time.is_none_or(|time| kept.contains(&time)))
    }
}

// === impl Sample ===

impl Sample {
    /// Every NaN but the stale marker is the same: the API writes all as `NaN`, and leaves stale markers out.
    pub fn new(labels: BTreeMap<String, String>, value: f64, time: Option<i64>) -> Self {
        let plain_nan = value.is_nan() && !plimsoll::model::is_stale_marker(value);
        let value_bits = if plain_nan { f64::NAN.to_bits() } else { value.to_bits() };
        Self { labels, value_bits, time }
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:e}", self.labels, f64::from_bits(self.value_bits))?;
        self.time.map_or(Ok(()), |time| write!(f, " @{time}"))
    }
}
