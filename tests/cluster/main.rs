//! `make cluster`: a real control plane on loopback to play with, in which the development overlay installs Plimsoll, and
//! four workloads are scaled by it. Everything ends with Ctrl-C, and nothing of it is left.

// The parts of the test harness that make a cluster.
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../harness"]
mod harness {
    pub mod controlplane;
    pub mod program;
}

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::controlplane::programs::kubernetes;
use crate::harness::controlplane::registered::Registered;
use crate::harness::controlplane::{ControlPlane, eventually};

/// A real control plane with Plimsoll and four autoscaled workloads.
#[derive(clap::Parser)]
struct Args {
    /// Jobs a second for each of the four queues; it can be changed at any time.
    #[arg(long, default_value_t = 5.0)]
    load: f64,
}

const NAMESPACE: &str = "agents";

/// The workloads and their autoscalers.
const OBJECTS: &str = include_str!("objects.yaml");

/// The configuration of Plimsoll.
const CONFIG: &str = include_str!("plimsoll.yaml");

/// The queues of the workloads.
const QUEUES: [&str; 4] = ["inference", "models", "decisions", "tools"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt()).expect("signals can be waited for"),
        signal(SignalKind::terminate()).expect("signals can be waited for"),
    );
    tokio::select! {
        () = play(&args) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    say("\nending everything");
}

/// Brings the cluster up, says what to try, and stays.
async fn play(args: &Args) {
    say("starting etcd, kube-apiserver and kube-controller-manager");
    let cluster = ControlPlane::start().await;
    say(&format!("ready in {:.1} s; starting Plimsoll", cluster.started_in.as_secs_f64()));
    let plimsoll = cluster.plimsoll(CONFIG).await;
    say("starting the workloads");
    cluster.apply("default", &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}")).await;
    cluster.apply(NAMESPACE, OBJECTS).await;
    let broker = eventually("the broker runs", || broker(&cluster), |address| !address.is_empty()).await;
    for queue in QUEUES {
        set_load(&broker, queue, args.load).await;
    }
    say(&hints(&cluster, &plimsoll, &broker));
    std::future::pending().await
}

/// The address of the broker; empty until it is Ready.
async fn broker(cluster: &ControlPlane) -> String {
    let said = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", "app=broker", "-o", "json"]).await;
    let pods: Value = serde_json::from_str(&said).expect("JSON");
    let ready = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
    let pod = pods["items"].as_array().into_iter().flatten().find(ready);
    pod.and_then(|pod| pod["status"]["podIP"].as_str()).map(|ip| format!("{ip}:8080")).unwrap_or_default()
}

async fn set_load(broker: &str, queue: &str, per_second: f64) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let url = format!("http://{broker}/rate?queue={queue}&per_second={per_second}");
    let answer = client.put(url).send().await.expect("the broker answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

fn hints(cluster: &ControlPlane, plimsoll: &Registered, broker: &str) -> String {
    let tools = kubernetes("kubectl");
    format!(
        "Plimsoll is Available, {available:.1} s after its registration. In another terminal:

export KUBECONFIG={kubeconfig} PATH={tools}:$PATH

kubectl get hpa -n {NAMESPACE} -w
kubectl get apiservices | grep metrics
kubectl get all,configmaps,secrets -n plimsoll-system
kubectl edit configmap plimsoll -n plimsoll-system
kubectl describe hpa agent-orchestrator -n {NAMESPACE}
kubectl get --raw '/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}/deployments.apps/agent-orchestrator/queue_length?metricLabelSelector=queue%3Dinference'
kubectl get --raw '/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}/pods/%2A/decisions_per_second?labelSelector=app%3Dagents'
kubectl get --raw '/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/queue_length?labelSelector=queue%3Dtools'

# Load up, load down: queues {queues}.
curl -X PUT 'http://{broker}/rate?queue=inference&per_second=40'
curl -X PUT 'http://{broker}/rate?queue=inference&per_second=5'

Plimsoll runs as a pod with the address {address}. Ctrl-C ends everything.",
        available = plimsoll.available_in.as_secs_f64(),
        kubeconfig = cluster.kubeconfig().display(),
        tools = tools.parent().expect("a folder").display(),
        queues = QUEUES.join(", "),
        address = plimsoll.address,
    )
}

/// Whoever closed standard output does not want to read it.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}
