// Plimsoll in a pod, and the way to Services.
mod plimsoll;

use std::time::Duration;

use serde_json::Value;

use crate::harness::controlplane::{ControlPlane, eventually};

/// Two roles of the workload, and a Service in front of one.
const WORKLOAD: &str = "
apiVersion: v1
kind: Service
metadata: {name: broker}
spec: {selector: {app: broker}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec:
  replicas: 1
  selector: {matchLabels: {app: broker}}
  template:
    metadata: {labels: {app: broker}}
    spec:
      # The controller of namespaces comes back to a pod after half of this time.
      terminationGracePeriodSeconds: 2
      containers: [{name: broker, image: workload, args: [broker], ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: worker}
spec: {selector: {app: worker}, ports: [{name: metrics, port: 80, targetPort: 9100}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 3
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
        - name: worker
          image: workload
          args: [worker, --port, \"9100\", --service-time, \"10\"]
          ports: [{containerPort: 9100}]
";

const JOBS: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: task, image: workload, args: [task, --duration, \"100\"]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: task, image: workload, args: [task, --duration, \"100\", --fails]}]
";

const HELD_BACK: &str = "
apiVersion: v1
kind: Pod
metadata: {name: pending, annotations: {plimsoll.test/pending: \"true\"}}
spec: {containers: [{name: pause, image: pause}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unready, annotations: {plimsoll.test/ready: \"false\"}}
spec: {containers: [{name: pause, image: pause}]}
---
apiVersion: v1
kind: Pod
metadata: {name: slow, annotations: {plimsoll.test/init-delay: \"1.5\"}}
spec: {containers: [{name: pause, image: pause}]}
---
apiVersion: v1
kind: Pod
metadata: {name: misspelt}
spec: {containers: [{name: main, image: worklaod}]}
---
apiVersion: v1
kind: Pod
metadata: {name: foreign}
spec: {nodeName: node-2, containers: [{name: pause, image: pause}]}
";

#[tokio::test]
async fn pods_of_a_deployment_are_processes_with_addresses_of_their_own_and_end_with_it() {
    let cluster = ControlPlane::shared().await;
    println!("the control plane started in {:?}", cluster.started_in);
    let namespace = cluster.namespace("processes").await;
    cluster.apply(&namespace, WORKLOAD).await;
    let pods = ready_pods(&cluster, &namespace, "app=worker", 3).await;
    let addresses: std::collections::BTreeSet<_> = pods.iter().map(|pod| text(&pod["status"]["podIP"])).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in &addresses {
        assert!(page(&format!("{address}:9100")).await.contains("# TYPE agent_decisions_total counter"), "{address}");
    }
    cluster.kubectl(&["scale", "deployment/worker", "--replicas=1", "-n", &namespace]).await;
    let left = ready_pods(&cluster, &namespace, "app=worker", 1).await;
    let left = text(&left[0]["status"]["podIP"]);
    for address in &addresses {
        let answers = std::net::TcpStream::connect(format!("{address}:9100")).is_ok();
        assert_eq!(answers, *address == left, "{address}");
    }
    cluster.kubectl(&["delete", "namespace", &namespace]).await;
    assert!(std::net::TcpStream::connect(format!("{left}:9100")).is_err(), "{left} outlives its namespace");
}

#[tokio::test]
async fn a_queue_fills_and_drains_and_every_worker_reports_it() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("queue").await;
    cluster.apply(&namespace, WORKLOAD).await;
    let workers = ready_pods(&cluster, &namespace, "app=worker", 3).await;
    let broker = address(&ready_pods(&cluster, &namespace, "app=broker", 1).await[0], 8080);
    cluster.kubectl(&["scale", "deployment/worker", "--replicas=1", "-n", &namespace]).await;
    let worker = ready_pods(&cluster, &namespace, "app=worker", 1).await;
    assert!(workers.iter().any(|pod| pod["metadata"]["uid"] == worker[0]["metadata"]["uid"]));
    let worker = address(&worker[0], 9100);
    request("POST", &format!("{broker}/push?n=300")).await;
    let length = || async { sample(&page(&worker).await, "agent_queue_length{queue=\"inference\"}") };
    eventually("the queue is seen", length, |length| length.is_some_and(|length| length > 50.0)).await;
    eventually("the queue drains", length, |length| *length == Some(0.0)).await;
    let done = || async { sample(&page(&worker).await, "model_inference_duration_seconds_count") };
    eventually("all is done", done, |count| *count == Some(300.0)).await;

    request("PUT", &format!("{broker}/rate?per_second=50")).await;
    eventually("load comes by itself", done, |count| *count > Some(310.0)).await;
    request("PUT", &format!("{worker}/hide?metric=agent_queue_length")).await;
    assert!(!page(&worker).await.contains("agent_queue_length"));
    request("PUT", &format!("{worker}/show?metric=agent_queue_length")).await;
    assert!(page(&worker).await.contains("agent_queue_length{queue="));
    request("PUT", &format!("{worker}/pin?metric=agent_queue_length&value=40")).await;
    assert_eq!(sample(&page(&worker).await, "agent_queue_length"), Some(40.0));
    request("PUT", &format!("{worker}/broken")).await;
    assert!(page(&worker).await.contains("not a page"));
    request("PUT", &format!("{worker}/mended")).await;
    assert_eq!(sample(&page(&worker).await, "agent_queue_length"), Some(40.0));
}

#[tokio::test]
async fn a_service_gets_slices_with_its_pods_and_the_ports_they_have() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("slices").await;
    cluster.apply(&namespace, WORKLOAD).await;
    ready_pods(&cluster, &namespace, "app=worker", 3).await;
    let slice = |name: &'static str| cluster.get(&namespace, "discovery.k8s.io/v1/EndpointSlice", name);
    let ready = |slice: &Value| items(&slice["endpoints"]).filter(|it| it["conditions"]["ready"] == true).count();
    let worker = eventually("three endpoints", || slice("worker-0"), |slice| ready(slice) == 3).await;
    assert_eq!(worker["metadata"]["labels"]["kubernetes.io/service-name"], "worker");
    assert_eq!((&worker["ports"][0]["name"], &worker["ports"][0]["port"]), (&"metrics".into(), &9100.into()));
    for endpoint in items(&worker["endpoints"]) {
        let pod = cluster.get(&namespace, "v1/Pod", &text(&endpoint["targetRef"]["name"])).await;
        assert_eq!(pod["metadata"]["uid"], endpoint["targetRef"]["uid"]);
        assert_eq!(pod["spec"]["nodeName"], endpoint["nodeName"]);
    }
    let broker = eventually("one endpoint", || slice("broker-0"), |slice| ready(slice) == 1).await;
    assert_eq!(broker["ports"][0]["port"], 8080, "by the name of the container's port");
    cluster.kubectl(&["scale", "deployment/worker", "--replicas=0", "-n", &namespace]).await;
    eventually("no endpoint", || slice("worker-0"), |slice| items(&slice["endpoints"]).count() == 0).await;
    cluster.kubectl(&["delete", "service/worker", "-n", &namespace]).await;
    eventually("no slice", || slice("worker-0"), Value::is_null).await;
}

#[tokio::test]
async fn jobs_complete_and_fail_as_their_processes_do() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("jobs").await;
    cluster.apply(&namespace, JOBS).await;
    cluster.object_becomes(&namespace, "batch/v1/Job", "good", |job| has_condition(job, "Complete")).await;
    cluster.object_becomes(&namespace, "batch/v1/Job", "bad", |job| has_condition(job, "Failed")).await;
    let pods = pods(&cluster, &namespace, "job-name=bad").await;
    let ended = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 1);
    assert!(text(&ended["message"]).contains("did not succeed"), "{ended}");
}

#[tokio::test]
async fn pods_are_held_back_as_their_annotations_say() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("held").await;
    cluster.apply(&namespace, HELD_BACK).await;
    let pod = |name: &'static str| cluster.get(&namespace, "v1/Pod", name);
    let phase = |pod: &Value| text(&pod["status"]["phase"]);
    eventually("slow waits", || pod("slow"), |pod| has_condition(pod, "PodScheduled")).await;
    assert_eq!(phase(&pod("slow").await), "Pending");
    cluster.object_becomes(&namespace, "v1/Pod", "slow", |pod| has_condition(pod, "Ready")).await;
    let unready = cluster.object_becomes(&namespace, "v1/Pod", "unready", |pod| phase(pod) == "Running").await;
    assert!(!has_condition(&unready, "Ready"));
    let pending = pod("pending").await;
    assert_eq!((phase(&pending).as_str(), &pending["spec"]["nodeName"]), ("Pending", &Value::Null));
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"].clone();
    cluster.object_becomes(&namespace, "v1/Pod", "misspelt", |pod| waiting(pod) != Value::Null).await;
    assert_eq!(waiting(&pod("misspelt").await), "no image worklaod: expected workload, plimsoll or pause");
    assert_eq!(phase(&pod("foreign").await), "Pending");

    for (name, annotation) in [("pending", "plimsoll.test/pending-"), ("unready", "plimsoll.test/ready-")] {
        cluster.kubectl(&["annotate", "pod", name, annotation, "-n", &namespace]).await;
        cluster.object_becomes(&namespace, "v1/Pod", name, |pod| has_condition(pod, "Ready")).await;
    }
}

#[tokio::test]
async fn plimsoll_is_registered_and_its_availability_follows_the_process() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("registered").await;
    cluster.apply(&namespace, WORKLOAD).await;
    let worker = address(&ready_pods(&cluster, &namespace, "app=worker", 3).await[0], 9100);
    request("PUT", &format!("{worker}/pin?metric=answer&value=42")).await;
    let mut plimsoll = cluster.plimsoll(&configuration(&namespace, &worker)).await;
    println!("Available {:?} after its manifests were applied", plimsoll.available_in);
    let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/answer");
    let ask = || async { cluster.try_kubectl(&["get", "--raw", &path]).await.unwrap_or_default() };
    eventually("the value", ask, |said| said.contains("\"value\":\"42\"")).await;

    plimsoll.kill();
    plimsoll.becomes_available(false).await;
    assert_eq!(ask().await, "");
    plimsoll.restart();
    plimsoll.becomes_available(true).await;
    eventually("the value again", ask, |said| said.contains("\"value\":\"42\"")).await;
    plimsoll.configure(&configuration(&namespace, &worker).replace("answer", "question")).await;
    eventually("another configuration", ask, String::is_empty).await;
    let (status, said) = plimsoll.stop();
    assert!(status.success(), "{said}");
    plimsoll.unregister().await;
    assert!(!cluster.kubectl(&["api-versions"]).await.contains("metrics.k8s.io"));
}

#[tokio::test]
async fn without_controllers_nothing_happens_to_a_deployment() {
    let cluster = ControlPlane::start_api().await;
    let namespace = cluster.namespace("quiet").await;
    cluster.apply(&namespace, WORKLOAD).await;
    let said = cluster.kubectl(&["get", "deployment,replicaset,pod", "-n", &namespace, "-o", "name"]).await;
    assert_eq!(said, "deployment.apps/broker\ndeployment.apps/worker\n");
    let refused = cluster.try_kubectl(&["get", "nonsense"]).await.expect_err("no such resource");
    assert!(refused.contains("doesn't have a resource type"), "{refused}");
    cluster.delete(&namespace, WORKLOAD).await;
    assert_eq!(cluster.kubectl(&["get", "deployment", "-n", &namespace, "-o", "name"]).await, "");
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane_that_ended() {
    let cluster = ControlPlane::start().await;
    let namespace = cluster.namespace("end").await;
    cluster.apply(&namespace, WORKLOAD).await;
    ready_pods(&cluster, &namespace, "app=worker", 3).await;
    let folder = cluster.kubeconfig().parent().expect("a folder").to_owned();
    let part = folder.display().to_string();
    let mine = || processes_that_know(&part);
    assert_eq!(mine().len(), 8, "etcd, two of Kubernetes, four pods, what removes the folder: {:#?}", mine());
    drop(cluster);
    eventually("nothing runs", || async { mine() }, Vec::is_empty).await;
    assert!(!folder.exists(), "{part} is left");
}

fn configuration(namespace: &str, address: &str) -> String {
    format!(
        "
scrape_configs:
  - job_name: workers
    scrape_interval: 1s
    targets: [{{url: \"http://{address}/metrics\", namespace: {namespace}}}]
metrics:
  - {{name: answer, gauge: {{series: answer, combine: max}}}}
"
    )
}

async fn ready_pods(cluster: &ControlPlane, namespace: &str, selector: &str, count: usize) -> Vec<Value> {
    let all_ready = |pods: &Vec<Value>| pods.len() == count && pods.iter().all(|pod| has_condition(pod, "Ready"));
    eventually(&format!("{count} pods are ready"), || pods(cluster, namespace, selector), all_ready).await
}

async fn pods(cluster: &ControlPlane, namespace: &str, selector: &str) -> Vec<Value> {
    let said = cluster.kubectl(&["get", "pods", "-n", namespace, "-l", selector, "-o", "json"]).await;
    let list: Value = serde_json::from_str(&said).expect("JSON");
    items(&list["items"]).cloned().collect()
}

fn has_condition(object: &Value, name: &str) -> bool {
    items(&object["status"]["conditions"]).any(|it| it["type"] == name && it["status"] == "True")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn address(pod: &Value, port: u16) -> String {
    format!("{}:{port}", text(&pod["status"]["podIP"]))
}

async fn page(address: &str) -> String {
    request("GET", &format!("{address}/metrics")).await
}

async fn request(method: &str, url: &str) -> String {
    let method = method.parse().expect("a method");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let answer = client.request(method, format!("http://{url}")).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.expect("a body")
}

/// The value of the series that is written like this.
fn sample(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

/// The command lines of processes with this text in their command line or environment.
fn processes_that_know(text: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let read = |path: std::path::PathBuf| std::fs::read(path).map(|it| String::from_utf8_lossy(&it).into_owned());
    let known = entries.filter_map(|entry| {
        let (command, variables) = (read(entry.path().join("cmdline")).ok()?, read(entry.path().join("environ")).ok()?);
        Some(command.replace('\0', " ")).filter(|command| command.contains(text) || variables.contains(text))
    });
    known.collect()
}
