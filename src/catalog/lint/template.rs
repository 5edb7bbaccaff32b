//! Rules of variables.

use crate::catalog::lint::board::Board;
use crate::catalog::lint::part::Part;
use crate::catalog::lint::promql;
use crate::catalog::lint::{Finding, Rule};
use crate::catalog::{Catalog, Expression};

/// The query of a variable that has values of a label.
#[derive(Debug, PartialEq, Eq)]
struct LabelValues<'a> {
    /// Series that are asked; none asks all.
    series: Option<&'a str>,
    label: &'a str,
}

pub(super) fn check(board: &Board<'_>, catalog: &Catalog) -> Vec<Finding> {
    let mut found: Vec<_> = check_datasource(board).into_iter().collect();
    for (name, label, rule) in [("job", "Job", Rule::TemplateJob), ("instance", "Instance", Rule::TemplateInstance)] {
        found.extend(check_choice(board, name, label, rule));
    }
    for variable in board.variables.iter().filter(|variable| variable.text("type") == "query") {
        if variable.number("refresh") != Some(2) {
            let what = format!("variable {}: expected refresh: 2", variable.text("name"));
            found.push(variable.of("refresh").wrong(Rule::TemplateOnTimeChangeReload, what));
        }
        found.extend(check_query(variable, board, catalog));
    }
    found.extend(check_used(board));
    found
}

fn check_datasource(board: &Board<'_>) -> Option<Finding> {
    let list = board.whole.of("templating").of("list");
    let names = [("datasource", "Data source"), ("prometheus_datasource", "Prometheus data source")];
    let found = names.iter().find_map(|(name, label)| Some((board.variable(name)?, label)));
    let Some((variable, label)) = found else {
        return Some(list.wrong(Rule::TemplateDatasource, "there is no variable datasource"));
    };
    let wanted = [("type", "datasource"), ("query", "prometheus"), ("label", label)];
    let (key, value) = wanted.iter().find(|(key, value)| variable.text(key) != *value)?;
    Some(variable.of(key).wrong(Rule::TemplateDatasource, format!("expected {key}: {value}")))
}

/// A variable of which several can be chosen, or all.
fn check_choice(board: &Board<'_>, name: &str, label: &str, rule: Rule) -> Vec<Finding> {
    let Some(variable) = board.variable(name) else {
        let list = board.whole.of("templating").of("list");
        return vec![list.wrong(rule, format!("there is no variable {name}"))];
    };
    let texts = [("type", "query"), ("label", label), ("allValue", ".+")];
    let wrong_texts = texts.into_iter().filter(|(key, value)| variable.text(key) != *value);
    let flags = ["multi", "includeAll"].into_iter().filter(|key| !variable.is(key));
    let wrong = wrong_texts.chain(flags.map(|key| (key, "true")));
    wrong.map(|(key, value)| variable.of(key).wrong(rule, format!("expected {key}: {value}"))).collect()
}

/// What a variable asks for is there.
fn check_query(variable: &Part<'_>, board: &Board<'_>, catalog: &Catalog) -> Vec<Finding> {
    let query = variable.of("query");
    let text = query.json.as_str().unwrap_or_else(|| query.text("query"));
    let Some(LabelValues { series, label }) = label_values(text) else {
        let what = format!("{text:?}, expected label_values(series, label)");
        return vec![query.wrong(Rule::TemplateLabelPromql, what)];
    };
    let Some(series) = series else {
        return vec![
            query.wrong(Rule::TemplateLabelPromql, "values of a label of all series there are; name a series"),
        ];
    };
    let expression = match Expression::parse(&board.filled(series)) {
        Ok(expression) => expression,
        Err(problem) => return vec![query.wrong(Rule::TemplateLabelPromql, problem.to_string())],
    };
    let uses = promql::uses(&expression);
    let mut found: Vec<_> = uses.iter().flat_map(|used| used.problems(catalog)).map(|(_, what)| what).collect();
    let has_label = |used: &promql::Use| {
        let metric = used.name.as_deref().and_then(|name| catalog.of_series(name));
        metric.is_none_or(|metric| metric.label_names().contains(label))
    };
    found.extend(uses.iter().filter(|used| !has_label(used)).map(|used| used.lacks(label, catalog)));
    found.into_iter().map(|what| query.wrong(Rule::TemplateMetric, what)).collect()
}

/// Reads `label_values(series, label)` and `label_values(label)`.
fn label_values(text: &str) -> Option<LabelValues<'_>> {
    let inside = text.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    let is_label = |label: &str| {
        let mut chars = label.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (series, label) = match inside.rsplit_once(',') {
        Some((series, label)) => (Some(series.trim()), label.trim()),
        None => (None, inside.trim()),
    };
    is_label(label).then_some(LabelValues { series, label })
}

/// Variables that are used are defined.
fn check_used(board: &Board<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (part, text) in board.whole.texts() {
        for name in variables_of(text) {
            if board.variable(name).is_none() && !name.starts_with("__") {
                found.push(part.wrong(Rule::TemplateUndefined, format!("there is no variable {name:?}")));
            }
        }
    }
    found
}

/// Names after `$`, in all forms that Grafana reads. `$1` is none.
fn variables_of(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = text.split('$').skip(1).map(|after| after.strip_prefix('{').unwrap_or(after));
    let names = after.map(|after| &after[..after.find(|c| !is_part(c)).unwrap_or(after.len())]);
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_every_form() {
        let text = r#"rate(x{job=~"$job",a=~"${a:regex}"}[$__rate_interval]) $1 /d/x?var-b=${b}$c"#;
        assert_eq!(variables_of(text), ["job", "a", "__rate_interval", "b", "c"]);
    }

    #[test]
    fn a_comma_within_the_selector_does_not_end_it() {
        let expected = LabelValues { series: Some(r#"up{job=~"a,b", x="y"}"#), label: "instance" };
        assert_eq!(label_values(r#"label_values(up{job=~"a,b", x="y"}, instance)"#), Some(expected));
        assert_eq!(label_values("query_result(up)"), None);
    }
}
