//! In what a panel measures: how Grafana writes its numbers.

use crate::catalog;

/// What one is, on an axis or in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Things, and whatever has no unit.
    Count,
    RequestsPerSecond,
    /// Other things per second.
    PerSecond,
    Seconds,
    /// Where weeks and months would hide how many.
    Days,
    Bytes,
    /// 0 to 1, shown as percent.
    Share,
    /// So many times what is bearable.
    Times,
    /// CPU cores.
    Cores,
    /// One of several, which have names.
    State,
}

// === impl Measure ===

impl Measure {
    /// As Grafana calls it.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::RequestsPerSecond => "reqps",
            Self::PerSecond => "suffix:/s",
            Self::Seconds => "s",
            Self::Days => "suffix: days",
            Self::Bytes => "bytes",
            Self::Share => "percentunit",
            Self::Times => "suffix:×",
            Self::Cores => "suffix: cores",
            Self::State => "none",
        }
    }
}

// === impl From<&catalog::Unit> ===

impl From<&catalog::Unit> for Measure {
    fn from(unit: &catalog::Unit) -> Self {
        match unit {
            catalog::Unit::Count(_) => Self::Count,
            // A query of a time should take its age, in seconds.
            catalog::Unit::Seconds | catalog::Unit::Timestamp => Self::Seconds,
            catalog::Unit::Bytes => Self::Bytes,
            catalog::Unit::Ratio => Self::Share,
            catalog::Unit::Boolean => Self::State,
            catalog::Unit::Cores => Self::Cores,
        }
    }
}
