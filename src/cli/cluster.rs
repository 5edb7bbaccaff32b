//! Which cluster to work in: that of a kubeconfig, that whose pod this is, or none. A service takes what it is given; a
//! person's command finds what kubectl finds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};

use crate::config::one_line;
use crate::model::excerpt;

/// Read at start only.
#[derive(Debug, clap::Args)]
pub struct Cluster {
    /// A kubeconfig with the cluster to work in; several as in `$PATH`. Without it the cluster whose pod this is, if
    /// there is a service account; otherwise none.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<OsString>,
}

/// As kubectl chooses it. Read at start only.
#[derive(Debug, clap::Args)]
pub struct UserCluster {
    /// A kubeconfig with the cluster to work in; several as in `$PATH`, of which those count that exist. Without it
    /// ~/.kube/config, and without that the cluster whose pod this is.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<OsString>,
    /// Context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A cluster, and how it was found.
pub struct Chosen {
    pub config: Config,
    /// Whether it is that whose pod this is.
    pub is_pod: bool,
    /// In words: the kubeconfig and its context.
    pub origin: String,
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
            return of_files(&files, None).map(|(config, _)| Some(config));
        }
        has_account().then(of_pod).transpose()
    }

    fn files(&self) -> Vec<PathBuf> {
        listed(self.kubeconfig.as_ref())
    }
}

// === impl UserCluster ===

impl UserCluster {
    /// The cluster.
    ///
    /// # Errors
    /// That there is none, or what is wrong with the kubeconfig or the service account; a cluster that does not answer
    /// is no error.
    pub fn chosen(&self) -> anyhow::Result<Chosen> {
        let files = self.files();
        if !files.is_empty() {
            let (config, context) = of_files(&files, self.context.as_deref())?;
            let origin = format!("kubeconfig {}, context {}", names(&files), one_line(&context));
            return Ok(Chosen { config, is_pod: false, origin });
        }
        if let Some(context) = &self.context {
            bail!("there is no kubeconfig to have context {}: expected --kubeconfig FILE", one_line(context));
        }
        if !has_account() {
            bail!(
                "there is no cluster: expected --kubeconfig FILE, the variable KUBECONFIG, ~/.kube/config, or a pod \
                 with a service account"
            );
        }
        Ok(Chosen { config: of_pod()?, is_pod: true, origin: "service account of this pod".into() })
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = listed(self.kubeconfig.as_ref());
        if files.is_empty() {
            let own = std::env::home_dir().map(|home| home.join(".kube/config"));
            return own.filter(|file| file.exists()).into_iter().collect();
        }
        if files.iter().any(|file| file.exists()) {
            files.retain(|file| file.exists());
        }
        files
    }
}

fn listed(paths: Option<&OsString>) -> Vec<PathBuf> {
    let files = paths.into_iter().flat_map(std::env::split_paths);
    files.filter(|file| !file.as_os_str().is_empty()).collect()
}

fn has_account() -> bool {
    std::env::var_os(SERVICE_HOST).is_some() && Path::new(SERVICE_ACCOUNT_TOKEN).exists()
}

fn of_pod() -> anyhow::Result<Config> {
    Config::incluster().map_err(|error| anyhow!("the service account of this pod: {error}"))
}

/// With the context in force: the given one, or else the current one.
fn of_files(files: &[PathBuf], context: Option<&str>) -> anyhow::Result<(Config, String)> {
    let mut whole: Option<Kubeconfig> = None;
    for file in files {
        let part = Kubeconfig::read_from(file).map_err(|error| bad(files, error))?;
        whole = Some(match whole {
            None => part,
            Some(first) => first.merge(part).map_err(|error| bad(files, error))?,
        });
    }
    let mut whole = whole.context("no kubeconfig is named")?;
    if let Some(context) = context {
        let mut known: Vec<&str> = whole.contexts.iter().map(|it| it.name.as_str()).collect();
        known.sort_unstable();
        if !known.contains(&context) {
            let known = excerpt(&known.join(", "));
            bail!("the kubeconfig {} has no context {}; it has {known}", names(files), one_line(&context));
        }
        whole.current_context = Some(context.to_owned());
    }
    let context = whole.current_context.clone().unwrap_or_default();
    let has_proxy = whole.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|it| it.proxy_url.is_some());
    let mut config = Config::try_from(whole).map_err(|error| bad(files, error))?;
    if !has_proxy {
        // Taken from HTTPS_PROXY, without a look at NO_PROXY: a cluster is asked directly, as from a pod.
        config.proxy_url = None;
    }
    Ok((config, context))
}

/// The message names the file, and fits on a line.
fn bad(files: &[PathBuf], error: KubeconfigError) -> anyhow::Error {
    let (files, what) = match error {
        KubeconfigError::ReadConfig(source, file) => (vec![file], source.to_string()),
        other => (files.to_vec(), other.to_string()),
    };
    // What follows on further lines shows the place again, and may be a secret.
    let what = what.lines().next().unwrap_or_default();
    anyhow!("the kubeconfig {} cannot be used: {}", names(&files), one_line(&what))
}

fn names(files: &[PathBuf]) -> String {
    let files: Vec<_> = files.iter().map(|file| one_line(&file.display())).collect();
    files.join(", ")
}
