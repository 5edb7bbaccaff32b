use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rendered::orchestration;

/// Folders whose files say how objects of others are changed, and hold none of their own.
const PATCHES: [&str; 4] = [
    "overlays/development/deployment.yaml",
    "overlays/production/deployment.yaml",
    "components/cert-manager/deployment.yaml",
    "components/without-self-managed/objects.yaml",
];

const KUSTOMIZATION: &str = "kustomization.yaml";

#[test]
fn each_file_has_one_object_named_by_its_kind_and_no_object_is_in_two() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for path in files().iter().filter(|path| is_object(path)) {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        let [object] = &objects[..] else { panic!("{}: {} objects", path.display(), objects.len()) };
        let kind = kebab(object["kind"].as_str().expect("a kind"));
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
        assert!(name == kind || name.starts_with(&format!("{kind}-")), "{name}.yaml has a {kind}");
        let identity = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let before = seen.insert(identity.clone(), inside(path));
        assert_eq!(before, None, "{identity} is in {} too", path.display());
    }
    assert!(seen.len() > 40, "{seen:?}");
}

#[test]
fn every_file_is_used_by_the_kustomization_beside_it() {
    let mut wrong = Vec::new();
    for path in files().iter().filter(|path| !path.ends_with(KUSTOMIZATION)) {
        let text = std::fs::read_to_string(path.with_file_name(KUSTOMIZATION)).expect("a kustomization");
        let name = path.file_name().expect("a name").to_str().expect("UTF-8");
        let uses = |line: &str| line.trim_start() == format!("- {name}") || line.contains(&format!("path: {name}"));
        if !text.lines().filter(|line| !line.trim_start().starts_with('#')).any(uses) {
            wrong.push(inside(path));
        }
    }
    assert!(wrong.is_empty(), "nobody uses {wrong:?}");
}

#[test]
fn every_binding_and_namespaced_object_says_where_it_is() {
    for path in files().iter().filter(|path| is_object(path) && !inside(path).starts_with("autoscaling")) {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        let object: Value = serde_saphyr::from_str(&text).expect("YAML");
        let kind = object["kind"].as_str().expect("a kind");
        let is_of_cluster = kind.starts_with("Cluster") || ["Namespace", "APIService"].contains(&kind);
        assert_eq!(object["metadata"]["namespace"].is_null(), is_of_cluster, "{}", path.display());
    }
}

/// Every YAML file of the folder.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&orchestration(), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn is_object(path: &Path) -> bool {
    let path = inside(path);
    !path.ends_with(KUSTOMIZATION) && !path.ends_with("behavior.yaml") && !PATCHES.contains(&path.as_str())
}

fn inside(path: &Path) -> String {
    path.strip_prefix(orchestration()).expect("inside").display().to_string()
}

/// `APIService` as `api-service`, `ClusterRole` as `cluster-role`.
fn kebab(kind: &str) -> String {
    let mut kebab = String::new();
    for (i, letter) in kind.replace("API", "Api").char_indices() {
        if letter.is_uppercase() && i > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}
