//! The sources of targets: the configuration file, target files, target endpoints, the cluster.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Request};
use crate::config::{self, Config, FileSd, HttpSd, Job, KubernetesSd, Omissions, Role, StaticTarget, one_line};
use crate::discovery::files::TargetFiles;
use crate::discovery::slot::{Finding, Lists, Report};

/// One source of one job.
#[derive(Clone)]
pub(super) enum Source {
    Static {
        job: Arc<Job>,
    },
    Files {
        job: Arc<Job>,
        sd: FileSd,
    },
    Http {
        job: Arc<Job>,
        sd: HttpSd,
        client: Arc<Client>,
    },
    /// Reports nothing by itself: its targets are looked up in what the watches say.
    Kubernetes {
        job: Arc<Job>,
        sd: KubernetesSd,
    },
    /// As `Kubernetes`, in a process that has no connection to a cluster.
    NoCluster {
        job: Arc<Job>,
        sd: KubernetesSd,
    },
}

/// How often the files are looked at for changes; a look is one `stat` per file.
const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A list of targets is at most this large: 100,000 targets of 600 bytes.
pub(super) const LIST_SIZE_MAX: usize = 64 << 20;

/// An endpoint answers within this time or the refresh failed (Prometheus' `http_sd` uses as much by
/// way of its refresh interval, which may be minutes).
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// There is no cluster to look at, and someone has to say where it is.
const NO_CLUSTER: &str =
    "there is no connection to a cluster; start with --kubeconfig FILE, or in a pod with a service account";

// === impl Source ===

impl Source {
    /// All sources of a configuration with their jobs.
    pub(super) fn all(config: &Config, has_cluster: bool) -> Vec<(Arc<Job>, Self)> {
        let mut sources = Vec::new();
        for job in &config.jobs {
            if !job.targets.is_empty() {
                sources.push((job.clone(), Self::Static { job: job.clone() }));
            }
            for sd in &job.file_sd {
                sources.push((job.clone(), Self::Files { job: job.clone(), sd: sd.clone() }));
            }
            for sd in &job.http_sd {
                let client = Arc::new(Client::new(job.scraping.client.clone()));
                sources.push((job.clone(), Self::Http { job: job.clone(), sd: sd.clone(), client }));
            }
            for sd in &job.kubernetes_sd {
                let (job, sd) = (job.clone(), sd.clone());
                sources.push((
                    job.clone(),
                    if has_cluster { Self::Kubernetes { job, sd } } else { Self::NoCluster { job, sd } },
                ));
            }
        }
        sources
    }

    pub(super) const MECHANISMS: [&'static str; 4] = ["static", "file_sd", "http_sd", "kubernetes_sd"];

    /// One of [`Self::MECHANISMS`].
    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Files { .. } => "file_sd",
            Self::Http { .. } => "http_sd",
            Self::Kubernetes { .. } | Self::NoCluster { .. } => "kubernetes_sd",
        }
    }

    /// Job, mechanism and place, for logs and the status page.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Static { job } => format!("{} static", job.name),
            Self::Files { job, sd } => {
                let files: Vec<_> = sd.files.iter().map(|file| file.display().to_string()).collect();
                format!("{} file_sd {}", job.name, files.join(", "))
            }
            Self::Http { job, sd, .. } => format!("{} http_sd {}", job.name, sd.url),
            Self::Kubernetes { job, sd } | Self::NoCluster { job, sd } => {
                format!("{} kubernetes_sd {}", job.name, described(sd))
            }
        }
    }

    /// What is looked up in the cluster.
    pub(super) fn watched(&self) -> Option<&KubernetesSd> {
        match self {
            Self::Kubernetes { sd, .. } => Some(sd),
            Self::Static { .. } | Self::Files { .. } | Self::Http { .. } | Self::NoCluster { .. } => None,
        }
    }

    /// Reports lists until cancelled; `last` is what the source reported before a reload.
    pub(super) async fn run(self, source: usize, last: Lists, reports: mpsc::Sender<Report>, token: CancellationToken) {
        let run = async {
            match &self {
                Self::Static { job } => {
                    let finding = Finding::list(job.targets.clone(), Omissions::default());
                    drop(reports.send(Report { source, finding }).await);
                }
                Self::Files { sd, .. } => watch_files(sd, last, source, &reports).await,
                Self::Http { sd, client, .. } => poll_endpoint(sd, client, source, &reports).await,
                Self::Kubernetes { .. } => {}
                Self::NoCluster { .. } => {
                    let finding = Finding::failed(NO_CLUSTER.into());
                    drop(reports.send(Report { source, finding }).await);
                }
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = run => {}
        }
    }
}

/// Reads the files at once, then whenever one changes or the refresh interval has passed.
async fn watch_files(sd: &FileSd, last: Lists, source: usize, reports: &mpsc::Sender<Report>) {
    let mut files = TargetFiles::new(sd.files.clone(), last);
    let mut read: Option<Instant> = None;
    let mut ticks = tokio::time::interval(FILE_POLL_INTERVAL.min(sd.refresh_interval));
    loop {
        ticks.tick().await;
        let due = read.is_none_or(|read| read.elapsed() >= sd.refresh_interval);
        let (after, finding) = blocking(move || {
            let finding = files.look(due);
            (files, finding)
        })
        .await;
        files = after;
        let Some(finding) = finding else { continue };
        read = Some(Instant::now());
        if reports.send(Report { source, finding }).await.is_err() {
            return;
        }
    }
}

async fn poll_endpoint(sd: &HttpSd, client: &Client, source: usize, reports: &mpsc::Sender<Report>) {
    let mut ticks = tokio::time::interval(sd.refresh_interval);
    loop {
        ticks.tick().await;
        let finding = match fetch(sd, client).await {
            Ok((targets, omissions)) => Finding::list(targets, omissions),
            Err(failure) => Finding::failed(one_line(&failure)),
        };
        if reports.send(Report { source, finding }).await.is_err() {
            return;
        }
    }
}

async fn fetch(sd: &HttpSd, client: &Client) -> Result<(Vec<StaticTarget>, Omissions), String> {
    let seconds = sd.refresh_interval.as_secs_f64().to_string().parse().expect("a number is a legal header value");
    let name = "x-prometheus-refresh-interval-seconds".parse().expect("a legal header name");
    let request = Request {
        accept: HeaderValue::from_static("application/json"),
        headers: [(name, seconds)].into_iter().collect(),
        timeout: HTTP_TIMEOUT,
        body_size_max: LIST_SIZE_MAX,
    };
    let page = client.get(&sd.url, &request).await.map_err(|failure| failure.to_string())?;
    let text = String::from_utf8(page.body).map_err(|_| "the list is not UTF-8".to_owned())?;
    blocking(move || config::target_groups(&text)).await.map_err(|error| error.to_string())
}

/// Role, namespaces and selector: two sources of a job differ in one of them.
fn described(sd: &KubernetesSd) -> String {
    let role = match sd.role {
        Role::Pod => "pod",
        Role::EndpointSlice => "endpointslice",
        Role::PodMonitor => "podmonitor",
        Role::ServiceMonitor => "servicemonitor",
    };
    let namespaces = if sd.namespaces.is_empty() { String::new() } else { format!(" in {}", sd.namespaces.join(", ")) };
    let selector = if sd.selector.is_empty() { String::new() } else { format!(" with {}", sd.selector) };
    format!("{role}{namespaces}{selector}")
}

/// Runs what blocks, or computes for long, on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down, and takes this task along.
        Err(Err(_)) => std::future::pending().await,
    }
}
