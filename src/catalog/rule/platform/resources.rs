//! Alerts on what the platform's workloads use, and on queues that they do not empty.

use crate::catalog::rule::recording::POD_WORKLOAD;
use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

const RESOURCES: Dashboard = Dashboard { uid: "platform-resources", variables: &["namespace", "workload"] };
const QUEUES: Dashboard = Dashboard { uid: "platform-queues", variables: &["job", "namespace", "workload"] };

pub(in crate::catalog::rule) fn resources() -> Vec<Alert> {
    vec![cpu(), memory(), queue_grows(), queue_stuck()]
}

fn cpu() -> Alert {
    About {
        service: "platform",
        name: "PlatformCPUHigh",
        category: Category::Performance,
        dashboard: RESOURCES,
        summary: "A workload uses more than 80 % of its CPU limits.",
        description: "{{ $labels.workload }}{place} uses {{ $value | humanizePercentage }} of the CPU that its pods \
         may take.",
    }
    .fires(
        [Condition::warning("workload:container_cpu_usage:ratio_limit > 0.8", "15m")],
        Runbook::new(
            "All pods of a workload together have used more than 80 % of their CPU limits for 15 minutes. HPAs of the \
             platform aim at 70 to 75 % of the requests, so that one that works would have scaled up.",
            "At 100 % the kernel holds containers back, and response times rise in steps.",
            [
                "Dashboard plimsoll-hpa: is there an HPA, is it at its maximum, can it scale? KubeHpaMaxedOut mutes \
                 this alert for its workload where both are labelled alike.",
                "Dashboard platform-resources: all pods, or one that works for all?",
                "`kubectl -n NAMESPACE top pods -l app.kubernetes.io/name=WORKLOAD`.",
            ],
            [
                "At its maximum: raise `maxReplicas`.",
                "No HPA: `kubectl -n NAMESPACE scale`, or one from `deploy/orchestration/autoscaling`.",
                "One pod has the work of all: see how requests or partitions are spread.",
                "It began with a deploy, at the same load: roll back, and profile.",
            ],
        ),
    )
}

fn memory() -> Alert {
    // Of the fullest pod: containers are killed one by one.
    let fullest = format!(
        "max by (namespace, workload) (pod:container_memory_working_set:sum \
         / pod:kube_pod_container_resource_limits_memory:sum \
         * on (namespace, pod) group_left (workload) {POD_WORKLOAD})"
    );
    About {
        service: "platform",
        name: "PlatformMemoryHigh",
        category: Category::Capacity,
        dashboard: RESOURCES,
        summary: "A workload uses more than 85 % of its memory limits.",
        description: "{{ $labels.workload }}{place} uses {{ $value | humanizePercentage }} of the memory that it may \
         take.",
    }
    .fires(
        [
            Condition::critical(format!("{fullest} > 0.95"), "5m"),
            Condition::warning("workload:container_memory_working_set:ratio_limit > 0.85", "15m"),
        ],
        Runbook::new(
            "The pods of a workload together have used more than 85 % of their memory limits for 15 minutes (warning), \
             or one pod more than 95 % of its own for 5 minutes (critical).",
            "At the limit the container is killed in the middle of what it does, and its requests fail. Pods of one \
             age are killed one after the other.",
            [
                "Dashboard platform-resources: steps are load, a slope over days is a leak, a saw tooth is one that \
                 has been killed already.",
                "`kubectl -n NAMESPACE get pods -o jsonpath='{range .items[*]}{.metadata.name} \
                 {.status.containerStatuses[*].lastState.terminated.reason}{\"\\n\"}{end}' | grep OOMKilled`.",
                "Did load grow with it (dashboard platform-service-level), or was it a deploy?",
            ],
            [
                "Load: raise `maxReplicas`, or the limit if each request needs it.",
                "A leak: restart in turn, `kubectl -n NAMESPACE rollout restart deploy/WORKLOAD`, and mend it.",
                "A deploy: roll it back.",
            ],
        ),
    )
}

fn queue_grows() -> Alert {
    About {
        service: "platform",
        name: "PlatformQueueGrowing",
        category: Category::Performance,
        dashboard: QUEUES,
        summary: "A queue has grown for half an hour.",
        description: "The queue {{ $labels.queue }} of {{ $labels.workload }}{place} grows, and has {{ $value | \
         humanize }} messages.",
    }
    .fires(
        [Condition::warning(
            "workload_queue:agent_queue_length:max > 100 and workload_queue:agent_queue_length:deriv15m > 0",
            "30m",
        )],
        Runbook::new(
            "More than 100 messages wait, and for 30 minutes it has become more: more comes in than is done. Peaks \
             that are worked off do not last that long.",
            "Work is late, by the length divided by the rate at which it is done, and later every minute.",
            [
                "Dashboard platform-queues: does more come in, or is less done?",
                "Dashboard plimsoll-hpa: does the HPA see the queue, and what does it want? At its maximum, \
                 KubeHpaMaxedOut fires too.",
                "Decisions by outcome: does work fail and come back?",
            ],
            [
                "At its maximum: raise `maxReplicas`, if what stands behind can take it.",
                "The HPA has no value: PlimsollHPAMetricMissing; until then `kubectl scale`.",
                "Work comes back: move what fails to a dead letter queue.",
            ],
        ),
    )
}

fn queue_stuck() -> Alert {
    About {
        service: "platform",
        name: "PlatformQueueStuck",
        category: Category::Availability,
        dashboard: QUEUES,
        summary: "Messages wait, and nothing is done.",
        description: "{{ $value | humanize }} messages wait in the queue {{ $labels.queue }} of {{ $labels.workload \
                      }}{place}, and its agents take no decisions.",
    }
    .fires(
        // Who reports a queue is who empties it: so its autoscaler takes it too.
        [Condition::critical(
            "workload_queue:agent_queue_length:max > 0 \
             and on (job, namespace, workload) workload:agent_decisions:rate5m == 0",
            "10m",
        )],
        Runbook::new(
            "There is work, and for 10 minutes no agent of the workload has come to a decision. More replicas would \
             not help: the HPA may add them all the same. This is about workloads that expose both \
             `agent_queue_length` and `agent_decisions_total`, and takes the one that reports a queue for the one that \
             empties it, as an HPA on the length of its own workload's queue does. Of a queue whose workload takes no \
             decisions, or that one workload reports and another one empties, only PlatformQueueGrowing tells.",
            "The work of this workload stands still, and whoever waits for its answers waits in vain.",
            [
                "`kubectl -n NAMESPACE logs -l app.kubernetes.io/name=WORKLOAD --since=15m`: do they wait for a lock, \
                 a model, a database?",
                "Dashboard platform-queues, time of inferences: has it no data, or seconds that became minutes?",
                "Is the broker well? Agents that lost their connection do not always notice.",
            ],
            [
                "Restart the agents: `kubectl -n NAMESPACE rollout restart deploy/WORKLOAD`.",
                "One message stops all: move the first one of the queue aside.",
                "What they wait for is down: follow its alert.",
            ],
        ),
    )
}
