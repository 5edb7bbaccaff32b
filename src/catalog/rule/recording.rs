//! Recording rules: what dashboards and alerts ask for again and again, computed once.
//!
//! Named `level:metric:operations`. The level says which labels the series have:
//! - `instance:` job, namespace, instance; of a service of the platform workload too. Dashboards read these: they can be
//!   narrowed by job and instance, and summed again, as rates can. A ratio is the quotient of two sums.
//! - `job:` job, namespace: Plimsoll as a whole. `workload:` job, namespace, workload: a service as a whole. Alerts read these.
//! - a label after the level, `instance_le:`, `workload_queue:`, is one more label.
//! - of containers: `pod:` namespace, pod; `workload:` namespace, workload; `instance:` has all labels of the pod's scrape.
//!
//! Windows beyond 5 minutes are sums over the series of 5 minutes: a window of three days reads one series per job instead
//! of all that are exposed, and the quotient of two sums weighs every request alike.

use crate::catalog::rule::slo::{self, Service};
use crate::catalog::{Catalog, Expression, Kind, Label, Labels, Metric, Origin, Problem, Unit};

/// One series for each set of labels, made of others.
#[derive(Clone, Debug)]
pub struct Recording {
    pub metric: Metric,
    pub expression: Expression,
}

/// Rules that are evaluated one after the other, so that each finds what those before it made.
#[derive(Clone, Debug)]
pub struct Recordings {
    /// Name of the group.
    pub name: &'static str,
    pub rules: Vec<Recording>,
}

/// A rule as it is written here; its labels follow from the query.
struct Draft {
    name: String,
    unit: Unit,
    help: String,
    query: String,
}

/// All recording rules. Each may ask for what those before it record.
///
/// # Errors
/// When a query is wrong, or leaves open which labels its answer has.
pub fn recordings(catalog: &Catalog) -> Result<Vec<Recordings>, Problem> {
    let drafts = [
        ("plimsoll.api", api()),
        ("platform.requests", requests()),
        ("platform.work", work()),
        ("platform.containers", containers()),
    ];
    let mut known = catalog.clone();
    let mut groups = Vec::new();
    for (name, drafts) in drafts {
        let mut rules = Vec::new();
        for draft in drafts {
            let rule = draft.checked(&known)?;
            known = known.with([rule.metric.clone()]);
            rules.push(rule);
        }
        groups.push(Recordings { name, rules });
    }
    Ok(groups)
}

// === impl Draft ===

impl Draft {
    fn new(name: impl Into<String>, unit: Unit, help: impl Into<String>, query: impl Into<String>) -> Self {
        Self { name: name.into(), unit, help: help.into(), query: query.into() }
    }

    fn checked(self, catalog: &Catalog) -> Result<Recording, Problem> {
        let expression = catalog.expression(&self.query)?;
        let Labels::Of(labels) = expression.labels(catalog) else {
            let what = format!("the labels of {} do not follow from its query", self.name);
            return Err(Problem { query: self.query, what });
        };
        let labels = labels.into_iter().map(|name| Label { name: name.into(), values: Vec::new() }).collect();
        let (name, help) = (self.name.into(), self.help.into());
        let metric = Metric { name, kind: Kind::Gauge, unit: self.unit, help, labels, origin: Origin::Recorded };
        Ok(Recording { metric, expression })
    }
}

fn count(of: &'static str) -> Unit {
    Unit::Count(of.into())
}

/// The requests to Plimsoll's API and those that failed or took too long, for each replica and for all of them.
fn api() -> Vec<Draft> {
    const BY: &str = "job, namespace, instance";
    let service = &slo::PLIMSOLL;
    let mut drafts = of_instances(service, BY, "plimsoll_api_requests_total", "plimsoll_api_request_duration_seconds");
    drafts.extend(of_service(service));
    drafts
}

/// The requests to services of the platform.
fn requests() -> Vec<Draft> {
    const BY: &str = "job, namespace, workload, instance";
    let service = &slo::PLATFORM;
    let mut drafts = of_instances(service, BY, "http_requests_total", "http_request_duration_seconds");
    drafts.push(Draft::new(
        "instance_le:http_request_duration_seconds_bucket:rate5m",
        count("requests"),
        "Requests per second answered within the bound",
        format!("sum by ({BY}, le) (rate(http_request_duration_seconds_bucket[5m]))"),
    ));
    drafts.extend(of_service(service));
    drafts.extend([("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")].map(|(name, quantile)| {
        Draft::new(
            format!("workload:http_request_duration_seconds:{name}_rate5m"),
            Unit::Seconds,
            format!("Time in which the share {quantile} of the requests of 5 minutes was answered"),
            format!(
                "histogram_quantile({quantile}, sum by (job, namespace, workload, le) \
                 (instance_le:http_request_duration_seconds_bucket:rate5m))"
            ),
        )
    }));
    drafts.push(Draft::new(
        "workload:http_requests_in_flight:sum",
        count("requests"),
        "Requests that a service is answering at once",
        "sum by (job, namespace, workload) (http_requests_in_flight)",
    ));
    drafts
}

/// Rates of 5 minutes, for each instance.
fn of_instances(service: &Service, by: &str, counter: &str, duration: &str) -> Vec<Draft> {
    let Service { requests, errors, what, .. } = service;
    let mut drafts = vec![
        Draft::new(
            format!("instance:{requests}:rate5m"),
            count("requests"),
            format!("Requests per second to {what}"),
            format!("sum by ({by}) (rate({counter}[5m]))"),
        ),
        Draft::new(
            format!("instance:{errors}:rate5m"),
            count("requests"),
            format!("Requests per second to {what} that failed by its fault"),
            // No series of a failure exists before the first one.
            format!("sum by ({by}) (rate({counter}{{code=~\"5..\"}}[5m])) or 0 * instance:{requests}:rate5m"),
        ),
    ];
    drafts.extend(slo::BOUNDS.map(|bound| {
        let seconds = bound.seconds;
        Draft::new(
            format!("instance:{}:rate5m", service.over(bound)),
            count("requests"),
            format!("Requests per second to {what} that took more than {seconds} s"),
            // Some exporters write le="2", others le="2.0". A page that is written while requests are counted may have one
            // in a bucket that it does not have in the count.
            format!(
                "clamp_min(sum by ({by}) (rate({duration}_count[5m])) \
                 - sum by ({by}) (rate({duration}_bucket{{le=~\"{seconds}([.]0)?\"}}[5m])), 0)"
            ),
        )
    }));
    drafts
}

/// The same for all instances together, and which share of the requests failed, for every window of the burn rates.
fn of_service(service: &Service) -> Vec<Draft> {
    let Service { requests, level, by, what, .. } = service;
    let bad = [service.errors.to_owned()].into_iter().chain(slo::BOUNDS.map(|bound| service.over(bound)));
    let bad: Vec<_> = bad.collect();
    let mut drafts = Vec::new();
    for of in [(*requests).to_owned()].iter().chain(&bad) {
        drafts.push(Draft::new(
            format!("{level}:{of}:rate5m"),
            count("requests"),
            format!("instance:{of}:rate5m, of all instances together"),
            format!("sum by ({by}) (instance:{of}:rate5m)"),
        ));
    }
    for bad in &bad {
        for window in slo::WINDOWS {
            let over = |of: &str| match window {
                "5m" => format!("{level}:{of}:rate5m"),
                _ => format!("sum_over_time({level}:{of}:rate5m[{window}])"),
            };
            drafts.push(Draft::new(
                format!("{level}:{bad}:ratio_rate{window}"),
                Unit::Ratio,
                format!("Share {bad} of the requests to {what} in {window}; none without requests"),
                format!("{} / ({} > 0)", over(bad), over(requests)),
            ));
        }
    }
    drafts
}

/// Queues, decisions and inferences.
fn work() -> Vec<Draft> {
    vec![
        Draft::new(
            "workload_queue:agent_queue_length:max",
            count("messages"),
            "Messages that wait in a queue; every pod reports the same queues",
            "max by (job, namespace, workload, queue) (agent_queue_length)",
        ),
        Draft::new(
            "workload_queue:agent_queue_length:deriv15m",
            count("messages"),
            "Messages per second by which a queue grows, or shrinks when negative",
            "deriv(workload_queue:agent_queue_length:max[15m])",
        ),
        Draft::new(
            "instance_outcome:agent_decisions:rate5m",
            count("decisions"),
            "Decisions per second",
            "sum by (job, namespace, workload, instance, outcome) (rate(agent_decisions_total[5m]))",
        ),
        Draft::new(
            "workload:agent_decisions:rate5m",
            count("decisions"),
            "Decisions per second of all instances together",
            "sum by (job, namespace, workload) (instance_outcome:agent_decisions:rate5m)",
        ),
        Draft::new(
            "workload_model:model_inference_duration_seconds:p95_rate5m",
            Unit::Seconds,
            "Time within which 95 of 100 inferences are done",
            "histogram_quantile(0.95, sum by (job, namespace, workload, model, le) \
             (rate(model_inference_duration_seconds_bucket[5m])))",
        ),
    ]
}

/// What containers use of what they may take. Containers without a limit are in none of it.
fn containers() -> Vec<Draft> {
    // A Deployment's pods are owned by a ReplicaSet, which has its name and a hash.
    let owner = |kinds: &str, name: &str| {
        format!(
            "label_replace(kube_pod_owner{{owner_kind=~\"{kinds}\"}}, \"workload\", \"$1\", \"owner_name\", \"{name}\")"
        )
    };
    let owners = [owner("ReplicaSet", "(.+)-[^-]+"), owner("StatefulSet|DaemonSet", "(.+)")].join(" or ");
    let mut drafts = vec![Draft::new(
        "pod_workload:kube_pod_owner:max",
        Unit::Boolean,
        "1 for the workload that a pod is of",
        format!("max by (namespace, pod, workload) ({owners})"),
    )];
    let cpu = "rate(container_cpu_usage_seconds_total{container!=\"\"}[5m])";
    let memory = "container_memory_working_set_bytes{container!=\"\"}";
    drafts.extend(of_resource("cpu", "container_cpu_usage", "rate5m", Unit::Cores, cpu));
    drafts.extend(of_resource("memory", "container_memory_working_set", "sum", Unit::Bytes, memory));
    drafts
}

fn of_resource(resource: &str, name: &str, operation: &str, unit: Unit, used: &str) -> [Draft; 4] {
    let limits = format!("pod:kube_pod_container_resource_limits_{resource}:sum");
    let limit = format!("kube_pod_container_resource_limits{{resource=\"{resource}\"}}");
    let used_by_pod = format!("pod:{name}:{operation}");
    let of_workload = |what: &str| {
        format!(
            "sum by (namespace, workload) \
             ({what} * on (namespace, pod) group_left (workload) pod_workload:kube_pod_owner:max)"
        )
    };
    let workload = format!("{} / {}", of_workload(&used_by_pod), of_workload(&limits));
    // The scrape knows which instance of which job a pod is; where it has two targets, one of them stands for both.
    let instance = format!(
        "{used_by_pod} / {limits} * on (namespace, pod) group_left (job, instance, workload) \
         (topk by (namespace, pod) (1, up{{pod!=\"\", workload!=\"\"}}) >= bool 0)"
    );
    [
        Draft::new(
            limits.clone(),
            unit.clone(),
            format!("{resource} that the containers of a pod may take"),
            format!("sum by (namespace, pod) ({limit})"),
        ),
        Draft::new(
            used_by_pod,
            unit,
            format!("{resource} that the containers of a pod use, those that have a limit"),
            format!(
                "sum by (namespace, pod) (sum by (namespace, pod, container) ({used}) \
                 and on (namespace, pod, container) {limit})"
            ),
        ),
        Draft::new(
            format!("workload:{name}:ratio_limit"),
            Unit::Ratio,
            format!("Share of the limits on {resource} that a workload uses"),
            workload,
        ),
        Draft::new(
            format!("instance:{name}:ratio_limit"),
            Unit::Ratio,
            format!("Share of its limit on {resource} that an instance of a service uses"),
            instance,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels_of(name: &str) -> Vec<String> {
        let catalog = Catalog::shipped();
        let metric = catalog.metric(name).unwrap_or_else(|| panic!("nobody records {name}"));
        metric.label_names().into_iter().collect()
    }

    #[test]
    fn the_level_of_a_recorded_series_says_which_labels_it_has() {
        let of_service = ["instance", "job", "namespace", "workload"];
        assert_eq!(labels_of("instance:plimsoll_api_errors:rate5m"), ["instance", "job", "namespace"]);
        assert_eq!(labels_of("instance:http_requests_over_2s:rate5m"), of_service);
        assert_eq!(labels_of("job:plimsoll_api_errors:ratio_rate3d"), ["job", "namespace"]);
        assert_eq!(labels_of("workload:http_errors:ratio_rate5m"), ["job", "namespace", "workload"]);
        assert_eq!(labels_of("workload:container_cpu_usage:ratio_limit"), ["namespace", "workload"]);
        assert_eq!(
            labels_of("instance:container_memory_working_set:ratio_limit"),
            ["instance", "job", "namespace", "pod", "workload"]
        );
        assert_eq!(labels_of("workload_queue:agent_queue_length:deriv15m"), ["job", "namespace", "queue", "workload"]);
    }

    #[test]
    fn a_name_has_a_level_a_metric_and_operations_and_is_recorded_once() {
        let groups = recordings(&Catalog::exposed()).expect("right");
        let mut names: Vec<_> = groups.iter().flat_map(|group| &group.rules).map(|rule| &rule.metric.name).collect();
        let all = names.len();
        assert!(names.iter().all(|name| name.split(':').filter(|part| !part.is_empty()).count() == 3), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
