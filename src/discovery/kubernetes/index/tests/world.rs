//! The world of the stories: objects of a cluster in YAML, and what an index says of them.

use std::fmt::Write;

use serde_json::Value as Json;

use super::super::*;
use crate::config::KubernetesSd;
use crate::model::selector::Selector;
use crate::model::{Identity, Scraping};

/// An index and the job that asks it.
pub(super) struct World {
    pub(super) index: Index,
    pub(super) job: Job,
}

/// A pod of the ReplicaSet `web-5d` that wants to be scraped, running at 10.0.0.1.
pub(super) const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  namespace: shop
  name: web-1
  uid: 00000000-0000-0000-0000-000000000001
  labels: {app: web, pod-template-hash: 5d}
  annotations: {prometheus.io/scrape: "true"}
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-5d, uid: rs-1, controller: true}
spec:
  nodeName: node-a
  containers:
  - {name: web, image: web:1, ports: [{containerPort: 8080}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
"#;

pub(super) const REPLICA_SET: &str = r#"
kind: ReplicaSet
metadata:
  namespace: shop
  name: web-5d
  uid: rs-1
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: d-1, controller: true}
"#;

pub(super) const SERVICE: &str = r#"
kind: Service
metadata: {namespace: shop, name: web, labels: {team: a}, annotations: {prometheus.io/scrape: "true"}}
spec: {ports: [{name: http, port: 80, targetPort: 8080}]}
"#;

pub(super) const SLICE: &str = r#"
kind: EndpointSlice
metadata: {namespace: shop, name: web-abc, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: false, serving: false}
  targetRef: {kind: Pod, namespace: shop, name: web-1}
"#;

// === impl World ===

impl World {
    pub(super) fn new() -> Self {
        let job = Job {
            name: "pods".into(),
            scraping: Arc::new(Scraping::for_test()),
            targets: Vec::new(),
            file_sd: Vec::new(),
            http_sd: Vec::new(),
            kubernetes_sd: Vec::new(),
        };
        Self { index: Index::default(), job }
    }

    pub(super) fn of(objects: &[&str]) -> Self {
        let mut world = Self::new();
        for object in objects {
            world.apply(object);
        }
        world
    }

    pub(super) fn apply(&mut self, yaml: &str) -> bool {
        self.index.apply(watched(yaml))
    }

    pub(super) fn targets(&mut self, role: Role) -> (Vec<Arc<Target>>, Vec<String>) {
        let (targets, omissions) = self.index.targets(&self.job, &sd(role));
        (targets, omissions.lines())
    }

    /// Each target as its URL, pod, owners, Services and node; then the omissions.
    pub(super) fn shown(&mut self, role: Role) -> String {
        let (targets, omissions) = self.targets(role);
        let targets = targets.iter().map(|target| format!("{} {}\n", target.url, shown(&target.identity)));
        targets.chain(omissions.into_iter().map(|line| format!("! {line}\n"))).collect()
    }

    #[track_caller]
    pub(super) fn check(&mut self, role: Role, expected: &str) {
        assert_eq!(self.shown(role).trim(), expected.trim());
    }

    /// Everything that is known, in one text.
    pub(super) fn state(&mut self) -> String {
        let mut state = self.shown(Role::Pod) + &self.shown(Role::EndpointSlice);
        let (scraped, _) = self.targets(Role::EndpointSlice);
        let cluster = self.index.cluster(&scraped, Reach::Everywhere);
        cluster.pods.iter().for_each(|pod| writeln!(state, "pod {}", shown(pod)).expect("written"));
        write!(state, "{:?}", cluster.objects).expect("written");
        state
    }
}

pub(super) fn sd(role: Role) -> KubernetesSd {
    KubernetesSd { role, namespaces: Vec::new(), selector: Selector::default() }
}

pub(super) fn shown(identity: &Identity) -> String {
    let owners = identity.owners.iter().map(|owner| format!("{}/{}", owner.kind, owner.name));
    let (owners, services) = (owners.collect::<Vec<_>>().join(","), identity.services.join(","));
    let (pod, node) = (identity.pod.as_deref().unwrap_or("-"), identity.node.as_deref().unwrap_or("-"));
    format!("{}/{pod} [{owners}] [{services}] {node}", identity.namespace)
}

pub(super) fn watched(yaml: &str) -> Watched {
    fn read<T: serde::de::DeserializeOwned>(object: Json) -> T {
        serde_json::from_value(object).expect("an object of the API")
    }
    // As kube-apiserver reads it, `off` and `n` are names.
    let options = serde_saphyr::options! { strict_booleans: true };
    let object: Json = serde_saphyr::from_str_with_options(yaml, options).expect("YAML");
    match object["kind"].as_str().expect("a kind") {
        "Pod" => Watched::Pod(read(object)),
        "ReplicaSet" => Watched::ReplicaSet(read(object)),
        "Job" => Watched::Job(read(object)),
        "Service" => Watched::Service(read(object)),
        "EndpointSlice" => Watched::EndpointSlice(read(object)),
        "Namespace" => Watched::Namespace(read(object)),
        "PodMonitor" => Watched::PodMonitor(read(object)),
        other => panic!("no kind of these stories: {other}"),
    }
}

/// A pod of another name and address.
pub(super) fn pod(name: &str, address: &str) -> String {
    POD.replace("web-1", name).replace("10.0.0.1", address)
}

pub(super) fn names(kind_of: &[(&str, &str)]) -> HashSet<ObjectName> {
    kind_of.iter().map(|(namespace, name)| ((*namespace).into(), (*name).into())).collect()
}
