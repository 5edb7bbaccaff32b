//! Series in Prometheus' own test notation, for the tests of storage, aggregate and provider.
//!
//! `requests_total{code="200"} 0+10x4 _ stale 7` are the values at consecutive scrapes: `a+bxn` is a
//! and n steps of b, `_` is a scrape without the series, `stale` the stale marker.

use std::sync::Arc;
use std::time::Duration;

use crate::exposition;
use crate::model::{Labels, Timestamp};
use crate::storage::{Bounds, IssueKind, Point, Points, Scrape, TargetStore, Wanted};

/// Time of the first scrape.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const INTERVAL: Duration = Duration::from_secs(15);
pub(crate) const BOUNDS: Bounds = Bounds { series: 1_000, label_length: 200, labels_per_series: 20 };

/// The store after all scrapes, and the time of the last.
pub(crate) fn load(wanted: &Arc<Wanted>, series: &[&str]) -> (TargetStore, Timestamp) {
    let mut store = TargetStore::default();
    let now = load_into(&mut store, wanted, series);
    (store, now)
}

pub(crate) fn load_into(store: &mut TargetStore, wanted: &Arc<Wanted>, series: &[&str]) -> Timestamp {
    let rows: Vec<(&str, Vec<Option<f64>>)> = series.iter().map(|line| row(line)).collect();
    let scrapes = rows.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let mut time = START;
    for number in 0..scrapes {
        time = START.plus(INTERVAL * number as u32);
        let points: Vec<_> =
            rows.iter().filter_map(|(series, values)| Some(point(series, (*values.get(number)?)?, None))).collect();
        commit(store, wanted, &points, time).expect("a good page");
    }
    time
}

pub(crate) fn point(series: &str, value: f64, timestamp: Option<Timestamp>) -> Point<'_> {
    let name = series.split('{').next().expect("a split has a first part");
    Point { name, series, value, timestamp }
}

pub(crate) fn commit(
    store: &mut TargetStore,
    wanted: &Arc<Wanted>,
    points: &[Point<'_>],
    time: Timestamp,
) -> Result<Vec<IssueKind>, crate::storage::Failure> {
    commit_points(store, wanted, Points { floats: points.to_vec(), ..Points::default() }, time)
}

pub(crate) fn commit_points(
    store: &mut TargetStore,
    wanted: &Arc<Wanted>,
    points: Points<'_>,
    time: Timestamp,
) -> Result<Vec<IssueKind>, crate::storage::Failure> {
    let scrape = Scrape {
        time,
        duration: Duration::from_millis(5),
        freshness: Duration::from_secs(40),
        body_size_bytes: 100,
        samples_scraped: points.floats.len() + points.histograms.len(),
    };
    store.commit(points, scrape, wanted, BOUNDS, decode)
}

fn decode(series: &str) -> Result<Labels, String> {
    exposition::labels(series).map(|(_, labels)| labels).map_err(|error| error.to_string())
}

fn row(line: &str) -> (&str, Vec<Option<f64>>) {
    let end = line.rfind('}').map_or_else(|| line.find(' ').expect("values after the series"), |brace| brace + 1);
    (&line[..end], line[end..].split_whitespace().flat_map(values).collect())
}

fn values(word: &str) -> Vec<Option<f64>> {
    if word == "_" {
        return vec![None];
    }
    if word == "stale" {
        return vec![Some(f64::from_bits(0x7ff0_0000_0000_0002))];
    }
    let Some((steps, times)) = word.split_once('x') else { return vec![Some(number(word))] };
    let split = steps[1..].find(['+', '-']).map_or(steps.len(), |at| at + 1);
    let (start, step) = (number(&steps[..split]), number(&steps[split..]));
    (0..=times.parse().expect("a count")).map(|n: u32| Some(start + step * f64::from(n))).collect()
}

fn number(text: &str) -> f64 {
    if text.is_empty() { 0.0 } else { text.parse().expect("a number") }
}
