//! One sentence for a newcomer: what is going on right now, and why.
//!
//! Told from the queue of the first workload, which shows the whole course of scaling most clearly. Pure.

use crate::demo::board::Board;
use crate::demo::day::{DAY_SECONDS, TimeOfDay};
use crate::demo::plant::Plant;
use crate::demo::pod::Phase;
use crate::demo::workload::Workload;

/// Above this share of the spike, people would say it is there.
const SPIKE_SHARE: f64 = 0.1;
/// A queue shorter than this is the ordinary coming and going.
const QUEUE_SMALL: usize = 15;

/// The sentence for this moment.
pub fn tell(plant: &Plant, board: &Board) -> String {
    let Some(workload) = plant.workloads().first() else {
        return String::new();
    };
    let report = board.reports.iter().find(|report| report.deployment == workload.service.deployment);
    if report.is_some_and(|report| report.metrics.iter().any(|metric| metric.reading.is_none())) {
        return "Plimsoll finds the pods and takes its first samples.".into();
    }
    if report.is_some_and(|report| report.metrics.iter().any(|metric| metric.refusal().is_some())) {
        return "Plimsoll has no number it can stand for, so it answers with the reason and the HPA holds.".into();
    }
    let least = report.map_or(workload.service.replicas, |report| report.replicas_min);
    if plant.day().spike(plant.now()) > SPIKE_SHARE { spike(workload) } else { ordinary(plant, workload, least) }
}

fn spike(workload: &Workload) -> String {
    let (starting, queue) = (workload.count(Phase::Starting), workload.queue_length());
    let story = match (starting, queue) {
        (0, queue) if queue <= QUEUE_SMALL => "The spike: far more work arrives, and there are pods enough to do it.",
        (0, _) if workload.replicas > workload.service.replicas => {
            "The spike: the new pods are ready and work the queue off."
        }
        (0, _) => "The spike: work arrives faster than the ready pods can do it, so the queue grows.",
        _ => "The spike: Plimsoll reports the queue, the HPA asked for more pods, and they are starting.",
    };
    story.into()
}

fn ordinary(plant: &Plant, workload: &Workload, least: usize) -> String {
    let start = (plant.now() / DAY_SECONDS).floor();
    let spike_at = start * DAY_SECONDS + plant.day().spike_start(start as u64);
    let queue = workload.queue_length();
    match workload.replicas > least {
        _ if queue > QUEUE_SMALL => format!("The spike is over: {} pods drain the queue.", workload.replicas),
        true => {
            "The queue is empty: the HPA waits for its stabilisation window, then removes pods step by step.".into()
        }
        false if plant.now() < spike_at => {
            format!(
                "An ordinary day: the fewest pods do all the work. A spike comes at {}.",
                TimeOfDay::at(spike_at).to_minutes()
            )
        }
        false => "The spike is served and the pods it needed are gone: back to the minimum.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_follows_the_spike() {
        let mut plant = Plant::new(7);
        let check = |plant: &Plant, want: &str| {
            let told = tell(plant, &Board::default());
            assert!(told.contains(want), "{told:?} does not say {want:?}");
        };
        check(&plant, "A spike comes at");
        plant.step(plant.day().spike_start(0) + 6.0);
        check(&plant, "the queue grows");
        plant.scale("agent-orchestrator", 8);
        check(&plant, "they are starting");
        plant.step(4.0);
        check(&plant, "work the queue off");
        plant.step(4.5);
        check(&plant, "drain the queue");
        plant.step(10.0);
        check(&plant, "stabilisation");
        plant.scale("agent-orchestrator", 2);
        check(&plant, "back to the minimum");
    }
}
