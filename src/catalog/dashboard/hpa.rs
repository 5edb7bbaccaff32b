//! Why did this autoscaler scale?

use crate::catalog::dashboard::link::OF_PLIMSOLL;
use crate::catalog::dashboard::overview::YES_OR_NO;
use crate::catalog::dashboard::{Annotation, Color, Column, Dashboard, Link, Measure, Panel, Thresholds, Variable};

/// Labels that tell the metrics of one autoscaler apart: it may ask for one metric with two selectors.
const METRIC: &str = "type, metric, object, selector";

/// Made of these, since a label that is empty is none; each series is named by it.
const LEGEND: &str = "{{of}}";

/// Replicas of Plimsoll expose the same autoscalers; they are counted once.
const HPA: &str = "max by (hpa_namespace, hpa)";

pub(super) fn dashboard() -> Dashboard {
    let question = "Why did this HorizontalPodAutoscaler scale, or why did it not?";
    Dashboard::of_plimsoll("plimsoll-hpa", "Plimsoll / Autoscaler", question)
        .variable(Variable::one("hpa_namespace", "HPA namespace", "plimsoll_hpa_current_replicas"))
        .variable(Variable::one("hpa", "HPA", "plimsoll_hpa_current_replicas"))
        .annotation(Annotation::scaling(r#"job=~"$job",hpa_namespace="$hpa_namespace",hpa="$hpa""#))
        .section("Now", [current(), desired(), bounds(), last_scale(), pressure(), missing()])
        .section("What it did, and why", [replicas(), ratio()])
        .section("Its metrics", [values(), ages(), metrics()])
        .section("What it says of itself", [conditions(), available()])
        .section("All autoscalers", [all()])
}

fn current() -> Panel {
    Panel::stat("Current replicas", "Replicas that the autoscaler saw when it last looked.")
        .query("max(plimsoll_hpa_current_replicas)", "")
}

fn desired() -> Panel {
    Panel::stat("Desired replicas", "Replicas that it wanted then. Different from the current ones: it is scaling.")
        .query("max(plimsoll_hpa_desired_replicas)", "")
        .thresholds(Thresholds::always(Color::Wanted))
}

fn bounds() -> Panel {
    Panel::stat("May be", "The fewest and the most replicas that it may want.")
        .query_now("max(plimsoll_hpa_min_replicas)", "min")
        .query_now("max(plimsoll_hpa_max_replicas)", "max")
        .thresholds(Thresholds::always(Color::Bound))
}

fn last_scale() -> Panel {
    Panel::stat("Last change", "How long ago it changed the number of replicas. None: it never did.")
        .measured(Measure::Seconds)
        .query_now("time() - max(plimsoll_hpa_last_scale_timestamp_seconds)", "")
}

fn pressure() -> Panel {
    let description = "The highest value of its metrics, as share of the target. Above 110 % it adds replicas, below 90 % it \
                       removes some; in between it does nothing.";
    Panel::stat("Highest of its metrics", description)
        .measured(Measure::Share)
        .query(format!("max({})", of_target()), "")
        .thresholds(Thresholds::always(Color::Measured).then(0.9, Color::Good).then(1.1, Color::Warning))
}

fn missing() -> Panel {
    let description =
        "Of its metrics those that Plimsoll has no value of. While one is missing it does not scale down.";
    Panel::stat("Metrics missing", description)
        .query(format!("sum(max by ({METRIC}) (1 - plimsoll_hpa_metric_available))"), "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
}

/// With what tells it apart as one label.
fn named(query: &str) -> String {
    format!(r#"label_join({query}, "of", " ", "metric", "object", "selector")"#)
}

/// What Plimsoll answers; of CPU and memory, which others answer, what the autoscaler saw.
fn of_target() -> String {
    let of = |what: &str| format!("max by ({METRIC}) (plimsoll_hpa_metric_{what} / plimsoll_hpa_metric_target)");
    format!("{} or {}", of("value"), of("seen"))
}

fn replicas() -> Panel {
    let description = "Current replicas follow the desired ones. Where these lie on a bound, the autoscaler wants more or \
                       fewer than it may.";
    Panel::lines("Replicas", description)
        .query("max(plimsoll_hpa_current_replicas)", "current")
        .query("max(plimsoll_hpa_desired_replicas)", "desired")
        .query("max(plimsoll_hpa_min_replicas)", "minimum")
        .query("max(plimsoll_hpa_max_replicas)", "maximum")
        .size(12, 9)
}

fn ratio() -> Panel {
    let description = "Each metric as share of its target. The highest decides: above the upper line replicas are added, \
                       and they are removed only when all are below the lower one.";
    Panel::lines("Metrics as share of their targets", description)
        .measured(Measure::Share)
        .query(named(&of_target()), LEGEND)
        .thresholds(Thresholds::always(Color::Measured).then(0.9, Color::Good).then(1.1, Color::Warning))
        .size(12, 9)
}

fn values() -> Panel {
    let of = |what: &str| named(&format!("max by ({METRIC}) (plimsoll_hpa_metric_{what})"));
    let description = "What Plimsoll answers now, what the autoscaler says it saw, and what it aims at; per pod where the \
                       target is an average. CPU and memory come from elsewhere, and have no value here.";
    Panel::lines("Value, seen and target", description)
        .query(of("value"), format!("{LEGEND} value"))
        .query(of("seen"), format!("{LEGEND} seen"))
        .query(of("target"), format!("{LEGEND} target"))
}

fn ages() -> Panel {
    let description = "Age of the oldest sample behind each value. It grows when a source no longer answers, and goes on \
                       to grow when the sample is too old to be used and the value is gone.";
    Panel::lines("Age of the values", description)
        .measured(Measure::Seconds)
        .query(named(&format!("max by ({METRIC}) (plimsoll_hpa_metric_age_seconds)")), LEGEND)
        .thresholds(too_old())
}

fn metrics() -> Panel {
    let of = |what: &str| format!("max by ({METRIC}, target_type) (plimsoll_hpa_metric_{what})");
    Panel::table("Metrics", "What the autoscaler asks for, what Plimsoll answers and what the autoscaler saw last.")
        .query(of("target"), "")
        .query(of("value"), "")
        .query(of("seen"), "")
        .query(of("age_seconds"), "")
        .query(of("available"), "")
        .column(Column::label("type", "Type"))
        .column(Column::label("metric", "Metric"))
        .column(Column::label("object", "Object"))
        .column(Column::label("selector", "Selector"))
        .column(Column::label("target_type", "Target type"))
        .column(Column::numbers(0, "Target", Measure::Count))
        .column(Column::numbers(1, "Value", Measure::Count))
        .column(Column::numbers(2, "Seen", Measure::Count))
        .column(Column::numbers(3, "Age", Measure::Seconds).thresholds(too_old()))
        .column(Column::numbers(4, "Available", Measure::State).states(&YES_OR_NO))
        .size(24, 7)
}

fn conditions() -> Panel {
    let of = |which: &str| format!(r#"max by (condition) (plimsoll_hpa_condition{{{which},status="true"}})"#);
    let description = "Conditions over time. ScalingActive: it has numbers. AbleToScale: nothing holds it back. \
                       ScalingLimited: it wants more or fewer replicas than it may.";
    Panel::timeline("Conditions", description)
        .query(of(r#"condition!="ScalingLimited""#), "{{condition}}")
        .query(format!("2 + {}", of(r#"condition="ScalingLimited""#)), "{{condition}}")
        .states(&[
            (0, "no", Color::Critical),
            (1, "yes", Color::Good),
            (2, "no", Color::Good),
            (3, "at a bound", Color::Warning),
        ])
        .size(12, 7)
}

fn available() -> Panel {
    Panel::timeline("Metrics available", "Whether Plimsoll had a value of each metric that the autoscaler asks for.")
        .query(named(&format!("max by ({METRIC}) (plimsoll_hpa_metric_available)")), LEGEND)
        .states(&YES_OR_NO)
        .size(12, 7)
}

/// Of whatever is chosen above, since this is where one chooses.
fn all() -> Panel {
    let link =
        Link::to("plimsoll-hpa", "Why did it scale?").with_cell("hpa_namespace", "Namespace").with_cell("hpa", "HPA");
    let link = link.keeping(OF_PLIMSOLL);
    let each = format!("max by (hpa_namespace, hpa, {METRIC})");
    let of = |what: &str| format!("{each} (plimsoll_hpa_metric_{what} / plimsoll_hpa_metric_target)");
    let pressure = format!("{HPA} ({} or {})", of("value"), of("seen"));
    let missing = format!("sum by (hpa_namespace, hpa) ({each} (1 - plimsoll_hpa_metric_available))");
    Panel::table("All autoscalers", "One row for each. A click on a name shows that autoscaler above.")
        .of_all()
        .query(format!("{HPA} (plimsoll_hpa_current_replicas)"), "")
        .query(format!("{HPA} (plimsoll_hpa_desired_replicas)"), "")
        .query(format!("{HPA} (plimsoll_hpa_min_replicas)"), "")
        .query(format!("{HPA} (plimsoll_hpa_max_replicas)"), "")
        .query(pressure, "")
        .query(missing, "")
        .query(format!("time() - {HPA} (plimsoll_hpa_last_scale_timestamp_seconds)"), "")
        .column(Column::label("hpa_namespace", "Namespace"))
        .column(Column::label("hpa", "HPA").link(link))
        .column(Column::numbers(0, "Current", Measure::Count))
        .column(Column::numbers(1, "Desired", Measure::Count))
        .column(Column::numbers(2, "Minimum", Measure::Count))
        .column(Column::numbers(3, "Maximum", Measure::Count))
        .column(Column::numbers(4, "Of target", Measure::Share))
        .column(Column::numbers(5, "Missing", Measure::Count).thresholds(some_is_bad()))
        .column(Column::numbers(6, "Last change", Measure::Seconds))
        .size(24, 9)
}

/// In seconds, as the alert has it.
fn too_old() -> Thresholds {
    Thresholds::always(Color::Good).then(90.0, Color::Warning)
}

fn some_is_bad() -> Thresholds {
    Thresholds::always(Color::Good).then(1.0, Color::Critical)
}
