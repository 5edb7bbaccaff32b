//! A running Prometheus: has it the series and labels that queries read?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;

use crate::artifacts::{Query, Refusal};
use crate::catalog::Selector;
use crate::client::{Client, Request};
use crate::config::ClientConfig;

/// Its API.
pub struct Prometheus {
    client: Client,
    /// Without a slash at its end.
    url: String,
    /// Seconds since the Unix epoch.
    now: i64,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<String>,
}

/// A series that had no sample for so long is not there.
const LOOK_BACK: i64 = 3600;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Names of labels, of which a metric has a few.
const BODY_SIZE_MAX: usize = 16 << 20;

// === impl Prometheus ===

impl Prometheus {
    pub fn new(url: &str, config: ClientConfig, now: i64) -> Self {
        Self { client: Client::new(config), url: url.trim_end_matches('/').to_owned(), now }
    }

    /// What queries lack, each with its place. `recorded` are the series that rules of the artifacts make.
    ///
    /// # Errors
    /// When Prometheus cannot be asked.
    pub async fn findings(&self, queries: &[Query], recorded: &BTreeSet<String>) -> Result<Vec<Refusal>, Refusal> {
        let (mut known, mut found) = (BTreeMap::new(), Vec::new());
        for query in queries {
            let reads = match &query.reads {
                Ok(reads) => reads,
                Err(what) => {
                    found.push(Refusal::new(&query.place, what));
                    continue;
                }
            };
            for Selector { name, labels } in reads {
                let Some(name) = name else { continue };
                if !known.contains_key(name) {
                    known.insert(name.clone(), self.labels(name).await?);
                }
                let lack = lack(name, labels, &known[name], recorded.contains(name));
                found.extend(lack.map(|what| Refusal::new(&query.place, what)));
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Every label of the series of a name; empty when there is no such series.
    async fn labels(&self, name: &str) -> Result<BTreeSet<String>, Refusal> {
        let selector = format!("{{__name__=\"{name}\"}}");
        // Without an end: the clock there may be ahead of this one.
        let start = self.now - LOOK_BACK;
        let selector = utf8_percent_encode(&selector, NON_ALPHANUMERIC);
        let url = format!("{}/api/v1/labels?match%5B%5D={selector}&start={start}", self.url);
        let accept = HeaderValue::from_static("application/json");
        let request = Request { accept, headers: HeaderMap::new(), timeout: TIMEOUT, body_size_max: BODY_SIZE_MAX };
        let page = self.client.get(&url, &request).await.map_err(|failure| Refusal::new(&self.url, failure.message))?;
        let answer: Answer = serde_json::from_slice(&page.body)
            .map_err(|error| Refusal::new(&self.url, format!("it is no Prometheus: {error}")))?;
        Ok(answer.data.into_iter().collect())
    }
}

/// `le` of a bucket counts as any label.
fn lack(name: &str, wanted: &BTreeSet<String>, there: &BTreeSet<String>, is_recorded: bool) -> Option<String> {
    if there.is_empty() {
        let hint = if is_recorded { "; a rule of the artifacts records it: is it loaded?" } else { "" };
        return Some(format!("there is no series {name}{hint}"));
    }
    let missing: Vec<_> = wanted.difference(there).map(String::as_str).collect();
    let there = || there.iter().filter(|label| *label != "__name__").map(String::as_str).collect::<Vec<_>>().join(", ");
    (!missing.is_empty()).then(|| format!("series {name} have no label {}; they have {}", missing.join(", "), there()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_series_lacks_is_named() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let there = set(&["__name__", "job", "instance"]);
        assert_eq!(lack("up", &set(&["job"]), &there, false), None);
        let label = lack("up", &set(&["job", "pod"]), &there, false);
        assert_eq!(label.as_deref(), Some("series up have no label pod; they have instance, job"));
        assert_eq!(lack("up", &set(&[]), &set(&[]), false).as_deref(), Some("there is no series up"));
        assert!(lack("job:up:sum", &set(&[]), &set(&[]), true).is_some_and(|what| what.contains("is it loaded?")));
    }
}
