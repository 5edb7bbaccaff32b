//! What Plimsoll scrapes, as it says itself: targets by state, sources that fail, pods that nobody scrapes.

use std::collections::BTreeMap;

use hyper::StatusCode;

use crate::config::one_line;
use crate::doctor::certificate::elsewhere;
use crate::doctor::facts::{ActiveTarget, Facts, TargetList};
use crate::doctor::{Check, Finding, ObjectName};

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
    findings.extend(down(list));
    findings.extend(list.active_targets.iter().filter_map(future));
    findings.extend(sources(list));
    findings.extend(unscraped(list));
    findings
}

fn all() -> ObjectName {
    ObjectName::cluster("Targets", "/api/v1/targets")
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

fn down(list: &TargetList) -> Vec<Finding> {
    let down: Vec<_> = list.active_targets.iter().filter(|target| target.health == "down").collect();
    let told = down.iter().take(TOLD_MAX).map(|target| {
        let found = format!("is down: {}", one_line(&target.last_error));
        let finding = Check::Targets.failure(object(target), found).expected("a page with metrics");
        finding.fix(format!("curl -sS {}", one_line(&target.scrape_url)))
    });
    let more = down.len().saturating_sub(TOLD_MAX);
    let rest = (more > 0).then(|| Check::Targets.failure(all(), format!("{more} more targets are down")));
    told.chain(rest).collect()
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
