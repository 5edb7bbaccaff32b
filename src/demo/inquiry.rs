//! What kube-controller-manager asks for a metric of a HorizontalPodAutoscaler, and how it reads the answer.
//!
//! A metric of the spec comes in, the path of a request goes out; an answer comes in, a reading in milli-units goes
//! out. Pure; the paths and bodies are those of `k8s.io/metrics` `pkg/client`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::hpa::{MetricIdentifier, MetricSpec, PodSample, Reading};
use crate::model::quantity;
use crate::model::{OwnerReference, Timestamp};

/// A reading, and the time of its oldest sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub reading: Reading,
    pub oldest: Timestamp,
}

/// `MetricValueList` or `ExternalMetricValueList`, as far as the controller looks at it.
#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    described_object: Option<Described>,
    timestamp: String,
    value: String,
}

#[derive(Deserialize)]
struct Described {
    name: String,
}

/// `Status`, the body of a refusal.
#[derive(Deserialize)]
struct Status {
    message: String,
}

const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
/// Go's `url.QueryEscape` leaves these as they are, and writes a space as `+`, which no selector here has.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The path and query of the request for a metric. `pods` is the selector of the scale.
///
/// # Errors
/// A sentence for a metric that the demo has no request for: resources, selectors with expressions, own kinds.
pub fn path(metric: &MetricSpec, namespace: &str, pods: &str) -> Result<String, String> {
    match metric {
        MetricSpec::Pods { metric, .. } => {
            let chosen = query(&[("labelSelector", Some(pods.to_owned())), ("metricLabelSelector", selector(metric)?)]);
            Ok(format!("{CUSTOM}/namespaces/{namespace}/pods/%2A/{}{chosen}", metric.name))
        }
        MetricSpec::Object { metric, kind, name, .. } => {
            let object = OwnerReference::parse(&format!("{kind}/{name}")).map_err(|error| error.to_string())?;
            let chosen = query(&[("metricLabelSelector", selector(metric)?)]);
            let resource = object.group_resource();
            Ok(format!("{CUSTOM}/namespaces/{namespace}/{resource}/{name}/{}{chosen}", metric.name))
        }
        MetricSpec::External { metric, .. } => {
            let chosen = query(&[("labelSelector", selector(metric)?)]);
            Ok(format!("{EXTERNAL}/namespaces/{namespace}/{}{chosen}", metric.name.to_lowercase()))
        }
        MetricSpec::Resource { resource, .. } => Err(format!("the demo has no metrics of the resource {resource}")),
    }
}

/// Reads the body of an answer with status 200.
///
/// # Errors
/// A sentence: the body is no list, has no items, or a value that is no quantity; one bad item fails the list.
pub fn read(metric: &MetricSpec, body: &[u8]) -> Result<Answer, String> {
    let list: List =
        serde_json::from_slice(body).map_err(|error| format!("the answer is no list of metrics: {error}"))?;
    let items: Vec<(Option<String>, i64, Timestamp)> = list.items.into_iter().map(item).collect::<Result<_, _>>()?;
    let oldest = items.iter().map(|(_, _, timestamp)| *timestamp).min();
    let oldest = oldest.ok_or("no metrics returned from the metrics API")?;
    let reading = match (metric, items.as_slice()) {
        (MetricSpec::External { .. }, items) => Reading::External(items.iter().map(|(_, milli, _)| *milli).collect()),
        (MetricSpec::Object { .. }, [(_, milli, _)]) => Reading::Object(*milli),
        (MetricSpec::Object { .. }, items) => {
            return Err(format!("expected exactly one value for one object, found {}", items.len()));
        }
        _ => Reading::PerPod { samples: items.into_iter().map(pod_sample).collect(), requests: BTreeMap::new() },
    };
    Ok(Answer { reading, oldest })
}

/// The sentence of a refusal: the message of the Status, or the body as it is.
pub fn refusal(code: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) => status.message,
        Err(_) => format!("status {code}: {}", String::from_utf8_lossy(body).trim()),
    }
}

fn item(item: Item) -> Result<(Option<String>, i64, Timestamp), String> {
    let milli = quantity::parse(&item.value).map_err(|error| format!("the value {:?}: {error}", item.value))?.milli();
    let time: jiff::Timestamp =
        item.timestamp.parse().map_err(|error| format!("the timestamp {:?}: {error}", item.timestamp))?;
    Ok((item.described_object.map(|object| object.name), milli, Timestamp(time.as_millisecond())))
}

fn pod_sample((pod, milli, timestamp): (Option<String>, i64, Timestamp)) -> (String, PodSample) {
    // The window matters for CPU only; the controller takes a minute where there is none.
    (pod.unwrap_or_default(), PodSample { milli, timestamp, window: Duration::from_secs(60) })
}

fn selector(metric: &MetricIdentifier) -> Result<Option<String>, String> {
    let Some(LabelSelector { match_labels, match_expressions }) = &metric.selector else {
        return Ok(None);
    };
    if match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty()) {
        return Err(format!("the demo reads only matchLabels in the selector of {}", metric.name));
    }
    let pairs: Vec<String> = match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    Ok((!pairs.is_empty()).then(|| pairs.join(",")))
}

fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let written: Vec<String> =
        given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
    if written.is_empty() { String::new() } else { format!("?{}", written.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpa::Amount;

    fn identifier(name: &str, labels: &[(&str, &str)]) -> MetricIdentifier {
        let match_labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let selector = LabelSelector { match_labels: Some(match_labels), match_expressions: None };
        MetricIdentifier { name: name.into(), selector: (!labels.is_empty()).then_some(selector) }
    }

    fn pods(labels: &[(&str, &str)]) -> MetricSpec {
        MetricSpec::Pods { metric: identifier("qps", labels), average: 1 }
    }

    fn object() -> MetricSpec {
        let metric = identifier("dq", &[]);
        MetricSpec::Object { metric, kind: "Deployment".into(), name: "web".into(), target: Amount::Value(1) }
    }

    fn external() -> MetricSpec {
        let metric = identifier("EQ2", &[("queue", "a")]);
        MetricSpec::External { metric, target: Amount::Value(1) }
    }

    #[test]
    fn paths_are_those_of_kube_controller_manager() {
        let check = |metric: &MetricSpec, want: &str| assert_eq!(path(metric, "ns", "app=web").as_deref(), Ok(want));
        let custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns";
        check(&pods(&[]), &format!("{custom}/pods/%2A/qps?labelSelector=app%3Dweb"));
        check(
            &pods(&[("code", "500"), ("verb", "GET")]),
            &format!("{custom}/pods/%2A/qps?labelSelector=app%3Dweb&metricLabelSelector=code%3D500%2Cverb%3DGET"),
        );
        check(&object(), &format!("{custom}/deployments.apps/web/dq"));
        check(&external(), "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/eq2?labelSelector=queue%3Da");
    }

    #[test]
    fn answers_are_read_in_milli_units() {
        let body = br#"{"kind":"MetricValueList","items":[
            {"describedObject":{"name":"p-1"},"timestamp":"2026-01-02T03:04:05Z","value":"12345m"},
            {"describedObject":{"name":"p-2"},"timestamp":"2026-01-02T03:04:03Z","value":"2"}]}"#;
        let answer = read(&pods(&[]), body).expect("two pods");
        let Reading::PerPod { samples, .. } = answer.reading else { panic!("it is per pod") };
        assert_eq!(
            samples.iter().map(|(pod, s)| (pod.as_str(), s.milli)).collect::<Vec<_>>(),
            [("p-1", 12345), ("p-2", 2000)]
        );
        assert_eq!(answer.oldest.to_string(), "2026-01-02T03:04:03Z");
        assert!(read(&object(), body).expect_err("two values").contains("found 2"));
    }

    #[test]
    fn a_list_without_items_is_no_zero() {
        assert!(read(&external(), br#"{"items":[]}"#).expect_err("no items").contains("no metrics"));
        assert!(read(&external(), b"<html>").expect_err("no list").contains("no list"));
        let bad = br#"{"items":[{"timestamp":"2026-01-02T03:04:05Z","value":"NaN"}]}"#;
        assert!(read(&external(), bad).expect_err("no quantity").contains("NaN"));
    }

    #[test]
    fn a_refusal_shows_the_message_of_the_status() {
        assert_eq!(refusal(404, br#"{"kind":"Status","message":"no such metric"}"#), "no such metric");
        assert_eq!(refusal(502, b"Bad Gateway\n"), "status 502: Bad Gateway");
    }
}
