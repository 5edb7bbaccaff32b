//! The committed seeds of the fuzz targets, what they once found included, keep the promises of their parsers.

use std::fs;
use std::path::{Path, PathBuf};

mod properties;

/// Every file of the folders, as the fuzz target of this name takes it.
fn check(folders: &[&str], property: fn(&[u8])) {
    for folder in folders {
        for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            println!("{}", path.display());
            property(&fs::read(&path).expect("a seed"));
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", folder.display());
    files
}

#[test]
fn text_pages_mean_the_same_whatever_is_wanted_and_when_written_again() {
    check(&["tests/fuzz/seeds/text"], properties::text);
}

#[test]
fn openmetrics_pages_mean_the_same_whatever_is_wanted_and_when_written_again() {
    check(&["tests/fuzz/seeds/openmetrics"], properties::openmetrics);
}

#[test]
fn protobuf_pages_mean_the_same_whatever_is_wanted_and_as_text() {
    check(&["tests/fuzz/seeds/protobuf"], properties::protobuf);
}

#[test]
fn configurations_are_sound_or_refused_with_places() {
    let folders = ["tests/fuzz/seeds/configuration", "tests/fixtures/config", "deploy/config", "deploy/demo"];
    check(&folders, properties::configuration);
}

#[test]
fn selectors_mean_the_same_when_written_again() {
    check(&["tests/fuzz/seeds/selector"], properties::selector);
}

#[test]
fn quantities_mean_the_same_when_written_again() {
    check(&["tests/fuzz/seeds/quantity"], properties::quantity);
}

#[test]
fn every_fuzz_target_is_built_and_run_and_its_seeds_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (script, manifest, here) = (text(".ci/fuzz"), text("tests/fuzz/Cargo.toml"), text("tests/fuzz.rs"));
    let run = script.lines().find_map(|line| line.strip_prefix("targets=(")?.strip_suffix(')')).expect("the list");
    for path in files(&root.join("tests/fuzz/targets")) {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(run.split(' ').any(|target| target == name), ".ci/fuzz does not run {name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "tests/fuzz/Cargo.toml does not build {name}");
        assert!(here.contains(&format!("properties::{name})")), "no test checks the seeds of {name}");
    }
}
