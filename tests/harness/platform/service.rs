//! One service: its pods, what they do with the demand, and how many of them its autoscaler wants.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::demand::demand;
use super::pod::{CODES, OUTCOMES, Pod};

#[derive(Clone, Debug)]
pub struct Service {
    pub name: &'static str,
    pub namespace: &'static str,
    pub replicas: RangeInclusive<u32>,
    /// Requests a second that one replica is there for.
    requests: f64,
    /// Seconds in which half of the requests are answered.
    latency: f64,
    routes: &'static [&'static str],
    /// The queue it works on, ten messages for each replica.
    pub queue: Option<&'static str>,
    models: &'static [&'static str],
    pub decides: bool,
    has_business: bool,
    /// Where in its day it begins, 0 to 1.
    phase: f64,
    pub pods: Vec<Pod>,
    /// How many there have been.
    pods_ever: u32,
    /// In replicas that would do.
    pub demand: f64,
    /// When the number of pods last changed; milliseconds since the Unix epoch.
    pub scaled: i64,
}

/// Bytes that a container may take.
pub const MEMORY_LIMIT: f64 = 512.0 * 1024.0 * 1024.0;

/// Cores that a container may take.
pub const CPU_LIMIT: f64 = 1.0;

/// Seconds in which half of the requests are answered when a service is slow.
const SLOW: f64 = 8.0;

/// Of all requests, by status code.
const SHARES: [f64; 3] = [0.9895, 0.01, 0.0005];

/// As `reference` services of an agent platform are, all with an autoscaler but `core-service`.
pub fn services() -> Vec<Service> {
    let base = |name, namespace, replicas, requests, latency| Service {
        name,
        namespace,
        replicas,
        requests,
        latency,
        routes: &["/api", "/health"],
        queue: None,
        models: &[],
        decides: false,
        has_business: false,
        phase: 0.0,
        pods: Vec::new(),
        pods_ever: 0,
        demand: 0.0,
        scaled: 0,
    };
    let mut all = vec![
        Service {
            routes: &["/api/v1/agents", "/api/v1/tasks", "/login"],
            ..base("api-gateway", "agents", 3..=10, 120.0, 0.12)
        },
        Service { queue: Some("agent-tasks"), ..base("agent-orchestrator", "agents", 2..=8, 30.0, 0.2) },
        Service {
            queue: Some("inference"),
            models: &["planner", "embedder"],
            ..base("model-orchestration", "agents", 3..=12, 24.0, 0.32)
        },
        base("tool-integration", "agents", 2..=6, 40.0, 0.18),
        base("web-dashboard", "agents", 2..=6, 50.0, 0.08),
        Service { decides: true, queue: Some("decisions"), ..base("agents", "agents", 3..=20, 20.0, 0.25) },
        Service { has_business: true, ..base("core-service", "models", 3..=3, 50.0, 0.1) },
        Service { queue: Some("indexing"), ..base("queue-worker", "models", 2..=6, 20.0, 0.3) },
    ];
    let count = all.len() as f64;
    all.iter_mut().enumerate().for_each(|(at, service)| service.phase = at as f64 / count);
    all
}

// === impl Service ===

impl Service {
    pub fn is_scaled(&self) -> bool {
        self.replicas.start() < self.replicas.end()
    }

    /// Pods that its autoscaler wants.
    pub fn desired(&self) -> u32 {
        (self.demand.ceil() as u32).clamp(*self.replicas.start(), *self.replicas.end())
    }

    /// Share of what its pods can do that is asked of them.
    pub fn load(&self) -> f64 {
        self.demand / self.pods.len().max(1) as f64
    }

    /// Messages that wait.
    pub fn queue_length(&self) -> f64 {
        (self.demand * 10.0).round()
    }

    /// Seconds in which 95 of 100 requests are answered.
    pub fn latency_p95(&self) -> f64 {
        self.median(false) * 2.1
    }

    fn median(&self, is_slow: bool) -> f64 {
        if is_slow { SLOW } else { self.latency * (0.7 + 0.5 * self.load()) }
    }

    /// Has the pods work for so many seconds.
    pub fn work(&mut self, now: f64, seconds: f64, is_slow: bool) {
        self.demand = demand(self.phase, now) * f64::from(*self.replicas.start());
        let (load, median) = (self.load(), self.median(is_slow));
        let requests = self.requests * load * seconds / self.routes.len() as f64;
        for pod in &mut self.pods {
            for (at, (codes, durations)) in pod.requests.iter_mut().zip(&mut pod.durations).enumerate() {
                codes.iter_mut().zip(SHARES).for_each(|(count, share)| *count += requests * share);
                durations.observe(requests, median * (1.0 + 0.2 * at as f64));
            }
            for (at, inferences) in pod.inferences.iter_mut().enumerate() {
                inferences.observe(requests, median * (1.5 - 0.9 * at as f64));
            }
            add(&mut pod.decisions, [0.85, 0.11, 0.04].map(|share| share * 20.0 * load * seconds));
            add(&mut pod.business, [0.5, 9.6, 0.4].map(|rate| rate * load * seconds));
            pod.cpu_seconds += CPU_LIMIT * 0.62 * load.min(1.25) * seconds;
            pod.memory = MEMORY_LIMIT * (0.55 + 0.1 * load.min(1.5));
        }
    }

    /// Brings the number of pods to what is wanted; whether it changed.
    pub fn scale(&mut self, now: f64, wall: i64) -> bool {
        self.demand = demand(self.phase, now) * f64::from(*self.replicas.start());
        let (wanted, before) = (self.desired() as usize, self.pods.len());
        while self.pods.len() < wanted {
            let pod = self.next_pod(wall);
            self.pods.push(pod);
        }
        self.pods.truncate(wanted);
        if self.pods.len() != before {
            self.scaled = wall;
        }
        self.pods.len() != before
    }

    fn next_pod(&mut self, wall: i64) -> Pod {
        self.pods_ever += 1;
        let address = format!("10.1.{}.{}:8080", (self.phase * 200.0) as u32, self.pods_ever % 250 + 1);
        Pod::new(self.name, self.pods_ever, address, [self.routes.len(), self.models.len()], wall)
    }

    /// What a pod exposes of itself.
    pub fn page(&self, pod: &Pod, wall: i64) -> String {
        let mut page = String::new();
        self.write_requests(&mut page, pod).expect("a String takes all");
        self.write_work(&mut page, pod).expect("a String takes all");
        if self.has_business {
            self.write_business(&mut page, pod).expect("a String takes all");
        }
        let started = pod.started.min(wall) as f64 / 1000.0;
        page + &format!(
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {:.2}\n\
             # TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}\n\
             # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}\n",
            pod.cpu_seconds,
            pod.memory.floor(),
        )
    }

    fn write_requests(&self, page: &mut String, pod: &Pod) -> std::fmt::Result {
        writeln!(page, "# TYPE http_requests_total counter")?;
        for (route, counts) in self.routes.iter().zip(&pod.requests) {
            for (code, count) in CODES.iter().zip(counts) {
                let count = count.floor();
                writeln!(page, "http_requests_total{{code=\"{code}\",method=\"GET\",route=\"{route}\"}} {count}")?;
            }
        }
        writeln!(page, "# TYPE http_request_duration_seconds histogram")?;
        for (route, durations) in self.routes.iter().zip(&pod.durations) {
            page.push_str(&durations.lines("http_request_duration_seconds", &format!("route=\"{route}\"")));
        }
        let in_flight = (self.requests * self.load() * self.median(false)).round();
        writeln!(page, "# TYPE http_requests_in_flight gauge\nhttp_requests_in_flight {in_flight}")
    }

    fn write_work(&self, page: &mut String, pod: &Pod) -> std::fmt::Result {
        if let Some(queue) = self.queue {
            let length = self.queue_length();
            writeln!(page, "# TYPE agent_queue_length gauge\nagent_queue_length{{queue=\"{queue}\"}} {length}")?;
        }
        if self.decides {
            writeln!(page, "# TYPE agent_decisions_total counter")?;
            for (outcome, count) in OUTCOMES.iter().zip(pod.decisions) {
                writeln!(page, "agent_decisions_total{{outcome=\"{outcome}\"}} {}", count.floor())?;
            }
        }
        if !self.models.is_empty() {
            writeln!(page, "# TYPE model_inference_duration_seconds histogram")?;
        }
        for (model, inferences) in self.models.iter().zip(&pod.inferences) {
            page.push_str(&inferences.lines("model_inference_duration_seconds", &format!("model=\"{model}\"")));
        }
        Ok(())
    }

    fn write_business(&self, page: &mut String, pod: &Pod) -> std::fmt::Result {
        let [repositories, succeeded, failed] = pod.business.map(f64::floor);
        writeln!(page, "# TYPE repositories_indexed_total counter\nrepositories_indexed_total {repositories}")?;
        writeln!(page, "# TYPE queries_total counter\nqueries_total{{result=\"success\"}} {succeeded}")?;
        writeln!(page, "queries_total{{result=\"failure\"}} {failed}")?;
        writeln!(page, "# TYPE active_users gauge\nactive_users {}", (40.0 * self.load()).round())?;
        writeln!(page, "# TYPE learning_rate gauge\nlearning_rate {:.3}", 0.3 + 0.1 * self.load())
    }
}

fn add(counts: &mut [f64; 3], more: [f64; 3]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}
