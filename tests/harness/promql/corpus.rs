//! Generated series, the same in every run: what real targets do to their series, and what none should.
//!
//! Regular and irregular scrapes on and off the edges of ranges, late starts, early ends, gaps, each with
//! and without stale markers, resets, flat and steep counters, values near the ends of what a float holds,
//! negative ones, NaN and Inf, histograms with unlike, doubled, missing and inconsistent buckets.

use std::time::Duration;

use plimsoll::model::Timestamp;
use plimsoll::storage::Sample;

use super::notation::STALE;
use super::{Expression, Labels, Operator, Query, Series};

pub const COUNTER: &str = "requests_total";
pub const GAUGE: &str = "queue_length";
pub const BUCKET: &str = "latency_seconds_bucket";

/// Regular scrapes lie at whole intervals before this time.
pub const END: Timestamp = Timestamp(1_700_000_600_000);

/// Counters, and as many gauges.
const SERIES: usize = 10_500;
/// Pods with a histogram each, of one to eight buckets.
const HISTOGRAMS: usize = 4_500;

const OPERATORS: [Operator; 3] = [Operator::Sum, Operator::Max, Operator::Avg];

/// SplitMix64: small, well distributed, and the same everywhere.
struct Random(u64);

/// One scrape of a target.
#[derive(Clone, Copy)]
struct Scrape {
    time: Timestamp,
    /// The series has ended here.
    stale: bool,
}

/// All series, in the order in which they are to be stored.
pub fn series() -> Vec<Series> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let counters: Vec<_> = (0..SERIES).map(|number| counter(&mut random, number)).collect();
    let gauges: Vec<_> = (0..SERIES).map(|number| gauge(&mut random, number)).collect();
    let buckets: Vec<_> = (0..HISTOGRAMS).flat_map(|number| histogram(&mut random, number)).collect();
    [counters, gauges, buckets].concat()
}

/// Every function on every series that it is for, at times on and off the scrapes.
pub fn queries() -> Vec<Query> {
    let ago = |millis: i64| Timestamp(END.0 - millis);
    let mut queries = Vec::new();
    for (time, window) in [(ago(0), 60), (ago(45_000), 60), (ago(-7_300), 150), (ago(0), 300)] {
        let window = Duration::from_secs(window);
        let rate = || Expression::Rate(COUNTER.into(), window);
        let buckets = || Expression::Rate(BUCKET.into(), window);
        let merged = || buckets().by(Operator::Sum, &["service", "le"]);
        queries.extend([rate(), Expression::Increase(COUNTER.into(), window)].map(|e| e.at(time)));
        queries.extend(OPERATORS.map(|operator| rate().by(operator, &["service"]).at(time)));
        queries.extend([merged().quantile(0.5), merged().quantile(0.99), buckets().quantile(0.9)].map(|e| e.at(time)));
    }
    // Off the ends, which are quantiles too.
    queries.extend([-0.5, 0.0, 1.0, 1.5].map(|q| Expression::Instant(BUCKET.into()).quantile(q).at(END)));
    // Exactly as old as the lookback, and a little younger and older.
    for time in [ago(0), ago(-7_300), ago(-299_999), ago(-300_000), ago(-300_001)] {
        let gauges = || Expression::Instant(GAUGE.into());
        queries.push(gauges().at(time));
        queries.extend(OPERATORS.map(|operator| gauges().by(operator, &["service"]).at(time)));
    }
    queries
}

fn counter(random: &mut Random, number: usize) -> Series {
    let scrapes = random.scrapes();
    let (start, step) = random.pace();
    let resets = *random.pick(&[0, 0, 0, 5, 30]);
    let odd = random.odd();
    let mut value = start;
    let mut sample = |random: &mut Random, scrape: &Scrape| {
        value = if random.chance(resets) { step * random.unit() } else { value + step * random.growth() };
        let shown = if random.chance(1) { odd.unwrap_or(value) } else { value };
        Sample { timestamp: scrape.time, value: if scrape.stale { STALE } else { shown } }
    };
    let samples = scrapes.iter().map(|scrape| sample(random, scrape)).collect();
    Series { labels: labels(COUNTER, &[("series", number), ("service", number / 5)], None), samples }
}

fn gauge(random: &mut Random, number: usize) -> Series {
    let scrapes = random.scrapes();
    let (start, step) = random.pace();
    let sign = *random.pick(&[1.0, 1.0, 1.0, -1.0]);
    let odd = random.odd();
    let mut sample = |scrape: &Scrape| {
        let value = sign * (start + step * random.unit());
        let shown = if random.chance(5) { odd.unwrap_or(value) } else { value };
        Sample { timestamp: scrape.time, value: if scrape.stale { STALE } else { shown } }
    };
    let samples = scrapes.iter().map(&mut sample).collect();
    // Groups of one to nine.
    let group = number / 45 * 9 + (number % 45 * 8 + 1).isqrt().saturating_sub(1) / 2;
    Series { labels: labels(GAUGE, &[("series", number), ("service", group)], None), samples }
}

/// The buckets of one pod; two pods make a service.
fn histogram(random: &mut Random, number: usize) -> Vec<Series> {
    let scrapes = random.scrapes();
    let bounds = random.bounds(number / 2);
    let resets = *random.pick(&[0, 0, 0, 10]);
    let (pace, torn) = (*random.pick(&[0, 1, 10, 1_000, 1_000_000]), random.chance(8));
    let unit = *random.pick(&[1.0, 1.0, 1.0, 0.1, 1e-200]);
    let mut counts = vec![0.0; bounds.len()];
    let mut rows: Vec<Vec<Sample>> = vec![Vec::new(); bounds.len()];
    for scrape in &scrapes {
        if random.chance(resets) {
            counts.fill(0.0);
        }
        let mut below = 0.0;
        for (bucket, row) in rows.iter_mut().enumerate() {
            counts[bucket] += random.below(pace + 1) as f64 * unit;
            below += counts[bucket];
            // A page that is put together while requests go on, and one that lost a line.
            let seen = if torn { below - random.below(pace + 1) as f64 * unit } else { below };
            let value = if scrape.stale { STALE } else { seen };
            if !(torn && random.chance(5)) {
                row.push(Sample { timestamp: scrape.time, value });
            }
        }
    }
    let named = |le: &&'static str| labels(BUCKET, &[("pod", number), ("service", number / 2)], Some(le));
    bounds.iter().zip(rows).map(|(le, samples)| Series { labels: named(le), samples }).collect()
}

fn labels(name: &str, numbers: &[(&str, usize)], le: Option<&str>) -> Labels {
    let numbers = numbers.iter().map(|(name, number)| ((*name).to_owned(), number.to_string()));
    let le = le.map(|le| ("le".to_owned(), le.to_owned()));
    numbers.chain(le).chain([("__name__".to_owned(), name.to_owned())]).collect()
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// From 0, inclusive, to 1, exclusive.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// When a target was scraped in the ten minutes before the end.
    fn scrapes(&mut self) -> Vec<Scrape> {
        let interval = *self.pick(&[5_000, 10_000, 15_000, 15_000, 15_000, 30_000, 60_000]);
        let phase = if self.chance(50) { 0 } else { self.below(interval) };
        let jitter = *self.pick(&[1, 1, 30, interval / 2]);
        let count = (600_000 / interval).min(40);
        let time = |random: &mut Self, back: u64| END.0 - (back * interval + phase + random.below(jitter)) as i64;
        let regular = (0..count).rev().map(|back| Scrape { time: Timestamp(time(self, back)), stale: false }).collect();
        self.disturbed(regular)
    }

    /// Late starts, early ends and gaps; some of them the target's fault, which a stale marker says.
    fn disturbed(&mut self, mut scrapes: Vec<Scrape>) -> Vec<Scrape> {
        if self.chance(20) {
            scrapes.drain(..self.below(scrapes.len() as u64) as usize);
        }
        for _ in 0..*self.pick(&[0, 0, 0, 1, 1, 3]) {
            let first = self.below(scrapes.len() as u64) as usize;
            let last = (first + self.below(6) as usize).min(scrapes.len() - 1);
            let marked = self.chance(50);
            scrapes[first].stale = marked;
            scrapes.drain(first + usize::from(marked)..=last);
            if scrapes.is_empty() {
                return scrapes;
            }
        }
        if self.chance(15) {
            scrapes.truncate(1 + self.below(scrapes.len() as u64) as usize);
            let marked = self.chance(50);
            scrapes.last_mut().expect("one is left").stale = marked;
        }
        scrapes
    }

    /// The first value and the size of a step.
    fn pace(&mut self) -> (f64, f64) {
        let whole = self.below(1_000_000) as f64;
        match self.below(10) {
            0 => (0.0, 10.0),
            1 => (0.0, self.unit()),
            2 => (whole, 0.0),
            3 => (whole, 1.0),
            4 => (whole, whole),
            5 => (self.unit() * 1e15, 1e-3),
            6 => (self.unit() * 1e300, self.unit() * 1e307),
            7 => (self.unit() * 1e-300, self.unit() * 1e-308),
            8 => (-whole, self.unit() * 1_000.0),
            _ => (self.unit() * 100.0, self.unit() * 100.0),
        }
    }

    /// How many steps from one scrape to the next.
    fn growth(&mut self) -> f64 {
        if self.chance(40) { 1.0 } else { self.below(20) as f64 }
    }

    /// What some series show now and then instead of a number.
    fn odd(&mut self) -> Option<f64> {
        let odd = *self.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX]);
        self.chance(3).then_some(odd)
    }

    /// Bounds of a pod's buckets; the pods of a service mostly have the same.
    fn bounds(&mut self, service: usize) -> &'static [&'static str] {
        const BOUNDS: [&[&str]; 12] = [
            &["0.1", "0.5", "1", "+Inf"],
            &["0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "+Inf"],
            &["0.25", "0.5", "0.75", "1", "1.25", "+Inf"],
            &["1", "10", "100", "1000", "10000", "+Inf"],
            &["0.1", "0.2", "0.4", "0.8", "1.6", "3.2", "+Inf"],
            &["-10", "-1", "0", "1", "10", "+Inf"],
            &["0", "1e-9", "1e9", "+Inf"],
            &["-1", "+Inf"],
            &["1", "1.0", "2", "2.0", "+Inf", "Inf"],
            &["0.1", "0.5", "1"],
            &["+Inf"],
            &["0.5", "broken", "1", "+Inf"],
        ];
        let usual = if service.is_multiple_of(10) { service / 10 % BOUNDS.len() } else { service % 5 };
        let other = self.below(BOUNDS.len() as u64) as usize;
        BOUNDS[if self.chance(10) { other } else { usual }]
    }
}
