//! Why there is no value, in words an operator can act on.
//!
//! The HPA shows the message in its condition and events, and nothing else of the answer, so it names
//! the metric, the object, what was seen and what to check. It opens with the sentence that operators
//! search for.

use std::collections::BTreeSet;
use std::fmt;

use crate::aggregate::Absence;
use crate::config::{Config, Level};
use crate::model::selector::Selector;
use crate::model::{self, GroupResource, Timestamp, excerpt};
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
    /// With the level where all objects of it that run are known.
    UnknownObject(Option<Level>),
    /// As for an unknown object.
    NothingSelected(Option<Level>),
    /// The object is known, and none of its pods is a target.
    NotScraped(PodsWithoutTarget),
    /// The same of every object that is selected.
    NoneScraped {
        level: Level,
        objects: usize,
        pods: PodsWithoutTarget,
    },
    /// The first few by name of the object, how many have a target, and how many there are.
    NoObjectHasData {
        first: Vec<(String, Cause)>,
        with_target: usize,
        all: usize,
        pods: PodsWithoutTarget,
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

/// Why an object has no data.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasons {
    /// What is said of the first few targets, of the pods without target, and of the targets beyond the limit.
    pub first: Vec<String>,
    /// How many there are.
    pub all: usize,
    /// Of the data that is too old now, the time of the oldest; `None` where age is not what stands in the way.
    pub aged: Option<Timestamp>,
}

/// Running pods that no target stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct PodsWithoutTarget {
    /// Names of the first few.
    pub first: Vec<String>,
    pub all: usize,
}

/// Reasons written out at most: a condition of an HPA is read on one screen.
pub(super) const REASONS_MAX: usize = 3;

/// What makes a pod a target, in the words of the objects and of the configuration.
const ADVICE: &str = "annotate the pod template with prometheus.io/scrape: \"true\", or select the pods by a PodMonitor \
                      or ServiceMonitor, and have a job with that role in its kubernetes_sd_configs; /status says what is \
                      wrong with annotations and monitors that are there";

// === impl Error ===

impl Error {
    pub(super) fn new(subject: &Subject, cause: Cause) -> Self {
        Self { subject: Box::new(subject.clone()), cause: Box::new(cause) }
    }

    /// Whether the request itself is wrong, rather than data missing.
    pub fn is_bad_request(&self) -> bool {
        matches!(*self.cause, Cause::NotSplitBy { .. })
    }

    /// The time of the data that there was until it got too old: of several the oldest. `None` where there was none, or
    /// something else stands in the way.
    pub fn aged(&self) -> Option<Timestamp> {
        self.cause.aged()
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

    /// The namespace that what was asked for lies in, or is; `None` for what may lie anywhere.
    pub(super) fn place(&self) -> Option<&str> {
        let is_namespace = self.resource.as_ref().is_some_and(|resource| level_of(resource) == Level::Namespaces);
        self.name.as_deref().filter(|_| is_namespace).or(self.namespace.as_deref())
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

    fn aged(&self) -> Option<Timestamp> {
        match self {
            Self::NoTargetHasData(reasons) | Self::LowCoverage { reasons, .. } => reasons.aged,
            Self::NoObjectHasData { first, .. } => first.iter().filter_map(|(_, cause)| cause.aged()).min(),
            Self::NoValue(_)
            | Self::UnknownMetric { .. }
            | Self::LevelNotServed { .. }
            | Self::UnknownObject(_)
            | Self::NothingSelected(_)
            | Self::NotScraped(_)
            | Self::NoneScraped { .. }
            | Self::NoGroupSelected(_)
            | Self::NotSplitBy { .. } => None,
        }
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
            Self::UnknownObject(known) => f.write_str(unknown_object(*known)),
            Self::NothingSelected(known) => f.write_str(nothing_selected(*known)),
            Self::NotScraped(PodsWithoutTarget { all: 0, .. }) => f.write_str("no running pod belongs to it"),
            Self::NotScraped(pods) => write!(f, "{pods}; {ADVICE}"),
            Self::NoneScraped { level, objects, pods } => {
                let what = if *level == Level::Pods { "running pod" } else { "object" };
                match objects {
                    1 => write!(f, "1 {what} matches, but {}", not_scraped(*level, "it", "its", pods)),
                    _ => write!(f, "{objects} {what}s match, but {}", not_scraped(*level, "them", "their", pods)),
                }
            }
            Self::NoObjectHasData { first, with_target, all, pods } => {
                let first: Vec<_> = first.iter().map(|(name, cause)| format!("{name}: {cause}")).collect();
                write!(f, "none of the {all} objects has data; {}", joined(&first, *with_target))?;
                if pods.all > 0 { write!(f, "; {pods}") } else { Ok(()) }
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

/// What is so of selected objects: `it` and `its` stand for them.
fn not_scraped(level: Level, it: &str, its: &str, pods: &PodsWithoutTarget) -> String {
    match (pods.all, level) {
        (0, _) => format!("no running pod belongs to {it}"),
        (_, Level::Pods) => format!("nothing scrapes {it} ({}); {ADVICE}", pods.names()),
        (_, _) => format!("nothing scrapes {its} running pods ({}); {ADVICE}", pods.names()),
    }
}

fn unknown_object(known: Option<Level>) -> &'static str {
    match known {
        None => "no target stands for this object; check its name, namespace and the targets' identity",
        Some(Level::Pods) => "no running pod of this name is known; check its name and namespace",
        Some(Level::Owners) => "no running pod that is known belongs to this object; check its name and namespace",
        Some(_) => "this object is not known, nor is any running pod of it; check its name and namespace",
    }
}

fn nothing_selected(known: Option<Level>) -> &'static str {
    match known {
        None => "the selector matches no object that has a target; check the selector and the targets' labels",
        Some(Level::Pods) => "the selector matches no running pod; check the selector and the pods' labels",
        Some(_) => "the selector matches no object that is known; check the selector and the objects' labels",
    }
}

// === impl Reasons ===

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.first, self.all))
    }
}

// === impl PodsWithoutTarget ===

impl PodsWithoutTarget {
    /// A pod may belong to several of the objects asked for; it is told once.
    pub(super) fn of<'a>(pods: impl Iterator<Item = &'a model::PodWithoutTarget>) -> Self {
        let places = pods.map(|pod| (&pod.identity.namespace, pod.identity.pod.as_deref().unwrap_or_default()));
        let places: BTreeSet<_> = places.collect();
        let first = places.iter().take(REASONS_MAX).map(|(_, pod)| excerpt(pod)).collect();
        Self { first, all: places.len() }
    }

    /// `web-1, web-2, web-3 and 9 more`.
    fn names(&self) -> String {
        let shown = self.first.join(", ");
        match self.all.saturating_sub(self.first.len()) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }
}

impl fmt::Display for PodsWithoutTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.all {
            1 => write!(f, "the pod {} is running, but nothing scrapes it", self.names()),
            all => write!(f, "{all} pods are running, but nothing scrapes them ({})", self.names()),
        }
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
