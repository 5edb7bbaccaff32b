//! How long a change in a target takes to be visible in the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll::demo::random::Random;

use crate::curve::{Axis, Chart, Line, Scale};
use crate::load::quantile;
use crate::report::{Row, Section, time};
use crate::scene::{Pace, Scene, Server, pod_name};
use crate::{generator, is_quick, progress};

/// Targets that change independently.
const TARGETS: usize = 40;
const PACE: Pace = Pace { interval: 1, window: 10 };
const POLL_PERIOD: Duration = Duration::from_millis(2);

/// A target whose number changes at random moments.
struct Target {
    value: u64,
    /// When the number that is not visible yet was set; otherwise when the next one is due.
    changed: Option<Instant>,
    due: Instant,
}

/// The whole watch.
struct Watch {
    targets: Vec<Target>,
    /// What the pages say.
    values: Arc<Vec<AtomicU64>>,
    random: Random,
    delays: Vec<Duration>,
    polls: u32,
}

pub fn run() -> Section {
    let changes = if is_quick() { 40 } else { 600 };
    let values: Arc<Vec<AtomicU64>> = Arc::new((0..TARGETS).map(|_| AtomicU64::new(1)).collect());
    let scene = Scene::with_port(serve(values.clone()));
    scene.write_targets(0..TARGETS);
    let mut plimsoll = scene.plimsoll(PACE);
    plimsoll.wait_ready(PACE);
    progress(format_args!("visibility: {changes} changes"));
    let mut watch = Watch::new(values);
    let started = Instant::now();
    watch.run(&plimsoll, changes);
    let resolution = started.elapsed() / watch.polls;
    watch.delays.sort();
    draw(&watch.delays);
    section(&watch.delays, resolution)
}

/// Serves one gauge per target from this process; gives the port.
fn serve(values: Arc<Vec<AtomicU64>>) -> u16 {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let page = move |pod: usize| {
            let body = format!("http_requests_in_flight {}\n", values[pod].load(Ordering::Acquire));
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
                .into_bytes()
        };
        runtime.block_on(async {
            let listener = generator::listen().await.expect("a free port");
            sender.send(listener.local_addr().expect("an address").port()).expect("somebody waits");
            generator::serve(listener, Duration::from_secs(300), page).await
        })
    });
    receiver.recv().expect("a port")
}

// === impl Watch ===

impl Watch {
    fn new(values: Arc<Vec<AtomicU64>>) -> Self {
        let mut random = Random::new(7);
        let now = Instant::now();
        let targets =
            values.iter().map(|_| Target { value: 1, changed: None, due: now + phase(&mut random) }).collect();
        Self { targets, values, random, delays: Vec::new(), polls: 0 }
    }

    /// Changes and asks in turns, until so many changes were seen.
    fn run(&mut self, plimsoll: &Server, changes: usize) {
        let url = plimsoll.url("/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/requests_in_flight");
        let started = Instant::now();
        while self.delays.len() < changes {
            assert!(started.elapsed() < Duration::from_secs(120), "{} of {changes} changes seen", self.delays.len());
            self.change();
            let list = plimsoll.client.json(&url);
            let seen = Instant::now();
            self.polls += 1;
            for (pod, item) in list["items"].as_array().expect("items").iter().enumerate() {
                assert_eq!(item["describedObject"]["name"], pod_name(pod), "{item}");
                self.look(pod, item["value"].as_str().expect("a quantity"), seen);
            }
            std::thread::sleep(POLL_PERIOD);
        }
    }

    fn change(&mut self) {
        for (pod, target) in self.targets.iter_mut().enumerate() {
            if target.changed.is_none() && Instant::now() >= target.due {
                target.value += 1;
                target.changed = Some(Instant::now());
                self.values[pod].store(target.value, Ordering::Release);
            }
        }
    }

    fn look(&mut self, pod: usize, value: &str, seen: Instant) {
        let target = &mut self.targets[pod];
        if let Some(changed) = target.changed.filter(|_| value == target.value.to_string()) {
            self.delays.push(seen - changed);
            target.changed = None;
            target.due = seen + phase(&mut self.random);
        }
    }
}

/// A random part of an interval: changes come at any moment between two scrapes.
fn phase(random: &mut Random) -> Duration {
    Duration::from_secs(PACE.interval).mul_f64(random.uniform())
}

fn draw(delays: &[Duration]) {
    let share = |i: usize| 100.0 * (i + 1) as f64 / delays.len() as f64;
    let points = delays.iter().enumerate().map(|(i, delay)| (delay.as_secs_f64() * 1e3, share(i))).collect();
    let chart = Chart {
        title: "A change in a target is visible in the API".into(),
        x: Axis { label: "time since the change, ms (scrape interval 1,000 ms)", scale: Scale::Linear },
        y: Axis { label: "share of changes, %", scale: Scale::Linear },
        lines: vec![Line { name: format!("{} changes", delays.len()), points }],
        marks: vec![(1050.0, "interval + 50 ms".into())],
    };
    chart.write("visibility");
}

fn section(delays: &[Duration], resolution: Duration) -> Section {
    let at = |share| time(quantile(delays, share));
    let (most, goal) = (delays[delays.len() - 1], Duration::from_millis(1050));
    Section {
        title: "A change becomes visible",
        method: format!(
            "{TARGETS} targets, scraped every second, change at random moments ({} changes); one client asks for all \
             of them over HTTPS every {}, which is included in the times.",
            delays.len(),
            time(resolution)
        ),
        rows: vec![
            Row::new(
                "from the change to the answer that has it: min / p50 / p90 / p99",
                [at(0.0), at(0.5), at(0.9), at(0.99)].join(" / "),
            ),
            Row::new("the longest", format!("{} ms", most.as_millis())).goal("≤ scrape interval + 50 ms", most <= goal),
        ],
    }
}
