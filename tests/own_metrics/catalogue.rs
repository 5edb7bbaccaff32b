use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

use plimsoll::catalog::{Catalog, Kind, Metric, Unit};
use serde_json::json;

use super::{QUEUE, api_service, becomes, start, world};
use crate::harness::eventually;
use crate::harness::program::installed;

/// What a page says of one metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// Labels and values of its samples.
    samples: Vec<(BTreeMap<String, String>, f64)>,
}

/// This comes with a certificate that Plimsoll makes for itself, which this one does not.
const SELF_MANAGED_ONLY: &str = "plimsoll_serving_certificate_authority_not_after_timestamp_seconds";

/// What is not watched has no errors.
const WATCHED_ONLY: &str = "plimsoll_kubernetes_watch_errors_total";

/// The page of a Plimsoll in a cluster that has something of everything, in the text format.
async fn page() -> String {
    let (api, target) = world().await;
    api.write("apiservices", &api_service("v1beta2.custom.metrics.k8s.io", "True"));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "ns", "name": "other-1", "uid": "1"},
        "spec": {"containers": [{"name": "web", "image": "web"}]}, "status": {"phase": "Running", "podIP": "127.0.0.1"},
    });
    api.write("pods", &pod);
    let sd = "    kubernetes_sd_configs: [{role: pod}]\nmetrics:\n";
    let yaml = super::CONFIG.replace("URL", &target.url).replace("metrics:\n", sd);
    let plimsoll = api.plimsoll(&yaml).await;
    becomes(&plimsoll, "plimsoll_hpa_metric_available", QUEUE, Some(1.0)).await;
    becomes(&plimsoll, "plimsoll_apiservice_available", &[], Some(1.0)).await;
    becomes(&plimsoll, "plimsoll_kubernetes_objects", &[r#"resource="pods""#], Some(1.0)).await;
    let page = plimsoll.get("/metrics").await.body;
    plimsoll.stop().await;
    page
}

#[tokio::test]
async fn the_page_and_the_catalogue_have_the_same_metrics() {
    let (page, catalog) = (page().await, Catalog::plimsoll());
    let families = read(&page);
    let known: BTreeSet<&str> = catalog.metrics().map(|metric| metric.name.as_ref()).collect();
    let shown: BTreeSet<&str> = families.keys().map(String::as_str).chain([SELF_MANAGED_ONLY]).collect();
    let only = |one: &BTreeSet<&str>, other: &BTreeSet<&str>| -> Vec<String> {
        one.difference(other).map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(only(&shown, &known), [""; 0], "not in src/catalog/plimsoll.rs");
    assert_eq!(only(&known, &shown), [""; 0], "not on the page\n{page}");
    let wrong: Vec<String> = families
        .iter()
        .flat_map(|(name, family)| {
            let metric = catalog.metric(name).expect("compared before");
            differences(metric, family).into_iter().map(move |what| format!("{name}: {what}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn promtool_finds_no_fault_with_what_is_shown_of_a_cluster() {
    let page = page().await;
    let mut command = installed("promtool", "prometheus");
    let pipes = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut promtool = pipes.spawn().expect("it runs");
    promtool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("it ends");
    let is_silent = output.stderr.is_empty() && output.stdout.is_empty();
    assert!(output.status.success() && is_silent, "{output:?}\n{page}");
}

#[tokio::test]
async fn what_is_counted_by_a_closed_label_is_there_before_it_happens() {
    let (api, target) = world().await;
    let plimsoll = start(&api, &target).await;
    let families = eventually(|| async { read(&plimsoll.get("/metrics").await.body) }, |it| !it.is_empty()).await;
    let catalog = Catalog::plimsoll();
    let closed = catalog.metrics().filter(|metric| metric.kind == Kind::Counter && metric.name != WATCHED_ONLY);
    let closed = closed.filter(|metric| metric.labels.iter().all(|label| !label.values.is_empty()));
    let mut wrong = Vec::new();
    for metric in closed {
        let expected: usize = metric.labels.iter().map(|label| label.values.len()).product();
        let found = families[metric.name.as_ref()].samples.len();
        if found != expected {
            wrong.push(format!("{}: {found} series of {expected}", metric.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    plimsoll.stop().await;
}

/// In which points what a page says is not what the catalogue says.
fn differences(metric: &Metric, family: &Family) -> Vec<String> {
    let mut wrong = Vec::new();
    if family.kind != metric.kind.to_string() {
        wrong.push(format!("is a {}, not a {}", family.kind, metric.kind));
    }
    if family.help != format!("{}.", metric.help) {
        wrong.push(format!("says {:?}, not \"{}.\"", family.help, metric.help));
    }
    let has =
        |suffixes: &[&str]| suffixes.iter().any(|suffix| metric.name.trim_end_matches("_total").ends_with(suffix));
    let unit_is_right = match &metric.unit {
        Unit::Seconds | Unit::Timestamp => has(&["_seconds"]),
        Unit::Bytes => has(&["_bytes"]),
        Unit::Boolean => family.samples.iter().all(|(_, value)| [0.0, 1.0].contains(value)),
        Unit::Count(what) => !has(&["_seconds", "_bytes", "_ratio"]) || what == "seconds",
        Unit::Ratio | Unit::Cores => false,
    };
    if !unit_is_right {
        wrong.push(format!("has not the unit {:?}", metric.unit));
    }
    if metric.unit == Unit::Timestamp && family.samples.iter().any(|(_, value)| *value < 1e9) {
        wrong.push("is no time of today".into());
    }
    let names: BTreeSet<&str> = metric.labels.iter().map(|label| label.name.as_ref()).collect();
    for (labels, _) in &family.samples {
        if labels.keys().map(String::as_str).collect::<BTreeSet<_>>() != names {
            wrong.push(format!("has the labels {labels:?}, not {names:?}"));
        }
        for label in metric.labels.iter().filter(|label| !label.values.is_empty()) {
            let value = labels.get(label.name.as_ref());
            if value.is_none_or(|value| label.values.iter().all(|known| known != value)) {
                wrong.push(format!("has {}={value:?}, not one of {:?}", label.name, label.values));
            }
        }
    }
    wrong
}

/// The metrics of a page by name, with what `le` tells apart told once.
fn read(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let name = base.filter(|base| families.contains_key(*base)).unwrap_or(name);
            let family = families.get_mut(name).unwrap_or_else(|| panic!("{line} comes before its TYPE"));
            family.samples.push((pairs(labels.trim_end_matches('}')), value.parse().expect("a number")));
        }
    }
    families.retain(|_, family| !family.samples.is_empty());
    families
}

/// Labels whose values have neither quotes nor commas, as those of these pages; `le` aside.
fn pairs(labels: &str) -> BTreeMap<String, String> {
    let each = labels.split(',').filter_map(|pair| pair.split_once('='));
    let plain = each.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    plain.filter(|(name, _)| name != "le").collect()
}
