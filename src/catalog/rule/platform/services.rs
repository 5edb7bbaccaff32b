//! Alerts on how the platform's services answer.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

const DASHBOARD: Dashboard = Dashboard { uid: "platform-service-level", variables: &["job", "namespace", "workload"] };

pub(in crate::catalog::rule) fn services() -> Vec<Alert> {
    vec![down(), errors(), p95(), p99(), concurrency()]
}

fn down() -> Alert {
    About {
        service: "platform",
        name: "PlatformServiceDown",
        category: Category::Availability,
        dashboard: DASHBOARD,
        summary: "No pod of a service can be scraped.",
        description: "Not one pod of {{ $labels.workload }}{place} answers the scrape of its metrics.",
    }
    .fires(
        [Condition::critical(r#"max by (job, namespace, workload) (up{workload!=""}) == 0"#, "2m")],
        Runbook::new(
            "Prometheus knows pods of the service, and none of them answers a scrape. Either the service is down, or \
             its metrics port cannot be reached.",
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

fn p95() -> Alert {
    About {
        service: "platform",
        name: "PlatformResponseTimeP95High",
        category: Category::Performance,
        dashboard: DASHBOARD,
        summary: "A service takes more than 2 s for one request in twenty.",
        description: "95 % of the requests to {{ $labels.workload }}{place} are answered within {{ $value | \
                      humanizeDuration }}; it should be 2 s.",
    }
    .fires(
        // A 95th percentile of less than 20 requests is one request.
        [Condition::warning(
            "workload:http_request_duration_seconds:p95_rate5m > 2 and workload:http_requests:rate5m * 300 >= 20",
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
        description: "99 % of the requests to {{ $labels.workload }}{place} are answered within {{ $value | \
                      humanizeDuration }}; it should be 5 s.",
    }
    .fires(
        [Condition::warning(
            "workload:http_request_duration_seconds:p99_rate5m > 5 and workload:http_requests:rate5m * 300 >= 100",
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
            "workload:http_requests_in_flight:sum >= 50 and (workload:http_request_duration_seconds:p95_rate5m > 2 \
             or workload:http_errors:ratio_rate5m > 0.01)",
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
