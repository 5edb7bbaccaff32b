//! What generated series do not reach; the engines' numbers are compared in `tests/promql.rs`.

use super::*;
use RangeBoundary::{Closed, LeftOpen};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
const NOW: Timestamp = Timestamp(60_000);

/// One sample every 15 s, the last at `NOW`.
fn samples(values: &[f64]) -> Vec<Sample> {
    let back = |number: usize| Duration::from_secs(15) * (values.len() - 1 - number) as u32;
    values
        .iter()
        .enumerate()
        .map(|(number, value)| Sample { timestamp: NOW.minus(back(number)), value: *value })
        .collect()
}

fn values(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.value).collect()
}

fn quantile(q: f64, buckets: &[(f64, f64)]) -> [Option<Quantile>; 2] {
    let buckets = buckets.iter().map(|&(le, count)| Bucket { le, count });
    [Closed, LeftOpen].map(|boundary| histogram_quantile(q, buckets.clone(), boundary))
}

#[test]
fn a_range_holds_what_lies_within_and_no_stale_markers() {
    let page = samples(&[1.0, 2.0, STALE, 4.0, 5.0]);
    let within = |window, boundary| values(&range(page.iter().copied(), NOW, Duration::from_secs(window), boundary));
    assert_eq!(within(60, Closed), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(within(60, LeftOpen), [2.0, 4.0, 5.0]);
    assert_eq!(within(44, Closed), [4.0, 5.0]);
    let earlier = range(page.iter().copied(), NOW.minus(Duration::from_millis(1)), Duration::from_secs(60), Closed);
    assert_eq!(values(&earlier), [1.0, 2.0, 4.0]);
}

#[test]
fn a_sample_of_the_future_is_not_the_newest() {
    let page = samples(&[1.0, 2.0, 3.0]);
    let earlier = NOW.minus(Duration::from_secs(1));
    assert_eq!(last(page.iter().copied(), earlier, LOOKBACK, LeftOpen), Some(page[1]));
}

#[test]
fn nothing_is_not_zero() {
    for boundary in [Closed, LeftOpen] {
        assert_eq!(rate([], NOW, LOOKBACK, boundary), None);
        assert_eq!(increase(samples(&[7.0]), NOW, LOOKBACK, boundary), None);
        assert_eq!(last([], NOW, LOOKBACK, boundary), None);
        assert_eq!((sum([], boundary), max([]), avg([], boundary)), (None, None, None));
        assert_eq!(histogram_quantile(0.5, [], boundary), None);
    }
}

#[test]
fn a_quantile_above_the_highest_bound_says_so() {
    let (inf, buckets) = (f64::INFINITY, [(1.0, 90.0), (f64::INFINITY, 100.0)]);
    let at = |value, saturated| [Some(Quantile { value, saturated }); 2];
    assert_eq!(quantile(0.9, &buckets), at(1.0, false));
    assert_eq!(quantile(0.91, &buckets), at(1.0, true));
    assert_eq!(quantile(-0.1, &buckets), at(-inf, false));
    assert_eq!(quantile(1.1, &buckets), at(inf, false));
}

#[test]
fn a_quantile_that_is_no_number_is_none() {
    let inf = f64::INFINITY;
    assert_eq!(quantile(f64::NAN, &[(1.0, 1.0), (inf, 1.0)]), [None; 2]);
    assert_eq!(quantile(0.5, &[(1.0, 1.0), (f64::NAN, 1.0)]), [None; 2]);
    assert_eq!(quantile(0.5, &[(1.0, 0.0), (inf, 0.0)]), [None; 2]);
    assert_eq!(quantile(0.0, &[(1.0, 0.0), (2.0, 1.0), (inf, 1.0)]), [None; 2]);
}

#[test]
fn beside_zero_only_what_is_next_to_nothing_is_equal() {
    assert!(almost_equal(1.0, 1.0 + 1e-12) && !almost_equal(1.0, 1.0 + 1e-11));
    assert!(almost_equal(0.0, 5e-324) && !almost_equal(0.0, 1e-300));
    assert!(almost_equal(f64::NAN, f64::NAN) && !almost_equal(f64::NAN, 1.0));
    assert!(!almost_equal(f64::MAX, f64::MAX / 2.0));
}
