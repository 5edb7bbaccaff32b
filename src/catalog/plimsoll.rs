//! What Plimsoll exposes about itself. A test compares it with `/metrics`, in both directions.

use crate::catalog::{Metric, Unit};

/// Reasons of failed scrapes.
const FAILURE_REASONS: &[&str] = &[
    "credentials",
    "resolve",
    "connect",
    "tls",
    "timeout",
    "http_status",
    "body",
    "body_size_limit",
    "exposition",
    "series_limit",
    "label_limit",
];

/// Reasons for which connections are closed from this side.
const CLOSURES: &[&str] = &[
    "handshake_timeout",
    "handshake_size",
    "no_request",
    "head_timeout",
    "request_timeout",
    "write_timeout",
    "idle",
    "flood",
    "limited",
    "address_full",
    "full",
];

/// How the user of a request was found, or why not.
const AUTHENTICATION_RESULTS: &[&str] = &[
    "front_proxy",
    "certificate",
    "token",
    "anonymous",
    "no_trust",
    "no_certificate",
    "certificate_refused",
    "name_refused",
    "no_name",
    "no_user",
    "not_text",
    "token_refused",
    "token_malformed",
    "token_not_reviewed",
];

/// What is watched of a cluster for discovery.
const WATCHED: &[&str] = &[
    "pods",
    "replicasets",
    "jobs",
    "services",
    "endpointslices",
    "namespaces",
    "podmonitors",
    "servicemonitors",
    "secrets",
    "configmaps",
];

const REVIEWS: &[&str] = &["tokenreviews", "subjectaccessreviews"];
const GROUPS: &[&str] = &["custom.metrics.k8s.io", "external.metrics.k8s.io", "other"];
const VERBS: &[&str] = &["get", "list"];
const API_SERVICES: &[&str] =
    &["v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"];

pub(super) fn metrics() -> Vec<Metric> {
    let parts = [process(), configuration(), discovery(), scraping(), api(), serving(), access(), autoscaling()];
    parts.into_iter().flatten().collect()
}

fn count(of: &'static str) -> Unit {
    Unit::Count(of.into())
}

fn process() -> Vec<Metric> {
    vec![
        Metric::gauge("plimsoll_build_info", Unit::Boolean, "Version of the running program").label("version"),
        Metric::counter("process_cpu_seconds_total", "seconds", "CPU time of the process in user and system mode"),
        Metric::gauge("process_resident_memory_bytes", Unit::Bytes, "Memory of the process that is in RAM"),
        Metric::gauge("process_open_fds", count("file descriptors"), "File descriptors that the process has open"),
        Metric::gauge("process_max_fds", count("file descriptors"), "File descriptors that the process may have open"),
        Metric::gauge(
            "process_start_time_seconds",
            Unit::Timestamp,
            "When the process was started, since the Unix epoch",
        ),
        Metric::gauge(
            "plimsoll_readiness",
            Unit::Boolean,
            "1 for the state in which a readiness check is, 0 for the others",
        )
        .closed_label(
            "check",
            &["config", "discovery", "scrape", "limits", "certificate", "authentication", "authorization"],
        )
        .closed_label("state", &["ok", "degraded", "not_ready"]),
    ]
}

fn configuration() -> Vec<Metric> {
    vec![
        Metric::gauge(
            "plimsoll_config_last_reload_successful",
            Unit::Boolean,
            "1 when the newest configuration file is in force",
        ),
        Metric::gauge(
            "plimsoll_config_last_reload_success_timestamp_seconds",
            Unit::Timestamp,
            "When the configuration in force was taken up, since the Unix epoch",
        ),
        Metric::counter(
            "plimsoll_config_reloads_total",
            "reloads",
            "Changed configuration files, refused ones included",
        ),
        Metric::counter(
            "plimsoll_config_reload_failures_total",
            "reloads",
            "Changed configuration files that were refused",
        ),
    ]
}

fn discovery() -> Vec<Metric> {
    let mechanisms = &["static", "file_sd", "http_sd", "kubernetes_sd"];
    vec![
        Metric::gauge("plimsoll_discovery_targets", count("targets"), "Targets of all sources within the limit"),
        Metric::gauge(
            "plimsoll_discovery_targets_over_limit",
            count("targets"),
            "Targets that are not scraped because the limit is reached",
        ),
        Metric::counter("plimsoll_discovery_refreshes_total", "lists", "Lists asked of sources, failed ones included")
            .closed_label("mechanism", mechanisms),
        Metric::counter("plimsoll_discovery_failures_total", "lists", "Lists that could not be had")
            .closed_label("mechanism", mechanisms),
        Metric::counter(
            "plimsoll_discovery_publications_total",
            "inventories",
            "Inventories of targets and objects that were drawn up",
        ),
        Metric::gauge(
            "plimsoll_kubernetes_watch_up",
            Unit::Boolean,
            "1 when the objects of a resource are known and followed by watches",
        )
        .closed_label("resource", WATCHED),
        Metric::counter(
            "plimsoll_kubernetes_watch_errors_total",
            "errors",
            "Lists and watches of the kube-apiserver that failed",
        )
        .closed_label("resource", WATCHED),
        Metric::gauge(
            "plimsoll_kubernetes_objects",
            count("objects"),
            "Objects of the cluster that are known; of pods those that run",
        )
        .closed_label("resource", WATCHED),
    ]
}

fn scraping() -> Vec<Metric> {
    let issues = &[
        "duplicate_series",
        "timestamp_in_future",
        "timestamp_too_old",
        "out_of_order",
        "counter_reset",
        "not_finite",
    ];
    vec![
        Metric::gauge("plimsoll_scrape_targets", count("targets"), "Targets with a scrape loop"),
        Metric::histogram("plimsoll_scrape_duration_seconds", Unit::Seconds, "Time from request to stored page"),
        Metric::counter("plimsoll_scrapes_total", "scrapes", "Scrapes, failed ones included").label("scrape_job"),
        Metric::counter("plimsoll_scrape_failures_total", "scrapes", "Failed scrapes by reason")
            .label("scrape_job")
            .closed_label("reason", FAILURE_REASONS),
        Metric::counter("plimsoll_scrape_sample_issues_total", "oddities", "Oddities of scraped samples by kind")
            .closed_label("kind", issues),
        Metric::gauge(
            "plimsoll_source_targets",
            count("targets"),
            "Targets by what is known of them: fresh samples; fresh ones although the last scrape failed; none that are \
             fresh; not scraped yet",
        )
        .label("scrape_job")
        .closed_label("state", &["fresh", "failing", "stale", "new"]),
        Metric::gauge(
            "plimsoll_source_last_success_timestamp_seconds",
            Unit::Timestamp,
            "When the target that was not scraped for longest last was, since the Unix epoch",
        )
        .label("scrape_job"),
        Metric::gauge("plimsoll_storage_series", count("series"), "Wanted series with a window of samples"),
    ]
}

fn api() -> Vec<Metric> {
    vec![
        Metric::counter("plimsoll_api_requests_total", "requests", "Requests by API group, verb and status code")
            .closed_label("group", GROUPS)
            .closed_label("verb", VERBS)
            .label("code"),
        Metric::histogram("plimsoll_api_request_duration_seconds", Unit::Seconds, "Time to answer a request")
            .closed_label("group", GROUPS)
            .closed_label("verb", VERBS),
        Metric::gauge(
            "plimsoll_apiservice_available",
            Unit::Boolean,
            "1 when the kube-apiserver says that it can reach an API of Plimsoll",
        )
        .closed_label("apiservice", API_SERVICES),
    ]
}

fn serving() -> Vec<Metric> {
    vec![
        Metric::gauge(
            "plimsoll_serving_connections",
            count("connections"),
            "Open connections by who is at their other end",
        )
        .closed_label("client", &["stranger", "known", "front_proxy"]),
        Metric::counter(
            "plimsoll_serving_connections_refused_total",
            "connections",
            "Connections closed before their handshake by reason",
        )
        .closed_label("reason", &["rate", "address_full", "full"]),
        Metric::counter(
            "plimsoll_serving_connections_closed_total",
            "connections",
            "Connections ended from this side by reason",
        )
        .closed_label("reason", CLOSURES),
        Metric::counter(
            "plimsoll_serving_requests_limited_total",
            "requests",
            "Requests answered with 429 by the tier of their client",
        )
        .closed_label("tier", &["default", "low", "high", "critical", "unlimited", "authentication_failures"]),
        Metric::gauge(
            "plimsoll_serving_certificate_not_after_timestamp_seconds",
            Unit::Timestamp,
            "When the serving certificate in force ends, since the Unix epoch",
        ),
        Metric::gauge(
            "plimsoll_serving_certificate_authority_not_after_timestamp_seconds",
            Unit::Timestamp,
            "When the authority ends that signs the self-managed serving certificate, since the Unix epoch",
        ),
        Metric::counter(
            "plimsoll_serving_certificate_reloads_total",
            "certificates",
            "Changed serving certificates, by what became of them",
        )
        .closed_label("result", &["taken_up", "refused"]),
        Metric::counter(
            "plimsoll_serving_certificate_writes_total",
            "writes",
            "Changes to the Secret and the APIServices that keep the self-managed serving certificate, by result",
        )
        .closed_label("resource", &["secrets", "apiservices"])
        .closed_label("result", &["done", "conflict", "failed"]),
    ]
}

/// Who asks and who may; in a cluster only.
fn access() -> Vec<Metric> {
    let failures = &["answered", "busy", "timeout", "connection", "forbidden", "refused", "unreadable"];
    vec![
        Metric::counter(
            "plimsoll_reviews_total",
            "reviews",
            "Reviews asked of the kube-apiserver, by resource and what became of them",
        )
        .closed_label("resource", REVIEWS)
        .closed_label("result", failures),
        Metric::counter(
            "plimsoll_review_retries_total",
            "reviews",
            "Reviews that were asked for once more, by resource",
        )
        .closed_label("resource", REVIEWS),
        Metric::histogram(
            "plimsoll_review_duration_seconds",
            Unit::Seconds,
            "Time until a review was answered or given up, with all tries",
        )
        .closed_label("resource", REVIEWS),
        Metric::counter(
            "plimsoll_review_cache_requests_total",
            "looks",
            "Looks at what earlier reviews have found, by resource and whether it was there",
        )
        .closed_label("resource", REVIEWS)
        .closed_label("result", &["hit", "miss"]),
        Metric::counter(
            "plimsoll_authorization_requests_total",
            "requests",
            "Requests by whether they may be made, and why",
        )
        .closed_label("result", &["masters", "health", "allowed", "denied", "undecided"]),
        Metric::counter(
            "plimsoll_authentication_requests_total",
            "requests",
            "Requests by how their user was found, or why not",
        )
        .closed_label("result", AUTHENTICATION_RESULTS),
        Metric::gauge(
            "plimsoll_authentication_trust_last_update_timestamp_seconds",
            Unit::Timestamp,
            "When the requestheader CA or the client CA in force was taken up, since the Unix epoch",
        ),
        Metric::gauge(
            "plimsoll_authentication_trust_last_confirmation_timestamp_seconds",
            Unit::Timestamp,
            "When the cluster last showed both CAs in force, since the Unix epoch",
        ),
    ]
}

/// What HorizontalPodAutoscalers ask for and get; in a cluster only.
fn autoscaling() -> Vec<Metric> {
    let mut metrics = of_autoscalers();
    metrics.extend(of_metrics_asked_for());
    metrics
}

fn of_autoscalers() -> Vec<Metric> {
    let of_hpa = |metric: Metric| metric.label("hpa_namespace").label("hpa");
    let replicas = |name: &'static str, help: &'static str| of_hpa(Metric::gauge(name, count("replicas"), help));
    vec![
        Metric::gauge(
            "plimsoll_hpa_watch_up",
            Unit::Boolean,
            "1 when the HorizontalPodAutoscalers of the cluster are known and followed",
        ),
        Metric::gauge(
            "plimsoll_hpa_over_limit",
            count("HorizontalPodAutoscalers"),
            "HorizontalPodAutoscalers that are not followed because the limit is reached",
        ),
        replicas("plimsoll_hpa_current_replicas", "Replicas that the HorizontalPodAutoscaler saw last"),
        replicas("plimsoll_hpa_desired_replicas", "Replicas that the HorizontalPodAutoscaler wanted last"),
        replicas("plimsoll_hpa_min_replicas", "Fewest replicas that the HorizontalPodAutoscaler may want"),
        replicas("plimsoll_hpa_max_replicas", "Most replicas that the HorizontalPodAutoscaler may want"),
        of_hpa(Metric::gauge(
            "plimsoll_hpa_condition",
            Unit::Boolean,
            "1 for the status that a condition of the HorizontalPodAutoscaler has, 0 for the others",
        ))
        .label("condition")
        .closed_label("status", &["true", "false", "unknown"]),
        of_hpa(Metric::gauge(
            "plimsoll_hpa_last_scale_timestamp_seconds",
            Unit::Timestamp,
            "When the HorizontalPodAutoscaler last changed the number of replicas, since the Unix epoch",
        )),
    ]
}

fn of_metrics_asked_for() -> Vec<Metric> {
    let of_metric = |name: &'static str, unit: Unit, help: &'static str| {
        let metric = Metric::gauge(name, unit, help).label("hpa_namespace").label("hpa");
        let metric = metric.closed_label("type", &["pods", "object", "external", "resource", "container_resource"]);
        let metric = metric.label("metric").closed_label("target_type", &["Value", "AverageValue", "Utilization"]);
        metric.label("object").label("selector")
    };
    vec![
        of_metric(
            "plimsoll_hpa_metric_target",
            count("units of the metric"),
            "What the HorizontalPodAutoscaler wants a metric to be; of Utilization percent of the request",
        ),
        of_metric(
            "plimsoll_hpa_metric_value",
            count("units of the metric"),
            "What Plimsoll answers for the metric now, as the target has it: per pod for AverageValue",
        ),
        of_metric(
            "plimsoll_hpa_metric_seen",
            count("units of the metric"),
            "What the HorizontalPodAutoscaler says that it saw last, as the target has it",
        ),
        of_metric(
            "plimsoll_hpa_metric_available",
            Unit::Boolean,
            "1 when Plimsoll has a value for the metric, 0 when it answers with an error",
        ),
        of_metric(
            "plimsoll_hpa_metric_age_seconds",
            Unit::Seconds,
            "Age of the oldest sample that the value of the metric rests on, or rested on until that was too old for a value",
        ),
    ]
}
