//! Why there is no value, in words an operator can act on.
//!
//! The HPA shows the message in its condition and events, and nothing else of the answer, so it names
//! the metric, the object, what was seen and what to check. It opens with the sentence that operators
//! search for.

use std::fmt;

use crate::aggregate::Absence;
use crate::config::{Config, Level};
use crate::model::GroupResource;
use crate::model::selector::Selector;
use crate::provider::{Coverage, Objects, level_of};

/// A request that has no value for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub subject: Box<Subject>,
    pub cause: Box<Cause>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    pub metric: String,
    /// `None` for an external metric.
    pub resource: Option<GroupResource>,
    pub namespace: Option<String>,
    /// A name, or nothing for all objects that a selector matches.
    pub name: Option<String>,
    pub selector: String,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    UnknownMetric {
        nearest: Option<String>,
        known: Vec<String>,
    },
    LevelNotServed {
        asked: Level,
        served: Vec<Level>,
    },
    UnknownObject,
    NothingSelected,
    /// The first few by name of the object, and how many there are.
    NoObjectHasData {
        first: Vec<(String, Cause)>,
        all: usize,
    },
    NoTargetHasData(Reasons),
    LowCoverage {
        coverage: Coverage,
        least: f64,
        reasons: Reasons,
    },
    /// There is data, but none of the groups that the selector means.
    NoGroupSelected(String),
    /// The selector names a label that the definition is not split by: a mistake of the asker.
    NotSplitBy {
        label: String,
        split_by: Vec<String>,
    },
    NoValue(Absence),
}

/// Why targets have no data.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasons {
    /// URL and reason of the first few.
    pub first: Vec<(String, String)>,
    /// How many there are.
    pub all: usize,
}

/// Reasons written out at most: a condition of an HPA is read on one screen.
pub(super) const REASONS_MAX: usize = 3;

// === impl Error ===

impl Error {
    pub(super) fn new(subject: &Subject, cause: Cause) -> Self {
        Self { subject: Box::new(subject.clone()), cause: Box::new(cause) }
    }

    /// Whether the request itself is wrong, rather than data missing.
    pub fn is_bad_request(&self) -> bool {
        matches!(*self.cause, Cause::NotSplitBy { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_bad_request() {
            return write!(f, "metric {}: {}", self.subject.metric, self.cause);
        }
        write!(f, "the server could not find the metric {}: {}", self.subject, self.cause)
    }
}

impl std::error::Error for Error {}

// === impl Subject ===

impl Subject {
    pub(super) fn custom(
        metric: &str,
        resource: &GroupResource,
        namespace: Option<&str>,
        objects: &Objects<'_>,
    ) -> Self {
        let (name, selector) = match objects {
            Objects::Named(name) => (Some((*name).to_owned()), String::new()),
            Objects::Selected(selector) => (None, selector.to_string()),
        };
        Self {
            metric: metric.into(),
            resource: Some(resource.clone()),
            namespace: namespace.map(str::to_owned),
            name,
            selector,
        }
    }

    pub(super) fn external(metric: &str, namespace: &str, selector: &Selector) -> Self {
        Self {
            metric: metric.into(),
            resource: None,
            namespace: Some(namespace.into()),
            name: None,
            selector: selector.to_string(),
        }
    }

    pub(super) fn level(&self) -> Level {
        self.resource.as_ref().map_or(Level::External, level_of)
    }
}

/// `qps for pods web-1 in namespace shop`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if let Some(resource) = &self.resource {
            write!(f, " for {resource}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        let in_itself = self.resource == Some(GroupResource::core("namespaces"));
        if let Some(namespace) = self.namespace.as_ref().filter(|_| !in_itself) {
            write!(f, " in namespace {namespace}")?;
        }
        if !self.selector.is_empty() {
            write!(f, " with selector {}", self.selector)?;
        }
        Ok(())
    }
}

// === impl Cause ===

impl Cause {
    pub(super) fn unknown_metric(metric: &str, config: &Config) -> Self {
        let known: Vec<String> = config.metrics.iter().map(|definition| definition.name.clone()).collect();
        let near = |name: &&String| strsim::normalized_levenshtein(metric, name) >= 0.6;
        let distance = |name: &&String| strsim::levenshtein(metric, name);
        Self::UnknownMetric { nearest: known.iter().filter(near).min_by_key(distance).cloned(), known }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMetric { nearest: Some(nearest), .. } => {
                write!(f, "the configuration defines no metric of this name; did you mean {nearest}?")
            }
            Self::UnknownMetric { known, .. } => {
                write!(f, "the configuration defines no metric of this name; it defines {}", list(known, 10))
            }
            Self::LevelNotServed { asked, served } => {
                write!(f, "it is not served for {asked}; the definition restricts it to {}", list(served, 6))
            }
            Self::UnknownObject => {
                f.write_str("no target stands for this object; check its name, namespace and the targets' identity")
            }
            Self::NothingSelected => f.write_str(
                "the selector matches no object that has a target; check the selector and the targets' labels",
            ),
            Self::NoObjectHasData { first, all } => {
                let first: Vec<_> = first.iter().map(|(name, cause)| format!("{name}: {cause}")).collect();
                write!(f, "none of the {all} objects has data; {}", joined(&first, *all))
            }
            Self::NoTargetHasData(reasons) => reasons.fmt(f),
            Self::LowCoverage { coverage, least, reasons } => {
                let all = coverage.targets_with_data + coverage.targets_missing;
                write!(
                    f,
                    "{} of {all} targets have data, a share below min_coverage {least}; {reasons}",
                    coverage.targets_with_data
                )
            }
            Self::NoGroupSelected(selector) => write!(f, "there is data, but none whose labels match {selector}"),
            Self::NotSplitBy { label, split_by } if split_by.is_empty() => {
                write!(f, "it cannot be chosen by the label {label:?}, for its definition has no split_by")
            }
            Self::NotSplitBy { label, split_by } => {
                write!(
                    f,
                    "it cannot be chosen by the label {label:?}; its definition is split by {}",
                    list(split_by, 10)
                )
            }
            Self::NoValue(absence) => absence.fmt(f),
        }
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: Vec<_> = self.first.iter().map(|(target, reason)| format!("target {target}: {reason}")).collect();
        f.write_str(&joined(&first, self.all))
    }
}

fn joined(first: &[String], all: usize) -> String {
    let shown = first.join("; ");
    match all.saturating_sub(first.len()) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

fn list<T: fmt::Display>(words: &[T], max: usize) -> String {
    let shown: Vec<String> = words.iter().take(max).map(T::to_string).collect();
    let more = words.len().saturating_sub(max);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
