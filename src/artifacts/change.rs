//! What differs between two versions of the artifacts, and which version the newer one has to have because of it.
//!
//! Two manifests go in. What somebody's configuration, dashboard, route, silence or link may name, and is no longer there or
//! means something else, is a major change: metrics with their kind, unit and labels, the values of closed labels, alerts and
//! their labels (routes, inhibition and silences match them; severity is one), recording rules, uids and variables of
//! dashboards, paths of files that are loaded, and the oldest Grafana and Prometheus. A new name is a major one's lost twin
//! where something was renamed. What is new is a minor change; what the same names say better is a patch: texts, queries,
//! thresholds. There is no exception for 0.x.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use semver::Version;

use crate::artifacts::Manifest;
use crate::artifacts::bundle::CHANGELOG;
use crate::artifacts::manifest::Described;
use crate::artifacts::refusal::printable;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub class: Class,
    pub what: String,
}

/// The part of the version that has to grow, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Patch,
    Minor,
    Major,
}

/// Differences as they are found.
#[derive(Default)]
struct Changes(Vec<Change>);

// === impl Change ===

impl Change {
    /// All that differs, the gravest first.
    pub fn all(old: &Manifest, new: &Manifest) -> Vec<Self> {
        let mut found = Changes::default();
        found.metrics(&old.catalog, &new.catalog);
        found.alerts(old, new);
        found.names("recording rule", &old.recording_rules, &new.recording_rules);
        found.dashboards(old, new);
        found.minimum(old, new);
        found.files(old, new);
        found.0.sort_by(|one, other| other.class.cmp(&one.class).then_with(|| one.what.cmp(&other.what)));
        found.0
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.what)
    }
}

// === impl Class ===

impl Class {
    /// The smallest version that may follow because of such a change.
    pub fn next(self, old: &Version) -> Version {
        // After a candidate comes its release, whatever changed since.
        let is_candidate = !old.pre.is_empty();
        match self {
            _ if is_candidate => Version::new(old.major, old.minor, old.patch),
            Self::Major => Version::new(old.major + 1, 0, 0),
            Self::Minor => Version::new(old.major, old.minor + 1, 0),
            Self::Patch => Version::new(old.major, old.minor, old.patch + 1),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Patch => "patch",
        })
    }
}

/// The smallest version that `new` may have, when it has less: the changes ask for it. Without changes any version that is not
/// older will do.
pub fn missing_version(changes: &[Change], old: &Version, new: &Version) -> Option<Version> {
    let Some(class) = changes.iter().map(|change| change.class).max() else {
        return (new < old).then(|| old.clone());
    };
    let least = class.next(old);
    // A candidate for the release is good enough, as long as it is newer.
    let release = Version::new(new.major, new.minor, new.patch);
    (release < least || new <= old).then_some(least)
}

// === impl Changes ===

impl Changes {
    fn add(&mut self, class: Class, mut what: String) {
        what = printable(&what);
        self.0.push(Change { class, what });
    }

    fn names(&mut self, kind: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        old.difference(new).for_each(|name| self.add(Class::Major, format!("{kind} {name} is gone")));
        new.difference(old).for_each(|name| self.add(Class::Minor, format!("{kind} {name} is new")));
    }

    fn metrics(&mut self, old: &BTreeMap<String, Described>, new: &BTreeMap<String, Described>) {
        for (name, before) in old {
            match new.get(name) {
                Some(after) => self.metric(name, before, after),
                None => {
                    let heir = heir(before, old, new).map(|heir| format!("; is it {heir} now?")).unwrap_or_default();
                    self.add(Class::Major, format!("metric {name} is gone{heir}"));
                }
            }
        }
        let added = new.keys().filter(|name| !old.contains_key(*name));
        added.for_each(|name| self.add(Class::Minor, format!("metric {name} is new")));
    }

    fn metric(&mut self, name: &str, old: &Described, new: &Described) {
        if old.kind != new.kind {
            self.add(Class::Major, format!("metric {name} is a {} and was a {}", new.kind, old.kind));
        }
        if old.unit != new.unit {
            self.add(Class::Major, format!("metric {name} has the unit {} and had {}", new.unit, old.unit));
        }
        let names = |of: &Described| of.labels.keys().cloned().collect();
        self.names(&format!("metric {name}: label"), &names(old), &names(new));
        for (label, values) in &old.labels {
            let Some(now) = new.labels.get(label) else { continue };
            self.values(&format!("metric {name}: label {label}"), values, now);
        }
        if old.help != new.help {
            self.add(Class::Patch, format!("metric {name} is described in other words"));
        }
    }

    /// Of a label; one without a list may have any value.
    fn values(&mut self, place: &str, old: &[String], new: &[String]) {
        match (old.is_empty(), new.is_empty()) {
            (false, false) => {
                let set = |values: &[String]| values.iter().cloned().collect();
                self.names(&format!("{place}: value"), &set(old), &set(new));
            }
            (false, true) => self.add(Class::Minor, format!("{place} may have any value")),
            (true, false) => self.add(Class::Major, format!("{place} has only these values: {}", new.join(", "))),
            (true, true) => {}
        }
    }

    fn alerts(&mut self, old: &Manifest, new: &Manifest) {
        let names = |of: &Manifest| of.alerts.keys().cloned().collect();
        self.names("alert", &names(old), &names(new));
        for (name, before) in &old.alerts {
            let Some(after) = new.alerts.get(name) else { continue };
            // Rules of one name differ in their labels; which became which is not known, nor does it matter.
            let lost = before.iter().filter(|labels| !after.iter().any(|now| has_all(now, labels)));
            lost.for_each(|labels| self.add(Class::Major, format!("alert {name} no longer has {}", listed(labels))));
            let gained = after.iter().filter(|labels| !before.contains(labels));
            gained.for_each(|labels| self.add(Class::Minor, format!("alert {name} now has {}", listed(labels))));
        }
    }

    fn dashboards(&mut self, old: &Manifest, new: &Manifest) {
        let names = |of: &Manifest| of.dashboards.keys().cloned().collect();
        self.names("dashboard", &names(old), &names(new));
        for (uid, before) in &old.dashboards {
            let Some(after) = new.dashboards.get(uid) else { continue };
            let variables = |of: &[String]| of.iter().cloned().collect();
            let kind = format!("dashboard {uid}: variable");
            self.names(&kind, &variables(&before.variables), &variables(&after.variables));
            if before.title != after.title {
                self.add(Class::Patch, format!("dashboard {uid} has the title {:?}", after.title));
            }
        }
    }

    fn minimum(&mut self, old: &Manifest, new: &Manifest) {
        let (before, after) = (&old.minimum, &new.minimum);
        for (program, before, after) in
            [("Grafana", &before.grafana, &after.grafana), ("Prometheus", &before.prometheus, &after.prometheus)]
        {
            if after > before {
                self.add(Class::Major, format!("{program} {after} is needed, {before} no longer suffices"));
            } else if after < before {
                self.add(Class::Minor, format!("{program} {after} suffices"));
            }
        }
    }

    /// The changelog tells of changes and is none.
    fn files(&mut self, old: &Manifest, new: &Manifest) {
        for before in old.files.iter().filter(|file| file.name != CHANGELOG) {
            match new.file(&before.name) {
                None if before.kind.is_loaded() => self.add(Class::Major, format!("file {} is gone", before.name)),
                None => self.add(Class::Patch, format!("file {} is gone", before.name)),
                Some(after) if after.sha256 != before.sha256 => {
                    self.add(Class::Patch, format!("file {} changed", before.name));
                }
                Some(_) => {}
            }
        }
        let added = new.files.iter().filter(|file| file.name != CHANGELOG && old.file(&file.name).is_none());
        added.for_each(|file| self.add(Class::Minor, format!("file {} is new", file.name)));
    }
}

/// A new metric that looks like one that is gone, of all but its name.
fn heir<'a>(
    gone: &Described,
    old: &BTreeMap<String, Described>,
    new: &'a BTreeMap<String, Described>,
) -> Option<&'a str> {
    let is_like = |metric: &Described| {
        (&metric.kind, &metric.unit, &metric.labels, &metric.origin)
            == (&gone.kind, &gone.unit, &gone.labels, &gone.origin)
    };
    let mut heirs = new.iter().filter(|(name, metric)| !old.contains_key(*name) && is_like(metric));
    heirs.next().map(|(name, _)| name.as_str())
}

fn has_all(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

fn listed(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", labels.join(", "))
}

#[cfg(test)]
mod tests;
