//! What a query reads: its series, each with every label that the answer rests on. Those are matched, grouped by, joined by
//! or shown; a label that an operator makes, or takes from elsewhere, is not asked of what it is added to.

use std::collections::BTreeSet;

use promql_parser::label::{self, MatchOp};
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector, token, value,
};

use super::{Selector, is_quantile};

type Names = BTreeSet<String>;

/// The series that are read so that the answer has these labels, as far as it can have them; each as often as it is read.
pub(super) fn reads(tree: &Expr, wanted: &Names) -> Vec<Selector> {
    match tree {
        Expr::VectorSelector(selector) => vec![of_series(selector, wanted)],
        Expr::MatrixSelector(matrix) => vec![of_series(&matrix.vs, wanted)],
        Expr::Unary(unary) => reads(&unary.expr, wanted),
        Expr::Paren(paren) => reads(&paren.expr, wanted),
        Expr::Subquery(subquery) => reads(&subquery.expr, wanted),
        Expr::Aggregate(aggregate) => of_aggregate(aggregate, wanted),
        Expr::Binary(binary) => of_both(binary, wanted),
        Expr::Call(call) => of_call(call, wanted),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Vec::new(),
    }
}

/// What is matched, and wanted besides.
pub(super) fn of_series(selector: &VectorSelector, wanted: &Names) -> Selector {
    let matchers = selector.matchers.matchers.iter().chain(selector.matchers.or_matchers.iter().flatten());
    let (named, others): (Vec<_>, Vec<_>) = matchers.partition(|matcher| matcher.name == "__name__");
    let by_matcher = named.iter().find(|matcher| matcher.op == MatchOp::Equal).map(|matcher| matcher.value.clone());
    let labels = others.iter().map(|matcher| matcher.name.clone()).chain(wanted.iter().cloned()).collect();
    Selector { name: selector.name.clone().or(by_matcher), labels }
}

fn of_aggregate(aggregate: &AggregateExpr, wanted: &Names) -> Vec<Selector> {
    let AggregateExpr { op, expr, param, modifier } = aggregate;
    // topk and its like keep what they choose from.
    let chooses = param.is_some() && !is_quantile(*op) && op.id() != token::T_COUNT_VALUES;
    let inner = match modifier {
        Some(LabelModifier::Include(by)) if chooses => wanted | &names(by),
        Some(LabelModifier::Include(by)) => names(by),
        None if !chooses => Names::new(),
        None | Some(LabelModifier::Exclude(_)) => wanted.clone(),
    };
    let of_param = param.iter().flat_map(|param| reads(param, &Names::new()));
    of_param.chain(reads(expr, &inner)).collect()
}

fn of_both(binary: &BinaryExpr, wanted: &Names) -> Vec<Selector> {
    let (left, right) = sides(binary, wanted);
    let mut found = reads(&binary.lhs, &left);
    found.extend(reads(&binary.rhs, &right));
    found
}

/// What is wanted of the left and of the right side of an operator.
fn sides(binary: &BinaryExpr, wanted: &Names) -> (Names, Names) {
    let is_scalar = |tree: &Expr| tree.value_type() == value::ValueType::Scalar;
    if is_scalar(&binary.lhs) || is_scalar(&binary.rhs) {
        return (wanted.clone(), wanted.clone());
    }
    let modifier = binary.modifier.as_ref();
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let (on, ignored) = match matching {
        Some(LabelModifier::Include(on)) => (names(on), Names::new()),
        Some(LabelModifier::Exclude(ignored)) => (Names::new(), names(ignored)),
        None => (Names::new(), Names::new()),
    };
    let is_on = matches!(matching, Some(LabelModifier::Include(_)));
    match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(more)) => (&(wanted - &names(more)) | &on, &on | &names(more)),
        Some(VectorMatchCardinality::OneToMany(more)) => (&on | &names(more), &(wanted - &names(more)) | &on),
        _ if binary.op.id() == token::T_LOR => (wanted | &on, wanted | &on),
        _ if binary.op.is_set_operator() => (wanted | &on, on),
        _ if is_on && keeps_left(binary) => (wanted | &on, on),
        // The answer has the labels that are matched.
        _ if is_on => (on.clone(), on),
        _ if keeps_left(binary) => (wanted.clone(), wanted - &ignored),
        _ => (wanted - &ignored, wanted - &ignored),
    }
}

/// Whether it filters its left side.
fn keeps_left(binary: &BinaryExpr) -> bool {
    let is_bool = binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
    binary.op.is_comparison_operator() && !is_bool
}

fn of_call(call: &Call, wanted: &Names) -> Vec<Selector> {
    let texts: Vec<&str> = call.args.args.iter().filter_map(|argument| text(argument)).collect();
    let inner = match (call.func.name, &texts[..]) {
        ("absent" | "absent_over_time" | "scalar" | "vector", _) => Names::new(),
        ("label_replace", [made, _, from, _]) => with(without(wanted, made), &[*from]),
        ("label_join", [made, _, from @ ..]) => with(without(wanted, made), from),
        _ => wanted.clone(),
    };
    call.args.args.iter().flat_map(|argument| reads(argument, &inner)).collect()
}

fn text(tree: &Expr) -> Option<&str> {
    if let Expr::StringLiteral(text) = tree { Some(&text.val) } else { None }
}

fn without(names: &Names, made: &str) -> Names {
    names.iter().filter(|name| *name != made).cloned().collect()
}

fn with(mut names: Names, more: &[&str]) -> Names {
    names.extend(more.iter().filter(|name| !name.is_empty()).map(|name| (*name).to_owned()));
    names
}

fn names(labels: &label::Labels) -> Names {
    labels.labels.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use crate::catalog::Expression;

    /// As `name{labels}`, for an answer of which these labels are shown.
    #[track_caller]
    fn check(query: &str, shown: &[&str], expected: &[&str]) {
        let shown = shown.iter().map(|label| (*label).to_owned()).collect();
        let reads = Expression::parse(query).expect("PromQL").reads(&shown);
        let write = |selector: &super::Selector| {
            let labels: Vec<_> = selector.labels.iter().map(String::as_str).collect();
            format!("{}{{{}}}", selector.name.as_deref().unwrap_or_default(), labels.join(","))
        };
        assert_eq!(reads.iter().map(write).collect::<Vec<_>>(), expected, "{query}");
    }

    #[test]
    fn what_is_grouped_by_is_read() {
        check(r#"sum by (code, job) (rate(a_total{job="x"}[5m]))"#, &["code"], &["a_total{code,job}"]);
        check("sum(a)", &["code"], &["a{}"]);
        check("sum without (pod) (a)", &["code"], &["a{code}"]);
        check("topk by (zone) (3, sum by (zone, pod) (a))", &["pod"], &["a{pod,zone}"]);
        check("topk(3, a)", &["pod"], &["a{pod}"]);
        check("quantile(0.9, a)", &["pod"], &["a{}"]);
        check(r#"count_values("version", a)"#, &["version"], &["a{}"]);
        check("max_over_time(sum by (pod) (a)[5m:1m])", &[], &["a{pod}"]);
        check("histogram_quantile(0.9, sum by (le, route) (a_bucket))", &["route"], &["a_bucket{le,route}"]);
    }

    #[test]
    fn what_is_joined_by_is_read_on_both_sides() {
        check("a * on (pod) group_left (node) b", &["node", "queue"], &["a{pod,queue}", "b{node,pod}"]);
        check("a / on (pod) group_right (node) b", &["node", "queue"], &["a{node,pod}", "b{pod,queue}"]);
        check("a and on (job) b == 0", &["queue"], &["a{job,queue}", "b{job}"]);
        check("a unless b", &["queue"], &["a{queue}", "b{}"]);
        check("a or on (job) b", &["queue"], &["a{job,queue}", "b{job,queue}"]);
        check("a / on (pod) b", &["queue"], &["a{pod}", "b{pod}"]);
        check("a > on (pod) b", &["queue"], &["a{pod,queue}", "b{pod}"]);
        check("a / ignoring (code) b", &["queue", "code"], &["a{queue}", "b{queue}"]);
        check("1 - a", &["queue"], &["a{queue}"]);
    }

    #[test]
    fn a_label_that_is_made_is_not_read_but_what_it_is_made_of() {
        check(r#"label_replace(a, "app", "$1", "pod", "(.*)-.*")"#, &["app", "job"], &["a{job,pod}"]);
        check(r#"label_join(a, "place", "/", "namespace", "pod")"#, &["place"], &["a{namespace,pod}"]);
        check(r#"label_replace(a, "kind", "x", "", "")"#, &["kind"], &["a{}"]);
        check(r#"absent(a{job="x"})"#, &["job"], &["a{job}"]);
        check("a > scalar(b)", &["pod"], &["a{pod}", "b{}"]);
    }
}
