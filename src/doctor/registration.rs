//! The three APIServices: there, ours, Available, verified, and in the right order of versions.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceCondition};

use crate::config::one_line;
use crate::doctor::facts::{Facts, ServiceName};
use crate::doctor::{Check, Finding, ObjectName};

/// Puts everything there that is missing; the namespace first.
pub(super) const INSTALL: &str = "kubectl apply --server-side -k deploy/orchestration/namespace && \
     kubectl apply --server-side -k deploy/orchestration/overlays/production";

/// The version that clients are to prefer has the higher priority.
const PREFERRED: &str = "v1beta2.custom.metrics.k8s.io";
const OTHER: &str = "v1beta1.custom.metrics.k8s.io";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, asked) in &facts.api_services {
        match asked {
            Err(why) => findings.push(Check::ApiServices.unknown(object(name), why)),
            Ok(None) => findings.push(missing(name)),
            Ok(Some(found)) if !is_ours(found, &facts.place.service) => {}
            Ok(Some(found)) => findings.extend(ours(name, found, facts)),
        }
    }
    findings.extend(order(facts));
    findings
}

pub(super) fn object(name: &str) -> ObjectName {
    ObjectName::cluster("APIService", name)
}

/// Whether an APIService sends requests to Plimsoll's Service.
pub(super) fn is_ours(found: &APIService, service: &ServiceName) -> bool {
    let reference = found.spec.as_ref().and_then(|spec| spec.service.as_ref());
    reference.is_some_and(|it| {
        it.namespace.as_deref() == Some(&service.namespace) && it.name.as_deref() == Some(&service.name)
    })
}

/// Whether an APIService is Available, as it was last seen.
pub(super) fn available(found: &APIService) -> Option<&APIServiceCondition> {
    let conditions = found.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Available")
}

fn missing(name: &str) -> Finding {
    Check::ApiServices
        .failure(object(name), "is not registered: autoscalers are told that there is no such API")
        .expected("an APIService that sends the group to Plimsoll's Service")
        .fix(INSTALL)
}

fn ours(name: &str, found: &APIService, facts: &Facts) -> Vec<Finding> {
    let insecure = found.spec.as_ref().and_then(|spec| spec.insecure_skip_tls_verify) == Some(true);
    let insecure = insecure.then(|| {
        Check::ApiServices
            .failure(object(name), "insecureSkipTLSVerify is set: anybody on the way can answer autoscalers")
            .expected("a caBundle, and no insecureSkipTLSVerify")
            .fix(format!(
                "kubectl patch apiservice {name} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/insecureSkipTLSVerify\"}}]'"
            ))
    });
    insecure.into_iter().chain([availability(name, found, facts)]).collect()
}

fn availability(name: &str, found: &APIService, facts: &Facts) -> Finding {
    let service = &facts.place.service;
    let Some(condition) = available(found) else {
        let check = Check::ApiServices.unknown(object(name), "the kube-apiserver has not looked at it yet");
        return check.fix(format!("kubectl wait --for=condition=Available apiservice/{name} --timeout=60s"));
    };
    if condition.status == "True" {
        return Check::ApiServices.ok(object(name), format!("Available, served by {service}"));
    }
    let (reason, message) = (condition.reason.as_deref().unwrap_or_default(), condition.message.as_deref());
    let found = one_line(&format_args!("is not Available: {reason}: {}", message.unwrap_or_default()));
    let finding = Check::ApiServices.failure(object(name), found);
    finding.expected("condition Available is True").fix(remedy(reason, message.unwrap_or_default(), service))
}

/// Where to look, by what the kube-apiserver says.
fn remedy(reason: &str, message: &str, service: &ServiceName) -> String {
    let ServiceName { namespace, name } = service;
    match reason {
        "ServiceNotFound" | "ServiceAccessError" | "ServicePortError" => {
            format!("kubectl -n {namespace} get service {name} -o yaml")
        }
        "EndpointsNotFound" | "MissingEndpoints" | "EndpointsAccessError" => {
            format!("kubectl -n {namespace} get endpointslices,pods -l app.kubernetes.io/name={name} -o wide")
        }
        _ if message.contains("x509") || message.contains("certificate") => {
            format!("kubectl -n {namespace} logs deployment/{name} | grep -i certificate")
        }
        _ if ["401", "403"].iter().any(|code| message.contains(code)) => {
            "kubectl -n kube-system get configmap extension-apiserver-authentication -o yaml".into()
        }
        _ => format!("kubectl -n {namespace} logs deployment/{name} --tail=50"),
    }
}

fn order(facts: &Facts) -> Option<Finding> {
    let priority = |wanted| {
        let (_, asked) = facts.api_services.iter().find(|(name, _)| *name == wanted)?;
        let found = asked.as_ref().ok()?.as_ref().filter(|found| is_ours(found, &facts.place.service))?;
        Some(found.spec.as_ref()?.version_priority)
    };
    let (preferred, other) = (priority(PREFERRED)?, priority(OTHER)?);
    (preferred <= other).then(|| {
        Check::ApiServices
            .warning(
                object(PREFERRED),
                format!(
                    "versionPriority {preferred} is not above the {other} of v1beta1, so autoscalers ask for v1beta1"
                ),
            )
            .expected("the newer version has the higher priority")
            .fix(format!(
                "kubectl patch apiservice {PREFERRED} --type=merge -p '{{\"spec\":{{\"versionPriority\":200}}}}'"
            ))
    })
}
