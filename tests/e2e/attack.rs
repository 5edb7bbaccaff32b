use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::fleet::{Fleet, push};
use super::scene::{HPA, Scene, condition};
use crate::harness::controlplane::eventually;
use crate::harness::crowd::{self, Crowd, connect};

const SCALED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 1, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: broker}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Pods, pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "10"}}}]
"#;

/// Not the address that the kube-apiserver comes from, and that one.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 66), Ipv4Addr::LOCALHOST];

/// Clients that send their handshakes byte by byte, from each address.
const SLOW: usize = 50;

const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_autoscaler_goes_on_while_strangers_crowd_the_port_and_take_their_time() {
    let scene = Scene::new("attack").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(SCALED).await;
    let pods = fleet.ready("app=broker", 1).await;
    push(&pods[0], "a", 5).await;
    let is_active = |hpa: &Value| condition(hpa, "ScalingActive") == "True";
    scene.becomes(HPA, "broker", is_active).await;
    let failures = scene.failures("broker").await;
    let count = crowd::size();
    for from in ADDRESSES {
        let crowd = Crowd::gather(scene.plimsoll.address, |_| from, count).await;
        assert_eq!(crowd.connections.len(), count, "all were accepted, though few were kept");
        let slow = dripping(&scene, from);
        let before = replicas(&scene).await;
        // The newest pod gets enough for one replica more.
        let pods = fleet.ready("app=broker", before).await;
        push(&pods[0], "a", 10 * before + 5).await;
        scene.becomes(HPA, "broker", |hpa| hpa["status"]["desiredReplicas"].as_u64() > Some(before as u64)).await;
        scene.has_replicas("broker", before as i64 + 1).await;
        for pod in fleet.ready("app=broker", before + 1).await {
            push(&pod, "b", 1).await;
        }
        let read = eventually(
            "kubectl reads all",
            || fleet.values("pods/%2A/waiting_jobs"),
            |values| values.as_ref().is_ok_and(|values| values.len() == before + 1),
        )
        .await;
        drop((crowd, slow, read));
    }
    assert_eq!(scene.failures("broker").await, failures, "a sync failed");
}

async fn replicas(scene: &Scene) -> usize {
    let hpa = scene.get(HPA, "broker").await;
    hpa["status"]["currentReplicas"].as_u64().and_then(|count| usize::try_from(count).ok()).expect("a number")
}

/// Clients that never end a handshake, and come back when they are cut off. They end with the result.
fn dripping(scene: &Scene, from: Ipv4Addr) -> JoinSet<()> {
    let address = scene.plimsoll.address;
    let mut clients = JoinSet::new();
    for _ in 0..SLOW {
        clients.spawn(async move {
            loop {
                drop(drip(address, from).await);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    clients
}

async fn drip(to: SocketAddr, from: Ipv4Addr) -> std::io::Result<()> {
    let mut stream = connect(to, from).await?;
    // The record of a ClientHello that says 512 bytes.
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await?;
    loop {
        stream.write_all(&[0]).await?;
        tokio::time::sleep(PAUSE).await;
    }
}
