//! How the costs grow with the number of pods.

use std::time::{Duration, Instant};

use crate::curve::{Axis, Chart, Line, Scale};
use crate::load::{background, cost};
use crate::page::Size;
use crate::report::{Row, Section, megabytes, number, time};
use crate::scene::{BATCH_SIZE, Pace, Scene, Server, batch_name, pod_name};
use crate::{is_quick, progress};

/// Pods with the seconds between two scrapes: short for few pods, so that their CPU time can be read to a few percent.
const SIZES: [(usize, u64); 3] = [(100, 1), (1_000, 2), (10_000, 10)];

/// What it costs at one size.
struct Point {
    pods: usize,
    /// CPU time to scrape all of them once.
    round: Duration,
    resident: f64,
    /// Bytes per wanted series, beyond what it takes without any.
    per_series: f64,
    series: f64,
    /// CPU time per request, in order of [`REQUESTS`].
    requests: [Duration; 4],
}

const REQUESTS: [&str; 4] = ["one pod", "selector matching 10", "Deployment (at most 1,000 pods)", "all pods"];

pub fn run() -> Section {
    let sizes = if is_quick() { [(20, 1), (100, 1), (500, 1)] } else { SIZES };
    let empty = empty_memory();
    let points = sizes.map(|(pods, interval)| measure(pods, interval, empty));
    draw(&points);
    Section {
        title: "Costs by number of pods",
        method: format!(
            "Pages of 2 KB with 24 wanted series per pod; scraped every {} s. CPU time over at least 20 s of scraping, \
             after every target was scraped twice; memory beyond the {} of a Plimsoll with one pod, by wanted series \
             (connections and targets included); requests as above.",
            sizes.map(|(pods, interval)| format!("{interval} ({pods} pods)")).join(", "),
            megabytes(empty),
        ),
        rows: rows(&points),
    }
}

/// Memory of a Plimsoll that has next to nothing to do.
fn empty_memory() -> f64 {
    let (scene, mut plimsoll, pace) = start(1, 1);
    plimsoll.wait_ready(pace);
    let resident = plimsoll.process.memory().resident;
    drop(scene);
    resident
}

fn start(pods: usize, interval: u64) -> (Scene, Server, Pace) {
    let pace = Pace { interval, window: 4 * interval };
    let scene = Scene::start(Size::Small, Duration::from_secs(300));
    scene.write_targets(0..pods);
    let plimsoll = scene.plimsoll(pace);
    (scene, plimsoll, pace)
}

fn measure(pods: usize, interval: u64, empty: f64) -> Point {
    progress(format_args!("curves: {pods} pods"));
    let (_scene, mut plimsoll, pace) = start(pods, interval);
    plimsoll.wait_ready(pace);
    std::thread::sleep(Duration::from_secs(2 * interval));
    let seconds = if is_quick() { 3 } else { 20 };
    let scrapes = |server: &Server| server.client.metric(&server.url("/metrics"), "plimsoll_scrapes_total");
    let (cpu, scraped) = (plimsoll.process.cpu(), scrapes(&plimsoll));
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(started.elapsed()));
    let (cpu, scraped) = (plimsoll.process.cpu() - cpu, scrapes(&plimsoll) - scraped);
    let resident = plimsoll.process.memory().resident;
    let series = plimsoll.client.metric(&plimsoll.url("/metrics"), "plimsoll_storage_series");
    Point {
        pods,
        round: cpu.mul_f64(pods as f64 / scraped),
        resident,
        per_series: (resident - empty) / series,
        series,
        requests: requests(&plimsoll, pods),
    }
}

fn requests(plimsoll: &Server, pods: usize) -> [Duration; 4] {
    let idle = background(plimsoll);
    let metric = "requests_per_second";
    let paths = [
        (format!("pods/{}/{metric}", pod_name(7)), 1),
        (format!("pods/%2A/{metric}?labelSelector=batch%3D{}", batch_name(7)), BATCH_SIZE),
        (format!("deployments.apps/web-0/{metric}"), 1),
        (format!("pods/%2A/{metric}"), pods),
    ];
    paths.map(|(path, items)| {
        let url = plimsoll.url(&format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/{path}"));
        let list = plimsoll.client.json(&url);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(items), "{url}");
        cost(plimsoll, &url, idle)
    })
}

fn rows(points: &[Point; 3]) -> Vec<Row> {
    let [small, middle, large] = points;
    let sizes = points.each_ref().map(|point| point.pods.to_string()).join(" / ");
    let all = |figure: &dyn Fn(&Point) -> String| points.each_ref().map(figure).join(" · ");
    let mut rows = vec![
        Row::new(format!("CPU per round of scrapes, {sizes} pods"), all(&|point| time(point.round))),
        Row::new("CPU per scrape", all(&|point| time(point.round / point.pods as u32))),
        Row::new("resident memory", all(&|point| megabytes(point.resident))),
        Row::new("wanted series", all(&|point| format!("{:.0}", point.series))),
        Row::new("memory per wanted series", all(&|point| format!("{} bytes", number(point.per_series)))),
    ];
    for (i, what) in REQUESTS.iter().enumerate() {
        rows.push(Row::new(format!("CPU per request: {what}"), all(&|point| time(point.requests[i]))));
    }
    let growth = |to: &Point, from: &Point| to.requests[1].as_secs_f64() / from.requests[1].as_secs_f64();
    let (known, grown) = (large.pods / middle.pods, growth(large, middle));
    rows.push(
        Row::new(
            format!("cost of a selector matching 10, {} instead of {} pods known", large.pods, middle.pods),
            format!("{}× ({}× from {} to {})", number(grown), number(growth(middle, small)), small.pods, middle.pods),
        )
        .goal(format!("far below {known}×: at most 2×"), grown <= 2.0),
    );
    rows
}

fn draw(points: &[Point; 3]) {
    let line = |name: &str, figure: &dyn Fn(&Point) -> f64| Line {
        name: name.to_owned(),
        points: points.iter().map(|point| (point.pods as f64, figure(point))).collect(),
    };
    let chart = |title: &str, label, lines| Chart {
        title: title.to_owned(),
        x: Axis { label: "pods", scale: Scale::Logarithmic },
        y: Axis { label, scale: Scale::Logarithmic },
        lines,
        marks: Vec::new(),
    };
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let cpu = vec![line("all pods scraped once", &|point| millis(point.round))];
    chart("CPU time of a round of scrapes", "CPU time, ms", cpu).write("cost-cpu");
    let memory = vec![line("resident memory", &|point| point.resident / 1e6)];
    chart("Memory by number of pods (24 wanted series each)", "MB", memory).write("cost-memory");
    let requests = REQUESTS.iter().enumerate();
    let requests = requests.map(|(i, what)| line(what, &|point| point.requests[i].as_secs_f64() * 1e6)).collect();
    chart("CPU time of a request", "CPU time, µs", requests).write("cost-request");
}
