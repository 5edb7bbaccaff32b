//! Do the services have what they need?

use crate::catalog::dashboard::{Color, Dashboard, Measure, Panel, Thresholds};

const CPU: &str = "instance:container_cpu_usage:ratio_limit";
const MEMORY: &str = "instance:container_memory_working_set:ratio_limit";

pub(super) fn dashboard() -> Dashboard {
    let question = "Do the services have the CPU, the memory and the replicas that they need?";
    Dashboard::of_platform("platform-resources", "Platform / Resources", question, r#"up{workload!=""}"#)
        .section("Now", [cpu_now(), memory_now(), cores_now(), bytes_now(), replicas_now(), down_now()])
        .section("CPU", [cpu(), cpu_of_instances()])
        .section("Memory", [memory(), memory_of_instances()])
        .section("Replicas", [replicas(), down()])
        .section("Processes", [cores(), bytes()])
}

/// Of what a container may take.
fn for_cpu() -> Thresholds {
    Thresholds::always(Color::Good).then(0.8, Color::Warning)
}

fn for_memory() -> Thresholds {
    Thresholds::above(0.85, 0.95)
}

fn cpu_now() -> Panel {
    Panel::stat("Highest CPU", "The workload that uses most of its limit on CPU. It is to stay below 80 %.")
        .measured(Measure::Share)
        .query(format!("max(avg by (namespace, workload) ({CPU}))"), "")
        .thresholds(for_cpu())
}

fn memory_now() -> Panel {
    Panel::stat("Highest memory", "The workload that uses most of its limit on memory. It is to stay below 85 %.")
        .measured(Measure::Share)
        .query(format!("max(avg by (namespace, workload) ({MEMORY}))"), "")
        .thresholds(for_memory())
}

fn cores_now() -> Panel {
    Panel::stat("CPU", "Cores that all chosen services use.")
        .measured(Measure::Cores)
        .query("sum(rate(process_cpu_seconds_total[$__rate_interval]))", "")
}

fn bytes_now() -> Panel {
    Panel::stat("Memory", "Resident memory of all chosen services.")
        .measured(Measure::Bytes)
        .query("sum(process_resident_memory_bytes)", "")
}

fn replicas_now() -> Panel {
    Panel::stat("Instances up", "Instances whose last scrape succeeded.").query(r#"sum(up{workload!=""})"#, "")
}

fn down_now() -> Panel {
    Panel::stat("Instances down", "Instances whose last scrape failed.")
        .query(r#"sum(1 - up{workload!=""})"#, "")
        .thresholds(Thresholds::always(Color::Good).then(1.0, Color::Critical))
}

fn cpu() -> Panel {
    Panel::lines("CPU by workload", "Share of its limit that each workload uses, averaged over its instances.")
        .measured(Measure::Share)
        .query(format!("avg by (workload) ({CPU})"), "{{workload}}")
        .thresholds(for_cpu())
}

fn cpu_of_instances() -> Panel {
    Panel::bars("CPU of the busiest instances", "Share of the limit. Far above its siblings: the load is not spread.")
        .measured(Measure::Share)
        .query(format!("topk(8, max by (workload, instance) ({CPU}))"), "{{workload}} {{instance}}")
        .thresholds(for_cpu())
        .up_to(1.0)
        .size(12, 8)
}

fn memory() -> Panel {
    let description = "Share of its limit that each workload uses, averaged over its instances. At 100 % a container is \
                       killed.";
    Panel::lines("Memory by workload", description)
        .measured(Measure::Share)
        .query(format!("avg by (workload) ({MEMORY})"), "{{workload}}")
        .thresholds(for_memory())
}

fn memory_of_instances() -> Panel {
    Panel::bars("Memory of the fullest instances", "Share of the limit. At 100 % the container is killed.")
        .measured(Measure::Share)
        .query(format!("topk(8, max by (workload, instance) ({MEMORY}))"), "{{workload}} {{instance}}")
        .thresholds(for_memory())
        .up_to(1.0)
        .size(12, 8)
}

fn replicas() -> Panel {
    Panel::lines("Instances up by workload", "Instances whose last scrape succeeded. It follows the autoscaler.")
        .query(r#"sum by (workload) (up{workload!=""})"#, "{{workload}}")
}

fn down() -> Panel {
    let description = "Instances whose last scrape failed. Short peaks are replicas that begin or end.";
    Panel::lines("Instances down by workload", description)
        .query(r#"sum by (workload) (1 - up{workload!=""})"#, "{{workload}}")
}

fn cores() -> Panel {
    Panel::stack("CPU that is used", "Cores that each workload uses, as its processes say.")
        .measured(Measure::Cores)
        .query("sum by (workload) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{workload}}")
}

fn bytes() -> Panel {
    Panel::stack("Memory that is used", "Resident memory of each workload, as its processes say.")
        .measured(Measure::Bytes)
        .query("sum by (workload) (process_resident_memory_bytes)", "{{workload}}")
}
