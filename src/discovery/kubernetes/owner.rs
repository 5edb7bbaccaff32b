//! Owner references up the chain: Pod → ReplicaSet → Deployment or Rollout, Pod → Job → CronJob.
//!
//! The chain goes through what watches report, and ends where an owner is not known, or is no longer the one meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference as Reference};

use super::interner::Interner;
use super::uid::Uid;
use crate::model::{Labels, OwnerReference};

/// What controls an object, by its owner references.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    pub owner: OwnerReference,
    pub uid: Uid,
}

/// A `ReplicaSet` or a `Job`: what stands in the middle of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Workload {
    pub uid: Uid,
    pub controller: Option<Arc<Controller>>,
}

/// The kinds whose own owners are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Middle {
    ReplicaSet,
    Job,
}

/// Those of a namespace.
pub(super) type Workloads = BTreeMap<(Middle, Arc<str>), Workload>;

/// Owners of a pod at most. Real chains have two or three; one that bites its own tail has no end.
const CHAIN_MAX: usize = 8;

/// Labels whose value ends the name of a ReplicaSet, and who makes such.
const TEMPLATES: [(&str, &str, &str); 2] =
    [("rollouts-pod-template-hash", "argoproj.io/v1alpha1", "Rollout"), ("pod-template-hash", "apps/v1", "Deployment")];

// === impl Controller ===

impl Controller {
    /// The owner with `controller: true`, of which kube-apiserver allows one.
    pub(super) fn read(references: Option<Vec<Reference>>, interner: &mut Interner) -> Option<Arc<Self>> {
        let reference = references?.into_iter().find(|reference| reference.controller == Some(true))?;
        let owner = OwnerReference {
            api_version: interner.text(&reference.api_version),
            kind: interner.text(&reference.kind),
            name: interner.text(&reference.name),
        };
        let controller = Self { owner, uid: Uid::read(&reference.uid) };
        Some(interner.controllers.intern(Arc::new(controller)))
    }

    /// This owner and those above it, for an object with these labels. A Node, which owns its static pods, is no
    /// workload. Without its ReplicaSet, which another watch brings, a pod is still one of its Deployment: else the
    /// others would seem to be all there is.
    pub(super) fn chain(&self, workloads: &Workloads, labels: &Labels) -> Vec<OwnerReference> {
        let above = |controller: &&Self| Some(&**controller.workload(workloads)?.controller.as_ref()?);
        let chain = std::iter::successors(Some(self), above).take(CHAIN_MAX);
        let owners = chain.filter(|controller| !controller.is_node()).map(|controller| controller.owner.clone());
        let is_known = self.workload(workloads).is_some();
        owners.chain((!is_known).then(|| self.by_template(labels)).flatten()).collect()
    }

    /// What made a ReplicaSet, by the name and label that its pods have from it.
    fn by_template(&self, labels: &Labels) -> Option<OwnerReference> {
        let made_by = |(label, api_version, kind): (&str, &str, &str)| {
            let name = self.owner.name.strip_suffix(labels.get(label)?)?.strip_suffix('-')?;
            Some(OwnerReference { api_version: api_version.into(), kind: kind.into(), name: name.into() })
        };
        (self.middle() == Some(Middle::ReplicaSet)).then(|| TEMPLATES.into_iter().find_map(made_by)).flatten()
    }

    /// The watched object that is meant: one that has come under the same name since is another.
    fn workload<'w>(&self, workloads: &'w Workloads) -> Option<&'w Workload> {
        let workload = workloads.get(&(self.middle()?, self.owner.name.clone()))?;
        (workload.uid == self.uid).then_some(workload)
    }

    fn middle(&self) -> Option<Middle> {
        let (group, _) = self.owner.api_version.split_once('/')?;
        match (group, &*self.owner.kind) {
            ("apps", "ReplicaSet") => Some(Middle::ReplicaSet),
            ("batch", "Job") => Some(Middle::Job),
            _ => None,
        }
    }

    fn is_node(&self) -> bool {
        (&*self.owner.api_version, &*self.owner.kind) == ("v1", "Node")
    }
}

// === impl Workload ===

impl Workload {
    pub(super) fn read(metadata: ObjectMeta, interner: &mut Interner) -> Self {
        let uid = Uid::read(metadata.uid.as_deref().unwrap_or_default());
        Self { uid, controller: Controller::read(metadata.owner_references, interner) }
    }
}
