//! Brokers in a namespace of a test: each holds queues that nothing drains, so that every number is known beforehand.

use std::collections::BTreeMap;

use serde_json::Value;

use super::scene::{address, condition, request};
use crate::harness::controlplane::direct::Direct;
use crate::harness::controlplane::{ControlPlane, eventually};

/// A namespace with brokers.
pub struct Fleet<'a> {
    pub cluster: &'a ControlPlane,
    pub namespace: &'a str,
}

/// What a path is answered with: the value of each object by its name, or why there is none.
pub type Values = Result<BTreeMap<String, String>, String>;

/// What stands for `POD(app, more)` in a manifest: the template of a broker that is scraped, and more of its spec.
const POD: &str = "{metadata: {labels: {app: APP}, \
    annotations: {prometheus.io/scrape: \"true\", prometheus.io/port: \"8080\"}}, \
    spec: {terminationGracePeriodSeconds: 1, MORE \
    containers: [{name: broker, image: workload, args: [broker], ports: [{name: http, containerPort: 8080}]}]}}";

// === impl Fleet ===

impl<'a> Fleet<'a> {
    pub fn new(cluster: &'a ControlPlane, namespace: &'a str) -> Self {
        Self { cluster, namespace }
    }

    /// Applies a manifest, in which `POD(app)` is the template of a broker and `NAMESPACE` the namespace.
    pub async fn apply(&self, manifest: &str) {
        self.cluster.apply(self.namespace, &with_pods(manifest).replace("NAMESPACE", self.namespace)).await;
    }

    /// Waits until the API server serves a resource that was just defined.
    pub async fn is_served(&self, resource: &str) {
        let get = ["get", resource, "-n", self.namespace];
        drop(eventually(&format!("{resource} is served"), || self.cluster.try_kubectl(&get), Result::is_ok).await);
    }

    /// The pods that a selector means, in order of their names, when so many are Ready.
    pub async fn ready(&self, selector: &str, count: usize) -> Vec<Value> {
        let is_ready = |pod: &Value| condition(pod, "Ready") == "True";
        let all_ready = |pods: &Vec<Value>| pods.len() == count && pods.iter().all(is_ready);
        eventually(&format!("{count} pods with {selector} are Ready"), || self.pods(selector), all_ready).await
    }

    pub async fn pods(&self, selector: &str) -> Vec<Value> {
        let said = self.kubectl(&["get", "pods", "-l", selector, "-o", "json"]).await;
        let list: Value = serde_json::from_str(&said).expect("JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// What kubectl says in the namespace.
    pub async fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", self.namespace], arguments].concat()).await
    }

    /// The answer to a path in the API of custom metrics, after the namespace: the value of each object, or the error.
    pub async fn values(&self, path: &str) -> Values {
        let path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/{path}", self.namespace);
        let said = self.cluster.try_kubectl(&["get", "--raw", &path]).await?;
        let list: Value = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        let value = |item: &Value| (text(&item["describedObject"]["name"]).to_owned(), text(&item["value"]).to_owned());
        Ok(items(&list["items"]).map(value).collect())
    }

    /// Waits until the only object at a path has a value.
    pub async fn value_becomes(&self, path: &str, value: &str) {
        let is_it =
            |answer: &Values| answer.as_ref().is_ok_and(|values| values.values().map(String::as_str).eq([value]));
        drop(eventually(&format!("{path} is {value}"), || self.values(path), is_it).await);
    }

    /// Waits until a path is answered with these objects and their values, and no others.
    pub async fn values_become(&self, path: &str, values: &[(&str, &str)]) {
        let wanted: Values = Ok(values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        drop(eventually(&format!("{path} is {values:?}"), || self.values(path), |found| *found == wanted).await);
    }

    /// Waits until a path is refused with these words.
    pub async fn refused(&self, path: &str, words: &str) -> String {
        let is_it = |answer: &Values| answer.as_ref().is_err_and(|said| said.contains(words));
        let answer = eventually(&format!("{path} is refused: {words}"), || self.values(path), is_it).await;
        answer.expect_err("refused")
    }
}

/// Puts jobs into a queue of the broker in a pod.
pub async fn push(pod: &Value, queue: &str, jobs: usize) {
    request("POST", &format!("{}/push?queue={queue}&n={jobs}", address(pod))).await;
}

/// Waits until a page of Plimsoll itself says all of this.
pub async fn page_says(direct: &Direct, path: &str, words: &[&str]) {
    let has_all = |answer: &Option<(u16, String)>| {
        answer.as_ref().is_some_and(|(code, said)| *code == 200 && words.iter().all(|word| said.contains(word)))
    };
    eventually(&format!("{path} says {words:?}"), || direct.get(path), has_all).await;
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The manifest with each `POD(app, more)` written out.
fn with_pods(manifest: &str) -> String {
    let mut parts = manifest.split("POD(");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (arguments, rest) = part.split_once(')').expect("POD(app) or POD(app, more)");
        let (app, more) = arguments.split_once(", ").unwrap_or((arguments, ""));
        let more = if more.is_empty() { String::new() } else { format!("{more},") };
        whole += &POD.replace("APP", app).replace("MORE", &more);
        whole += rest;
    }
    whole
}
