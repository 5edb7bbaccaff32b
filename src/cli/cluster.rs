//! Which cluster to work in: that of a kubeconfig, that whose pod this is, or none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};

use crate::config::one_line;

/// Read at start only.
#[derive(Debug, clap::Args)]
pub struct Cluster {
    /// A kubeconfig with the cluster to work in; several as in `$PATH`. Without it the cluster whose pod this is, if
    /// there is a service account; otherwise none.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<OsString>,
}

/// Where a pod finds the credentials of its service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";

// === impl Cluster ===

impl Cluster {
    /// How to reach the cluster; `None` where there is none.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig or the service account; a cluster that does not answer is no error.
    pub fn config(&self) -> anyhow::Result<Option<Config>> {
        let files = self.files();
        if !files.is_empty() {
            return of_files(&files).map(Some);
        }
        let of_pod = || Config::incluster().map_err(|error| anyhow!("the service account of this pod: {error}"));
        self.is_pod().then(of_pod).transpose()
    }

    /// Whether it is that whose pod this is.
    pub fn is_pod(&self) -> bool {
        let has_account = std::env::var_os(SERVICE_HOST).is_some() && Path::new(SERVICE_ACCOUNT_TOKEN).exists();
        has_account && self.files().is_empty()
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = self.kubeconfig.iter().flat_map(std::env::split_paths);
        files.filter(|file| !file.as_os_str().is_empty()).collect()
    }
}

fn of_files(files: &[PathBuf]) -> anyhow::Result<Config> {
    let mut whole: Option<Kubeconfig> = None;
    for file in files {
        let part = Kubeconfig::read_from(file).map_err(|error| bad(files, error))?;
        whole = Some(match whole {
            None => part,
            Some(first) => first.merge(part).map_err(|error| bad(files, error))?,
        });
    }
    let whole = whole.context("no kubeconfig is named")?;
    let has_proxy = whole.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|it| it.proxy_url.is_some());
    let mut config = Config::try_from(whole).map_err(|error| bad(files, error))?;
    if !has_proxy {
        // Taken from HTTPS_PROXY, without a look at NO_PROXY: a cluster is asked directly, as from a pod.
        config.proxy_url = None;
    }
    Ok(config)
}

/// The message names the file, and fits on a line.
fn bad(files: &[PathBuf], error: KubeconfigError) -> anyhow::Error {
    let (files, what) = match error {
        KubeconfigError::ReadConfig(source, file) => (vec![file], source.to_string()),
        other => (files.to_vec(), other.to_string()),
    };
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    // What follows on further lines shows the place again, and may be a secret.
    let what = what.lines().next().unwrap_or_default();
    anyhow!("the kubeconfig {} cannot be used: {}", files.join(", "), one_line(&what))
}
