//! Does the work get done: queues, decisions and inferences?

use crate::catalog::dashboard::{Color, Dashboard, Link, Measure, Panel, Thresholds};

/// Every pod of a service reports the same queues.
const QUEUES: &str = "max by (namespace, workload, queue)";

pub(super) fn dashboard() -> Dashboard {
    let question = "Is the work done as fast as it comes in: queues, decisions, inferences?";
    Dashboard::of_platform("platform-queues", "Platform / Queues and decisions", question, r#"up{workload!=""}"#)
        .section("Now", [waiting(), growth_now(), decisions_now(), escalated(), inferences_now(), inference_now()])
        .section("Queues", [lengths(), growth()])
        .section("Decisions", [outcomes(), by_workload()])
        .section("Inferences", [quantiles(), models(), rates()])
}

fn waiting() -> Panel {
    Panel::stat("Messages waiting", "Messages in all chosen queues.")
        .query(format!("sum({QUEUES} (agent_queue_length))"), "")
}

fn growth_now() -> Panel {
    let description =
        "Messages per second by which the queues grow, over 15 minutes. Above 0 more comes in than is done.";
    Panel::stat("Growth", description)
        .measured(Measure::PerSecond)
        .query(format!("sum({QUEUES} (deriv(agent_queue_length[15m])))"), "")
        .thresholds(Thresholds::always(Color::Good).then(0.1, Color::Warning))
}

fn decisions_now() -> Panel {
    Panel::stat("Decisions", "Decisions of agents per second.")
        .measured(Measure::PerSecond)
        .query("sum(instance_outcome:agent_decisions:rate5m)", "")
}

fn escalated() -> Panel {
    let description = "Share of the most frequent outcome among all decisions. A sudden change says that agents decide \
                       otherwise than before.";
    Panel::stat("Most frequent outcome", description).measured(Measure::Share).query(
        "max(sum by (outcome) (instance_outcome:agent_decisions:rate5m)) \
             / sum(instance_outcome:agent_decisions:rate5m)",
        "",
    )
}

fn inferences_now() -> Panel {
    Panel::stat("Inferences", "Inferences of models per second.")
        .measured(Measure::PerSecond)
        .query("sum(rate(model_inference_duration_seconds_count[$__rate_interval]))", "")
}

fn quantile(quantile: &str, by: &str) -> String {
    format!(
        "histogram_quantile({quantile}, sum by ({by}) (rate(model_inference_duration_seconds_bucket[$__rate_interval])))"
    )
}

fn inference_now() -> Panel {
    Panel::stat("Inference p95", "Time within which 95 of 100 inferences are done.")
        .measured(Measure::Seconds)
        .query(quantile("0.95", "le"), "")
        .thresholds(Thresholds::above(2.0, 5.0))
}

fn lengths() -> Panel {
    let description = "Messages that wait in each queue. Autoscalers of the workers follow it: when it grows although they \
                       have scaled, they are at a bound or blocked.";
    Panel::lines("Length of queues", description)
        .query(format!("{QUEUES} (agent_queue_length)"), "{{queue}}")
        .link(Link::to("plimsoll-hpa", "Why did its autoscaler scale?"))
}

fn growth() -> Panel {
    let description = "Messages per second by which each queue grows, over 15 minutes; below 0 it shrinks.";
    Panel::lines("Growth of queues", description)
        .measured(Measure::PerSecond)
        .query(format!("{QUEUES} (deriv(agent_queue_length[15m]))"), "{{queue}}")
        .signed()
}

fn outcomes() -> Panel {
    Panel::stack("Decisions by outcome", "Decisions of agents per second, by what they came to.")
        .measured(Measure::PerSecond)
        .query("sum by (outcome) (instance_outcome:agent_decisions:rate5m)", "{{outcome}}")
}

fn by_workload() -> Panel {
    Panel::lines(
        "Decisions per replica",
        "Decisions per second of each instance, which is what its autoscaler follows.",
    )
    .measured(Measure::PerSecond)
    .query("sum by (workload, instance) (instance_outcome:agent_decisions:rate5m)", "{{workload}} {{instance}}")
}

fn quantiles() -> Panel {
    Panel::lines("Time that inferences take", "Within which time 50, 95 and 99 of 100 inferences are done.")
        .measured(Measure::Seconds)
        .query(quantile("0.5", "le"), "p50")
        .query(quantile("0.95", "le"), "p95")
        .query(quantile("0.99", "le"), "p99")
        .size(8, 8)
}

fn models() -> Panel {
    Panel::lines("p95 by model", "Time within which each model does 95 of 100 inferences.")
        .measured(Measure::Seconds)
        .query(quantile("0.95", "le, model"), "{{model}}")
        .thresholds(Thresholds::above(2.0, 5.0))
        .size(8, 8)
}

fn rates() -> Panel {
    Panel::stack("Inferences by model", "Inferences per second.")
        .measured(Measure::PerSecond)
        .query("sum by (model) (rate(model_inference_duration_seconds_count[$__rate_interval]))", "{{model}}")
        .size(8, 8)
}
