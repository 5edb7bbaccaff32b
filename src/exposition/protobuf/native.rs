//! The native buckets of a histogram message, checked as Prometheus checks them (`histogram.Validate`).
//!
//! In: spans that say which buckets there are, and their counts, as differences of integers or as floats. Out: absolute
//! counts by index. Never here: more buckets than there are counts in the message, whatever the spans claim.

use super::wire::{self, Content};
use crate::exposition::{ErrorKind, Fault};
use crate::model::native_histogram::{SCHEMA_MAX, SCHEMA_MIN, holds_numbers};
use crate::model::{Buckets, NativeHistogram};

/// The fields of a histogram message that concern its native buckets. Vectors are kept from one histogram to the next.
#[derive(Default)]
pub(super) struct Native {
    schema: i64,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    positive: Side,
    negative: Side,
}

/// Positive or negative buckets.
#[derive(Default)]
pub(super) struct Side {
    /// Gap before, and number of buckets.
    spans: Vec<(i64, u64)>,
    /// Difference of each count to the one before.
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Buckets of one side. Clients keep to some hundred; all numbers there are would take half a million.
const BUCKETS_MAX: usize = 1 << 16;

// === impl Native ===

impl Native {
    pub(super) fn clear(&mut self) {
        for side in [&mut self.positive, &mut self.negative] {
            side.spans.clear();
            side.deltas.clear();
            side.counts.clear();
        }
        let (positive, negative) = (std::mem::take(&mut self.positive), std::mem::take(&mut self.negative));
        *self = Self { positive, negative, ..Self::default() };
    }

    /// Takes a field of a `Histogram` if it is one of these.
    pub(super) fn read(&mut self, number: u64, content: Content<'_>) -> Result<(), Fault> {
        match number {
            5 => self.schema = wire::signed(content.varint()?),
            6 => self.zero_threshold = content.double()?,
            7 => self.zero_count = content.varint()?,
            8 => self.zero_count_float = content.double()?,
            9 => self.negative.push_span(content.bytes()?)?,
            10 => self.negative.push_deltas(content)?,
            11 => self.negative.push_counts(content)?,
            12 => self.positive.push_span(content.bytes()?)?,
            13 => self.positive.push_deltas(content)?,
            14 => self.positive.push_counts(content)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether the histogram has native buckets, by the rule of Prometheus: one without observations and with a zero
    /// threshold of zero says so with an empty span.
    pub(super) fn is_there(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
    }

    /// The histogram with `count` observations, of which `float` is the count as floating-point number if it is one.
    pub(super) fn build(&self, count: u64, float: f64, sum: f64) -> Result<NativeHistogram, Fault> {
        let schema = i8::try_from(self.schema).ok().filter(|schema| (SCHEMA_MIN..=SCHEMA_MAX).contains(schema));
        let schema = schema.ok_or_else(|| {
            refusal(format!("expected a schema from {SCHEMA_MIN} to {SCHEMA_MAX}, found {}", self.schema))
        })?;
        if !(0.0..f64::INFINITY).contains(&self.zero_threshold) {
            return Err(refusal(format!("expected a finite zero threshold, found {}", self.zero_threshold)));
        }
        if float > 0.0 || self.zero_count_float > 0.0 {
            self.floats(schema, float, sum)
        } else {
            self.integers(schema, count, sum)
        }
    }

    fn floats(&self, schema: i8, count: f64, sum: f64) -> Result<NativeHistogram, Fault> {
        let positive = self.positive.buckets(schema, self.positive.counts.iter().copied())?;
        let negative = self.negative.buckets(schema, self.negative.counts.iter().copied())?;
        let all = self.positive.counts.iter().chain(&self.negative.counts).chain([&self.zero_count_float, &count]);
        if let Some(bad) = all.copied().find(|count| !(0.0..f64::INFINITY).contains(count)) {
            return Err(refusal(format!("expected counts that are finite and not negative, found {bad}")));
        }
        let (zero_threshold, zero_count) = (self.zero_threshold, self.zero_count_float);
        Ok(NativeHistogram { schema, zero_threshold, zero_count, count, sum, positive, negative })
    }

    fn integers(&self, schema: i8, count: u64, sum: f64) -> Result<NativeHistogram, Fault> {
        let mut in_buckets = u128::from(self.zero_count);
        for side in [&self.positive, &self.negative] {
            in_buckets += side.total()?;
        }
        // Observations that are NaN are in no bucket, and make the sum NaN.
        let fits = in_buckets == u128::from(count) || sum.is_nan() && in_buckets < u128::from(count);
        if !fits {
            return Err(refusal(format!(
                "expected {count} observations as its count says, found {in_buckets} in buckets"
            )));
        }
        let (zero_threshold, zero_count) = (self.zero_threshold, self.zero_count as f64);
        let positive = self.positive.buckets(schema, self.positive.absolute())?;
        let negative = self.negative.buckets(schema, self.negative.absolute())?;
        Ok(NativeHistogram { schema, zero_threshold, zero_count, count: count as f64, sum, positive, negative })
    }
}

// === impl Side ===

impl Side {
    fn push_span(&mut self, message: &[u8]) -> Result<(), Fault> {
        let (mut offset, mut length) = (0, 0);
        for field in wire::Fields::of(message) {
            match field? {
                (1, content) => offset = wire::signed(content.varint()?),
                (2, content) => length = content.varint()?,
                _ => {}
            }
        }
        self.spans.push((offset, length));
        bounded(self.spans.len())
    }

    fn push_deltas(&mut self, content: Content<'_>) -> Result<(), Fault> {
        for delta in wire::varints(content) {
            self.deltas.push(wire::signed(delta?));
            bounded(self.deltas.len())?;
        }
        Ok(())
    }

    fn push_counts(&mut self, content: Content<'_>) -> Result<(), Fault> {
        for count in wire::doubles(content) {
            self.counts.push(count?);
            bounded(self.counts.len())?;
        }
        Ok(())
    }

    /// The sum of all counts that the differences lead to.
    fn total(&self) -> Result<u128, Fault> {
        let (mut count, mut total) = (0_i64, 0);
        for delta in &self.deltas {
            let next = count.checked_add(*delta).and_then(|count| u64::try_from(count).ok());
            let next = next.ok_or_else(|| {
                refusal(format!("expected counts that are not negative, found the difference {delta} behind {count}"))
            })?;
            total += u128::from(next);
            count = next as i64;
        }
        Ok(total)
    }

    /// The counts that the differences lead to, for which [`Self::total`] found no fault.
    fn absolute(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        let mut count = 0_i64;
        self.deltas.iter().map(move |delta| {
            count = count.wrapping_add(*delta);
            count as f64
        })
    }

    fn buckets(&self, schema: i8, mut counts: impl ExactSizeIterator<Item = f64>) -> Result<Buckets, Fault> {
        let there = counts.len();
        let mut buckets = Vec::new();
        let mut next = 0_i64;
        for (at, (gap, length)) in self.spans.iter().enumerate() {
            if at > 0 && *gap < 0 {
                return Err(refusal(format!("expected spans in order, found the offset {gap} in span {}", at + 1)));
            }
            next = next.saturating_add(*gap);
            for _ in 0..*length {
                let count = counts.next().ok_or_else(|| self.mismatch(there))?;
                let index = i32::try_from(next).ok().filter(|index| holds_numbers(schema, i64::from(*index)));
                let index = index.ok_or_else(|| {
                    refusal(format!("expected buckets for numbers that exist, found bucket {next} of schema {schema}"))
                })?;
                buckets.push((index, count));
                next += 1;
            }
        }
        if counts.len() > 0 { Err(self.mismatch(there)) } else { Ok(Buckets::new(buckets)) }
    }

    fn mismatch(&self, there: usize) -> Fault {
        let claimed = self.spans.iter().map(|(_, length)| u128::from(*length)).sum::<u128>();
        refusal(format!("expected counts for {claimed} buckets as its spans say, found {there}"))
    }
}

fn bounded(count: usize) -> Result<(), Fault> {
    if count <= BUCKETS_MAX {
        Ok(())
    } else {
        Err(refusal(format!("expected up to {BUCKETS_MAX} buckets, found more")))
    }
}

#[cold]
fn refusal(message: String) -> Fault {
    Fault::new(ErrorKind::Syntax, message)
}
