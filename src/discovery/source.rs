//! The sources of targets: the configuration file, target files, target endpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Request};
use crate::config::{self, Config, FileSd, HttpSd, Job, StaticTarget};
use crate::discovery::{Found, Report};

/// One source of one job.
#[derive(Clone)]
pub(super) enum Source {
    Static { job: Arc<Job> },
    Files { job: Arc<Job>, sd: FileSd },
    Http { job: Arc<Job>, sd: HttpSd, client: Arc<Client> },
}

/// How often the files are looked at for changes; a look is one `stat` per file.
const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A list of targets is at most this large: 100,000 targets of 600 bytes.
const LIST_SIZE_MAX: usize = 64 << 20;

/// An endpoint answers within this time or the refresh failed (Prometheus' `http_sd` uses as much by
/// way of its refresh interval, which may be minutes).
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

// === impl Source ===

impl Source {
    /// All sources of a configuration with their jobs.
    pub(super) fn all(config: &Config) -> Vec<(Arc<Job>, Self)> {
        let mut sources = Vec::new();
        for job in &config.jobs {
            if !job.targets.is_empty() {
                sources.push((job.clone(), Self::Static { job: job.clone() }));
            }
            for sd in &job.file_sd {
                sources.push((job.clone(), Self::Files { job: job.clone(), sd: sd.clone() }));
            }
            for sd in &job.http_sd {
                let client = Arc::new(Client::new(job.client.clone()));
                sources.push((job.clone(), Self::Http { job: job.clone(), sd: sd.clone(), client }));
            }
        }
        sources
    }

    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Static { .. } => "static",
            Self::Files { .. } => "file_sd",
            Self::Http { .. } => "http_sd",
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
        }
    }

    /// Reports lists until cancelled.
    pub(super) async fn run(self, source: usize, reports: mpsc::Sender<Report>, token: CancellationToken) {
        let run = async {
            match &self {
                Self::Static { job } => {
                    let found = Found { targets: job.targets.clone(), mistakes: Vec::new() };
                    drop(reports.send(Report { source, outcome: Ok(found) }).await);
                }
                Self::Files { sd, .. } => watch_files(sd, source, &reports).await,
                Self::Http { sd, client, .. } => poll_endpoint(sd, client, source, &reports).await,
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = run => {}
        }
    }
}

/// Reads the files at once, then whenever one changes or the refresh interval has passed.
async fn watch_files(sd: &FileSd, source: usize, reports: &mpsc::Sender<Report>) {
    let mut seen: Option<(BTreeMap<PathBuf, FileState>, tokio::time::Instant)> = None;
    let mut ticks = tokio::time::interval(FILE_POLL_INTERVAL.min(sd.refresh_interval));
    let mut lists = BTreeMap::new();
    loop {
        ticks.tick().await;
        let now = states(&sd.files);
        let fresh = seen.as_ref().is_some_and(|(states, read)| *states == now && read.elapsed() < sd.refresh_interval);
        if fresh {
            continue;
        }
        let outcome = read_files(now.keys(), &mut lists).await;
        seen = Some((now, tokio::time::Instant::now()));
        if reports.send(Report { source, outcome }).await.is_err() {
            return;
        }
    }
}

type FileState = Option<(u64, SystemTime)>;

/// The files that the patterns name now, and whether they changed.
fn states(patterns: &[PathBuf]) -> BTreeMap<PathBuf, FileState> {
    let stamp = |file: &Path| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    patterns.iter().flat_map(|pattern| expand(pattern)).map(|file| (file.clone(), stamp(&file))).collect()
}

/// Resolves `*` in the last component; a pattern without one is itself, be the file there or not.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((prefix, suffix)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let fitting = names.filter(|found| {
        found.len() >= prefix.len() + suffix.len() && found.starts_with(prefix) && found.ends_with(suffix)
    });
    fitting.map(|found| folder.join(found)).collect()
}

/// Reads every file. One that cannot be read keeps its last list, as the mistake says.
async fn read_files(
    files: impl Iterator<Item = &PathBuf>,
    lists: &mut BTreeMap<PathBuf, Vec<StaticTarget>>,
) -> Result<Found, String> {
    let mut mistakes = Vec::new();
    let mut current = BTreeMap::new();
    for file in files {
        let name = file.display();
        let read = tokio::fs::read_to_string(file).await.map_err(|error| error.to_string());
        match read.and_then(|text| config::target_groups(&text).map_err(|error| error.to_string())) {
            Ok((targets, wrong)) => {
                mistakes.extend(wrong.into_iter().map(|what| format!("{name}: {what}")));
                current.insert(file.clone(), targets);
            }
            Err(error) => {
                let last = lists.remove(file).unwrap_or_default();
                mistakes.push(format!("{name}: {error}; its last {} targets stay", last.len()));
                current.insert(file.clone(), last);
            }
        }
    }
    *lists = current;
    let targets = lists.values().flatten().cloned().collect();
    Ok(Found { targets, mistakes })
}

async fn poll_endpoint(sd: &HttpSd, client: &Client, source: usize, reports: &mpsc::Sender<Report>) {
    let mut ticks = tokio::time::interval(sd.refresh_interval);
    loop {
        ticks.tick().await;
        let outcome = fetch(sd, client).await;
        if reports.send(Report { source, outcome }).await.is_err() {
            return;
        }
    }
}

async fn fetch(sd: &HttpSd, client: &Client) -> Result<Found, String> {
    let seconds = sd.refresh_interval.as_secs_f64().to_string().parse().expect("a number is a legal header value");
    let name = "x-prometheus-refresh-interval-seconds".parse().expect("a legal header name");
    let request = Request {
        accept: "application/json",
        headers: [(name, seconds)].into_iter().collect(),
        timeout: HTTP_TIMEOUT,
        body_size_max: LIST_SIZE_MAX,
    };
    let page = client.get(&sd.url, &request).await.map_err(|failure| failure.to_string())?;
    let text = String::from_utf8(page.body).map_err(|_| "the list is not UTF-8".to_owned())?;
    let (targets, mistakes) = config::target_groups(&text).map_err(|error| error.to_string())?;
    Ok(Found { targets, mistakes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_the_files_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.json", "b.json", "c.yaml"] {
            std::fs::write(folder.path().join(name), "[]").expect("written");
        }
        let mut found = expand(&folder.path().join("*.json"));
        found.sort();
        assert_eq!(found, [folder.path().join("a.json"), folder.path().join("b.json")]);
        assert_eq!(expand(Path::new("absent.json")), [PathBuf::from("absent.json")]);
    }
}
