//! PromQL that is known to be right: it parses, and asks for nothing that the catalogue does not have.

mod demand;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::{self, Expr, LabelModifier, VectorMatchCardinality, VectorSelector};
use promql_parser::util::visitor::{ExprVisitor, ExprVisitorMut, walk_expr, walk_expr_mut};

use crate::catalog::{Catalog, Metric};

/// A query. It may have Grafana's variables: `$__rate_interval` and `$__range` as durations, others within quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    tree: Expr,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{query}: {what}")]
pub struct Problem {
    pub query: String,
    pub what: String,
}

/// Series that a query reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the series; none where it is chosen by a matcher of `__name__`.
    pub name: Option<String>,
    /// Labels that are matched, or that it is read for.
    pub labels: BTreeSet<String>,
}

/// The labels that the series of an answer have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// These, and no others.
    Of(BTreeSet<String>),
    /// It depends on what the series have.
    Unknown,
}

/// Grafana's durations, and in what form they pass the parser: durations that nobody writes.
const DURATIONS: [(&str, &str); 3] =
    [("$__rate_interval", "22m17s"), ("$__range", "23m19s"), ("$__interval", "24m23s")];
/// `$__rate_interval` as it is in the tree.
pub(super) const RATE_INTERVAL: Duration = Duration::from_secs(22 * 60 + 17);

// === impl Expression ===

impl Expression {
    /// # Errors
    /// When it is no PromQL.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let filled = DURATIONS.iter().fold(text.to_owned(), |text, (name, stand_in)| text.replace(name, stand_in));
        match parser::parse(&filled) {
            Ok(tree) => Ok(Self { text: text.split_whitespace().collect::<Vec<_>>().join(" "), tree }),
            Err(what) => Err(Problem { query: text.to_owned(), what }),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it was parsed, with Grafana's durations filled in.
    pub(super) fn tree(&self) -> &Expr {
        &self.tree
    }

    /// Refuses what asks for a series or a label that is not in the catalogue.
    pub(super) fn known_to(self, catalog: &Catalog) -> Result<Self, Problem> {
        let problem = |what| Problem { query: self.text.clone(), what };
        for Selector { name, labels } in self.reads(&BTreeSet::new()) {
            let Some(name) = name else { continue };
            let metric = catalog.of_series(&name).ok_or_else(|| {
                let like = catalog.like(&name).map(|like| format!("; did you mean {like}?")).unwrap_or_default();
                problem(format!("no metric of the catalogue has series {name}{like}"))
            })?;
            let mut known = metric.label_names();
            known.insert("le".to_owned());
            if let Some(label) = labels.difference(&known).next() {
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                return Err(problem(format!("{name} has no label {label}; it has {}", known.join(", "))));
            }
        }
        Ok(self)
    }

    /// All that it reads for an answer of which these labels are shown, in order, each as often as it is read: with every
    /// label that is matched, grouped or joined by, or shown, as far as the answer can have it.
    pub fn reads(&self, shown: &BTreeSet<String>) -> Vec<Selector> {
        demand::reads(&self.tree, shown)
    }

    /// All that it selects, in order, each as often as it does.
    pub fn selectors(&self) -> Vec<Selector> {
        let mut found = Selectors(Vec::new());
        let Ok(_) = walk_expr(&mut found, &self.tree);
        found.0
    }

    /// Names of the series it reads.
    pub fn series(&self) -> BTreeSet<String> {
        self.selectors().into_iter().filter_map(|selector| selector.name).collect()
    }

    /// The same of fewer series: matchers in PromQL's notation, `job=~"$job",instance=~"$instance"`, each of which is added
    /// wherever the series has the label.
    ///
    /// # Panics
    /// When they are none; they are written in the program.
    pub fn narrowed(&self, catalog: &Catalog, matchers: &str) -> Self {
        // A selector has to match something that is not empty, which those of a reader's choice need not.
        let selector = parser::parse(&format!("{{{matchers},x=\"x\"}}")).expect("matchers in PromQL's notation");
        let Expr::VectorSelector(selector) = selector else { panic!("{matchers} are no matchers") };
        let mut matchers = selector.matchers.matchers;
        matchers.pop();
        let mut tree = self.tree.clone();
        let Ok(_) = walk_expr_mut(&mut Narrow { catalog, matchers: &matchers }, &mut tree);
        let text = DURATIONS.iter().fold(tree.to_string(), |text, (name, stand_in)| text.replace(stand_in, name));
        Self { text, tree }
    }

    /// The labels of its answer, as far as the query alone says.
    pub fn labels(&self, catalog: &Catalog) -> Labels {
        labels(&self.tree, catalog)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Selectors(Vec<Selector>);

impl ExprVisitor for Selectors {
    type Error = Infallible;

    fn pre_visit(&mut self, tree: &Expr) -> Result<bool, Infallible> {
        let selector = match tree {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &matrix.vs,
            _ => return Ok(true),
        };
        self.0.push(demand::of_series(selector, &BTreeSet::new()));
        Ok(true)
    }
}

struct Narrow<'a> {
    catalog: &'a Catalog,
    matchers: &'a [Matcher],
}

impl ExprVisitorMut for Narrow<'_> {
    type Error = Infallible;

    fn pre_visit(&mut self, tree: &mut Expr) -> Result<bool, Infallible> {
        let selector = match tree {
            Expr::VectorSelector(selector) => selector,
            Expr::MatrixSelector(matrix) => &mut matrix.vs,
            _ => return Ok(true),
        };
        let metric = selector.name.as_deref().and_then(|name| self.catalog.of_series(name));
        let Some(labels) = metric.map(Metric::label_names) else { return Ok(true) };
        let narrowing = self.matchers.iter().filter(|matcher| labels.contains(&matcher.name));
        selector.matchers.matchers.extend(narrowing.cloned());
        Ok(true)
    }
}

fn labels(tree: &Expr, catalog: &Catalog) -> Labels {
    match tree {
        Expr::Aggregate(aggregate) => match (&aggregate.modifier, labels(&aggregate.expr, catalog)) {
            // topk and its like keep what they choose from.
            (None, inner) if aggregate.param.is_some() && !is_quantile(aggregate.op) => inner,
            (_, inner) if aggregate.param.is_some() && !is_quantile(aggregate.op) => inner,
            (Some(LabelModifier::Include(by)), _) => Labels::Of(by.labels.iter().cloned().collect()),
            (Some(LabelModifier::Exclude(without)), Labels::Of(mut inner)) => {
                inner.retain(|label| !without.labels.contains(label));
                Labels::Of(inner)
            }
            (Some(LabelModifier::Exclude(_)), Labels::Unknown) => Labels::Unknown,
            (None, _) => Labels::Of(BTreeSet::new()),
        },
        Expr::VectorSelector(selector) => of_series(selector, catalog),
        Expr::MatrixSelector(matrix) => of_series(&matrix.vs, catalog),
        Expr::Unary(unary) => labels(&unary.expr, catalog),
        Expr::Paren(paren) => labels(&paren.expr, catalog),
        Expr::Subquery(subquery) => labels(&subquery.expr, catalog),
        Expr::Binary(binary) => of_both(binary, catalog),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Labels::Of(BTreeSet::new()),
        Expr::Call(call) => of_call(call, catalog),
        Expr::Extension(_) => Labels::Unknown,
    }
}

fn is_quantile(op: parser::token::TokenType) -> bool {
    op.id() == parser::token::T_QUANTILE
}

fn of_series(selector: &VectorSelector, catalog: &Catalog) -> Labels {
    let name = selector.name.as_deref();
    match name.and_then(|name| catalog.of_series(name).map(|metric| (name, metric))) {
        Some((name, metric)) => {
            let mut labels = metric.label_names();
            if name.ends_with("_bucket") {
                labels.insert("le".to_owned());
            }
            Labels::Of(labels)
        }
        None => Labels::Unknown,
    }
}

fn of_call(call: &parser::Call, catalog: &Catalog) -> Labels {
    let arguments = call.args.args.iter().map(|argument| labels(argument, catalog));
    let of_text = |at: usize| match call.args.args.get(at).map(AsRef::as_ref) {
        Some(Expr::StringLiteral(text)) => Some(text.val.clone()),
        _ => None,
    };
    // The vector among the arguments has the labels.
    let inner = arguments.reduce(|one, other| match (one, other) {
        (Labels::Of(one), Labels::Of(other)) => Labels::Of(one.union(&other).cloned().collect()),
        _ => Labels::Unknown,
    });
    match (call.func.name, inner) {
        ("vector" | "time" | "scalar", _) | (_, None) => Labels::Of(BTreeSet::new()),
        ("absent" | "absent_over_time", _) => Labels::Unknown,
        ("histogram_quantile", Some(Labels::Of(mut inner))) => {
            inner.remove("le");
            Labels::Of(inner)
        }
        ("label_replace" | "label_join", Some(Labels::Of(mut inner))) => {
            inner.extend(of_text(1));
            Labels::Of(inner)
        }
        (_, Some(inner)) => inner,
    }
}

fn of_both(binary: &parser::BinaryExpr, catalog: &Catalog) -> Labels {
    let (left, right) = (labels(&binary.lhs, catalog), labels(&binary.rhs, catalog));
    let is_scalar = |tree: &Expr| tree.value_type() == parser::value::ValueType::Scalar;
    if is_scalar(&binary.rhs) {
        return left;
    }
    if is_scalar(&binary.lhs) {
        return right;
    }
    let (Labels::Of(left), Labels::Of(right)) = (left, right) else { return Labels::Unknown };
    let is_or = binary.op.id() == parser::token::T_LOR;
    let Some(modifier) = &binary.modifier else {
        return Labels::Of(if is_or { left.intersection(&right).cloned().collect() } else { left });
    };
    let with = |mut many: BTreeSet<String>, more: &promql_parser::label::Labels| {
        many.extend(more.labels.iter().cloned());
        Labels::Of(many)
    };
    match (&modifier.card, &modifier.matching) {
        (VectorMatchCardinality::ManyToOne(more), _) => with(left, more),
        (VectorMatchCardinality::OneToMany(more), _) => with(right, more),
        (VectorMatchCardinality::ManyToMany, _) if is_or => Labels::Of(left.intersection(&right).cloned().collect()),
        (VectorMatchCardinality::OneToOne, _) if binary.op.is_comparison_operator() && !modifier.return_bool => {
            Labels::Of(left)
        }
        (VectorMatchCardinality::OneToOne, Some(LabelModifier::Include(on))) => {
            Labels::Of(on.labels.iter().cloned().collect())
        }
        (VectorMatchCardinality::OneToOne, Some(LabelModifier::Exclude(ignoring))) => {
            Labels::Of(left.into_iter().filter(|label| !ignoring.labels.contains(label)).collect())
        }
        (VectorMatchCardinality::ManyToMany, _) | (VectorMatchCardinality::OneToOne, None) => Labels::Of(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Metric, Origin, Unit};

    fn catalog() -> Catalog {
        let queue = Metric::gauge("agent_queue_length", Unit::Count("messages".into()), "").label("queue");
        let requests = Metric::counter("http_requests_total", "requests", "").label("code").label("method");
        let duration = Metric::histogram("http_request_duration_seconds", Unit::Seconds, "").label("route");
        let services = [queue, requests, duration].map(|metric| metric.from(Origin::Service));
        let up = Metric::gauge("up", Unit::Boolean, "").from(Origin::Scrape);
        Catalog::default().with(services).with([up])
    }

    fn known(text: &str) -> Expression {
        catalog().expression(text).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn refused(text: &str) -> String {
        catalog().expression(text).expect_err(text).what
    }

    fn labels_of(text: &str) -> Vec<String> {
        match known(text).labels(&catalog()) {
            Labels::Of(labels) => labels.into_iter().collect(),
            Labels::Unknown => panic!("{text}: unknown"),
        }
    }

    #[test]
    fn what_nobody_exposes_cannot_be_asked_for() {
        let what = refused("sum(agent_queue_lenght)");
        assert_eq!(what, "no metric of the catalogue has series agent_queue_lenght; did you mean agent_queue_length?");
        let what = refused(r#"up{cluster="a"}"#);
        assert_eq!(what, "up has no label cluster; it has instance, job, le, namespace, pod, workload");
        assert!(refused("sum(rate(up)").contains("unclosed"), "{}", refused("sum(rate(up)"));
        assert!(refused("rate(up)").contains("expected type matrix"), "{}", refused("rate(up)"));
    }

    #[test]
    fn a_query_is_narrowed_wherever_the_series_has_the_label() {
        let query = known(
            "sum by (code) (rate(http_requests_total{method=\"GET\"}[$__rate_interval])) / on () group_left () sum(up)",
        );
        let narrowed = query.narrowed(&catalog(), r#"job=~"$job",queue="a""#);
        let expected = "sum by (code) (rate(http_requests_total{job=~\"$job\",method=\"GET\"}[$__rate_interval])) \
                        / on () group_left () sum(up{job=~\"$job\"})";
        assert_eq!(narrowed.text(), expected);
        assert!(known(narrowed.text()).series().contains("http_requests_total"));
        let queue = known("agent_queue_length").narrowed(&catalog(), r#"queue=~"$queue""#);
        assert_eq!(queue.text(), r#"agent_queue_length{queue=~"$queue"}"#);
    }

    #[test]
    fn the_labels_of_an_answer_follow_from_the_query() {
        let of_pod = ["instance", "job", "namespace", "pod"];
        assert_eq!(labels_of("sum by (code) (rate(http_requests_total[5m]))"), ["code"]);
        assert!(labels_of("sum(up)").is_empty());
        assert_eq!(labels_of("sum without (queue, workload) (agent_queue_length)"), of_pod);
        let p95 = "histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))";
        assert_eq!(labels_of(p95), ["route"]);
        assert_eq!(labels_of("topk(3, sum by (code, method) (http_requests_total))"), ["code", "method"]);
        assert_eq!(labels_of("sum by (job) (up) / on (job) sum by (job, code) (http_requests_total)"), ["job"]);
        let joined = "sum by (pod, code) (http_requests_total) * on (pod) group_left (job) sum by (pod, job) (up)";
        assert_eq!(labels_of(joined), ["code", "job", "pod"]);
        assert_eq!(labels_of(r#"label_replace(sum by (pod) (up), "app", "$1", "pod", "(.*)-.*")"#), ["app", "pod"]);
        assert_eq!(labels_of("sum by (pod) (up) > bool 0.5"), ["pod"]);
        assert_eq!(labels_of("1 - sum by (pod) (up)"), ["pod"]);
    }

    #[test]
    fn series_of_a_histogram_are_its_own() {
        let query = known("rate(http_request_duration_seconds_count[5m])");
        assert_eq!(query.series().into_iter().collect::<Vec<_>>(), ["http_request_duration_seconds_count"]);
        assert!(
            refused("http_request_duration_seconds").contains("did you mean"),
            "a classic one has no series of that name"
        );
    }
}
