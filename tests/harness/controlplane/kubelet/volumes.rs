//! The volumes of a pod as folders. What is in them follows the cluster while the pod lives, as with a kubelet; only that
//! takes it a minute.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::task::JoinSet;

use super::payload::{Files, Payload};
use super::source::{Source, sources};

/// The folders of a pod's volumes, kept up to date until it is dropped.
pub struct Volumes {
    folders: BTreeMap<String, PathBuf>,
    _followers: JoinSet<()>,
}

/// What one volume is made of, in order: of two files with one name the later one counts.
struct Parts {
    payload: Payload,
    parts: Vec<Files>,
    changes: SelectAll<BoxStream<'static, (usize, Files)>>,
}

// === impl Volumes ===

impl Volumes {
    /// Makes the volumes of a pod, each a folder in this one.
    ///
    /// # Errors
    /// What is not there yet, or is no volume that is made here.
    pub async fn set_up(client: &Client, pod: &Pod, folder: &Path) -> Result<Self, String> {
        let (mut folders, mut followers) = (BTreeMap::new(), JoinSet::new());
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let folder = folder.join(&volume.name);
            let mut parts = Parts::new(client, pod, sources(volume)?, Payload::new(folder.clone())).await?;
            parts.write();
            followers.spawn(parts.follow());
            folders.insert(volume.name.clone(), folder);
        }
        Ok(Self { folders, _followers: followers })
    }

    /// The folder of a volume.
    pub fn folder(&self, name: &str) -> Option<&Path> {
        self.folders.get(name).map(PathBuf::as_path)
    }
}

// === impl Parts ===

impl Parts {
    async fn new(client: &Client, pod: &Pod, sources: Vec<Source>, payload: Payload) -> Result<Self, String> {
        let mut parts = Self { payload, parts: Vec::new(), changes: SelectAll::new() };
        for (number, source) in sources.into_iter().enumerate() {
            parts.parts.push(source.files(client, pod).await?);
            let changes = source.changes(client.clone(), pod.clone()).map(move |files| (number, files));
            parts.changes.push(changes.boxed());
        }
        Ok(parts)
    }

    async fn follow(mut self) {
        while let Some((number, files)) = self.changes.next().await {
            self.parts[number] = files;
            self.write();
        }
    }

    fn write(&mut self) {
        // An empty volume is the program's own.
        if !self.parts.is_empty() {
            self.payload.write(self.parts.iter().flatten().map(|(name, file)| (name.clone(), file.clone())).collect());
        }
    }
}
