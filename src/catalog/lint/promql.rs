//! What a query reads, and within which function.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::{Expr, VectorSelector};

use crate::catalog::lint::Rule;
use crate::catalog::{Catalog, Expression, Kind};

/// Series that a query reads, once for each place at which it reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// Name of the series; none where a pattern chooses it.
    pub(super) name: Option<String>,
    /// Label, operator and value of each matcher.
    pub(super) matchers: Vec<(String, String, String)>,
    /// The function or aggregation directly around it.
    pub(super) within: Option<String>,
    pub(super) range: Option<Duration>,
}

/// What makes a number of a counter that has a meaning: its change, or how many of them there are.
const OF_COUNTERS: [&str; 11] = [
    "rate",
    "irate",
    "increase",
    "resets",
    "changes",
    "count",
    "group",
    "absent",
    "absent_over_time",
    "present_over_time",
    "count_over_time",
];

/// All that a query reads, in order.
pub(super) fn uses(expression: &Expression) -> Vec<Use> {
    let mut found = Vec::new();
    walk(expression.tree(), None, &mut found);
    found
}

// === impl Use ===

impl Use {
    /// What of it is not in the catalogue.
    pub(super) fn problems(&self, catalog: &Catalog) -> Vec<(Rule, String)> {
        let Some(name) = &self.name else {
            let what = "a pattern chooses the series, expected a name".to_owned();
            return vec![(Rule::TargetMetric, what)];
        };
        let Some(metric) = catalog.of_series(name) else {
            let like = catalog.like(name).map(|like| format!("; did you mean {like}?")).unwrap_or_default();
            return vec![(Rule::TargetMetric, format!("no metric of the catalogue has series {name}{like}"))];
        };
        let mut known = metric.label_names();
        if name.ends_with("_bucket") && metric.kind == Kind::Histogram {
            known.insert("le".to_owned());
        }
        let matched: BTreeSet<_> = self.matchers.iter().map(|(label, ..)| label.clone()).collect();
        matched.difference(&known).map(|label| (Rule::TargetLabel, self.lacks(label, catalog))).collect()
    }

    /// That the series has no such label.
    pub(super) fn lacks(&self, label: &str, catalog: &Catalog) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let known = catalog.of_series(name).map(|metric| metric.label_names()).unwrap_or_default();
        format!("{name} has no label {label}; it has {}", known.into_iter().collect::<Vec<_>>().join(", "))
    }

    pub(super) fn matches(&self, label: &str, op: &str, value: &str) -> bool {
        self.matchers.iter().any(|(name, with, what)| name == label && with == op && what == value)
    }

    pub(super) fn is_rate(&self) -> bool {
        matches!(self.within.as_deref(), Some("rate" | "irate"))
    }

    /// Whether it is a counter whose bare value is used.
    pub(super) fn is_bare_counter(&self, catalog: &Catalog) -> bool {
        let Some(name) = self.name.as_deref() else { return false };
        let is_counter = match catalog.of_series(name) {
            Some(metric) => matches!(metric.kind, Kind::Counter | Kind::Histogram),
            None => name.ends_with("_total"),
        };
        is_counter && !self.within.as_deref().is_some_and(|function| OF_COUNTERS.contains(&function))
    }
}

fn walk(tree: &Expr, within: Option<&str>, found: &mut Vec<Use>) {
    match tree {
        Expr::Aggregate(aggregate) => {
            walk(&aggregate.expr, Some(&aggregate.op.to_string()), found);
            aggregate.param.iter().for_each(|param| walk(param, None, found));
        }
        Expr::Unary(unary) => walk(&unary.expr, None, found),
        Expr::Binary(binary) => {
            walk(&binary.lhs, None, found);
            walk(&binary.rhs, None, found);
        }
        Expr::Paren(paren) => walk(&paren.expr, within, found),
        Expr::Subquery(subquery) => walk(&subquery.expr, within, found),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| walk(argument, Some(call.func.name), found)),
        Expr::VectorSelector(selector) => found.push(read(selector, within, None)),
        Expr::MatrixSelector(matrix) => found.push(read(&matrix.vs, within, Some(matrix.range))),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn read(selector: &VectorSelector, within: Option<&str>, range: Option<Duration>) -> Use {
    let matchers = selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
    let all = matchers.map(|matcher| (matcher.name.clone(), matcher.op.to_string(), matcher.value.clone()));
    let (named, matchers): (Vec<_>, Vec<_>) = all.partition(|(name, ..)| name == "__name__");
    let by_matcher = named.into_iter().find(|(_, op, _)| op == "=").map(|(.., value)| value);
    let name = selector.name.clone().or(by_matcher);
    Use { name, matchers, within: within.map(str::to_owned), range }
}
