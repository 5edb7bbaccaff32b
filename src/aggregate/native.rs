//! Quantiles of native histograms.
//!
//! In: a histogram of what was observed, merged over all who observed. Out: the bucket that holds the quantile, and an
//! estimate within it by the rules of Prometheus 3 (`promql/quantile.go`). Never here: an estimate that is no finite
//! number.

use std::ops::ControlFlow;

use super::Absence;
use crate::model::NativeHistogram;
use crate::model::native_histogram::bounds;

/// An estimate and the bucket it was made in: the true quantile lies in `lower..=upper` as the estimate does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeQuantile {
    pub value: f64,
    pub lower: f64,
    pub upper: f64,
}

/// A bucket with its observations.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

/// Sums of fractions differ in their last digits by the order of summing. Less than this of the observations may be
/// missing from the buckets before it means something.
const ROUNDING: f64 = 1e-9;

/// The quantile `q`, from 0 to 1. From the median on the rank is counted from the largest observation down, before it
/// from the smallest up, as in Prometheus; always up when there are observations that are not a number, which count as
/// larger than all others.
///
/// # Errors
/// [`Absence::NoObservations`]; [`Absence::Histogram`] when the rank falls among observations that are NaN or infinite,
/// or counts are not finite.
pub fn quantile(histogram: &NativeHistogram, q: f64) -> Result<NativeQuantile, Absence> {
    if !histogram.is_finite() {
        return Err(Absence::Histogram("the histogram has counts that are not finite".into()));
    }
    if histogram.count <= 0.0 {
        return Err(Absence::NoObservations("the histogram did not grow"));
    }
    let upwards = histogram.sum.is_nan() || q < 0.5;
    let before = if upwards { q } else { 1.0 - q };
    let rank = before * histogram.count;
    let located = if upwards { locate(buckets(histogram), rank) } else { locate(buckets(histogram).rev(), rank) };
    let (bucket, share) = located.ok_or_else(|| {
        Absence::Histogram("the quantile falls among observations that are in no bucket, as NaN is".into())
    })?;
    if !bucket.lower.is_finite() || !bucket.upper.is_finite() {
        return Err(Absence::Histogram("the quantile falls among infinite observations".into()));
    }
    let Bucket { lower, upper, .. } = bucket;
    let share = if upwards { share } else { 1.0 - share };
    let value = interpolate(likely(bucket, histogram), share).clamp(lower, upper);
    Ok(NativeQuantile { value, lower, upper })
}

/// The populated buckets from the lowest to the highest.
fn buckets(histogram: &NativeHistogram) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
    let NativeHistogram { schema, zero_threshold, .. } = *histogram;
    // What is in the zero bucket is in no other, even where their bounds overlap.
    let beyond_zero = move |(index, count): (i32, f64)| {
        let (lower, upper) = bounds(schema, index);
        Bucket { lower: lower.max(zero_threshold).min(upper), upper, count }
    };
    let mirrored = |bucket: Bucket| Bucket { lower: -bucket.upper, upper: -bucket.lower, ..bucket };
    let negative = histogram.negative.iter().rev().map(beyond_zero).map(mirrored);
    let positive = histogram.positive.iter().map(beyond_zero);
    let zero = Bucket { lower: -zero_threshold, upper: zero_threshold, count: histogram.zero_count };
    negative.chain([zero]).chain(positive).filter(|bucket| bucket.count > 0.0)
}

/// The part of a bucket to make the estimate in: where all other observations are on one side of zero, those in the
/// zero bucket likely are too.
fn likely(bucket: Bucket, histogram: &NativeHistogram) -> Bucket {
    match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
        (true, false) if bucket.lower < 0.0 => Bucket { lower: 0.0, ..bucket },
        (false, true) if bucket.upper > 0.0 => Bucket { upper: 0.0, ..bucket },
        _ => bucket,
    }
}

/// The bucket that holds the rank in this order, and the share of the bucket up to the rank, from 0 to 1.
fn locate(mut buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let start = (0.0, None);
    let walked = buckets.try_fold(start, |(before, _), bucket| {
        let through = before + bucket.count;
        if through >= rank {
            let share = ((rank - before) / bucket.count).clamp(0.0, 1.0);
            return ControlFlow::Break((bucket, share));
        }
        ControlFlow::Continue((through, Some(bucket)))
    });
    match walked {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue((total, last)) => {
            last.filter(|_| total >= rank * (1.0 - ROUNDING)).map(|last| (last, 1.0))
        }
    }
}

/// The place in a bucket below which `share` of its observations lie: evenly spread over the logarithms, as the
/// buckets are, and evenly over the numbers where the bucket reaches zero.
fn interpolate(Bucket { lower, upper, .. }: Bucket, share: f64) -> f64 {
    if lower <= 0.0 && upper >= 0.0 {
        return lower + (upper - lower) * share;
    }
    let (near, far) = (lower.abs().log2(), upper.abs().log2());
    lower.signum() * (near + (far - near) * share).exp2()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Buckets;
    use proptest::prelude::*;

    /// The histogram that a client makes of observations.
    fn observed(schema: i8, zero_threshold: f64, observations: &[f64]) -> NativeHistogram {
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut zero_count = 0.0;
        for &value in observations.iter().filter(|value| !value.is_nan()) {
            if value.abs() <= zero_threshold {
                zero_count += 1.0;
            } else {
                *sides[usize::from(value < 0.0)].entry(index(schema, value.abs())).or_insert(0.0) += 1.0;
            }
        }
        let [positive, negative] = sides.map(Buckets::new);
        let (count, sum) = (observations.len() as f64, observations.iter().sum());
        NativeHistogram { schema, zero_threshold, zero_count, count, sum, positive, negative }
    }

    /// The bucket of a size, from its logarithm; where that is not exact, the neighbour.
    fn index(schema: i8, size: f64) -> i32 {
        let infinite = 1024.0 * f64::from(schema).exp2() + 1.0;
        let near = (size.log2() * f64::from(schema).exp2()).ceil().min(infinite) as i32;
        let holds = |index: &i32| bounds(schema, *index).0 < size && size <= bounds(schema, *index).1;
        [near, near - 1, near + 1].into_iter().find(holds).expect("a bucket beside")
    }

    /// The observation at the rank, by the rule of [`quantile`]; sorted, NaN last.
    fn true_quantile(observations: &[f64], q: f64) -> f64 {
        let mut sorted = observations.to_vec();
        sorted.sort_by(|a, b| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        let upwards = q < 0.5 || sorted.iter().any(|value| value.is_nan());
        if !upwards {
            sorted.reverse();
        }
        let before = if upwards { q } else { 1.0 - q };
        let rank = (before * sorted.len() as f64).ceil().max(1.0);
        sorted[rank as usize - 1]
    }

    fn check(histogram: &NativeHistogram, q: f64, value: f64, bucket: (f64, f64)) {
        let found = quantile(histogram, q).expect("a quantile");
        let near = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-12 * b.abs();
        assert!(near(found.value, value), "q={q}: {found:?}, expected {value}");
        assert!(near(found.lower, bucket.0) && near(found.upper, bucket.1), "q={q}: {found:?}, expected {bucket:?}");
    }

    #[test]
    fn estimates_lie_evenly_on_a_logarithmic_scale() {
        // One observation in (0.5, 1], two in (1, 2], one in (2, 4].
        let histogram = observed(0, 0.001, &[0.7, 1.1, 1.7, 3.0]);
        check(&histogram, 0.125, 0.5 * 2_f64.sqrt(), (0.5, 1.0));
        check(&histogram, 0.25, 1.0, (0.5, 1.0));
        check(&histogram, 0.5, 2_f64.sqrt(), (1.0, 2.0));
        check(&histogram, 0.9, 2.0 * 2_f64.powf(0.6), (2.0, 4.0));
        check(&histogram, 0.0, 0.5, (0.5, 1.0));
        check(&histogram, 1.0, 4.0, (2.0, 4.0));
    }

    #[test]
    fn negative_buckets_mirror_positive_ones() {
        let observations = [0.7, 1.1, 1.7, 3.0, 9.0];
        let negative = observations.map(|value| -value);
        for q in [0.1, 0.3, 0.7, 0.9] {
            let up = quantile(&observed(1, 0.0, &observations), q).expect("a quantile");
            check(&observed(1, 0.0, &negative), 1.0 - q, -up.value, (-up.upper, -up.lower));
        }
    }

    #[test]
    fn estimates_in_the_zero_bucket_are_linear_and_on_the_side_of_the_other_observations() {
        let zeros = [0.0, 0.0, 0.0, 0.0];
        check(&observed(0, 2.0, &zeros), 0.25, -1.0, (-2.0, 2.0));
        check(&observed(0, 2.0, &[&zeros[..], &[3.0]].concat()), 0.2, 0.5, (-2.0, 2.0));
        check(&observed(0, 2.0, &[&zeros[..], &[-3.0]].concat()), 0.8, -0.5, (-2.0, 2.0));
        check(&observed(0, 2.0, &[&zeros[..], &[-3.0, 3.0]].concat()), 0.5, 0.0, (-2.0, 2.0));
    }

    #[test]
    fn a_zero_bucket_that_ends_within_a_bucket_leaves_it_the_rest() {
        check(&observed(0, 1.5, &[1.7, 1.8]), 0.25, 1.5 * (2.0_f64 / 1.5).powf(0.25), (1.5, 2.0));
    }

    #[test]
    fn nan_counts_as_larger_than_all_numbers_and_is_never_the_answer() {
        let histogram = observed(0, 0.0, &[0.7, 1.1, f64::NAN, f64::NAN]);
        check(&histogram, 0.25, 1.0, (0.5, 1.0));
        check(&histogram, 0.5, 2.0, (1.0, 2.0));
        for (q, observations) in [(0.51, &[0.7, 1.1, f64::NAN, f64::NAN][..]), (0.0, &[f64::NAN]), (1.0, &[f64::NAN])] {
            let found = quantile(&observed(0, 0.0, observations), q);
            assert!(matches!(found, Err(Absence::Histogram(_))), "{found:?}");
        }
    }

    #[test]
    fn infinite_observations_are_never_the_answer() {
        let histogram = observed(0, 0.0, &[1.0, f64::INFINITY]);
        check(&histogram, 0.25, 0.5 * 2_f64.sqrt(), (0.5, 1.0));
        assert!(matches!(quantile(&histogram, 0.9), Err(Absence::Histogram(_))));
        check(&observed(0, 0.0, &[f64::MAX]), 1.0, f64::MAX, (2_f64.powi(1023), f64::MAX));
    }

    #[test]
    fn without_observations_there_is_no_quantile() {
        assert!(matches!(quantile(&observed(0, 0.1, &[]), 0.5), Err(Absence::NoObservations(_))));
        let mut broken = observed(0, 0.1, &[1.0]);
        broken.count = f64::NAN;
        assert!(matches!(quantile(&broken, 0.5), Err(Absence::Histogram(_))));
    }

    #[test]
    fn a_count_that_differs_from_the_buckets_by_rounding_does_no_harm() {
        let mut histogram = observed(0, 0.0, &[1.7, 3.0]);
        histogram.count *= 1.0 + 1e-12;
        check(&histogram, 0.0, 1.0, (1.0, 2.0));
        check(&histogram, 1.0, 4.0, (2.0, 4.0));
        histogram.sum = f64::NAN;
        check(&histogram, 1.0, 4.0, (2.0, 4.0));
    }

    fn any_observations() -> impl Strategy<Value = Vec<f64>> {
        let number = prop_oneof![
            8 => (-300.0..300.0_f64).prop_map(f64::exp2),
            4 => 0.1..10.0_f64,
            4 => -10.0..-0.1_f64,
            2 => Just(0.0),
            1 => (0..40_i32).prop_map(|exponent| 2_f64.powi(exponent - 20)),
            1 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
        ];
        prop::collection::vec(number, 1..60)
    }

    proptest! {
        #[test]
        fn the_true_quantile_lies_in_the_bucket_of_the_estimate(
            schema in -4..=8_i8,
            zero_threshold in prop_oneof![Just(0.0), Just(2_f64.powi(-128)), 0.0..2.0],
            mut observations in any_observations(),
            nan in 0..4_usize,
            q in 0.0..=1.0_f64,
        ) {
            observations.extend(std::iter::repeat_n(f64::NAN, nan));
            let histogram = observed(schema, zero_threshold, &observations);
            // A sum of large numbers can be infinite, but is NaN only with NaN among them.
            prop_assume!(histogram.sum.is_nan() == (nan > 0));
            let truth = true_quantile(&observations, q);
            match quantile(&histogram, q) {
                Ok(found) => {
                    prop_assert!(found.lower <= found.value && found.value <= found.upper, "{found:?}");
                    prop_assert!(found.lower <= truth && truth <= found.upper, "{truth} not in {found:?}");
                }
                Err(absence) => prop_assert!(truth.is_nan(), "{truth}: {absence}"),
            }
        }

        #[test]
        fn merged_histograms_tell_the_quantile_of_all_observations(
            one in (-4..=8_i8, any_observations()), other in (-4..=8_i8, any_observations()), q in 0.0..=1.0_f64,
        ) {
            let mut merged = observed(one.0, 0.0, &one.1);
            merged.add(&observed(other.0, 1e-3, &other.1));
            prop_assume!(!merged.sum.is_nan());
            let truth = true_quantile(&[one.1, other.1].concat(), q);
            let found = quantile(&merged, q).expect("a quantile");
            prop_assert!(found.lower <= truth && truth <= found.upper, "{truth} not in {found:?}");
        }
    }
}
