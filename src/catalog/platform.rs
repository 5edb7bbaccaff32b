//! What the sample platform exposes: its services, and what watches over them. The platform of the tests serves all of it,
//! and a test compares.

use crate::catalog::{Metric, Origin, Unit};

/// The kinds of backup that there are.
const BACKUPS: &[&str] = &["database", "vector-store", "volume-snapshots"];

pub(super) fn metrics() -> Vec<Metric> {
    let services = [requests(), work(), business(), process()].concat();
    let exporters = [containers(), deployments(), backups()].concat();
    let services = services.into_iter().map(|metric| metric.from(Origin::Service));
    let exporters = exporters.into_iter().map(|metric| metric.from(Origin::Exporter));
    scrape().into_iter().chain(services).chain(exporters).collect()
}

/// What a Prometheus adds to every target.
fn scrape() -> Vec<Metric> {
    let up = Metric::gauge("up", Unit::Boolean, "1 when the last scrape of the target succeeded");
    let duration = Metric::gauge("scrape_duration_seconds", Unit::Seconds, "Time that the last scrape took");
    [up, duration].map(|metric| metric.from(Origin::Scrape)).into()
}

fn requests() -> Vec<Metric> {
    vec![
        Metric::counter("http_requests_total", "requests", "HTTP requests answered")
            .label("code")
            .label("method")
            .label("route"),
        Metric::histogram("http_request_duration_seconds", Unit::Seconds, "Time to answer an HTTP request")
            .label("route"),
        Metric::gauge(
            "http_requests_in_flight",
            Unit::Count("requests".into()),
            "HTTP requests that are being answered",
        ),
    ]
}

fn work() -> Vec<Metric> {
    vec![
        Metric::gauge("agent_queue_length", Unit::Count("messages".into()), "Messages that wait in a queue")
            .label("queue"),
        Metric::counter("agent_decisions_total", "decisions", "Decisions that agents have taken").label("outcome"),
        Metric::histogram("model_inference_duration_seconds", Unit::Seconds, "Time that an inference takes")
            .label("model"),
    ]
}

fn business() -> Vec<Metric> {
    vec![
        Metric::counter("repositories_indexed_total", "repositories", "Repositories that have been indexed"),
        Metric::counter("queries_total", "queries", "Queries of users").closed_label("result", &["success", "failure"]),
        Metric::gauge("active_users", Unit::Count("users".into()), "Users who are active"),
        Metric::gauge("learning_rate", Unit::Ratio, "Share of decisions from which agents have learned"),
    ]
}

/// As client libraries expose it, Plimsoll too.
fn process() -> Vec<Metric> {
    vec![
        Metric::counter("process_cpu_seconds_total", "CPU seconds", "CPU time that the process has used"),
        Metric::gauge("process_resident_memory_bytes", Unit::Bytes, "Memory of the process that is resident"),
        Metric::gauge("process_start_time_seconds", Unit::Timestamp, "When the process started"),
    ]
}

/// The kubelet's cAdvisor, and of kube-state-metrics what says whose a container is and what it may take.
fn containers() -> Vec<Metric> {
    let of_container = |metric: Metric| metric.label("namespace").label("pod").label("container");
    vec![
        of_container(Metric::counter(
            "container_cpu_usage_seconds_total",
            "CPU seconds",
            "CPU time that a container has used",
        )),
        of_container(Metric::gauge(
            "container_memory_working_set_bytes",
            Unit::Bytes,
            "Memory of a container that cannot be given back",
        )),
        of_container(Metric::gauge(
            "kube_pod_container_resource_limits",
            Unit::Count("units of the resource".into()),
            "What a container may take of a resource",
        ))
        .closed_label("resource", &["cpu", "memory"])
        .closed_label("unit", &["core", "byte"]),
        Metric::gauge("kube_pod_owner", Unit::Boolean, "Whose a pod is")
            .label("namespace")
            .label("pod")
            .label("owner_kind")
            .label("owner_name"),
    ]
}

/// Of kube-state-metrics what is known of Deployments and their autoscalers, and of the kube-apiserver what is known of
/// the APIs behind it.
fn deployments() -> Vec<Metric> {
    let replicas = || Unit::Count("replicas".into());
    let of_deployment = |metric: Metric| metric.label("namespace").label("deployment");
    let of_autoscaler = |metric: Metric| metric.label("namespace").label("horizontalpodautoscaler");
    vec![
        of_deployment(Metric::gauge(
            "kube_deployment_status_replicas_available",
            replicas(),
            "Replicas of a Deployment that are available",
        )),
        of_deployment(Metric::gauge(
            "kube_deployment_spec_replicas",
            replicas(),
            "Replicas that a Deployment should have",
        )),
        of_deployment(Metric::gauge(
            "kube_deployment_status_observed_generation",
            Unit::Count("generations".into()),
            "Generation of a Deployment that its controller has seen",
        )),
        of_autoscaler(Metric::gauge(
            "kube_horizontalpodautoscaler_status_desired_replicas",
            replicas(),
            "Replicas that an autoscaler wants",
        )),
        of_autoscaler(Metric::gauge(
            "kube_horizontalpodautoscaler_spec_max_replicas",
            replicas(),
            "Replicas that an autoscaler may want at most",
        )),
        Metric::gauge("aggregator_unavailable_apiservice", Unit::Boolean, "1 while an APIService is unavailable")
            .label("name"),
    ]
}

fn backups() -> Vec<Metric> {
    vec![
        Metric::gauge("backup_last_success_timestamp_seconds", Unit::Timestamp, "When a backup last succeeded")
            .closed_label("backup", BACKUPS),
        Metric::gauge(
            "backup_verified",
            Unit::Boolean,
            "1 when the newest backup was restored for a trial, and was whole",
        )
        .closed_label("backup", BACKUPS),
    ]
}
