use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::scene::{HPA, Scene, address, condition, reason, request};
use super::workloads::{Autoscaler, BROKER, Workers, per_pod, queue_of, total_of};
use crate::harness::controlplane::eventually;

/// Periods of the controller in which replicas have to hold.
const PERIODS: i64 = 4;

/// Pods that count with a selector for `app=web`, and pods that do not.
const PODS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {prometheus.io/scrape: \"true\"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: worker, image: workload, args: [worker, --concurrency, \"0\"], ports: [{containerPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shadow}
spec:
  selector: {matchLabels: {app: web, shadow: \"yes\"}}
  template:
    metadata: {labels: {app: web, shadow: \"yes\"}, annotations: {prometheus.io/scrape: \"true\"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: worker, image: workload, args: [worker, --concurrency, \"0\"], ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: pending
  labels: {app: web}
  annotations: {prometheus.io/scrape: \"true\", plimsoll.test/pending: \"true\"}
spec:
  containers: [{name: worker, image: workload, args: [worker, --concurrency, \"0\"], ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata:
  name: unready
  labels: {app: web}
  annotations: {prometheus.io/scrape: \"true\", plimsoll.test/ready: \"false\"}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: worker, image: workload, args: [worker, --concurrency, \"0\"], ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: terminating, labels: {app: web}, annotations: {prometheus.io/scrape: \"true\"}}
spec:
  # It has a job that takes longer than the test, and would finish it.
  terminationGracePeriodSeconds: 90
  containers:
    - name: worker
      image: workload
      args: [worker, --service-time, \"90000\"]
      ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: succeeded, labels: {app: web}, annotations: {prometheus.io/scrape: \"true\"}}
spec:
  restartPolicy: Never
  containers: [{name: task, image: workload, args: [task, --duration, \"10000\"], ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: failed, labels: {app: web}, annotations: {prometheus.io/scrape: \"true\"}}
spec:
  restartPolicy: Never
  containers:
    - {name: task, image: workload, args: [task, --duration, \"10000\", --fails], ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, labels: {app: other}, annotations: {prometheus.io/scrape: \"true\"}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: worker, image: workload, args: [worker, --concurrency, \"0\"], ports: [{containerPort: 8080}]}]
";

#[tokio::test]
async fn a_rollout_under_constant_load_scales_nothing_down() {
    let scene = Scene::new("rollout").await;
    scene.apply(BROKER).await;
    let broker = scene.broker().await;
    scene.apply(&Workers { name: "web", queue: "web", service_time: Some(20) }.yaml()).await;
    request("PUT", &format!("{broker}/rate?queue=web&per_second=20")).await;
    let metric = total_of("web", "decisions_per_second", "5500m"); // 4 of them hold 16.5 to 22 a second
    let autoscaler = Autoscaler { name: "web", max: 6, metric }.yaml();
    // A busy machine may delay a scrape by a second or two, and with it a decision. Clusters wait for 300 s by default.
    let patient =
        autoscaler.replace("scaleDown: {stabilizationWindowSeconds: 0", "scaleDown: {stabilizationWindowSeconds: 10");
    scene.apply(&patient).await;
    scene.has_replicas("web", 4).await;
    let recording = scene.record().await;
    recording.decision("web", Instant::now(), |decision| decision.is_active && decision.desired == 4).await;

    let started = Instant::now();
    scene.kubectl(&["rollout", "restart", "deployment/web"]).await;
    scene.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).await;
    // All pods are new, and known by their rates again.
    recording.decision("web", Instant::now(), |decision| decision.is_active).await;
    let replicas = recording.replicas("web", started);
    assert!(replicas.iter().all(|replicas| *replicas >= 4), "{replicas:?}");
}

#[tokio::test]
async fn replicas_hold_while_plimsoll_is_dead_and_until_its_rates_are_back() {
    let mut scene = Scene::alone("killed").await;
    scene.apply(BROKER).await;
    let broker = scene.broker().await;
    request("PUT", &format!("{broker}/rate?queue=agents&per_second=38")).await;
    scene.apply(&Workers { name: "agents", queue: "agents", service_time: Some(20) }.yaml()).await;
    let path = "pods/*/decisions_per_second?labelSelector=app%3Dagents";
    eventually("a rate is there", || scene.custom(path), |list| list["items"].is_array()).await;
    let metric = per_pod("decisions_per_second", "10");
    scene.apply(&Autoscaler { name: "agents", max: 4, metric }.yaml()).await;
    let recording = scene.record().await;
    scene.has_replicas("agents", 4).await;

    let (killed, before) = (Instant::now(), scene.conditions.changes().len());
    scene.take_plimsoll_away().await;
    let says = |hpa: &Value| reason(hpa, "ScalingActive");
    let unavailable = "FailedGetPodsMetric: the HPA was unable to compute the replica count: unable to get metric \
                       decisions_per_second: unable to fetch metrics from custom metrics API: no known available metric versions found";
    let hpa = scene.becomes(HPA, "agents", |hpa| says(hpa) == unavailable).await;
    assert_eq!(condition(&hpa, "ScalingActive"), "False");
    scene.fails_again("agents", PERIODS).await;
    let noted = scene.conditions.changes().into_iter().skip(before).filter(|change| !change.available);
    let noted: Vec<_> = noted.map(|change| (change.meant, change.to_string())).collect();
    let is_known = |(meant, said): &(bool, String)| *meant && said.contains("MissingEndpoints");
    assert!(noted.len() == 3 && noted.iter().all(is_known), "{noted:#?}");

    scene.bring_plimsoll_back().await;
    scene.becomes(HPA, "agents", |hpa| condition(hpa, "ScalingActive") == "True").await;
    let back = Instant::now();
    for _ in 0..PERIODS {
        let last = recording.decisions("agents").last().map_or(back, |decision| decision.at);
        recording.decision("agents", last, |decision| decision.is_active).await;
    }
    assert_eq!(recording.replicas("agents", killed), [4]);
    request("PUT", &format!("{broker}/rate?queue=agents&per_second=0")).await;
    scene.has_replicas("agents", 1).await;
    println!("killed: {:?}", recording.check("agents"));
}

#[tokio::test]
async fn replicas_hold_while_a_metric_is_hidden_or_its_page_is_garbage() {
    let scene = Scene::new("hidden").await;
    scene.apply(BROKER).await;
    let metric = "agent_queue_length";
    let (hide, show) = (format!("/hide?metric={metric}"), format!("/show?metric={metric}"));
    tokio::join!(
        hold(&scene, "hidden", [&hide, &show], "has no series agent_queue_length"),
        hold(&scene, "garbage", ["/broken", "/mended"], "not a page"),
    );
}

#[tokio::test]
async fn a_list_has_the_pods_that_run_and_that_the_selector_matches() {
    let scene = Scene::new("lists").await;
    scene.apply(BROKER).await;
    request("POST", &format!("{}/push?n=1", scene.broker().await)).await;
    scene.apply(PODS).await;
    let running = |pods: &Vec<Value>| pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count() == 7;
    let pods = eventually("seven pods run", || scene.pods("app=web"), running).await;
    for pod in
        pods.iter().chain(&scene.ready_pods("app=other", 1).await).filter(|pod| pod["status"]["podIP"].is_string())
    {
        request("PUT", &format!("{}/pin?metric=load&value=20", address(pod))).await;
    }
    let named = |prefix: &str| {
        let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str());
        names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let (web, shadow) = (named("web-"), named("shadow-"));
    let bare = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let all = |more: &[&str]| [&web, &shadow, &bare(more)].into_iter().flatten().cloned().collect::<BTreeSet<_>>();
    let list = |selector| loads(&scene, selector);
    let before = all(&["failed", "succeeded", "terminating", "unready"]);
    eventually("whoever runs is in the list", || list("app%3Dweb"), |names| *names == before).await;

    scene.kubectl(&["delete", "pod", "terminating", "--wait=false"]).await;
    let after = all(&["unready"]);
    eventually("who ends or has ended is not", || list("app%3Dweb"), |names| *names == after).await;
    assert!(scene.get("v1/Pod", "terminating").await["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(scene.get("v1/Pod", "succeeded").await["status"]["phase"], "Succeeded");
    assert_eq!(scene.get("v1/Pod", "failed").await["status"]["phase"], "Failed");
    assert_eq!(list("app%3Dweb%2Cshadow").await, shadow);
    assert_eq!(list("app%3Dother").await, bare(&["other"]));
    let total = scene.custom("deployments.apps/web/load").await;
    assert_eq!(total["items"][0]["value"], "40", "what has its labels is not its own: {total:#}");
}

#[tokio::test]
async fn pods_that_are_pending_keep_a_scale_up_from_going_on() {
    let scene = Scene::new("pending").await;
    let workers = Workers { name: "slow", queue: "slow", service_time: None }.yaml();
    let held = "annotations: {plimsoll.test/pending: \"true\", ";
    scene.apply(&workers.replace("annotations: {", held)).await;
    scene.kubectl(&["scale", "deployment/slow", "--replicas=2"]).await;
    eventually("two pods", || scene.pods("app=slow"), |pods| pods.len() == 2).await;
    scene.kubectl(&["annotate", "pods", "-l", "app=slow", "plimsoll.test/pending-"]).await;
    scene.request_each("app=slow", 2, ("PUT", "/pin?metric=load&value=20")).await;
    eventually("both are in the list", || loads(&scene, "app%3Dslow"), |names| names.len() == 2).await;

    let recording = scene.record().await;
    let started = Instant::now();
    scene.apply(&Autoscaler { name: "slow", max: 10, metric: per_pod("load", "10") }.yaml()).await;
    recording.decision("slow", started, |decision| decision.desired == 4).await;
    let pending = |pods: &Vec<Value>| pods.iter().filter(|pod| pod["status"]["phase"] == "Pending").count() == 2;
    let pods = eventually("two wait", || scene.pods("app=slow"), pending).await;
    // Twice another value, so that the status shows a later look: 40.4 and 40.8 over four pods are within tolerance.
    for value in ["20.2", "20.4"] {
        let changed = Instant::now();
        for pod in pods.iter().filter(|pod| pod["status"]["phase"] == "Running") {
            request("PUT", &format!("{}/pin?metric=load&value={value}", address(pod))).await;
        }
        let mean = value.replace('.', "") + "00m";
        let sees = |hpa: &Value| hpa["status"]["currentMetrics"][0]["pods"]["current"]["averageValue"] == *mean;
        let hpa = scene.becomes(HPA, "slow", sees).await;
        assert_eq!(hpa["status"]["desiredReplicas"], 4, "{hpa:#}");
        assert_eq!(recording.replicas("slow", changed), [4]);
    }
    assert_eq!(recording.replicas("slow", started), [2, 4]);
    println!("pending: {:?}", recording.check("slow"));
}

/// A queue of constant length scales to three; then the pages are spoilt and the queue is empty, which nobody can know;
/// then they are mended.
async fn hold(scene: &Scene, name: &'static str, [spoil, mend]: [&str; 2], cause: &str) {
    let broker = scene.broker().await;
    request("POST", &format!("{broker}/push?queue={name}&n=30")).await;
    scene.apply(&Workers { name, queue: name, service_time: None }.yaml()).await;
    let path = format!("deployments.apps/{name}/queue_length");
    eventually("the queue is seen", || scene.custom(&path), |list| list["items"][0]["value"] == "30").await;
    scene.apply(&Autoscaler { name, max: 5, metric: queue_of(name, "10") }.yaml()).await;
    let recording = scene.record().await;
    scene.has_replicas(name, 3).await;

    let (spoilt, selector) = (Instant::now(), format!("app={name}"));
    scene.request_each(&selector, 3, ("PUT", spoil)).await;
    request("POST", &format!("{broker}/clear?queue={name}")).await;
    let hpa = scene.becomes(HPA, name, |hpa| condition(hpa, "ScalingActive") == "False").await;
    let said = reason(&hpa, "ScalingActive");
    let sentence = format!(
        "the server could not find the metric queue_length for deployments.apps {name} in namespace {}: ",
        scene.namespace
    );
    assert!(said.starts_with("FailedGetObjectMetric: ") && said.contains(&sentence) && said.contains(cause), "{said}");
    scene.fails_again(name, PERIODS).await;
    assert_eq!(recording.replicas(name, spoilt), [3]);

    scene.request_each(&selector, 3, ("PUT", mend)).await;
    scene.has_replicas(name, 1).await;
    let hpa = scene.get(HPA, name).await;
    assert_eq!(condition(&hpa, "ScalingActive"), "True", "{hpa:#}");
    println!("{name}: {said}; {:?}", recording.check(name));
}

/// The pods that have a load.
async fn loads(scene: &Scene, selector: &str) -> BTreeSet<String> {
    let list = scene.custom(&format!("pods/*/load?labelSelector={selector}")).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter_map(|item| item["describedObject"]["name"].as_str()).map(str::to_owned).collect()
}
