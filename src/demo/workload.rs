//! One simulated Deployment: work arrives, waits in one queue and is done by the slots of its ready pods.
//!
//! In go arrivals per second and the wanted number of replicas; out come waiting work, latencies and the pods'
//! instruments. The queue is real: work waits until a slot is free, so latencies rise with utilisation as in any
//! M/G/c queue, and a backlog drains only with capacity. Pure and seeded; times are seconds of the demo.

use std::collections::VecDeque;

use crate::demo::day::Demand;
use crate::demo::pod::{Instruments, Phase, Pod, Request};
use crate::demo::random::Random;

/// What is fixed about a Deployment of the demo.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub deployment: &'static str,
    pub work: Work,
    pub demand: Demand,
    /// Replicas at the start.
    pub replicas: usize,
    /// Pieces of work one pod does at a time.
    pub slots: usize,
    /// Mean seconds one piece takes.
    pub work_seconds: f64,
    /// Seconds from the wish for a pod to its readiness.
    pub startup_seconds: f64,
    /// Pieces that may wait; the ones beyond are refused with 503.
    pub waiting_max: usize,
}

/// What a piece of work is, and so which instruments see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Tasks in a queue that all pods share; a request puts one in.
    Tasks { queue: &'static str },
    /// Inferences from a queue that all pods share; a request puts one in.
    Inferences { queue: &'static str },
    /// Decisions, each answering a request.
    Decisions,
    /// Pages of the dashboard, each answering a request.
    Pages,
}

/// A Deployment at work.
#[derive(Clone, Debug)]
pub struct Workload {
    pub service: Service,
    /// Wanted replicas, as in `spec.replicas`.
    pub replicas: usize,
    /// The longest queue so far.
    pub queue_peak: usize,
    /// The fewest and the most replicas wanted so far.
    pub replicas_range: (usize, usize),
    pods: Vec<Pod>,
    /// Arrival times of waiting work, oldest first.
    waiting: VecDeque<f64>,
    doing: Vec<Doing>,
    /// Drives arrivals only, so that scaling does not change the demand.
    arrivals: Random,
    random: Random,
    /// The pod template hash of its ReplicaSet.
    template_hash: String,
}

/// A piece of work in a slot.
#[derive(Clone, Debug)]
struct Doing {
    pod: String,
    arrived_at: f64,
    done_at: f64,
}

/// One answer in this many is a failure that has nothing to do with load.
const FAILURE_SHARE: f64 = 0.003;

// === impl Work ===

impl Work {
    /// The queue of which the pods report the length.
    pub fn queue(self) -> Option<&'static str> {
        match self {
            Self::Tasks { queue } | Self::Inferences { queue } => Some(queue),
            Self::Decisions | Self::Pages => None,
        }
    }

    fn method(self) -> &'static str {
        if self == Self::Pages { "GET" } else { "POST" }
    }

    fn routes(self) -> &'static [&'static str] {
        match self {
            Self::Tasks { .. } => &["/tasks"],
            Self::Inferences { .. } => &["/inferences"],
            Self::Decisions => &["/decisions"],
            Self::Pages => &["/", "/agents", "/repositories"],
        }
    }

    /// The code of a success: queued work is accepted, other work is answered.
    fn success(self) -> u16 {
        if self.queue().is_some() { 202 } else { 200 }
    }

    fn instruments(self) -> Instruments {
        let instruments = Instruments::new(self.method(), self.routes(), &[self.success(), 500, 503]);
        match self {
            Self::Tasks { .. } | Self::Pages => instruments,
            Self::Inferences { .. } => instruments.with_inference(),
            Self::Decisions => instruments.with_decisions(),
        }
    }
}

// === impl Workload ===

impl Workload {
    /// A Deployment whose pods are ready from the start.
    pub fn new(service: Service, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut workload = Self {
            arrivals: Random::new(random.next_u64()),
            template_hash: letters(&mut random, 9),
            random,
            replicas: 0,
            queue_peak: 0,
            replicas_range: (service.replicas, service.replicas),
            pods: Vec::new(),
            waiting: VecDeque::new(),
            doing: Vec::new(),
            service,
        };
        workload.scale(workload.service.replicas, f64::NEG_INFINITY);
        workload.ready(0.0);
        workload
    }

    /// Pods in the order of their creation.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The name of the ReplicaSet between the Deployment and its pods.
    pub fn replica_set(&self) -> String {
        format!("{}-{}", self.service.deployment, self.template_hash)
    }

    /// Pieces of work that wait.
    pub fn queue_length(&self) -> usize {
        self.waiting.len()
    }

    /// Pods in a phase.
    pub fn count(&self, phase: Phase) -> usize {
        self.pods.iter().filter(|pod| pod.phase == phase).count()
    }

    /// The page of a pod; `None` when there is no such pod or it does not answer yet.
    pub fn page(&self, pod: &str) -> Option<String> {
        let pod = self.pods.iter().find(|candidate| candidate.name == pod && candidate.phase != Phase::Starting)?;
        Some(pod.instruments.page(self.service.work.queue().map(|queue| (queue, self.queue_length()))))
    }

    /// Sets the wanted replicas at `now`. As a ReplicaSet does, pods that are not ready go first, then the newest.
    pub fn scale(&mut self, replicas: usize, now: f64) {
        self.replicas = replicas;
        self.replicas_range = (self.replicas_range.0.min(replicas), self.replicas_range.1.max(replicas));
        let kept = self.pods.iter().filter(|pod| pod.phase != Phase::Terminating).count();
        for _ in kept..replicas {
            self.start_pod(now);
        }
        for _ in replicas..kept {
            self.end_pod(now);
        }
    }

    /// Lets the time from `from` to `to` pass with `rate` arrivals per second.
    pub fn step(&mut self, from: f64, to: f64, rate: f64) {
        self.ready(to);
        let count = self.arrivals.poisson(rate * (to - from));
        let mut times: Vec<f64> = (0..count).map(|_| from + (to - from) * self.arrivals.uniform()).collect();
        times.sort_by(f64::total_cmp);
        times.into_iter().for_each(|arrived_at| self.arrive(arrived_at));
        self.take_up(to);
        self.queue_peak = self.queue_peak.max(self.waiting.len());
        self.finish(to);
        self.pods.retain(|pod| !pod.is_gone(to));
    }

    fn start_pod(&mut self, now: f64) {
        let name = format!("{}-{}", self.replica_set(), letters(&mut self.random, 5));
        let startup = self.service.startup_seconds * (0.9 + 0.3 * self.random.uniform());
        self.pods.push(Pod::new(name, now + startup, self.service.slots, self.service.work.instruments()));
    }

    fn end_pod(&mut self, now: f64) {
        if let Some(starting) = self.pods.iter().rposition(|pod| pod.phase == Phase::Starting) {
            self.pods.remove(starting);
        } else if let Some(newest) = self.pods.iter_mut().rev().find(|pod| pod.phase == Phase::Ready) {
            newest.terminate(now);
        }
    }

    fn ready(&mut self, now: f64) {
        for pod in &mut self.pods {
            if pod.phase == Phase::Starting && pod.ready_at <= now {
                pod.phase = Phase::Ready;
            }
        }
    }

    /// Work is put in the queue, or refused when the queue is full.
    fn arrive(&mut self, arrived_at: f64) {
        let accepted = self.waiting.len() < self.service.waiting_max;
        if accepted {
            self.waiting.push_back(arrived_at);
        }
        let seconds = self.random.duration(0.012);
        match (accepted, self.service.work.queue()) {
            (false, _) => self.answer(None, 503, seconds),
            // A queued piece is answered at once, whichever pod works on it later.
            (true, Some(_)) => self.answer(None, self.service.work.success(), seconds),
            (true, None) => {}
        }
    }

    /// Free slots of ready pods take the oldest work.
    fn take_up(&mut self, to: f64) {
        while let Some(arrived_at) = self.waiting.front().copied() {
            let ready = self.pods.iter_mut().filter(|pod| pod.phase == Phase::Ready);
            let slots = ready.flat_map(|Pod { name, slots, .. }| slots.iter_mut().map(|slot| (slot, &*name)));
            let Some((slot, pod)) = slots.min_by(|a, b| a.0.total_cmp(b.0)).filter(|(slot, _)| **slot < to) else {
                return;
            };
            let done_at = slot.max(arrived_at) + self.random.duration(self.service.work_seconds);
            *slot = done_at;
            self.doing.push(Doing { pod: pod.clone(), arrived_at, done_at });
            self.waiting.pop_front();
        }
    }

    fn finish(&mut self, to: f64) {
        let (done, doing) = std::mem::take(&mut self.doing).into_iter().partition(|doing| doing.done_at <= to);
        self.doing = doing;
        let done: Vec<Doing> = done;
        for Doing { pod, arrived_at, done_at } in done {
            self.complete(&pod, done_at - arrived_at);
        }
    }

    /// The instruments of the pod that did the work see it; `seconds` count from its arrival.
    fn complete(&mut self, pod: &str, seconds: f64) {
        let share = self.random.uniform();
        let work = self.service.work;
        if work.queue().is_none() {
            self.answer(Some(pod), work.success(), seconds);
        }
        let Some(pod) = self.pods.iter_mut().find(|candidate| candidate.name == pod) else {
            return;
        };
        match work {
            Work::Inferences { .. } => pod.instruments.inference(seconds),
            Work::Decisions => pod.instruments.decision(share),
            Work::Tasks { .. } | Work::Pages => {}
        }
    }

    /// Counts an answer on the given pod, or on any ready one. A few successes turn out to be failures.
    fn answer(&mut self, pod: Option<&str>, code: u16, seconds: f64) {
        let code = if code < 500 && self.random.uniform() < FAILURE_SHARE { 500 } else { code };
        let routes = self.service.work.routes();
        let request =
            Request { code, method: self.service.work.method(), route: routes[self.random.below(routes.len())] };
        let chosen = match pod {
            Some(pod) => self.pods.iter().position(|candidate| candidate.name == pod),
            None => self.any_ready(),
        };
        if let Some(chosen) = chosen {
            self.pods[chosen].instruments.request(request, seconds);
        }
    }

    fn any_ready(&mut self) -> Option<usize> {
        let ready = self.pods.iter().enumerate().filter(|(_, pod)| pod.phase == Phase::Ready);
        let ready: Vec<usize> = ready.map(|(i, _)| i).collect();
        ready.get(self.random.below(ready.len())).copied()
    }
}

/// A random suffix from the alphabet Kubernetes uses for generated names (apimachinery `util/rand`).
fn letters(random: &mut Random, count: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..count).map(|_| char::from(ALPHABET[random.below(ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(replicas: usize) -> Workload {
        let service = Service {
            deployment: "worker",
            work: Work::Tasks { queue: "tasks" },
            demand: Demand { night: 0.0, noon: 0.0, spike: 0.0 },
            replicas,
            slots: 2,
            work_seconds: 0.5,
            startup_seconds: 2.0,
            waiting_max: 1_000,
        };
        Workload::new(service, 3)
    }

    /// Steps of 50 ms from `from` for `seconds`; the end.
    fn run(workload: &mut Workload, from: f64, seconds: f64, rate: f64) -> f64 {
        let steps = (seconds / 0.05).round() as u32;
        let at = |step: u32| from + f64::from(step) * 0.05;
        (0..steps).for_each(|step| workload.step(at(step), at(step + 1), rate));
        at(steps)
    }

    #[test]
    fn more_replicas_drain_the_queue_faster() {
        let left = |replicas| {
            let mut workload = workload(replicas);
            let now = run(&mut workload, 0.0, 10.0, 20.0);
            run(&mut workload, now, 5.0, 0.0);
            workload.queue_length()
        };
        assert!(left(1) > 120, "one pod does 4 per second: {} are left", left(1));
        assert!(left(2) < left(1) - 40, "{} are left", left(2));
        assert_eq!(left(6), 0);
    }

    #[test]
    fn a_new_pod_takes_work_only_after_its_start() {
        let mut workload = workload(1);
        let now = run(&mut workload, 0.0, 5.0, 20.0);
        workload.scale(4, now);
        assert_eq!((workload.count(Phase::Ready), workload.count(Phase::Starting)), (1, 3));
        let before = workload.queue_length();
        let now = run(&mut workload, now, 1.5, 0.0);
        assert!(workload.queue_length() + 10 > before, "only one pod worked");
        run(&mut workload, now, 2.0, 0.0);
        assert_eq!(workload.count(Phase::Ready), 4);
    }

    #[test]
    fn an_ending_pod_finishes_its_work_and_takes_no_more() {
        let mut workload = workload(2);
        let now = run(&mut workload, 0.0, 5.0, 20.0);
        workload.scale(1, now);
        let doing = workload.doing.len();
        assert_eq!((workload.count(Phase::Terminating), doing), (1, 4));
        run(&mut workload, now, 5.0, 20.0);
        assert_eq!((workload.pods().len(), workload.replicas), (1, 1));
    }

    #[test]
    fn starting_pods_go_first_and_answer_nothing() {
        let mut workload = workload(1);
        workload.scale(2, 0.0);
        let (old, new) = (workload.pods()[0].name.clone(), workload.pods()[1].name.clone());
        assert!(workload.page(&old).is_some() && workload.page(&new).is_none());
        workload.scale(1, 0.1);
        assert_eq!(workload.pods().iter().map(|pod| &pod.name).collect::<Vec<_>>(), [&old]);
    }

    #[test]
    fn a_full_queue_refuses() {
        let mut workload = workload(1);
        workload.service.waiting_max = 5;
        run(&mut workload, 0.0, 2.0, 50.0);
        assert_eq!(workload.queue_length(), 5);
        let page = workload.page(&workload.pods()[0].name).expect("ready");
        assert!(!page.contains("code=\"503\",method=\"POST\",route=\"/tasks\"} 0"), "{page}");
    }
}
