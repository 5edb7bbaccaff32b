//! What loads dashboards: Grafana's own provisioning, ConfigMaps for its sidecar, and objects for its operator.

use serde_json::Value;

use crate::catalog::dashboard::Dashboard;
use crate::catalog::{Files, Problem};

/// The folder in Grafana.
const FOLDER: &str = "Plimsoll";

/// Of the objects; they may be anywhere that the sidecar or the operator looks at.
const NAMESPACE: &str = "monitoring";

pub(super) fn config_map_path(dashboard: &Dashboard) -> String {
    format!("dashboards/configmaps/{}.yaml", dashboard.uid)
}

/// The JSON is on one line, without spaces: what is applied is kept a second time in an annotation, of which there may be
/// 256 KiB.
pub(super) fn config_map(dashboard: &Dashboard, json: &Value) -> String {
    let uid = &dashboard.uid;
    format!(
        "apiVersion: v1\n\
         kind: ConfigMap\n\
         metadata:\n\
         \x20 name: dashboard-{uid}\n\
         \x20 labels:\n\
         \x20   grafana_dashboard: \"1\"\n\
         \x20   app.kubernetes.io/part-of: plimsoll\n\
         \x20 annotations:\n\
         \x20   grafana_folder: {FOLDER}\n\
         data:\n\
         \x20 {uid}.json: |-\n\
         \x20   {json}\n"
    )
}

pub(super) fn grafana_dashboard_path(dashboard: &Dashboard) -> String {
    format!("dashboards/grafana-operator/{}.yaml", dashboard.uid)
}

/// It takes the JSON from the ConfigMap, so there is one of it.
pub(super) fn grafana_dashboard(dashboard: &Dashboard) -> String {
    let uid = &dashboard.uid;
    format!(
        "apiVersion: grafana.integreatly.org/v1beta1\n\
         kind: GrafanaDashboard\n\
         metadata:\n\
         \x20 name: {uid}\n\
         \x20 labels:\n\
         \x20   app.kubernetes.io/part-of: plimsoll\n\
         spec:\n\
         \x20 # The label of the Grafana that shows it, which may be in another namespace.\n\
         \x20 instanceSelector:\n\
         \x20   matchLabels:\n\
         \x20     dashboards: grafana\n\
         \x20 allowCrossNamespaceImport: true\n\
         \x20 folder: {FOLDER}\n\
         \x20 resyncPeriod: 10m\n\
         \x20 configMapRef:\n\
         \x20   name: dashboard-{uid}\n\
         \x20   key: {uid}.json\n"
    )
}

/// Kustomizations of all of them, and what Grafana reads itself.
///
/// # Errors
/// When two of them would be one.
pub(super) fn files(dashboards: &[Dashboard]) -> Result<Files, Problem> {
    let mut files = Files::default();
    files.add("dashboards/configmaps/kustomization.yaml", config_maps(dashboards))?;
    files.add("dashboards/grafana-operator/kustomization.yaml", grafana_dashboards(dashboards))?;
    files.add("dashboards/provisioning/providers.yaml", providers())?;
    files.add("dashboards/provisioning/datasource.yaml", datasource())?;
    Ok(files)
}

fn resources(dashboards: &[Dashboard]) -> String {
    dashboards.iter().map(|dashboard| format!("  - {}.yaml\n", dashboard.uid)).collect()
}

fn config_maps(dashboards: &[Dashboard]) -> String {
    format!(
        "# For the sidecar of Grafana's chart, which takes ConfigMaps with the label grafana_dashboard: \"1\".\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         namespace: {NAMESPACE}\n\
         resources:\n{}",
        resources(dashboards)
    )
}

fn grafana_dashboards(dashboards: &[Dashboard]) -> String {
    format!(
        "# For grafana-operator. With the ConfigMaps, which have the JSON.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         namespace: {NAMESPACE}\n\
         resources:\n\
         \x20 - ../configmaps\n{}",
        resources(dashboards)
    )
}

fn providers() -> String {
    format!(
        "# In /etc/grafana/provisioning/dashboards. The JSON files are in the path below.\n\
         apiVersion: 1\n\
         providers:\n\
         \x20 - name: plimsoll\n\
         \x20   orgId: 1\n\
         \x20   type: file\n\
         \x20   folder: {FOLDER}\n\
         \x20   folderUid: plimsoll\n\
         \x20   # What is changed in Grafana would be gone at the next start.\n\
         \x20   allowUiUpdates: false\n\
         \x20   disableDeletion: false\n\
         \x20   updateIntervalSeconds: 30\n\
         \x20   options:\n\
         \x20     path: /var/lib/grafana/dashboards/plimsoll\n\
         \x20     foldersFromFilesStructure: false\n"
    )
}

fn datasource() -> String {
    "# In /etc/grafana/provisioning/datasources. Dashboards take whichever Prometheus is chosen; this one is the default.\n\
     apiVersion: 1\n\
     datasources:\n\
     \x20 - name: Prometheus\n\
     \x20   uid: prometheus\n\
     \x20   orgId: 1\n\
     \x20   type: prometheus\n\
     \x20   access: proxy\n\
     \x20   url: http://prometheus.monitoring.svc:9090\n\
     \x20   isDefault: true\n\
     \x20   editable: false\n\
     \x20   jsonData:\n\
     \x20     httpMethod: POST\n\
     \x20     # The scrape interval: rates are taken over four of them at least.\n\
     \x20     timeInterval: 15s\n"
        .to_owned()
}
