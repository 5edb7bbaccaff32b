use serde_json::Value;

use super::{WORKLOAD, has_condition, ready_pods, text};
use crate::harness::controlplane::{ControlPlane, eventually};

/// Plimsoll in a pod of its own, which is in no cluster for all that it knows. It is asked for life often.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
    - name: plimsoll
      image: plimsoll
      args: [serve, --config=$(FOLDER)/plimsoll.yaml, "--listen=[::]:10250"]
      env:
        - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: FOLDER, value: /etc/plimsoll}
        - {name: WHOLE, value: $(NAME)-$(NOBODY)-$$(NAME)}
      ports: [{name: https, containerPort: 10250}]
      readinessProbe: {httpGet: {path: /readyz, port: https, scheme: HTTPS}, periodSeconds: 1}
      livenessProbe:
        {httpGet: {path: /livez, port: https, scheme: HTTPS}, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 2}
      volumeMounts:
        - {name: config, mountPath: /etc/plimsoll, readOnly: true}
        - {name: scratch, mountPath: /scratch}
  volumes:
    - {name: config, configMap: {name: settings}}
    - {name: scratch, emptyDir: {}}
"#;

const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  plimsoll.yaml: |
    scrape_configs: [{job_name: none, targets: [{url: "http://127.0.0.1:9/metrics", namespace: ns, pod: pod}]}]
    metrics: [{name: load, gauge: {series: load, combine: sum}}]
"#;

#[tokio::test]
async fn a_pod_waits_for_what_it_mounts_and_has_what_its_spec_says() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("alone").await;
    cluster.apply(&namespace, POD).await;
    let waiting = |pod: &Value| text(&pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]);
    let missing = |pod: &Value| waiting(pod) == "configmap \"settings\" not found";
    cluster.object_becomes(&namespace, "v1/Pod", "alone", missing).await;
    cluster.apply(&namespace, SETTINGS).await;
    let pod = cluster.object_becomes(&namespace, "v1/Pod", "alone", |pod| has_condition(pod, "Ready")).await;

    let pid = pid(&cluster, &pod);
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it runs").replace('\0', "\n");
    let listen = format!("--listen={}:10250", text(&pod["status"]["podIP"]));
    assert_eq!(read("cmdline"), format!("/plimsoll\nserve\n--config=/etc/plimsoll/plimsoll.yaml\n{listen}\n"));
    let variables = read("environ");
    assert!(variables.contains("\nWHOLE=alone-$(NOBODY)-$(NAME)\n"), "{variables}");
    assert!(!variables.contains("CARGO"), "{variables}");
    let file = || async { read("root/etc/plimsoll/plimsoll.yaml") };
    assert!(file().await.contains("name: load,"));
    cluster.apply(&namespace, &SETTINGS.replace("name: load,", "name: another,")).await;
    eventually("the file follows", file, |text| text.contains("name: another,")).await;
    cluster.kubectl(&["delete", "pod", "alone", "-n", &namespace]).await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it outlives its pod");
}

#[tokio::test]
async fn a_process_that_hangs_is_not_ready_and_then_started_again() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("hangs").await;
    cluster.apply(&namespace, &format!("{SETTINGS}---{POD}")).await;
    let pod = cluster.object_becomes(&namespace, "v1/Pod", "alone", |pod| has_condition(pod, "Ready")).await;
    let former = pid(&cluster, &pod);
    let program = cluster.program(&text(&pod["metadata"]["uid"])).expect("it runs");
    program.lock().expect("not poisoned").signal("STOP");
    drop(program);
    cluster.object_becomes(&namespace, "v1/Pod", "alone", |pod| !has_condition(pod, "Ready")).await;
    let has_restarted =
        |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1 && has_condition(pod, "Ready");
    let pod = cluster.object_becomes(&namespace, "v1/Pod", "alone", has_restarted).await;
    assert_ne!(pid(&cluster, &pod), former);
}

#[tokio::test]
async fn the_way_of_the_api_server_leads_to_the_pods_of_services_and_nowhere_else() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.namespace("egress").await;
    cluster.apply(&namespace, WORKLOAD).await;
    ready_pods(&cluster, &namespace, "app=broker", 1).await;
    let service = cluster.get(&namespace, "v1/Service", "broker").await;
    let host = text(&service["spec"]["clusterIP"]);
    assert!(host.starts_with("127."), "{host}");
    let way = |to: String| async move { ControlPlane::shared().await.way(&to).await };
    let service = format!("{host}:80");
    eventually("the broker", || way(service.clone()), |said| said.starts_with("HTTP/1.1 200 ")).await;
    for elsewhere in [&format!("{host}:81"), "broker:80", "192.0.2.1:443", "127.0.0.1:22"] {
        let said = cluster.way(elsewhere).await;
        assert!(said.starts_with(&format!("HTTP/1.1 502 {elsewhere} has no ready pod")), "{said}");
    }
    cluster.kubectl(&["scale", "deployment/broker", "--replicas=0", "-n", &namespace]).await;
    eventually("nobody is there", || way(service.clone()), |said| said.starts_with("HTTP/1.1 502 ")).await;
}

fn pid(cluster: &ControlPlane, pod: &Value) -> u32 {
    let program = cluster.program(&text(&pod["metadata"]["uid"])).expect("it runs");
    let program = program.lock().expect("not poisoned");
    program.pid()
}
