//! `artifacts.json`: what a set of artifacts is, file by file, and what others rely on in it.
//!
//! Files and the catalogue they were made of go in; the names that dashboards, links, routes and silences of others have come
//! out, with all that can be compared between two versions. What is not consistent is refused here, before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts::bundle::{MANIFEST, SUMS};
use crate::artifacts::contents::{check, check_twins};
use crate::artifacts::kind::{is_dashboard, is_rules};
use crate::artifacts::{Dashboard, Digest, Kind, Query, Refusal, Rules};
use crate::catalog::{Catalog, Files, Metric};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Of this format.
    pub schema_version: u32,
    /// Of the artifacts.
    pub version: Version,
    pub minimum: Minimum,
    /// By name.
    pub files: Vec<File>,
    /// By uid.
    pub dashboards: BTreeMap<String, Shown>,
    /// By name; several rules may have one, with other labels.
    pub alerts: BTreeMap<String, Vec<BTreeMap<String, String>>>,
    pub recording_rules: BTreeSet<String>,
    /// What the queries read and no rule of these records.
    pub metrics_required: BTreeMap<String, Required>,
    /// By name.
    pub catalog: BTreeMap<String, Described>,
}

/// The oldest programs that take the artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minimum {
    pub grafana: Version,
    pub prometheus: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path.
    pub name: String,
    pub kind: Kind,
    pub sha256: Digest,
    /// The version of the artifacts in which it came to be what it is.
    pub version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub file: String,
    pub title: String,
    pub variables: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Required {
    /// Labels that queries match, group and join by, and show.
    pub labels: BTreeSet<String>,
    /// Files that read it.
    pub read_by: BTreeSet<String>,
}

/// A metric of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Described {
    pub kind: String,
    pub unit: Value,
    pub help: String,
    /// Every label its series may have, with the values of those that are closed.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Those of them that the scrape adds.
    #[serde(default)]
    pub target_labels: BTreeSet<String>,
    /// Who exposes it.
    pub origin: Value,
}

/// What a manifest is made of, as far as files say it.
struct Parts<'a> {
    dashboards: Vec<Dashboard>,
    /// By path.
    rules: BTreeMap<&'a str, Rules>,
}

/// Readers know the formats up to theirs.
pub const SCHEMA_VERSION: u32 = 1;

/// Of the classic JSON and the panels in it.
const GRAFANA: Version = Version::new(9, 0, 0);

/// The first with `keep_firing_for`.
const PROMETHEUS: Version = Version::new(2, 42, 0);

// === impl Manifest ===

impl Manifest {
    /// What files of this version are. Those that are as they were in `previous` keep the version they have there.
    ///
    /// # Errors
    /// When two dashboards have one uid, a name cannot stand in PromQL, or a query or a file cannot be read.
    pub fn of(catalog: &Catalog, files: &Files, version: &Version, previous: Option<&Self>) -> Result<Self, Refusal> {
        check_names(catalog)?;
        let parts = Parts::read(files.0.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
        let metric_of = |series: &str| catalog.of_series(series).map(|metric| metric.name.to_string());
        let file = |(path, text): (&String, &String)| {
            let kind = Kind::of(path, parts.rules.get(path.as_str()));
            let sha256 = Digest::of(text.as_bytes());
            let before = previous.and_then(|previous| previous.file(path)).filter(|file| file.sha256 == sha256);
            let version = before.map_or(version, |file| &file.version).clone();
            File { name: path.clone(), kind, sha256, version }
        };
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            version: version.clone(),
            minimum: Minimum { grafana: GRAFANA, prometheus: PROMETHEUS },
            files: files.0.iter().map(file).collect(),
            dashboards: parts.dashboards()?,
            alerts: parts.alerts(),
            recording_rules: parts.recording_rules(),
            metrics_required: parts.required(metric_of)?,
            catalog: catalog.metrics().map(|metric| (metric.name.to_string(), Described::of(metric))).collect(),
        })
    }

    /// # Errors
    /// When it is no manifest, or one of a newer format, or names files that lead elsewhere.
    pub fn read(place: &str, text: &[u8]) -> Result<Self, Refusal> {
        let tree: Value = serde_json::from_slice(text).map_err(|error| Refusal::new(place, error))?;
        match tree["schemaVersion"].as_u64() {
            Some(schema) if schema > u64::from(SCHEMA_VERSION) => {
                let what = format!(
                    "it has the format {schema}, and this Plimsoll knows formats up to {SCHEMA_VERSION}; read it with a newer one"
                );
                return Err(Refusal::new(place, what));
            }
            Some(_) => {}
            None => return Err(Refusal::new(place, "it has no schemaVersion, so it is no manifest of artifacts")),
        }
        let manifest: Self = serde_json::from_value(tree).map_err(|error| Refusal::new(place, error))?;
        manifest.check_paths().map_err(|what| Refusal::new(place, what))?;
        Ok(manifest)
    }

    /// Files are read, compared and removed by these paths.
    fn check_paths(&self) -> Result<(), String> {
        let names = || self.files.iter().map(|file| file.name.as_str());
        if let Some((name, what)) = names().find_map(|name| Some((name, check(name).err()?))) {
            return Err(format!("file {name:?}: {what}"));
        }
        if let Some((before, after)) = names().zip(names().skip(1)).find(|(before, after)| before >= after) {
            return Err(format!("file {after:?} is there twice, or not in order: it follows {before:?}"));
        }
        check_twins(names().chain([MANIFEST, SUMS]))
            .map_err(|(one, other)| format!("files {one:?} and {other:?} are one file where capitals do not matter"))
    }

    /// What it says of these files and is not so. What is derived from files is part of the format: another way to derive it is
    /// another `SCHEMA_VERSION`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn untrue<'a>(&self, files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<String>, Refusal> {
        let parts = Parts::read(files)?;
        let required = parts.required(|series| self.metric_of(series))?;
        let fields = [
            ("dashboards", self.dashboards == parts.dashboards()?),
            ("alerts", self.alerts == parts.alerts()),
            ("recordingRules", self.recording_rules == parts.recording_rules()),
            ("metricsRequired", self.metrics_required == required),
        ];
        let differs = |field: &str| format!("{field} is not what the files have");
        let mut found: Vec<_> = fields.iter().filter(|(_, is_so)| !is_so).map(|(field, _)| differs(field)).collect();
        for File { name, kind, version, .. } in &self.files {
            if *kind != Kind::of(name, parts.rules.get(name.as_str())) {
                found.push(differs(&format!("the kind of {name}")));
            }
            if *version > self.version {
                found.push(format!("{name} is of version {version}, which is newer than {}", self.version));
            }
        }
        found.extend(self.undescribed(&required));
        Ok(found)
    }

    /// What files read or record, and the catalogue does not have.
    fn undescribed(&self, required: &BTreeMap<String, Required>) -> Vec<String> {
        let lacks = |(name, required): (&String, &Required)| match self.catalog.get(name) {
            None => Some(format!("catalog does not have {name}, which is read")),
            Some(metric) => {
                let label = required.labels.iter().find(|label| !metric.labels.contains_key(*label))?;
                Some(format!("catalog does not have the label {label} of {name}, which is read"))
            }
        };
        let recorded = self.recording_rules.iter().filter(|name| !self.catalog.contains_key(*name));
        let recorded = recorded.map(|name| format!("catalog does not have {name}, which is recorded"));
        required.iter().filter_map(lacks).chain(recorded).collect()
    }

    /// As [`Catalog::of_series`].
    fn metric_of(&self, series: &str) -> Option<String> {
        let is_histogram = |name: &str| self.catalog.get(name).is_some_and(|metric| metric.kind == "histogram");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
        base.filter(|base| is_histogram(base)).or(Some(series)).map(str::to_owned)
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data");
        format!("{text}\n")
    }

    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.binary_search_by(|file| file.name.as_str().cmp(name)).ok().map(|index| &self.files[index])
    }
}

// === impl Described ===

impl Described {
    fn of(metric: &Metric) -> Self {
        let values = |name: &str| metric.labels.iter().find(|label| label.name == name).map(|label| &label.values);
        let labels = metric.label_names().into_iter().map(|name| {
            let values = values(&name).into_iter().flatten().map(ToString::to_string).collect();
            (name, values)
        });
        Self {
            kind: metric.kind.to_string(),
            unit: serde_json::to_value(&metric.unit).expect("plain data"),
            help: metric.help.to_string(),
            labels: labels.collect(),
            target_labels: metric.origin.target_labels().iter().map(|name| (*name).to_owned()).collect(),
            origin: serde_json::to_value(metric.origin).expect("plain data"),
        }
    }

    /// Whether the metric has it before it is scraped.
    pub fn is_own_label(&self, name: &str) -> bool {
        self.labels.contains_key(name) && !self.target_labels.contains(name)
    }
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn read(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Refusal> {
        let (dashboards, rules) = read_all(files)?;
        Ok(Self { dashboards, rules })
    }

    fn dashboards(&self) -> Result<BTreeMap<String, Shown>, Refusal> {
        let mut known: BTreeMap<String, Shown> = BTreeMap::new();
        for Dashboard { path, uid, title, variables, .. } in &self.dashboards {
            let shown = Shown { file: path.clone(), title: title.clone(), variables: variables.clone() };
            if let Some(other) = known.insert(uid.clone(), shown) {
                return Err(Refusal::new(path, format!("its uid {uid} is that of {} too", other.file)));
            }
        }
        Ok(known)
    }

    fn alerts(&self) -> BTreeMap<String, Vec<BTreeMap<String, String>>> {
        let mut known: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for rule in self.rules.values().flat_map(|rules| &rules.rules).filter(|rule| rule.is_alert) {
            known.entry(rule.name.clone()).or_default().push(rule.labels.clone());
        }
        known.values_mut().for_each(|labels| labels.sort());
        known
    }

    fn recording_rules(&self) -> BTreeSet<String> {
        let rules = self.rules.values().flat_map(|rules| &rules.rules);
        rules.filter(|rule| !rule.is_alert).map(|rule| rule.name.clone()).collect()
    }

    /// `metric_of` names the metric of a series; of one that is in no catalogue nothing is known but its name.
    fn required(&self, metric_of: impl Fn(&str) -> Option<String>) -> Result<BTreeMap<String, Required>, Refusal> {
        let recorded = self.recording_rules();
        let mut required: BTreeMap<String, Required> = BTreeMap::new();
        for query in queries(&self.dashboards, &self.rules) {
            let reads = query.reads.as_ref().map_err(|what| Refusal::new(&query.place, what))?;
            let file = query.place.split_once(": ").map_or("", |(file, _)| file);
            for selector in reads {
                let Some(series) = selector.name.as_deref().filter(|name| !recorded.contains(*name)) else { continue };
                let known = required.entry(metric_of(series).unwrap_or_else(|| series.to_owned())).or_default();
                known.labels.extend(selector.labels.iter().filter(|label| *label != "le").cloned());
                known.read_by.insert(file.to_owned());
            }
        }
        Ok(required)
    }
}

/// The dashboards and, by path, the rules among files.
pub fn read_all<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(Vec<Dashboard>, BTreeMap<&'a str, Rules>), Refusal> {
    let (mut dashboards, mut rules) = (Vec::new(), BTreeMap::new());
    for (path, text) in files {
        if is_dashboard(path) {
            dashboards.push(Dashboard::read(path, text)?);
        } else if is_rules(path, text) {
            rules.insert(path, Rules::read(path, text)?);
        }
    }
    Ok((dashboards, rules))
}

/// All queries, in the order of files.
pub fn queries<'a>(dashboards: &'a [Dashboard], rules: &'a BTreeMap<&str, Rules>) -> impl Iterator<Item = &'a Query> {
    let of_dashboards = dashboards.iter().flat_map(|dashboard| &dashboard.queries);
    of_dashboards.chain(rules.values().flat_map(|rules| &rules.queries))
}

/// Names of metrics may have colons, as those of recording rules have; names of labels may not.
fn check_names(catalog: &Catalog) -> Result<(), Refusal> {
    for metric in catalog.metrics() {
        let names = metric.labels.iter().map(|label| (label.name.as_ref(), false));
        let mut names = std::iter::once((metric.name.as_ref(), true)).chain(names);
        if let Some((name, _)) = names.find(|(name, has_colons)| !is_identifier(name, *has_colons)) {
            let expected = "letters, digits and _, and no digit first";
            return Err(Refusal::new(
                format!("metric {}", metric.name),
                format!("{name:?} cannot stand in PromQL: {expected}"),
            ));
        }
    }
    Ok(())
}

fn is_identifier(name: &str, has_colons: bool) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (has_colons && byte == b':');
    let is_first = |byte: Option<u8>| byte.is_some_and(is_letter);
    is_first(name.bytes().next()) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
