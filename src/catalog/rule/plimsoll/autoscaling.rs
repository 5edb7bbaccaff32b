//! Alerts on what HPAs ask for and get.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

/// What Plimsoll serves; CPU and memory are the matter of metrics-server.
const OURS: &str = r#"type=~"pods|object|external""#;

/// What an alert is about: replicas, objects and selectors are put together.
const METRIC: &str = "job, namespace, hpa_namespace, hpa, type, metric";

const DASHBOARD: Dashboard = Dashboard { uid: "plimsoll-hpa", variables: &["job", "hpa_namespace", "hpa"] };

pub(in crate::catalog::rule) fn autoscaling() -> Vec<Alert> {
    vec![missing(), stale(), watch_down(), over_limit()]
}

fn missing() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollHPAMetricMissing",
        category: Category::Freshness,
        dashboard: DASHBOARD,
        summary: "An HPA asks for a metric that Plimsoll has no value for.",
        description: "The HPA {{ $labels.hpa_namespace }}/{{ $labels.hpa }} asks for the {{ $labels.type }} metric \
                      {{ $labels.metric }}, and {{ $labels.job }}{place} has no value for it.",
    }
    .fires(
        // One that had a value until its samples were too old has an age: PlimsollHPAMetricStale.
        [Condition::critical(
            format!(
                "min by ({METRIC}) (plimsoll_hpa_metric_available{{{OURS}}} == 0 \
                 unless plimsoll_hpa_metric_age_seconds)"
            ),
            "5m",
        )],
        Runbook::new(
            "Plimsoll watches HPAs, looks up what each asks for as the HPA controller would, and has answered with an \
             error for 5 minutes. The name, the selector or the object has nothing behind it. Where there were samples \
             and they grew too old, it is PlimsollHPAMetricStale that fires.",
            "The HPA does not scale on this metric. If it is its only one, the workload stays at the size it has; if \
             there are others, it may still be scaled up by them, and is not scaled down.",
            [
                "Dashboard plimsoll-hpa for this HPA: has there ever been a value, and until when?",
                "`kubectl -n HPA_NAMESPACE describe hpa HPA`: the condition `ScalingActive` has Plimsoll's own \
                 sentence: no such metric, no pods that match, no such series, too few samples.",
                "`kubectl exec -n plimsoll-system deploy/plimsoll -- /plimsoll doctor` lists every metric that any HPA \
                 asks for, with the nearest name if there is none.",
                "The metric is defined but empty: `/status/targets`, which targets stand for the object and what their \
                 last scrapes said. Dashboard plimsoll-sources has the same over time.",
            ],
            [
                "A name that does not exist: correct the HPA or add the definition; `plimsoll check --config FILE` \
                 before.",
                "No targets: the pods lack the annotation, the PodMonitor's selector or the namespace; see \
                 PlimsollSourceDown.",
                "Too few of the targets have data (`min_coverage`): mend the ones that fail; lower it only where a \
                 partial sum is right.",
                "Until then `kubectl -n HPA_NAMESPACE patch hpa HPA` with a higher `minReplicas`, if load is expected.",
            ],
        ),
    )
}

fn stale() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollHPAMetricStale",
        category: Category::Freshness,
        dashboard: DASHBOARD,
        summary: "An HPA asks for a metric whose samples are old.",
        description: "The newest samples of the {{ $labels.type }} metric {{ $labels.metric }}, for which the HPA {{ \
                      $labels.hpa_namespace }}/{{ $labels.hpa }} asks, are {{ $value | humanizeDuration }} old.",
    }
    .fires(
        [
            Condition::critical(
                format!(
                    "max by ({METRIC}) (plimsoll_hpa_metric_age_seconds{{{OURS}}} \
                     and plimsoll_hpa_metric_available == 0)"
                ),
                "5m",
            ),
            Condition::warning(format!("max by ({METRIC}) (plimsoll_hpa_metric_age_seconds{{{OURS}}}) > 90"), "5m"),
        ],
        Runbook::new(
            "Critical: the samples behind the metric are older than the `freshness` of their job (2.5 scrape intervals \
             and 30 s at least, if it is not set), so for 5 minutes there has been no value. Warning: there is a \
             value, and it rests on a sample of more than 90 s, six rounds of the HPA controller; that is a job whose \
             `freshness` was raised, or whose interval is long.",
            "Critical: the HPA does not scale on this metric; if it is its only one, the workload stays at the size it \
             has. Warning: the HPA follows what was, not what is: it scales late, and for load that may be gone.",
            [
                "Dashboard plimsoll-hpa: age of the value over time. A saw tooth is a long scrape interval, a rising \
                 line a target that fails, or whose page no longer changes.",
                "Dashboard plimsoll-sources: the scrape job behind the metric, states `failing` and `stale`.",
                "`/status/targets`: the error of the last scrape, and since when.",
                "Scrapes succeed: the page has samples with a time of their own, and that time stands still. `curl` \
                 it: the last word of the line is the time in milliseconds. What fills the page, an exporter or a \
                 collector, has come to a halt.",
            ],
            [
                "A target that fails: see PlimsollSourceDown.",
                "A page that stands still: restart what fills it.",
                "A long interval: lower `scrape_interval` of the job; an HPA looks every 15 s.",
                "`freshness` was raised on purpose: raise the warning's limit in a copy, or silence it for this HPA.",
                "Until then `kubectl -n HPA_NAMESPACE patch hpa HPA` with a higher `minReplicas`, if load is expected.",
            ],
        ),
    )
}

fn watch_down() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollHPAWatchDown",
        category: Category::Configuration,
        dashboard: Dashboard { uid: "plimsoll-hpa", variables: &["job", "instance"] },
        summary: "Plimsoll does not know which metrics HPAs ask for.",
        description: "{{ $labels.instance }} of {{ $labels.job }}{place} cannot watch HorizontalPodAutoscalers.",
    }
    .fires(
        [Condition::warning("min by (job, namespace, instance) (plimsoll_hpa_watch_up) == 0", "10m")],
        Runbook::new(
            "A replica cannot list or watch `horizontalpodautoscalers`. Plimsoll reads them only, to say whether what \
             they ask for is there.",
            "HPAs are served as ever. Nobody is told when one asks for a metric that is missing or old, and the \
             dashboard plimsoll-hpa has gaps.",
            [
                "`kubectl auth can-i watch horizontalpodautoscalers.autoscaling -A \
                 --as=system:serviceaccount:plimsoll-system:plimsoll`.",
                "`kubectl -n plimsoll-system logs POD | grep -i horizontalpodautoscaler`: forbidden, or a \
                 kube-apiserver that breaks off?",
            ],
            [
                "No right: apply the ClusterRole of `deploy/orchestration/base`.",
                "The kube-apiserver breaks off: Plimsoll tries again by itself; see the kube-apiserver's own alerts.",
            ],
        ),
    )
}

fn over_limit() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollHPAsOverLimit",
        category: Category::Capacity,
        dashboard: Dashboard { uid: "plimsoll-hpa", variables: &["job"] },
        summary: "There are more HPAs than Plimsoll reports on.",
        description: "{{ $value }} HPAs are not followed by {{ $labels.job }}{place}, because the limit is reached.",
    }
    .fires(
        [Condition::warning("max by (job, namespace) (plimsoll_hpa_over_limit) > 0", "10m")],
        Runbook::new(
            "Series about HPAs are bounded, so that a cluster with very many does not swamp Prometheus. The bound is \
             reached.",
            "HPAs beyond the bound are served as ever, but are on no dashboard, and no alert tells when their metrics \
             are missing.",
            [
                "`kubectl get hpa -A --no-headers | wc -l`, and who made them: `kubectl get hpa -A --no-headers | awk \
                 '{print $1}' | sort | uniq -c | sort -n`.",
                "Dashboard plimsoll-internals: memory and series of Plimsoll.",
            ],
            [
                "They are left over from something that makes HPAs and forgets them: delete them.",
                "They are wanted: `plimsoll doctor` has no such bound; run it for those beyond, from a CronJob if need \
                 be.",
            ],
        ),
    )
}
