//! Rules of queries, of panels and of annotations.

use std::collections::BTreeSet;

use crate::catalog::expression::RATE_INTERVAL;
use crate::catalog::lint::board::{Board, Language, Query};
use crate::catalog::lint::part::Part;
use crate::catalog::lint::promql::{self, Use};
use crate::catalog::lint::{Finding, Rule, logql, series};
use crate::catalog::{Catalog, Expression, Labels};

pub(super) fn check(board: &Board<'_>, catalog: &Catalog) -> Vec<Finding> {
    let mut found = Vec::new();
    for query in board.queries() {
        match query.language {
            Language::PromQl => found.extend(check_promql(&query, catalog)),
            Language::LogQl => found.extend(check_logql(&query)),
            Language::Other => {}
        }
    }
    found.extend(board.panels.iter().flat_map(|panel| check_panel(panel, board, catalog)));
    found
}

fn check_logql(query: &Query<'_>) -> Vec<Finding> {
    let at = query.part.of("expr");
    let wrong = logql::problem(&query.text).map(|what| at.wrong(Rule::TargetLogql, what));
    let ranges = logql::other_ranges(&query.text).into_iter();
    let ranges = ranges.map(|range| at.wrong(Rule::TargetLogqlAuto, format!("[{range}], expected [$__auto]")));
    wrong.into_iter().chain(ranges).collect()
}

fn check_promql(query: &Query<'_>, catalog: &Catalog) -> Vec<Finding> {
    let at = query.part.of("expr");
    let expression = match Expression::parse(&query.text) {
        Ok(expression) => expression,
        Err(problem) => return vec![at.wrong(Rule::TargetPromql, problem.to_string())],
    };
    let mut found = Vec::new();
    for used in promql::uses(&expression) {
        let problems = used.problems(catalog).into_iter().chain(check_use(&used, catalog));
        let chosen = if query.of_annotation { Vec::new() } else { check_chosen(&used) };
        found.extend(problems.chain(chosen).map(|(rule, what)| at.wrong(rule, what)));
    }
    found.extend(check_legends(query, &expression, catalog));
    found
}

/// How a series is used.
fn check_use(used: &Use, catalog: &Catalog) -> Vec<(Rule, String)> {
    let name = used.name.as_deref().unwrap_or("a selector");
    let mut found = Vec::new();
    if used.is_rate() && used.range != Some(RATE_INTERVAL) {
        found.push((Rule::TargetRateInterval, format!("the rate of {name}: expected [$__rate_interval]")));
    }
    if used.is_bare_counter(catalog) {
        let what = format!("{name} is a counter; expected its rate or increase");
        found.push((Rule::TargetCounterAgg, what));
    }
    found
}

/// Whether the variables of the dashboard choose.
fn check_chosen(used: &Use) -> Vec<(Rule, String)> {
    let name = used.name.as_deref().unwrap_or("a selector");
    let wanted = [("job", "$job", Rule::TargetJob), ("instance", "$instance", Rule::TargetInstance)];
    let missing = wanted.into_iter().filter(|(label, variable, _)| {
        let long = format!("${{{label}}}");
        !used.matches(label, "=~", variable) && !used.matches(label, "=~", &long)
    });
    missing.map(|(label, variable, rule)| (rule, format!("{name}: expected {label}=~\"{variable}\""))).collect()
}

/// Whether the answer has the labels that are shown.
fn check_legends(query: &Query<'_>, expression: &Expression, catalog: &Catalog) -> Vec<Finding> {
    let answer = expression.labels(catalog);
    let shown = query.legends.iter().flat_map(|(part, text)| shown(text).into_iter().map(move |label| (part, label)));
    let lacking = shown.filter(|(_, label)| !has(&answer, label));
    lacking.map(|(part, label)| lacks(part, label, &answer)).collect()
}

fn has(answer: &Labels, label: &str) -> bool {
    matches!(answer, Labels::Of(labels) if labels.contains(label))
}

fn lacks(part: &Part<'_>, label: &str, answer: &Labels) -> Finding {
    let known = match answer {
        Labels::Of(labels) if labels.is_empty() => "it has none".to_owned(),
        Labels::Of(labels) => format!("it has {}", labels.iter().cloned().collect::<Vec<_>>().join(", ")),
        Labels::Unknown => "the query does not say which it has".to_owned(),
    };
    part.wrong(Rule::TargetLegend, format!("the answer has no label {label}; {known}"))
}

/// Names within `{{…}}`.
fn shown(text: &str) -> Vec<&str> {
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim())).collect()
}

/// What the targets of a panel are together: how many series, and which labels its links may name.
fn check_panel(panel: &Part<'_>, board: &Board<'_>, catalog: &Catalog) -> Vec<Finding> {
    let targets = panel.list("targets");
    let expressions: Vec<_> =
        targets.iter().filter_map(|target| Expression::parse(&board.filled(target.text("expr"))).ok()).collect();
    let most = |expression: &Expression| series::series_max(expression, &promql::uses(expression), catalog);
    // Rows of a table are of all queries at once.
    let all = match panel.text("type") {
        "table" => expressions.iter().map(most).max().unwrap_or_default(),
        _ => expressions.iter().map(most).fold(0, u64::saturating_add),
    };
    let mut found = Vec::new();
    if all > series::SERIES_MAX {
        let what = format!("up to {all} series, expected {} at most; aggregate, or take topk", series::SERIES_MAX);
        found.push(panel.of("targets").wrong(Rule::TargetSeries, what));
    }
    let answers: Vec<_> = expressions.iter().map(|expression| expression.labels(catalog)).collect();
    let all: BTreeSet<_> = answers
        .iter()
        .flat_map(|answer| if let Labels::Of(labels) = answer { labels.clone() } else { BTreeSet::new() })
        .collect();
    let all = Labels::Of(all);
    for (part, text) in panel.texts() {
        found.extend(
            field_labels(text).into_iter().filter(|label| !has(&all, label)).map(|label| lacks(&part, label, &all)),
        );
    }
    found
}

/// Names after `__field.labels`, in both forms that Grafana reads.
fn field_labels(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = text.split("${__field.labels").skip(1);
    let names = after.map(|after| after.trim_start_matches(['.', '[', '"', '\'']));
    names
        .map(|name| &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())])
        .filter(|name| !name.is_empty())
        .collect()
}
