//! Alerts of a user's own metrics, made of the thresholds in a configuration.

use crate::catalog::Defined;
use crate::catalog::dashboard::UID_OF_DEFINITIONS;
use crate::catalog::rule::{Alert, Category, Condition, Dashboard, Runbook, Severity};
use crate::config::{self, Bound, Threshold, duration};

const DASHBOARD: Dashboard = Dashboard { uid: UID_OF_DEFINITIONS, variables: &["job"] };

/// An alert for each definition that has thresholds.
pub(super) fn alerts(defined: &[Defined]) -> Vec<Alert> {
    defined.iter().filter(|defined| !defined.definition.thresholds.is_empty()).map(alert).collect()
}

fn alert(defined: &Defined) -> Alert {
    let config::Definition { name, description, unit, thresholds, .. } = &*defined.definition;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    Alert {
        name: format!("{}BeyondThreshold", in_capitals(name)).into(),
        service: "platform".into(),
        category: Category::Capacity,
        dashboard: DASHBOARD,
        summary: format!("{name} of a workload is beyond its threshold.").into(),
        description: format!("{name} of {{{{ $labels.job }}}}{{place}} is {{{{ $value | humanize }}}}{unit}.").into(),
        conditions: thresholds.iter().rev().map(|threshold| condition(defined, threshold)).collect(),
        runbook: runbook(name, description, thresholds),
    }
}

fn condition(defined: &Defined, threshold: &Threshold) -> Condition {
    let query = format!("{} {}", defined.expression, beyond(threshold.bound));
    Condition::of(severity(threshold.severity), query, duration::write(threshold.lasting))
}

fn runbook(name: &str, description: &str, thresholds: &[Threshold]) -> Runbook {
    let bounds: Vec<_> = thresholds.iter().map(said).collect();
    let what = if description.is_empty() { format!("The metric {name} of a workload") } else { description.to_owned() };
    Runbook {
        meaning: format!("{}: the value is {}.", what.trim_end_matches('.'), bounds.join(", or ")).into(),
        impact: "The configuration of Plimsoll names this value as one that somebody should know of; an autoscaler that follows the \
                 metric may have reached its limits."
            .into(),
        diagnosis: vec![
            format!("Dashboard plimsoll-metrics, {name}: since when, and of which workload?").into(),
            "Dashboard plimsoll-hpa: does an HPA follow it, what does it ask for, and is it at its maximum?".into(),
            "`/status` of Plimsoll: are all targets of the workload scraped, and is nothing odd about their samples?".into(),
        ],
        mitigation: vec![
            "An HPA at its maximum: raise `maxReplicas`, where the nodes have room.".into(),
            "No HPA follows it: `kubectl -n NAMESPACE scale deploy/WORKLOAD --replicas=N`.".into(),
            format!("It is as it should be: change `thresholds` of {name} in the configuration, and generate the rules anew.").into(),
        ],
    }
}

fn beyond(bound: Bound) -> String {
    match bound {
        Bound::Above(bound) => format!("> {bound}"),
        Bound::Below(bound) => format!("< {bound}"),
    }
}

fn said(threshold: &Threshold) -> String {
    let (severity, lasting) = (severity(threshold.severity), duration::write(threshold.lasting));
    match threshold.bound {
        Bound::Above(bound) => format!("above {bound} for {lasting} ({severity})"),
        Bound::Below(bound) => format!("below {bound} for {lasting} ({severity})"),
    }
}

fn severity(severity: config::Severity) -> Severity {
    match severity {
        config::Severity::Warning => Severity::Warning,
        config::Severity::Critical => Severity::Critical,
    }
}

/// `queue_length` is QueueLength.
fn in_capitals(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_capitals_keeps_its_words_and_digits() {
        assert_eq!(in_capitals("queue_length"), "QueueLength");
        assert_eq!(in_capitals("_p95__of_x"), "P95OfX");
    }
}
