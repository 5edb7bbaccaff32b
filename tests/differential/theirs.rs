//! Prometheus' side: it scrapes all pages, and its API says what it found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::reading::{AFTER_MAX, Content, Reading, Sample, now};
use crate::harness::eventually;
use crate::harness::pages::Page;
use crate::harness::prometheus::Prometheus;

/// Prometheus scrapes all pages within this time.
const INTERVAL: &str = "3s";

/// The job of all pages.
const JOB: &str = "differential";

/// Series that Prometheus writes about a scrape.
const REPORT: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What Prometheus says of the pages, which are served at `/0`, `/1` and so on. `start` is a time before that.
pub async fn readings(pages: &[Page], address: &str, start: i64) -> Vec<Reading> {
    let prometheus = Prometheus::start(&scrape_configs(pages, address));
    let targets = eventually(|| prometheus.data("targets?state=active"), |data| all_scraped(data, pages.len())).await;
    // A scrape is reported before its samples are committed.
    let ask = || prometheus.query("up", seconds(now()));
    eventually(ask, |up| up.len() == pages.len()).await;
    let mut contents = contents(&prometheus, address, start).await;
    let mut errors = errors(&targets);
    let reading = |page: &Page| {
        let content = contents.remove(&page.name).unwrap_or_default();
        match errors.remove(&page.name) {
            Some(error) => {
                assert!(content.samples.is_empty(), "{}: {error}, and yet {content:?}", page.name);
                Reading::Refused(error)
            }
            None => Reading::Read(content),
        }
    };
    pages.iter().map(reading).collect()
}

fn scrape_configs(pages: &[Page], address: &str) -> Value {
    let mut names = BTreeSet::new();
    for page in pages {
        assert!(names.insert(&page.name), "two pages have the name {:?}", page.name);
    }
    let target = |(number, page): (usize, &Page)| {
        let labels = json!({ "page": page.name, "__metrics_path__": format!("/{number}") });
        json!({ "targets": [address], "labels": labels })
    };
    let targets: Vec<Value> = pages.iter().enumerate().map(target).collect();
    json!([{
        "job_name": JOB, "scrape_interval": INTERVAL, "scrape_timeout": INTERVAL,
        "honor_labels": true, "honor_timestamps": true, "static_configs": targets,
    }])
}

/// Whether every target has been scraped, and none failed for want of time.
fn all_scraped(data: &Value, count: usize) -> bool {
    data["activeTargets"].as_array().is_some_and(|targets| {
        let slow = |target: &Value| text(&target["lastError"]).contains("deadline exceeded");
        targets.len() == count && targets.iter().all(|target| target["health"] != "unknown" && !slow(target))
    })
}

/// Why pages were refused, by the name of the page.
fn errors(data: &Value) -> BTreeMap<String, String> {
    let targets = data["activeTargets"].as_array().expect("targets").iter();
    let down = targets.filter(|target| target["health"] == "down");
    down.map(|target| (text(&target["labels"]["page"]), text(&target["lastError"]))).collect()
}

/// What Prometheus knows, by the name of the page.
async fn contents(prometheus: &Prometheus, address: &str, start: i64) -> BTreeMap<String, Content> {
    let mut contents: BTreeMap<String, Content> = BTreeMap::new();
    for series in prometheus.query("{page!=\"\"}[1h]", seconds(start + AFTER_MAX)).await {
        let content = contents.entry(text(&series["metric"]["page"])).or_default();
        content.samples.extend(samples(&series, address, start));
    }
    // Of a later scrape that took too long, it is zero.
    for series in prometheus.query("max_over_time(scrape_samples_scraped[1h])", seconds(now())).await {
        let content = contents.entry(text(&series["metric"]["page"])).or_default();
        content.lines = text(&series["value"][1]).parse().expect("a count");
    }
    let metadata = prometheus.data("targets/metadata").await;
    for family in metadata.as_array().expect("families").iter().filter(|family| family["type"] != "unknown") {
        let content = contents.entry(text(&family["target"]["page"])).or_default();
        content.types.insert(text(&family["metric"]), text(&family["type"]));
    }
    contents
}

/// The samples of a series as they stand in the page: those of the moments of scrapes are all the same.
fn samples(series: &Value, address: &str, start: i64) -> BTreeSet<Sample> {
    let Some(labels) = labels(&series["metric"], address) else { return BTreeSet::new() };
    let sample = |point: &Value| {
        let time = (point[0].as_f64().expect("seconds") * 1000.0).round() as i64;
        let value = text(&point[1]).parse().expect("a number");
        let explicit = !(start..=now()).contains(&time);
        Sample::new(labels.clone(), value, explicit.then_some(time))
    };
    series["values"].as_array().expect("points").iter().map(sample).collect()
}

/// The labels as the page has them; `None` for a series about the scrape.
fn labels(metric: &Value, address: &str) -> Option<BTreeMap<String, String>> {
    let mut labels: BTreeMap<String, String> =
        metric.as_object()?.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    labels.remove("page");
    // A page that has these labels keeps its own.
    labels.retain(|name, value| !(name == "job" && value == JOB || name == "instance" && value == address));
    let report = labels.len() == 1 && REPORT.contains(&labels["__name__"].as_str());
    (!report).then_some(labels)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}
