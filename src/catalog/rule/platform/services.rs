//! Alerts on how the platform's services answer.

use crate::catalog::rule::slo::{self, Bound};
use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

const DASHBOARD: Dashboard = Dashboard { uid: "platform-service-level", variables: &["job", "namespace", "workload"] };

pub(in crate::catalog::rule) fn services() -> Vec<Alert> {
    vec![down(), errors(), p95(), p99(), bucket_missing(), concurrency()]
}

fn down() -> Alert {
    // A pod that is no more is no target, and has no series. What is gone on purpose has no Deployment, or one that wants none.
    let of_deployment = |metric: &str| format!("max by (namespace, deployment) (kube_deployment_{metric})");
    let wanting = format!("{} > 0", of_deployment("spec_replicas"));
    let without = format!("{} == 0", of_deployment("status_replicas_available"));
    let gone = format!(
        "(last_over_time(workload:up:max[3d]) unless workload:up:max) and on (namespace, workload) \
         (last_over_time(workload_deployment:kube_pod_owner:max[3d]) \
         and on (namespace, deployment) ({without} and {wanting}))"
    );
    About {
        service: "platform",
        name: "PlatformServiceDown",
        category: Category::Availability,
        dashboard: DASHBOARD,
        summary: "No pod of a service can be scraped.",
        description: "Not one pod of {{ $labels.workload }}{place} answers the scrape of its metrics.",
    }
    .fires(
        [Condition::critical(format!("workload:up:max == 0 or {gone}"), "2m")],
        Runbook::new(
            "Prometheus knows pods of the service and none of them answers a scrape; or it knew some in the last three \
             days and there are none, though their Deployment wants replicas and has none available. Either the \
             service is down, or its metrics port cannot be reached. A Deployment that was scaled to 0 or removed is \
             not down. Without kube-state-metrics a service without pods is not seen.",
            "If it is down, its users have nothing. Its other alerts are muted meanwhile: they have no data.",
            [
                "`kubectl -n NAMESPACE get pods -l app.kubernetes.io/name=WORKLOAD`: `CrashLoopBackOff`, \
                 `ImagePullBackOff`, not ready?",
                "`kubectl -n NAMESPACE get events --sort-by=.lastTimestamp | tail -20`.",
                "Pods are ready: *Status → Targets* in Prometheus has the error of the scrape. PlimsollSourceDown at \
                 the same time points at the network or the page.",
            ],
            [
                "It began with a deploy: `kubectl -n NAMESPACE rollout undo deploy/WORKLOAD`.",
                "No pods at all: `kubectl -n NAMESPACE describe rs -l app.kubernetes.io/name=WORKLOAD` says what refuses \
                 them; a quota, an admission webhook, a ServiceAccount that is missing.",
                "It crashes: `kubectl -n NAMESPACE logs POD --previous`; a Secret or a database that is missing is the \
                 usual cause.",
                "No node has room: see the events; raise the node pool, or lower requests.",
            ],
        ),
    )
}

fn errors() -> Alert {
    About {
        service: "platform",
        name: "PlatformErrorRateHigh",
        category: Category::Availability,
        dashboard: DASHBOARD,
        summary: "A service fails for more than 1 % of its requests.",
        description: "{{ $value | humanizePercentage }} of the requests to {{ $labels.workload }}{place} fail with a \
         server error.",
    }
    .fires(
        // Five failures at least: of a few requests one is many per cent.
        [Condition::warning("workload:http_errors:ratio_rate5m > 0.01 and workload:http_errors:rate5m * 300 >= 5", "5m")],
        Runbook::new(
            "More than 1 % of the requests of 5 minutes were answered with a code 5xx. The objective of the platform is \
             less than 1 %.",
            "Users see errors. Once enough of the month's budget is lost, PlatformAvailabilityBurn wakes somebody and \
             mutes this alert: one fault is told of once.",
            [
                "Dashboard platform-service-level: which route and code; 502 and 503 are pods that go or do not \
                 listen, 504 what takes too long, 500 the service itself.",
                "Did it begin with one of the annotations, a deploy or a scaling?",
                "`kubectl -n NAMESPACE logs -l app.kubernetes.io/name=WORKLOAD --since=15m`, by the correlation id of \
                 a failed request.",
            ],
            [
                "A deploy: `kubectl -n NAMESPACE rollout undo deploy/WORKLOAD`.",
                "One pod: delete it.",
                "What it depends on fails: follow that one; switch off the feature that needs it, if there is a \
                 switch.",
            ],
        ),
    )
}

/// A quantile above a bound. It never exceeds the largest bucket: where that is the bound itself, the share above tells.
fn slower(quantile: &str, seconds: &str, share: &str) -> String {
    let quantile = format!("workload:http_request_duration_seconds:{quantile}_rate5m");
    format!("({quantile} > {seconds} or {quantile} and workload:http_requests_over_{seconds}s:ratio_rate5m > {share})")
}

fn p95() -> Alert {
    About {
        service: "platform",
        name: "PlatformResponseTimeP95High",
        category: Category::Performance,
        dashboard: DASHBOARD,
        summary: "A service takes more than 2 s for one request in twenty.",
        description: "One request in twenty to {{ $labels.workload }}{place} takes {{ $value | humanizeDuration }} or \
                      longer; it should be less than 2 s.",
    }
    .fires(
        // A 95th percentile of less than 20 requests is one request.
        [Condition::warning(
            format!(
                "{} and workload:http_request_duration_seconds_count:rate5m * 300 >= 20",
                slower("p95", "2", "0.05")
            ),
            "10m",
        )],
        Runbook::new(
            "The 95th percentile of the response time has been above 2 s for 10 minutes.",
            "One user in twenty waits noticeably. Queues behind the service fill.",
            [
                "Dashboard platform-service-level: with p50 too, or without? By route?",
                "Dashboard plimsoll-hpa: is the workload at its maximum, or does the HPA not see the load \
                 (PlimsollHPAMetricMissing)?",
                "Dashboard platform-resources: CPU at its limit.",
                "Dashboard platform-queues: time of inferences by model.",
            ],
            [
                "At its maximum: raise `maxReplicas`.",
                "Throttled: raise the limit of CPU.",
                "A model that is slow: send less to it, or to a faster one.",
            ],
        ),
    )
}

fn p99() -> Alert {
    About {
        service: "platform",
        name: "PlatformResponseTimeP99High",
        category: Category::Performance,
        dashboard: DASHBOARD,
        summary: "A service takes more than 5 s for one request in a hundred.",
        description: "One request in a hundred to {{ $labels.workload }}{place} takes {{ $value | humanizeDuration }} \
                      or longer; it should be less than 5 s.",
    }
    .fires(
        [Condition::warning(
            format!(
                "{} and workload:http_request_duration_seconds_count:rate5m * 300 >= 100",
                slower("p99", "5", "0.01")
            ),
            "10m",
        )],
        Runbook::new(
            "The 99th percentile of the response time has been above 5 s for 10 minutes. If p95 is well it is few \
             requests that are very slow; if not, everything is.",
            "Clients with usual timeouts give up, and try again.",
            [
                "Dashboard platform-service-level by route: one route, or all of them?",
                "By instance: one pod is a node, a pod that collects garbage or swaps; compare dashboard \
                 platform-resources.",
                "Traces of the slowest requests; what is the longest span?",
            ],
            [
                "One pod: delete it. One node: cordon it.",
                "One route: limit it at the gateway; give its calls a timeout below 5 s, so that they fail early.",
                "All: as for PlatformResponseTimeP95High, now.",
            ],
        ),
    )
}

fn bucket_missing() -> Alert {
    let timed = "workload:http_request_duration_seconds_count:rate5m";
    let without = |bound: Bound| {
        let query = format!("{timed} unless workload:{}:rate5m", slo::PLATFORM.over(bound));
        Condition::info(query, "30m").with("objective", format!("{}s", bound.seconds))
    };
    About {
        service: "platform",
        name: "PlatformLatencyBucketMissing",
        category: Category::Configuration,
        dashboard: DASHBOARD,
        summary: "It is not known which share of a service's requests takes longer than an objective allows.",
        description: "The histogram http_request_duration_seconds of {{ $labels.workload }}{place} has no bucket at the \
                      bound of an objective; the label objective says at which.",
    }
    .fires(
        slo::BOUNDS.map(without),
        Runbook::new(
            "The latency objectives (95 of 100 requests within 2 s, 99 of 100 within 5 s) are read from the buckets \
             `le=\"2\"` and `le=\"5\"` of `http_request_duration_seconds`. This service times requests and has no such \
             bucket; many client libraries have 2.5 and 10 by default.",
            "PlatformLatencyBurn cannot fire for this objective of this service. Quantiles are interpolated between the \
             buckets that there are, and PlatformResponseTimeP95High and PlatformResponseTimeP99High are as coarse as \
             those.",
            [
                "`count by (le) (http_request_duration_seconds_bucket{workload=\"WORKLOAD\"})` in Prometheus: which \
                 buckets are there?",
                "Dashboard platform-service-level, *Share of slow requests*: it has no line for it.",
                "Are they there on the page and dropped by a relabeling of the scrape? `kubectl -n NAMESPACE exec POD -- \
                 wget -qO- http://localhost:PORT/metrics | grep http_request_duration_seconds_bucket`.",
            ],
            [
                "Give the histogram buckets at 2 and 5 seconds, and one above 5, as 10.",
                "Dropped by a relabeling: keep these two.",
                "The service has no objective of latency: silence this alert for its workload.",
            ],
        ),
    )
}

fn concurrency() -> Alert {
    About {
        service: "platform",
        name: "PlatformConcurrencyNotHeld",
        category: Category::Performance,
        dashboard: DASHBOARD,
        summary: "A service does not hold 50 concurrent requests.",
        description: "{{ $labels.workload }}{place} has {{ $value | humanize }} requests under way and no longer \
                      answers within its limits of time and errors.",
    }
    .fires(
        [Condition::warning(
            format!(
                "workload:http_requests_in_flight:sum >= 50 and ({} or workload:http_errors:ratio_rate5m > 0.01)",
                slower("p95", "2", "0.05")
            ),
            "5m",
        )],
        Runbook::new(
            "The platform is to hold 50 and more concurrent requests within 2 s (p95) and with less than 1 % errors. \
             With 50 or more under way, one of the two has been missed for 5 minutes. 50 requests alone are no fault.",
            "The service is at what it can do: more load makes it slower, not busier.",
            [
                "Dashboard platform-service-level: requests under way against duration; the bend is the capacity.",
                "Dashboard plimsoll-hpa: does the metric that the HPA follows rise with the load? Does it want more \
                 replicas?",
                "Connection pool of the database (20 at most): requests that wait for one look just like this.",
            ],
            [
                "Raise replicas now: `kubectl -n NAMESPACE scale deploy/WORKLOAD --replicas=N`, or `minReplicas` of \
                 its HPA.",
                "The HPA reacts too late: lower its target, or let it follow requests instead of CPU.",
                "The pool is the bound: more replicas do not help; raise the pool, or shorten what holds connections.",
            ],
        ),
    )
}
