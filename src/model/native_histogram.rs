//! Native histograms: buckets whose bounds follow from a schema, so that any two of them merge.
//!
//! In: absolute counts, whether the target counts in integers or floats. Out: sums, differences and resets, by the
//! rules of Prometheus' `FloatHistogram` (`model/histogram/float_histogram.go`). Never here: wire formats, quantiles, and
//! an observation that is counted twice, as Prometheus 3.8 does where the schema and the zero bucket change at once.

mod bounds;

pub use bounds::{bounds, holds_numbers};

use std::borrow::Cow;

use super::is_stale_marker;

/// The state of a native histogram at one moment, or what was observed between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeHistogram {
    /// Resolution, in [`SCHEMA_MIN`]`..=`[`SCHEMA_MAX`]: bucket `i` holds what lies in `(base^(i-1), base^i]` with
    /// `base = 2^(2^-schema)`, so that each power of two has `2^schema` buckets.
    pub schema: i8,
    /// Observations from `-zero_threshold` to `zero_threshold` are in the zero bucket. Finite, not negative.
    pub zero_threshold: f64,
    pub zero_count: f64,
    /// All observations. More than the buckets hold when some were NaN, for those are in none.
    pub count: f64,
    /// NaN when NaN, or both infinities, were observed.
    pub sum: f64,
    pub positive: Buckets,
    /// Buckets by the size of what was observed: bucket `i` holds what lies in `[-base^i, -base^(i-1))`.
    pub negative: Buckets,
}

/// Populated buckets, sorted by index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(Box<[(i32, f64)]>);

/// The coarsest schema: each bucket is 65,536 times as wide as the one before.
pub const SCHEMA_MIN: i8 = -4;
/// The finest schema: 256 buckets for each power of two.
pub const SCHEMA_MAX: i8 = 8;

// === impl NativeHistogram ===

impl NativeHistogram {
    /// Whether this is not a state but the mark that the series ends here.
    pub fn is_stale(&self) -> bool {
        is_stale_marker(self.sum)
    }

    /// Whether all counts are finite numbers. The sum may be NaN all the same.
    pub fn is_finite(&self) -> bool {
        let buckets = self.positive.iter().chain(self.negative.iter());
        [self.count, self.zero_count].into_iter().chain(buckets.map(|(_, count)| count)).all(f64::is_finite)
    }

    /// The observations that are in a bucket: `count` less those that were NaN.
    pub fn in_buckets(&self) -> f64 {
        let total = |buckets: &Buckets| buckets.iter().map(|(_, count)| count).sum::<f64>();
        total(&self.negative) + self.zero_count + total(&self.positive)
    }

    /// Whether the histogram has started anew since `previous`: a count fell, or the buckets became finer, which only
    /// a new start can do.
    pub fn reset_from(&self, previous: &Self) -> bool {
        if self.count < previous.count
            || self.schema > previous.schema
            || self.zero_threshold < previous.zero_threshold
            || previous.threshold_clear_of_buckets(self.zero_threshold) != self.zero_threshold
        {
            return true;
        }
        let previous = previous.reduced(self.zero_threshold, self.schema);
        self.zero_count < previous.zero_count
            || self.positive.fell_from(&previous.positive)
            || self.negative.fell_from(&previous.negative)
    }

    /// Adds the observations of another histogram. The result has the coarser schema and the wider zero bucket of the
    /// two, and the latter wide enough to cut through no bucket.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, 1.0);
    }

    /// Takes the observations of an earlier state away, which leaves what came since; the widths are those of
    /// [`Self::add`]. Whether there was a reset in between is for the caller to see ([`Self::reset_from`]).
    pub fn sub(&mut self, earlier: &Self) {
        self.combine(earlier, -1.0);
    }

    /// Multiplies all counts and the sum, as for a rate.
    pub fn scale(&mut self, factor: f64) {
        for number in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *number *= factor;
        }
        for (_, count) in self.positive.0.iter_mut().chain(self.negative.0.iter_mut()) {
            *count *= factor;
        }
    }

    fn combine(&mut self, other: &Self, sign: f64) {
        let threshold = self.common_threshold(other);
        let schema = self.schema.min(other.schema);
        if let Cow::Owned(reduced) = self.reduced(threshold, schema) {
            *self = reduced;
        }
        let other = other.reduced(threshold, schema);
        self.zero_count += sign * other.zero_count;
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        self.positive = self.positive.combined(&other.positive, sign);
        self.negative = self.negative.combined(&other.negative, sign);
    }

    /// The least zero threshold that both have or can be widened to.
    fn common_threshold(&self, other: &Self) -> f64 {
        let mut threshold = self.zero_threshold.max(other.zero_threshold);
        loop {
            let wider = other.threshold_clear_of_buckets(self.threshold_clear_of_buckets(threshold));
            if wider <= threshold {
                return threshold;
            }
            threshold = wider;
        }
    }

    /// `threshold`, or the end of the populated bucket that it would cut through. The own threshold may cut through
    /// one, for that bucket has only what lies beyond.
    fn threshold_clear_of_buckets(&self, threshold: f64) -> f64 {
        if threshold == self.zero_threshold {
            return threshold;
        }
        let mut clear = threshold;
        for buckets in [&self.positive, &self.negative, &self.positive] {
            let cut = buckets.iter().map(|(index, _)| bounds(self.schema, index));
            clear = cut.filter(|(lower, upper)| *lower < clear && clear < *upper).fold(clear, |_, (_, upper)| upper);
        }
        clear
    }

    /// The same observations with a zero threshold that is not less and cuts through no bucket, and a schema that is
    /// not finer.
    fn reduced(&self, threshold: f64, schema: i8) -> Cow<'_, Self> {
        if threshold == self.zero_threshold && schema == self.schema {
            return Cow::Borrowed(self);
        }
        let mut reduced = self.clone();
        if threshold != self.zero_threshold {
            for buckets in [&mut reduced.positive, &mut reduced.negative] {
                reduced.zero_count += buckets.take_below(threshold, self.schema);
            }
            reduced.zero_threshold = threshold;
        }
        if schema != self.schema {
            let steps = u32::from(self.schema.abs_diff(schema));
            reduced.positive = reduced.positive.merged(steps);
            reduced.negative = reduced.negative.merged(steps);
            reduced.schema = schema;
        }
        Cow::Owned(reduced)
    }
}

// === impl Buckets ===

impl Buckets {
    /// Takes `(index, count)` pairs sorted by index, each index once. Empty buckets are left out.
    pub fn new(sorted: impl IntoIterator<Item = (i32, f64)>) -> Self {
        let buckets: Box<[_]> = sorted.into_iter().filter(|(_, count)| *count != 0.0).collect();
        debug_assert!(buckets.is_sorted_by(|a, b| a.0 < b.0), "{buckets:?}");
        Self(buckets)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, f64)> + '_ {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, index: i32) -> f64 {
        self.0.binary_search_by_key(&index, |(index, _)| *index).map_or(0.0, |at| self.0[at].1)
    }

    fn fell_from(&self, previous: &Self) -> bool {
        previous.iter().any(|(index, count)| self.get(index) < count)
    }

    /// Removes the buckets that lie within the zero bucket, and returns what they held.
    fn take_below(&mut self, threshold: f64, schema: i8) -> f64 {
        let within = self.0.partition_point(|(index, _)| bounds(schema, *index).0 < threshold);
        let taken = self.0[..within].iter().map(|(_, count)| count).sum();
        self.0 = self.0[within..].into();
        taken
    }

    /// The buckets of a schema that is coarser by `steps`: each step joins two neighbours.
    fn merged(&self, steps: u32) -> Self {
        let mut merged: Vec<(i32, f64)> = Vec::with_capacity(self.len());
        for (index, count) in self.iter() {
            let index = (index.saturating_sub(1) >> steps) + 1;
            match merged.last_mut() {
                Some(last) if last.0 == index => last.1 += count,
                _ => merged.push((index, count)),
            }
        }
        Self(merged.into())
    }

    /// These and `sign` times the others.
    fn combined(&self, others: &Self, sign: f64) -> Self {
        let mut combined = Vec::with_capacity(self.len().max(others.len()));
        let mut theirs = others.iter().map(|(index, count)| (index, sign * count)).peekable();
        for (index, count) in self.iter() {
            combined.extend(std::iter::from_fn(|| theirs.next_if(|their| their.0 < index)));
            let same = theirs.next_if(|their| their.0 == index);
            combined.push((index, count + same.map_or(0.0, |their| their.1)));
        }
        combined.extend(theirs);
        Self::new(combined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `schema zero_threshold zero_count | negative | positive` with buckets as `index:count`; count and sum follow.
    fn histogram(text: &str) -> NativeHistogram {
        let parts: Vec<&str> = text.split('|').collect();
        let [head, negative, positive] = parts[..] else { panic!("three parts in {text:?}") };
        let numbers: Vec<f64> = head.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let buckets = |text: &str| {
            Buckets::new(text.split_whitespace().map(|word| {
                let (index, count) = word.split_once(':').expect("index:count");
                (index.parse().expect("an index"), count.parse().expect("a count"))
            }))
        };
        let (negative, positive) = (buckets(negative), buckets(positive));
        let mut histogram = NativeHistogram {
            schema: numbers[0] as i8,
            zero_threshold: numbers[1],
            zero_count: numbers[2],
            count: 0.0,
            sum: 0.0,
            positive,
            negative,
        };
        histogram.count = histogram.in_buckets();
        histogram
    }

    #[test]
    fn bounds_are_powers_of_the_base() {
        for (schema, index, expected) in [
            (0, 0, (0.5, 1.0)),
            (0, 1, (1.0, 2.0)),
            (0, -1, (0.25, 0.5)),
            (1, 1, (1.0, 2_f64.sqrt())),
            (3, 8, (2_f64.powf(0.875), 2.0)),
            (-1, 1, (1.0, 4.0)),
            (-4, 1, (1.0, 65536.0)),
            (-4, 0, (1.0 / 65536.0, 1.0)),
            (0, 1024, (2_f64.powi(1023), f64::MAX)),
            (0, 1025, (f64::MAX, f64::INFINITY)),
            (8, 1024 << 8, (2_f64.powf(1024.0 - 1.0 / 256.0), f64::MAX)),
            (-4, 64, (2_f64.powi(1008), f64::MAX)),
            (-4, 65, (f64::MAX, f64::INFINITY)),
            (0, -1073, (f64::from_bits(1), f64::from_bits(2))),
            (0, -1074, (0.0, f64::from_bits(1))),
        ] {
            let (lower, upper) = bounds(schema, index);
            let near = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-13 * b.abs();
            assert!(near(lower, expected.0) && near(upper, expected.1), "{schema} {index}: {lower} {upper}");
        }
    }

    #[test]
    fn only_buckets_that_can_hold_a_number_count_as_such() {
        for (schema, last) in [(0, 1025), (8, (1024 << 8) + 1), (-4, 65), (3, (1024 << 3) + 1)] {
            assert!(holds_numbers(schema, last) && !holds_numbers(schema, last + 1), "{schema}");
            assert!(holds_numbers(schema, 0) && !holds_numbers(schema, -(1076 << 8)), "{schema}");
            assert!(!holds_numbers(schema, i64::MAX) && !holds_numbers(schema, i64::MIN), "{schema}");
        }
    }

    #[test]
    fn sums_have_the_coarser_schema_and_the_wider_zero_bucket() {
        for (statement, one, other, expected) in [
            ("alike", "0 0 1 | 1:2 | 1:3 3:1", "0 0 2 || 1:1 2:5", "0 0 3 | 1:2 | 1:4 2:5 3:1"),
            ("two buckets become one", "1 0 0 || 1:1 2:2 3:4 4:8", "0 0 0 || 1:1", "0 0 0 || 1:4 2:12"),
            ("below one as well", "1 0 0 || -2:1 -1:2 0:4 1:8", "0 0 0 ||", "0 0 0 || -1:1 0:6 1:8"),
            ("negative schemas", "0 0 0 || 1:1 2:2 3:4", "-1 0 0 || 1:1", "-1 0 0 || 1:4 2:4"),
            ("zero takes what it covers", "0 0 1 | 0:7 | -1:1 0:2 1:4", "0 1 2 || 2:1", "0 1 13 || 1:4 2:1"),
            ("zero is widened to the end of a bucket", "0 0 1 || 1:4 2:8", "0 1.5 2 ||", "0 2 7 || 2:8"),
            ("the end of a negative bucket too", "0 0 1 | 1:4 | 2:8", "0 1.5 2 ||", "0 2 7 || 2:8"),
            ("ends chase each other", "0 0 1 | 2:4 | 1:8 3:1", "-1 1.5 2 || 1:4", "-1 4 19 || 2:1"),
            ("an own threshold within a bucket may stay", "0 1.5 1 || 1:4", "0 1.5 1 || 1:1", "0 1.5 2 || 1:5"),
        ] {
            let (one, other, expected) = (histogram(one), histogram(other), histogram(expected));
            let mut sum = one.clone();
            sum.add(&other);
            assert_eq!(sum, expected, "{statement}");
            let mut sum = other.clone();
            sum.add(&one);
            assert_eq!(sum, expected, "{statement}, the other way round");
        }
    }

    #[test]
    fn a_difference_leaves_what_came_since() {
        let mut later = histogram("0 0 3 | 1:2 | 1:4 2:5 3:1");
        later.sum = 40.0;
        let mut earlier = histogram("1 0 1 || 1:1 2:1 3:5");
        earlier.sum = 15.0;
        later.sub(&earlier);
        let mut expected = histogram("0 0 2 | 1:2 | 1:2 3:1");
        expected.sum = 25.0;
        assert_eq!(later, expected, "the bucket that did not grow is gone");
    }

    #[test]
    fn resets_show_in_counts_and_widths() {
        for (statement, now, before, reset) in [
            ("nothing happened", "0 0 1 | 1:1 | 1:2", "0 0 1 | 1:1 | 1:2", false),
            ("all grew", "0 0 2 | 1:2 | 1:3 2:1", "0 0 1 | 1:1 | 1:2", false),
            ("the count fell", "0 0 0 || 1:2", "0 0 1 || 1:2", true),
            ("a bucket fell, another rose", "0 0 0 || 1:1 2:5", "0 0 0 || 1:2", true),
            ("a bucket is gone", "0 0 0 || 2:5", "0 0 0 || 1:2", true),
            ("a negative bucket fell", "0 0 0 | 1:1 | 2:5", "0 0 0 | 1:2 |", true),
            ("the zero bucket fell", "0 0 1 || 2:5", "0 0 2 ||", true),
            ("a finer schema", "1 0 1 || 2:5", "0 0 1 ||", true),
            ("a coarser schema", "0 0 1 || 1:5", "1 0 1 || 1:2 2:3", false),
            ("a coarser schema with less in a bucket", "0 0 1 || 1:4 2:9", "1 0 1 || 1:2 2:3", true),
            ("a narrower zero bucket", "0 1 1 || 2:5", "0 2 1 ||", true),
            ("a wider zero bucket", "0 1 3 || 1:5", "0 0 1 || 0:2 1:5", false),
            ("a wider zero bucket that lost what it took", "0 1 2 || 1:6", "0 0 1 || 0:2 1:5", true),
            ("a zero bucket that ends within a bucket", "0 1.5 9 || 1:5", "0 0 1 || 1:5", true),
        ] {
            assert_eq!(histogram(now).reset_from(&histogram(before)), reset, "{statement}");
        }
    }

    #[test]
    fn scaling_keeps_the_shape() {
        let mut scaled = histogram("0 0 2 | 1:4 | 3:6");
        scaled.scale(0.5);
        assert_eq!(scaled, histogram("0 0 1 | 1:2 | 3:3"));
    }

    #[test]
    fn stale_markers_and_counts_that_are_no_numbers_are_told() {
        let mut histogram = histogram("0 0 2 | 1:4 | 3:6");
        assert!(histogram.is_finite() && !histogram.is_stale());
        histogram.sum = f64::NAN;
        assert!(histogram.is_finite() && !histogram.is_stale());
        histogram.sum = f64::from_bits(0x7ff0_0000_0000_0002);
        assert!(histogram.is_stale());
        histogram.scale(f64::INFINITY);
        assert!(!histogram.is_finite());
    }

    /// Integer counts: their sums are exact, so that equality is too.
    fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
        let buckets = || prop::collection::btree_map(-40..40_i32, 1..100_u8, 0..8);
        let threshold = prop_oneof![Just(0.0), Just(0.001), Just(1.0), 0.0..50.0];
        (-4..=8_i8, threshold, 0..9_u8, buckets(), buckets(), -50..50_i8).prop_map(
            |(schema, zero_threshold, zero, positive, negative, sum)| {
                let beyond = |buckets: std::collections::BTreeMap<i32, u8>| {
                    let counts = buckets.into_iter().map(|(index, count)| (index, f64::from(count)));
                    Buckets::new(counts.filter(|(index, _)| bounds(schema, *index).0 >= zero_threshold))
                };
                let mut histogram = NativeHistogram {
                    schema,
                    zero_threshold,
                    zero_count: f64::from(zero),
                    count: 0.0,
                    sum: f64::from(sum),
                    positive: beyond(positive),
                    negative: beyond(negative),
                };
                histogram.count = histogram.in_buckets();
                histogram
            },
        )
    }

    proptest! {
        #[test]
        fn sums_commute_and_lose_no_observation(one in any_histogram(), other in any_histogram()) {
            let (mut a, mut b) = (one.clone(), other.clone());
            a.add(&other);
            b.add(&one);
            prop_assert_eq!(&a, &b);
            prop_assert_eq!(a.in_buckets(), one.count + other.count);
            prop_assert_eq!(a.count, a.in_buckets());
            prop_assert!(a.positive.0.is_sorted_by(|a, b| a.0 < b.0));
        }

        #[test]
        fn what_was_added_is_what_a_difference_gives_and_growth_is_no_reset(one in any_histogram(), more in any_histogram()) {
            let mut later = one.clone();
            later.add(&more);
            prop_assert!(!later.reset_from(&one));
            if more.count > 0.0 {
                prop_assert!(one.reset_from(&later));
            }
            let mut since = later.clone();
            since.sub(&one);
            let widened = more.reduced(later.zero_threshold, later.schema).into_owned();
            prop_assert_eq!(since, widened);
        }
    }
}
