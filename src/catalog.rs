//! What Plimsoll exposes about itself, what the platform exposes, and what a configuration defines: the metrics, and the
//! dashboards, rules and runbooks that are made of them.
//!
//! A [`Catalog`] of [`Metric`]s goes in, [`Files`] come out. Every query is an [`Expression`]: PromQL that has been parsed and
//! whose metrics and labels are in the catalogue; one that asks for anything else is refused when it is made, so that a
//! dashboard cannot ask for what nobody exposes. Nothing here reads a clock, a file or the network.

mod definition;
mod expression;
mod files;
pub mod lint;
mod metric;
mod platform;
mod plimsoll;

pub mod dashboard;
pub mod rule;

use std::collections::BTreeMap;

pub use definition::{Defined, files_of};
pub use expression::{Expression, Labels, Problem, Selector};
pub use files::Files;
pub use metric::{Kind, Label, Metric, Origin, Text, Unit};

/// Metrics by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    metrics: BTreeMap<String, Metric>,
    /// Names of series, with the metric each is of.
    series: BTreeMap<String, String>,
    /// Where the links of alerts lead.
    pub links: rule::Links,
}

// === impl Catalog ===

impl Catalog {
    /// What Plimsoll exposes about itself.
    pub fn plimsoll() -> Self {
        Self::default().with(plimsoll::metrics())
    }

    /// What Plimsoll and the platform expose, and what the recording rules make of it.
    pub fn shipped() -> Self {
        let exposed = Self::exposed();
        let groups = rule::recordings(&exposed).expect("a test makes the recording rules");
        exposed.with(groups.into_iter().flat_map(|group| group.rules).map(|rule| rule.metric))
    }

    /// What Plimsoll and the platform expose, without what is recorded of it.
    fn exposed() -> Self {
        Self::plimsoll().with(platform::metrics())
    }

    /// With more metrics; the last of a name counts.
    pub fn with(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        for metric in metrics {
            let name = metric.name.to_string();
            self.series.extend(metric.series_names().into_iter().map(|series| (series, name.clone())));
            self.metrics.insert(name, metric);
        }
        self
    }

    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.values()
    }

    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.get(name)
    }

    /// The metric that a series is of: of `x_bucket` it is the histogram `x`.
    pub fn of_series(&self, name: &str) -> Option<&Metric> {
        self.metrics.get(self.series.get(name)?)
    }

    /// A query whose metrics and labels are all known.
    ///
    /// # Errors
    /// When it is no PromQL, or asks for what is not in the catalogue.
    pub fn expression(&self, text: &str) -> Result<Expression, Problem> {
        Expression::parse(text)?.known_to(self)
    }

    /// All that is made of it: dashboards, rules, runbooks, and what loads them.
    ///
    /// # Errors
    /// When a query is wrong.
    pub fn files(&self) -> Result<Files, Problem> {
        let mut files = Files::default();
        files.extend(dashboard::files(self)?)?;
        files.extend(rule::files(self)?)?;
        files.extend(rule::mixin(&files)?)?;
        lint::refuse(&files, self)?;
        Ok(files)
    }

    /// The name of a series that is most like this one.
    fn like(&self, name: &str) -> Option<&str> {
        let near = |known: &&String| strsim::damerau_levenshtein(known, name);
        self.series.keys().min_by_key(near).filter(|known| near(known) <= 6).map(String::as_str)
    }
}
