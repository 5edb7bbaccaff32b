//! Says what is wrong with a Plimsoll in a cluster, each with its fix.
//!
//! A client of the cluster comes in; the [`survey`](Doctor::examine) reads what there is, all at once and within time
//! limits; pure checks make findings of it. Nothing is changed in the cluster. Of the Secret with the serving
//! certificate, which is read where the port cannot be reached, nothing but the certificate is looked at.
//!
//! # The report as JSON
//!
//! `plimsoll doctor --output json` writes one object, whose keys stay as they are:
//!
//! ```json
//! {
//!   "version": "0.1.0",
//!   "server": "https://203.0.113.1:6443/",
//!   "time": "2026-01-02T03:04:05Z",
//!   "findings": [{
//!     "check": "metrics",
//!     "state": "failure",
//!     "object": {"kind": "HorizontalPodAutoscaler", "namespace": "agents", "name": "tools"},
//!     "found": "one line",
//!     "expected": "one line",
//!     "fix": "a command or YAML, one line or more",
//!     "metric": {"name": "queue_length", "level": "External", "value": "30", "timestamp": "…", "ageSeconds": 2}
//!   }],
//!   "summary": {"ok": 12, "warning": 1, "failure": 1, "unknown": 0}
//! }
//! ```
//!
//! `check` is one of `apiservices`, `service`, `certificate`, `requestheader`, `permissions`, `adapters`,
//! `configuration`, `metrics`, `autoscalers`, `clock` and `targets`; `state` one of `ok`, `warning`, `failure` and
//! `unknown` (it could not be asked, and `found` says why). `namespace`, `expected`, `fix` and `metric` are left out
//! where there is none; so are `value`, `timestamp` and `ageSeconds` of a metric. A list of values has their number in
//! `items`, their sum in `value` and the oldest time in `timestamp`. Where there is no cluster to examine (exit code 2),
//! it is `{"error": "one line"}`.

mod adapter;
mod autoscaler;
mod budget;
mod certificate;
mod clock_skew;
mod configuration;
mod facts;
mod front_proxy;
mod inquiry;
mod metric;
mod patience;
mod permission;
mod question;
mod registration;
mod risk;
mod service;
mod serving_port;
mod survey;
mod target;
mod text;

#[cfg(test)]
mod tests;

pub use facts::ServiceName;
pub use survey::Step;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::clock::Clock;
use crate::doctor::facts::Facts;
use crate::model::Timestamp;

/// What to examine, and how to reach it.
pub struct Doctor {
    /// The cluster, as the user whose rights the examination has.
    pub kubernetes: kube::Config,
    /// Whether that came from the service account of this pod.
    pub is_pod: bool,
    pub service: ServiceName,
    /// Whose autoscalers are looked at; empty for all.
    pub namespaces: Vec<String>,
    /// Where Plimsoll itself can be asked, such as a forwarded port.
    pub server: Option<hyper::Uri>,
    /// Plimsoll's configuration, where it is not in a ConfigMap.
    pub config_file: Option<PathBuf>,
    pub clock: Clock,
    /// Told of each step as it begins and ends.
    pub progress: Box<dyn Fn(Step) + Send + Sync>,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    /// URL of the kube-apiserver.
    pub server: String,
    /// When it was asked, by the clock of this machine.
    #[serde(serialize_with = "text_of")]
    pub time: Timestamp,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    pub summary: Summary,
}

/// What one check says of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub check: Check,
    pub state: State,
    pub object: ObjectName,
    /// One line.
    pub found: String,
    /// One line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// A command or YAML to copy; alternatives and rules have a line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricFound>,
}

/// What is looked at, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    ApiServices,
    Service,
    Certificate,
    RequestHeader,
    Permissions,
    Adapters,
    Configuration,
    Metrics,
    Autoscalers,
    Clock,
    Targets,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It could not be asked, or not be judged.
    Unknown,
    /// It works, and someone should look.
    Warning,
    /// It does not work, or scales wrongly.
    Failure,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ObjectName {
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
}

/// A metric of an autoscaler, as it is answered now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricFound {
    pub name: String,
    /// What the value is of: `Pod`, the kind of an object, or `External`.
    pub level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
}

/// How many findings there are of each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub ok: usize,
    pub warning: usize,
    pub failure: usize,
    pub unknown: usize,
}

/// The kube-apiserver does not answer, or does not take the credentials.
#[derive(Debug, thiserror::Error)]
#[error("the cluster at {server} cannot be examined: {why}")]
pub struct Unreachable {
    pub server: String,
    pub why: String,
}

// === impl Doctor ===

impl Doctor {
    /// Reads what there is and judges it.
    ///
    /// # Errors
    /// [`Unreachable`] when nothing at all can be asked.
    pub async fn examine(&self) -> Result<Report, Unreachable> {
        Ok(Report::of(&self.survey().await?))
    }
}

// === impl Report ===

impl Report {
    fn of(facts: &Facts) -> Self {
        let mut findings = findings(facts);
        // Stable: what a check says of its objects stays in its order. Two checks speak of autoscalers.
        findings.sort_by(|a, b| a.place().cmp(&b.place()));
        let summary = Summary::of(&findings);
        let (server, time) = (facts.place.server.clone(), facts.now);
        Self { version: env!("CARGO_PKG_VERSION"), server, time, findings, summary }
    }

    /// Whether nothing is known of the installation: its configuration and clocks are known without it.
    pub fn is_blank(&self) -> bool {
        let is_elsewhere = |check| matches!(check, Check::Configuration | Check::Clock);
        self.findings.iter().all(|finding| finding.state == State::Unknown || is_elsewhere(finding.check))
    }

    /// Lines for people, at most `width` columns wide but for what is to be copied; with colours where they are wanted.
    pub fn lines(&self, width: usize, is_coloured: bool) -> Vec<String> {
        text::lines(self, width, is_coloured)
    }
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 12] = [
        registration::check,
        service::check,
        certificate::check,
        front_proxy::check,
        permission::check,
        adapter::check,
        configuration::check,
        metric::check,
        autoscaler::check,
        risk::check,
        clock_skew::check,
        target::check,
    ];
    checks.iter().flat_map(|check| check(facts)).collect()
}

// === impl Finding ===

impl Finding {
    fn new(check: Check, state: State, object: ObjectName, found: impl Into<String>) -> Self {
        Self { check, state, object, found: found.into(), expected: None, fix: None, metric: None }
    }

    fn place(&self) -> (Check, Option<&ObjectName>) {
        (self.check, Some(&self.object).filter(|_| self.check == Check::Autoscalers))
    }

    #[must_use]
    fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    #[must_use]
    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    #[must_use]
    fn metric(self, metric: MetricFound) -> Self {
        Self { metric: Some(metric), ..self }
    }
}

// === impl Check ===

impl Check {
    fn ok(self, object: ObjectName, found: impl Into<String>) -> Finding {
        Finding::new(self, State::Ok, object, found)
    }

    fn unknown(self, object: ObjectName, why: impl Into<String>) -> Finding {
        Finding::new(self, State::Unknown, object, why)
    }

    fn warning(self, object: ObjectName, found: impl Into<String>) -> Finding {
        Finding::new(self, State::Warning, object, found)
    }

    fn failure(self, object: ObjectName, found: impl Into<String>) -> Finding {
        Finding::new(self, State::Failure, object, found)
    }

    /// What people read above its findings.
    fn title(self) -> &'static str {
        match self {
            Self::ApiServices => "APIServices",
            Self::Service => "Service and endpoints",
            Self::Certificate => "Serving certificate",
            Self::RequestHeader => "Front proxy (requestheader)",
            Self::Permissions => "Permissions",
            Self::Adapters => "Other adapters",
            Self::Configuration => "Configuration",
            Self::Metrics => "Metrics of HorizontalPodAutoscalers, asked now",
            Self::Autoscalers => "HorizontalPodAutoscalers",
            Self::Clock => "Clocks",
            Self::Targets => "Scrape targets",
        }
    }

    /// The kind of most of its objects, which its title says already.
    fn usual_kind(self) -> &'static str {
        match self {
            Self::ApiServices => "APIService",
            Self::Service => "Service",
            Self::Certificate => "Certificate",
            Self::RequestHeader => "ConfigMap",
            Self::Permissions => "ServiceAccount",
            Self::Adapters => "APIGroup",
            Self::Configuration => "Configuration",
            Self::Metrics | Self::Autoscalers => "HorizontalPodAutoscaler",
            Self::Clock => "Clock",
            Self::Targets => "Targets",
        }
    }
}

// === impl ObjectName ===

impl ObjectName {
    fn cluster(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }

    fn namespaced(kind: &'static str, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: Some(namespace.into()), name: name.into() }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

// === impl Summary ===

impl Summary {
    fn of(findings: &[Finding]) -> Self {
        let mut counts: BTreeMap<State, usize> = BTreeMap::new();
        findings.iter().for_each(|finding| *counts.entry(finding.state).or_default() += 1);
        let count = |state| counts.get(&state).copied().unwrap_or_default();
        Self {
            ok: count(State::Ok),
            warning: count(State::Warning),
            failure: count(State::Failure),
            unknown: count(State::Unknown),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn text_of<S: serde::Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
