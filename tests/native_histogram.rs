//! Native histograms against figures of Prometheus' own code: 60 pairs of random histograms and what
//! `FloatHistogram.Add`, `Sub` and `DetectReset` (`model/histogram`) and `promql.HistogramQuantile` of Prometheus 3.8
//! make of them.

use plimsoll::aggregate::native::quantile;
use plimsoll::model::{Buckets, NativeHistogram};
use serde::Deserialize;

const CASES: &str = include_str!("fixtures/native-histograms.jsonl");

/// `reset` is whether `b` starts anew after `a`; `difference` is `b` less `a`.
#[derive(Deserialize)]
struct Case {
    a: Histogram,
    b: Histogram,
    sum: Histogram,
    difference: Histogram,
    reset: bool,
    /// Of `a`.
    quantiles: Vec<Quantile>,
}

/// Buckets are pairs of index and count.
#[derive(Deserialize)]
struct Histogram {
    schema: i8,
    /// As text, for `serde_json` rounds numbers in its own way.
    zero_threshold: String,
    zero_count: f64,
    count: f64,
    sum: f64,
    positive: Vec<(f64, f64)>,
    negative: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Quantile {
    q: f64,
    value: f64,
}

// === impl Case ===

impl Case {
    fn all() -> Vec<Self> {
        CASES.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
    }
}

// === impl Histogram ===

impl Histogram {
    fn model(&self) -> NativeHistogram {
        let buckets = |pairs: &[(f64, f64)]| Buckets::new(pairs.iter().map(|(index, count)| (*index as i32, *count)));
        let Self { schema, zero_count, count, sum, .. } = *self;
        let zero_threshold = self.zero_threshold.parse().expect("a number");
        let (positive, negative) = (buckets(&self.positive), buckets(&self.negative));
        NativeHistogram { schema, zero_threshold, zero_count, count, sum, positive, negative }
    }
}

/// Where one change makes a histogram coarser and widens its zero bucket, Prometheus counts what went into the zero
/// bucket in the coarser bucket as well, and so adds it twice or takes growth for a reset. Ours does not.
fn counted_twice(from: &Histogram, to: &Histogram) -> bool {
    from.schema > to.schema && from.model().zero_threshold < to.model().zero_threshold
}

#[test]
fn sums_and_differences_are_those_of_prometheus() {
    let mut count = 0;
    for Case { a, b, sum, difference, .. } in Case::all() {
        if !counted_twice(&b, &sum) {
            let mut added = a.model();
            added.add(&b.model());
            assert_eq!(added, sum.model());
            count += 1;
        }
        if !counted_twice(&a, &difference) {
            let mut subtracted = b.model();
            subtracted.sub(&a.model());
            assert_eq!(subtracted, difference.model());
            count += 1;
        }
    }
    assert!(count > 90, "{count}");
}

#[test]
fn resets_are_seen_where_prometheus_sees_them() {
    let mut cases = Case::all();
    cases.retain(|case| !counted_twice(&case.a, &case.b));
    for Case { a, b, reset, .. } in &cases {
        assert_eq!(b.model().reset_from(&a.model()), *reset, "{:?} after {:?}", b.model(), a.model());
    }
    assert!(cases.iter().any(|case| case.reset) && cases.iter().any(|case| !case.reset));
}

#[test]
fn quantiles_are_those_of_prometheus() {
    let mut count = 0;
    for Case { a, quantiles, .. } in Case::all() {
        for Quantile { q, value } in quantiles {
            let found = quantile(&a.model(), q).unwrap_or_else(|absence| panic!("{absence}"));
            let near = (found.value - value).abs() <= 1e-12 * value.abs().max(1e-30);
            assert!(near, "q={q}: {found:?}, expected {value} in {:?}", a.model());
            count += 1;
        }
    }
    assert!(count > 250, "{count}");
}
