//! PromQL: series, expressions, and what real engines answer to them.
//!
//! A test takes the [`corpus`] (or writes series in Prometheus' [`notation`]), asks an [`engine`] of
//! Prometheus 2 or 3 for the truth, computes its own answers in whatever way it wants to prove, and hands
//! both to [`Comparison::add`].

pub mod corpus;
pub mod engine;
pub mod notation;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use plimsoll::config::duration;
use plimsoll::model::Timestamp;
use plimsoll::storage::Sample;

/// Label names and values, the name of the metric as `__name__`.
pub type Labels = BTreeMap<String, String>;

/// The result of an instant query.
pub type Vector = BTreeMap<Labels, f64>;

#[derive(Clone, Debug, Default)]
pub struct Series {
    pub labels: Labels,
    /// Oldest first, stale markers included.
    pub samples: Vec<Sample>,
}

/// The part of PromQL that Plimsoll computes itself; written as PromQL.
#[derive(Clone, Debug)]
pub enum Expression {
    /// The newest samples of the series with this name.
    Instant(String),
    Rate(String, Duration),
    Increase(String, Duration),
    Aggregation(Operator, Vec<&'static str>, Box<Expression>),
    Quantile(f64, Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Sum,
    Max,
    Avg,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub expression: Expression,
    pub time: Timestamp,
}

/// Two engines must agree to this share of the number.
pub const TOLERANCE: f64 = 1e-12;

/// What was compared, by the function that an expression is about.
#[derive(Debug, Default)]
pub struct Comparison {
    pub families: BTreeMap<&'static str, Family>,
    differences: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Family {
    /// Series that the expressions read.
    pub series: usize,
    /// Finite numbers that were there on both sides, and equal. What is absent on both sides, NaN and Inf are
    /// compared too, but not counted.
    pub numbers: usize,
    /// The largest relative deviation among them.
    pub deviation: f64,
}

// === impl Series ===

impl Series {
    pub fn name(&self) -> &str {
        self.labels.get("__name__").map_or("", String::as_str)
    }
}

// === impl Expression ===

impl Expression {
    pub fn by(self, operator: Operator, labels: &[&'static str]) -> Self {
        Self::Aggregation(operator, labels.to_vec(), Box::new(self))
    }

    pub fn quantile(self, q: f64) -> Self {
        Self::Quantile(q, Box::new(self))
    }

    pub fn at(self, time: Timestamp) -> Query {
        Query { expression: self, time }
    }

    /// The function or operator that is applied last.
    pub fn function(&self) -> &'static str {
        match self {
            Self::Instant(_) => "selector",
            Self::Rate(..) => "rate",
            Self::Increase(..) => "increase",
            Self::Aggregation(operator, ..) => operator.name(),
            Self::Quantile(..) => "histogram_quantile",
        }
    }

    /// The name of the series it reads.
    pub fn reads(&self) -> &str {
        match self {
            Self::Instant(name) | Self::Rate(name, _) | Self::Increase(name, _) => name,
            Self::Aggregation(_, _, inner) | Self::Quantile(_, inner) => inner.reads(),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(name) => f.write_str(name),
            Self::Rate(name, window) => write!(f, "rate({name}[{}])", duration::write(*window)),
            Self::Increase(name, window) => write!(f, "increase({name}[{}])", duration::write(*window)),
            Self::Aggregation(operator, by, inner) => write!(f, "{} by ({}) ({inner})", operator.name(), by.join(", ")),
            Self::Quantile(q, inner) => write!(f, "histogram_quantile({q}, {inner})"),
        }
    }
}

impl Operator {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Max => "max",
            Self::Avg => "avg",
        }
    }
}

// === impl Comparison ===

impl Comparison {
    /// Compares one result, number by number. Differences are kept until [`Comparison::check`].
    pub fn add(&mut self, series: &[Series], query: &Query, expected: &Vector, found: &Vector) {
        let family = self.families.entry(query.expression.function()).or_default();
        let reads = series.iter().filter(|one| one.name() == query.expression.reads()).count();
        family.series = family.series.max(reads);
        for labels in expected.keys().chain(found.keys().filter(|labels| !expected.contains_key(*labels))) {
            let (expected, found) = (expected.get(labels).copied(), found.get(labels).copied());
            match expected.zip(found).map(|(expected, found)| deviation(expected, found)) {
                Some(deviation) if deviation <= TOLERANCE => {
                    family.numbers += usize::from(expected.is_some_and(f64::is_finite));
                    family.deviation = family.deviation.max(deviation);
                }
                _ => self.differences.push(difference(series, query, labels, expected, found)),
            }
        }
    }

    /// Panics with the first differences.
    #[track_caller]
    pub fn check(&self) {
        let some: String = self.differences.iter().take(5).map(String::as_str).collect();
        assert!(some.is_empty(), "{} differences, the first:\n{some}", self.differences.len());
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (function, Family { series, numbers, deviation }) in &self.families {
            writeln!(
                f,
                "{function}: {series} series, {numbers} numbers equal, largest relative deviation {deviation:e}"
            )?;
        }
        Ok(())
    }
}

/// The share of the larger number by which two numbers differ; zero for the same infinity or two NaN.
fn deviation(expected: f64, found: f64) -> f64 {
    if expected == found || (expected.is_nan() && found.is_nan()) {
        return 0.0;
    }
    let deviation = (expected - found).abs() / expected.abs().max(found.abs());
    if deviation.is_nan() { f64::INFINITY } else { deviation }
}

fn difference(series: &[Series], query: &Query, labels: &Labels, expected: Option<f64>, found: Option<f64>) -> String {
    let same = |one: &&Series| {
        one.name() == query.expression.reads()
            && labels.iter().all(|(name, value)| one.labels.get(name).is_none_or(|own| own == value))
    };
    let read: Vec<&Series> = series.iter().filter(same).take(20).collect();
    let text = |value: Option<f64>| value.map_or("absent".into(), |value| format!("{value:e}"));
    format!(
        "\n{} at {} {labels:?}: expected {}, found {}\n{}",
        query.expression,
        query.time.0,
        text(expected),
        text(found),
        notation::write(&read)
    )
}
