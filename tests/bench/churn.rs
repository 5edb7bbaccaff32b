//! Whether memory stays flat while pods come and go.

use std::time::{Duration, Instant};

use crate::curve::{Axis, Chart, Line, Scale};
use crate::page::Size;
use crate::report::{Row, Section, megabytes, number};
use crate::scene::{Pace, Scene, Server};
use crate::{is_quick, progress};

const PODS: usize = 1000;
/// Pods that are replaced every minute.
const REPLACED: usize = PODS / 10;
/// A minute passes in a second: the target file changes and every target is scraped once.
const MINUTE: Duration = Duration::from_secs(1);
const PACE: Pace = Pace { interval: 1, window: 5 };
const WARM: usize = 10;

pub fn run() -> Section {
    let minutes = if is_quick() { 15 } else { 60 };
    // A pod that is gone closes its connections.
    let scene = Scene::start(Size::Small, 3 * MINUTE);
    scene.write_targets(0..PODS);
    let mut plimsoll = scene.plimsoll(PACE);
    plimsoll.wait_ready(PACE);
    progress(format_args!("churn: {minutes} minutes, each in a second"));
    let sizes = replace(&scene, &plimsoll, minutes);
    check(&plimsoll);
    draw(&sizes);
    let (warm, most) = (sizes[WARM - 1], sizes[WARM..].iter().copied().fold(0.0, f64::max));
    let growth = most / warm - 1.0;
    Section {
        title: "Memory under churn",
        method: format!(
            "{PODS} pods, of which {REPLACED} are replaced by new ones every minute, for {minutes} minutes; a minute \
             is compressed to a second, in which every pod is scraped once. Resident memory after each minute."
        ),
        rows: vec![
            Row::new(format!("resident memory after {WARM} minutes"), megabytes(warm)),
            Row::new(format!("most after that, until minute {minutes}"), megabytes(most))
                .beside(
                    format!("after {WARM} minutes {}", megabytes(warm)),
                    format!("{} % more", number(100.0 * growth)),
                )
                .goal("≤ 10 % more", growth <= 0.1),
        ],
    }
}

/// Resident memory at the end of each minute.
fn replace(scene: &Scene, plimsoll: &Server, minutes: usize) -> Vec<f64> {
    let started = Instant::now();
    let minute = |i: usize| {
        scene.write_targets(i * REPLACED..i * REPLACED + PODS);
        std::thread::sleep((started + MINUTE * i as u32).saturating_duration_since(Instant::now()));
        plimsoll.process.memory().resident
    };
    (1..=minutes).map(minute).collect()
}

/// The pods that are there at the end are the ones that are served.
fn check(plimsoll: &Server) {
    std::thread::sleep(3 * MINUTE);
    let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/requests_in_flight";
    let list = plimsoll.client.json(&plimsoll.url(path));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(PODS));
}

fn draw(sizes: &[f64]) {
    let points = sizes.iter().enumerate().map(|(i, bytes)| ((i + 1) as f64, bytes / 1e6)).collect();
    let chart = Chart {
        title: format!("Memory while {REPLACED} of {PODS} pods are replaced every minute"),
        x: Axis { label: "minutes", scale: Scale::Linear },
        y: Axis { label: "resident memory, MB", scale: Scale::Linear },
        lines: vec![Line { name: "resident".into(), points }],
        marks: vec![(WARM as f64, "warm".into())],
    };
    chart.write("churn");
}
