//! Labels of a discovered pod or endpoint, as rules of monitors look at them: `__meta_kubernetes_…` as Prometheus'
//! roles pod, endpoints and endpointslice give them (`discovery/kubernetes`), as far as the index knows them.

use super::annotations::Annotations;
use super::pod::{Container, ContainerPort, Pod};
use super::relabeling::LabelSet;
use super::service::{Family, Service, Slice, SlicePort};
use crate::model::Labels;

/// What Prometheus would make a target of.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub pod: &'a Pod,
    pub address: std::net::IpAddr,
    pub port: Option<u16>,
    /// The container with the port; one without ports where `port` is `None`.
    pub container: Option<(&'a Container, Option<&'a ContainerPort>)>,
    pub service: Option<Behind<'a>>,
}

/// The Service that led to a pod.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    pub name: &'a str,
    pub service: &'a Service,
    pub slice: &'a Slice,
    /// `None` for a port that the container declares and the Service does not have.
    pub port: Option<&'a SlicePort>,
}

const PREFIX: &str = "__meta_kubernetes_";

/// What is known of a pod, its Service and their ports, behind the prefix. Those with `*` stand for a map of labels.
const KNOWN: [&str; 36] = [
    "namespace",
    "pod_name",
    "pod_ip",
    "pod_phase",
    "pod_node_name",
    "pod_uid",
    "pod_controller_kind",
    "pod_controller_name",
    "pod_label_*",
    "pod_labelpresent_*",
    "pod_annotation_*",
    "pod_annotationpresent_*",
    "pod_container_name",
    "pod_container_image",
    "pod_container_init",
    "pod_container_port_name",
    "pod_container_port_number",
    "pod_container_port_protocol",
    "service_name",
    "service_label_*",
    "service_labelpresent_*",
    "service_annotation_*",
    "service_annotationpresent_*",
    "endpoints_name",
    "endpointslice_label_*",
    "endpointslice_labelpresent_*",
    "endpointslice_address_type",
    "endpoint_address_target_kind",
    "endpoint_address_target_name",
    "endpoint_port_name",
    "endpoint_port_protocol",
    "endpointslice_address_target_kind",
    "endpointslice_address_target_name",
    "endpointslice_port",
    "endpointslice_port_name",
    "endpointslice_port_protocol",
];

/// Whether a label is one that discovery never gives, although Prometheus may.
pub(super) fn is_unknown(label: &str) -> bool {
    let Some(rest) = label.strip_prefix(PREFIX) else { return false };
    !KNOWN.iter().any(|known| known.strip_suffix('*').map_or(*known == rest, |map| rest.starts_with(map)))
}

// === impl Candidate ===

impl Candidate<'_> {
    /// `host:port`, or the host alone.
    pub(super) fn address(&self) -> String {
        match (self.address, self.port) {
            (std::net::IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
            (std::net::IpAddr::V6(address), None) => format!("[{address}]"),
            (address, Some(port)) => format!("{address}:{port}"),
            (address, None) => address.to_string(),
        }
    }

    pub(super) fn labels(&self) -> LabelSet {
        let mut labels = LabelSet::default();
        labels.extend([("__address__", self.address())]);
        self.pod_labels(&mut labels);
        self.container_labels(&mut labels);
        self.service_labels(&mut labels);
        labels
    }

    fn pod_labels(&self, labels: &mut LabelSet) {
        let identity = &self.pod.identity;
        let controller = self.pod.controller.as_ref().map(|controller| &controller.owner);
        let pairs = [
            ("namespace", &*identity.namespace),
            ("pod_name", self.pod.name()),
            ("pod_ip", &self.pod.address.to_string()),
            ("pod_phase", "Running"),
            ("pod_node_name", identity.node.as_deref().unwrap_or_default()),
            ("pod_uid", &self.pod.uid.to_string()),
            ("pod_controller_kind", controller.map_or("", |owner| &owner.kind)),
            ("pod_controller_name", controller.map_or("", |owner| &owner.name)),
        ];
        extend(labels, &pairs);
        extend_by_maps(labels, "pod", &identity.labels, &self.pod.annotations);
    }

    fn container_labels(&self, labels: &mut LabelSet) {
        let Some((container, port)) = self.container else { return };
        let number = port.map_or_else(String::new, |port| port.number.to_string());
        let pairs = [
            ("pod_container_name", &*container.name),
            ("pod_container_image", &container.image),
            ("pod_container_init", if container.is_sidecar { "true" } else { "false" }),
            ("pod_container_port_name", port.and_then(|port| port.name.as_deref()).unwrap_or_default()),
            ("pod_container_port_number", &number),
            ("pod_container_port_protocol", port.map_or("", |port| &port.protocol)),
        ];
        extend(labels, &pairs);
    }

    /// The names of both roles: the author of a monitor need not know which one its Prometheus uses.
    fn service_labels(&self, labels: &mut LabelSet) {
        let Some(Behind { name, service, slice, port }) = self.service else { return };
        let family = if slice.family == Family::Ipv4 { "IPv4" } else { "IPv6" };
        let pairs = [("service_name", name), ("endpoints_name", name), ("endpointslice_address_type", family)];
        extend(labels, &pairs);
        extend_by_maps(labels, "service", &service.labels, &service.annotations);
        extend_by_labels(labels, "endpointslice", &slice.labels);
        let Some(port) = port else { return };
        let pairs = [
            ("endpoint_address_target_kind", "Pod"),
            ("endpoint_address_target_name", self.pod.name()),
            ("endpoint_port_name", &*port.name),
            ("endpoint_port_protocol", &port.protocol),
            ("endpointslice_address_target_kind", "Pod"),
            ("endpointslice_address_target_name", self.pod.name()),
            ("endpointslice_port", &port.number.to_string()),
            ("endpointslice_port_name", &port.name),
            ("endpointslice_port_protocol", &port.protocol),
        ];
        extend(labels, &pairs);
    }
}

fn extend(labels: &mut LabelSet, pairs: &[(&str, &str)]) {
    labels.extend(pairs.iter().map(|(name, value)| (format!("{PREFIX}{name}"), *value)));
}

fn extend_by_maps(labels: &mut LabelSet, object: &str, of_object: &Labels, annotations: &Annotations) {
    extend_by_labels(labels, object, of_object);
    for (key, value) in annotations.iter() {
        let key = sanitized(key);
        labels.extend([(format!("{PREFIX}{object}_annotation_{key}"), value)]);
        labels.extend([(format!("{PREFIX}{object}_annotationpresent_{key}"), "true")]);
    }
}

fn extend_by_labels(labels: &mut LabelSet, object: &str, of_object: &Labels) {
    for (key, value) in of_object.iter() {
        let key = sanitized(key);
        labels.extend([(format!("{PREFIX}{object}_label_{key}"), value)]);
        labels.extend([(format!("{PREFIX}{object}_labelpresent_{key}"), "true")]);
    }
}

/// What a label name cannot hold becomes `_`.
pub(super) fn sanitized(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_never_given_are_known_as_such() {
        for label in
            ["__meta_kubernetes_pod_ready", "__meta_kubernetes_node_label_zone", "__meta_kubernetes_pod_host_ip"]
        {
            assert!(is_unknown(label), "{label}");
        }
        for label in ["__meta_kubernetes_pod_label_app", "__meta_kubernetes_namespace", "__tmp", "app", "__meta_other"]
        {
            assert!(!is_unknown(label), "{label}");
        }
        assert_eq!(sanitized("app.kubernetes.io/name-é"), "app_kubernetes_io_name__");
    }
}
