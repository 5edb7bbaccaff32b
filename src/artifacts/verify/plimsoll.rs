//! A running Plimsoll: has its page `/metrics` what the artifacts ask of it?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};

use crate::artifacts::{Manifest, Refusal};
use crate::client::{Client, Request};
use crate::config::ClientConfig;

/// Families of a page, with the labels of their samples; of a family without samples they are not known.
struct Page(BTreeMap<String, BTreeSet<String>>);

const TIMEOUT: Duration = Duration::from_secs(30);

/// Our own page has some hundred kilobytes.
const BODY_SIZE_MAX: usize = 32 << 20;

/// Samples of histograms and counters are called otherwise than their family.
const SUFFIXES: [&str; 4] = ["_bucket", "_sum", "_count", "_total"];

/// The metrics that are missing, or lack a label that a query rests on.
///
/// # Errors
/// When the page cannot be had.
pub async fn findings(manifest: &Manifest, url: &str, config: ClientConfig) -> Result<Vec<Refusal>, Refusal> {
    let url = format!("{}/metrics", url.trim_end_matches('/'));
    let accept = HeaderValue::from_static("text/plain;version=0.0.4,application/openmetrics-text;q=0.5");
    let request = Request { accept, headers: HeaderMap::new(), timeout: TIMEOUT, body_size_max: BODY_SIZE_MAX };
    let page = Client::new(config).get(&url, &request).await.map_err(|failure| Refusal::new(&url, failure.message))?;
    let text = String::from_utf8(page.body).map_err(|_| Refusal::new(&url, "the page is no UTF-8"))?;
    Ok(against(manifest, &url, &Page::read(&text)))
}

fn against(manifest: &Manifest, url: &str, page: &Page) -> Vec<Refusal> {
    let mut found = Vec::new();
    for (name, required) in &manifest.metrics_required {
        let Some(metric) = manifest.catalog.get(name).filter(|metric| metric.origin == "plimsoll") else { continue };
        let readers: Vec<_> = required.read_by.iter().map(String::as_str).collect();
        let readers = readers.join(", ");
        let Some(labels) = page.family(name) else {
            found.push(Refusal::new(url, format!("there is no metric {name}, which is read by {readers}")));
            continue;
        };
        // Others are those of the scrape.
        let own = required.labels.iter().filter(|label| metric.is_own_label(label));
        let missing: Vec<_> = own.filter(|label| !labels.contains(*label)).map(String::as_str).collect();
        if !labels.is_empty() && !missing.is_empty() {
            let what = format!("metric {name} has no label {}, which is read by {readers}", missing.join(", "));
            found.push(Refusal::new(url, what));
        }
    }
    found
}

// === impl Page ===

impl Page {
    /// Reads either text format; a line that is neither a sample nor a `# TYPE` says nothing.
    fn read(text: &str) -> Self {
        let mut page = Self(BTreeMap::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let family = rest.split_whitespace().next().unwrap_or_default();
                page.0.entry(family.to_owned()).or_default();
            } else if !line.starts_with('#')
                && let Some(end) = line.find(['{', ' '])
            {
                let labels = labels(&line[end..]);
                let name = &line[..end];
                let family = page.family_of(name).unwrap_or(name).to_owned();
                page.0.entry(family).or_default().extend(labels);
            }
        }
        page
    }

    /// The labels of a family by the name it has in the catalogue, which of a counter ends with `_total`.
    fn family(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.0.get(name).or_else(|| self.0.get(name.strip_suffix("_total")?))
    }

    fn family_of<'a>(&self, sample: &'a str) -> Option<&'a str> {
        let shorter = SUFFIXES.iter().filter_map(|suffix| sample.strip_suffix(suffix));
        std::iter::once(sample).chain(shorter).find(|name| self.0.contains_key(*name))
    }
}

/// The names in `{name="value",…}`; values may have any character, quotes behind a backslash.
fn labels(text: &str) -> Vec<String> {
    let (mut found, mut name, mut within, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in text.strip_prefix('{').unwrap_or_default().chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if within => escaped = true,
            '"' => within = !within,
            _ if within => {}
            '=' => found.push(std::mem::take(&mut name)),
            ',' | ' ' => name.clear(),
            '}' => break,
            c => name.push(c),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::samples;
    use crate::catalog::{Catalog, Files, Metric, Unit};

    const PAGE: &str = r#"# HELP plimsoll_scrapes Scrapes.
# TYPE plimsoll_scrapes counter
plimsoll_scrapes_total{scrape_job="a}=\",b",reason="x"} 1
# TYPE plimsoll_duration_seconds histogram
plimsoll_duration_seconds_bucket{le="+Inf",verb="get"} 1
plimsoll_duration_seconds_sum{verb="get"} 1
# TYPE plimsoll_idle gauge
# EOF
"#;

    #[test]
    fn a_page_has_families_with_labels() {
        let page = Page::read(PAGE);
        let of = |name| page.family(name).map(|labels| labels.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(of("plimsoll_scrapes_total"), Some(vec!["reason", "scrape_job"]));
        assert_eq!(of("plimsoll_duration_seconds"), Some(vec!["le", "verb"]));
        assert_eq!(of("plimsoll_idle"), Some(vec![]));
        assert_eq!(of("plimsoll_other"), None);
    }

    #[test]
    fn what_a_page_lacks_is_named_with_its_readers() {
        let scrapes = Metric::counter("plimsoll_scrapes_total", "scrapes", "").label("scrape_job").label("kind");
        let idle = Metric::gauge("plimsoll_idle", Unit::Boolean, "").label("pool");
        let gone = Metric::gauge("plimsoll_gone", Unit::Boolean, "");
        let catalog = Catalog::default().with([scrapes, idle, gone]);
        let mut files = Files::default();
        let rule = |expr: &str| format!("{{alert: A, expr: '{expr}'}}");
        let rules = [
            rule(r#"plimsoll_scrapes_total{job="plimsoll",scrape_job="a"} > 1"#),
            rule(r#"plimsoll_scrapes_total{kind="b"} > 1"#),
            rule(r#"plimsoll_idle{pool="a"} > 1"#),
            rule("plimsoll_gone > 1"),
        ];
        files.add("alert-rules/a.yaml", format!("groups: [{{name: a, rules: [{}]}}]", rules.join(", ")));
        let manifest = Manifest::of(&catalog, &files, &samples::version(), None).expect("a manifest");
        let found: Vec<_> = against(&manifest, "u", &Page::read(PAGE)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "u: there is no metric plimsoll_gone, which is read by alert-rules/a.yaml",
                "u: metric plimsoll_scrapes_total has no label kind, which is read by alert-rules/a.yaml",
            ]
        );
    }
}
