//! What does Plimsoll cost, and which of its parts lags behind?

use crate::catalog::dashboard::overview::{READINESS, YES_OR_NO};
use crate::catalog::dashboard::{Dashboard, Measure, Panel, Thresholds};

pub(super) fn dashboard() -> Dashboard {
    let question = "What does Plimsoll cost, and which of its parts does not keep up?";
    Dashboard::of_plimsoll("plimsoll-internals", "Plimsoll / Internals", question)
        .section("Its parts", [readiness(), watches()])
        .section("What it uses", [cpu(), memory(), files(), series()])
        .section("Scraping", [scrapes(), scrape_duration()])
        .section("Connections", [open(), closed()])
        .section("Questions to the kube-apiserver", [reviews(), review_duration(), cache(), watch_errors()])
}

fn readiness() -> Panel {
    let state = |state: &str| format!(r#"max by (check) (plimsoll_readiness{{state="{state}"}})"#);
    Panel::timeline("Readiness", "The worst state of each check among the replicas, as /readyz has it.")
        .query(format!("clamp_max({} + 2 * {}, 2)", state("degraded"), state("not_ready")), "{{check}}")
        .states(&READINESS)
}

fn watches() -> Panel {
    let description =
        "Whether the objects of each resource are known and followed. The counts are of what is known now.";
    Panel::timeline("Watches of the cluster", description)
        .query("min by (resource) (plimsoll_kubernetes_watch_up)", "{{resource}}")
        .states(&YES_OR_NO)
}

/// Every program has such metrics, and All is all jobs.
fn of_plimsoll(process: &str) -> String {
    format!("sum by (instance) ({process} and on (job, instance) plimsoll_build_info)")
}

fn cpu() -> Panel {
    Panel::lines(
        "CPU",
        "Cores that each replica uses. It grows with the samples that are scraped, hardly with requests.",
    )
    .measured(Measure::Cores)
    .query(of_plimsoll("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}")
    .size(6, 8)
}

fn memory() -> Panel {
    Panel::lines("Memory", "Resident memory of each replica. It grows with the series that are kept.")
        .measured(Measure::Bytes)
        .query(of_plimsoll("process_resident_memory_bytes"), "{{instance}}")
        .size(6, 8)
}

fn files() -> Panel {
    Panel::lines("Open files", "Share of the files that each replica may have open; connections are files.")
        .measured(Measure::Share)
        .query(format!("{} / {}", of_plimsoll("process_open_fds"), of_plimsoll("process_max_fds")), "{{instance}}")
        .thresholds(Thresholds::above(0.7, 0.9))
        .size(6, 8)
}

fn series() -> Panel {
    Panel::lines("Series kept", "Series that some definition wants, with their window of samples.")
        .query("sum by (instance) (plimsoll_storage_series)", "{{instance}}")
        .size(6, 8)
}

fn scrapes() -> Panel {
    Panel::lines("Scrapes", "Scrapes per second of each replica, failed ones included.")
        .measured(Measure::PerSecond)
        .query("sum by (instance) (rate(plimsoll_scrapes_total[$__rate_interval]))", "{{instance}}")
}

fn scrape_duration() -> Panel {
    let description =
        "How many scrapes took how long, from the request to the stored page. The stronger the colour, the more.";
    Panel::heatmap("Time that scrapes take", description)
        .measured(Measure::Seconds)
        .query("sum by (le) (increase(plimsoll_scrape_duration_seconds_bucket[$__rate_interval]))", "{{le}}")
}

fn open() -> Panel {
    let description =
        "Open connections by who is at their other end. A stranger has shown neither certificate nor token.";
    Panel::stack("Open connections", description).query("sum by (client) (plimsoll_serving_connections)", "{{client}}")
}

fn closed() -> Panel {
    let description = "Connections per second that were ended from this side. Idle ones are nothing to worry about.";
    Panel::stack("Closed connections by reason", description)
        .measured(Measure::PerSecond)
        .query("sum by (reason) (rate(plimsoll_serving_connections_closed_total[$__rate_interval]))", "{{reason}}")
}

fn reviews() -> Panel {
    Panel::stack("Reviews by result", "Questions per second about tokens and rights, by what became of them.")
        .measured(Measure::RequestsPerSecond)
        .query("sum by (result) (rate(plimsoll_reviews_total[$__rate_interval]))", "{{result}}")
        .size(6, 8)
}

fn review_duration() -> Panel {
    let buckets = "rate(plimsoll_review_duration_seconds_bucket[$__rate_interval])";
    Panel::lines("p95 of reviews", "Time within which 95 of 100 reviews are answered or given up, with all tries.")
        .measured(Measure::Seconds)
        .query(format!("histogram_quantile(0.95, sum by (le, resource) ({buckets})) >= 0"), "{{resource}}")
        .thresholds(Thresholds::above(0.5, 5.0))
        .size(6, 8)
}

fn cache() -> Panel {
    let looks = |which: &str| {
        format!("sum by (resource) (rate(plimsoll_review_cache_requests_total{which}[$__rate_interval]))")
    };
    Panel::lines("Reviews that were remembered", "Share of the looks that found what an earlier review had said.")
        .measured(Measure::Share)
        .query(format!("{} / ({} > 0)", looks(r#"{result="hit"}"#), looks("")), "{{resource}}")
        .up_to(1.0)
        .size(6, 8)
}

fn watch_errors() -> Panel {
    Panel::lines("Failed watches", "Lists and watches of the cluster per second that failed. Each is tried again.")
        .measured(Measure::PerSecond)
        .query("sum by (resource) (rate(plimsoll_kubernetes_watch_errors_total[$__rate_interval]))", "{{resource}}")
        .size(6, 8)
}
