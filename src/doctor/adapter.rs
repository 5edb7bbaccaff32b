//! Who else holds the metrics APIs. A group and version has one server; who registers last takes it from the others.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use crate::doctor::facts::Facts;
use crate::doctor::registration::{is_ours, object};
use crate::doctor::{Check, Finding, ObjectName};

/// A part of the name of a Service, and whose it is.
const KNOWN: [(&str, &str); 8] = [
    ("prometheus-adapter", "prometheus-adapter"),
    ("custom-metrics-apiserver", "prometheus-adapter (custom-metrics-apiserver)"),
    ("keda", "KEDA"),
    ("datadog", "the Datadog cluster agent"),
    ("stackdriver", "the Stackdriver adapter"),
    ("kube-metrics-adapter", "kube-metrics-adapter"),
    ("cloudwatch", "the CloudWatch adapter"),
    ("azure-k8s-metrics", "the Azure metrics adapter"),
];

const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let known = facts.api_services.iter().filter_map(|(name, asked)| Some((*name, asked.as_ref().ok()?.as_ref()?)));
    let known: Vec<_> = known.collect();
    let others = known.iter().filter(|(_, found)| !is_ours(found, &facts.place.service));
    let findings: Vec<_> = others.map(|(name, found)| held(name, found, facts)).collect();
    match findings.is_empty() && !known.is_empty() {
        true => {
            let groups = ObjectName::cluster("APIGroup", "custom.metrics.k8s.io, external.metrics.k8s.io");
            vec![Check::Adapters.ok(groups, "nobody else holds them")]
        }
        false => findings,
    }
}

fn held(name: &str, found: &APIService, facts: &Facts) -> Finding {
    let reference = found.spec.as_ref().and_then(|spec| spec.service.as_ref());
    let place = reference.map(|it| [it.namespace.as_deref(), it.name.as_deref()].map(Option::unwrap_or_default));
    let held = match place {
        None => "is served by the kube-apiserver itself".to_owned(),
        Some([namespace, service]) => match whose(&format!("{namespace}/{service}")) {
            Some(who) => format!("is held by {who} (Service {namespace}/{service})"),
            None => format!("is held by another server (Service {namespace}/{service})"),
        },
    };
    let ours = &facts.place.service;
    let patch = format!(
        "kubectl patch apiservice {name} --type=merge -p '{{\"spec\":{{\"service\":{{\"namespace\":\"{}\",\"name\":\"{}\"}}}}}}'",
        ours.namespace, ours.name
    );
    // KEDA beside Plimsoll is a choice: its ScaledObjects live on external metrics alone.
    if name == EXTERNAL && held.contains("KEDA") {
        let meaning = "ScaledObjects work, and External metrics of other autoscalers are not Plimsoll's";
        return Check::Adapters
            .warning(object(name), format!("{held}; {meaning}"))
            .expected("Object or Pods metrics in autoscalers that mean Plimsoll; or, without KEDA, its Service here")
            .fix(patch);
    }
    Check::Adapters
        .failure(object(name), format!("{held}; autoscalers get its numbers, and none of Plimsoll's"))
        .expected(format!("one adapter for a group: Service {ours}, after the other one is uninstalled"))
        .fix(patch)
}

fn whose(service: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(part, _)| service.contains(part)).map(|(_, who)| *who)
}
