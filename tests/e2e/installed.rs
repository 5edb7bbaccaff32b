use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use hyper::Request;
use serde_json::{Value, json};

use super::fleet::{Fleet, push};
use super::scene::{DEPLOYMENT, HPA, condition};
use super::workloads::{Autoscaler, BROKER, Workers, queue_of};
use crate::harness::controlplane::installation::{Installation, NAME, NAMESPACE};
use crate::harness::controlplane::{ControlPlane, eventually};

/// Where a pod has what it knows of the cluster.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

#[tokio::test]
async fn the_production_overlay_makes_two_ready_pods_that_serve_an_autoscaler() {
    let cluster = ControlPlane::start().await;
    let started = Instant::now();
    cluster.install(&Installation::of("production")).await;
    let replicas = cluster.ready_replicas(2).await;
    println!("two pods were Ready {:?} after the manifests were applied", started.elapsed());
    eventually("the APIServices are Available", || cluster.available(), |states| *states == [true; 3]).await;
    println!("the APIServices were Available after {:?}", started.elapsed());
    for replica in &replicas {
        let program = cluster.program(&replica.uid).expect("it runs");
        let pid = program.lock().expect("not poisoned").pid();
        is_confined(pid);
        let token = std::fs::read_to_string(format!("/proc/{pid}/root/{ACCOUNT}/token")).expect("a token");
        assert_eq!(owner(&cluster, &token).await, (account(), replica.name.clone()));
    }

    let namespace = cluster.namespace("served").await;
    cluster.apply(&namespace, BROKER).await;
    cluster.apply(&namespace, &Workers { name: "agents", queue: "work", service_time: None }.yaml()).await;
    cluster.apply(&namespace, &Autoscaler { name: "agents", max: 3, metric: queue_of("agents", "10") }.yaml()).await;
    let broker = Fleet::new(&cluster, &namespace).ready("app=broker", 1).await.remove(0);
    push(&broker, "work", 30).await;
    let is_scaled = |it: &Value| it["spec"]["replicas"] == 3 && it["status"]["readyReplicas"] == 3;
    cluster.object_becomes(&namespace, DEPLOYMENT, "agents", is_scaled).await;
    let is_active = |hpa: &Value| condition(hpa, "ScalingActive") == "True";
    cluster.object_becomes(&namespace, HPA, "agents", is_active).await;
}

/// A root of its own that it cannot write, no user that is known elsewhere, no privileges.
fn is_confined(pid: u32) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it runs");
    let mounts = read("mounts");
    let options = |place: &str| {
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mounts.find(|mount| mount[1] == place).unwrap_or_else(|| panic!("{place} is not mounted"));
        mount[3].split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    for place in ["/", "/etc/plimsoll", &format!("/{ACCOUNT}")] {
        assert!(options(place).contains(&"ro".to_owned()), "{place} can be written");
    }
    let status = read("status");
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!((line("CapBnd:").as_str(), line("NoNewPrivs:").as_str()), ("0000000000000000", "1"));
    // Who may not become another user runs it as himself.
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        assert_eq!(line("Uid:"), "65532\t65532\t65532\t65532");
    }
}

/// User and pod of a token, as the API server knows them.
async fn owner(cluster: &ControlPlane, token: &str) -> (String, String) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let review = Request::post("/apis/authentication.k8s.io/v1/tokenreviews").body(review.to_string().into_bytes());
    let review = review.expect("a request");
    let answer: Value = cluster.client().request(review).await.expect("an answer");
    let user = &answer["status"]["user"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&user["username"]), text(&user["extra"]["authentication.kubernetes.io/pod-name"][0]))
}

fn account() -> String {
    format!("system:serviceaccount:{NAMESPACE}:{NAME}")
}
