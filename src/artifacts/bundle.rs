//! A set of artifacts as it is shipped: the files, their manifest, their checksums, and what changed from version to version.

use std::path::Path;

use semver::Version;

use crate::artifacts::archive::Archived;
use crate::artifacts::contents::{SIZE_MAX, read_bounded};
use crate::artifacts::folder::RECORD;
use crate::artifacts::{Changelog, Contents, Digest, Folder, Manifest, Refusal};
use crate::catalog::{Catalog, Files};

/// Files that agree with their manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    pub manifest: Manifest,
    /// All of them, with the manifest and the checksums.
    pub contents: Contents,
}

pub const MANIFEST: &str = "artifacts.json";
pub const SUMS: &str = "SHA256SUMS";
pub const CHANGELOG: &str = "CHANGELOG.md";

// === impl Bundle ===

impl Bundle {
    /// Packs files. Those that are as in `previous` keep the version they have there.
    ///
    /// # Errors
    /// When the manifest is refused, or the changelog says nothing of this version.
    pub fn of(
        catalog: &Catalog,
        mut files: Files,
        version: &Version,
        changelog: &Changelog,
        previous: Option<&Manifest>,
    ) -> Result<Self, Refusal> {
        changelog.check(version)?;
        files.0.insert(CHANGELOG.to_owned(), changelog.text.clone());
        let manifest = Manifest::of(catalog, &files, version, previous)?;
        let mut contents = Contents(files.0.into_iter().map(|(path, text)| (path, text.into_bytes())).collect());
        contents.0.insert(MANIFEST.to_owned(), manifest.text().into_bytes());
        let sums = contents.sums();
        contents.0.insert(SUMS.to_owned(), sums.into_bytes());
        Ok(Self { manifest, contents })
    }

    /// Reads an archive, or a folder that one was unpacked to.
    ///
    /// # Errors
    /// When it cannot be read; all that does not agree, when it can.
    pub fn open(path: &Path) -> Result<Self, Vec<Refusal>> {
        let place = path.display().to_string();
        let contents = if path.is_dir() {
            Contents::of_folder(path)
        } else {
            read_bounded(path, SIZE_MAX).and_then(|bytes| Contents::of_archive(&place, &bytes))
        };
        Self::read(&place, contents.map_err(|refusal| vec![refusal])?)
    }

    /// Reads the generated files of a checkout, which has no checksums of its own and many other files.
    ///
    /// # Errors
    /// All that does not agree with its record.
    pub fn of_checkout(path: &Path) -> Result<Self, Vec<Refusal>> {
        let folder = Folder(path.to_owned());
        let manifest = folder.record().map_err(|refusal| vec![refusal])?;
        let none = || vec![Refusal::new(path.display(), format!("it has no {RECORD}"))];
        let manifest = manifest.ok_or_else(none)?;
        let mut contents = Contents::default();
        for file in &manifest.files {
            let place = folder.place(&file.name).map_err(|error| vec![Refusal::new(path.display(), error)])?;
            if place.is_file() {
                let bytes = read_bounded(&place, SIZE_MAX).map_err(|refusal| vec![refusal])?;
                contents.add(&file.name, bytes).map_err(|what| vec![Refusal::new(place.display(), what)])?;
            }
        }
        let place = path.display().to_string();
        let faults = against_manifest(&manifest, &contents);
        if !faults.is_empty() {
            return Err(named(&place, faults));
        }
        true_of(&place, RECORD, manifest, contents)
    }

    /// Files that say themselves what they are.
    ///
    /// # Errors
    /// All that does not agree.
    pub fn read(place: &str, contents: Contents) -> Result<Self, Vec<Refusal>> {
        let Some(text) = contents.0.get(MANIFEST) else {
            let what = format!("it has no {MANIFEST}, so it is no bundle of artifacts");
            return Err(vec![Refusal::new(place, what)]);
        };
        let manifest = Manifest::read(&format!("{place}: {MANIFEST}"), text).map_err(|refusal| vec![refusal])?;
        let mut found = against_manifest(&manifest, &contents);
        found.extend(against_sums(&contents));
        found.sort();
        found.dedup();
        if !found.is_empty() {
            return Err(named(place, found));
        }
        true_of(place, MANIFEST, manifest, contents)
    }

    pub fn archive(&self) -> Archived {
        self.contents.archive()
    }
}

/// A bundle of files that are what the manifest lists, when they are also what it says of them.
fn true_of(place: &str, name: &str, manifest: Manifest, contents: Contents) -> Result<Bundle, Vec<Refusal>> {
    let texts = contents.0.iter().filter_map(|(path, bytes)| Some((path.as_str(), str::from_utf8(bytes).ok()?)));
    let untrue = manifest
        .untrue(texts)
        .map_err(|Refusal { place: within, what }| vec![Refusal::new(format!("{place}: {within}"), what)])?;
    if untrue.is_empty() {
        return Ok(Bundle { manifest, contents });
    }
    Err(untrue.into_iter().map(|what| Refusal::new(format!("{place}: {name}"), what)).collect())
}

/// A path, and what is wrong with the file.
type Fault = (String, String);

fn named(place: &str, faults: Vec<Fault>) -> Vec<Refusal> {
    faults.into_iter().map(|(path, what)| Refusal::new(format!("{place}: {path}"), what)).collect()
}

fn against_manifest(manifest: &Manifest, contents: &Contents) -> Vec<Fault> {
    let of_listed = manifest.files.iter().filter_map(|file| match contents.0.get(&file.name) {
        None => Some((file.name.clone(), "it is missing".to_owned())),
        Some(bytes) if Digest::of(bytes) != file.sha256 => Some((file.name.clone(), "it was changed".to_owned())),
        Some(_) => None,
    });
    let is_own = |path: &str| path == MANIFEST || path == SUMS;
    let others = contents.0.keys().filter(|path| !is_own(path) && manifest.file(path).is_none());
    let of_others = others.map(|path| (path.clone(), format!("it was added: {MANIFEST} does not list it")));
    of_listed.chain(of_others).collect()
}

/// The manifest itself is only in the checksums.
fn against_sums(contents: &Contents) -> Vec<Fault> {
    let Some(there) = contents.0.get(SUMS) else { return vec![(SUMS.to_owned(), "it is missing".to_owned())] };
    let mut files = contents.clone();
    files.0.remove(SUMS);
    let there = String::from_utf8_lossy(there);
    let (there, right) = (there.lines().collect::<Vec<_>>(), files.sums());
    let path = |line: &str| line.split_once("  ").map_or(line, |(_, path)| path).to_owned();
    let changed = right.lines().filter(|line| !there.contains(line)).map(|line| {
        let is_listed = there.iter().any(|other| path(other) == path(line));
        let added = format!("it was added: {SUMS} does not list it");
        (path(line), if is_listed { "it was changed".to_owned() } else { added })
    });
    let missing = there.iter().filter(|line| !files.0.contains_key(&path(line)));
    changed.chain(missing.map(|line| (path(line), "it is missing".to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Kind;
    use crate::artifacts::samples::{self, bundle};

    fn faults(change: impl Fn(&mut Contents)) -> Vec<String> {
        let mut contents = bundle().contents;
        change(&mut contents);
        let faults = Bundle::read("b", contents).expect_err("it does not agree");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_builds_have_one_digest() {
        let digest = Digest::of(&bundle().archive().bytes);
        assert_eq!(digest, Digest::of(&bundle().archive().bytes));
        let read = Contents::of_archive("b", &bundle().archive().bytes).expect("an archive");
        assert_eq!(Bundle::read("b", read), Ok(bundle()));
    }

    #[test]
    fn each_file_that_was_tampered_with_is_named() {
        let changed = faults(|contents| drop(contents.0.insert("dashboards/queues.json".into(), b"{}".to_vec())));
        assert_eq!(changed, ["b: dashboards/queues.json: it was changed"]);
        let missing = faults(|contents| drop(contents.0.remove("alert-rules/alerts.yaml")));
        assert_eq!(missing, ["b: alert-rules/alerts.yaml: it is missing"]);
        let added = faults(|contents| contents.add("dashboards/evil.json", Vec::new()).expect("a path"));
        assert_eq!(
            added,
            [
                "b: dashboards/evil.json: it was added: SHA256SUMS does not list it",
                "b: dashboards/evil.json: it was added: artifacts.json does not list it",
            ]
        );
    }

    #[test]
    fn a_manifest_that_was_adapted_to_what_was_tampered_with_does_not_agree_with_the_checksums() {
        let adapted = faults(|contents| {
            let text = String::from_utf8(contents.0[MANIFEST].clone()).expect("UTF-8");
            contents.0.insert(MANIFEST.into(), text.replace("\"1.0.0\"", "\"9.0.0\"").into_bytes());
        });
        assert_eq!(adapted, ["b: artifacts.json: it was changed"]);
        assert_eq!(faults(|contents| drop(contents.0.remove(SUMS))), ["b: SHA256SUMS: it is missing"]);
        let none = faults(|contents| drop(contents.0.remove(MANIFEST)));
        assert_eq!(none, ["b: it has no artifacts.json, so it is no bundle of artifacts"]);
    }

    #[test]
    fn a_manifest_that_says_something_else_of_its_files_is_refused_even_if_all_sums_are_right() {
        let lie = |change: &dyn Fn(&mut Manifest)| {
            faults(|contents| {
                let mut manifest = bundle().manifest;
                change(&mut manifest);
                contents.0.insert(MANIFEST.into(), manifest.text().into_bytes());
                contents.0.remove(SUMS);
                let sums = contents.sums();
                contents.0.insert(SUMS.into(), sums.into_bytes());
            })
        };
        let differs = |field: &str| [format!("b: artifacts.json: {field} is not what the files have")];
        assert_eq!(lie(&|manifest| manifest.dashboards.clear()), differs("dashboards"));
        assert_eq!(lie(&|manifest| manifest.alerts.clear()), differs("alerts"));
        assert_eq!(lie(&|manifest| manifest.recording_rules.clear()), differs("recordingRules"));
        assert_eq!(lie(&|manifest| manifest.metrics_required.clear()), differs("metricsRequired"));
        let kind = differs("the kind of alert-rules/alerts.yaml");
        assert_eq!(lie(&|manifest| manifest.files[1].kind = Kind::Other), kind);
        let newer = lie(&|manifest| manifest.files[1].version = Version::new(9, 0, 0));
        assert_eq!(
            newer,
            ["b: artifacts.json: alert-rules/alerts.yaml is of version 9.0.0, which is newer than 1.0.0"]
        );
        let none = lie(&|manifest| drop(manifest.catalog.remove("queue_length")));
        assert_eq!(none, ["b: artifacts.json: catalog does not have queue_length, which is read"]);
        let label = lie(&|manifest| manifest.catalog.get_mut("queue_length").expect("it is there").labels.clear());
        assert_eq!(label, ["b: artifacts.json: catalog does not have the label job of queue_length, which is read"]);
        let all = lie(&|manifest| manifest.catalog.clear());
        assert!(
            all.contains(&"b: artifacts.json: catalog does not have job:requests:rate5m, which is recorded".to_owned()),
            "{all:?}"
        );
    }

    #[test]
    fn a_version_without_a_word_on_what_changed_is_not_packed() {
        let version = Version::new(1, 1, 0);
        let refused = Bundle::of(&samples::catalog(), samples::files(), &version, &samples::changelog(), None);
        assert_eq!(refused.expect_err("refused").to_string(), "CHANGELOG.md: it has no section 1.1.0");
    }
}
