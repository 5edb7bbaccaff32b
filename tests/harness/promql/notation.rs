//! Series in the notation of Prometheus' own tests: `m{pod="a"} 0+10x4 _ stale 7` after `load 15s`.

use std::time::Duration;

use plimsoll::model::{Timestamp, is_stale_marker};
use plimsoll::storage::Sample;

use super::{Labels, Series};

/// Prometheus' `model/value.StaleNaN`.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Reads one line of a `load` whose first value is at `start`.
pub fn read(line: &str, start: Timestamp, interval: Duration) -> Series {
    let end = line.find('}').map_or_else(|| line.find(' ').expect("values after the series"), |brace| brace + 1);
    let values = line[end..].split_whitespace().flat_map(values);
    let at = |(number, value): (usize, Option<f64>)| {
        Some(Sample { timestamp: start.plus(interval * number as u32), value: value? })
    };
    Series { labels: labels(&line[..end]), samples: values.enumerate().filter_map(at).collect() }
}

/// Writes series as one `load` whose interval is the largest that meets every sample.
pub fn write(series: &[&Series]) -> String {
    let times = || series.iter().flat_map(|one| &one.samples).map(|sample| sample.timestamp.0);
    let Some(start) = times().min() else { return "  (no samples)\n".into() };
    let step = times().map(|time| time - start).fold(0, greatest_common_divisor).max(1);
    let rows = series.iter().map(|one| format!("  {}{}\n", identity(&one.labels), row(&one.samples, start, step)));
    format!("load {step}ms  # from {start}\n{}", rows.collect::<String>())
}

fn row(samples: &[Sample], start: i64, step: i64) -> String {
    let mut text = String::new();
    let mut next = start;
    for sample in samples {
        match (sample.timestamp.0 - next) / step {
            0 => {}
            1 => text += " _",
            gap => text += &format!(" _x{gap}"),
        }
        let stale = is_stale_marker(sample.value);
        text += &if stale { " stale".into() } else { format!(" {:e}", sample.value) };
        next = sample.timestamp.0 + step;
    }
    text
}

fn identity(labels: &Labels) -> String {
    let pairs = labels.iter().filter(|(name, _)| *name != "__name__");
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", labels.get("__name__").map_or("", String::as_str), pairs.join(", "))
}

fn labels(series: &str) -> Labels {
    let (name, pairs) = series.split_once('{').unwrap_or((series, ""));
    let pairs = pairs.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
    let own = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()));
    own.chain([("__name__".to_owned(), name.to_owned())]).collect()
}

/// The values of one word; `None` is a time without a sample.
fn values(word: &str) -> Vec<Option<f64>> {
    let (value, times) = word.split_once('x').unwrap_or((word, ""));
    let times: usize = if times.is_empty() { 0 } else { times.parse().expect("a count") };
    match value {
        "_" => vec![None; times.max(1)],
        "stale" => vec![Some(STALE)],
        _ => steps(value, times),
    }
}

/// `a+b`: a, and then one step of b after the other, added as Prometheus adds them.
fn steps(word: &str, times: usize) -> Vec<Option<f64>> {
    let sign = |(at, c): &(usize, char)| *at > 0 && matches!(c, '+' | '-') && !word[..*at].ends_with('e');
    let split = word.char_indices().find(sign).map_or(word.len(), |(at, _)| at);
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{word}: expected a number"));
    let (first, step) = (number(&word[..split]), if split < word.len() { number(&word[split..]) } else { 0.0 });
    std::iter::successors(Some(first), |value| Some(value + step)).take(times + 1).map(Some).collect()
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
