//! Is Plimsoll healthy, and does it keep what it promises?

use crate::catalog::dashboard::link::OF_PLIMSOLL;
use crate::catalog::dashboard::{Color, Dashboard, Link, Measure, Panel, Thresholds};

/// States of a readiness check, as numbers that grow with how bad they are.
pub(super) const READINESS: [(i64, &str, Color); 3] =
    [(0, "ready", Color::Good), (1, "degraded", Color::Warning), (2, "not ready", Color::Critical)];

pub(super) const YES_OR_NO: [(i64, &str, Color); 2] = [(0, "no", Color::Critical), (1, "yes", Color::Good)];

/// Of 30 days, within which 999 of 1000 requests are to be answered.
const ERRORS: &str = "sum(sum_over_time(instance:plimsoll_api_errors:rate5m[30d]))";
const REQUESTS: &str = "(sum(sum_over_time(instance:plimsoll_api_requests:rate5m[30d])) > 0)";

pub(super) fn dashboard() -> Dashboard {
    let question = "Is Plimsoll healthy, within its objective, and how much of the error budget is left?";
    Dashboard::of_plimsoll("plimsoll-overview", "Plimsoll / Overview", question)
        .section("Now", [replicas(), ready(), availability(), budget(), missing(), fresh()])
        .section(
            "Objective: 99.9 % of requests answered without an error of Plimsoll's",
            [burn(), requests(), duration()],
        )
        .section("What it is fed with, and whom it feeds", [targets(), autoscalers()])
        .section("What ends one day", [reachable(), certificate(), configuration(), watches(), age(), over_limit()])
}

fn replicas() -> Panel {
    Panel::stat(
        "Replicas up",
        "Replicas that Prometheus scrapes. With one alone, an update or a lost node is an outage.",
    )
    .query("count(plimsoll_build_info)", "")
    .thresholds(Thresholds::below(2.0, 1.0))
}

fn ready() -> Panel {
    let description = "The worst state of all readiness checks of all replicas. Degraded: some numbers are missing, others \
                       are good. The internals say which check.";
    Panel::stat("Ready", description)
        .measured(Measure::State)
        .query_now(r#"max(plimsoll_readiness{state="degraded"} or 2 * plimsoll_readiness{state="not_ready"})"#, "")
        .states(&READINESS)
        .link(Link::to("plimsoll-internals", "Which check").keeping(OF_PLIMSOLL))
}

fn availability() -> Panel {
    Panel::stat("Availability, 30 days", "Share of the requests of 30 days that did not fail by Plimsoll's fault.")
        .measured(Measure::Share)
        .query_now(format!("1 - {ERRORS} / {REQUESTS}"), "")
        .thresholds(Thresholds::below(0.9995, 0.999))
        .link(Link::to("plimsoll-api", "Which requests failed").keeping(OF_PLIMSOLL))
}

fn budget() -> Panel {
    let description = "Share of the failures that the objective allows in 30 days and that have not occurred yet. Below 0 \
                       the objective is missed.";
    Panel::stat("Error budget left", description)
        .measured(Measure::Share)
        .query_now(format!("1 - {ERRORS} / {REQUESTS} / 0.001"), "")
        .thresholds(Thresholds::below(0.25, 0.0))
}

fn missing() -> Panel {
    let description = "Metrics that HorizontalPodAutoscalers ask for and Plimsoll has no value of. Each stops its \
                       autoscaler from scaling down.";
    Panel::stat("Metrics missing for HPAs", description)
        .query("sum(max by (hpa_namespace, hpa, type, metric) (1 - plimsoll_hpa_metric_available))", "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
        .link(Link::to("plimsoll-hpa", "Which autoscalers").keeping(OF_PLIMSOLL))
}

fn fresh() -> Panel {
    Panel::stat("Targets that are fresh", "Share of the targets whose last samples are fresh enough to be used.")
        .measured(Measure::Share)
        .query(r#"sum(plimsoll_source_targets{state="fresh"}) / sum(plimsoll_source_targets)"#, "")
        .thresholds(Thresholds::below(0.99, 0.9))
        .link(Link::to("plimsoll-sources", "Which sources").keeping(OF_PLIMSOLL))
}

fn burn() -> Panel {
    let of = |window: &str| {
        let sum = |of: &str| format!("sum(sum_over_time(instance:plimsoll_api_{of}:rate5m[{window}]))");
        format!("{} / ({} > 0) / 0.001", sum("errors"), sum("requests"))
    };
    let description = "How many times faster than the objective allows the error budget is used up. At 1 it lasts 30 days, \
                       at 14.4 for 2 days. The lines are where alerts warn and where they page.";
    Panel::lines("Speed at which the error budget burns", description)
        .measured(Measure::Times)
        .query(of("1h"), "1 hour")
        .query(of("6h"), "6 hours")
        .thresholds(Thresholds::above(3.0, 14.4))
        .size(8, 8)
}

fn requests() -> Panel {
    Panel::lines("Requests", "Requests per second to the metrics APIs, and those that failed by Plimsoll's fault.")
        .measured(Measure::RequestsPerSecond)
        .query("sum(instance:plimsoll_api_requests:rate5m)", "requests")
        .query("sum(instance:plimsoll_api_errors:rate5m)", "errors")
        .size(8, 8)
}

fn duration() -> Panel {
    let quantile = |quantile: &str| {
        let buckets = "rate(plimsoll_api_request_duration_seconds_bucket[$__rate_interval])";
        format!("histogram_quantile({quantile}, sum by (le) ({buckets}))")
    };
    Panel::lines("Time to answer", "Within which time 50, 95 and 99 of 100 requests to the metrics APIs are answered.")
        .measured(Measure::Seconds)
        .query(quantile("0.5"), "p50")
        .query(quantile("0.95"), "p95")
        .query(quantile("0.99"), "p99")
        .size(8, 8)
}

fn targets() -> Panel {
    let description = "Targets by what is known of them. Failing: the last scrape failed, and samples are still fresh. \
                       Stale: none is fresh. New: not scraped yet.";
    Panel::stack("Targets by state", description)
        .query("sum by (state) (max by (scrape_job, state) (plimsoll_source_targets))", "{{state}}")
        .link(Link::to("plimsoll-sources", "Which sources").keeping(OF_PLIMSOLL))
}

fn autoscalers() -> Panel {
    let metric = "max by (hpa_namespace, hpa, type, metric)";
    Panel::stack("Metrics that HPAs ask for", "Those that Plimsoll has a value of, and those that it has none of.")
        .query(format!("sum({metric} (plimsoll_hpa_metric_available))"), "available")
        .query(format!("sum({metric} (1 - plimsoll_hpa_metric_available))"), "missing")
        .link(Link::to("plimsoll-hpa", "Which autoscalers").keeping(OF_PLIMSOLL))
}

fn reachable() -> Panel {
    let description = "Whether the kube-apiserver says that it reaches all of Plimsoll's APIs. While it does not, no \
                       autoscaler gets a number.";
    Panel::stat("APIs reachable", description)
        .measured(Measure::State)
        .query_now("min(plimsoll_apiservice_available)", "")
        .states(&YES_OR_NO)
        .link(Link::to("plimsoll-api", "Which API").keeping(OF_PLIMSOLL))
}

fn certificate() -> Panel {
    let description = "Time until the first of the serving certificates ends. From then on the kube-apiserver refuses to \
                       ask.";
    Panel::stat("Certificate valid for", description)
        .measured(Measure::Days)
        .query_now("(min(plimsoll_serving_certificate_not_after_timestamp_seconds) - time()) / 86400", "")
        .thresholds(Thresholds::below(7.0, 1.0))
}

fn configuration() -> Panel {
    Panel::stat("Newest configuration", "Whether all replicas took up the newest configuration file.")
        .measured(Measure::State)
        .query_now("min(plimsoll_config_last_reload_successful)", "")
        .states(&YES_OR_NO)
}

fn watches() -> Panel {
    let description = "Whether everything that is watched of the cluster is known and followed. What is not known stays \
                       as it was.";
    Panel::stat("Cluster followed", description)
        .measured(Measure::State)
        .query_now("min(plimsoll_kubernetes_watch_up)", "")
        .states(&YES_OR_NO)
        .link(Link::to("plimsoll-internals", "Which watch").keeping(OF_PLIMSOLL))
}

fn age() -> Panel {
    Panel::stat("Oldest good scrape", "Age of the last good scrape of the target that was not scraped for longest.")
        .measured(Measure::Seconds)
        .query_now("time() - min(plimsoll_source_last_success_timestamp_seconds)", "")
        .thresholds(Thresholds::above(60.0, 300.0))
        .link(Link::to("plimsoll-sources", "Which source").keeping(OF_PLIMSOLL))
}

fn over_limit() -> Panel {
    Panel::stat("Targets over limit", "Targets that are not scraped since the configured limit is reached.")
        .query("max(plimsoll_discovery_targets_over_limit)", "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
}
