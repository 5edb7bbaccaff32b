//! Autoscalers that cannot act: without a target, without pods, without a range, or held by the controller.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerCondition;

use crate::config::one_line;
use crate::doctor::facts::{Autoscaler, Facts, Reading};
use crate::doctor::metric::object;
use crate::doctor::{Check, Finding};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    // What has none of our metrics is somebody else's.
    let ours = facts.all_autoscalers().filter(|autoscaler| !autoscaler.metrics().is_empty());
    ours.flat_map(of_autoscaler).collect()
}

fn of_autoscaler(autoscaler: &Autoscaler) -> Vec<Finding> {
    let mut findings: Vec<Finding> = [target(autoscaler), range(autoscaler)].into_iter().flatten().collect();
    findings.extend(conditions(autoscaler, !findings.is_empty()));
    findings
}

/// Whether KEDA has it and its target has no replicas: then the controller asks for nothing, and KEDA wakes it.
pub(super) fn is_asleep(autoscaler: &Autoscaler) -> bool {
    let mut owners = autoscaler.object.metadata.owner_references.iter().flatten();
    let is_of_keda = owners.any(|owner| owner.kind == "ScaledObject" && owner.api_version.starts_with("keda.sh/"));
    let scale = autoscaler.scale.as_ref().ok().and_then(Option::as_ref);
    is_of_keda && scale.is_some_and(|scale| scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default() == 0)
}

/// What it scales, and whether there are pods.
fn target(autoscaler: &Autoscaler) -> Option<Finding> {
    let reference = &autoscaler.object.spec.as_ref()?.scale_target_ref;
    let (namespace, name) = (autoscaler.namespace(), autoscaler.name());
    let target = one_line(&format_args!("{} {}", reference.kind, reference.name));
    let scale = match &autoscaler.scale {
        Err(why) => {
            let unknown = Check::Autoscalers.unknown(object(autoscaler), format!("the scale of {target}: {why}"));
            return Some(unknown);
        }
        Ok(None) => {
            let finding =
                Check::Autoscalers.failure(object(autoscaler), format!("scales {target}, which does not exist"));
            let fix = format!("kubectl -n {namespace} edit horizontalpodautoscaler {name} # spec.scaleTargetRef");
            return Some(finding.expected("an object with a scale in the same namespace").fix(fix));
        }
        Ok(Some(scale)) => scale,
    };
    let replicas = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    let selector = scale.status.as_ref().and_then(|status| status.selector.as_deref()).unwrap_or_default();
    if is_asleep(autoscaler) {
        return Some(
            Check::Autoscalers.ok(object(autoscaler), format!("{target} has 0 replicas, from which KEDA scales")),
        );
    }
    if replicas == 0 {
        let finding =
            Check::Autoscalers.warning(object(autoscaler), format!("{target} has 0 replicas, and is not scaled"));
        let kind = reference.kind.to_lowercase();
        let fix = format!("kubectl -n {namespace} scale {kind}/{} --replicas=1", reference.name);
        return Some(finding.expected("1 replica or more: from 0 the controller does not scale").fix(fix));
    }
    (autoscaler.has_pods == Ok(false)).then(|| {
        let found = format!("the selector {} of {target} matches no pod", one_line(&format_args!("{selector:?}")));
        let finding = Check::Autoscalers.failure(object(autoscaler), found);
        let fix = format!("kubectl -n {namespace} get pods -l '{selector}'");
        finding.expected("pods with these labels").fix(fix)
    })
}

fn range(autoscaler: &Autoscaler) -> Option<Finding> {
    let spec = autoscaler.object.spec.as_ref()?;
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    (min == max).then(|| {
        let (namespace, name) = (autoscaler.namespace(), autoscaler.name());
        let patch = format!("'{{\"spec\":{{\"maxReplicas\":{}}}}}'", max.saturating_mul(2));
        Check::Autoscalers
            .warning(object(autoscaler), format!("minReplicas and maxReplicas are both {min}: it never scales"))
            .expected("maxReplicas above minReplicas")
            .fix(format!("kubectl -n {namespace} patch horizontalpodautoscaler {name} --type=merge -p {patch}"))
    })
}

/// What the controller says of it. A cause that is told already is not told again.
fn conditions(autoscaler: &Autoscaler, is_told: bool) -> Vec<Finding> {
    let has_refused = autoscaler.readings.iter().any(Reading::is_refused);
    let status = autoscaler.object.status.as_ref();
    let all: Vec<_> = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten().collect();
    let is_false = |kind: &str| all.iter().find(|it| it.type_ == kind && it.status == "False");
    let describe =
        format!("kubectl -n {} describe horizontalpodautoscaler {}", autoscaler.namespace(), autoscaler.name());
    let finding = |condition: &HorizontalPodAutoscalerCondition, meaning: &str| {
        let [reason, message] = [&condition.reason, &condition.message].map(|it| it.as_deref().unwrap_or_default());
        let found = one_line(&format_args!("{meaning}: {reason}: {message}"));
        let finding = Check::Autoscalers.failure(object(autoscaler), found);
        finding.expected(format!("condition {} is True", condition.type_)).fix(describe.clone())
    };
    let able = is_false("AbleToScale").map(|it| finding(it, "cannot scale its target"));
    let active = is_false("ScalingActive").filter(|_| !has_refused).map(|it| finding(it, "does not scale"));
    let held: Vec<_> = [able, active].into_iter().flatten().filter(|_| !is_told).collect();
    let is_quiet = held.is_empty() && !is_told && !has_refused;
    let is_active = all.iter().any(|it| it.type_ == "ScalingActive" && it.status == "True");
    match (is_quiet, is_active) {
        (true, true) => vec![Check::Autoscalers.ok(object(autoscaler), "scales (ScalingActive)")],
        (true, false) => vec![
            Check::Autoscalers
                .unknown(object(autoscaler), "the controller has not looked at it yet")
                .fix(describe.clone()),
        ],
        (false, _) => held,
    }
}
