//! Does the platform do for its users what it is there for?

use crate::catalog::dashboard::{Color, Dashboard, Measure, Panel, Thresholds};

pub(super) fn dashboard() -> Dashboard {
    let question = "Does the platform do for its users what it is there for?";
    Dashboard::of_platform("platform-business", "Platform / Business", question, "queries_total")
        .section("Now", [users_now(), queries_now(), success_now(), indexed_now(), indexed_today(), learning_now()])
        .section("Users and their queries", [users(), queries(), success()])
        .section("Knowledge", [indexed(), learning()])
}

fn users_now() -> Panel {
    Panel::stat("Active users", "Users who are active now.").query("sum(active_users)", "")
}

fn queries_now() -> Panel {
    Panel::stat("Queries", "Queries of users per second.")
        .measured(Measure::RequestsPerSecond)
        .query("sum(rate(queries_total[$__rate_interval]))", "")
}

fn share_of_success(by: &str) -> String {
    let rate = |which: &str| format!("sum{by} (rate(queries_total{which}[$__rate_interval]))");
    format!("{} / {}", rate(r#"{result="success"}"#), rate(""))
}

fn success_now() -> Panel {
    Panel::stat("Successful", "Share of the queries that succeeded.")
        .measured(Measure::Share)
        .query(share_of_success(""), "")
        .thresholds(Thresholds::below(0.99, 0.95))
}

fn indexed_now() -> Panel {
    Panel::stat("Indexed in an hour", "Repositories that were indexed in the last hour.")
        .query("sum(increase(repositories_indexed_total[1h]))", "")
}

fn indexed_today() -> Panel {
    Panel::stat("Indexed in a day", "Repositories that were indexed in the last 24 hours.")
        .query_now("sum(increase(repositories_indexed_total[1d]))", "")
}

fn learning_now() -> Panel {
    Panel::stat("Learning rate", "Share of the decisions from which agents have learned.")
        .measured(Measure::Share)
        .query("avg(learning_rate)", "")
}

fn users() -> Panel {
    Panel::lines("Active users", "Users who are active, by workload.")
        .query("sum by (workload) (active_users)", "{{workload}}")
        .size(8, 8)
}

fn queries() -> Panel {
    Panel::stack("Queries by result", "Queries of users per second.")
        .measured(Measure::RequestsPerSecond)
        .query("sum by (result) (rate(queries_total[$__rate_interval]))", "{{result}}")
        .size(8, 8)
}

fn success() -> Panel {
    Panel::lines("Share of queries that succeed", "By workload. Users notice when it falls below 99 %.")
        .measured(Measure::Share)
        .query(share_of_success(" by (workload)"), "{{workload}}")
        .thresholds(Thresholds::always(Color::Critical).then(0.95, Color::Warning).then(0.99, Color::Good))
        .up_to(1.0)
        .size(8, 8)
}

fn indexed() -> Panel {
    Panel::lines("Repositories indexed", "Repositories per second, by workload.")
        .measured(Measure::PerSecond)
        .query("sum by (workload) (rate(repositories_indexed_total[$__rate_interval]))", "{{workload}}")
}

fn learning() -> Panel {
    Panel::lines("Learning rate", "Share of the decisions from which agents have learned, by workload.")
        .measured(Measure::Share)
        .query("avg by (workload) (learning_rate)", "{{workload}}")
        .up_to(1.0)
}
