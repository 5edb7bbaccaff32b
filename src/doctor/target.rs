//! What Plimsoll scrapes, as it says itself: targets by state, sources that fail, pods that nobody scrapes.

use std::collections::BTreeMap;

use hyper::StatusCode;
use k8s_openapi::api::autoscaling::v2::MetricSpec;

use crate::config::one_line;
use crate::doctor::certificate::elsewhere;
use crate::doctor::facts::{ActiveTarget, Autoscaler, Facts, TargetList};
use crate::doctor::{Check, Finding, ObjectName, State, metric};

/// Targets that are told one by one; a fleet that is down has one cause.
const TOLD_MAX: usize = 10;

/// Lets whoever is meant see the pages of Plimsoll.
const VIEW: &str = "kubectl create clusterrolebinding plimsoll-viewer --clusterrole=plimsoll-viewer --user=USER";

const ANNOTATE: &str = "annotations: {prometheus.io/scrape: \"true\", prometheus.io/port: \"8080\"}";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let list = match &facts.targets {
        Ok(list) => list,
        Err(why) if why.contains(&StatusCode::FORBIDDEN.to_string()) => {
            return vec![Check::Targets.unknown(all(), why).fix(VIEW)];
        }
        Err(why) => return vec![Check::Targets.unknown(all(), why).fix(elsewhere(facts))],
    };
    let mut findings = vec![summary(list)];
    findings.extend(down(list, facts));
    findings.extend(list.active_targets.iter().filter_map(future));
    findings.extend(sources(list));
    findings.extend(unscraped(list));
    findings
}

fn all() -> ObjectName {
    ObjectName::cluster("Targets", "/status/targets")
}

fn summary(list: &TargetList) -> Finding {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    list.active_targets.iter().for_each(|target| *states.entry(target.health.as_str()).or_default() += 1);
    let words: Vec<_> = states.iter().map(|(state, count)| format!("{count} {}", one_line(state))).collect();
    let over = list.targets_over_limit;
    if over > 0 {
        let finding = Check::Targets.failure(all(), format!("{over} targets are beyond the limit and not scraped"));
        let fix = format!("limits: {{targets: {}}}", (list.active_targets.len() + over).next_power_of_two());
        return finding.expected("a limit that holds them all").fix(fix);
    }
    if list.active_targets.is_empty() {
        let finding = Check::Targets.warning(all(), "there is no target: no metric has a value");
        return finding.expected("pods that are annotated, or selected by a monitor").fix(ANNOTATE);
    }
    Check::Targets.ok(all(), words.join(", "))
}

/// Those first on which an autoscaler rests.
fn down(list: &TargetList, facts: &Facts) -> Vec<Finding> {
    let down = list.active_targets.iter().filter(|target| target.health == "down");
    let (needed, other): (Vec<_>, Vec<_>) =
        down.map(|target| (target, dependent(target, facts))).partition(|(_, dependent)| dependent.is_some());
    let (is_needed, count) = (needed.len() > TOLD_MAX, needed.len() + other.len());
    let told = needed.into_iter().chain(other).take(TOLD_MAX).map(|(target, dependent)| {
        let error = one_line(&target.last_error);
        let finding = match dependent {
            Some(dependent) => {
                let found = format!("is down, and {} rests on it: {error}", metric::object(dependent));
                Check::Targets.failure(object(target), found)
            }
            None => Check::Targets.warning(object(target), format!("is down: {error}")),
        };
        let url = one_line(&target.scrape_url).replace('\'', "%27");
        finding.expected("a page with metrics").fix(format!("curl -sS '{url}'"))
    });
    let state = if is_needed { State::Failure } else { State::Warning };
    let rest = (count > TOLD_MAX).then(|| {
        let found = format!("{} more targets are down", count - TOLD_MAX);
        let (namespace, name) = (&facts.place.service.namespace, &facts.place.service.name);
        let forward = format!("kubectl -n {namespace} port-forward service/{name} 10250:443 # then /status/targets");
        Finding::new(Check::Targets, state, all(), found).fix(forward)
    });
    told.chain(rest).collect()
}

/// The first autoscaler with a metric that a target contributes to, by whose page it is.
fn dependent<'f>(target: &ActiveTarget, facts: &'f Facts) -> Option<&'f Autoscaler> {
    let label = |name: &str| target.labels.get(name).map(String::as_str).unwrap_or_default();
    let is_owned_by = |kind: &str, name: &str| {
        let mut owners = label("owner").split(',').map(|owner| owner.rsplit('/'));
        owners.any(|mut owner| owner.next() == Some(name) && owner.next() == Some(kind))
    };
    let rests = |autoscaler: &Autoscaler, spec: &MetricSpec| match (&spec.object, &spec.pods) {
        (Some(object), _) => {
            let object = &object.described_object;
            match object.kind.as_str() {
                "Pod" => label("pod") == object.name,
                "Service" => label("services").split(',').any(|name| name == object.name),
                kind @ ("Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob") => {
                    is_owned_by(kind, &object.name)
                }
                // Of a Namespace, an Ingress and the like any page may be a part.
                _ => true,
            }
        }
        (None, Some(_)) => {
            let scaled = autoscaler.object.spec.as_ref().map(|spec| &spec.scale_target_ref);
            scaled.is_some_and(|scaled| is_owned_by(&scaled.kind, &scaled.name))
        }
        (None, None) => true,
    };
    facts.all_autoscalers().find(|autoscaler| {
        let mut metrics = autoscaler.metrics().into_iter();
        label("namespace") == autoscaler.namespace() && metrics.any(|(spec, _)| rests(autoscaler, spec))
    })
}

/// Samples with times of their own that have not come yet.
fn future(target: &ActiveTarget) -> Option<Finding> {
    let issue = target.issues.iter().find(|issue| issue.kind.contains("future"))?;
    let found = format!("has samples of the future ({} times): {}", issue.count, one_line(&issue.example));
    let finding = Check::Targets.warning(object(target), found);
    Some(finding.expected("clocks that agree").fix("timedatectl set-ntp true # on the node of the target"))
}

fn object(target: &ActiveTarget) -> ObjectName {
    ObjectName::cluster("Target", one_line(&format_args!("{} {}", target.scrape_pool, target.scrape_url)))
}

fn sources(list: &TargetList) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &list.sources {
        let object = || ObjectName::cluster("Source", one_line(&source.name));
        if !source.last_error.is_empty() {
            let finding = Check::Targets.failure(object(), one_line(&source.last_error));
            findings.push(finding.expected(format!("a list of targets; the last {} stay", source.targets)));
        }
        for mistake in &source.mistakes {
            findings.push(Check::Targets.warning(object(), one_line(mistake)));
        }
    }
    findings
}

fn unscraped(list: &TargetList) -> Option<Finding> {
    let pods = &list.pods_without_target;
    let owners = pods.owners.iter().take(TOLD_MAX).filter(|owner| !owner.owner.is_empty());
    let owners: Vec<_> =
        owners.map(|owner| one_line(&format_args!("{}/{} ({})", owner.namespace, owner.owner, owner.pods))).collect();
    (pods.count > 0).then(|| {
        let named = if owners.is_empty() { String::new() } else { format!(": {}", owners.join(", ")) };
        // Most pods of a cluster are nobody's to scrape.
        Check::Targets.ok(all(), format!("{} running pods have no target{named}", pods.count))
    })
}
