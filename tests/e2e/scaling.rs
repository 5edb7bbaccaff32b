use std::time::{Duration, Instant};

use super::recording::{Explained, Recording};
use super::scene::{Scene, request};
use super::workloads::{Autoscaler, BROKER, Workers, external_queue, of_service, per_pod, queue_of, service};
use crate::harness::controlplane::eventually;

/// A workload with an autoscaler and a queue that have its name.
struct Case {
    name: &'static str,
    /// Milliseconds that a job takes.
    service_time: u32,
    metric: String,
    /// Jobs a second: more than one worker can do, and less than one worker does.
    load: [u32; 2],
}

/// The most replicas of each workload; their loads need all of them.
const MAX: u32 = 4;

/// The period of the controller, an interval of the scraper, and what it may take besides.
const GOAL: Duration = Duration::from_millis(2100);

/// What moves a change of the load within the period, from one to the next.
const STAGGER: Duration = Duration::from_millis(270);

/// Changes of the load in each direction.
const ROUNDS: usize = 5;

#[tokio::test]
async fn replicas_follow_the_load_as_the_algorithm_says_for_every_type_of_metric() {
    let scene = Scene::new("scaling").await;
    scene.apply(&[BROKER, &service("latency")].concat()).await;
    let broker = scene.broker().await;
    let cases = [
        // 9.5 a second and pod with all of them, which is within tolerance.
        Case { name: "rate", service_time: 20, metric: per_pod("decisions_per_second", "10"), load: [38, 0] },
        Case { name: "queue", service_time: 100, metric: queue_of("queue", "10"), load: [30, 0] },
        // A latency is known while jobs are done, so some always are.
        Case {
            name: "latency",
            service_time: 100,
            metric: of_service("latency", "inference_latency_p95", "1"),
            load: [25, 2],
        },
        Case { name: "external", service_time: 100, metric: external_queue("external", "10"), load: [30, 0] },
    ];
    for case in &cases {
        scene.apply(&case.yaml()).await;
    }
    let recording = scene.record().await;
    let [rate, queue, latency, external] = &cases;
    let run = |case| follow(&scene, &recording, &broker, case);
    let explained = tokio::join!(run(rate), run(queue), run(latency), run(external));
    // Of a mean over pods the model does not know which pods were in it, so single autoscalers may leave it few.
    let unambiguous: usize = <[Explained; 4]>::from(explained).iter().map(|explained| explained.unambiguous).sum();
    assert!(unambiguous > 8, "{explained:?}");
}

#[tokio::test]
async fn a_change_of_load_is_decided_on_within_a_period_and_an_interval() {
    let scene = Scene::new("decisions").await;
    scene.apply(BROKER).await;
    let broker = scene.broker().await;
    scene.apply(&Workers { name: "watchers", queue: "inference", service_time: None }.yaml()).await;
    scene.apply(&Autoscaler { name: "watchers", max: 3, metric: queue_of("watchers", "10") }.yaml()).await;
    let recording = scene.record().await;
    recording.decision("watchers", Instant::now(), |decision| decision.is_active).await;
    let mut taken = Vec::new();
    for (path, replicas) in [("/push?n=30", 3), ("/clear", 1)].repeat(ROUNDS) {
        let changed = Instant::now();
        request("POST", &format!("{broker}{path}")).await;
        let decision = recording.decision("watchers", changed, |decision| decision.desired == replicas).await;
        taken.push(decision.at - changed);
        scene.has_replicas("watchers", i64::from(replicas)).await;
        // The next change comes at another moment of the period.
        tokio::time::sleep(STAGGER).await;
    }
    let explained = recording.check("watchers");
    taken.sort();
    println!("from a change of the load to the decision: {taken:?}; {explained:?}");
    assert!(taken[taken.len() / 2] <= GOAL, "{taken:?}");
}

// === impl Case ===

impl Case {
    fn yaml(&self) -> String {
        let Self { name, service_time, metric, .. } = self;
        let workers = Workers { name, queue: name, service_time: Some(*service_time) };
        workers.yaml() + &Autoscaler { name, max: MAX, metric: metric.clone() }.yaml()
    }
}

/// Load up, then load down: replicas to the maximum, then to the minimum, each decision as the model has it.
async fn follow(scene: &Scene, recording: &Recording, broker: &str, case: &Case) -> Explained {
    let name = case.name;
    scene.has_replicas(name, 1).await;
    let set_load = |load| async move { request("PUT", &format!("{broker}/rate?queue={name}&per_second={load}")).await };
    let [heavy, light] = case.load;
    let started = Instant::now();
    set_load(heavy).await;
    scene.has_replicas(name, i64::from(MAX)).await;
    let rose = recording.replicas(name, started);
    assert!(rose.first() == Some(&1) && rose.contains(&4), "{name}: {rose:?}");

    set_load(light).await;
    scene.has_replicas(name, 1).await;
    let length = format!("{broker}/length?queue={name}");
    eventually(&format!("{name} has no job left"), || request("GET", &length), |length| length.trim() == "0").await;
    let explained = recording.check(name);
    println!("{name}: replicas {:?}, {explained:?}", recording.replicas(name, started));
    assert!(explained.decisions > 3, "{name}: {explained:?}");
    explained
}
