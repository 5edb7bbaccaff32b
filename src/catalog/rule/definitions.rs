//! Alerts of a user's own metrics, made of the thresholds in a configuration.

use std::collections::BTreeSet;

use crate::catalog::Defined;
use crate::catalog::dashboard::uid_of_definition;
use crate::catalog::rule::{Alert, Category, Condition, Dashboard, Runbook, Severity};
use crate::config::{self, Bound, Threshold, duration};

/// An alert for each definition that has thresholds.
pub(super) fn alerts(defined: &[Defined]) -> Vec<Alert> {
    let mut taken = BTreeSet::new();
    let places = defined.iter().enumerate().filter(|(_, defined)| !defined.definition.thresholds.is_empty());
    places.map(|(place, defined)| alert(defined, place, name_of(&defined.definition.name, &mut taken))).collect()
}

/// QueueLengthBeyondThreshold of queue_length. Its runbook is a file of that name, so where capitals do not matter it is one of
/// its own too: of `uptime` and `up_time` the second in the configuration has its own name behind.
fn name_of(metric: &str, taken: &mut BTreeSet<String>) -> String {
    let name = format!("{}BeyondThreshold", in_capitals(metric));
    if taken.insert(name.to_lowercase()) { name } else { format!("{name}_{metric}") }
}

fn alert(defined: &Defined, place: usize, alert: String) -> Alert {
    let config::Definition { name, description, unit, thresholds, .. } = &*defined.definition;
    let unit = if unit.is_empty() { String::new() } else { format!(" {}", literal(unit)) };
    let dashboard = Dashboard { uid: uid_of_definition(place), variables: &["job"] };
    Alert {
        name: alert.into(),
        service: "platform".into(),
        category: Category::Capacity,
        dashboard,
        summary: format!("{name} of a workload is beyond its threshold.").into(),
        description: format!("{name} of {{{{ $labels.job }}}}{{place}} is {{{{ $value | humanize }}}}{unit}.").into(),
        conditions: thresholds.iter().rev().map(|threshold| condition(defined, threshold)).collect(),
        runbook: runbook(name, description, thresholds, dashboard.uid),
    }
}

fn condition(defined: &Defined, threshold: &Threshold) -> Condition {
    let query = format!("{} {}", defined.expression, beyond(threshold.bound));
    Condition::of(severity(threshold.severity), query, duration::write(threshold.lasting))
}

fn runbook(name: &str, description: &str, thresholds: &[Threshold], dashboard: &str) -> Runbook {
    let bounds: Vec<_> = thresholds.iter().map(said).collect();
    let what = if description.is_empty() { format!("The metric {name} of a workload") } else { one_line(description) };
    Runbook {
        meaning: format!("{}: the value is {}.", what.trim_end_matches('.'), bounds.join(", or ")).into(),
        impact: "The configuration of Plimsoll names this value as one that somebody should know of; an autoscaler that follows the \
                 metric may have reached its limits."
            .into(),
        diagnosis: vec![
            format!("Dashboard {dashboard}, {name}: since when, and of which workload?").into(),
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

/// A text of the user within a template of Prometheus and of ours: it has no action, no `{place}`, and names no label.
fn literal(text: &str) -> String {
    let written = |c: char| if matches!(c, '{' | '$') { format!("{{{{ \"{c}\" }}}}") } else { c.to_string() };
    one_line(text).chars().map(written).collect()
}

/// A sentence stays one within a page: a line of its own could be a heading.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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

    #[test]
    fn every_metric_has_an_alert_of_its_own_name() {
        let mut taken = BTreeSet::new();
        let names = ["queue_length", "queue__length", "uptime", "up_time"].map(|metric| name_of(metric, &mut taken));
        let expected = [
            "QueueLengthBeyondThreshold",
            "QueueLengthBeyondThreshold_queue__length",
            "UptimeBeyondThreshold",
            "UpTimeBeyondThreshold_up_time",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_text_of_the_user_is_no_template() {
        assert_eq!(literal("{{ boom $x"), r#"{{ "{" }}{{ "{" }} boom {{ "$" }}x"#);
        assert_eq!(literal("% of\n {place} }}"), r#"% of {{ "{" }}place} }}"#);
    }
}
