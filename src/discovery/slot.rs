//! One source while its configuration is in force: what it reports, and the targets that makes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Job, Omissions, StaticTarget};
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
    pub reported: bool,
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
        Self { name, job, source, targets, reported: false }
    }

    /// Takes what the source reports.
    pub(super) fn take(&mut self, lists: Option<&Lists>) {
        self.reported = true;
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
