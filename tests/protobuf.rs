use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use plimsoll::config::ScrapeProtocol;
use plimsoll::exposition::{Event, Format, labels, read};
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use crate::harness::program::{Program, free_port, installed};
use crate::harness::promql::engine::oracle;
use crate::harness::{CUSTOM, Plimsoll, eventually, install_crypto};

/// What a page says, whatever its format: values by series, and types by family.
#[derive(Debug)]
struct Said {
    series: BTreeMap<String, f64>,
    types: BTreeSet<(String, &'static str)>,
}

/// A real Prometheus that scrapes itself every second.
fn prometheus(folder: &tempfile::TempDir) -> (Program, u16) {
    let (port, config) = (free_port(), folder.path().join("prometheus.yml"));
    let yaml = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: self\n    \
         static_configs: [{{targets: [\"127.0.0.1:{port}\"]}}]\n"
    );
    std::fs::write(&config, yaml).expect("written");
    let mut command = installed("prometheus", "prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    (Program::start(command), port)
}

/// The page in the format that is asked for; `None` while there is no answer.
async fn fetch(http: &reqwest::Client, port: u16, protocol: ScrapeProtocol) -> Option<Said> {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let answer = http.get(url).header(ACCEPT, protocol.media_range()).send().await.ok()?;
    let content_type = answer.headers().get(CONTENT_TYPE)?.to_str().expect("ASCII").to_owned();
    let format = Format::of_content_type(Some(&content_type)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(format == Format::Protobuf, protocol == ScrapeProtocol::PrometheusProto, "{content_type}");
    let page = answer.bytes().await.ok()?;
    let mut said = Said { series: BTreeMap::new(), types: BTreeSet::new() };
    let event = |event: Event<'_>| match event {
        Event::Sample(line) => {
            assert_eq!(labels(&line.series).expect("it decodes").0, line.name);
            assert!(said.series.insert(line.series.to_string(), line.value).is_none(), "{} stands twice", line.series);
        }
        Event::Type { family, kind } => drop(said.types.insert((family.into_owned(), kind.name()))),
        _ => {}
    };
    read(&page, format, |_| true, event).unwrap_or_else(|error| panic!("{error}"));
    Some(said)
}

/// Whether a value may change and be the same again a moment later, as those of gauges may.
fn may_come_back(series: &str, said: &Said) -> bool {
    let name = series.split('{').next().unwrap_or(series);
    said.types.contains(&(name.to_owned(), "gauge")) && !name.ends_with("_info")
}

fn same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_says_the_same_in_protobuf_and_in_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_prometheus, port) = prometheus(&folder);
    install_crypto();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let text = || fetch(&http, port, ScrapeProtocol::PrometheusText0_0_4);
    // Once it has scraped itself, its summaries and histograms are there.
    let scraped = |said: &Option<Said>| {
        said.as_ref().is_some_and(|said| {
            said.series.get("prometheus_target_sync_length_seconds_count{scrape_job=\"self\"}") > Some(&0.0)
                && said.series.keys().any(|series| series.starts_with("prometheus_target_interval_length_seconds{"))
        })
    };
    let before = eventually(text, scraped).await.expect("a page");
    let protobuf = fetch(&http, port, ScrapeProtocol::PrometheusProto).await.expect("a page");
    let after = text().await.expect("a page");

    assert!(before.types.is_subset(&protobuf.types) && protobuf.types.is_subset(&after.types), "{protobuf:#?}");
    for series in protobuf.series.keys() {
        assert!(before.series.contains_key(series) || after.series.contains_key(series), "{series} is not in the text");
    }
    let mut compared = 0;
    for (series, value) in &before.series {
        let ours = protobuf.series.get(series).unwrap_or_else(|| panic!("{series} is not in the protobuf"));
        if !may_come_back(series, &before) && after.series.get(series).is_some_and(|later| same(*value, *later)) {
            assert!(same(*ours, *value), "{series}: {ours} in protobuf, {value} in text before and after");
            compared += 1;
        }
    }
    assert!(compared > 150, "only {compared} of {} series did not change in between", before.series.len());
    for part in ["_bucket{", "le=\"+Inf\"", "quantile=\"0.99\"", "_sum", "_count", "prometheus_build_info{"] {
        assert!(protobuf.series.keys().any(|series| series.contains(part)), "no series with {part}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_format_of_a_job_is_the_one_it_asks_for_and_the_numbers_do_not_depend_on_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_prometheus, port) = prometheus(&folder);
    let job = |name: &str, protocols: &str| {
        format!(
            "  - job_name: {name}\n    scrape_interval: 1s\n    {protocols}\n    targets:\n      \
             - {{url: 'http://127.0.0.1:{port}/metrics', namespace: ns, pod: {name}}}\n"
        )
    };
    let plimsoll = Plimsoll::start(&format!(
        "scrape_configs:\n{}{}{}metrics:\n  - {{name: targets, gauge: {{series: prometheus_sd_discovered_targets, \
         match: '{{config=\"self\"}}', combine: sum}}}}\n",
        job("default", ""),
        job("openmetrics", "scrape_protocols: [OpenMetricsText1.0.0, OpenMetricsText0.0.1]"),
        job("text", "scrape_protocols: [PrometheusText0.0.4]"),
    ))
    .await;
    for pod in ["default", "openmetrics", "text"] {
        plimsoll.value_becomes(&format!("{CUSTOM}/namespaces/ns/pods/{pod}/targets"), "1").await;
    }
}

/// A real service with native histograms; each scrape finds 1,000 more observations, evenly from 0.001 to 1.
fn exporter() -> (Program, String) {
    let mut command = Command::new(oracle());
    command.arg("exporter");
    let program = Program::start(command);
    let address = program.line(&["listening on "]).trim_start_matches("listening on ").to_owned();
    (program, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quantiles_of_a_real_native_histogram_are_in_the_bucket_of_the_truth() {
    let (_exporter, address) = exporter();
    let metric = |name: &str, q: &str| {
        format!("  - {{name: {name}_p{q}, quantile: {{histogram: {name}_seconds, q: 0.{q}, window: 4s}}}}\n")
    };
    let metrics: String =
        ["native", "classic", "both"].iter().flat_map(|name| [metric(name, "50"), metric(name, "95")]).collect();
    let plimsoll = Plimsoll::start(&format!(
        "scrape_configs:\n  - job_name: service\n    scrape_interval: 1s\n    targets:\n      \
         - {{url: 'http://{address}/metrics', namespace: ns, pod: a}}\nmetrics:\n{metrics}"
    ))
    .await;
    // A factor of 1.1 gives schema 3: eight buckets for each power of two.
    for (metric, truth) in [("native_p50", 0.5_f64), ("native_p95", 0.95), ("both_p50", 0.5), ("both_p95", 0.95)] {
        let value = plimsoll.value(&format!("{CUSTOM}/namespaces/ns/pods/a/{metric}")).await;
        let value = plimsoll::model::quantity::parse(&value).expect("a quantity").milli() as f64 / 1000.0;
        let upper = ((truth.log2() * 8.0).ceil() / 8.0).exp2();
        let lower = upper / (1.0_f64 / 8.0).exp2();
        assert!((lower..=upper + 0.001).contains(&value), "{metric} is {value}, not in {lower}..={upper}");
    }
    // Classic buckets that end at 0.5 and 1: the line between them.
    assert_eq!(plimsoll.value(&format!("{CUSTOM}/namespaces/ns/pods/a/classic_p95")).await, "950m");
    assert_eq!(plimsoll.target(&address).await["issues"], serde_json::json!([]));
}
