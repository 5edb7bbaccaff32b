use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fleet::{Fleet, items, push, text};
use super::load::Load;
use super::recording::Recording;
use super::scene::{CONFIG, HPA, condition};
use crate::harness::controlplane::installation::{Installation, NAME, NAMESPACE};
use crate::harness::controlplane::installed::Replica;
use crate::harness::controlplane::{ControlPlane, eventually};

/// A control plane with two replicas of Plimsoll, and an autoscaler that is content with what it has.
struct Pair {
    cluster: Arc<ControlPlane>,
    namespace: String,
    recording: Recording,
}

/// As in development: every request has a line in the log.
const LOGGED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: plimsoll, namespace: plimsoll-system}
spec:
  template:
    spec:
      containers:
        - name: plimsoll
          env: [{name: PLIMSOLL_LOG_LEVEL, value: "info,plimsoll::telemetry=debug"}]
"#;

const SCALED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 2, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: broker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: broker}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{type: Pods, pods: {metric: {name: waiting_jobs}, target: {type: AverageValue, averageValue: "10"}}}]
"#;

/// How the autoscaler names the pods, and how the load does: the log tells them apart.
const SELECTOR: &str = "labelSelector=app%3Dbroker";
const LOAD_SELECTOR: &str = "labelSelector=app+in+%28broker%29";

/// Jobs that wait for each of the two: what the autoscaler wants.
const JOBS: usize = 10;
const AVERAGE: &str = "10";

/// After a process was killed nobody is sent to its pod any more within this: what runs pods sees the end, and what is
/// between clients and pods is told. In this harness; a kubelet looks every second.
const NOTICED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_autoscaler_misses_nothing_while_replicas_are_killed_and_deleted_one_by_one() {
    let pair = Pair::new().await;
    let load = pair.load();
    // One of them has the connections of the API server.
    for replica in pair.cluster.ready_replicas(2).await {
        let (tally, killed) = load.during(pair.kill(&replica)).await;
        println!("killed after {:?}: {tally}", killed - tally.since);
        assert!(tally.asked > 100, "{tally}");
        assert!(tally.lost.iter().all(|lost| lost.at < killed + NOTICED), "{tally}");
    }
    for replica in pair.cluster.ready_replicas(2).await {
        let (tally, ()) = load.during(pair.delete(&replica)).await;
        println!("deleted: {tally}");
        assert!(tally.asked > 100 && tally.lost.is_empty(), "{tally}");
    }
    pair.has_missed_nothing().await;
}

#[tokio::test]
async fn an_update_of_the_deployment_loses_no_request() {
    let pair = Pair::new().await;
    let load = pair.load();
    let before = pair.cluster.ready_replicas(2).await;
    let update = async {
        let deployment = format!("deployment/{NAME}");
        pair.cluster.kubectl(&["rollout", "restart", &deployment, "-n", NAMESPACE]).await;
        pair.cluster.kubectl(&["rollout", "status", &deployment, "-n", NAMESPACE, "--timeout=100s"]).await;
        eventually("the former are gone", || pair.pods_named(&before), Vec::is_empty).await;
    };
    let (tally, ()) = load.during(update).await;
    println!("updated: {tally}");
    assert!(tally.asked > 100 && tally.lost.is_empty(), "{tally}");
    pair.has_missed_nothing().await;
}

#[tokio::test]
async fn after_the_api_server_was_away_both_replicas_go_on_by_themselves() {
    let pair = Pair::new().await;
    let before = pair.cluster.ready_replicas(2).await;
    pair.cluster.stop_apiserver();
    // For long enough that everything waits between its tries.
    tokio::time::sleep(Duration::from_secs(5)).await;
    pair.cluster.start_apiserver().await;
    let back = Instant::now();
    eventually("the APIServices are Available", || pair.cluster.available(), |states| *states == [true; 3]).await;
    println!("the APIServices were Available {:?} after the API server was back", back.elapsed());

    // What comes now is known to both: their watches go on, and so do their tokens.
    let fleet = pair.fleet();
    fleet.kubectl(&["scale", "deployment/broker", "--replicas=3"]).await;
    fleet.kubectl(&["delete", "hpa/broker"]).await;
    for pod in fleet.ready("app=broker", 3).await {
        push(&pod, "late", 7).await;
    }
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/deployments.apps/broker/waiting_jobs\
         ?metricLabelSelector=queue%3Dlate",
        pair.namespace
    );
    for replica in &before {
        let direct = pair.cluster.direct(replica).await;
        let is_known =
            |answer: &Option<(u16, String)>| answer.as_ref().is_some_and(|it| it.1.contains("\"value\":\"21\""));
        eventually(&format!("{} knows the new pod", replica.name), || direct.get(&path), is_known).await;
    }
    println!("all was known {:?} after the API server was back", back.elapsed());
    let now = pair.cluster.ready_replicas(2).await;
    let names = |replicas: &[Replica]| replicas.iter().map(|replica| replica.uid.clone()).collect::<Vec<_>>();
    assert_eq!(names(&now), names(&before), "nothing had to be started again");
}

// === impl Pair ===

impl Pair {
    async fn new() -> Self {
        let cluster = ControlPlane::start().await;
        cluster.install(&Installation::of("production").configuration(CONFIG).patch(LOGGED)).await;
        cluster.ready_replicas(2).await;
        eventually("the APIServices are Available", || cluster.available(), |states| *states == [true; 3]).await;
        let namespace = cluster.namespace("replicas").await;
        let fleet = Fleet::new(&cluster, &namespace);
        fleet.apply(SCALED).await;
        for pod in fleet.ready("app=broker", 2).await {
            push(&pod, "a", JOBS).await;
        }
        let recording = Recording::start(cluster.client(), &namespace).await;
        let pair = Self { cluster, namespace, recording };
        let is_content = |hpa: &Value| {
            let current = &hpa["status"]["currentMetrics"][0]["pods"]["current"]["averageValue"];
            condition(hpa, "ScalingActive") == "True" && current.as_str() == Some(AVERAGE)
        };
        pair.cluster.object_becomes(&pair.namespace, HPA, "broker", is_content).await;
        // It may have found nothing before there was anything.
        pair.cluster.kubectl(&["delete", "events", "--all", "-n", &pair.namespace]).await;
        pair
    }

    fn fleet(&self) -> Fleet<'_> {
        Fleet::new(&self.cluster, &self.namespace)
    }

    /// Who asks for what the autoscaler asks for, all the time.
    fn load(&self) -> Load {
        let pods = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods", self.namespace);
        Load::start(&self.cluster, &format!("{pods}/%2A/waiting_jobs?{LOAD_SELECTOR}"))
    }

    /// Kills the process of a pod when the autoscaler has just been answered, and waits until it is back; gives the time
    /// of its end. Until that is noticed connections to it are refused, and nothing between can help.
    async fn kill(&self, replica: &Replica) -> Instant {
        self.next_sync().await;
        let killed = Instant::now();
        let program = self.cluster.program(&replica.uid).expect("it runs");
        program.lock().expect("not poisoned").kill();
        let has_restarted = |pod: &Value| {
            let container = &pod["status"]["containerStatuses"][0];
            container["restartCount"].as_i64() > Some(0) && container["ready"] == true
        };
        self.cluster.object_becomes(NAMESPACE, "v1/Pod", &replica.name, has_restarted).await;
        killed
    }

    /// Deletes a pod, and waits until another one has its place.
    async fn delete(&self, replica: &Replica) {
        self.cluster.kubectl(&["delete", "pod", &replica.name, "-n", NAMESPACE]).await;
        self.cluster.ready_replicas(2).await;
    }

    /// Waits until the autoscaler has been answered once more: it comes back after a period.
    async fn next_sync(&self) {
        let replicas = self.cluster.replicas().await;
        let before = self.syncs(&replicas);
        eventually("the autoscaler asks", || async { self.syncs(&replicas) }, |syncs| *syncs > before).await;
    }

    /// Requests of the autoscaler in the logs of these.
    fn syncs(&self, replicas: &[Replica]) -> usize {
        let programs = replicas.iter().filter_map(|replica| self.cluster.program(&replica.uid));
        let logs = programs.map(|program| program.lock().expect("not poisoned").output());
        logs.map(|log| log.lines().filter(|line| line.contains(SELECTOR)).count()).sum()
    }

    async fn pods_named(&self, replicas: &[Replica]) -> Vec<String> {
        let said = self.cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"]).await;
        let is_named = |line: &&str| replicas.iter().any(|replica| line.ends_with(&replica.name));
        said.lines().filter(is_named).map(str::to_owned).collect()
    }

    /// No sync of the autoscaler has failed, and it has decided nothing else.
    async fn has_missed_nothing(&self) {
        let said = self.fleet().kubectl(&["get", "events", "-o", "json"]).await;
        let list: Value = serde_json::from_str(&said).expect("JSON");
        let failures: Vec<String> = items(&list["items"])
            .filter(|event| event["type"] == "Warning" && event["involvedObject"]["name"] == "broker")
            .map(|event| format!("{} times {}", event["count"], text(&event["message"])))
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
        let decisions = self.recording.decisions("broker");
        let content = decisions.iter().skip_while(|decision| !decision.is_active);
        assert!(content.clone().all(|decision| decision.is_active && decision.desired == 2), "{decisions:#?}");
    }
}
