//! The Service that the APIServices name: there, with their port, and with endpoints that are ready.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::doctor::facts::{Facts, ServiceName};
use crate::doctor::registration::{INSTALL, is_ours};
use crate::doctor::{Check, Finding, ObjectName};

/// Where an APIService names no port.
const PORT_DEFAULT: i32 = 443;

/// Endpoints of a port.
#[derive(Default)]
struct Endpoints {
    ready: usize,
    not_ready: usize,
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let name = &facts.place.service;
    let object = object(name);
    let finding = match &facts.service {
        Err(why) => Check::Service.unknown(object, why),
        Ok(None) => Check::Service
            .failure(object, "does not exist, and the kube-apiserver has nobody to ask")
            .expected("the Service that the APIServices name")
            .fix(INSTALL),
        Ok(Some(service)) => of_service(object, service, facts),
    };
    vec![finding]
}

fn object(name: &ServiceName) -> ObjectName {
    ObjectName::namespaced("Service", &name.namespace, &name.name)
}

/// The port that the APIServices name.
pub(super) fn port(facts: &Facts) -> i32 {
    let found = facts.api_services.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
    let mut ours = found.filter(|found| is_ours(found, &facts.place.service));
    let named = ours.find_map(|found| found.spec.as_ref()?.service.as_ref()?.port);
    named.unwrap_or(PORT_DEFAULT)
}

fn of_service(object: ObjectName, service: &Service, facts: &Facts) -> Finding {
    let none = ServiceSpec::default();
    let (spec, wanted) = (service.spec.as_ref().unwrap_or(&none), port(facts));
    if spec.type_.as_deref() == Some("ExternalName") {
        let host = spec.external_name.as_deref().unwrap_or_default();
        return Check::Service.ok(object, format!("leads to {host}:{wanted}, outside of the cluster's endpoints"));
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(port) = ports.iter().find(|port| port.port == wanted) else {
        let has: Vec<_> = ports.iter().map(|port| port.port.to_string()).collect();
        return Check::Service
            .failure(object, format!("has no port {wanted}, which the APIServices name; it has {}", listed(&has)))
            .expected(format!("port {wanted} named https that leads to Plimsoll's port 10250"))
            .fix(format!("ports: [{{name: https, port: {wanted}, targetPort: https}}]"));
    };
    match &facts.slices {
        Err(why) => Check::Service.unknown(object, format!("its endpoints: {why}")),
        Ok(slices) => of_endpoints(object, port, slices, facts),
    }
}

fn of_endpoints(object: ObjectName, port: &ServicePort, slices: &[EndpointSlice], facts: &Facts) -> Finding {
    let ServiceName { namespace, name } = &facts.place.service;
    let pods = format!("kubectl -n {namespace} get pods -l app.kubernetes.io/name={name} -o wide");
    let Endpoints { ready, not_ready } = Endpoints::of(slices, port.name.as_deref().unwrap_or_default());
    match (ready, not_ready) {
        (0, 0) => Check::Service
            .failure(object, format!("has no endpoints for its port {}: no pod of Plimsoll runs", port_name(port)))
            .expected("a pod that the selector of the Service matches, with a port of that name")
            .fix(pods),
        (0, _) => Check::Service
            .failure(object, format!("has no ready endpoints: {not_ready} of {not_ready} pods are not ready"))
            .expected("a pod that is ready")
            .fix(format!("kubectl -n {namespace} describe pods -l app.kubernetes.io/name={name}")),
        (_, 0) => Check::Service.ok(object, format!("port {} has {ready} ready endpoints", port_name(port))),
        _ => Check::Service
            .warning(object, format!("{not_ready} of its {} pods are not ready", ready + not_ready))
            .expected("every pod is ready")
            .fix(pods),
    }
}

fn port_name(port: &ServicePort) -> String {
    port.name.clone().unwrap_or_else(|| port.port.to_string())
}

fn listed(ports: &[String]) -> String {
    if ports.is_empty() { "none".into() } else { ports.join(", ") }
}

// === impl Endpoints ===

impl Endpoints {
    /// As the kube-apiserver counts them: in slices that have a port with the name of the Service's.
    fn of(slices: &[EndpointSlice], port: &str) -> Self {
        let has_port = |slice: &&EndpointSlice| {
            let mut ports = slice.ports.iter().flatten();
            ports.any(|it| it.name.as_deref().unwrap_or_default() == port)
        };
        let mut counted = Self::default();
        for endpoint in slices.iter().filter(has_port).flat_map(|slice| &slice.endpoints) {
            let is_ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            let count = if is_ready { &mut counted.ready } else { &mut counted.not_ready };
            *count += endpoint.addresses.len().min(1);
        }
        counted
    }
}
