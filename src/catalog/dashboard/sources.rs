//! Where do the numbers come from, and can they be trusted?

use crate::catalog::dashboard::{Color, Column, Dashboard, Measure, Panel, Thresholds, Variable};

/// Replicas of Plimsoll scrape the same targets; they are counted once.
const STATES: &str = "max by (scrape_job, state) (plimsoll_source_targets)";

pub(super) fn dashboard() -> Dashboard {
    let question = "Where do the numbers come from, are they fresh and complete, and what fails?";
    Dashboard::of_plimsoll("plimsoll-sources", "Plimsoll / Sources", question)
        .variable(Variable::many("scrape_job", "Scrape job", "plimsoll_source_targets"))
        .section("Now", [targets(), fresh(), stale(), oldest(), failed(), over_limit()])
        .section("Sources", [jobs()])
        .section("Freshness", [states(), age()])
        .section("Errors", [share(), reasons()])
        .section("What is found, and what is read", [discovery(), issues(), series()])
}

fn targets() -> Panel {
    Panel::stat("Targets", "Targets of the chosen jobs.").query(format!("sum({STATES})"), "")
}

fn fresh() -> Panel {
    let description = "Share of the targets whose samples are fresh enough to be used: how complete values are.";
    Panel::stat("Coverage", description)
        .measured(Measure::Share)
        .query(r#"sum(plimsoll_source_targets{state="fresh"}) / sum(plimsoll_source_targets)"#, "")
        .thresholds(Thresholds::below(0.99, 0.9))
}

fn stale() -> Panel {
    let stale = r#"sum(max by (scrape_job) (plimsoll_source_targets{state="stale"}))"#;
    Panel::stat("Stale targets", "Targets without any fresh sample. They count as missing.")
        .query(stale, "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
}

fn oldest() -> Panel {
    Panel::stat("Oldest good scrape", "Age of the last good scrape of the target that was not scraped for longest.")
        .measured(Measure::Seconds)
        .query("time() - min(plimsoll_source_last_success_timestamp_seconds)", "")
        .thresholds(Thresholds::above(60.0, 300.0))
}

fn failed() -> Panel {
    Panel::stat("Failed scrapes", "Share of the scrapes that failed.")
        .measured(Measure::Share)
        .query(
            "sum(rate(plimsoll_scrape_failures_total[$__rate_interval])) \
             / sum(rate(plimsoll_scrapes_total[$__rate_interval]))",
            "",
        )
        .thresholds(Thresholds::above(0.01, 0.1))
}

fn over_limit() -> Panel {
    Panel::stat("Targets over limit", "Targets of all jobs that are not scraped since the configured limit is reached.")
        .query("max(plimsoll_discovery_targets_over_limit)", "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
}

fn jobs() -> Panel {
    let of = |state: &str| format!(r#"max by (scrape_job) (plimsoll_source_targets{{state="{state}"}})"#);
    let rate = |of: &str| format!("sum by (scrape_job) (rate(plimsoll_{of}_total[$__rate_interval]))");
    let some = |color| Thresholds::always(Color::Good).then(1.0, color);
    let description = "Each job with its targets by state, the age of the good scrape that lies back furthest, and how many \
                       of its scrapes fail.";
    Panel::table("Jobs", description)
        .query(of("fresh"), "")
        .query(of("failing"), "")
        .query(of("stale"), "")
        .query(of("new"), "")
        .query("time() - min by (scrape_job) (plimsoll_source_last_success_timestamp_seconds)", "")
        .query(rate("scrapes"), "")
        .query(format!("{} / {}", rate("scrape_failures"), rate("scrapes")), "")
        .column(Column::label("scrape_job", "Job"))
        .column(Column::numbers(0, "Fresh", Measure::Count))
        .column(Column::numbers(1, "Failing", Measure::Count).thresholds(some(Color::Warning)))
        .column(Column::numbers(2, "Stale", Measure::Count).thresholds(some(Color::Critical)))
        .column(Column::numbers(3, "New", Measure::Count))
        .column(Column::numbers(4, "Oldest good scrape", Measure::Seconds).thresholds(Thresholds::above(60.0, 300.0)))
        .column(Column::numbers(5, "Scrapes", Measure::PerSecond))
        .column(Column::numbers(6, "Failed", Measure::Share).thresholds(Thresholds::above(0.01, 0.1)))
        .size(24, 7)
}

fn states() -> Panel {
    let description = "Failing: the last scrape failed, and samples are still fresh. Stale: none is fresh. New: not scraped \
                       yet.";
    Panel::stack("Targets by state", description).query(format!("sum by (state) ({STATES})"), "{{state}}")
}

fn age() -> Panel {
    let description = "Of each job the age of the last good scrape of the target that was not scraped for longest. It \
                       should stay about as long as the scrape interval.";
    Panel::lines("Age of the oldest good scrape", description)
        .measured(Measure::Seconds)
        .query("time() - min by (scrape_job) (plimsoll_source_last_success_timestamp_seconds)", "{{scrape_job}}")
        .thresholds(Thresholds::above(60.0, 300.0))
}

fn share() -> Panel {
    let rate = |of: &str| format!("sum by (scrape_job) (rate(plimsoll_{of}_total[$__rate_interval]))");
    Panel::lines("Share of scrapes that fail", "Of each job, over all of its targets.")
        .measured(Measure::Share)
        .query(format!("{} / ({} > 0)", rate("scrape_failures"), rate("scrapes")), "{{scrape_job}}")
        .thresholds(Thresholds::above(0.01, 0.1))
}

fn reasons() -> Panel {
    Panel::stack("Failed scrapes by reason", "Per second. The logs name the targets.")
        .measured(Measure::PerSecond)
        .query("sum by (reason) (rate(plimsoll_scrape_failures_total[$__rate_interval]))", "{{reason}}")
}

fn discovery() -> Panel {
    let description =
        "Lists asked of sources of targets that could not be had, per second. The targets stay as they were.";
    Panel::lines("Failed lists of targets", description)
        .measured(Measure::PerSecond)
        .query("sum by (mechanism) (rate(plimsoll_discovery_failures_total[$__rate_interval]))", "{{mechanism}}")
        .size(8, 8)
}

fn issues() -> Panel {
    let description = "What is odd about scraped samples, per second: duplicates, times in the future or too old, counters \
                       that began anew, numbers that are none.";
    Panel::stack("Oddities of samples", description)
        .measured(Measure::PerSecond)
        .query("sum by (kind) (rate(plimsoll_scrape_sample_issues_total[$__rate_interval]))", "{{kind}}")
        .size(8, 8)
}

fn series() -> Panel {
    let description =
        "Series that some definition wants and that are kept. A steep rise is a label with ever new values.";
    Panel::lines("Series kept", description)
        .query("max by (instance) (plimsoll_storage_series)", "{{instance}}")
        .size(8, 8)
}
