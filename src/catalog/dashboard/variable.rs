//! What a reader chooses: variables of a dashboard, each narrowed by those before it.

use serde_json::{Value, json};

use crate::catalog::{Catalog, Expression, Problem, Text};

/// A variable that is filled from the values of a label. It narrows every series that has the label.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The label, and the name of the variable.
    pub name: Text,
    pub label: Text,
    /// Series whose values of the label there are to choose from.
    pub series: Text,
    pub choice: Choice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One of them: without it there is nothing to see.
    One,
    /// Some or all of them.
    Many,
}

// === impl Variable ===

impl Variable {
    pub fn many(name: impl Into<Text>, label: impl Into<Text>, series: impl Into<Text>) -> Self {
        Self { name: name.into(), label: label.into(), series: series.into(), choice: Choice::Many }
    }

    pub fn one(name: impl Into<Text>, label: impl Into<Text>, series: impl Into<Text>) -> Self {
        Self { choice: Choice::One, ..Self::many(name, label, series) }
    }

    /// The matcher that narrows by it, in PromQL's notation.
    pub(super) fn matcher(&self) -> String {
        match self.choice {
            Choice::One => format!(r#"{0}="${0}""#, self.name),
            Choice::Many => format!(r#"{0}=~"${0}""#, self.name),
        }
    }

    /// # Errors
    /// When the series are not in the catalogue, or do not have the label.
    pub(super) fn json(&self, catalog: &Catalog, before: &[Self]) -> Result<Value, Problem> {
        let series = self.checked(catalog)?;
        let matchers: Vec<_> = before.iter().map(Self::matcher).collect();
        let series = if before.is_empty() { series } else { series.narrowed(catalog, &matchers.join(",")) };
        let query = format!("label_values({series}, {})", self.name);
        let is_many = self.choice == Choice::Many;
        let current = match self.choice {
            Choice::Many => json!({"selected": true, "text": ["All"], "value": ["$__all"]}),
            // Grafana takes the first there is.
            Choice::One => json!({}),
        };
        let mut variable = json!({
            "name": self.name,
            "label": self.label,
            "type": "query",
            "datasource": datasource(),
            "definition": query,
            "query": query,
            // When the time range changes: what has ended by then is not offered.
            "refresh": 2,
            "sort": 1,
            "multi": is_many,
            "includeAll": is_many,
            "current": current,
            "options": [],
            "regex": "",
            "hide": 0,
            "skipUrlSync": false
        });
        if is_many {
            variable["allValue"] = json!(".+");
        }
        Ok(variable)
    }

    fn checked(&self, catalog: &Catalog) -> Result<Expression, Problem> {
        let series = catalog.expression(&self.series)?;
        super::query::require(&series.labels(catalog), &self.name, "variable", series.text())?;
        Ok(series)
    }
}

/// The Prometheus that is chosen; nothing else is ever asked.
pub(super) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The variable that chooses it.
pub(super) fn datasource_variable() -> Value {
    json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "multi": false,
        "includeAll": false,
        "current": {},
        "options": [],
        "regex": "",
        "hide": 0,
        "skipUrlSync": false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_narrowed_by_those_before_it() {
        let job = Variable::many("job", "Job", "up");
        let instance = Variable::many("instance", "Instance", "up").json(&Catalog::shipped(), &[job]).expect("known");
        assert_eq!(instance["query"], r#"label_values(up{job=~"$job"}, instance)"#);
        assert_eq!(instance["allValue"], ".+", "All matches whatever has the label");
    }

    #[test]
    fn one_of_many_is_matched_as_it_is() {
        let variable = Variable::one("job", "Job", "up");
        assert_eq!(variable.matcher(), r#"job="$job""#);
        let variable = variable.json(&Catalog::shipped(), &[]).expect("known");
        assert_eq!((&variable["includeAll"], &variable["allValue"]), (&json!(false), &Value::Null));
    }

    #[test]
    fn a_label_that_the_series_do_not_have_is_refused() {
        let problem = Variable::many("cluster", "Cluster", "up").json(&Catalog::shipped(), &[]).expect_err("no label");
        assert!(problem.what.starts_with("the variable names cluster; the answer has instance, job"), "{problem}");
    }
}
