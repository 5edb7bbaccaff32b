use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{FILES, folder, list, root, run, text, yaml};
use crate::harness::program::installed;

#[test]
fn promtool_has_nothing_to_say_against_the_rules() {
    let files = FILES.map(|name| folder().join(format!("{name}.yaml")));
    let (right, said) = run(installed("promtool", "prometheus").args(["check", "rules", "--lint-fatal"]).args(&files));
    assert!(right, "{said}");
}

#[test]
fn a_prometheus_rule_has_the_groups_of_its_file_and_the_labels_by_which_it_is_chosen() {
    for name in FILES {
        let object = yaml(format!("alert-rules/prometheusrules/{name}.yaml"));
        assert_eq!(object["kind"], "PrometheusRule");
        assert_eq!(object["spec"], yaml(format!("alert-rules/{name}.yaml")), "{name}");
        assert_eq!(object["metadata"]["labels"]["role"], "alert-rules", "{name}");
    }
}

#[test]
fn every_file_of_rules_is_loaded_in_every_form() {
    let entries = std::fs::read_dir(folder()).expect("alert-rules");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: BTreeSet<_> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.remove("kustomization.yaml");
    assert_eq!(names, FILES.iter().map(|name| format!("{name}.yaml")).collect());
    let maps = yaml("alert-rules/kustomization.yaml");
    let in_map: BTreeSet<_> =
        list(&maps["configMapGenerator"][0], "files").iter().map(|it| it.as_str().expect("a name")).collect();
    assert_eq!(in_map, names.iter().map(String::as_str).collect());
    let objects = yaml("alert-rules/prometheusrules/kustomization.yaml");
    let objects: BTreeSet<_> = list(&objects, "resources").iter().map(|it| it.as_str().expect("a name")).collect();
    assert_eq!(objects, names.iter().map(String::as_str).collect());
}

#[test]
fn the_mixin_is_read_by_jsonnet_and_has_all_groups_and_dashboards() {
    let program = "local all = import 'alert-rules/mixin/mixin.libsonnet'; \
                   {rules: all.prometheusRules, alerts: all.prometheusAlerts, dashboards: all.grafanaDashboards}";
    let mut jsonnet = installed("jsonnet", "jsonnet");
    let output = jsonnet.current_dir(root()).args(["-e", program]).output().expect("jsonnet runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(found["rules"], yaml("alert-rules/recording.yaml"));
    let groups = |value: &Value| -> BTreeMap<String, Value> {
        list(value, "groups").iter().map(|group| (text(group, "name").to_owned(), group.clone())).collect()
    };
    let sent = groups(&found["alerts"]);
    let written: BTreeMap<String, Value> =
        FILES[1..].iter().flat_map(|name| groups(&yaml(format!("alert-rules/{name}.yaml")))).collect();
    assert_eq!(sent, written);
    let dashboards = found["dashboards"].as_object().expect("dashboards");
    assert!(dashboards.len() > 8, "{:?}", dashboards.keys());
    for (name, dashboard) in dashboards {
        assert_eq!(*name, format!("{}.json", text(dashboard, "uid")));
    }
}
