//! One question that a dashboard or a rule asks a Prometheus, and which series it reads.

use std::collections::BTreeSet;

use crate::catalog::{Expression, Selector};

/// A query with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// File, and what of it: `dashboards/plimsoll-api.json: panel "Requests", query A`.
    pub place: String,
    pub text: String,
    /// The series it reads, or why it is none.
    pub reads: Result<Vec<Selector>, String>,
}

// === impl Query ===

impl Query {
    /// PromQL, as panels, annotations and rules have it, with the labels that are shown of its answer.
    pub fn expression(place: String, text: &str, shown: &BTreeSet<String>) -> Self {
        Self { place, text: text.to_owned(), reads: selectors(text, shown) }
    }

    /// What a variable of Grafana asks: its functions around a selector, or PromQL.
    pub fn variable(place: String, text: &str) -> Self {
        let reads = match function(text) {
            Some(("label_values", arguments)) => label_values(arguments),
            Some(("query_result", expression)) => selectors(expression, &BTreeSet::new()),
            // They ask for names only.
            Some(("metrics" | "label_names", _)) => Ok(Vec::new()),
            _ => selectors(text, &BTreeSet::new()),
        };
        Self { place, text: text.to_owned(), reads }
    }
}

fn selectors(text: &str, shown: &BTreeSet<String>) -> Result<Vec<Selector>, String> {
    Expression::parse(text).map(|expression| expression.reads(shown)).map_err(|problem| problem.what)
}

/// The name and the arguments of `name(arguments)`.
fn function(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.trim().split_once('(')?;
    Some((name.trim(), rest.trim_end().strip_suffix(')')?))
}

/// The label is the last argument, and may be the only one; the selector before it may have commas.
fn label_values(arguments: &str) -> Result<Vec<Selector>, String> {
    let Some((selector, label)) = arguments.rsplit_once(',').filter(|(_, label)| !label.contains('}')) else {
        return Ok(vec![Selector { name: None, labels: BTreeSet::from([arguments.trim().to_owned()]) }]);
    };
    selectors(selector, &BTreeSet::from([label.trim().to_owned()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &Query) -> Vec<String> {
        let show = |selector: &Selector| {
            let labels: Vec<_> = selector.labels.iter().map(String::as_str).collect();
            format!("{}{{{}}}", selector.name.as_deref().unwrap_or_default(), labels.join(","))
        };
        query.reads.as_ref().expect("a query").iter().map(show).collect()
    }

    #[test]
    fn a_query_reads_the_series_it_selects() {
        let of = |text| read(&Query::expression(String::new(), text, &BTreeSet::from(["zone".to_owned()])));
        assert_eq!(
            of(r#"sum by (code) (rate(requests_total{job=~"$job"}[$__rate_interval]))"#),
            ["requests_total{code,job}"]
        );
        assert_eq!(of("up == 0 unless on (job) probe"), ["up{job,zone}", "probe{job}"]);
        let bad = Query::expression(String::new(), "sum(up", &BTreeSet::new());
        assert!(bad.reads.is_err_and(|what| what.contains("unclosed")));
    }

    #[test]
    fn a_variable_reads_the_label_it_lists() {
        let of = |text| read(&Query::variable(String::new(), text));
        assert_eq!(of("label_values(up, job)"), ["up{job}"]);
        assert_eq!(of(r#"label_values(up{job=~"$job",namespace="a"}, instance)"#), ["up{instance,job,namespace}"]);
        assert_eq!(of("label_values(namespace)"), ["{namespace}"]);
        assert_eq!(of("query_result(topk(3, up))"), ["up{}"]);
        assert_eq!(of("metrics(plimsoll_.*)"), [""; 0]);
    }
}
