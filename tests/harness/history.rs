//! What a Prometheus recorded in two minutes, as if it had taken half an hour: a past for another one, so that pictures have
//! curves at once.
//!
//! Each second becomes fifteen. Gauges stay what they are; counters count fifteen times as much, backwards from where they
//! are now, so that rates are the same and go on without a break; ages stay the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::program::installed;
use super::prometheus::Prometheus;

/// How much longer the past is than its record.
pub const STRETCH: u32 = 15;

/// Writes the past of all series into a folder, as data of a Prometheus.
pub async fn write(recorded: &Prometheus, now: f64, seconds: u32, folder: &Path) {
    let series = recorded.query(&format!("{{__name__=~\".+\",__name__!=\"ALERTS_FOR_STATE\"}}[{seconds}s]"), now).await;
    assert!(!series.is_empty(), "nothing was recorded");
    let mut lines = String::new();
    series.iter().for_each(|series| write_series(&mut lines, series, now));
    lines.push_str("# EOF\n");
    let text = folder.with_extension("openmetrics");
    std::fs::write(&text, lines).expect("written");
    let mut command = installed("promtool", "prometheus");
    command.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]).arg(&text).arg(folder);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write_series(lines: &mut String, series: &Value, now: f64) {
    let labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).expect("labels");
    let name = &labels["__name__"];
    let pair = |(label, value): (&String, &String)| format!("{label}={value:?}");
    let own: Vec<_> = labels.iter().filter(|(label, _)| *label != "__name__").map(pair).collect();
    let samples: Vec<(f64, String)> = serde_json::from_value(series["values"].clone()).expect("samples");
    let Some((_, last)) = samples.last() else { return };
    let (last, stretch) = (number(last), f64::from(STRETCH));
    for (time, value) in &samples {
        let then = now - stretch * (now - time);
        let value = match name.as_str() {
            name if is_counter(name) => last - stretch * (last - number(value)),
            name if is_event(name) => now - stretch * (now - number(value)),
            name if is_time(name) => then - (time - number(value)),
            _ => number(value),
        };
        writeln!(lines, "{name}{{{}}} {value} {then:.3}", own.join(",")).expect("a String takes all");
    }
}

/// By its name; what rules record counts nothing.
fn is_counter(name: &str) -> bool {
    !name.contains(':') && ["_total", "_bucket", "_sum", "_count"].iter().any(|suffix| name.ends_with(suffix))
}

/// Points in time at which something happened once: each stays one, so that a picture marks it once.
fn is_event(name: &str) -> bool {
    name.contains("_last_scale_")
}

/// Points in time that move on.
fn is_time(name: &str) -> bool {
    name.ends_with("_timestamp_seconds") && !name.contains("not_after")
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_longer_than_its_record_and_goes_on_without_a_break() {
    const COUNTER: &str = "prometheus_http_requests_total{handler=\"/metrics\"}";
    let folder = tempfile::tempdir().expect("a folder");
    let now = || plimsoll::clock::Clock::system().now().0 as f64 / 1000.0;
    let count = |found: &[Value]| found.first().map_or(0.0, |it| number(it["value"][1].as_str().expect("a number")));
    let config = |target: &str| {
        let scraped = serde_json::json!([{"job_name": "it", "static_configs": [{"targets": [target]}]}]);
        serde_json::json!({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": scraped})
    };
    let scraped = Prometheus::start(&serde_json::json!([]));
    let recorder = Prometheus::start_with(&config(&scraped.address), None);
    let samples = format!("count_over_time({COUNTER}[1m])");
    super::eventually(async || recorder.query(&samples, now()).await, |found| count(found) >= 5.0).await;
    let (time, data) = (now(), folder.path().join("data"));
    write(&recorder, time, 60, &data).await;
    let longer = Prometheus::start_with(&config(&scraped.address), Some(&data));
    // Within four seconds there are no five samples fifteen seconds apart.
    let past = format!("count_over_time({COUNTER}[5m] @ {time})");
    super::eventually(async || longer.query(&past, now()).await, |found| count(found) >= 5.0).await;
    let increase = format!("max_over_time({COUNTER}[5m] @ {time}) - min_over_time({COUNTER}[5m] @ {time})");
    let increase = count(&longer.query(&increase, now()).await);
    // One a second was recorded; in the past it is one a second too.
    assert!((45.0..300.0).contains(&increase), "{increase}");
    let resets = format!("resets({COUNTER}[5m])");
    super::eventually(async || longer.query(&resets, now()).await, |found| !found.is_empty() && count(found) == 0.0)
        .await;
}
