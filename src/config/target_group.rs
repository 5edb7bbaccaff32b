//! Pages of Prometheus' `file_sd` and `http_sd` (JSON, or YAML in files) → targets.
//!
//! A wrong group is reported and leaves the others standing, so that one entry never empties a job.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::{Omissions, StaticTarget, name};
use crate::model::{Identity, Labels, OwnerReference};

/// A page that is no list of target groups at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("expected a JSON or YAML list of target groups: {0}")]
    Syntax(String),
    #[error("expected a list of target groups, found {0}")]
    NoList(&'static str),
}

/// The labels of one group, which speak for all of its targets.
struct GroupLabels<'a> {
    labels: &'a Map<String, Value>,
    path: KeyPath,
}

/// Labels that say which objects the targets stand for; all others without `__` are labels of the pod.
const IDENTITY: [&str; 5] = ["namespace", "pod", "owner", "services", "node"];

/// What Prometheus' Kubernetes discovery calls them.
const DISCOVERED_IDENTITY: [&str; 6] = [
    "__meta_kubernetes_namespace",
    "__meta_kubernetes_pod_name",
    "__meta_kubernetes_pod_controller_kind",
    "__meta_kubernetes_pod_controller_name",
    "__meta_kubernetes_service_name",
    "__meta_kubernetes_pod_node_name",
];

/// Reads a page: the targets, and a sentence for each group, target or label that could not be used.
///
/// Objects come from the labels `namespace`, `pod`, `owner`, `services` and `node` or, without those, from
/// Prometheus' `__meta_kubernetes_…`. Labels that start with `__` are not kept; all others are labels of the pod.
/// A group with a wrong identity is left out; of a wrong pod label only the label.
///
/// # Errors
/// [`PageError`] when the page is no list.
pub fn target_groups(text: &str) -> Result<(Vec<StaticTarget>, Omissions), PageError> {
    let groups = match page(text)? {
        Value::Array(groups) => groups,
        other => return Err(PageError::NoList(kind(&other))),
    };
    let mut targets = Vec::new();
    let mut omissions = Omissions::default();
    let mut seen = BTreeSet::new();
    for (i, group) in groups.iter().enumerate() {
        match read_group(group, &KeyPath::default().index(i), &mut omissions) {
            Ok(found) => targets.extend(found),
            Err(mistake) => omissions.push(mistake),
        }
    }
    targets.retain(|target: &StaticTarget| {
        let pod = target.identity.pod.clone().unwrap_or_default();
        let first = seen.insert((target.url.clone(), target.identity.namespace.clone(), pod));
        if !first {
            let url = &target.url;
            omissions.push(format_args!("{url:?} stands in the page twice for the same pod; the first one is used"));
        }
        first
    });
    Ok((targets, omissions))
}

fn page(text: &str) -> Result<Value, PageError> {
    let json = serde_json::from_str(text);
    match json {
        Ok(page) => Ok(page),
        // JSON that is not well-formed would only get a stranger message from the YAML reader.
        Err(error) if text.trim_start().starts_with(['[', '{']) => Err(PageError::Syntax(error.to_string())),
        Err(_) => {
            // As elsewhere, `n` and `on` are text.
            let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
            let page = serde_saphyr::from_str_with_options(text, options);
            page.map_err(|error| PageError::Syntax(error.to_string()))
        }
    }
}

fn read_group(group: &Value, path: &KeyPath, omissions: &mut Omissions) -> Result<Vec<StaticTarget>, String> {
    let Value::Object(group) = group else {
        return Err(format!("{path}: expected a mapping with targets and labels, found {}", kind(group)));
    };
    if let Some(unknown) = group.keys().find(|key| !matches!(key.as_str(), "targets" | "labels")) {
        return Err(format!("{}: unknown key; valid keys: labels, targets", path.key(unknown)));
    }
    let targets_path = path.key("targets");
    let addresses = match group.get("targets") {
        Some(Value::Array(addresses)) => addresses,
        Some(other) => return Err(format!("{targets_path}: expected a list, found {}", kind(other))),
        None => return Err(format!("{targets_path}: missing key; expected a list of host:port")),
    };
    let (none, labels_path) = (Map::new(), path.key("labels"));
    let labels = match group.get("labels") {
        Some(Value::Object(labels)) => GroupLabels { labels, path: labels_path },
        None | Some(Value::Null) => GroupLabels { labels: &none, path: labels_path },
        Some(other) => return Err(format!("{labels_path}: expected a mapping, found {}", kind(other))),
    };
    labels.check(omissions)?;
    let identity = labels.identity()?;
    let mut targets = Vec::new();
    for (i, address) in addresses.iter().enumerate() {
        match labels.url(address) {
            Ok(url) => targets.push(StaticTarget { url, identity: identity.clone() }),
            Err(mistake) => omissions.push(format_args!("{}: {mistake}", targets_path.index(i))),
        }
    }
    Ok(targets)
}

/// Whether a label decides what is scraped or whom it speaks for.
fn is_essential(key: &str) -> bool {
    IDENTITY.contains(&key)
        || DISCOVERED_IDENTITY.contains(&key)
        || matches!(key, "__scheme__" | "__metrics_path__")
        || key.starts_with("__param_")
}

// === impl GroupLabels ===

impl GroupLabels<'_> {
    /// Every value has to be text. Without an essential label the group would be another one; any other is only left
    /// out, since its targets are there all the same.
    fn check(&self, omissions: &mut Omissions) -> Result<(), String> {
        for (key, value) in self.labels.iter().filter(|(_, value)| !value.is_string()) {
            let mistake = self.at(key, &format!("expected text, found {}", kind(value)));
            if is_essential(key) {
                return Err(mistake);
            }
            omissions.push(format_args!("{mistake}; the label is left out, its targets stay"));
        }
        Ok(())
    }

    fn at(&self, key: &str, mistake: &str) -> String {
        format!("{}: {mistake}", self.path.key(key))
    }

    /// The first of these labels that is given and not empty, with its name: an empty label is an absent one.
    fn first<'k>(&self, keys: [&'k str; 2]) -> Option<(&'k str, &str)> {
        let found = |key: &'k str| Some((key, self.get(key)?));
        keys.into_iter().find_map(found)
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.labels.get(key).and_then(Value::as_str).filter(|value| !value.is_empty())
    }

    fn identity(&self) -> Result<Identity, String> {
        let namespace = self.first(["namespace", "__meta_kubernetes_namespace"]);
        let Some(namespace) = self.valid(namespace, name::dns_label)? else {
            return Err(self.at("namespace", "missing key; expected the namespace of the targets"));
        };
        Ok(Identity {
            namespace,
            pod: self.valid(self.first(["pod", "__meta_kubernetes_pod_name"]), name::dns_subdomain)?,
            owners: self.owners()?,
            services: self.services()?,
            node: self.valid(self.first(["node", "__meta_kubernetes_pod_node_name"]), name::dns_subdomain)?,
            labels: self.pod_labels(),
        })
    }

    fn owners(&self) -> Result<Arc<[OwnerReference]>, String> {
        if let Some(text) = self.get("owner") {
            return name::owners(text).map(Into::into).map_err(|mistake| self.at("owner", &mistake));
        }
        let kind = self.get("__meta_kubernetes_pod_controller_kind");
        let name = self.get("__meta_kubernetes_pod_controller_name");
        // A kind whose API version these labels do not tell (`Node` of a static pod) cannot be asked for.
        let owner = kind.zip(name).and_then(|(kind, name)| OwnerReference::parse(&format!("{kind}/{name}")).ok());
        Ok(owner.into_iter().collect())
    }

    fn services(&self) -> Result<Arc<[Arc<str>]>, String> {
        let Some((key, text)) = self.first(["services", "__meta_kubernetes_service_name"]) else {
            return Ok(Arc::default());
        };
        let service = |part: &str| self.valid(Some((key, part.trim())), name::dns_label);
        text.split(',').filter_map(|part| service(part).transpose()).collect()
    }

    fn valid(
        &self,
        label: Option<(&str, &str)>,
        rule: fn(&str) -> Result<(), String>,
    ) -> Result<Option<Arc<str>>, String> {
        let Some((key, value)) = label else { return Ok(None) };
        rule(value).map_err(|mistake| self.at(key, &mistake))?;
        Ok(Some(value.into()))
    }

    /// Prometheus replaces what label names cannot hold by `_`, so `app.kubernetes.io/name` arrives as
    /// `app_kubernetes_io_name`; labels written without `__meta_…` keep their name and win.
    fn pod_labels(&self) -> Labels {
        let text = |(key, value): (&str, &Value)| Some((key.to_owned(), value.as_str()?.to_owned()));
        let discovered = self.labels.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix("__meta_kubernetes_pod_label_")?;
            text((key, value))
        });
        let written = self.labels.iter().filter(|(key, _)| !key.starts_with("__") && !IDENTITY.contains(&key.as_str()));
        written.filter_map(|(key, value)| text((key, value))).chain(discovered).collect()
    }

    fn url(&self, address: &Value) -> Result<String, String> {
        let Value::String(address) = address else {
            return Err(format!("expected host:port, found {}", kind(address)));
        };
        if address.is_empty() || address.contains(['/', '?', '#', '@']) {
            return Err(format!("expected host:port, found {address:?}"));
        }
        let scheme = self.get("__scheme__").unwrap_or("http");
        let path = self.get("__metrics_path__").unwrap_or("/metrics");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut url = format!("{scheme}://{address}{slash}{path}");
        let parameters = self.labels.keys().filter_map(|key| Some((key.strip_prefix("__param_")?, self.get(key)?)));
        for (name, value) in parameters {
            let separator = if url.contains('?') { '&' } else { '?' };
            let [name, value] = [name, value].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
            write!(url, "{separator}{name}={value}").expect("writing to a String cannot fail");
        }
        name::url(&url).map(|()| url)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, urls: &[&str], mistakes: &[&str]) -> Vec<StaticTarget> {
        let (targets, found) = target_groups(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found_urls: Vec<&str> = targets.iter().map(|target| target.url.as_str()).collect();
        assert_eq!(found_urls, urls, "{text}");
        assert_eq!(found.lines(), mistakes, "{text}");
        targets
    }

    #[test]
    fn identity_comes_from_plain_labels() {
        let targets = check(
            r#"[{"targets": ["10.0.0.1:80", "10.0.0.2:80"], "labels": {"namespace": "agents", "pod": "a-1",
               "owner": "ReplicaSet/a-5d4, Deployment/a", "services": "a, b", "node": "n", "app": "x", "__tmp": "y"}}]"#,
            &["http://10.0.0.1:80/metrics", "http://10.0.0.2:80/metrics"],
            &[],
        );
        let identity = &targets[0].identity;
        assert_eq!((identity.owners.len(), identity.services.join("+").as_str()), (2, "a+b"));
        assert_eq!(identity.labels, Labels::new([("app", "x")]));
    }

    #[test]
    fn identity_comes_from_discovered_labels() {
        let targets = check(
            r#"[{"targets": ["[::1]:80"], "labels": {"__scheme__": "https", "__metrics_path__": "m", "__param_x": "a b",
               "__meta_kubernetes_namespace": "agents", "__meta_kubernetes_pod_name": "a-1",
               "__meta_kubernetes_pod_controller_kind": "ReplicaSet", "__meta_kubernetes_pod_controller_name": "a-5d4",
               "__meta_kubernetes_service_name": "a", "__meta_kubernetes_pod_node_name": "n",
               "__meta_kubernetes_pod_label_app": "x"}}]"#,
            &["https://[::1]:80/m?x=a%20b"],
            &[],
        );
        let Identity { namespace, pod, owners, services, node, labels } = &targets[0].identity;
        assert_eq!((&**namespace, pod.as_deref(), node.as_deref()), ("agents", Some("a-1"), Some("n")));
        assert_eq!((&*owners[0].name, &*services[0], labels.get("app")), ("a-5d4", "a", Some("x")));
    }

    #[test]
    fn wrong_groups_leave_the_others() {
        check(
            r#"[{"targets": ["a:1"], "labels": {"namespace": "n"}}, 5, {"labels": {}},
               {"targets": ["b:1"]}, {"targets": ["b:1"], "labels": {"namespace": "N"}},
               {"targets": ["b:1", "c", 7, "http://d"], "labels": {"namespace": "n"}},
               {"targets": [], "labels": {"namespace": 1}}, {"target": []},
               {"targets": ["a:1"], "labels": {"namespace": "n"}}]"#,
            &["http://a:1/metrics", "http://b:1/metrics", "http://c/metrics"],
            &[
                "[1]: expected a mapping with targets and labels, found a number",
                "[2].targets: missing key; expected a list of host:port",
                "[3].labels.namespace: missing key; expected the namespace of the targets",
                "[4].labels.namespace: expected a DNS label: lower-case letters, digits and -, starting and ending with \
                 a letter or digit, at most 63 characters, found \"N\"",
                "[5].targets[2]: expected host:port, found a number",
                "[5].targets[3]: expected host:port, found \"http://d\"",
                "[6].labels.namespace: expected text, found a number",
                "[7].target: unknown key; valid keys: labels, targets",
                "\"http://a:1/metrics\" stands in the page twice for the same pod; the first one is used",
            ],
        );
    }

    #[test]
    fn a_wrong_pod_label_costs_the_label_and_not_the_targets() {
        let targets = check(
            r#"[{"targets": ["a:1"], "labels": {"namespace": "n", "app": "x", "version": 2, "__meta_other": []}},
               {"targets": ["b:1"], "labels": {"namespace": "n", "pod": 7}},
               {"targets": ["c:1"], "labels": {"namespace": "n", "__metrics_path__": 7}}]"#,
            &["http://a:1/metrics"],
            &[
                "[0].labels.version: expected text, found a number; the label is left out, its targets stay",
                "[0].labels.__meta_other: expected text, found a list; the label is left out, its targets stay",
                "[1].labels.pod: expected text, found a number",
                "[2].labels.__metrics_path__: expected text, found a number",
            ],
        );
        assert_eq!(targets[0].identity.labels, Labels::new([("app", "x")]));
    }

    #[test]
    fn foreign_keys_cannot_forge_a_line_and_are_not_told_by_the_thousand() {
        check(
            r#"[{"targets": ["a:1"], "labels": {"namespace": "n", "x\nERROR all is lost": 1}}, {"y\nERROR": 1}]"#,
            &["http://a:1/metrics"],
            &[
                "[0].labels[\"x\\nERROR all is lost\"]: expected text, found a number; the label is left out, its targets stay",
                "[1][\"y\\nERROR\"]: unknown key; valid keys: labels, targets",
            ],
        );
        let (_, omissions) = target_groups(&format!("[{}5]", "5,".repeat(999))).expect("a list");
        assert_eq!((omissions.lines().len(), omissions.lines()[20].as_str()), (21, "and 980 more"));
    }

    #[test]
    fn yaml_is_read_as_well() {
        check("- targets: ['a:1']\n  labels: {namespace: n}\n", &["http://a:1/metrics"], &[]);
        check("[]", &[], &[]);
    }

    #[test]
    fn a_page_that_is_no_list_is_an_error() {
        assert_eq!(target_groups("{}"), Err(PageError::NoList("a mapping")));
        assert_eq!(target_groups(""), Err(PageError::NoList("nothing")));
        assert!(matches!(target_groups("[{"), Err(PageError::Syntax(_))));
        assert!(matches!(target_groups("<html>"), Err(PageError::NoList("text"))));
    }
}
