//! One metric family as series of it look in a Prometheus: name, kind, unit, help, labels and who exposes it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// One metric family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// As in queries: of a counter with `_total`, of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: Text,
    pub kind: Kind,
    pub unit: Unit,
    /// One sentence, without a full stop.
    pub help: Text,
    /// Labels of its own, beside those of the scrape and of `origin`.
    pub labels: Vec<Label>,
    pub origin: Origin,
}

/// Written in the program, or read from a configuration.
pub type Text = Cow<'static, str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Counter,
    Gauge,
    /// Classic: with buckets.
    Histogram,
}

/// What one is. Dashboards show it as Grafana's unit of that meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things without a unit of their own, which the text names: `requests`.
    Count(Text),
    Seconds,
    Bytes,
    /// 0 to 1.
    Ratio,
    /// Seconds since the Unix epoch.
    Timestamp,
    /// 1 or 0.
    Boolean,
    /// CPU cores.
    Cores,
}

/// A label with the values it may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    pub name: Text,
    /// All values there are; empty where they come from outside. A closed label has all of its series from the start, at 0.
    pub values: Vec<Text>,
}

/// Who exposes it; with that, which labels a Prometheus adds when it scrapes as `deploy/monitoring` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Plimsoll, of itself.
    Plimsoll,
    /// A service of the platform: a workload of pods.
    Service,
    /// kube-state-metrics, the kubelet's cAdvisor, the kube-apiserver, jobs of backup.
    Exporter,
    /// Every target, by the scrape itself: `up`.
    Scrape,
    /// A recording rule; its labels are all it has.
    Recorded,
}

// === impl Metric ===

impl Metric {
    pub fn counter(name: impl Into<Text>, counted: impl Into<Text>, help: impl Into<Text>) -> Self {
        Self::new(name, Kind::Counter, Unit::Count(counted.into()), help)
    }

    pub fn gauge(name: impl Into<Text>, unit: Unit, help: impl Into<Text>) -> Self {
        Self::new(name, Kind::Gauge, unit, help)
    }

    pub fn histogram(name: impl Into<Text>, unit: Unit, help: impl Into<Text>) -> Self {
        Self::new(name, Kind::Histogram, unit, help)
    }

    fn new(name: impl Into<Text>, kind: Kind, unit: Unit, help: impl Into<Text>) -> Self {
        let (name, help) = (name.into(), help.into());
        Self { name, kind, unit, help, labels: Vec::new(), origin: Origin::Plimsoll }
    }

    pub fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// A label whose values come from outside.
    pub fn label(mut self, name: impl Into<Text>) -> Self {
        self.labels.push(Label { name: name.into(), values: Vec::new() });
        self
    }

    /// A label that has these values and no others.
    pub fn closed_label(mut self, name: impl Into<Text>, values: &[&'static str]) -> Self {
        let values = values.iter().map(|value| Text::Borrowed(value)).collect();
        self.labels.push(Label { name: name.into(), values });
        self
    }

    /// Names of its series.
    pub fn series_names(&self) -> Vec<String> {
        match self.kind {
            Kind::Counter | Kind::Gauge => vec![self.name.to_string()],
            Kind::Histogram => ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", self.name)).into(),
        }
    }

    /// Every label that its series may have, `le` excepted.
    pub fn label_names(&self) -> BTreeSet<String> {
        let own = self.labels.iter().map(|label| label.name.to_string());
        own.chain(self.origin.target_labels().iter().map(|name| (*name).to_owned())).collect()
    }
}

// === impl Origin ===

impl Origin {
    /// Labels that the scrape adds.
    pub fn target_labels(self) -> &'static [&'static str] {
        match self {
            Self::Plimsoll => &["job", "instance", "namespace", "pod"],
            // The scrape of a pod, or of an exporter, which has less.
            Self::Service | Self::Scrape => &["job", "instance", "namespace", "pod", "workload"],
            Self::Exporter => &["job", "instance"],
            Self::Recorded => &[],
        }
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}
