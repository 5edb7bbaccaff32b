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
        let folder = if name.starts_with("platform") { "prometheusrules/platform" } else { "prometheusrules" };
        let object = yaml(format!("alert-rules/{folder}/{name}.yaml"));
        assert_eq!(object["kind"], "PrometheusRule");
        assert_eq!(object["spec"], yaml(format!("alert-rules/{name}.yaml")), "{name}");
        assert_eq!(object["metadata"]["labels"]["role"], "alert-rules", "{name}");
    }
}

#[test]
fn every_file_of_rules_is_loaded_in_every_form_and_the_platforms_apart_from_plimsolls() {
    let entries = std::fs::read_dir(folder()).expect("alert-rules");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: BTreeSet<_> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.remove("kustomization.yaml");
    assert_eq!(names, FILES.iter().map(|name| format!("{name}.yaml")).collect());
    let (of_platform, of_plimsoll): (BTreeSet<_>, BTreeSet<_>) =
        names.iter().map(String::as_str).partition(|name| name.starts_with("platform"));
    let maps = yaml("alert-rules/kustomization.yaml");
    let strings = |of: &Value, key| -> BTreeSet<String> {
        list(of, key).iter().map(|it| it.as_str().expect("a name").to_owned()).collect()
    };
    let are = |names: &BTreeSet<&str>| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(strings(&maps["configMapGenerator"][0], "files"), are(&of_plimsoll));
    let objects = |folder: &str| strings(&yaml(format!("alert-rules/{folder}/kustomization.yaml")), "resources");
    assert_eq!(objects("prometheusrules"), are(&of_plimsoll));
    assert_eq!(objects("prometheusrules/platform"), are(&of_platform));
    let readme = super::read("deploy/monitoring/README.md");
    assert!(of_platform.iter().all(|name| readme.contains(&format!("--from-file=alert-rules/{name}"))), "{readme}");
}

#[test]
fn without_the_platforms_rules_nobody_is_told_of_the_platform() {
    for name in FILES.iter().filter(|name| !name.starts_with("platform")) {
        let file = yaml(format!("alert-rules/{name}.yaml"));
        for rule in list(&file, "groups").iter().flat_map(|group| list(group, "rules")) {
            assert!(rule["record"].is_string() || rule["labels"]["service"] == "plimsoll", "{name}: {rule}");
            assert!(!text(rule, "expr").contains("workload"), "{name}: {rule}");
        }
    }
}

#[test]
fn the_mixin_is_read_by_jsonnet_and_has_all_groups_and_dashboards() {
    let groups = |value: &Value| -> BTreeMap<String, Value> {
        list(value, "groups").iter().map(|group| (text(group, "name").to_owned(), group.clone())).collect()
    };
    let plimsolls = "import 'alert-rules/mixin/mixin.libsonnet'";
    let both = format!("({plimsolls}) + (import 'alert-rules/mixin/platform.libsonnet')");
    for (program, names, dashboards) in [(plimsolls, &FILES[..3], 5), (&both, &FILES[..], 10)] {
        let found = jsonnet(program);
        let written = |are_recorded: bool| -> BTreeMap<String, Value> {
            let names = names.iter().filter(|name| name.ends_with("recording") == are_recorded);
            names.flat_map(|name| groups(&yaml(format!("alert-rules/{name}.yaml")))).collect()
        };
        assert_eq!(groups(&found["rules"]), written(true));
        assert_eq!(groups(&found["alerts"]), written(false));
        let found = found["dashboards"].as_object().expect("dashboards");
        assert_eq!(found.len(), dashboards, "{:?}", found.keys());
        for (name, dashboard) in found {
            assert_eq!(*name, format!("{}.json", text(dashboard, "uid")));
        }
    }
}

/// The roots of a mixin.
fn jsonnet(mixin: &str) -> Value {
    let program = format!(
        "local all = {mixin}; \
         {{rules: all.prometheusRules, alerts: all.prometheusAlerts, dashboards: all.grafanaDashboards}}"
    );
    let mut jsonnet = installed("jsonnet", "jsonnet");
    let output = jsonnet.current_dir(root()).args(["-e", &program]).output().expect("jsonnet runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
