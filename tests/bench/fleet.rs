//! Scraping a large fleet, beside Prometheus.

use std::time::{Duration, Instant};

use crate::page::{Page, Size};
use crate::process::Memory;
use crate::report::{Row, Section, megabytes, number, time, times};
use crate::scene::{Keeps, Pace, Scene, Server};
use crate::{is_quick, progress};

const TARGETS: usize = 2000;
const PACE: Pace = Pace { interval: 15, window: 60 };
const MEASURED: Duration = Duration::from_secs(60);

/// What one scraper spent.
struct Cost {
    cpu: Duration,
    resident: f64,
    peak: f64,
    scrapes: f64,
}

/// The run at its size.
struct Plan {
    targets: usize,
    pace: Pace,
    measured: Duration,
}

pub fn run() -> Section {
    let plan = Plan::new();
    let scene = Scene::start(Size::Large, Duration::from_secs(300));
    scene.write_targets(0..plan.targets);
    progress(format_args!("fleet: Plimsoll and two Prometheus scrape {} targets", plan.targets));
    let mut servers = [
        scene.plimsoll(plan.pace),
        scene.prometheus("prometheus", plan.pace, Keeps::Everything),
        scene.prometheus("prometheus-wanted", plan.pace, Keeps::Wanted),
    ];
    warm_up(&mut servers, &plan);
    let (costs, generator, elapsed) = measure(&scene, &servers, &plan);
    Section {
        title: "Scraping a fleet",
        method: format!(
            "{} targets with pages of 100 KB in {} lines, scraped every {} s, 5 families wanted ({} series of each \
             target). Plimsoll, Prometheus and a Prometheus that keeps only the same families scrape the same pods at \
             the same time; after a warm-up of at least two scrapes of every target, CPU time and memory over {} s. \
             The generator of the pages is a process of its own: {} % of a core.",
            plan.targets,
            Page::new(Size::Large).lines(),
            plan.pace.interval,
            servers[0].client.metric(&servers[0].url("/metrics"), "plimsoll_storage_series") as usize / plan.targets,
            elapsed.as_secs(),
            number(100.0 * generator.as_secs_f64() / elapsed.as_secs_f64()),
        ),
        rows: rows(&costs, elapsed, &plan),
    }
}

fn warm_up(servers: &mut [Server; 3], plan: &Plan) {
    let [plimsoll, others @ ..] = servers;
    plimsoll.wait_ready(plan.pace);
    for prometheus in others {
        prometheus.wait_query("sum(up)", plan.targets as f64);
    }
    // So that the last one has scraped everything twice, and the windows of the first are full.
    std::thread::sleep(Duration::from_secs(plan.pace.interval));
}

/// What each server, and the generator, spends at the same time.
fn measure(scene: &Scene, servers: &[Server; 3], plan: &Plan) -> ([Cost; 3], Duration, Duration) {
    progress(format_args!("fleet: measuring for {} s", plan.measured.as_secs()));
    let scrapes = |server: &Server| server.client.metric(&server.url("/metrics"), "plimsoll_scrapes_total");
    let failures = |server: &Server| server.client.metric(&server.url("/metrics"), "plimsoll_scrape_failures_total");
    let (scrapes_before, failures_before) = (scrapes(&servers[0]), failures(&servers[0]));
    let before = servers.each_ref().map(|server| server.process.cpu());
    let (generator, started) = (scene.generator_cpu(), Instant::now());
    std::thread::sleep(plan.measured);
    let after = servers.each_ref().map(|server| server.process.cpu());
    let (generator, elapsed) = (scene.generator_cpu() - generator, started.elapsed());
    let memory = servers.each_ref().map(|server| server.process.memory());
    let done = scrapes(&servers[0]) - scrapes_before - (failures(&servers[0]) - failures_before);
    let query = format!("sum(sum_over_time(up[{}s]))", plan.measured.as_secs());
    let cost = |i: usize, scrapes: f64| {
        let Memory { resident, peak } = memory[i];
        Cost { cpu: after[i] - before[i], resident, peak, scrapes }
    };
    let costs = [cost(0, done), cost(1, servers[1].query(&query)), cost(2, servers[2].query(&query))];
    (costs, generator, elapsed)
}

fn rows(costs: &[Cost; 3], elapsed: Duration, plan: &Plan) -> Vec<Row> {
    let [plimsoll, everything, wanted] = costs;
    let core = |cost: &Cost| 100.0 * cost.cpu.as_secs_f64() / elapsed.as_secs_f64();
    let percent = |cost: &Cost| format!("{} %", number(core(cost)));
    let each = |cost: &Cost| cost.cpu.div_f64(cost.scrapes);
    let due = plan.targets as f64 * elapsed.as_secs_f64() / plan.pace.interval as f64;
    let done = |cost: &Cost| format!("{:.0}", cost.scrapes);
    let beside = |what: &str, cost: &Cost, text: &dyn Fn(&Cost) -> String, figure: &dyn Fn(&Cost) -> f64| {
        Row::new(what, text(plimsoll)).beside(text(cost), times(figure(cost), figure(plimsoll)))
    };
    let memory = |cost: &Cost| megabytes(cost.resident);
    let resident = |cost: &Cost| cost.resident;
    let cpu_ratio = core(everything) / core(plimsoll);
    let memory_ratio = everything.resident / plimsoll.resident;
    vec![
        Row::new("CPU, share of one core", percent(plimsoll)).goal("≤ 15 %", core(plimsoll) <= 15.0),
        beside("… beside Prometheus", everything, &percent, &core).goal("≥ 10× less", cpu_ratio >= 10.0),
        beside("… beside Prometheus keeping the same families only", wanted, &percent, &core),
        beside("CPU per scrape, beside Prometheus", everything, &|cost| time(each(cost)), &|cost| {
            each(cost).as_secs_f64()
        }),
        Row::new("resident memory", memory(plimsoll)).goal("≤ 100 MB", plimsoll.resident <= 100e6),
        beside("… beside Prometheus", everything, &memory, &resident).goal("≥ 20× less", memory_ratio >= 20.0),
        beside("… beside Prometheus keeping the same families only", wanted, &memory, &resident),
        beside("most memory ever resident, beside Prometheus", everything, &|cost| megabytes(cost.peak), &|cost| {
            cost.peak
        }),
        Row::new(format!("scrapes done of {due:.0} due"), done(plimsoll))
            .beside(format!("{} and {}", done(everything), done(wanted)), "")
            .goal("all but 1 %", costs.iter().all(|cost| (cost.scrapes / due - 1.0).abs() <= 0.01)),
    ]
}

// === impl Plan ===

impl Plan {
    fn new() -> Self {
        if is_quick() {
            let pace = Pace { interval: 2, window: 10 };
            return Self { targets: 200, pace, measured: Duration::from_secs(6) };
        }
        Self { targets: TARGETS, pace: PACE, measured: MEASURED }
    }
}
