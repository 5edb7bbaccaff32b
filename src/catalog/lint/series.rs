//! How many series an answer may have, as far as the query and the catalogue say.

use std::collections::BTreeSet;

use promql_parser::parser::Expr;

use crate::catalog::lint::promql::Use;
use crate::catalog::{Catalog, Expression, Labels};

/// More cannot be told apart, and a browser draws them slowly.
pub(super) const SERIES_MAX: u64 = 1_000;
/// Targets, where an answer tells them apart.
const TARGETS: u64 = 20;
/// Jobs, workloads or namespaces, where an answer tells those apart and not targets.
const JOBS: u64 = 10;
/// Things that labels with values from outside name; together, since one label of a thing mostly fixes the others.
const THINGS: u64 = 50;
/// What remains of them where a matcher has fixed one of those labels: the metrics of one autoscaler.
const THINGS_OF_ONE: u64 = 10;
/// Buckets of a histogram.
const BUCKETS: u64 = 20;

/// The most series that an answer may have.
pub(super) fn series_max(expression: &Expression, uses: &[Use], catalog: &Catalog) -> u64 {
    if let Some(chosen) = chosen(expression.tree()) {
        return chosen;
    }
    let Labels::Of(labels) = expression.labels(catalog) else { return TARGETS * THINGS };
    let has = |names: &[&str]| names.iter().any(|name| labels.contains(*name));
    let targets = match (has(&["instance", "pod"]), has(&["job", "namespace", "workload"])) {
        (true, _) => TARGETS,
        (false, true) => JOBS,
        (false, false) => 1,
    };
    let buckets = if has(&["le"]) { BUCKETS } else { 1 };
    targets.saturating_mul(buckets).saturating_mul(of_own_labels(&labels, uses, catalog))
}

fn of_own_labels(labels: &BTreeSet<String>, uses: &[Use], catalog: &Catalog) -> u64 {
    let metrics = uses.iter().filter_map(|used| Some((used, catalog.of_series(used.name.as_deref()?)?)));
    let own = metrics.flat_map(|(used, metric)| metric.labels.iter().map(move |label| (used, label)));
    let (mut closed, mut is_open, mut is_of_one, mut seen) = (1_u64, false, false, BTreeSet::new());
    for (used, label) in own {
        let is_fixed = used.matchers.iter().any(|(name, op, _)| *name == label.name && op == "=");
        match label.values.len() {
            0 if is_fixed => is_of_one = true,
            _ if is_fixed || !labels.contains(label.name.as_ref()) || !seen.insert(label.name.clone()) => {}
            0 => is_open = true,
            many => closed = closed.saturating_mul(many as u64),
        }
    }
    closed.saturating_mul(match (is_open, is_of_one) {
        (true, true) => THINGS_OF_ONE,
        (true, false) => THINGS,
        (false, _) => 1,
    })
}

/// How many `topk` and its like leave, where they come last.
fn chosen(tree: &Expr) -> Option<u64> {
    match tree {
        Expr::Paren(paren) => chosen(&paren.expr),
        Expr::Call(call) if call.func.name.starts_with("sort") => chosen(call.args.args.first()?),
        Expr::Aggregate(aggregate) if aggregate.modifier.is_none() => {
            let is_choice = ["topk", "bottomk"].contains(&aggregate.op.to_string().as_str());
            match aggregate.param.as_deref() {
                Some(Expr::NumberLiteral(number)) if is_choice => Some(number.val as u64),
                _ => None,
            }
        }
        _ => None,
    }
}
