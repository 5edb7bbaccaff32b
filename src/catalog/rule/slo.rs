//! Service level objectives, as the share of requests that may fail, and alerts on how fast that share is used up.
//!
//! Of 30 days' requests 999 of 1000 are to succeed. A burn of 1 uses up the rest in just those 30 days; an alert wants a long
//! window, that enough is lost, and a short one, that it is still being lost. Two windows page, two wait for work.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook, Severity};

/// What is promised of requests, and the series that say whether it is kept.
pub(super) struct Service {
    /// Level and labels of the series for the service as a whole.
    pub level: &'static str,
    pub by: &'static str,
    /// Middle of the names of its series, `level:THIS:rate5m`.
    pub requests: &'static str,
    pub errors: &'static str,
    /// The histogram of the time they take.
    pub duration: &'static str,
    /// What the requests go to, in a sentence.
    pub what: &'static str,
}

/// Time within which a request is to be answered, by all but a share of them.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub seconds: u32,
    /// Requests of 1000 that may take longer.
    pub budget: u32,
}

/// Two windows, and how fast requests have to be lost in both.
struct Burn {
    severity: Severity,
    /// Tenths of the speed that uses up the budget in 30 days.
    factor: u32,
    long: &'static str,
    short: &'static str,
    wait: &'static str,
}

/// Plimsoll's metrics APIs.
pub(super) const PLIMSOLL: Service = Service {
    level: "job",
    by: "job, namespace",
    requests: "plimsoll_api_requests",
    errors: "plimsoll_api_errors",
    duration: "plimsoll_api_request_duration_seconds",
    what: "Plimsoll's metrics APIs",
};

/// A service of the platform.
pub(super) const PLATFORM: Service = Service {
    level: "workload",
    by: "job, namespace, workload",
    requests: "http_requests",
    errors: "http_errors",
    duration: "http_request_duration_seconds",
    what: "a service",
};

/// 95 of 100 requests within 2 s, 99 of 100 within 5 s.
pub(super) const BOUNDS: [Bound; 2] = [Bound { seconds: 2, budget: 50 }, Bound { seconds: 5, budget: 10 }];

/// Requests of 1000 that may fail.
const AVAILABILITY_BUDGET: u32 = 1;

/// 2 % of the budget of 30 days in an hour, 5 % in 6 hours; 10 % in a day, 10 % in 3 days.
const BURNS: [Burn; 4] = [
    Burn { severity: Severity::Critical, factor: 144, long: "1h", short: "5m", wait: "2m" },
    Burn { severity: Severity::Critical, factor: 60, long: "6h", short: "30m", wait: "15m" },
    Burn { severity: Severity::Warning, factor: 30, long: "1d", short: "2h", wait: "1h" },
    Burn { severity: Severity::Warning, factor: 10, long: "3d", short: "6h", wait: "3h" },
];

/// Requests that have to be lost in the long window. Of few requests one is a large share, and no reason to wake anybody.
/// They are counted, not extrapolated: a rate of 5 minutes, taken every minute and for one minute each, has every request once,
/// whatever the interval of evaluation, and a window that reaches back before a service was there has nothing there.
const LOST_MIN: u32 = 10;

/// Every window that an alert reads.
pub(super) const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

// === impl Service ===

impl Service {
    /// Middle of the name of the series of requests that the histogram has.
    pub(super) fn timed(&self) -> String {
        format!("{}_count", self.duration)
    }

    /// Middle of the name of the series of requests that took longer.
    pub(super) fn over(&self, bound: Bound) -> String {
        format!("{}_over_{}s", self.requests, bound.seconds)
    }
}

// === impl Burn ===

impl Burn {
    fn condition(&self, service: &Service, bad: &str, budget: u32) -> Condition {
        let Self { severity, factor, long, short, wait } = self;
        let level = service.level;
        // The factor is in tenths, the budget in thousandths.
        let limit = decimal(factor * budget, 4);
        let query = format!(
            "{level}:{bad}:ratio_rate{long} > {limit} and {level}:{bad}:ratio_rate{short} > {limit} \
             and sum_over_time({level}:{bad}:rate5m[{long}:1m]) * 60 >= {LOST_MIN}"
        );
        Condition::of(*severity, query, *wait).with("long", *long).with("short", *short)
    }
}

/// Alerts on the promise that Plimsoll makes.
pub(super) fn of_plimsoll() -> Vec<Alert> {
    let dashboard = Dashboard { uid: "plimsoll-api", variables: &["job"] };
    let service = "plimsoll";
    let alert = |name, category, summary, description, conditions: Vec<Condition>, runbook| {
        About { service, name, category, dashboard, summary, description }.fires(conditions, runbook)
    };
    vec![
        alert(
            "PlimsollAPIAvailabilityBurn",
            Category::Availability,
            "Plimsoll's metrics APIs fail so often that the availability of 99.9 % will not be kept.",
            "{{ $value | humanizePercentage }} of the requests to the metrics APIs of {{ $labels.job }}{place} fail \
             with a server error.",
            availability(&PLIMSOLL),
            Runbook::new(
                "Of 1000 requests to `custom.metrics.k8s.io` and `external.metrics.k8s.io` 999 are to be answered \
                 without a server error (code 5xx) over 30 days. The rest is being used up too fast; the labels `long` \
                 and `short` say in which windows. A metric that is not there (404) is no server error: \
                 PlimsollHPAMetricMissing tells of it.",
                "HPAs whose request fails do not scale in that round, and never down. While it lasts, workloads stay \
                 at the size they have, whatever their load.",
                [
                    "Dashboard plimsoll-api, *Answers by code*: which group, verb and code? 503 is a replica that is \
                     not ready or is going, 500 a fault of Plimsoll, 504 a kube-apiserver that does not answer a \
                     review.",
                    "`kubectl -n plimsoll-system get pods -l app.kubernetes.io/name=plimsoll -o wide`: restarts, and \
                     did it begin with a rollout or with one node?",
                    "`kubectl -n plimsoll-system logs -l app.kubernetes.io/name=plimsoll --since=30m | grep \
                     '\"level\":\"ERROR\"'`. Lines of a request have its `Audit-Id`, by which the kube-apiserver's \
                     audit log has it too.",
                    "`kubectl exec -n plimsoll-system deploy/plimsoll -- /plimsoll doctor`: certificate, rights, \
                     reviews and clocks, each with its fix.",
                ],
                [
                    "One replica fails: `kubectl -n plimsoll-system delete pod POD`. The other serves meanwhile.",
                    "It began with a rollout: `kubectl -n plimsoll-system rollout undo deploy/plimsoll`.",
                    "Reviews fail: the kube-apiserver is the one to mend; see its own alerts first.",
                    "Until it is mended, raise `minReplicas` of HPAs that carry load by hand: no HPA will do it.",
                ],
            ),
        ),
        alert(
            "PlimsollAPILatencyBurn",
            Category::Performance,
            "Plimsoll's metrics APIs answer so slowly that their latency objective will not be kept.",
            "{{ $value | humanizePercentage }} of the requests to the metrics APIs of {{ $labels.job }}{place} take \
             longer than the bound of the objective.",
            latency(&PLIMSOLL),
            Runbook::new(
                "95 of 100 requests are to be answered within 2 s, 99 of 100 within 5 s; the label `objective` says \
                 which is being missed. A request usually takes less than a millisecond, because values are in memory: \
                 seconds mean that something is held up.",
                "The HPA controller asks for metrics one after the other. When answers take seconds its round takes \
                 minutes, and scaling is late for every workload of the cluster, those that use CPU alone included.",
                [
                    "Dashboard plimsoll-api, *p95 by group and verb*: only lists (large answers), or everything?",
                    "Dashboard plimsoll-internals: CPU of the process, series, open connections. `kubectl -n \
                     plimsoll-system top pods`.",
                    "`plimsoll_review_duration_seconds`: users other than the kube-apiserver are known by reviews, \
                     which wait for the kube-apiserver.",
                    "Traces, where `--otlp-endpoint` is set: the longest span of a slow request.",
                ],
                [
                    "CPU is short: raise the request, and take away a limit of CPU if somebody has set one.",
                    "One client asks for large lists again and again: give its user a lower tier in `rate_limits`.",
                    "Reviews are slow: mend the kube-apiserver, or let the client authenticate with a certificate.",
                    "Otherwise restart one replica and compare the two; keep the slow one's logs.",
                ],
            ),
        ),
    ]
}

/// Alerts on what the platform promises of each of its services.
pub(super) fn of_platform() -> Vec<Alert> {
    let dashboard = Dashboard { uid: "platform-service-level", variables: &["job", "namespace", "workload"] };
    let service = "platform";
    let alert = |name, category, summary, description, conditions: Vec<Condition>, runbook| {
        About { service, name, category, dashboard, summary, description }.fires(conditions, runbook)
    };
    vec![
        alert(
            "PlatformAvailabilityBurn",
            Category::Availability,
            "A service fails so often that the availability of 99.9 % will not be kept.",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }}{place} fail with a server error.",
            availability(&PLATFORM),
            Runbook::new(
                "Of 1000 requests to a service 999 are to be answered without a server error (code 5xx) over 30 days. \
                 The labels `long` and `short` say in which windows too many were lost; the longer they are, the \
                 slower and the longer it goes on.",
                "Users see errors. At a burn of 14.4 the budget of a month lasts two days, at 6 five days.",
                [
                    "Dashboard platform-service-level: since when, which route and code?",
                    "The annotations *deploys* and *scaling* on the same graph: did it begin with one?",
                    "`kubectl -n NAMESPACE get pods -l app.kubernetes.io/name=WORKLOAD`: restarts, pending pods, one \
                     pod alone?",
                    "`kubectl -n NAMESPACE logs -l app.kubernetes.io/name=WORKLOAD --since=30m` for the routes that \
                     fail.",
                    "Dashboard platform-resources: memory at its limit, CPU at its limit? Dashboard platform-queues: \
                     does what it depends on keep up?",
                ],
                [
                    "It began with a deploy: `kubectl -n NAMESPACE rollout undo deploy/WORKLOAD`.",
                    "One pod fails: delete it, and look at its node.",
                    "It is overload: raise `maxReplicas` if the HPA is at it, else `kubectl -n NAMESPACE scale`.",
                    "Something behind it fails: follow that service's alert; this one ends with it.",
                ],
            ),
        ),
        alert(
            "PlatformLatencyBurn",
            Category::Performance,
            "A service answers so slowly that its latency objective will not be kept.",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }}{place} take longer than the bound \
             of the objective.",
            latency(&PLATFORM),
            Runbook::new(
                "95 of 100 requests are to be answered within 2 s, 99 of 100 within 5 s; the label `objective` says \
                 which is being missed, `long` and `short` in which windows.",
                "Users wait, clients give up and try again, and the tries are load on top.",
                [
                    "Dashboard platform-service-level: p50 as well as p95? Then all requests are slow; only p99 means \
                     a few routes or one pod.",
                    "Dashboard plimsoll-hpa for the workload: does the HPA want more replicas than it may have?",
                    "Dashboard platform-resources: CPU at its limit is throttled, and shows here first.",
                    "Dashboard platform-queues: the time that inferences take, and queues that grow.",
                ],
                [
                    "The HPA is at its maximum: raise `maxReplicas`, with an eye on the nodes.",
                    "CPU is throttled: raise the limit.",
                    "It began with a deploy: `kubectl -n NAMESPACE rollout undo deploy/WORKLOAD`.",
                    "One route: limit its rate at the gateway until it is mended.",
                ],
            ),
        ),
    ]
}

fn availability(service: &Service) -> Vec<Condition> {
    BURNS.iter().map(|burn| burn.condition(service, service.errors, AVAILABILITY_BUDGET)).collect()
}

fn latency(service: &Service) -> Vec<Condition> {
    let of_bound = |bound: Bound| {
        let over = service.over(bound);
        let objective = format!("{}s", bound.seconds);
        let condition =
            move |burn: &Burn| burn.condition(service, &over, bound.budget).with("objective", objective.clone());
        BURNS.iter().map(condition)
    };
    BOUNDS.into_iter().flat_map(of_bound).collect()
}

/// A number without the noise of floating point.
fn decimal(number: u32, places: usize) -> String {
    let digits = format!("{number:0>width$}", width = places + 1);
    let (whole, rest) = digits.split_at(digits.len() - places);
    format!("{whole}.{rest}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        let written = [(144, "0.0144"), (60, "0.006"), (30, "0.003"), (10, "0.001"), (144 * 50, "0.72"), (10_000, "1")];
        for (number, expected) in written {
            assert_eq!(decimal(number, 4), expected);
        }
    }

    #[test]
    fn no_limit_is_a_share_that_cannot_be_reached() {
        let budgets = BOUNDS.map(|bound| bound.budget).into_iter().chain([AVAILABILITY_BUDGET]);
        assert!(
            budgets.flat_map(|budget| BURNS.iter().map(move |burn| burn.factor * budget)).all(|limit| limit < 10_000)
        );
    }

    #[test]
    fn a_burn_is_watched_in_windows_that_are_recorded() {
        assert!(BURNS.iter().all(|burn| WINDOWS.contains(&burn.long) && WINDOWS.contains(&burn.short)));
    }
}
