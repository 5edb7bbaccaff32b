//! Do the services of the platform answer, and fast enough?

use crate::catalog::dashboard::{Color, Dashboard, Link, Measure, Panel, Thresholds};

const REQUESTS: &str = "instance:http_requests:rate5m";
const ERRORS: &str = "instance:http_errors:rate5m";

pub(super) fn dashboard() -> Dashboard {
    let question = "Do the services answer without errors, 95 of 100 requests within 2 s and 99 of 100 within 5 s?";
    Dashboard::of_platform("platform-service-level", "Platform / Service level", question, "http_requests_total")
        .section("Now", [requests_now(), errors_now(), budget(), p95_now(), p99_now(), in_flight_now()])
        .section("Requests", [requests(), codes()])
        .section("Errors", [errors(), burn()])
        .section("Time to answer", [quantiles(), by_workload(), over(), routes()])
        .section("At once", [in_flight(), in_flight_share()])
}

fn quantile(quantile: &str, by: &str) -> String {
    format!(
        "histogram_quantile({quantile}, sum by ({by}) (rate(http_request_duration_seconds_bucket[$__rate_interval])))"
    )
}

fn p95() -> Thresholds {
    Thresholds::always(Color::Good).then(2.0, Color::Critical)
}

fn p99() -> Thresholds {
    Thresholds::always(Color::Good).then(5.0, Color::Critical)
}

fn requests_now() -> Panel {
    Panel::stat("Requests", "Requests per second to all chosen services.")
        .measured(Measure::RequestsPerSecond)
        .query(format!("sum({REQUESTS})"), "")
}

fn errors_now() -> Panel {
    Panel::stat("Errors", "Share of the requests with a code of 500 and above. It is to stay below 1 %.")
        .measured(Measure::Share)
        .query(format!("sum({ERRORS}) / sum({REQUESTS})"), "")
        .thresholds(Thresholds::above(0.01, 0.05))
}

fn budget() -> Panel {
    let sum = |of: &str| format!("sum(sum_over_time({of}[30d]))");
    let description = "Share of the failures that an availability of 99.9 % allows in 30 days and that have not occurred \
                       yet. Below 0 it is missed.";
    Panel::stat("Error budget left", description)
        .measured(Measure::Share)
        .query_now(format!("1 - {} / ({} > 0) / 0.001", sum(ERRORS), sum(REQUESTS)), "")
        .thresholds(Thresholds::below(0.25, 0.0))
}

fn p95_now() -> Panel {
    Panel::stat("p95", "Time within which 95 of 100 requests are answered. It is to stay below 2 s.")
        .measured(Measure::Seconds)
        .query(quantile("0.95", "le"), "")
        .thresholds(p95())
}

fn p99_now() -> Panel {
    Panel::stat("p99", "Time within which 99 of 100 requests are answered. It is to stay below 5 s.")
        .measured(Measure::Seconds)
        .query(quantile("0.99", "le"), "")
        .thresholds(p99())
}

fn in_flight_now() -> Panel {
    Panel::stat("In flight", "Requests that are being answered at once.").query("sum(http_requests_in_flight)", "")
}

fn requests() -> Panel {
    Panel::lines("Requests by workload", "Requests per second to each service.")
        .measured(Measure::RequestsPerSecond)
        .query(format!("sum by (workload) ({REQUESTS})"), "{{workload}}")
        .link(Link::to("platform-resources", "What it uses").with_label("workload", "workload").keeping(&["namespace"]))
}

fn codes() -> Panel {
    Panel::stack("Answers by code", "Answers per second by status code.")
        .measured(Measure::RequestsPerSecond)
        .query("sum by (code) (rate(http_requests_total[$__rate_interval]))", "{{code}}")
}

fn errors() -> Panel {
    Panel::lines("Share of errors by workload", "Of the requests of 5 minutes, those with a code of 500 and above.")
        .measured(Measure::Share)
        .query(format!("sum by (workload) ({ERRORS}) / sum by (workload) ({REQUESTS})"), "{{workload}}")
        .thresholds(Thresholds::above(0.01, 0.05))
}

fn burn() -> Panel {
    let sum = |of: &str| format!("sum by (workload) (sum_over_time({of}[1h]))");
    let description = "How many times faster than 99.9 % allows each service used up its error budget in the last hour. At \
                       1 it lasts 30 days, at 14.4 for 2 days.";
    Panel::lines("Speed at which error budgets burn", description)
        .measured(Measure::Times)
        .query(format!("{} / ({} > 0) / 0.001", sum(ERRORS), sum(REQUESTS)), "{{workload}}")
        .thresholds(Thresholds::above(3.0, 14.4))
}

fn quantiles() -> Panel {
    let description =
        "Over all chosen services. The lines are 2 s, below which p95 is to stay, and 5 s, the same for p99.";
    Panel::lines("Time to answer", description)
        .measured(Measure::Seconds)
        .query(quantile("0.5", "le"), "p50")
        .query(quantile("0.95", "le"), "p95")
        .query(quantile("0.99", "le"), "p99")
        .thresholds(Thresholds::above(2.0, 5.0))
}

fn by_workload() -> Panel {
    Panel::lines("p95 by workload", "Time within which each service answers 95 of 100 requests; to stay below 2 s.")
        .measured(Measure::Seconds)
        .query(quantile("0.95", "le, workload"), "{{workload}}")
        .thresholds(p95())
}

fn over() -> Panel {
    let timed = "instance:http_request_duration_seconds_count:rate5m";
    let share = |bound: &str| format!("sum(instance:http_requests_over_{bound}:rate5m) / sum({timed})");
    let description =
        "Share of the requests of 5 minutes that took longer. Of 2 s it may be 5 %, of 5 s 1 %: the lines.";
    Panel::lines("Share of slow requests", description)
        .measured(Measure::Share)
        .query(share("2s"), "above 2 s")
        .query(share("5s"), "above 5 s")
        .thresholds(Thresholds::above(0.01, 0.05))
}

fn routes() -> Panel {
    Panel::bars("Slowest routes", "p95 of the eight routes that take longest.")
        .measured(Measure::Seconds)
        .query(format!("topk(8, {})", quantile("0.95", "le, workload, route")), "{{workload}} {{route}}")
        .thresholds(p95())
        .size(12, 8)
}

fn in_flight() -> Panel {
    Panel::lines("Requests in flight by workload", "Requests that each service is answering at once.")
        .query("sum by (workload) (http_requests_in_flight)", "{{workload}}")
}

fn in_flight_share() -> Panel {
    let description = "Requests that one replica of each service is answering at once. It rises when requests take longer, \
                       or when there are too few replicas.";
    Panel::lines("Requests in flight per replica", description)
        .query("avg by (workload) (http_requests_in_flight)", "{{workload}}")
}
