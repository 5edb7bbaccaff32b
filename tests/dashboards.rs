use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::controlplane::programs::kubernetes;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

/// The dashboards of the repository, by uid.
fn dashboards() -> BTreeMap<String, Value> {
    let entries = std::fs::read_dir(folder()).expect("there are dashboards").map(|entry| entry.expect("one").path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| -> (String, Value) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let uid = path.file_stem().expect("a name").to_str().expect("UTF-8").to_owned();
        (uid, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    files.map(read).collect()
}

/// What `kubectl apply -k` gives to a cluster.
fn applied(name: &str) -> Vec<Value> {
    let output = Command::new(kubernetes("kubectl")).arg("kustomize").arg(folder().join(name)).output();
    let output = output.unwrap_or_else(|error| panic!("kubectl: {error}; run `make setup`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(output.stdout).expect("UTF-8")).expect("YAML")
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {object}"))
}

/// By name, those of one kind; all are in one namespace.
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> BTreeMap<&'a str, &'a Value> {
    assert!(objects.iter().all(|object| text(object, "/metadata/namespace") == "monitoring"));
    let found = objects.iter().filter(|object| object["kind"] == kind);
    found.map(|object| (text(object, "/metadata/name"), object)).collect()
}

#[test]
fn the_sidecar_is_given_every_dashboard_as_it_is() {
    let (dashboards, objects) = (dashboards(), applied("configmaps"));
    let config_maps = of_kind(&objects, "ConfigMap");
    assert_eq!(config_maps.len(), dashboards.len());
    for (uid, dashboard) in &dashboards {
        let config_map = config_maps[format!("dashboard-{uid}").as_str()];
        assert_eq!(text(config_map, "/metadata/labels/grafana_dashboard"), "1");
        let given: Value = serde_json::from_str(text(config_map, &format!("/data/{uid}.json"))).expect("JSON");
        assert!(given == *dashboard, "{uid} is another in its ConfigMap");
    }
}

#[test]
fn the_operator_is_given_every_dashboard_and_the_config_map_it_reads() {
    let (dashboards, objects) = (dashboards(), applied("grafana-operator"));
    let (config_maps, operated) = (of_kind(&objects, "ConfigMap"), of_kind(&objects, "GrafanaDashboard"));
    assert_eq!((config_maps.len(), operated.len()), (dashboards.len(), dashboards.len()));
    for uid in dashboards.keys() {
        let dashboard = operated[uid.as_str()];
        let from = config_maps[text(dashboard, "/spec/configMapRef/name")];
        let json: Value =
            serde_json::from_str(from["data"][text(dashboard, "/spec/configMapRef/key")].as_str().expect("a key"))
                .expect("JSON");
        assert_eq!(json["uid"], uid.as_str());
    }
}

#[test]
fn what_grafana_provisions_itself_is_one_folder_of_files() {
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder().join("provisioning").join(name)).expect("UTF-8");
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let (providers, sources) = (read("providers.yaml"), read("datasource.yaml"));
    assert_eq!((&providers["apiVersion"], &sources["apiVersion"]), (&Value::from(1), &Value::from(1)));
    let provider = &providers["providers"][0];
    // Grafana takes either one folder or the folders of the files.
    assert_eq!(provider["options"]["foldersFromFilesStructure"], false);
    assert!(provider["folder"].is_string() && provider["options"]["path"].is_string(), "{provider}");
    assert_eq!(sources["datasources"][0]["type"], "prometheus", "the variable of the dashboards offers no other");
}

#[test]
fn the_readme_has_the_question_of_every_dashboard() {
    let readme = std::fs::read_to_string(folder().join("README.md")).expect("UTF-8");
    for (uid, dashboard) in dashboards() {
        let line = format!("| `{uid}` | {} |", text(&dashboard, "/description"));
        assert!(readme.contains(&line), "dashboards/README.md has no line {line}");
    }
}
