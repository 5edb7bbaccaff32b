//! The endpoints of Services with a selector, as EndpointSlices and as files.
//!
//! The API refuses EndpointSlices with loopback addresses, and the pods here have no others. So an endpoint has the
//! pod it stands for (`targetRef`), its node, conditions and ports as in a cluster, but as address a placeholder of
//! 203.0.113.0/24, which is for documentation (RFC 5737). Who wants to reach the pod takes the pod's own address.
//!
//! In place of kube-proxy the API server's way to a Service ends at one of its pods (`egress`). In place of cluster DNS
//! there is, for who is no Kubernetes program, a file for each Service, `NAMESPACE/NAME`, with the `host:port` of
//! each ready endpoint on a line; the program in the pods finds them by the variable `SERVICES`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::programs::Premises;

/// Pods and Services come in, slices and files go out.
pub struct Endpoints {
    client: Client,
    premises: Arc<Premises>,
    pods: Objects<Pod>,
    services: Objects<Service>,
    /// What has been written, by namespace and name.
    slices: BTreeMap<Key, Value>,
    files: BTreeMap<Key, String>,
}

/// The latest state of all objects of a kind.
struct Objects<K> {
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    known: BTreeMap<Key, K>,
    listed: BTreeSet<Key>,
    complete: bool,
}

/// Namespace and name.
type Key = (String, String);

/// Port by name and number.
type Ports = Vec<(String, i32)>;

/// Endpoints of a slice, as in a cluster.
const SLICE_LENGTH: usize = 100;

/// Changes that come together are written together.
const CALM: Duration = Duration::from_millis(20);

/// The name under which the slices are managed.
const MANAGER: &str = "endpointslice-controller.k8s.io";

// === impl Endpoints ===

impl Endpoints {
    pub fn new(client: Client, premises: Arc<Premises>) -> Self {
        let (pods, services) = (Objects::new(&client), Objects::new(&client));
        Self { client, premises, pods, services, slices: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// Follows the cluster for ever.
    pub async fn run(mut self) {
        let mut changed = false;
        loop {
            tokio::select! {
                () = self.pods.next() => changed = true,
                () = self.services.next() => changed = true,
                () = tokio::time::sleep(CALM), if changed && self.pods.complete && self.services.complete => {
                    changed = false;
                    self.premises.egress.set(self.services.known.values().flat_map(|it| self.routes(it)).collect());
                    self.write_files();
                    if let Err(error) = self.write_slices().await {
                        eprintln!("endpoints: {error}");
                        changed = true;
                    }
                }
            }
        }
    }

    async fn write_slices(&mut self) -> kube::Result<()> {
        let wanted: BTreeMap<Key, Value> = self.services.known.values().flat_map(|it| self.slices_of(it)).collect();
        for (key, slice) in &wanted {
            if self.slices.get(key) != Some(slice) {
                self.apply(key, slice).await?;
            }
        }
        let gone: Vec<Key> = self.slices.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in gone {
            missing_is_fine(self.api(&key.0).delete(&key.1, &DeleteParams::default()).await.map(drop))?;
            self.slices.remove(&key);
        }
        Ok(())
    }

    async fn apply(&mut self, key: &Key, slice: &Value) -> kube::Result<()> {
        let patch = PatchParams::apply(MANAGER).force();
        // In a namespace that is about to go nothing can be made any more.
        match self.api(&key.0).patch(&key.1, &patch, &Patch::Apply(slice)).await {
            Err(kube::Error::Api(status)) if [403, 404].contains(&status.code) => return Ok(()),
            applied => drop(applied?),
        }
        self.slices.insert(key.clone(), slice.clone());
        Ok(())
    }

    fn api(&self, namespace: &str) -> Api<EndpointSlice> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The slices of a Service: pods whose ports have the same numbers share one, up to its length.
    fn slices_of(&self, service: &Service) -> Vec<(Key, Value)> {
        let mut groups: BTreeMap<Ports, Vec<Value>> = BTreeMap::new();
        for (number, pod) in self.selected(service).enumerate() {
            groups.entry(ports(service, pod)).or_default().push(endpoint(number, service, pod));
        }
        if groups.is_empty() && selector(service).is_some() {
            groups.insert(Vec::new(), Vec::new());
        }
        let parts = groups.iter().flat_map(|(ports, endpoints)| parts(endpoints).map(move |part| (ports, part)));
        parts.enumerate().map(|(number, (ports, endpoints))| slice(service, number, ports, endpoints)).collect()
    }

    /// Pods with an address that the selector of a Service matches.
    fn selected<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Pod> {
        let selector = selector(service);
        self.pods.known.values().filter(move |pod| {
            let matches =
                |wanted: &BTreeMap<String, String>| wanted.iter().all(|(k, v)| pod.labels().get(k) == Some(v));
            pod.namespace() == service.namespace() && address(pod).is_some() && selector.is_some_and(matches)
        })
    }

    /// Where connections to a Service go, by its ports: to pods that are ready; where only such are left that end, and are
    /// ready yet, to those.
    fn routes(&self, service: &Service) -> Vec<(SocketAddrV4, Vec<SocketAddrV4>)> {
        let spec = service.spec.as_ref();
        let Some(host) = spec.and_then(|spec| spec.cluster_ip.as_ref()?.parse::<Ipv4Addr>().ok()) else {
            return Vec::new();
        };
        let serving: Vec<&Pod> = self.selected(service).filter(|pod| condition(pod, "Ready")).collect();
        let staying: Vec<&Pod> = serving.iter().copied().filter(|pod| !is_terminating(pod)).collect();
        let pods = if staying.is_empty() { serving } else { staying };
        let route = |port: &ServicePort| {
            let at =
                |pod: &&Pod| Some(SocketAddrV4::new(address(pod)?.parse().ok()?, number(target_port(port, pod)?)?));
            Some((SocketAddrV4::new(host, number(port.port)?), pods.iter().filter_map(at).collect()))
        };
        spec.iter().flat_map(|spec| spec.ports.iter().flatten()).filter_map(route).collect()
    }

    fn write_files(&mut self) {
        let wanted: BTreeMap<Key, String> =
            self.services.known.iter().map(|(key, service)| (key.clone(), self.file_of(service))).collect();
        for (key, text) in &wanted {
            if self.files.get(key) != Some(text) {
                self.premises.write_service(&key.0, &key.1, text);
            }
        }
        self.files = wanted;
    }

    fn file_of(&self, service: &Service) -> String {
        let ready = self.selected(service).filter(|pod| condition(pod, "Ready") && !is_terminating(pod));
        let lines = ready.filter_map(|pod| Some(format!("{}:{}\n", address(pod)?, ports(service, pod).first()?.1)));
        lines.collect()
    }
}

// === impl Objects ===

impl<K> Objects<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    fn new(client: &Client) -> Self {
        let events = kube::runtime::watcher(Api::<K>::all(client.clone()), watcher::Config::default());
        let events = events.default_backoff().boxed();
        Self { events, known: BTreeMap::new(), listed: BTreeSet::new(), complete: false }
    }

    /// Takes up one event.
    async fn next(&mut self) {
        match self.events.next().await {
            Some(Ok(Event::Apply(object))) => drop(self.known.insert(key(&object), object)),
            Some(Ok(Event::Delete(object))) => drop(self.known.remove(&key(&object))),
            Some(Ok(Event::Init)) => self.listed.clear(),
            Some(Ok(Event::InitApply(object))) => {
                self.listed.insert(key(&object));
                self.known.insert(key(&object), object);
            }
            Some(Ok(Event::InitDone)) => {
                self.known.retain(|key, _| self.listed.contains(key));
                self.complete = true;
            }
            // The watch begins again by itself.
            Some(Err(error)) => eprintln!("endpoints: {error}"),
            None => std::future::pending().await,
        }
    }
}

fn key<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn slice(service: &Service, number: usize, ports: &Ports, endpoints: &[Value]) -> (Key, Value) {
    let (namespace, name) = key(service);
    let slice_name = format!("{name}-{number}");
    let owner = service.controller_owner_ref(&());
    let protocols: Vec<Value> =
        ports.iter().map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"})).collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": slice_name, "namespace": namespace, "ownerReferences": [owner],
            "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": MANAGER},
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": protocols,
    });
    ((namespace, slice_name), slice)
}

fn endpoint(number: usize, service: &Service, pod: &Pod) -> Value {
    let spec = service.spec.as_ref();
    let (ready, terminating) = (condition(pod, "Ready"), is_terminating(pod));
    let published = spec.is_some_and(|spec| spec.publish_not_ready_addresses == Some(true));
    json!({
        "addresses": [format!("203.0.113.{}", number % 254 + 1)],
        "conditions": {"ready": published || ready && !terminating, "serving": ready, "terminating": terminating},
        "nodeName": pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name_any(), "uid": pod.uid()},
    })
}

/// The endpoints in lengths of a slice; none are one empty slice.
fn parts(endpoints: &[Value]) -> impl Iterator<Item = &[Value]> {
    let empty = endpoints.is_empty().then_some(endpoints);
    empty.into_iter().chain(endpoints.chunks(SLICE_LENGTH))
}

/// The ports of a Service as they are at a pod; a name that the pod does not have is left out.
fn ports(service: &Service, pod: &Pod) -> Ports {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| Some((port.name.clone().unwrap_or_default(), target_port(port, pod)?))).collect()
}

fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match port.target_port.as_ref() {
        None => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port)
        }
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok()
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())
}

/// The address of a pod that has not ended.
fn address(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let ended = ["Succeeded", "Failed"].contains(&status.phase.as_deref().unwrap_or_default());
    status.pod_ip.as_deref().filter(|_| !ended)
}

fn condition(pod: &Pod, name: &str) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == name && condition.status == "True")
}

fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

fn missing_is_fine(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
