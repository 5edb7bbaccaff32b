//! What happened, as marks over every graph of a dashboard.

use serde_json::{Value, json};

use crate::catalog::dashboard::Color;
use crate::catalog::dashboard::query::{labels_of, require};
use crate::catalog::dashboard::variable::datasource;
use crate::catalog::{Catalog, Problem, Text};

/// Events that a query finds.
#[derive(Clone, Debug)]
pub struct Annotation {
    pub name: Text,
    pub color: Color,
    pub when: When,
    /// With all of its matchers: what an event belongs to is not what a panel shows.
    pub promql: Text,
    /// Text with labels as `{{hpa}}`.
    pub title: Text,
}

/// How a query tells when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whenever it has an answer. It is asked for every minute.
    Answered,
    /// Its values are times, in milliseconds since the Unix epoch.
    Value,
}

// === impl Annotation ===

impl Annotation {
    /// An autoscaler has changed the number of replicas.
    pub fn scaling(matchers: &str) -> Self {
        Self {
            name: "Scaling".into(),
            color: Color::Wanted,
            when: When::Value,
            promql: format!(
                "1000 * max by (hpa_namespace, hpa) (plimsoll_hpa_last_scale_timestamp_seconds{{{matchers}}})"
            )
            .into(),
            title: "{{hpa_namespace}}/{{hpa}} changed the number of replicas".into(),
        }
    }

    /// A process of Plimsoll has started, with whatever version it has.
    pub fn start_of_plimsoll() -> Self {
        let of_process = r#"job=~"$job",instance=~"$instance""#;
        let promql = format!(
            "1000 * max by (job, instance) (process_start_time_seconds{{{of_process}}}) \
             * on (job, instance) group_left (version) max by (job, instance, version) (plimsoll_build_info{{{of_process}}})"
        );
        Self {
            name: "Start of Plimsoll".into(),
            color: Color::Measured,
            when: When::Value,
            promql: promql.into(),
            title: "{{instance}} started with version {{version}}".into(),
        }
    }

    /// A Deployment has been changed in something other than the number of replicas, which autoscalers change.
    pub fn deploy(matchers: &str) -> Self {
        let changes =
            |metric: &str| format!("max by (namespace, deployment) (changes({metric}{{{matchers}}}[2m])) > 0");
        let generation = changes("kube_deployment_status_observed_generation");
        let replicas = changes("kube_deployment_spec_replicas");
        Self {
            name: "Deploys".into(),
            color: Color::Measured,
            when: When::Answered,
            promql: format!("{generation} unless {replicas}").into(),
            title: "{{namespace}}/{{deployment}} was deployed".into(),
        }
    }

    /// # Errors
    /// When it asks for what the catalogue does not have, or its title names a label that its answer does not have.
    pub(super) fn json(&self, catalog: &Catalog) -> Result<Value, Problem> {
        let query = catalog.expression(&self.promql)?;
        let labels = query.labels(catalog);
        for label in labels_of(&self.title) {
            require(&labels, label, "annotation", query.text())?;
        }
        Ok(json!({
            "name": self.name,
            "datasource": datasource(),
            "enable": true,
            "hide": false,
            "iconColor": self.color.name(),
            "expr": query.text(),
            "step": "60s",
            "titleFormat": self.title,
            "textFormat": "",
            "tagKeys": "",
            "useValueForTime": self.when == When::Value
        }))
    }
}

/// Those that people make, which Grafana keeps itself.
pub(super) fn of_people() -> Value {
    json!({
        "name": "Annotations & Alerts",
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "type": "dashboard"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_names_only_labels_of_the_answer() {
        let annotation = Annotation { title: "{{pod}}".into(), ..Annotation::scaling("") };
        let problem = annotation.json(&Catalog::shipped()).expect_err("no pod");
        assert_eq!(problem.what, "the annotation names pod; the answer has hpa, hpa_namespace");
    }

    #[test]
    fn a_change_of_replicas_alone_is_no_deploy() {
        let deploy = Annotation::deploy(r#"namespace=~"$namespace""#).json(&Catalog::shipped()).expect("known");
        let unless = r#"unless max by (namespace, deployment) (changes(kube_deployment_spec_replicas{namespace=~"$namespace"}[2m])) > 0"#;
        assert!(deploy["expr"].as_str().is_some_and(|query| query.ends_with(unless)), "{deploy}");
    }
}
