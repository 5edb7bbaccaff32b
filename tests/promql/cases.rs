//! Hard cases in Prometheus' series notation, with the numbers of both engines.

use std::time::Duration;

use plimsoll::model::Timestamp;

use crate::harness::promql::{Expression, Operator, Query};

/// Series, an expression, and its only number.
pub struct Case {
    pub name: &'static str,
    /// One sample per [`INTERVAL`].
    series: &'static [&'static str],
    /// Takes the name of the series.
    expression: fn(String) -> Expression,
    /// Seconds after the first sample.
    at: u64,
    /// Of Prometheus 2.42; `None` without a number, NaN included.
    pub closed: Option<f64>,
    /// Of Prometheus 3.13, likewise.
    pub left_open: Option<f64>,
}

/// Time of the first sample.
pub const START: Timestamp = Timestamp(1_700_000_000_000);
pub const INTERVAL: Duration = Duration::from_secs(15);

impl Case {
    /// The series and the query, under a name of their own.
    pub fn under(&self, number: usize) -> (Vec<String>, Query) {
        let name = format!("m_{number}");
        let lines = self.series.iter().map(|line| line.replacen('m', &name, 1)).collect();
        (lines, (self.expression)(name).at(START.plus(Duration::from_secs(self.at))))
    }
}

fn instant(name: String) -> Expression {
    Expression::Instant(name)
}

fn rate(name: String, seconds: u64) -> Expression {
    Expression::Rate(name, Duration::from_secs(seconds))
}

fn increase(name: String, seconds: u64) -> Expression {
    Expression::Increase(name, Duration::from_secs(seconds))
}

/// Every number was computed by the engine it is said to be of.
pub const CASES: &[Case] = &[
    Case {
        name: "a counter that restarts within the window goes on from zero",
        series: &["m 70+15x4 5+15x3"],
        expression: |m| rate(m, 120),
        at: 120,
        closed: Some(0.9166666666666666),
        left_open: Some(0.9047619047619047),
    },
    Case {
        name: "two missing scrapes at the end are bridged by half a spacing",
        series: &["m 0+15x2 _ _"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.625),
        left_open: Some(0.625),
    },
    Case {
        name: "a series that ended 45 s ago still has a rate",
        series: &["m 0+15x1 stale"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.375),
        left_open: None,
    },
    Case {
        name: "a late counter that began at zero is not extrapolated below it",
        series: &["m _ _ 0+30x2"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(1.0),
        left_open: Some(1.0),
    },
    Case {
        name: "a steady counter is worth the same with either edge",
        series: &["m 0+10x4"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(40.0),
        left_open: Some(40.0),
    },
    Case {
        name: "a fall from the sample on the edge is seen by closed ranges alone",
        series: &["m 100 50+10x3"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(80.0),
        left_open: Some(40.0),
    },
    Case {
        name: "a sample on the edge is one of two",
        series: &["m 0 10"],
        expression: |m| rate(m, 15),
        at: 15,
        closed: Some(0.6666666666666666),
        left_open: None,
    },
    Case {
        name: "one sample is no rate",
        series: &["m _ _ _ _ 10"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: None,
        left_open: None,
    },
    Case {
        name: "no sample is no rate",
        series: &["m 0+10x1 _ _ _ _ _"],
        expression: |m| rate(m, 60),
        at: 120,
        closed: None,
        left_open: None,
    },
    Case {
        name: "stale markers alone are no samples",
        series: &["m stale stale stale"],
        expression: |m| rate(m, 60),
        at: 30,
        closed: None,
        left_open: None,
    },
    Case {
        name: "a series that comes back after a stale marker is one series",
        series: &["m 0+10x1 stale _ 40"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.6666666666666666),
        left_open: Some(0.6666666666666666),
    },
    Case {
        name: "a restart behind a stale marker is a restart",
        series: &["m 50+10x1 stale 5 15"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(25.0),
        left_open: Some(20.0),
    },
    Case {
        name: "a gap within the window counts as time",
        series: &["m 0 _ _ 30 40"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.6666666666666666),
        left_open: Some(0.25),
    },
    Case {
        name: "a flat counter grows by nothing",
        series: &["m 7x4"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.0),
        left_open: Some(0.0),
    },
    Case {
        name: "a counter that restarts at each scrape",
        series: &["m 5x1 4 3 2"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(9.0),
        left_open: Some(12.0),
    },
    Case {
        name: "a restart to the same value goes unseen",
        series: &["m 10x2 10 20"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(10.0),
        left_open: Some(13.333333333333332),
    },
    Case {
        name: "a zero within half a spacing moves the start",
        series: &["m _ _ 2 12 22"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(22.0),
        left_open: Some(22.0),
    },
    Case {
        name: "a zero between half a spacing and a whole one moves the start of closed ranges alone",
        series: &["m _ _ 8 18 28"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(28.0),
        left_open: Some(25.0),
    },
    Case {
        name: "a zero further away than a spacing moves nothing",
        series: &["m _ _ 80 90 100"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(25.0),
        left_open: Some(25.0),
    },
    Case {
        name: "a zero after the start of the window is where the counter began",
        series: &["m _ 1+10x3"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(31.000000000000004),
        left_open: Some(31.000000000000004),
    },
    Case {
        name: "a gap of 1.1 spacings at the end is too far",
        series: &["m 100 _ _ _ 110"],
        expression: |m| increase(m, 300),
        at: 126,
        closed: Some(20.0),
        left_open: Some(20.0),
    },
    Case {
        name: "a gap just below 1.1 spacings is bridged",
        series: &["m 100 _ _ _ 110"],
        expression: |m| increase(m, 300),
        at: 125,
        closed: Some(25.833333333333336),
        left_open: Some(25.833333333333336),
    },
    Case {
        name: "1.1 times 30 s is a little more than 33 s in floats, so 33 s are bridged",
        series: &["m 100 _ 110"],
        expression: |m| increase(m, 300),
        at: 63,
        closed: Some(20.0),
        left_open: Some(20.0),
    },
    Case {
        name: "below zero nothing is clipped",
        series: &["m _ _ -30+10x2"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.41666666666666663),
        left_open: Some(0.41666666666666663),
    },
    Case {
        name: "the last digit of a float",
        series: &["m 0.1+0.1x4"],
        expression: |m| rate(m, 60),
        at: 60,
        closed: Some(0.006666666666666667),
        left_open: Some(0.006666666666666665),
    },
    Case {
        name: "numbers near the largest",
        series: &["m 1e307+1e307x4"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(4e307),
        left_open: Some(3.9999999999999994e307),
    },
    Case {
        name: "numbers near the smallest",
        series: &["m 1e-310+1e-310x4"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(4e-310),
        left_open: Some(4e-310),
    },
    Case {
        name: "NaN in the middle is no fall",
        series: &["m 0 10 NaN 30 40"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: Some(40.0),
        left_open: Some(40.0),
    },
    Case {
        name: "NaN at the end is no number",
        series: &["m 0 10 20 30 NaN"],
        expression: |m| increase(m, 60),
        at: 60,
        closed: None,
        left_open: None,
    },
    Case {
        name: "a sample as old as the lookback",
        series: &["m 7"],
        expression: |m| instant(m),
        at: 300,
        closed: Some(7.0),
        left_open: None,
    },
    Case {
        name: "a sample a second older than the lookback",
        series: &["m 7"],
        expression: |m| instant(m),
        at: 301,
        closed: None,
        left_open: None,
    },
    Case {
        name: "a stale marker ends a series at once",
        series: &["m 7 stale"],
        expression: |m| instant(m),
        at: 15,
        closed: None,
        left_open: None,
    },
    Case {
        name: "a sum that loses its last digits",
        series: &[r#"m{p="a"} 1e16"#, r#"m{p="b"} 1"#, r#"m{p="c"} -1e16"#],
        expression: |m| instant(m).by(Operator::Sum, &[]),
        at: 0,
        closed: Some(0.0),
        left_open: Some(1.0),
    },
    Case {
        name: "a mean whose sum is too large",
        series: &[r#"m{p="a"} 1.7e308"#, r#"m{p="b"} 1.7e308"#, r#"m{p="c"} 1.1e308"#],
        expression: |m| instant(m).by(Operator::Avg, &[]),
        at: 0,
        closed: Some(1.5e308),
        left_open: Some(1.4999999999999998e308),
    },
    Case {
        name: "a mean of three",
        series: &[r#"m{p="a"} 0.1"#, r#"m{p="b"} 0.2"#, r#"m{p="c"} 0.4"#],
        expression: |m| instant(m).by(Operator::Avg, &[]),
        at: 0,
        closed: Some(0.23333333333333334),
        left_open: Some(0.23333333333333336),
    },
    Case {
        name: "a mean with infinity",
        series: &[r#"m{p="a"} Inf"#, r#"m{p="b"} 1"#],
        expression: |m| instant(m).by(Operator::Avg, &[]),
        at: 0,
        closed: Some(f64::INFINITY),
        left_open: Some(f64::INFINITY),
    },
    Case {
        name: "a maximum beside NaN",
        series: &[r#"m{p="a"} NaN"#, r#"m{p="b"} -1"#, r#"m{p="c"} -2"#],
        expression: |m| instant(m).by(Operator::Max, &[]),
        at: 0,
        closed: Some(-1.0),
        left_open: Some(-1.0),
    },
    Case {
        name: "rates are summed, each with its own restarts",
        series: &[r#"m{p="a"} 0+15x4"#, r#"m{p="b"} 90 100 5+15x2"#],
        expression: |m| rate(m, 60).by(Operator::Sum, &[]),
        at: 60,
        closed: Some(1.75),
        left_open: Some(1.7777777777777777),
    },
    Case {
        name: "a rank in the bucket +Inf is the highest finite bound",
        series: &[r#"m{le="0.5"} 10"#, r#"m{le="1"} 90"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.95),
        at: 0,
        closed: Some(1.0),
        left_open: Some(1.0),
    },
    Case {
        name: "a rank far in the bucket +Inf too",
        series: &[r#"m{le="0.5"} 10"#, r#"m{le="1"} 90"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.99),
        at: 0,
        closed: Some(1.0),
        left_open: Some(1.0),
    },
    Case {
        name: "a quantile within a bucket",
        series: &[r#"m{le="0.5"} 10"#, r#"m{le="1"} 90"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.5),
        at: 0,
        closed: Some(0.75),
        left_open: Some(0.75),
    },
    Case {
        name: "the lowest bucket begins at zero",
        series: &[r#"m{le="0.5"} 40"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.1),
        at: 0,
        closed: Some(0.125),
        left_open: Some(0.125),
    },
    Case {
        name: "the lowest bucket below zero is its bound",
        series: &[r#"m{le="-2"} 40"#, r#"m{le="1"} 70"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.1),
        at: 0,
        closed: Some(-2.0),
        left_open: Some(-2.0),
    },
    Case {
        name: "the least of an empty lowest bucket is no number",
        series: &[r#"m{le="0.5"} 0"#, r#"m{le="1"} 9"#, r#"m{le="+Inf"} 9"#],
        expression: |m| instant(m).quantile(0.0),
        at: 0,
        closed: None,
        left_open: None,
    },
    Case {
        name: "without +Inf there is no quantile",
        series: &[r#"m{le="0.5"} 10"#, r#"m{le="1"} 90"#],
        expression: |m| instant(m).quantile(0.5),
        at: 0,
        closed: None,
        left_open: None,
    },
    Case {
        name: "with +Inf alone there is no quantile",
        series: &[r#"m{le="+Inf"} 10"#],
        expression: |m| instant(m).quantile(0.5),
        at: 0,
        closed: None,
        left_open: None,
    },
    Case {
        name: "without observations there is no quantile",
        series: &[r#"m{le="1"} 0"#, r#"m{le="+Inf"} 0"#],
        expression: |m| instant(m).quantile(0.5),
        at: 0,
        closed: None,
        left_open: None,
    },
    Case {
        name: "buckets with one bound add up",
        series: &[r#"m{le="1"} 10"#, r#"m{le="1.0"} 20"#, r#"m{le="2"} 80"#, r#"m{le="+Inf"} 100"#],
        expression: |m| instant(m).quantile(0.4),
        at: 0,
        closed: Some(1.2),
        left_open: Some(1.2),
    },
    Case {
        name: "a bucket that falls is as high as the one before",
        series: &[r#"m{le="1"} 50"#, r#"m{le="2"} 30"#, r#"m{le="4"} 90"#, r#"m{le="+Inf"} 80"#],
        expression: |m| instant(m).quantile(0.75),
        at: 0,
        closed: Some(2.875),
        left_open: Some(2.875),
    },
    Case {
        name: "a change in the sixteenth digit",
        series: &[r#"m{le="1"} 1000000000000000"#, r#"m{le="2"} 1000000000000001"#, r#"m{le="+Inf"} 1000000000000001"#],
        expression: |m| instant(m).quantile(1.0),
        at: 0,
        closed: Some(2.0),
        left_open: Some(1.0),
    },
    Case {
        name: "a bucket with NaN beside the rank",
        series: &[r#"m{le="1"} 5"#, r#"m{le="2"} NaN"#, r#"m{le="4"} 9"#, r#"m{le="+Inf"} 10"#],
        expression: |m| instant(m).quantile(0.8),
        at: 0,
        closed: None,
        left_open: None,
    },
    Case {
        name: "buckets restart before they are merged",
        series: &[
            r#"m{p="a", le="1"} 0+5x4"#,
            r#"m{p="a", le="+Inf"} 0+10x4"#,
            r#"m{p="b", le="1"} 90 95 0 1 2"#,
            r#"m{p="b", le="+Inf"} 90 100 0 10 20"#,
        ],
        expression: |m| rate(m, 60).by(Operator::Sum, &["le"]).quantile(0.5),
        at: 60,
        closed: Some(1.0),
        left_open: Some(1.0),
    },
];
