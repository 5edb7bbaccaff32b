//! Alerts on where the numbers come from.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

const DASHBOARD: Dashboard = Dashboard { uid: "plimsoll-sources", variables: &["job", "scrape_job"] };

pub(in crate::catalog::rule) fn sources() -> Vec<Alert> {
    vec![down(), degraded(), targets_over_limit(), scrape_limit(), watch_down()]
}

fn down() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollSourceDown",
        category: Category::Freshness,
        dashboard: DASHBOARD,
        summary: "No target of a scrape job has fresh samples.",
        description: "All targets of the scrape job {{ $labels.scrape_job }} of {{ $labels.job }}{place} fail: \
                      Plimsoll has no fresh samples of it.",
    }
    .fires(
        [Condition::critical(
            "max by (job, namespace, scrape_job) (plimsoll_source_targets{state=\"fresh\"}) == 0 \
             and max by (job, namespace, scrape_job) (plimsoll_source_targets{state=~\"failing|stale\"}) > 0",
            "5m",
        )],
        Runbook::new(
            "A job under `scrape_configs` has targets, and for 5 minutes no replica of Plimsoll has scraped one of \
             them with success.",
            "Every metric made of this job's series is missing, or soon will be. HPAs that ask for one stop to scale.",
            [
                "Dashboard plimsoll-sources for the job, *Failed scrapes by reason*: `connect` and `timeout` network \
                 or a port nobody listens on, `http_status` the page, `tls` and `credentials` the configuration, \
                 `exposition` the text.",
                "`kubectl get --raw` or a port-forward to `/status/targets`: the last error of each target in full.",
                "From within the cluster: `kubectl -n NAMESPACE exec POD -- wget -qO- http://localhost:PORT/metrics | \
                 head`.",
                "Do the pods run at all? A workload that is down has no metrics: its own alerts come first.",
            ],
            [
                "A port or path that changed: correct the annotation, the PodMonitor or the job.",
                "A NetworkPolicy: allow ingress to the metrics port from the namespace of Plimsoll.",
                "Credentials: renew the Secret or file; Plimsoll reads it again by itself.",
                "The page itself is wrong: roll the service back; `plimsoll check --config FILE` judges the job, \
                 `curl` the page.",
            ],
        ),
    )
}

fn degraded() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollSourceDegraded",
        category: Category::Freshness,
        dashboard: DASHBOARD,
        summary: "Many targets of a scrape job fail.",
        description: "{{ $value | humanizePercentage }} of the targets of the scrape job {{ $labels.scrape_job }} of \
                      {{ $labels.job }}{place} fail.",
    }
    .fires(
        [Condition::warning(
            "max by (job, namespace, scrape_job) (\
             sum by (job, namespace, instance, scrape_job) (plimsoll_source_targets{state=~\"failing|stale\"}) \
             / sum by (job, namespace, instance, scrape_job) (plimsoll_source_targets)) > 0.1",
            "10m",
        )],
        Runbook::new(
            "More than a tenth of a job's targets had a failed last scrape for 10 minutes, as seen by the replica that \
             sees most of it.",
            "Values rest on the targets that are left, while these are enough (`min_coverage`, 80 % by default); \
             beyond that there is no value. A replica of Plimsoll that fails alone answers differently from the other.",
            [
                "Dashboard plimsoll-sources: is it one replica of Plimsoll (network of its node), or both (the \
                 targets)?",
                "`/status/targets`: what have those that fail in common: node, zone, version?",
                "Dashboard plimsoll-internals, *Time that scrapes take*, near the timeout: pages that grow, or targets \
                 short of CPU.",
            ],
            [
                "One node: cordon it, delete its pods.",
                "Timeouts: raise `scrape_timeout` (below the interval), or make the pages smaller.",
                "A version of the service: roll it back.",
            ],
        ),
    )
}

fn targets_over_limit() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollTargetsOverLimit",
        category: Category::Capacity,
        dashboard: Dashboard { uid: "plimsoll-sources", variables: &["job"] },
        summary: "There are more targets than Plimsoll may scrape.",
        description: "{{ $value }} targets are not scraped by {{ $labels.job }}{place}, because `limits.targets` is \
         reached.",
    }
    .fires(
        [Condition::warning("max by (job, namespace) (plimsoll_discovery_targets_over_limit) > 0", "10m")],
        Runbook::new(
            "Discovery found more targets than `limits.targets` allows (10000 by default). Those beyond are known and \
             not scraped.",
            "Pods that are not scraped count as missing. Their workloads' values rest on the others, or are not there.",
            [
                "Dashboard plimsoll-sources: which job grew, and when?",
                "`/status`: targets by job. Does a selector take in more than was meant: all pods of the cluster, all \
                 ports of a pod?",
            ],
            [
                "Narrow the job: a namespace, a selector, a relabeling that drops what nobody asks for.",
                "It is real growth: raise `limits.targets`, and with it the memory limit: 335 MB for 10000 small \
                 pages.",
            ],
        ),
    )
}

fn scrape_limit() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollScrapeLimitHit",
        category: Category::Capacity,
        dashboard: DASHBOARD,
        summary: "Pages of targets are refused because they are too large.",
        description: "Scrapes of the job {{ $labels.scrape_job }} of {{ $labels.job }}{place} fail at the limit \
                      {{ $labels.reason }}.",
    }
    .fires(
        [Condition::warning(
            "sum by (job, namespace, scrape_job, reason) \
             (rate(plimsoll_scrape_failures_total{reason=~\"series_limit|label_limit|body_size_limit\"}[5m])) > 0",
            "5m",
        )],
        Runbook::new(
            "A page has more wanted series, longer labels or more bytes than `limits` allows. It is refused whole, \
             because half a page would give a wrong value. The label `reason` names the limit.",
            "The target counts as failed. If many pods of a workload do it, its metrics are missing.",
            [
                "`/status/targets`: which targets, and the sentence with the number found and the number allowed.",
                "Fetch the page and count: `curl -s URL | grep -v '^#' | sed 's/[{ ].*//' | sort | uniq -c | sort -n | \
                 tail`. Usually it is one label with an id or a path in it.",
            ],
            [
                "Mend the service: a label with unbounded values is dear everywhere, in Prometheus too.",
                "Select less: `match` in the definition that wants the series.",
                "It is right as it is: raise `limits.series_per_target`, `limits.label_length`, \
                 `limits.labels_per_series` or `limits.body_size_bytes`.",
            ],
        ),
    )
}

fn watch_down() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollWatchDown",
        category: Category::Configuration,
        dashboard: Dashboard { uid: "plimsoll-sources", variables: &["job", "instance"] },
        summary: "Plimsoll does not follow objects of the cluster.",
        description: "{{ $labels.instance }} of {{ $labels.job }}{place} does not know or follow the {{ \
                      $labels.resource }} of the cluster.",
    }
    .fires(
        [Condition::warning("min by (job, namespace, instance, resource) (plimsoll_kubernetes_watch_up) == 0", "10m")],
        Runbook::new(
            "A watch by which targets and their owners are known has failed for 10 minutes; Plimsoll goes on with what \
             it knew.",
            "New pods are not scraped and gone ones count as missing: values drift from what runs, more with every \
             rollout.",
            [
                "Dashboard plimsoll-internals, *Failed watches*: one resource (rights), or all (the \
                 kube-apiserver)?",
                "`kubectl auth can-i watch RESOURCE -A --as=system:serviceaccount:plimsoll-system:plimsoll`.",
                "`kubectl -n plimsoll-system logs POD --since=15m | grep RESOURCE`.",
            ],
            [
                "No right: apply the ClusterRole of `deploy/orchestration/base`; for Secrets and ConfigMaps of \
                 monitors the component `monitor-credentials`.",
                "`podmonitors` or `servicemonitors`, which nobody needs: take the role out of the configuration. Without \
                 their CRD there is nothing to watch, and no alert.",
                "Everything, and other clients of the kube-apiserver are well: delete the pod, and look at the network \
                 of its node.",
            ],
        ),
    )
}
