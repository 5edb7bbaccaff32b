//! Rules that a Prometheus evaluates: series it records, and alerts, each with a runbook.
//!
//! The catalogue goes in; files of rules come out, the same as PrometheusRule objects, runbooks, and what routes alerts. An alert
//! whose query asks for what nobody exposes, or whose texts name a label that its query does not answer with, is refused
//! when it is made.

mod alert;
mod alertmanager;
mod definitions;
mod file;
mod platform;
mod plimsoll;
mod recording;
mod runbook;
mod slo;

use alert::About;
pub use alert::{Alert, Category, Condition, Dashboard, Runbook, Severity};
pub use file::{Group, Rule};
pub use recording::{Recording, Recordings, recordings};

use crate::catalog::{Catalog, Defined, Files, Problem};

/// Where the links of alerts lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// Folder of the runbooks, without a slash at its end: `https://runbooks.example.com/plimsoll`.
    pub runbooks: String,
    /// Grafana, without a slash at its end.
    pub grafana: String,
}

/// Alerts in the order in which they are written down: groups, and the file of each.
struct Chapter {
    /// Name of the file, without its ending.
    file: &'static str,
    group: &'static str,
    alerts: Vec<Alert>,
}

// === impl Links ===

impl Default for Links {
    /// Addresses that nobody has: who installs the rules says where his are.
    fn default() -> Self {
        Self { runbooks: "https://runbooks.example.com/plimsoll".into(), grafana: "https://grafana.example.com".into() }
    }
}

/// Every alert that is shipped.
pub fn alerts() -> Vec<Alert> {
    chapters().into_iter().flat_map(|chapter| chapter.alerts).collect()
}

/// Whether rules or dashboards of this name are about the sample platform. Who has Plimsoll and no such platform wants none of
/// its thresholds and would be woken for backups that nobody makes: what loads these is apart from what loads Plimsoll's.
fn is_of_platform(name: &str) -> bool {
    name.starts_with("platform")
}

/// Rules, PrometheusRule objects, runbooks, the wrapper for jsonnet, and the configuration of an Alertmanager.
///
/// # Errors
/// When a query or a text of an alert is wrong.
pub fn files(catalog: &Catalog) -> Result<Files, Problem> {
    let (of_platform, of_plimsoll) =
        recorded(catalog)?.into_iter().partition(|group| group.name.starts_with("platform."));
    let mut by_file: Vec<(&str, Vec<Group>)> = vec![("recording", of_plimsoll), ("platform-recording", of_platform)];
    for Chapter { file, group, alerts } in chapters() {
        let group = Group::of_alerts(group, &alerts, catalog)?;
        match by_file.iter_mut().find(|(name, _)| *name == file) {
            Some((_, groups)) => groups.push(group),
            None => by_file.push((file, vec![group])),
        }
    }
    let mut files = Files::default();
    for (name, groups) in &by_file {
        files.add(format!("alert-rules/{name}.yaml"), file::rules(groups))?;
        let folder = if is_of_platform(name) { "prometheusrules/platform" } else { "prometheusrules" };
        files.add(format!("alert-rules/{folder}/{name}.yaml"), file::object(name, groups))?;
    }
    let names: Vec<_> = by_file.iter().map(|(name, _)| *name).collect();
    files.extend(file::loaders(&names)?)?;
    let alerts = alerts();
    for alert in &alerts {
        files.add(format!("alert-rules/runbooks/{}.md", alert.name), runbook::page(alert, catalog)?)?;
    }
    files.add("alert-rules/runbooks/README.md", runbook::index(&alerts))?;
    files.extend(alertmanager::files(&alerts, catalog)?)?;
    Ok(files)
}

/// Alerts of the thresholds in a configuration, the same as a PrometheusRule object, and their runbooks.
///
/// # Errors
/// When a query or a text of an alert is wrong.
pub fn of_definitions(defined: &[Defined], catalog: &Catalog) -> Result<Files, Problem> {
    let (mut files, alerts) = (Files::default(), definitions::alerts(defined));
    if alerts.is_empty() {
        return Ok(files);
    }
    let groups = [Group::of_alerts("plimsoll.metrics", &alerts, catalog)?];
    files.add("alert-rules/metrics.yaml", file::rules(&groups))?;
    files.add("alert-rules/prometheusrules/metrics.yaml", file::object("metrics", &groups))?;
    for alert in &alerts {
        files.add(format!("alert-rules/runbooks/{}.md", alert.name), runbook::page(alert, catalog)?)?;
    }
    Ok(files)
}

/// The wrappers for those who put their monitoring together with jsonnet: the rules, and the dashboards among these files; the
/// platform's in one of its own.
///
/// # Errors
/// When two of them would be one.
pub fn mixin(files: &Files) -> Result<Files, Problem> {
    let mut wrappers = Files::default();
    wrappers.add("alert-rules/mixin/mixin.libsonnet", file::mixin(files, |name| !is_of_platform(name)))?;
    wrappers.add("alert-rules/mixin/platform.libsonnet", file::mixin(files, is_of_platform))?;
    Ok(wrappers)
}

fn recorded(catalog: &Catalog) -> Result<Vec<Group>, Problem> {
    Ok(recordings(catalog)?.iter().map(Group::of_recordings).collect())
}

fn chapters() -> Vec<Chapter> {
    let chapter = |file, group, alerts| Chapter { file, group, alerts };
    vec![
        chapter("slo", "plimsoll.slo", slo::of_plimsoll()),
        chapter("platform-slo", "platform.slo", slo::of_platform()),
        chapter("plimsoll", "plimsoll.availability", plimsoll::availability()),
        chapter("plimsoll", "plimsoll.autoscaling", plimsoll::autoscaling()),
        chapter("plimsoll", "plimsoll.sources", plimsoll::sources()),
        chapter("plimsoll", "plimsoll.serving", plimsoll::serving()),
        chapter("platform", "platform.services", platform::services()),
        chapter("platform", "platform.resources", platform::resources()),
        chapter("platform", "platform.backups", platform::backups()),
    ]
}
