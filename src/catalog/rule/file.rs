//! Rules as files: for a Prometheus, for the Prometheus Operator, and what loads them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::rule::{Alert, Recordings, is_of_platform};
use crate::catalog::{Catalog, Expression, Files, Problem};

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub rules: Vec<Rule>,
}

/// One rule: it records a series or raises an alert.
#[derive(Clone, Debug, Serialize)]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    pub expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    #[serde(rename = "keep_firing_for", skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The content of a file of rules.
#[derive(Serialize)]
struct Groups<'a> {
    groups: &'a [Group],
}

/// A PrometheusRule object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Groups<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    labels: BTreeMap<&'static str, &'static str>,
}

const MADE: &str = "# Made by `plimsoll artifacts generate`; changes belong into the catalogue.\n";

// === impl Group ===

impl Group {
    pub(super) fn of_recordings(recordings: &Recordings) -> Self {
        let rules = recordings.rules.iter().map(|rule| Rule::record(&rule.metric.name, &rule.expression));
        Self { name: recordings.name.to_owned(), rules: rules.collect() }
    }

    /// # Errors
    /// When a query or a text of an alert is wrong.
    pub fn of_alerts(name: &str, alerts: &[Alert], catalog: &Catalog) -> Result<Self, Problem> {
        let rules: Vec<_> = alerts.iter().map(|alert| alert.rules(catalog)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), rules: rules.concat() })
    }
}

// === impl Rule ===

impl Rule {
    fn record(name: &str, expression: &Expression) -> Self {
        let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
        let (record, expr) = (Some(name.to_owned()), expression.text().to_owned());
        Self { record, alert: None, expr, wait: None, keep: None, labels, annotations }
    }

    pub(super) fn alert(
        name: &str,
        expression: &Expression,
        wait: Option<String>,
        keep: Option<String>,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        let (alert, expr) = (Some(name.to_owned()), expression.text().to_owned());
        Self { record: None, alert, expr, wait, keep, labels, annotations }
    }
}

/// A file for `rule_files`.
pub(super) fn rules(groups: &[Group]) -> String {
    format!("{MADE}{}", yaml(&Groups { groups }))
}

/// The same as an object for the Prometheus Operator.
pub(super) fn object(name: &str, groups: &[Group]) -> String {
    // The labels by which kube-prometheus chooses rules; other installations choose by labels of their own.
    let labels =
        [("app.kubernetes.io/name", "plimsoll"), ("prometheus", "k8s"), ("role", "alert-rules")].into_iter().collect();
    let name = &format!("plimsoll-rules-{name}");
    let metadata = Metadata { name, labels };
    let object =
        Object { api_version: "monitoring.coreos.com/v1", kind: "PrometheusRule", metadata, spec: Groups { groups } };
    format!("{MADE}{}", yaml(&object))
}

/// What loads the files: kustomizations.
///
/// # Errors
/// When two of them would be one.
pub(super) fn loaders(names: &[&str]) -> Result<Files, Problem> {
    let (of_platform, of_plimsoll): (Vec<_>, Vec<_>) = names.iter().copied().partition(|name| is_of_platform(name));
    let mut files = Files::default();
    files.add("alert-rules/kustomization.yaml", config_map(&of_plimsoll))?;
    files.add("alert-rules/prometheusrules/kustomization.yaml", objects("Plimsoll", &of_plimsoll))?;
    files.add("alert-rules/prometheusrules/platform/kustomization.yaml", objects("the platform", &of_platform))?;
    Ok(files)
}

/// Rules and the Alertmanager's configuration as ConfigMaps whose names stay, so that a reload suffices when they change.
fn config_map(names: &[&str]) -> String {
    let files: String = names.iter().map(|name| format!("      - {name}.yaml\n")).collect();
    format!(
        "{MADE}# The rules of Plimsoll, and what an Alertmanager does with the alerts, as ConfigMaps: for a Prometheus without \
         an operator.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         generatorOptions:\n  disableNameSuffixHash: true\n\
         configMapGenerator:\n  - name: plimsoll-rules\n    files:\n{files}  \
         - name: plimsoll-alertmanager\n    files:\n      - alertmanager/alertmanager.yaml\n      \
         - alertmanager/templates/plimsoll.tmpl\n"
    )
}

fn objects(of: &str, names: &[&str]) -> String {
    let files: String = names.iter().map(|name| format!("  - {name}.yaml\n")).collect();
    format!(
        "{MADE}# The rules of {of} as PrometheusRule objects, for the Prometheus Operator. One that chooses rules by a label \
         takes it with\n\
         # labels: [{{pairs: {{release: NAME}}}}] of a kustomization that has this one as a resource.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         resources:\n{files}"
    )
}

/// The roots by which mixins are put together: rules, alerts and dashboards of these names.
pub(super) fn mixin(files: &Files, is_among: fn(&str) -> bool) -> String {
    let of_folder = |folder: &str, suffix: &str| {
        let names = files.0.keys().filter_map(|path| path.strip_prefix(folder)?.strip_suffix(suffix));
        names.filter(|name| !name.contains('/') && is_among(name)).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut names = of_folder("alert-rules/", ".yaml");
    names.retain(|name| name != "kustomization");
    let (recordings, alerts): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.ends_with("recording"));
    let groups = |names: &[String]| {
        let groups = names.iter().map(|name| format!("std.parseYaml(importstr '../{name}.yaml').groups"));
        groups.collect::<Vec<_>>().join("\n            + ")
    };
    let dashboard = |uid: &String| format!("    '{uid}.json': import '../../dashboards/{uid}.json',\n");
    let dashboards: String = of_folder("dashboards/", ".json").iter().map(dashboard).collect();
    format!(
        "// Made by `plimsoll artifacts generate`; changes belong into the catalogue.\n\
         // Rules and dashboards for those who put their monitoring together with jsonnet.\n\
         {{\n  prometheusRules+:: {{\n    groups+: {},\n  }},\n  \
         prometheusAlerts+:: {{\n    groups+: {},\n  }},\n  \
         grafanaDashboards+:: {{\n{dashboards}  }},\n}}\n",
        groups(&recordings),
        groups(&alerts),
    )
}

pub(super) fn yaml(value: &impl Serialize) -> String {
    // Every text stays on its line: a query can be copied, and a difference is a line.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, compact_list_indent: false };
    serde_saphyr::to_string_with_options(value, options).expect("texts, lists and maps are YAML")
}
