//! One simulated pod: its life, its slots for work and the instruments it keeps, as a real process keeps them.
//!
//! A pod begins with every counter at 0 and takes them with it when it ends. Goes out: its page in the text
//! exposition format, version 0.0.4. Nothing here draws, sleeps or reads a clock; times are seconds of the demo.

use std::fmt::Write as _;

/// Where a pod stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its containers are being created; it answers nothing yet.
    Starting,
    Ready,
    /// It finishes the work it has and takes no more, but still answers.
    Terminating,
}

/// A process with room for some pieces of work at a time.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub phase: Phase,
    /// When it leaves [`Phase::Starting`], in seconds of the demo.
    pub ready_at: f64,
    /// When each slot is free again, in seconds of the demo.
    pub slots: Vec<f64>,
    /// While [`Phase::Terminating`]: it answers until then at least, in seconds of the demo.
    lingers_until: f64,
    pub instruments: Instruments,
}

/// Counters and histograms of one process.
#[derive(Clone, Debug)]
pub struct Instruments {
    routes: Vec<Route>,
    duration: Histogram,
    /// By outcome; only agents decide.
    decisions: Vec<(&'static str, u64)>,
    /// Only model servers infer.
    inference: Option<Histogram>,
}

/// One series of `http_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub code: u16,
    pub method: &'static str,
    pub route: &'static str,
}

#[derive(Clone, Debug)]
struct Route {
    request: Request,
    total: u64,
}

/// A classic histogram, cumulative only when written.
#[derive(Clone, Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last counts what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

/// As with the usual `preStop` pause: whoever discovers pods hears of the end before the pod stops answering.
const LINGER_SECONDS: f64 = 1.6;
/// Upper bounds in seconds, those of the Prometheus client libraries.
const HTTP_BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds in seconds, finer around the promise of 2 s.
const INFERENCE_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0];
const OUTCOMES: [&str; 3] = ["approved", "rejected", "escalated"];

// === impl Pod ===

impl Pod {
    /// A pod that takes work from `ready_at` on.
    pub fn new(name: String, ready_at: f64, slots: usize, instruments: Instruments) -> Self {
        Self { name, phase: Phase::Starting, ready_at, slots: vec![ready_at; slots], lingers_until: 0.0, instruments }
    }

    /// Asks it to end at `now`.
    pub fn terminate(&mut self, now: f64) {
        self.phase = Phase::Terminating;
        self.lingers_until = now + LINGER_SECONDS;
    }

    /// Whether it was asked to end, and its work is done.
    pub fn is_gone(&self, now: f64) -> bool {
        let idle = self.slots.iter().all(|free_at| *free_at <= now);
        self.phase == Phase::Terminating && idle && self.lingers_until <= now
    }
}

// === impl Instruments ===

impl Instruments {
    /// All series exist from the start with 0, so that the first event is seen as an increase.
    pub fn new(method: &'static str, routes: &[&'static str], codes: &[u16]) -> Self {
        let request = |route: &'static str, code: u16| Route { request: Request { code, method, route }, total: 0 };
        Self {
            routes: routes.iter().flat_map(|route| codes.iter().map(|code| request(route, *code))).collect(),
            duration: Histogram::new(HTTP_BOUNDS),
            decisions: Vec::new(),
            inference: None,
        }
    }

    /// Adds `agent_decisions_total`.
    #[must_use]
    pub fn with_decisions(mut self) -> Self {
        self.decisions = OUTCOMES.map(|outcome| (outcome, 0)).to_vec();
        self
    }

    /// Adds `model_inference_duration_seconds`.
    #[must_use]
    pub fn with_inference(mut self) -> Self {
        self.inference = Some(Histogram::new(INFERENCE_BOUNDS));
        self
    }

    /// Counts one answered request that took `seconds`.
    pub fn request(&mut self, request: Request, seconds: f64) {
        self.duration.observe(seconds);
        match self.routes.iter_mut().find(|route| route.request == request) {
            Some(route) => route.total += 1,
            None => self.routes.push(Route { request, total: 1 }),
        }
    }

    /// Counts one inference of `seconds`, waiting included.
    pub fn inference(&mut self, seconds: f64) {
        if let Some(histogram) = &mut self.inference {
            histogram.observe(seconds);
        }
    }

    /// Counts one decision; `share` in `0.0..1.0` chooses its outcome.
    pub fn decision(&mut self, share: f64) {
        let outcome = match share {
            share if share < 0.85 => 0,
            share if share < 0.96 => 1,
            _ => 2,
        };
        if let Some((_, total)) = self.decisions.get_mut(outcome) {
            *total += 1;
        }
    }

    /// Requests answered so far.
    pub fn requests_total(&self) -> u64 {
        self.routes.iter().map(|route| route.total).sum()
    }

    /// The page of the process. `queue` is the name and length of the queue it works on, when it has one.
    pub fn page(&self, queue: Option<(&str, usize)>) -> String {
        let mut page = String::new();
        if let Some((queue, length)) = queue {
            head(&mut page, "agent_queue_length", "gauge", "Pieces of work that wait in the queue.");
            line(&mut page, "agent_queue_length", &format!("queue=\"{queue}\""), length);
        }
        head(&mut page, "http_requests_total", "counter", "Requests answered.");
        for Route { request: Request { code, method, route }, total } in &self.routes {
            let labels = format!("code=\"{code}\",method=\"{method}\",route=\"{route}\"");
            line(&mut page, "http_requests_total", &labels, total);
        }
        self.duration.write(&mut page, "http_request_duration_seconds", "Time to answer a request.");
        if !self.decisions.is_empty() {
            head(&mut page, "agent_decisions_total", "counter", "Decisions taken by agents.");
        }
        for (outcome, total) in &self.decisions {
            line(&mut page, "agent_decisions_total", &format!("outcome=\"{outcome}\""), total);
        }
        if let Some(inference) = &self.inference {
            let help = "Time from the arrival of an inference request to its answer.";
            inference.write(&mut page, "model_inference_duration_seconds", help);
        }
        page
    }
}

// === impl Histogram ===

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
    }

    fn write(&self, page: &mut String, name: &str, help: &str) {
        head(page, name, "histogram", help);
        let mut total = 0;
        for (i, count) in self.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(i).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            line(page, &format!("{name}_bucket"), &format!("le=\"{bound}\""), total);
        }
        line(page, &format!("{name}_sum"), "", format!("{:.6}", self.sum));
        line(page, &format!("{name}_count"), "", total);
    }
}

fn head(page: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String takes every write");
}

fn line(page: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    writeln!(page, "{name}{open}{labels}{close} {value}").expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_what_was_counted() {
        let mut instruments = Instruments::new("POST", &["/decide"], &[200, 503]).with_decisions().with_inference();
        instruments.request(Request { code: 200, method: "POST", route: "/decide" }, 0.03);
        instruments.decision(0.9);
        instruments.inference(31.0);
        let page = instruments.page(Some(("tasks", 4)));
        for line in [
            "agent_queue_length{queue=\"tasks\"} 4",
            "http_requests_total{code=\"200\",method=\"POST\",route=\"/decide\"} 1",
            "http_requests_total{code=\"503\",method=\"POST\",route=\"/decide\"} 0",
            "http_request_duration_seconds_bucket{le=\"0.025\"} 0",
            "http_request_duration_seconds_bucket{le=\"0.05\"} 1",
            "agent_decisions_total{outcome=\"rejected\"} 1",
            "model_inference_duration_seconds_bucket{le=\"30\"} 0",
            "model_inference_duration_seconds_bucket{le=\"+Inf\"} 1",
            "model_inference_duration_seconds_sum 31.000000",
            "model_inference_duration_seconds_count 1",
        ] {
            assert!(page.lines().any(|seen| seen == line), "{line} is missing in:\n{page}");
        }
    }
}
