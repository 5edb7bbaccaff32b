//! What a metric definition means once it is checked: one shape, its levels and its split labels.

use std::fmt;
use std::time::Duration;

use regex::Regex;

use crate::model::Labels;

/// One metric: declared once, answered at every level it allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Lower-case letters, digits and `_`: external names are lower-cased by the Kubernetes client.
    pub name: String,
    pub description: String,
    /// Unit of the served number, for example `messages`, `seconds`, `requests per second`.
    pub unit: String,
    pub shape: Shape,
    pub levels: Vec<Level>,
    /// Labels of the series that `metricLabelSelector` (custom) and `labelSelector` (external) choose by.
    pub split_by: Vec<String>,
    /// Least share of the targets of an object that must have data, in `0.0..=1.0`. Default 0.8.
    pub min_coverage: f64,
    pub aggregation: Aggregation,
    /// The more urgent last.
    pub thresholds: Vec<Threshold>,
}

/// A value of a workload from which on somebody should know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub severity: Severity,
    pub bound: Bound,
    /// How long without a break.
    pub lasting: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Critical,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Above(f64),
    Below(f64),
}

/// What is computed from which series.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// The newest samples of a gauge, combined.
    Gauge { series: Selection, combine: Combine },
    /// A gauge of waiting work.
    Queue { series: Selection, sharing: Sharing },
    /// Increase per second of a counter over a window; rates are summed after the per-series rate.
    Rate { counter: Selection, window: Duration },
    /// Quantile of a classic histogram from buckets merged over pods. `histogram.name` is the base name.
    Quantile { histogram: Selection, q: f64, window: Duration },
    /// Sum of one side over the sum of the other.
    Ratio { numerator: Side, denominator: Side, window: Duration },
}

/// Series by name and matchers.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    pub name: String,
    pub matchers: Matchers,
}

/// One side of a ratio.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// Contributes its increase over the window.
    Counter(Selection),
    /// Contributes its newest value.
    Gauge(Selection),
}

/// How windows of samples become numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// True change between real samples over their real span, nothing extrapolated.
    #[default]
    Exact,
    /// What a Prometheus computes of the same samples, extrapolation included.
    Prometheus(RangeBoundary),
}

/// Whether a range holds a sample that lies exactly at its start, and with it the major version of
/// Prometheus whose other rules apply too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RangeBoundary {
    /// It does, as in Prometheus 2.
    Closed,
    /// It does not, as in Prometheus 3.
    #[default]
    LeftOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    Sum,
    Avg,
    Max,
    Min,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every pod reports the same queue: the largest report counts.
    Shared,
    /// Each pod reports its own part: parts are summed.
    Partitioned,
}

/// Where a definition may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Pods,
    Owners,
    Services,
    Namespaces,
    Nodes,
    External,
}

/// Matchers in PromQL's notation, all of which must hold: `code=~"5..", method!="GET"`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Matchers(pub Vec<Matcher>);

#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    pub label: String,
    pub test: Test,
}

/// An absent label has the empty value, as in PromQL.
#[derive(Clone, Debug)]
pub enum Test {
    Equal(String),
    NotEqual(String),
    /// Anchored at both ends.
    Match(Regex),
    NotMatch(Regex),
}

// === impl Level ===

impl Level {
    pub const ALL: [Self; 6] =
        [Self::Pods, Self::Owners, Self::Services, Self::Namespaces, Self::Nodes, Self::External];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Owners => "owners",
            Self::Services => "services",
            Self::Namespaces => "namespaces",
            Self::Nodes => "nodes",
            Self::External => "external",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Bound ===

impl Bound {
    pub fn above(self) -> Option<f64> {
        match self {
            Self::Above(bound) => Some(bound),
            Self::Below(_) => None,
        }
    }

    pub fn below(self) -> Option<f64> {
        match self {
            Self::Above(_) => None,
            Self::Below(bound) => Some(bound),
        }
    }
}

// === impl Shape ===

impl Shape {
    /// The window a value of this shape covers, `None` where it is the newest sample.
    pub fn window(&self) -> Option<Duration> {
        match self {
            Self::Gauge { .. } | Self::Queue { .. } => None,
            Self::Rate { window, .. } | Self::Quantile { window, .. } => Some(*window),
            Self::Ratio { numerator, denominator, window } => {
                let counted = [numerator, denominator].iter().any(|side| matches!(side, Side::Counter(_)));
                counted.then_some(*window)
            }
        }
    }

    /// Whether the values of disjoint groups of series sum to the value of all of them.
    pub fn groups_add_up(&self) -> bool {
        match self {
            Self::Gauge { combine, .. } => *combine == Combine::Sum,
            Self::Queue { .. } | Self::Rate { .. } => true,
            Self::Quantile { .. } | Self::Ratio { .. } => false,
        }
    }

    /// The sample names this shape reads, with what is selected of each; a quantile reads `_bucket`.
    pub fn selections(&self) -> Vec<(String, &Selection)> {
        let named = |selection: &'_ Selection| selection.name.clone();
        match self {
            Self::Gauge { series, .. } | Self::Queue { series, .. } => vec![(named(series), series)],
            Self::Rate { counter, .. } => vec![(named(counter), counter)],
            Self::Quantile { histogram, .. } => vec![(format!("{}_bucket", histogram.name), histogram)],
            Self::Ratio { numerator, denominator, .. } => {
                [numerator, denominator].map(|side| (named(side.selection()), side.selection())).to_vec()
            }
        }
    }
}

impl Side {
    pub fn selection(&self) -> &Selection {
        match self {
            Self::Counter(selection) | Self::Gauge(selection) => selection,
        }
    }
}

// === impl Matchers ===

impl Matchers {
    /// Whether a series with these labels is meant.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.test.accepts(labels.get(&matcher.label).unwrap_or("")))
    }
}

impl Test {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::NotEqual(refused) => value != refused,
            Self::Match(regex) => regex.is_match(value),
            Self::NotMatch(regex) => !regex.is_match(value),
        }
    }
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Equal(a), Self::Equal(b)) | (Self::NotEqual(a), Self::NotEqual(b)) => a == b,
            (Self::Match(a), Self::Match(b)) | (Self::NotMatch(a), Self::NotMatch(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// As written in PromQL, with braces.
impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<_> = self.0.iter().map(|matcher| format!("{}{}", matcher.label, matcher.test)).collect();
        write!(f, "{{{}}}", terms.join(","))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "={value:?}"),
            Self::NotEqual(value) => write!(f, "!={value:?}"),
            Self::Match(regex) => write!(f, "=~{:?}", unanchored(regex)),
            Self::NotMatch(regex) => write!(f, "!~{:?}", unanchored(regex)),
        }
    }
}

/// The expression as the user wrote it, without the anchors `^(?:` and `)$` that compiling adds.
fn unanchored(regex: &Regex) -> &str {
    let text = regex.as_str();
    text.strip_prefix("^(?:").and_then(|text| text.strip_suffix(")$")).unwrap_or(text)
}
