//! One source while its configuration is in force: what it reports, and the targets that makes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Job, KubernetesSd, Omissions, StaticTarget};
use crate::discovery::kubernetes::Health;
use crate::discovery::source::Source;
use crate::model::{Target, TargetId};

/// Targets of one source by the file they stand in; a source that knows no files has one list under no name.
pub(super) type Lists = BTreeMap<PathBuf, Vec<StaticTarget>>;

/// What a source found, by its number.
pub(super) struct Report {
    pub source: usize,
    pub finding: Finding,
}

/// One look of a source at its targets.
#[derive(Default)]
pub(super) struct Finding {
    /// `None` when nothing could be had and nothing is known from before.
    pub lists: Option<Lists>,
    pub omissions: Omissions,
    /// Why the look failed, as a whole or in part.
    pub failure: Option<String>,
}

/// One source while its configuration is in force.
pub(super) struct Slot {
    pub name: String,
    pub job: Arc<Job>,
    pub source: Source,
    /// `None` while the source has no list.
    pub targets: Option<Vec<Arc<Target>>>,
    /// Whether it has answered, be it that it cannot.
    pub reported: bool,
    /// Whether nothing is missing that it would have brought, but for what it failed to read.
    pub is_complete: bool,
}

// === impl Finding ===

impl Finding {
    /// One whole list.
    pub(super) fn list(targets: Vec<StaticTarget>, omissions: Omissions) -> Self {
        Self { lists: Some([(PathBuf::new(), targets)].into()), omissions, failure: None }
    }

    /// Nothing could be had.
    pub(super) fn failed(failure: String) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

// === impl Slot ===

impl Slot {
    /// The slot of a source, with the list it had before, if any.
    pub(super) fn new(job: Arc<Job>, source: Source, known: &BTreeMap<String, Lists>) -> Self {
        let name = source.name();
        let targets = known.get(&name).map(|lists| join_all(&job, lists));
        let is_complete = targets.is_some();
        Self { name, job, source, targets, reported: false, is_complete }
    }

    /// Takes over what the sources before found in the cluster for the same job, until the watches have answered: an
    /// API that is slow or away when a configuration changes takes nothing with it.
    pub(super) fn keep(&mut self, before: &[Self]) {
        let Some(sd) = self.source.watched() else { return };
        let is_like = |other: &&KubernetesSd| other.role == sd.role;
        let of_job = before.iter().filter(|slot| slot.job.name == self.job.name);
        let alike = of_job.filter(|slot| slot.source.watched().filter(is_like).is_some());
        let is_asked_for = |target: &&Arc<Target>| {
            sd.namespaces.is_empty() || sd.namespaces.iter().any(|name| **name == *target.identity.namespace)
        };
        let kept: Vec<_> =
            alike.clone().filter_map(|slot| slot.targets.as_ref()).flatten().filter(is_asked_for).cloned().collect();
        self.is_complete = alike.clone().any(|slot| slot.name == self.name && slot.is_complete);
        self.targets = (self.is_complete || !kept.is_empty()).then_some(kept);
    }

    /// Takes how the watches stand that it rests on. Returns whether that makes a difference.
    pub(super) fn follow(&mut self, health: &Health) -> bool {
        let before = (self.reported, self.is_complete);
        self.reported |= health.has_answered;
        self.is_complete |= health.is_complete;
        before != (self.reported, self.is_complete)
    }

    /// Takes what the source reports.
    pub(super) fn take(&mut self, lists: Option<&Lists>) {
        (self.reported, self.is_complete) = (true, true);
        if let Some(lists) = lists {
            self.targets = Some(join_all(&self.job, lists));
        }
    }
}

fn join_all(job: &Job, lists: &Lists) -> Vec<Arc<Target>> {
    lists.values().flatten().map(|target| Arc::new(join(job, target.clone()))).collect()
}

/// A target with what its job says of scraping.
fn join(job: &Job, target: StaticTarget) -> Target {
    Target {
        id: TargetId::new(&job.name, &target.url, &target.identity),
        url: target.url,
        job: job.name.clone(),
        identity: target.identity,
        scraping: job.scraping.clone(),
    }
}
