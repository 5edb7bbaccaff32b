//! The aggregation mode `prometheus` beside the engines it must equal, number by number.
//!
//! Closed ranges are compared with a real Prometheus 2.42, left-open ones with the engine of Prometheus 3.
//! `CASES` has the numbers of both in writing, and what the engines say is checked against it.

mod cases;
mod pipeline;

use std::collections::HashMap;

use plimsoll::aggregate::prometheus::{self, Bucket, LOOKBACK};
use plimsoll::config::RangeBoundary::{self, Closed, LeftOpen};
use plimsoll::model::Timestamp;

use self::cases::{CASES, INTERVAL, START};
use crate::harness::promql::engine::{Load, Prometheus2, prometheus3};
use crate::harness::promql::{Comparison, Expression, Labels, Operator, Query, Series, Vector, corpus, notation};

/// An evaluator of [`Expression`] on Plimsoll's functions.
struct Evaluator<'a> {
    series: HashMap<&'a str, Vec<&'a Series>>,
    boundary: RangeBoundary,
}

/// A result in the order of its series, on which sums depend.
type Points = Vec<(Labels, f64)>;

// === impl Evaluator ===

impl<'a> Evaluator<'a> {
    fn new(series: &'a [Series], boundary: RangeBoundary) -> Self {
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        series.iter().for_each(|one| named.entry(one.name()).or_default().push(one));
        Self { series: named, boundary }
    }

    fn vector(&self, query: &Query) -> Vector {
        self.points(&query.expression, query.time).into_iter().collect()
    }

    fn points(&self, expression: &Expression, now: Timestamp) -> Points {
        let boundary = self.boundary;
        match expression {
            Expression::Instant(name) => self.each(name, |one| {
                let last = prometheus::last(one.samples.iter().copied(), now, LOOKBACK, boundary)?;
                Some((one.labels.clone(), last.value))
            }),
            Expression::Rate(name, window) => self.each(name, |one| {
                Some((unnamed(one), prometheus::rate(one.samples.iter().copied(), now, *window, boundary)?))
            }),
            Expression::Increase(name, window) => self.each(name, |one| {
                Some((unnamed(one), prometheus::increase(one.samples.iter().copied(), now, *window, boundary)?))
            }),
            Expression::Aggregation(operator, by, inner) => {
                let keep = |label: &str| by.contains(&label);
                let groups = grouped(self.points(inner, now), keep, |_, value| Some(value));
                groups.into_iter().map(|(labels, values)| (labels, self.combined(*operator, values))).collect()
            }
            Expression::Quantile(q, inner) => {
                let bucket = |labels: &Labels, count| Some(Bucket { le: labels.get("le")?.parse().ok()?, count });
                let groups = grouped(self.points(inner, now), |label| !["__name__", "le"].contains(&label), bucket);
                groups.into_iter().map(|(labels, buckets)| (labels, self.quantile(*q, buckets))).collect()
            }
        }
    }

    fn each(&self, name: &str, point: impl Fn(&Series) -> Option<(Labels, f64)>) -> Points {
        self.series.get(name).into_iter().flatten().filter_map(|one| point(one)).collect()
    }

    fn combined(&self, operator: Operator, values: Vec<f64>) -> f64 {
        let combined = match operator {
            Operator::Sum => prometheus::sum(values, self.boundary),
            Operator::Max => prometheus::max(values),
            Operator::Avg => prometheus::avg(values, self.boundary),
        };
        combined.expect("a group has a value")
    }

    /// Where Plimsoll has no quantile Prometheus has NaN.
    fn quantile(&self, q: f64, buckets: Vec<Bucket>) -> f64 {
        prometheus::histogram_quantile(q, buckets, self.boundary).map_or(f64::NAN, |quantile| quantile.value)
    }
}

fn unnamed(series: &Series) -> Labels {
    series.labels.iter().filter(|(name, _)| *name != "__name__").map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Points by the labels that are kept, groups and members in the order in which they come.
fn grouped<T>(
    points: Points,
    keep: impl Fn(&str) -> bool,
    member: impl Fn(&Labels, f64) -> Option<T>,
) -> Vec<(Labels, Vec<T>)> {
    let mut groups: Vec<(Labels, Vec<T>)> = Vec::new();
    let mut positions: HashMap<Labels, usize> = HashMap::new();
    for (labels, value) in points {
        let Some(member) = member(&labels, value) else { continue };
        let group: Labels = labels.into_iter().filter(|(name, _)| keep(name)).collect();
        let position = *positions.entry(group).or_insert_with_key(|group| {
            groups.push((group.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[position].1.push(member);
    }
    groups
}

/// Compares the whole corpus, and that it was as large as promised.
fn compare(series: &[Series], queries: &[Query], expected: &[Vector], boundary: RangeBoundary) {
    let evaluator = Evaluator::new(series, boundary);
    let mut comparison = Comparison::default();
    for (query, expected) in queries.iter().zip(expected) {
        comparison.add(series, query, expected, &evaluator.vector(query));
    }
    println!("{boundary:?}\n{comparison}");
    comparison.check();
    for function in ["rate", "increase", "histogram_quantile", "sum", "max", "avg"] {
        let family = &comparison.families[function];
        assert!(family.series >= 10_000 && family.numbers >= 10_000, "{function}: {family:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_ranges_equal_prometheus_2() {
    let (series, queries) = (corpus::series(), corpus::queries());
    let engine = Prometheus2::start().await;
    engine.write(&series).await;
    let mut expected = Vec::new();
    for query in &queries {
        expected.push(engine.query(query).await);
    }
    compare(&series, &queries, &expected, Closed);
}

#[test]
fn left_open_ranges_equal_prometheus_3() {
    let (series, queries) = (corpus::series(), corpus::queries());
    compare(&series, &queries, &prometheus3(&series, None, &queries), LeftOpen);
}

/// The number of a result that has one at most; NaN is none.
fn only(vector: &Vector) -> Option<f64> {
    assert!(vector.len() <= 1, "{vector:?}");
    vector.values().copied().next().filter(|value| !value.is_nan())
}

/// A line for each case whose numbers are others.
fn differences(found: impl Fn(&Query) -> Option<f64>, boundary: RangeBoundary) -> String {
    let mut text = String::new();
    for (number, case) in CASES.iter().enumerate() {
        let (found, query) = (found(&case.under(number).1), case.under(number).1);
        let expected = if boundary == Closed { case.closed } else { case.left_open };
        if found != expected {
            let Query { expression, .. } = query;
            text += &format!("{}: {expression} with {boundary:?}: {expected:?} written, {found:?} found\n", case.name);
        }
    }
    text
}

fn read(lines: &[String]) -> Vec<Series> {
    lines.iter().map(|line| notation::read(line, START, INTERVAL)).collect()
}

#[test]
fn hard_cases_have_the_numbers_of_prometheus() {
    let lines: Vec<_> = CASES.iter().enumerate().flat_map(|(number, case)| case.under(number).0).collect();
    let series = read(&lines);
    let wrong = [Closed, LeftOpen].map(|boundary| {
        let evaluator = Evaluator::new(&series, boundary);
        differences(|query| only(&evaluator.vector(query)), boundary)
    });
    assert!(wrong.concat().is_empty(), "{}", wrong.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_numbers_of_the_hard_cases_are_those_of_the_engines() {
    let (lines, queries): (Vec<_>, Vec<_>) = CASES.iter().enumerate().map(|(number, case)| case.under(number)).unzip();
    let lines = lines.concat();
    let engine = Prometheus2::start().await;
    engine.write(&read(&lines)).await;
    let (mut closed, mut left_open) = (HashMap::new(), HashMap::new());
    let load = Load { start: START, interval: INTERVAL, lines: &lines };
    for (query, vector) in queries.iter().zip(prometheus3(&[], Some(&load), &queries)) {
        left_open.insert(query.expression.to_string(), only(&vector));
        closed.insert(query.expression.to_string(), only(&engine.query(query).await));
    }
    let wrong = differences(|query| closed[&query.expression.to_string()], Closed)
        + &differences(|query| left_open[&query.expression.to_string()], LeftOpen);
    assert!(wrong.is_empty(), "{wrong}");
}
