//! The simulated platform: the services that have custom metrics, each under the demand of the day.
//!
//! In go steps of time and wanted replicas; out come pods and their pages. Pure and seeded: whoever holds it decides
//! how its time relates to the clock on the wall. Times are seconds of the demo.

use crate::demo::day::{Day, Demand};
use crate::demo::random::Random;
use crate::demo::workload::{Service, Work, Workload};

/// All Deployments of the demo live in this namespace.
pub const NAMESPACE: &str = "agents";

/// The longest step; longer ones are split, so that pods start and work moves on at about the right moment.
const STEP_SECONDS_MAX: f64 = 0.05;

/// Every Deployment, and the day they live through.
#[derive(Clone, Debug)]
pub struct Plant {
    day: Day,
    now: f64,
    workloads: Vec<Workload>,
}

/// The services that scale on custom metrics. Outside the spike the smallest number of replicas that the
/// HorizontalPodAutoscaler allows can do nearly all of the work; in the spike several times as many are needed.
const SERVICES: [Service; 4] = [
    Service {
        deployment: "agent-orchestrator",
        work: Work::Tasks { queue: "agent-tasks" },
        demand: Demand { night: 1.0, noon: 6.0, spike: 20.0 },
        replicas: 2,
        slots: 2,
        work_seconds: 0.5,
        startup_seconds: 2.0,
        waiting_max: 10_000,
    },
    Service {
        deployment: "model-orchestration",
        work: Work::Inferences { queue: "inference" },
        demand: Demand { night: 2.0, noon: 6.0, spike: 18.0 },
        replicas: 3,
        slots: 2,
        work_seconds: 0.6,
        startup_seconds: 3.0,
        waiting_max: 10_000,
    },
    Service {
        deployment: "web-dashboard",
        work: Work::Pages,
        demand: Demand { night: 8.0, noon: 80.0, spike: 150.0 },
        replicas: 2,
        slots: 8,
        work_seconds: 0.08,
        startup_seconds: 1.5,
        waiting_max: 60,
    },
    Service {
        deployment: "agents",
        work: Work::Decisions,
        demand: Demand { night: 6.0, noon: 32.0, spike: 45.0 },
        replicas: 3,
        slots: 2,
        work_seconds: 0.25,
        startup_seconds: 2.0,
        waiting_max: 400,
    },
];

// === impl Plant ===

impl Plant {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let workloads = SERVICES.into_iter().map(|service| Workload::new(service, random.next_u64())).collect();
        Self { day: Day::new(seed), now: 0.0, workloads }
    }

    /// Seconds of the demo since its start.
    pub fn now(&self) -> f64 {
        self.now
    }

    pub fn day(&self) -> &Day {
        &self.day
    }

    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    pub fn workload(&self, deployment: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.service.deployment == deployment)
    }

    /// Lets `seconds` pass.
    pub fn step(&mut self, seconds: f64) {
        let steps = (seconds / STEP_SECONDS_MAX).ceil().max(1.0);
        for _ in 0..steps as u64 {
            let (from, to) = (self.now, self.now + seconds / steps);
            for (i, workload) in self.workloads.iter_mut().enumerate() {
                let rate = self.day.rate(i as u64, workload.service.demand, from);
                workload.step(from, to, rate);
            }
            self.now = to;
        }
    }

    /// Sets the wanted replicas of a Deployment; `false` when there is no such Deployment.
    pub fn scale(&mut self, deployment: &str, replicas: usize) -> bool {
        let found = self.workloads.iter_mut().find(|workload| workload.service.deployment == deployment);
        found.is_some_and(|workload| {
            workload.scale(replicas, self.now);
            true
        })
    }

    /// The page of a pod; `None` when there is no such pod or it does not answer yet.
    pub fn page(&self, pod: &str) -> Option<String> {
        self.workloads.iter().find_map(|workload| workload.page(pod))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pages(plant: &Plant) -> BTreeMap<String, String> {
        let pods = plant.workloads().iter().flat_map(Workload::pods);
        pods.filter_map(|pod| Some((pod.name.clone(), plant.page(&pod.name)?))).collect()
    }

    /// Counter, bucket, sum and count samples of a page.
    fn counters(page: &str) -> BTreeMap<String, f64> {
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("agent_queue_length"));
        let split = lines.filter_map(|line| line.rsplit_once(' '));
        split.map(|(series, value)| (series.to_owned(), value.parse().expect("a number"))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        let run = |seed| {
            let mut plant = Plant::new(seed);
            plant.step(20.0);
            plant.scale("agents", 5);
            plant.step(20.0);
            pages(&plant)
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn the_spike_raises_the_queue() {
        let mut plant = Plant::new(7);
        plant.step(plant.day().spike_start(0));
        let queue = |plant: &Plant| plant.workload("agent-orchestrator").expect("it is in the list").queue_length();
        assert!(queue(&plant) < 20, "before: {}", queue(&plant));
        plant.step(8.0);
        assert!(queue(&plant) > 60, "in the spike: {}", queue(&plant));
    }

    #[test]
    fn counters_never_go_down_in_the_life_of_a_pod() {
        let mut plant = Plant::new(7);
        let mut before: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for second in 0..60 {
            plant.scale("agents", 3 + second % 4);
            plant.step(1.0);
            let after: BTreeMap<_, _> = pages(&plant).iter().map(|(pod, page)| (pod.clone(), counters(page))).collect();
            for (pod, old) in &before {
                let Some(new) = after.get(pod) else { continue };
                for (series, value) in old {
                    assert!(new[series] >= *value, "{pod}: {series} fell from {value} to {}", new[series]);
                }
            }
            before = after;
        }
        assert!(before.values().any(|page| page.values().any(|value| *value > 100.0)), "something was counted");
    }

    #[test]
    fn a_new_pod_counts_from_zero() {
        let mut plant = Plant::new(7);
        plant.step(10.0);
        plant.scale("agents", 4);
        while plant.workload("agents").expect("it is in the list").pods()[3].phase == crate::demo::pod::Phase::Starting
        {
            plant.step(0.05);
        }
        let new = &plant.workload("agents").expect("it is in the list").pods()[3];
        assert!(new.instruments.requests_total() <= 2, "{}", new.instruments.requests_total());
    }

    #[test]
    fn every_page_parses() {
        let mut plant = Plant::new(7);
        plant.step(40.0);
        let pages = pages(&plant);
        assert_eq!(pages.len(), 10);
        for (pod, page) in pages {
            let parsed = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned())));
            let samples = parsed.expect("it parses").samples;
            // That crate gives the sum and the count of a histogram no type.
            let typed =
                |sample: &&prometheus_parse::Sample| !matches!(sample.value, prometheus_parse::Value::Untyped(_));
            let names: Vec<&str> = samples.iter().filter(typed).map(|sample| sample.metric.as_str()).collect();
            assert!(names.contains(&"http_requests_total"), "{pod}: {names:?}");
            assert!(names.contains(&"http_request_duration_seconds"), "{pod}: {names:?}");
            assert_eq!(names.contains(&"agent_decisions_total"), pod.starts_with("agents-"), "{pod}: {names:?}");
        }
    }
}
