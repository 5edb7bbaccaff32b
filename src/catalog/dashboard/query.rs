//! A query of a panel: as it is written, and checked.

use crate::catalog::{Catalog, Expression, Labels, Problem, Text};

/// PromQL as it is written in a dashboard, without the matchers of its variables.
#[derive(Clone, Debug)]
pub struct Query {
    pub promql: Text,
    /// Names series: a text with labels as `{{queue}}`. In a table it is not shown.
    pub legend: Text,
    pub moment: Moment,
}

/// Whether a panel shows what was or what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Range,
    Now,
}

/// A query that asks for what the catalogue has, narrowed to what is chosen.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) expression: Expression,
    pub(super) legend: Text,
    pub(super) moment: Moment,
    pub(super) labels: Labels,
}

// === impl Query ===

impl Query {
    pub fn new(promql: impl Into<Text>, legend: impl Into<Text>, moment: Moment) -> Self {
        Self { promql: promql.into(), legend: legend.into(), moment }
    }

    /// # Errors
    /// When it asks for what the catalogue does not have, or its legend names a label that its answer does not have.
    pub(super) fn checked(&self, catalog: &Catalog, matchers: &str) -> Result<Checked, Problem> {
        let whole = catalog.expression(&self.promql)?;
        let expression = if matchers.is_empty() { whole } else { whole.narrowed(catalog, matchers) };
        let labels = expression.labels(catalog);
        for label in labels_of(&self.legend) {
            require(&labels, label, "legend", expression.text())?;
        }
        Ok(Checked { expression, legend: self.legend.clone(), moment: self.moment, labels })
    }
}

/// # Errors
/// When the answer does not have the label.
pub(super) fn require(labels: &Labels, label: &str, by: &str, query: &str) -> Result<(), Problem> {
    match labels {
        Labels::Of(there) if !there.contains(label) => {
            let there: Vec<_> = there.iter().map(String::as_str).collect();
            let there = if there.is_empty() { "no label".to_owned() } else { there.join(", ") };
            Err(Problem { query: query.to_owned(), what: format!("the {by} names {label}; the answer has {there}") })
        }
        Labels::Of(_) | Labels::Unknown => Ok(()),
    }
}

/// Labels that a text names as `{{label}}`.
pub(super) fn labels_of(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(promql: &'static str, legend: &'static str) -> Result<Checked, Problem> {
        let matchers = r#"job=~"$job",nobody=~"has""#;
        Query::new(promql, legend, Moment::Range).checked(&Catalog::shipped(), matchers)
    }

    #[test]
    fn a_query_is_narrowed_by_what_its_series_have() {
        let checked = checked("sum by (version) (plimsoll_build_info)", "{{version}}").expect("a good query");
        assert_eq!(checked.expression.text(), r#"sum by (version) (plimsoll_build_info{job=~"$job"})"#);
    }

    #[test]
    fn a_legend_names_only_labels_of_the_answer() {
        let problem = checked("sum by (version) (plimsoll_build_info)", "{{job}} of {{version}}").expect_err("no job");
        assert_eq!(problem.what, "the legend names job; the answer has version");
        let problem = checked("sum(plimsoll_build_info)", "{{ job }}").expect_err("no labels");
        assert_eq!(problem.what, "the legend names job; the answer has no label");
    }

    #[test]
    fn what_nobody_exposes_is_refused() {
        let problem = checked("sum(plimsoll_built_info)", "").expect_err("no such metric");
        assert!(problem.what.contains("did you mean plimsoll_build_info?"), "{problem}");
    }
}
