//! One alert: what is wrong, how bad it is in which case, what people are told, and the runbook that says what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::catalog::rule::Rule;
use crate::catalog::{Catalog, Expression, Labels, Problem, Text};

/// One alert. It has a rule for each condition, and one runbook for all of them.
#[derive(Clone, Debug)]
pub struct Alert {
    /// In capitals with the product first: `PlimsollSourceDown`.
    pub name: Text,
    /// Whose alert it is: `plimsoll` or `platform`.
    pub service: Text,
    pub category: Category,
    pub dashboard: Dashboard,
    /// One sentence that is the same for all.
    pub summary: Text,
    /// One sentence in Prometheus' template language. `{place}` says in which namespace, where that is known.
    pub description: Text,
    pub conditions: Vec<Condition>,
    pub runbook: Runbook,
}

/// What an alert is about, which is no matter of when it fires.
pub(super) struct About {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) category: Category,
    pub(super) dashboard: Dashboard,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
}

/// When an alert fires, and how bad that is.
#[derive(Clone, Debug)]
pub struct Condition {
    pub severity: Severity,
    pub query: Text,
    /// How long it has to be true: `for`.
    pub wait: Text,
    /// How long it fires on once it is not.
    pub keep: Text,
    /// More labels, by which conditions of one severity differ.
    pub labels: BTreeMap<&'static str, Text>,
}

/// Who has to act, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody, now.
    Critical,
    /// Somebody, at work.
    Warning,
    /// Nobody; it explains other alerts.
    Info,
}

/// What suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Availability,
    Performance,
    /// Values are missing or old.
    Freshness,
    /// A bound is reached.
    Capacity,
    /// What is meant to hold is not in force.
    Configuration,
    Recovery,
}

/// The dashboard on which to look, and the labels of the alert that it is narrowed by.
#[derive(Clone, Copy, Debug)]
pub struct Dashboard {
    pub uid: &'static str,
    pub variables: &'static [&'static str],
}

/// What to think and do, in Markdown.
#[derive(Clone, Debug)]
pub struct Runbook {
    pub meaning: Text,
    pub impact: Text,
    /// What to look at, in order.
    pub diagnosis: Vec<Text>,
    /// What to do, in order.
    pub mitigation: Vec<Text>,
}

/// Where it is, as a text that is right without a namespace too.
const PLACE: &str = "{{ with $labels.namespace }} in namespace {{ . }}{{ end }}";

// === impl Alert ===

impl Alert {
    /// Its rules, one for each condition.
    ///
    /// # Errors
    /// When a query is wrong, or a text or a link names a label that the query does not answer with.
    pub fn rules(&self, catalog: &Catalog) -> Result<Vec<Rule>, Problem> {
        self.conditions.iter().map(|condition| self.rule(condition, catalog)).collect()
    }

    fn rule(&self, condition: &Condition, catalog: &Catalog) -> Result<Rule, Problem> {
        let expression = catalog.expression(&condition.query)?;
        let annotations = self.annotations(catalog);
        let known = label_names(&expression, catalog);
        for (annotation, text) in &annotations {
            if let Some(label) = labels_named(text).find(|label| !known.contains(label.as_str())) {
                let what =
                    format!("{} of {} names the label {label}, which this does not answer with", annotation, self.name);
                return Err(Problem { query: condition.query.to_string(), what });
            }
        }
        let mut labels: BTreeMap<String, String> = BTreeMap::from([
            ("severity".to_owned(), condition.severity.to_string()),
            ("category".to_owned(), self.category.to_string()),
            ("service".to_owned(), self.service.to_string()),
        ]);
        labels.extend(condition.labels.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())));
        let (wait, keep) = (Some(condition.wait.to_string()), Some(condition.keep.to_string()));
        Ok(Rule::alert(&self.name, &expression, wait, keep, labels, annotations))
    }

    fn annotations(&self, catalog: &Catalog) -> BTreeMap<String, String> {
        let links = &catalog.links;
        BTreeMap::from([
            ("summary".to_owned(), self.summary.to_string()),
            ("description".to_owned(), self.description.replace("{place}", PLACE)),
            ("runbook_url".to_owned(), format!("{}/{}.md", links.runbooks, self.name)),
            ("dashboard_url".to_owned(), format!("{}{}", links.grafana, self.dashboard.path())),
        ])
    }

    /// The labels that the series of a condition have, and those that its rule adds.
    ///
    /// # Errors
    /// When a query is wrong.
    pub fn labels(&self, condition: &Condition, catalog: &Catalog) -> Result<BTreeSet<String>, Problem> {
        let mut labels = label_names(&catalog.expression(&condition.query)?, catalog);
        labels.extend(condition.labels.keys().map(|name| (*name).to_owned()));
        Ok(labels)
    }
}

// === impl About ===

impl About {
    pub(super) fn fires(self, conditions: impl Into<Vec<Condition>>, runbook: Runbook) -> Alert {
        let Self { service, name, category, dashboard, summary, description } = self;
        let (service, name, conditions) = (service.into(), name.into(), conditions.into());
        let (summary, description) = (summary.into(), description.into());
        Alert { name, service, category, dashboard, summary, description, conditions, runbook }
    }
}

// === impl Condition ===

impl Condition {
    pub fn critical(query: impl Into<Text>, wait: impl Into<Text>) -> Self {
        Self::of(Severity::Critical, query, wait)
    }

    pub fn warning(query: impl Into<Text>, wait: impl Into<Text>) -> Self {
        Self::of(Severity::Warning, query, wait)
    }

    pub fn info(query: impl Into<Text>, wait: impl Into<Text>) -> Self {
        Self::of(Severity::Info, query, wait)
    }

    pub(super) fn of(severity: Severity, query: impl Into<Text>, wait: impl Into<Text>) -> Self {
        // Long enough that one scrape without the fault does not close and open an incident.
        Self { severity, query: query.into(), wait: wait.into(), keep: "5m".into(), labels: BTreeMap::new() }
    }

    pub fn with(mut self, label: &'static str, value: impl Into<Text>) -> Self {
        self.labels.insert(label, value.into());
        self
    }
}

// === impl Dashboard ===

impl Dashboard {
    /// The way to it in a Grafana, with its variables set to the labels that the alert has.
    fn path(&self) -> String {
        let variable =
            |name: &&str| format!("{{{{ with $labels.{name} }}}}&var-{name}={{{{ . | urlquery }}}}{{{{ end }}}}");
        format!("/d/{}?orgId=1{}", self.uid, self.variables.iter().map(variable).collect::<String>())
    }
}

// === impl Runbook ===

impl Runbook {
    pub fn new<const D: usize, const M: usize>(
        meaning: &'static str,
        impact: &'static str,
        diagnosis: [&'static str; D],
        mitigation: [&'static str; M],
    ) -> Self {
        let (diagnosis, mitigation) = (diagnosis.map(Text::from).into(), mitigation.map(Text::from).into());
        Self { meaning: meaning.into(), impact: impact.into(), diagnosis, mitigation }
    }
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

// === impl Category ===

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Availability => "availability",
            Self::Performance => "performance",
            Self::Freshness => "freshness",
            Self::Capacity => "capacity",
            Self::Configuration => "configuration",
            Self::Recovery => "recovery",
        })
    }
}

/// Labels that an answer has; none where the query leaves it open, so that no text can rely on one.
fn label_names(expression: &Expression, catalog: &Catalog) -> BTreeSet<String> {
    match expression.labels(catalog) {
        Labels::Of(labels) => labels,
        Labels::Unknown => BTreeSet::new(),
    }
}

/// The labels that a template names: `$labels.job`.
fn labels_named(template: &str) -> impl Iterator<Item = String> {
    template
        .split("$labels.")
        .skip(1)
        .map(|rest| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::rule::alerts;

    fn refused(change: impl Fn(&mut Alert)) -> String {
        let mut alert = alerts().into_iter().find(|alert| alert.name == "PlimsollSourceDown").expect("it is there");
        let catalog = Catalog::shipped();
        alert.rules(&catalog).unwrap_or_else(|problem| panic!("{problem}"));
        change(&mut alert);
        alert.rules(&catalog).expect_err("refused").what
    }

    #[test]
    fn a_text_names_only_labels_that_the_query_answers_with() {
        let what = refused(|alert| alert.description = "{{ $labels.scrape_jop }} is down.".into());
        assert_eq!(
            what,
            "description of PlimsollSourceDown names the label scrape_jop, which this does not answer with"
        );
        let what = refused(|alert| alert.dashboard.variables = &["job", "workload"]);
        assert!(what.starts_with("dashboard_url of PlimsollSourceDown names the label workload"), "{what}");
        let what = refused(|alert| alert.conditions[0].query = "absent(up)".into());
        assert!(what.contains("names the label"), "what is absent has no labels to speak of: {what}");
    }

    #[test]
    fn a_query_for_what_nobody_exposes_is_refused() {
        let what = refused(|alert| alert.conditions[0].query = "plimsoll_source_target == 0".into());
        assert!(what.contains("did you mean plimsoll_source_targets?"), "{what}");
    }
}
