//! What a file of the artifacts is for, as its path says.

use serde::{Deserialize, Serialize};

use crate::artifacts::Rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Classic JSON of Grafana.
    Dashboard,
    /// What makes Grafana and Prometheus load them: file providers, ConfigMaps, objects of grafana-operator.
    Provisioning,
    /// For `rule_files` of Prometheus: nothing but recording rules.
    RecordingRules,
    /// For `rule_files` of Prometheus: alerts, and what they rest on.
    Alerts,
    /// Stories for promtool.
    RuleTests,
    Runbook,
    /// Configuration and templates of the Alertmanager.
    Alertmanager,
    /// Objects of prometheus-operator.
    PrometheusRule,
    /// For users of jsonnet.
    Mixin,
    /// What scrapes, evaluates and notifies.
    Monitoring,
    Documentation,
    Other,
}

// === impl Kind ===

impl Kind {
    /// `rules` are those of the file, where it has some.
    pub fn of(path: &str, rules: Option<&Rules>) -> Self {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_under = |prefix: &str| path.starts_with(prefix);
        match rules {
            Some(rules) if rules.rules.iter().all(|rule| !rule.is_alert) => return Self::RecordingRules,
            Some(_) => return Self::Alerts,
            None => {}
        }
        match folder {
            "dashboards" if is_dashboard(path) => Self::Dashboard,
            _ if is_under("alert-rules/runbooks/") => Self::Runbook,
            _ if path.ends_with(".md") => Self::Documentation,
            _ if is_under("dashboards/") || is_beside_rules(path) => Self::Provisioning,
            _ if is_under("alert-rules/tests/") => Self::RuleTests,
            _ if is_under("alert-rules/alertmanager/") => Self::Alertmanager,
            _ if is_under("alert-rules/prometheusrules/") => Self::PrometheusRule,
            _ if is_under("alert-rules/mixin/") => Self::Mixin,
            _ if is_under("deploy/") => Self::Monitoring,
            _ => Self::Other,
        }
    }

    /// Whether somebody's configuration names it by its path: without it, that configuration is broken.
    pub fn is_loaded(self) -> bool {
        !matches!(self, Self::RuleTests | Self::Runbook | Self::Documentation | Self::Other)
    }
}

/// Directly in `dashboards/`, where Grafana's file provider reads every JSON.
pub fn is_dashboard(path: &str) -> bool {
    path.strip_prefix("dashboards/").is_some_and(|name| !name.contains('/') && name.ends_with(".json"))
}

/// Directly in `alert-rules/`, as `rule_files` has them; kustomize has a file there too.
pub fn is_rules(path: &str, text: &str) -> bool {
    is_beside_rules(path) && text.lines().any(|line| line.starts_with("groups:"))
}

fn is_beside_rules(path: &str) -> bool {
    path.strip_prefix("alert-rules/").is_some_and(|name| !name.contains('/') && name.ends_with(".yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_a_file_is_for() {
        let kinds = [
            ("dashboards/plimsoll-api.json", Kind::Dashboard),
            ("dashboards/provisioning/providers.yaml", Kind::Provisioning),
            ("dashboards/CHANGELOG.md", Kind::Documentation),
            ("alert-rules/kustomization.yaml", Kind::Provisioning),
            ("alert-rules/tests/slo.yaml", Kind::RuleTests),
            ("alert-rules/runbooks/PlimsollAbsent.md", Kind::Runbook),
            ("alert-rules/alertmanager/alertmanager.yaml", Kind::Alertmanager),
            ("alert-rules/prometheusrules/slo.yaml", Kind::PrometheusRule),
            ("alert-rules/mixin/mixin.libsonnet", Kind::Mixin),
            ("deploy/monitoring/prometheus.yaml", Kind::Monitoring),
            ("CHANGELOG.md", Kind::Documentation),
        ];
        for (path, kind) in kinds {
            assert_eq!(Kind::of(path, None), kind, "{path}");
        }
    }

    #[test]
    fn rules_that_alert_are_alerts() {
        let kind = |rule: &str| {
            let rules = Rules::read("a.yaml", &format!("groups: [{{name: a, rules: [{{{rule}, expr: up}}]}}]"));
            Kind::of("alert-rules/a.yaml", Some(&rules.expect("rules")))
        };
        assert_eq!(kind("record: 'job:up:sum'"), Kind::RecordingRules);
        assert_eq!(kind("alert: Down"), Kind::Alerts);
    }
}
