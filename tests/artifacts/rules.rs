//! Rules as queries. What a rule records is there; of an alert, which rightly has no answer while all is well, each side is
//! asked without what it is compared with.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::LazyLock;

use promql_parser::parser::token::T_LUNLESS;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr};
use promql_parser::util::visitor::{ExprVisitorMut, walk_expr_mut};
use regex::Regex;
use serde_json::Value;

use super::question::{Asker, Over};

/// One query of a rule.
pub struct Inquiry {
    place: String,
    query: String,
    labels: BTreeSet<String>,
}

/// Takes comparisons away, and keeps what they compared with.
#[derive(Default)]
struct Calm {
    others: Vec<Expr>,
}

/// `$labels.name` in annotations, and the conditions in which a name may be missing.
static LABELS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)").expect("it is one"));
static CONDITIONS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{-?\s*(?:if|with)[^}]*?\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)").expect("it is one"));

/// All that is to be found out of rules, by file.
pub fn inquiries(files: &[(String, Value)]) -> Vec<Inquiry> {
    let mut found = Vec::new();
    for (file, rules) in files {
        let groups = rules["groups"].as_array().expect("groups").iter();
        for rule in groups.flat_map(|group| group["rules"].as_array().expect("rules")) {
            found.extend(of_rule(file, rule));
        }
    }
    found
}

fn of_rule(file: &str, rule: &Value) -> Vec<Inquiry> {
    let query = rule["expr"].as_str().expect("a rule has a query").to_owned();
    if let Some(name) = rule["record"].as_str() {
        let inquiry = |query| Inquiry { place: format!("{file}, {name}"), query, labels: BTreeSet::new() };
        return vec![inquiry(query), inquiry(name.to_owned())];
    }
    let place = format!("{file}, {}", rule["alert"].as_str().expect("a rule has a name"));
    let used = used(&rule["annotations"].to_string(), &rule["labels"].to_string());
    let tree = parser::parse(&query).unwrap_or_else(|error| panic!("{place}: {error}: {query}"));
    let mut sides = sides(&tree);
    let tops = sides.len();
    let mut calm = Calm::default();
    for side in &mut sides {
        let Ok(_) = walk_expr_mut(&mut calm, side);
    }
    // Each of the others may have a comparison again.
    while let Some(mut other) = calm.others.pop() {
        let Ok(_) = walk_expr_mut(&mut calm, &mut other);
        sides.push(other);
    }
    let inquiry = |(at, side): (usize, &Expr)| Inquiry {
        place: place.clone(),
        query: side.to_string(),
        // What was compared with gives no labels.
        labels: if at < tops { used.clone() } else { BTreeSet::new() },
    };
    sides.iter().enumerate().map(inquiry).collect()
}

/// What may be an answer by itself: both sides of an `or`.
fn sides(tree: &Expr) -> Vec<Expr> {
    match tree {
        Expr::Paren(paren) => sides(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == parser::token::T_LOR => {
            [sides(&binary.lhs), sides(&binary.rhs)].concat()
        }
        other => vec![other.clone()],
    }
}

/// Labels that texts use in any case.
fn used(annotations: &str, labels: &str) -> BTreeSet<String> {
    let texts = format!("{annotations} {labels}");
    let names =
        |regex: &Regex| -> BTreeSet<String> { regex.captures_iter(&texts).map(|found| found[1].to_owned()).collect() };
    let conditional = names(&CONDITIONS);
    names(&LABELS).into_iter().filter(|name| !conditional.contains(name)).collect()
}

// === impl Inquiry ===

impl Inquiry {
    /// # Errors
    /// Where, what was asked, and what is wrong with the answer.
    pub async fn ask(&self, asker: &mut Asker<'_>) -> Result<(), String> {
        let Self { place, query, labels } = self;
        asker.ask(query, Over::Now, labels).await.map_err(|why| format!("{place}: {why}: {query}"))
    }
}

// === impl Calm ===

impl ExprVisitorMut for Calm {
    type Error = Infallible;

    fn pre_visit(&mut self, tree: &mut Expr) -> Result<bool, Infallible> {
        while let Some(inner) = self.calmer(tree) {
            *tree = inner;
        }
        Ok(true)
    }
}

impl Calm {
    /// What is asked where a fault is asked for; `None` where it is no fault.
    fn calmer(&mut self, tree: &Expr) -> Option<Expr> {
        match tree {
            Expr::Binary(binary) if binary.op.is_comparison_operator() && !binary.return_bool() => {
                let is_scalar = |side: &Expr| side.value_type() == ValueType::Scalar;
                match (is_scalar(&binary.lhs), is_scalar(&binary.rhs)) {
                    (true, _) => Some(binary.rhs.as_ref().clone()),
                    (false, true) => Some(binary.lhs.as_ref().clone()),
                    (false, false) => {
                        self.others.push(binary.rhs.as_ref().clone());
                        Some(binary.lhs.as_ref().clone())
                    }
                }
            }
            // What is excluded is there for itself.
            Expr::Binary(binary) if binary.op.id() == T_LUNLESS => {
                self.others.push(binary.rhs.as_ref().clone());
                Some(binary.lhs.as_ref().clone())
            }
            Expr::Call(call) if call.func.name.starts_with("absent") => Some(call.args.args[0].as_ref().clone()),
            _ => None,
        }
    }
}
