use std::time::{Duration, Instant};

use super::scene::{DEPLOYMENT, Scene, request};
use super::workloads::{Autoscaler, BROKER, Workers, queue_of};

/// The period of the controller, an interval of the scraper, and what it may take besides.
const GOAL: Duration = Duration::from_millis(2100);

/// Changes of the load in each direction.
const ROUNDS: usize = 5;

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
    }
    assert_eq!(recording.replicas("watchers", Instant::now()), [1]);
    assert!(scene.get(DEPLOYMENT, "watchers").await["spec"]["replicas"] == 1);
    let explained = recording.check("watchers");
    taken.sort();
    println!("from a change of the load to the decision: {taken:?}; {explained} decisions explained");
    assert!(taken[taken.len() / 2] <= GOAL, "{taken:?}");
}
