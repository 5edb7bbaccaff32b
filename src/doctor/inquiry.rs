//! What kube-controller-manager asks for a metric of a HorizontalPodAutoscaler, and what it is answered.
//!
//! An element of `spec.metrics` comes in, the path of a request goes out; the body of an answer comes in, values in
//! milli-units go out. Pure; the paths are those of `k8s.io/metrics` `pkg/client`.

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::config::one_line;
use crate::doctor::facts::{Gap, Item, Plurals};
use crate::model::quantity;
use crate::model::selector::{self, Selector};
use crate::model::{GroupResource, Timestamp};

/// A metric of another API than ours is `None`: Resource and ContainerResource.
pub(super) type Asks = Result<Option<Inquiry>, Gap>;

/// One request of the autoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inquiry {
    pub metric: String,
    /// What the value is of: `Pod`, the kind of an object, or `External`.
    pub level: String,
    /// Path and query.
    pub path: String,
}

/// Whose metrics an autoscaler asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub namespace: &'a str,
    /// The version of the custom metrics API that the controller has chosen, or why it has none or it is not known.
    pub version: Result<&'a str, &'a Gap>,
    /// The selector of the scale, or why there is none or it is not known.
    pub pods: Result<&'a str, &'a Gap>,
    pub plurals: &'a Plurals,
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    described_object: Option<Described>,
    timestamp: Option<String>,
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Described {
    name: String,
}

/// What Go's `url.QueryEscape` leaves as it is; it writes a space as `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What Go leaves as it is in a segment of a path.
const SEGMENT: &AsciiSet =
    &QUERY.remove(b'$').remove(b'&').remove(b'+').remove(b',').remove(b':').remove(b';').remove(b'=').remove(b'@');

// === impl Asker ===

impl Asker<'_> {
    /// The request for a metric.
    ///
    /// # Errors
    /// Why the controller cannot even ask, or why it is not known how it does.
    pub(super) fn ask(&self, metric: &v2::MetricSpec) -> Asks {
        let unset = || Err(Gap::Real(format!("type is {}, but the source of that name is not set", metric.type_)));
        match metric.type_.as_str() {
            "Pods" => metric.pods.as_ref().map_or_else(unset, |source| self.pods(source).map(Some)),
            "Object" => metric.object.as_ref().map_or_else(unset, |source| self.object(source).map(Some)),
            "External" => metric.external.as_ref().map_or_else(unset, |source| self.external(source).map(Some)),
            _ => Ok(None),
        }
    }

    fn pods(&self, source: &v2::PodsMetricSource) -> Result<Inquiry, Gap> {
        let query = query(&[
            ("labelSelector", Some(self.pods.map_err(Clone::clone)?.to_owned())),
            ("metricLabelSelector", selector(source.metric.selector.as_ref())?),
        ]);
        let rest = format!("pods/%2A/{}{query}", segment(&source.metric.name));
        Ok(Inquiry { metric: source.metric.name.clone(), level: "Pod".into(), path: self.custom(&rest)? })
    }

    fn object(&self, source: &v2::ObjectMetricSource) -> Result<Inquiry, Gap> {
        let object = &source.described_object;
        let resource = self.plurals.resource(object.api_version.as_deref().unwrap_or("v1"), &object.kind)?;
        let query = query(&[("metricLabelSelector", selector(source.metric.selector.as_ref())?)]);
        // The name of a Namespace is not even looked at: it is always that of the autoscaler.
        let place = match resource == GroupResource::core("namespaces") {
            true => "metrics".into(),
            false => format!("{resource}/{}", segment(&object.name)),
        };
        let rest = format!("{place}/{}{query}", segment(&source.metric.name));
        Ok(Inquiry { metric: source.metric.name.clone(), level: object.kind.clone(), path: self.custom(&rest)? })
    }

    /// Names of external metrics are lower-cased on the way.
    fn external(&self, source: &v2::ExternalMetricSource) -> Result<Inquiry, Gap> {
        let query = query(&[("labelSelector", selector(source.metric.selector.as_ref())?)]);
        let (namespace, name) = (self.namespace, segment(&source.metric.name.to_lowercase()));
        let path = format!("/apis/{EXTERNAL_GROUP}/v1beta1/namespaces/{namespace}/{name}{query}");
        Ok(Inquiry { metric: source.metric.name.clone(), level: "External".into(), path })
    }

    fn custom(&self, rest: &str) -> Result<String, Gap> {
        let version = self.version.map_err(Clone::clone)?;
        Ok(format!("/apis/{CUSTOM_GROUP}/{version}/namespaces/{}/{rest}", self.namespace))
    }
}

/// Reads the body of an answer with status 200; one bad item fails the list, as in the controller.
///
/// # Errors
/// A sentence on why the controller can do nothing with it.
pub(super) fn read(body: &str) -> Result<Vec<Item>, String> {
    let list: List = serde_json::from_str(body).map_err(|error| one_line(&format_args!("it is no list: {error}")))?;
    let items: Vec<Item> = list.items.unwrap_or_default().into_iter().map(item).collect::<Result<_, _>>()?;
    if items.is_empty() { Err("no metrics returned from the metrics API".into()) } else { Ok(items) }
}

fn item(entry: Entry) -> Result<Item, String> {
    let text = entry.value.as_str().map_or_else(|| entry.value.to_string(), str::to_owned);
    let bad = |what: String| one_line(&format_args!("the value {text:?}: {what}"));
    let milli = quantity::parse(&text).map_err(|error| bad(error.to_string()))?.milli();
    let time = entry.timestamp.as_deref().map(str::parse::<jiff::Timestamp>).transpose();
    let time = time.map_err(|error| one_line(&format_args!("the timestamp: {error}")))?;
    let timestamp = time.map(|time| Timestamp(time.as_millisecond()));
    Ok(Item { name: entry.described_object.map(|object| object.name), milli, timestamp })
}

/// The text of a selector; `None` for one that is not set or empty.
fn selector(selector: Option<&LabelSelector>) -> Result<Option<String>, Gap> {
    let Some(selector) = selector else { return Ok(None) };
    let text = selector::text(selector).map_err(|error| Gap::Real(one_line(&error)))?;
    let read = Selector::parse(&text).map_err(|error| Gap::Real(one_line(&format_args!("its selector: {error}"))))?;
    Ok((!read.is_empty()).then(|| read.to_string()))
}

/// A segment of a path, whatever it is made of.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn query(parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let escaped = |value: &str| utf8_percent_encode(value, QUERY).to_string().replace("%20", "+");
    let written: Vec<String> = given.map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if written.is_empty() { String::new() } else { format!("?{}", written.join("&")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(metric: Value) -> Asks {
        let metric: v2::MetricSpec = serde_json::from_value(metric).expect("a metric");
        let plurals = Plurals::of(&[
            ("v1", "Service", "services"),
            ("v1", "Node", "nodes"),
            ("v1", "Namespace", "namespaces"),
            ("apps/v1", "Deployment", "deployments"),
            ("networking.k8s.io/v1", "Ingress", "ingresses"),
        ]);
        let pods = Ok("app=web,tier in (a,b)");
        Asker { namespace: "ns", version: Ok("v1beta2"), pods, plurals: &plurals }.ask(&metric)
    }

    fn path(metric: Value) -> String {
        ask(metric).expect("it can be asked").expect("one of ours").path
    }

    fn object(api_version: &str, kind: &str, name: &str, metric: &str) -> Value {
        let object = json!({"apiVersion": api_version, "kind": kind, "name": name});
        let target = json!({"type": "Value", "value": "1"});
        json!({"type": "Object", "object": {"describedObject": object, "metric": {"name": metric}, "target": target}})
    }

    /// Recorded from kube-controller-manager 1.36.2.
    #[test]
    fn paths_are_those_of_the_controller() {
        let custom = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns";
        let target = json!({"type": "AverageValue", "averageValue": "1"});
        let expression = json!({"key": "code", "operator": "NotIn", "values": ["500", "400"]});
        let chosen = json!({"matchLabels": {"verb": "GET"}, "matchExpressions": [expression]});
        let pods = json!({"metric": {"name": "qpsSel", "selector": chosen}, "target": target});
        assert_eq!(
            path(json!({"type": "Pods", "pods": pods})),
            format!(
                "{custom}/pods/%2A/qpsSel?labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29\
                 &metricLabelSelector=code+notin+%28400%2C500%29%2Cverb%3DGET"
            )
        );
        assert_eq!(path(object("v1", "Service", "websvc", "SQ")), format!("{custom}/services/websvc/SQ"));
        assert_eq!(path(object("apps/v1", "Deployment", "web", "dq")), format!("{custom}/deployments.apps/web/dq"));
        let ingress = object("networking.k8s.io/v1", "Ingress", "ing", "iq");
        assert_eq!(path(ingress), format!("{custom}/ingresses.networking.k8s.io/ing/iq"));
        assert_eq!(path(object("v1", "Node", "n1", "nodeq")), format!("{custom}/nodes/n1/nodeq"));
        assert_eq!(path(object("v1", "Namespace", "other", "nsm")), format!("{custom}/metrics/nsm"));
        let selector = json!({"matchLabels": {"queue": "a"}});
        let external = json!({"metric": {"name": "MyQueue", "selector": selector}, "target": target});
        assert_eq!(
            path(json!({"type": "External", "external": external})),
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/myqueue?labelSelector=queue%3Da"
        );
    }

    #[test]
    fn a_kind_that_the_api_does_not_have_cannot_be_asked_for_and_resources_are_not_ours() {
        let error = ask(object("apps/v1", "Deploymint", "web", "dq")).expect_err("no such kind");
        assert_eq!(error, Gap::Real("the API has no kind Deploymint in apps/v1".into()));
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        assert_eq!(ask(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})), Ok(None));
    }

    #[test]
    fn answers_are_read_as_the_controller_reads_them() {
        let of = |item: Value| read(&json!({ "items": [item] }).to_string());
        let pod = json!({"describedObject": {"name": "p"}, "timestamp": "2026-01-02T03:04:05Z", "value": "1500m"});
        let item = Item { name: Some("p".into()), milli: 1500, timestamp: Some(Timestamp(1_767_323_045_000)) };
        assert_eq!(of(pod), Ok(vec![item]));
        assert_eq!(of(json!({"value": 12.5})), Ok(vec![Item { name: None, milli: 12_500, timestamp: None }]));
        let said = of(json!({"value": "NaN"})).expect_err("no quantity");
        assert!(said.starts_with("the value \"NaN\": "), "{said}");
        for empty in ["{\"items\": []}", "{\"items\": null}", "{}"] {
            assert_eq!(read(empty), Err("no metrics returned from the metrics API".into()));
        }
    }
}
