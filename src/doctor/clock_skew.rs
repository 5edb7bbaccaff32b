//! Clocks: this machine's beside the kube-apiserver's, and samples from the future.

use crate::doctor::facts::{Facts, Reading};
use crate::doctor::metric::{identity, object};
use crate::doctor::{Check, Finding, ObjectName};

/// `Date` has whole seconds, and an answer takes a while.
const NOTABLE_SECONDS: f64 = 2.0;

/// The least freshness that is configured without being asked for: beyond it every sample is too old, or of the future.
const HARMFUL_SECONDS: f64 = 30.0;

/// Timestamps have whole seconds.
const AHEAD_MAX_MILLIS: i64 = 2_000;

const SYNCHRONISE: &str = "timedatectl set-ntp true # on the machine whose clock is wrong; or chronyc makestep";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    std::iter::once(own(facts)).chain(future_samples(facts)).collect()
}

fn own(facts: &Facts) -> Finding {
    let object = ObjectName::cluster("Clock", if facts.place.is_pod { "this node" } else { "this machine" });
    let ahead = match &facts.server_ahead_seconds {
        Ok(ahead) => *ahead,
        Err(why) => return Check::Clock.unknown(object, why),
    };
    let found = format!(
        "its clock is {:.0} s {} that of the kube-apiserver",
        ahead.abs(),
        if ahead > 0.0 { "behind" } else { "ahead of" }
    );
    let finding = match ahead.abs() {
        small if small <= NOTABLE_SECONDS => {
            return Check::Clock.ok(object, format!("agrees with the kube-apiserver to {NOTABLE_SECONDS} s"));
        }
        // In a pod it judges the age of samples and certificates.
        large if large > HARMFUL_SECONDS && facts.place.is_pod => Check::Clock.failure(object, found),
        _ => Check::Clock.warning(object, found),
    };
    finding.expected(format!("clocks that agree to {NOTABLE_SECONDS} s")).fix(SYNCHRONISE)
}

/// Values that are newer than now: the clock of their pod is ahead, and their age is never noticed.
fn future_samples(facts: &Facts) -> Vec<Finding> {
    let now = facts.server_now();
    let mut findings = Vec::new();
    for autoscaler in facts.all_autoscalers() {
        for (spec, reading) in autoscaler.metrics() {
            let Reading::Values { items, .. } = reading else { continue };
            let newest = items.iter().filter_map(|item| item.timestamp).max();
            let ahead = newest.map(|newest| newest.0 - now.0).filter(|ahead| *ahead > AHEAD_MAX_MILLIS);
            if let (Some(ahead), Some((name, _))) = (ahead, identity(spec)) {
                let found = format!("metric {name} has a sample that is {} s in the future", ahead / 1000);
                let finding = Check::Clock.warning(object(autoscaler), found);
                findings.push(finding.expected("a timestamp that is not after now").fix(SYNCHRONISE));
            }
        }
    }
    findings
}
