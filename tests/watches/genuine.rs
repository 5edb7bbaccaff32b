use std::time::{Duration, Instant};

use crate::harness::controlplane::{ControlPlane, custom_resource, eventually};
use crate::harness::target::Target;

const CONFIG: &str = "
scrape_configs:
  - job_name: pods
    scrape_interval: 1s
    kubernetes_sd_configs: [{role: pod}, {role: endpointslice}, {role: podmonitor}, {role: servicemonitor}]
metrics:
  - {name: load, gauge: {series: load, combine: sum}}
";

/// The longest pause between two tries of a watch, and what a busy machine adds.
const RECOVERY_MAX: Duration = Duration::from_secs(20);

const MONITORED: &str = "
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {user: alice, password: secret}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  podMetricsEndpoints:
    - port: metrics
      basicAuth: {username: {name: login, key: user}, password: {name: login, key: password}}
";

/// A pod with labels and annotations that runs, for all that the API knows; its node is none of the harness.
async fn run(cluster: &ControlPlane, namespace: &str, name: &str, meta: &str, target: &Target) {
    let port = target.port();
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, {meta}}}
spec: {{nodeName: elsewhere, containers: [{{name: web, image: web, ports: [{{name: metrics, containerPort: {port}}}]}}]}}
"
    );
    cluster.apply(namespace, &pod).await;
    let status = r#"{"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}"#;
    let patch = ["patch", "pod", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", status];
    cluster.kubectl(&patch).await;
}

#[tokio::test]
async fn the_permissions_suffice_and_what_the_kube_apiserver_tells_is_understood() {
    let cluster = ControlPlane::start().await;
    let namespace = cluster.namespace("genuine").await;
    let (one, two) = (Target::page("load 1\n").await, Target::page("load 2\n").await);
    run(&cluster, &namespace, "annotated", "annotations: {prometheus.io/scrape: \"true\"}", &one).await;
    run(&cluster, &namespace, "monitored", "labels: {app: web}", &two).await;
    let plimsoll = cluster.plimsoll(CONFIG).await;
    let path = |pod: &str| format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/{pod}/load");
    let value_becomes = async |pod: &str, value: &str| {
        let (raw, value) = (path(pod), format!("\"value\":\"{value}\""));
        let ask = || async { cluster.try_kubectl(&["get", "--raw", &raw]).await.unwrap_or_else(|said| said) };
        eventually(pod, ask, |said| said.contains(&value)).await;
    };
    value_becomes("annotated", "1").await;
    let refused = cluster.try_kubectl(&["get", "--raw", &path("monitored")]).await.expect_err("nothing scrapes it");
    assert!(refused.contains("the pod monitored is running, but nothing scrapes it"), "{refused}");

    // A kind that comes, with a Secret that is asked for by its name.
    cluster.apply(&namespace, &custom_resource("monitoring.coreos.com", "PodMonitor", "podmonitors")).await;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/podmonitors.monitoring.coreos.com"]).await;
    cluster.apply(&namespace, MONITORED).await;
    value_becomes("monitored", "2").await;
    assert!(two.requests().iter().all(|head| head.to_lowercase().contains("authorization: basic ")));

    // Nothing of what it asks for is refused.
    let direct = plimsoll.direct();
    let ready = || direct.get("/readyz");
    let is_well = |said: &Option<(u16, String)>| said.as_ref().is_some_and(|(code, said)| *code == 200 && said == "ok");
    eventually("ready", ready, is_well).await;

    // Away for long enough that the watches wait between their tries.
    cluster.stop_apiserver();
    let has =
        |words: &'static str| move |said: &Option<(u16, String)>| said.as_ref().is_some_and(|it| it.1.contains(words));
    eventually("its absence is said", ready, has("the last known 3 pods stay")).await;
    eventually("to the authenticator too", ready, has("the last good requestheader CA stays in force")).await;
    let value = direct.get(&path("monitored")).await.expect("an answer");
    assert!(value.1.contains("\"value\":\"2\""), "{value:?}");
    cluster.start_apiserver().await;
    let back = Instant::now();
    eventually("all is well again", ready, is_well).await;
    println!("all was well {:?} after the kube-apiserver was back", back.elapsed());
    assert!(back.elapsed() < RECOVERY_MAX, "{:?}", back.elapsed());
    cluster.kubectl(&["delete", "pod", "annotated", "-n", &namespace, "--force", "--grace-period=0"]).await;
    let gone =
        || async { cluster.try_kubectl(&["get", "--raw", &path("annotated")]).await.unwrap_or_else(|said| said) };
    eventually("it is gone", gone, |said| said.contains("no running pod of this name is known")).await;
}
