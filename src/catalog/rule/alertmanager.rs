//! What an Alertmanager does with the alerts: who hears of them, and which are kept back while another explains them.
//!
//! Routes and receivers are written down; what is kept back follows from the alerts. Every label in `equal` is one that both
//! sides have: a label that both lack would be equal too, and mute what has nothing to do with each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::catalog::rule::{Alert, Severity, file};
use crate::catalog::{Catalog, Files, Problem};

/// One alert that explains others. It keeps back none of a higher severity than its own: who is to be woken is not, because
/// somebody reads of its cause at work.
struct Cause {
    /// Alerts that explain.
    sources: &'static [&'static str],
    /// One more matcher of the sources.
    matcher: Option<&'static str>,
    /// Alerts that are kept back.
    targets: &'static [&'static str],
    /// Labels by which they are about the same.
    equal: &'static [&'static str],
}

#[derive(Serialize)]
struct Inhibitions {
    inhibit_rules: Vec<Inhibition>,
}

#[derive(Debug, Serialize)]
struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    equal: Vec<String>,
}

const HEAD: &str = include_str!("alertmanager/head.yaml");
const TEMPLATE: &str = include_str!("alertmanager/plimsoll.tmpl");

/// Alerts of kubernetes-mixin, which are sources only; they are none of ours.
const FOREIGN: &str = "Kube";

/// How bad they are there.
const OF_FOREIGN: Severity = Severity::Warning;

/// Labels of a rule that say which of its conditions it is, and not what it is about.
const OF_CONDITION: [&str; 2] = ["long", "short"];

const BURNS: &[&str] = &["PlimsollAPIAvailabilityBurn", "PlimsollAPILatencyBurn"];
const OF_SERVICE: &[&str] = &["job", "namespace", "workload"];

const IS_CRITICAL: &str = r#"severity = "critical""#;

const CAUSES: [Cause; 9] = [
    // The kube-apiserver does not reach the APIs at all; that some of its requests fail explains nothing.
    Cause {
        sources: &["KubeAggregatedAPIDown"],
        matcher: Some(r#"name =~ "v1beta[12][.]custom[.]metrics[.]k8s[.]io|v1beta1[.]external[.]metrics[.]k8s[.]io""#),
        targets: BURNS,
        equal: &[],
    },
    Cause { sources: &["PlimsollAPIServiceUnavailable"], matcher: None, targets: BURNS, equal: &["job", "namespace"] },
    Cause {
        sources: &["PlimsollSourceDown"],
        matcher: None,
        targets: &["PlimsollSourceDegraded", "PlimsollScrapeLimitHit"],
        equal: &["job", "namespace", "scrape_job"],
    },
    Cause {
        sources: &["PlimsollHPAMetricMissing"],
        matcher: None,
        targets: &["PlimsollHPAMetricStale"],
        equal: &["job", "namespace", "hpa_namespace", "hpa", "type", "metric"],
    },
    // Nothing that is down has a latency.
    Cause {
        sources: &["PlatformServiceDown"],
        matcher: None,
        targets: &[
            "PlatformAvailabilityBurn",
            "PlatformLatencyBurn",
            "PlatformErrorRateHigh",
            "PlatformResponseTimeP95High",
            "PlatformResponseTimeP99High",
            "PlatformConcurrencyNotHeld",
            "PlatformQueueStuck",
            "PlatformQueueGrowing",
        ],
        equal: OF_SERVICE,
    },
    // The share that fails now is what the budget burns by: somebody is woken once.
    Cause {
        sources: &["PlatformAvailabilityBurn"],
        matcher: Some(IS_CRITICAL),
        targets: &["PlatformErrorRateHigh"],
        equal: OF_SERVICE,
    },
    Cause {
        sources: &["PlatformResponseTimeP99High"],
        matcher: None,
        targets: &["PlatformResponseTimeP95High"],
        equal: OF_SERVICE,
    },
    Cause {
        sources: &["PlatformQueueStuck"],
        matcher: None,
        targets: &["PlatformQueueGrowing"],
        equal: &["job", "namespace", "workload", "queue"],
    },
    // What an HPA at its maximum looks like from the workload. deploy/monitoring labels these alerts with the workload; where
    // nobody does, nothing is kept back.
    Cause {
        sources: &["KubeHpaMaxedOut", "KubeHpaReplicasMismatch"],
        matcher: None,
        targets: &["PlatformCPUHigh", "PlatformQueueGrowing"],
        equal: &["namespace", "workload"],
    },
];

/// The configuration and its templates.
///
/// # Errors
/// When a query is wrong, or two alerts are compared by a label that one of them does not have.
pub(super) fn files(alerts: &[Alert], catalog: &Catalog) -> Result<Files, Problem> {
    let mut inhibit_rules = vec![absence()];
    for cause in &CAUSES {
        inhibit_rules.push(cause.inhibition(alerts, catalog)?);
    }
    inhibit_rules.extend(severities(alerts, catalog)?);
    let mut files = Files::default();
    let text = format!("{HEAD}{}", file::yaml(&Inhibitions { inhibit_rules }));
    files.add("alert-rules/alertmanager/alertmanager.yaml", text)?;
    files.add("alert-rules/alertmanager/templates/plimsoll.tmpl", TEMPLATE)?;
    Ok(files)
}

// === impl Cause ===

impl Cause {
    fn inhibition(&self, alerts: &[Alert], catalog: &Catalog) -> Result<Inhibition, Problem> {
        for name in self.sources.iter().chain(self.targets).filter(|name| !name.starts_with(FOREIGN)) {
            let labels = common_labels(named(name, alerts)?, catalog)?;
            if let Some(label) = self.equal.iter().find(|label| !labels.contains(**label)) {
                let what = format!("compared by {label}, and has only {labels:?}");
                return Err(Problem { query: (*name).to_owned(), what });
            }
        }
        let mut target_matchers = vec![names(self.targets)];
        target_matchers.extend(self.not_worse(alerts)?);
        Ok(Inhibition {
            source_matchers: [Some(names(self.sources)), self.matcher.map(str::to_owned)]
                .into_iter()
                .flatten()
                .collect(),
            target_matchers,
            equal: self.equal.iter().map(|label| (*label).to_owned()).collect(),
        })
    }

    /// What leaves out conditions of the targets that are worse than the mildest one of the sources.
    fn not_worse(&self, alerts: &[Alert]) -> Result<Option<String>, Problem> {
        let mut mildest = Severity::Critical;
        for name in self.sources.iter().filter(|_| self.matcher != Some(IS_CRITICAL)) {
            mildest = mildest.max(match name.starts_with(FOREIGN) {
                true => OF_FOREIGN,
                false => severities_of(named(name, alerts)?).into_iter().max().unwrap_or(mildest),
            });
        }
        let mut worse = BTreeSet::new();
        for name in self.targets {
            worse.extend(severities_of(named(name, alerts)?).into_iter().filter(|severity| *severity < mildest));
        }
        let worse: Vec<_> = worse.iter().map(ToString::to_string).collect();
        Ok((!worse.is_empty()).then(|| format!("severity !~ \"{}\"", worse.join("|"))))
    }
}

fn named<'a>(name: &str, alerts: &'a [Alert]) -> Result<&'a Alert, Problem> {
    let problem = || Problem { query: name.to_owned(), what: "kept back or explained, and no alert".to_owned() };
    alerts.iter().find(|alert| alert.name == name).ok_or_else(problem)
}

fn severities_of(alert: &Alert) -> BTreeSet<Severity> {
    alert.conditions.iter().map(|condition| condition.severity).collect()
}

/// Without a scrape nothing that is said of Plimsoll is true. All alerts on it have its job, the absent one by its rule.
fn absence() -> Inhibition {
    Inhibition {
        source_matchers: vec![r#"alertname = "PlimsollAbsent""#.to_owned()],
        target_matchers: vec![r#"service = "plimsoll""#.to_owned(), r#"alertname != "PlimsollAbsent""#.to_owned()],
        equal: vec!["job".to_owned()],
    }
}

/// The worse condition of an alert keeps back the others about the same.
fn severities(alerts: &[Alert], catalog: &Catalog) -> Result<Vec<Inhibition>, Problem> {
    let mut alike: BTreeMap<(Severity, Vec<String>), Vec<&str>> = BTreeMap::new();
    for alert in alerts {
        let severities = severities_of(alert);
        let equal: Vec<_> = ["alertname".to_owned()].into_iter().chain(common_labels(alert, catalog)?).collect();
        if severities.len() > 1 {
            let worst = *severities.first().expect("there are two");
            alike.entry((worst, equal)).or_default().push(&alert.name);
        }
    }
    let inhibition = |((worst, equal), alerts): ((Severity, Vec<String>), Vec<&str>)| Inhibition {
        source_matchers: vec![names(&alerts), format!("severity = \"{worst}\"")],
        target_matchers: vec![names(&alerts), format!("severity != \"{worst}\"")],
        equal,
    };
    Ok(alike.into_iter().map(inhibition).collect())
}

/// Labels that every condition of an alert has, and that say what it is about.
fn common_labels(alert: &Alert, catalog: &Catalog) -> Result<BTreeSet<String>, Problem> {
    let mut common: Option<BTreeSet<String>> = None;
    for condition in &alert.conditions {
        let labels = alert.labels(condition, catalog)?;
        common = Some(common.map_or_else(|| labels.clone(), |common| &common & &labels));
    }
    let mut common = common.unwrap_or_default();
    common.retain(|label| !OF_CONDITION.contains(&label.as_str()));
    Ok(common)
}

fn names(alerts: &[&str]) -> String {
    match alerts {
        [alert] => format!("alertname = \"{alert}\""),
        _ => format!("alertname =~ \"{}\"", alerts.join("|")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::rule::alerts;

    #[test]
    fn alerts_are_compared_only_by_labels_that_both_have() {
        let cause = Cause {
            sources: &["PlimsollSourceDown"],
            matcher: None,
            targets: &["PlimsollHPAMetricStale"],
            equal: &["job", "scrape_job"],
        };
        let problem = cause.inhibition(&alerts(), &Catalog::shipped()).expect_err("refused");
        assert!(problem.to_string().starts_with("PlimsollHPAMetricStale: compared by scrape_job"), "{problem}");
    }

    #[test]
    fn an_alert_keeps_back_none_that_is_worse() {
        let target = |source: &'static [&'static str], matcher| {
            let cause = Cause { sources: source, matcher, targets: BURNS, equal: &[] };
            cause.inhibition(&alerts(), &Catalog::shipped()).expect("right").target_matchers.get(1).cloned()
        };
        let left_out = Some(r#"severity !~ "critical""#.to_owned());
        assert_eq!(target(&["KubeAggregatedAPIDown"], Some(r#"name = "v1beta2.custom.metrics.k8s.io""#)), left_out);
        let worse_than_information = Some(r#"severity !~ "critical|warning""#.to_owned());
        assert_eq!(target(&["PlimsollNotReady"], None), worse_than_information, "of one degraded check");
        assert_eq!(target(&["PlimsollAPIServiceUnavailable"], None), None);
        assert_eq!(target(&["PlatformMemoryHigh"], None), left_out, "a warning at times");
        assert_eq!(target(&["PlatformMemoryHigh"], Some(IS_CRITICAL)), None);
    }

    #[test]
    fn an_alert_that_is_no_more_cannot_explain_another() {
        let cause = Cause { sources: &["PlimsollSourceUp"], matcher: None, targets: BURNS, equal: &[] };
        let problem = cause.inhibition(&alerts(), &Catalog::shipped()).expect_err("refused");
        assert!(problem.to_string().contains("PlimsollSourceUp"), "{problem}");
    }
}
