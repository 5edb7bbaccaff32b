use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may import whom. A new arrow is a decision: make it here, in a commit of its own.
const IMPORTS: [(&str, &[&str]); 21] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("config", &["model"]),
    ("credential", &["model"]),
    ("storage", &["model"]),
    ("exposition", &["model"]),
    ("client", &["model", "config", "storage"]),
    ("discovery", &["model", "clock", "config", "client"]),
    ("scrape", &["model", "clock", "config", "client", "exposition", "storage"]),
    ("aggregate", &["model", "config", "storage"]),
    ("provider", &["model", "config", "storage", "aggregate"]),
    ("api", &["model", "clock", "config", "storage", "aggregate", "provider"]),
    ("autoscaling", &["model", "clock", "config", "storage", "provider"]),
    ("serving", &["model", "clock", "config"]),
    ("admin", &["model", "clock", "discovery", "storage", "api", "serving"]),
    ("telemetry", &["model"]),
    ("hpa", &["model"]),
    ("catalog", &["model", "config"]),
    ("artifacts", &["model", "config", "client", "catalog"]),
    ("demo", &["model", "clock", "config", "hpa", "server"]),
    ("doctor", &["model", "clock", "config", "client", "credential", "discovery", "api", "serving", "hpa"]),
];

/// These compose, and may see everything.
const COMPOSERS: [&str; 4] = ["server", "cli", "main", "lib"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            found.push((path, text));
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("inside the project").display().to_string()
}

/// The top module a file of `src` belongs to.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("inside src");
    let first = inside.iter().next().expect("a file").to_str().expect("UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

/// A file without its tests: those may look at more.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().expect("a first part")
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&root().join("src")) {
        let here = module(&path);
        let test_only = ["tests.rs", "notation.rs", "stories.rs"].iter().any(|name| path.ends_with(name));
        if COMPOSERS.contains(&here.as_str()) || test_only || path.components().any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        let allowed = IMPORTS
            .iter()
            .find(|(module, _)| *module == here)
            .unwrap_or_else(|| panic!("{here} is not in the table"))
            .1;
        for (at, _) in without_tests(&text).match_indices("crate::") {
            let rest = &text[at + "crate::".len()..];
            let used: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let code = text[..at].rsplit('\n').next().is_some_and(|line| !line.trim_start().starts_with("//"));
            if code && !used.is_empty() && used != here && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} imports {used}", relative(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of tests/tidy.rs:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_is_declared_by_a_mod_line_and_opens_with_its_purpose() {
    let all = sources(&root().join("src"));
    let mut wrong = Vec::new();
    for (path, text) in &all {
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
        if !text.starts_with("//!") && name != "tests" {
            wrong.push(format!("{} does not open with a module doc", relative(path)));
        }
        if ["lib", "main"].contains(&name) {
            continue;
        }
        let parent = path.parent().expect("a folder");
        let declarer = if parent == root().join("src") { parent.join("lib.rs") } else { parent.with_extension("rs") };
        let declared = all
            .iter()
            .find(|(path, _)| *path == declarer)
            .is_some_and(|(_, text)| text.lines().any(|line| line.trim_end().ends_with(&format!("mod {name};"))));
        if !declared {
            wrong.push(format!("{} is declared by no mod line in {}", relative(path), relative(&declarer)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_file_is_declared() {
    let top = std::fs::read_to_string(root().join("tests/tests.rs")).expect("tests.rs");
    for entry in std::fs::read_dir(root().join("tests")).expect("tests") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "tests") {
            assert!(
                top.contains(&format!("mod {module};")),
                "tests/{name} is declared by no mod line, so it never runs"
            );
        }
    }
}

#[test]
fn every_dependency_is_used_and_has_a_reason() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let text: String = ["src", "tests", "benches"]
        .iter()
        .filter(|folder| root().join(folder).is_dir())
        .flat_map(|folder| sources(&root().join(folder)))
        .map(|(_, text)| text)
        .collect();
    let section = manifest.split("dependencies]").skip(1);
    let mut reason = false;
    for line in section.flat_map(|section| section.split("\n[").next().expect("a part").lines()) {
        if line.starts_with('#') {
            reason = true;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { continue };
        assert!(reason, "{name} has no reason in Cargo.toml");
        assert!(text.contains(&name.replace('-', "_")), "{name} is used nowhere; remove it from Cargo.toml");
    }
}

#[test]
fn the_readme_names_both_commands_and_ci_runs_the_tests() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let top: String = readme.lines().take(25).collect::<Vec<_>>().join("\n");
    assert!(top.contains("make run") && top.contains("make test"), "{top}");
    assert!(std::fs::read_to_string(root().join(".ci/run")).expect(".ci/run").contains("make test"));
}

#[test]
fn the_table_has_no_circle() {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<_> = IMPORTS.to_vec();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|(module, imports)| {
            let ready = imports.iter().all(|import| done.contains(import) || *import == "server");
            if ready {
                done.insert(module);
            }
            !ready
        });
        assert!(left.len() < before, "a circle among {:?}", left.iter().map(|(module, _)| module).collect::<Vec<_>>());
    }
}
