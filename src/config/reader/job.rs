//! Checks the relations inside `scrape_configs` and fills in the defaults that depend on other keys.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Names, parts, typed};
use crate::config::key_path::KeyPath;
use crate::config::mistake::Mistakes;
use crate::config::{
    ClientConfig, ClientTls, Credentials, FileSd, HttpSd, Job, KubernetesSd, Role, ScrapeProtocol, Scraping, Secret,
    SecretText, StaticTarget, duration, file,
};
use crate::model::Identity;

/// The sound jobs, with a mistake for each relation that does not hold.
pub(super) fn build_all(
    jobs: Vec<(usize, Json)>,
    path: &KeyPath,
    folder: &Path,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Arc<Job>> {
    let mut names = Names::default();
    let mut built = Vec::new();
    for (i, mut job) in jobs {
        let path = path.index(i);
        let targets = targets(parts(&mut job, "targets"), &path.key("targets"), mistakes);
        let Some(job) = typed::<file::ScrapeConfig>(job, &path, mistakes) else {
            continue;
        };
        let what = format!("the job name {:?}", job.job_name);
        names.claim(&job.job_name, &what, &path.key("job_name"), mistakes);
        check(&job, &path, mistakes);
        built.push(Arc::new(build(job, targets, folder)));
    }
    built
}

fn build(job: file::ScrapeConfig, targets: Vec<StaticTarget>, folder: &Path) -> Job {
    let interval = job.scrape_interval.0;
    let timeout = job.scrape_timeout.map_or_else(|| Scraping::default_timeout(interval), |timeout| timeout.0);
    let freshness = job.freshness.map_or_else(|| Scraping::default_freshness(interval), |freshness| freshness.0);
    let file_sd = job.file_sd_configs.into_iter().map(|sd| FileSd {
        files: sd.files.iter().map(|file| folder.join(file)).collect(),
        refresh_interval: sd.refresh_interval.0,
    });
    let http_sd = job.http_sd_configs.into_iter();
    let http_sd = http_sd.map(|sd| HttpSd { url: sd.url, refresh_interval: sd.refresh_interval.0 });
    let scraping = Scraping {
        interval,
        timeout,
        freshness,
        protocols: job.scrape_protocols.unwrap_or_else(|| ScrapeProtocol::ALL.to_vec()),
        client: client(job.bearer_token_file, job.basic_auth, job.tls_config, folder),
    };
    Job {
        name: job.job_name.into(),
        scraping: Arc::new(scraping),
        targets,
        file_sd: file_sd.collect(),
        http_sd: http_sd.collect(),
        kubernetes_sd: job.kubernetes_sd_configs.into_iter().map(kubernetes_sd).collect(),
    }
}

fn kubernetes_sd(sd: file::KubernetesSdConfig) -> KubernetesSd {
    let role = match sd.role {
        file::Role::Pod => Role::Pod,
        file::Role::EndpointSlice => Role::EndpointSlice,
        file::Role::PodMonitor => Role::PodMonitor,
        file::Role::ServiceMonitor => Role::ServiceMonitor,
    };
    KubernetesSd { role, namespaces: sd.namespaces.names, selector: sd.label_selector.0 }
}

fn client(
    bearer_token_file: Option<String>,
    basic_auth: Option<file::BasicAuth>,
    tls: file::TlsConfig,
    folder: &Path,
) -> ClientConfig {
    let resolve = |file: String| SecretText::File(folder.join(file));
    let credentials = match (bearer_token_file, basic_auth) {
        (Some(token), _) => Credentials::bearer(resolve(token)),
        (None, Some(basic)) => {
            let username = SecretText::Inline { origin: "username".into(), secret: Secret::new(basic.username) };
            Credentials::Basic { username, password: resolve(basic.password_file) }
        }
        (None, None) => Credentials::None,
    };
    let tls = ClientTls {
        ca: tls.ca_file.map(resolve),
        certificate: tls.cert_file.map(resolve).zip(tls.key_file.map(resolve)),
        server_name: tls.server_name.map(Into::into),
        insecure_skip_verify: tls.insecure_skip_verify,
    };
    ClientConfig { credentials, tls }
}

fn check(job: &file::ScrapeConfig, path: &KeyPath, mistakes: &mut Mistakes<'_>) {
    check_times(job, path, mistakes);
    if job.bearer_token_file.is_some() && job.basic_auth.is_some() {
        mistakes.push(&path.key("basic_auth"), "expected either bearer_token_file or basic_auth, found both".into());
    }
    let tls = path.key("tls_config");
    let pair = [("cert_file", &job.tls_config.cert_file), ("key_file", &job.tls_config.key_file)];
    for [(given, file), (other, missing)] in [pair, [pair[1], pair[0]]] {
        if file.is_some() && missing.is_none() && !mistakes.is_doubtful(&tls.key(other)) {
            mistakes.push(&tls.key(given), format!("{given} needs {other} beside it"));
        }
    }
    let sources = ["targets", "file_sd_configs", "http_sd_configs", "kubernetes_sd_configs"];
    if sources.iter().all(|key| is_empty(&path.key(key), mistakes)) && !mistakes.any_doubtful(path, &sources) {
        mistakes.push(path, format!("the job has nothing to scrape; expected one of {}", sources.join(", ")));
    }
}

fn check_times(job: &file::ScrapeConfig, path: &KeyPath, mistakes: &mut Mistakes<'_>) {
    if mistakes.is_doubtful(&path.key("scrape_interval")) {
        return;
    }
    let interval = job.scrape_interval.0;
    let written = duration::write(interval);
    if let Some(timeout) = job.scrape_timeout.filter(|timeout| timeout.0 >= interval) {
        let found = duration::write(timeout.0);
        let message = format!("expected a duration shorter than scrape_interval ({written}), found {found}");
        mistakes.push(&path.key("scrape_timeout"), message);
    }
    if let Some(freshness) = job.freshness.filter(|freshness| freshness.0 < interval) {
        let found = duration::write(freshness.0);
        let message = format!("expected a duration of at least scrape_interval ({written}), found {found}");
        mistakes.push(&path.key("freshness"), message);
    }
}

fn is_empty(path: &KeyPath, mistakes: &Mistakes<'_>) -> bool {
    mistakes.node(path).is_none() || mistakes.node(path).is_some_and(|list| list.item(0).is_none())
}

fn targets(targets: Vec<(usize, Json)>, path: &KeyPath, mistakes: &mut Mistakes<'_>) -> Vec<StaticTarget> {
    let mut names = Names::default();
    let mut built = Vec::new();
    for (i, target) in targets {
        let path = path.index(i);
        let Some(target) = typed::<file::Target>(target, &path, mistakes) else {
            continue;
        };
        let pod = target.pod.as_deref().unwrap_or("");
        let what = format!(
            "the URL {} {}",
            target.url,
            if pod.is_empty() { "without a pod".into() } else { format!("with pod {pod}") }
        );
        if !mistakes.is_doubtful(&path.key("pod")) {
            names.claim(&format!("{} {pod}", target.url), &what, &path.key("url"), mistakes);
        }
        built.push(static_target(target));
    }
    built
}

fn static_target(target: file::Target) -> StaticTarget {
    let file::Target { url, namespace, pod, owner, services, node, labels } = target;
    let identity = Identity {
        namespace: namespace.into(),
        pod: pod.map(Into::into),
        owners: owner.0.into(),
        services: services.into_iter().map(Into::into).collect(),
        node: node.map(Into::into),
        labels: labels.into_iter().collect(),
    };
    StaticTarget { url, identity }
}
