//! `plimsoll doctor` on a real control plane: what is well has no failures, and each fault is named. The faults concern
//! the whole cluster, so these tests have one of their own.

mod impostor;
mod short_lived;
mod strangers;
mod tenants;

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use plimsoll::clock::Clock;
use plimsoll::doctor::{Doctor, ServiceName};
use serde_json::{Value, json};

use crate::harness::controlplane::registered::Registered;
use crate::harness::controlplane::{ControlPlane, eventually};
use crate::harness::pki::Authority;
use crate::harness::program::PLIMSOLL;
use crate::harness::{install_crypto, target};
use short_lived::ShortLived;

/// A cluster with a Plimsoll and one autoscaled workload.
struct Ward {
    cluster: Arc<ControlPlane>,
    plimsoll: Registered,
    config: tempfile::NamedTempFile,
}

const NAMESPACE: &str = "agents";

const CONFIG: &str = "
scrape_configs:
  - {job_name: pods, scrape_interval: 1s, freshness: 3s, kubernetes_sd_configs: [{role: pod}]}
metrics:
  - {name: load, gauge: {series: load, combine: sum}}
  - {name: latency_p95, quantile: {histogram: model_inference_duration_seconds, q: 0.95, window: 5s}}
";

/// A pod each; their load is pinned to their pages.
const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {prometheus.io/scrape: "true"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: worker, image: workload, args: [worker, --concurrency, "0"], ports: [{containerPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: odd}
spec:
  selector: {matchLabels: {app: odd}}
  template:
    metadata: {labels: {app: odd}, annotations: {prometheus.io/scrape: "true"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: worker, image: workload, args: [worker, --concurrency, "0"], ports: [{containerPort: 8080}]}
"#;

const LOAD: &str = "type: Object, object: {metric: {name: load}, describedObject: {apiVersion: apps/v1, kind: Deployment, \
                    name: DEPLOYMENT}, target: TARGET}";
const PER_POD: &str = "{type: AverageValue, averageValue: \"10\"}";

const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";
const BETA1: &str = "v1beta1.custom.metrics.k8s.io";

// === impl Ward ===

impl Ward {
    async fn open() -> Self {
        let cluster = ControlPlane::start().await;
        let plimsoll = cluster.plimsoll(CONFIG).await;
        let config = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
        std::fs::write(config.path(), CONFIG).expect("written");
        let ward = Self { cluster, plimsoll, config };
        let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}");
        ward.cluster.apply("default", &namespace).await;
        ward.cluster.apply(NAMESPACE, WORKLOADS).await;
        ward.cluster.apply(NAMESPACE, &autoscaler("web", "web", (1, 4), &load("web", PER_POD))).await;
        for (name, value) in [("web", "5"), ("odd", "3000000000")] {
            request(&ward.pod(name).await, &format!("pin?metric=load&value={value}")).await;
        }
        ward
    }

    /// The address of the Ready pod of a Deployment.
    async fn pod(&self, name: &str) -> String {
        let (selector, get) = (format!("app={name}"), ["-n", NAMESPACE, "get", "pods", "-o", "json", "-l"]);
        let arguments = [&get[..], &[selector.as_str()]].concat();
        let pods = || async {
            let said = self.cluster.kubectl(&arguments).await;
            serde_json::from_str::<Value>(&said).expect("JSON")["items"][0].clone()
        };
        let is_ready = |pod: &Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        let pod = eventually("the pod runs", pods, is_ready).await;
        format!("{}:8080", pod["status"]["podIP"].as_str().expect("an address"))
    }

    /// The exit code and the report.
    async fn examine(&self, more: &[&str]) -> (i32, Value) {
        self.examine_at(self.plimsoll.address, more).await
    }

    /// The same where another port is taken for Plimsoll's.
    async fn examine_at(&self, port: SocketAddr, more: &[&str]) -> (i32, Value) {
        let mut command = Command::new(PLIMSOLL);
        command.args(["doctor", "--output", "json", "--server", &format!("https://{port}")]);
        command.arg("--config").arg(self.config.path()).args(more).env("KUBECONFIG", self.cluster.kubeconfig());
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "nothing is said of progress where nobody looks");
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code().expect("a code"), report)
    }

    /// Waits until a fault is named: a finding of this check and state, with these words.
    async fn names(&self, check: &str, state: &str, words: &[&str]) {
        self.names_with(&[], (check, state), words).await;
    }

    async fn names_with(&self, more: &[&str], finding: (&str, &str), words: &[&str]) {
        self.names_at(self.plimsoll.address, more, finding, words).await;
    }

    async fn names_at(&self, port: SocketAddr, more: &[&str], (check, state): (&str, &str), words: &[&str]) {
        let is_it = |finding: &Value| {
            let text = finding.to_string();
            finding["check"] == check && finding["state"] == state && words.iter().all(|word| text.contains(word))
        };
        let is_named = |(code, report): &(i32, Value)| {
            let findings = report["findings"].as_array().expect("a list");
            findings.iter().any(is_it) && *code == i32::from(report["summary"]["failure"] != 0)
        };
        eventually(&format!("{check} {state} {words:?}"), || self.examine_at(port, more), is_named).await;
    }

    /// Waits until there is no failure any more.
    async fn is_well(&self) -> Value {
        let is_well = |(code, report): &(i32, Value)| *code == 0 && report["summary"]["failure"] == 0;
        eventually("no failures", || self.examine(&["-n", NAMESPACE]), is_well).await.1
    }

    /// An object as it can be applied again.
    async fn saved(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.cluster.kubectl(&[&["get", "-o", "json"], arguments].concat()).await;
        let mut found: Value = serde_json::from_str(&said).expect("JSON");
        let mut objects = match found["items"].take() {
            Value::Array(items) => items,
            _ => vec![found],
        };
        for object in &mut objects {
            let whole = object.as_object_mut().expect("an object");
            whole.remove("status");
            let metadata = whole["metadata"].as_object_mut().expect("metadata");
            for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
                metadata.remove(key);
            }
        }
        objects
    }

    async fn restore(&self, objects: &[Value]) {
        for object in objects {
            self.cluster.apply("default", &object.to_string()).await;
        }
    }

    async fn patch_api_service(&self, name: &str, spec: &Value) {
        let patch = json!({ "spec": spec }).to_string();
        self.cluster.kubectl(&["patch", "apiservice", name, "--type=merge", "-p", &patch]).await;
    }

    /// Every binding of one kind that gives this role to this subject.
    async fn bindings(&self, kind: &str, role: &str, subject: &str) -> Vec<Value> {
        let all = self.saved(&[kind, "--all-namespaces"]).await;
        let is_it = |it: &Value| {
            let mut subjects = it["subjects"].as_array().into_iter().flatten();
            it["roleRef"]["name"] == role && subjects.any(|it| it["name"] == subject)
        };
        all.into_iter().filter(is_it).collect()
    }

    /// Takes bindings away until that is named.
    async fn without(&self, bindings: &[Value], words: &[&str]) {
        assert!(!bindings.is_empty(), "{words:?}: there is nothing to take away");
        for binding in bindings {
            self.cluster.delete("default", &binding.to_string()).await;
        }
        self.names("permissions", "failure", words).await;
        self.restore(bindings).await;
    }
}

fn load(deployment: &str, target: &str) -> String {
    format!("{{{}}}", LOAD.replace("DEPLOYMENT", deployment).replace("TARGET", target))
}

fn autoscaler(name: &str, target: &str, (min, max): (u32, u32), metric: &str) -> String {
    format!(
        "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}
  minReplicas: {min}
  maxReplicas: {max}
  metrics: [{metric}]
"
    )
}

async fn request(pod: &str, path: &str) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let answer = client.put(format!("http://{pod}/{path}")).send().await.expect("the pod answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

/// What the doctor finds as a library, by another clock.
async fn examine_at(kubeconfig: &Path, ahead: Duration) -> Value {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let clock = Clock::system();
    let doctor = Doctor {
        kubernetes: kubeconfig.try_into().expect("complete"),
        is_pod: false,
        service: ServiceName { namespace: "plimsoll-system".into(), name: "plimsoll".into() },
        namespaces: Vec::new(),
        server: None,
        config_file: None,
        clock: Clock::from_fn(move || clock.now().plus(ahead)),
        progress: Box::new(|_| ()),
    };
    json!(doctor.examine().await.expect("the cluster answers"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_well_has_no_failures_and_each_fault_is_named() {
    let mut ward = Ward::open().await;
    healthy(&ward).await;
    own_account(&ward).await;
    pages(&ward).await;
    permissions(&ward).await;
    registrations(&ward).await;
    front_proxy(&ward).await;
    clocks(&ward).await;
    autoscalers(&ward).await;
    dead(&mut ward).await;
}

/// Every check says that it is well.
async fn healthy(ward: &Ward) {
    let report = ward.is_well().await;
    let findings = report["findings"].as_array().expect("a list");
    for check in ["apiservices", "service", "certificate", "requestheader", "permissions", "adapters", "configuration"]
    {
        let mut of_it = findings.iter().filter(|finding| finding["check"] == check);
        assert!(of_it.clone().count() > 0 && of_it.all(|it| it["state"] == "ok"), "{check}: {report:#}");
    }
    let is_value =
        |it: &Value| it["check"] == "metrics" && it["metric"]["value"] == "5" && it["metric"]["ageSeconds"].is_i64();
    eventually(
        "the value is told",
        || ward.examine(&[]),
        |(_, report)| report["findings"].as_array().expect("a list").iter().any(is_value),
    )
    .await;
    ward.names("targets", "ok", &["2 up"]).await;
    ward.names("autoscalers", "ok", &["\"web\"", "ScalingActive"]).await;
    // What the tests do not serve is nobody's fault: without a place to ask, it is said.
    let text =
        Command::new(PLIMSOLL).arg("doctor").env("KUBECONFIG", ward.cluster.kubeconfig()).output().expect("it runs");
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(text.contains("Scrape targets") && text.contains("port-forward") && !text.contains('\x1b'), "{text}");
    println!("{text}");
}

/// In a pod of Plimsoll, with the rights that it has there.
async fn own_account(ward: &Ward) {
    let kubeconfig = kube::config::Kubeconfig::read_from(ward.cluster.kubeconfig()).expect("a kubeconfig");
    let mut kubernetes: kube::Config = kubeconfig.try_into().expect("complete");
    kubernetes.auth_info.impersonate = Some("system:serviceaccount:plimsoll-system:plimsoll".into());
    let groups = ["system:serviceaccounts", "system:serviceaccounts:plimsoll-system", "system:authenticated"];
    kubernetes.auth_info.impersonate_groups = Some(groups.map(str::to_owned).into());
    let doctor = Doctor {
        kubernetes,
        is_pod: true,
        service: ServiceName { namespace: "plimsoll-system".into(), name: "plimsoll".into() },
        namespaces: Vec::new(),
        server: Some(format!("https://{}", ward.plimsoll.address).parse().expect("a URL")),
        config_file: Some(ward.config.path().to_owned()),
        clock: Clock::system(),
        progress: Box::new(|_| ()),
    };
    let report = json!(doctor.examine().await.expect("the cluster answers"));
    let findings = report["findings"].as_array().expect("a list");
    for check in ["apiservices", "service", "certificate", "requestheader", "permissions", "configuration", "targets"] {
        let mut of_it = findings.iter().filter(|finding| finding["check"] == check);
        assert!(of_it.clone().count() > 0 && of_it.all(|it| it["state"] == "ok"), "{check}: {report:#}");
    }
    let is_listing = |it: &Value| it["check"] == "metrics" && it["state"] == "unknown";
    assert!(findings.iter().any(is_listing), "autoscalers are not for it to read: {report:#}");
}

async fn pages(ward: &Ward) {
    let pod = ward.pod("web").await;
    request(&pod, "hide?metric=load").await;
    ward.names("metrics", "failure", &["load is not served", "has no series load"]).await;
    request(&pod, "show?metric=load").await;
    ward.is_well().await;
    request(&pod, "broken").await;
    ward.names("targets", "failure", &["is down", &pod]).await;
    request(&pod, "mended").await;
    ward.is_well().await;
}

async fn permissions(ward: &Ward) {
    let delegator = ward.bindings("clusterrolebinding", "system:auth-delegator", "plimsoll").await;
    ward.without(&delegator, &["create tokenreviews", "--clusterrole=system:auth-delegator"]).await;
    let reader = ward.bindings("clusterrolebinding", "plimsoll-authentication-reader", "plimsoll").await;
    ward.without(&reader, &["who the front proxy is", "--clusterrole=plimsoll-authentication-reader"]).await;
    let controller = "system:controller:horizontal-pod-autoscaler";
    let controller = ward.bindings("clusterrolebinding", controller, "horizontal-pod-autoscaler").await;
    ward.without(&controller, &["horizontal-pod-autoscaler", "may not read Pods and Object metrics"]).await;
    let discovery = ward.bindings("clusterrolebinding", "plimsoll", "plimsoll").await;
    ward.without(&discovery, &["find what is to be scraped", "list, watch pods"]).await;
    ward.is_well().await;
}

async fn registrations(ward: &Ward) {
    let saved = ward.saved(&["apiservice", EXTERNAL, BETA1]).await;
    ward.cluster.kubectl(&["delete", "apiservice", EXTERNAL]).await;
    ward.names("apiservices", "failure", &[EXTERNAL, "is not registered"]).await;
    ward.restore(&saved).await;

    let keda = json!({"service": {"namespace": "keda", "name": "keda-operator-metrics-apiserver"}});
    ward.patch_api_service(EXTERNAL, &keda).await;
    ward.names("adapters", "warning", &[EXTERNAL, "held by KEDA"]).await;
    let other = json!({"service": {"namespace": "monitoring", "name": "prometheus-adapter"}});
    ward.patch_api_service(BETA1, &other).await;
    ward.names("adapters", "failure", &[BETA1, "held by prometheus-adapter"]).await;
    ward.restore(&saved).await;

    // Plimsoll would mend what follows.
    let keeper = ward.bindings("clusterrolebinding", "plimsoll-api-services", "plimsoll").await;
    assert!(!keeper.is_empty(), "there is nothing to take away");
    for binding in &keeper {
        ward.cluster.delete("default", &binding.to_string()).await;
    }
    ward.patch_api_service(EXTERNAL, &json!({"caBundle": null, "insecureSkipTLSVerify": true})).await;
    ward.names("apiservices", "failure", &[EXTERNAL, "insecureSkipTLSVerify"]).await;
    ward.patch_api_service(EXTERNAL, &json!({"insecureSkipTLSVerify": null})).await;
    ward.restore(&saved).await;

    let foreign = k8s_openapi::ByteString(Authority::new("foreign").pem().into_bytes());
    ward.patch_api_service(EXTERNAL, &json!({ "caBundle": foreign })).await;
    ward.names("certificate", "failure", &[EXTERNAL, "does not fit the serving certificate"]).await;
    ward.names("apiservices", "failure", &[EXTERNAL, "FailedDiscoveryCheck"]).await;
    expiry(ward).await;
    ward.restore(&saved).await;
    ward.restore(&keeper).await;

    let empty = "{apiVersion: v1, kind: Service, metadata: {name: empty}, spec: {selector: {app: nobody}, \
                 ports: [{name: https, port: 443}]}}";
    ward.cluster.apply(NAMESPACE, empty).await;
    let nobody = json!({"service": {"namespace": NAMESPACE, "name": "empty", "port": 443}});
    ward.patch_api_service(EXTERNAL, &nobody).await;
    let service = format!("{NAMESPACE}/empty");
    let as_ours = ["--service", service.as_str()];
    ward.names_with(&as_ours, ("service", "failure"), &["\"empty\"", "has no endpoints"]).await;
    ward.names_with(&as_ours, ("apiservices", "failure"), &[EXTERNAL, "is not Available"]).await;
    ward.restore(&saved).await;
    ward.is_well().await;
}

/// A serving certificate and the caBundle for it, each near its end and beyond.
async fn expiry(ward: &Ward) {
    let long = -300 * DAY..300 * DAY;
    for (authority, leaf, check, state, words) in [
        (long.clone(), -30 * DAY..-HOUR, ["Certificate", "it expired at"], "failure", "does not fit"),
        (
            long.clone(),
            -30 * DAY..2 * HOUR,
            ["Certificate", "it is valid for 1 h more"],
            "warning",
            "its caBundle fits",
        ),
        (-30 * DAY..2 * HOUR, long.clone(), ["APIService", "fits, and is valid for 1 h more"], "warning", "1 h more"),
        (-30 * DAY..-HOUR, long, ["APIService", "has a caBundle whose CA expired at"], "failure", "whose CA expired"),
    ] {
        let authority = ShortLived::authority(authority);
        let (port, _serving) = authority.sign(leaf).serve().await;
        let pem = k8s_openapi::ByteString(authority.pem().into_bytes());
        ward.patch_api_service(EXTERNAL, &json!({ "caBundle": pem })).await;
        ward.names_at(port, &[], ("certificate", state), &check).await;
        let report = ward.examine_at(port, &[]).await.1;
        let findings = report["findings"].as_array().expect("a list");
        let mut bundles = findings.iter().filter(|it| it["check"] == "certificate" && it["object"]["name"] == EXTERNAL);
        assert!(bundles.any(|it| it["found"].as_str().is_some_and(|it| it.contains(words))), "{words}: {report:#}");
    }
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The kube-apiserver mends its ConfigMap at once, so it is spoilt again and again until it was seen. It gives up for a
/// minute where it is hindered often, so what was there before is put back.
async fn front_proxy(ward: &Ward) {
    let object = "extension-apiserver-authentication";
    let missing = (Value::Null, "failure", "the key requestheader-client-ca-file is missing");
    let pem = |seconds: Range<i64>| Value::from(ShortLived::authority(seconds).pem());
    let expired = (pem(-30 * DAY..-HOUR), "failure", "the requestheader CA expired at");
    let ending = (pem(-30 * DAY..2 * HOUR), "warning", "the requestheader CA is valid for 1 h more");
    let api: Api<ConfigMap> = Api::namespaced(ward.cluster.client(), "kube-system");
    let write = async |authority: &Value| {
        let patch = Patch::Merge(json!({"data": {"requestheader-client-ca-file": authority}}));
        api.patch(object, &PatchParams::default(), &patch).await.expect("it is there");
    };
    let before = json!(api.get(object).await.expect("it is there").data.expect("data")["requestheader-client-ca-file"]);
    for (authority, state, words) in [missing, expired, ending] {
        let (said, was_seen) = ([object, words], Cell::new(false));
        let spoil = async {
            while !was_seen.get() {
                write(&authority).await;
            }
        };
        let see = async {
            ward.names("requestheader", state, &said).await;
            was_seen.set(true);
        };
        tokio::join!(spoil, see);
    }
    write(&before).await;
    ward.is_well().await;
}

async fn clocks(ward: &Ward) {
    let report = examine_at(ward.cluster.kubeconfig(), Duration::from_secs(90)).await;
    let findings = report["findings"].as_array().expect("a list");
    let clock = findings.iter().find(|finding| finding["check"] == "clock").expect("it is told");
    let found = clock["found"].as_str().expect("a text");
    assert!(clock["state"] == "warning" && found.contains("s ahead of that of the kube-apiserver"), "{report:#}");
    let metric = findings.iter().find(|finding| finding["check"] == "metrics").expect("it is told");
    assert!(metric["metric"]["ageSeconds"].as_i64().is_some_and(|age| age < 30), "by the server's clock: {report:#}");
}

async fn autoscalers(ward: &Ward) {
    let small = load("odd", "{type: AverageValue, averageValue: 50m}");
    let total = load("odd", "{type: Value, value: \"7\"}");
    let unknown = load("odd", PER_POD).replace("load", "nobody_serves_it");
    let latency = load("odd", "{type: Value, value: \"2\"}").replace("load", "latency_p95");
    let per_pod = "{type: Pods, pods: {metric: {name: load}, target: {type: AverageValue, averageValue: \"1\"}}}";
    let faults = [
        autoscaler("small", "odd", (1, 2), &small),
        autoscaler("total", "odd", (1, 2), &total),
        autoscaler("unknown", "odd", (1, 2), &unknown),
        autoscaler("latency", "odd", (1, 50), &latency),
        autoscaler("overflow", "odd", (1, 2), per_pod),
        autoscaler("fixed", "odd", (2, 2), &small),
        autoscaler("nothing", "nobody", (1, 2), &small),
    ];
    ward.cluster.apply(NAMESPACE, &faults.concat()).await;
    ward.names("autoscalers", "warning", &["\"small\"", "target 50m for load"]).await;
    ward.names("autoscalers", "failure", &["\"total\"", "load, which is a total"]).await;
    ward.names("metrics", "failure", &["\"unknown\"", "nobody_serves_it is not served"]).await;
    ward.names("autoscalers", "warning", &["\"latency\"", "latency_p95 is a percentile"]).await;
    ward.names("autoscalers", "failure", &["\"overflow\"", "is 3000000000 replicas"]).await;
    ward.names("autoscalers", "warning", &["\"fixed\"", "it never scales"]).await;
    ward.names("autoscalers", "failure", &["\"nothing\"", "Deployment nobody, which does not exist"]).await;
    // They share their pods.
    ward.names("autoscalers", "failure", &["\"small\"", "does not scale: AmbiguousSelector"]).await;
    let namespaced = ward.examine(&["-n", "default"]).await.1;
    assert!(!namespaced.to_string().contains("AmbiguousSelector"), "another namespace: {namespaced:#}");
    ward.cluster.delete(NAMESPACE, &faults.concat()).await;
    ward.is_well().await;
}

async fn dead(ward: &mut Ward) {
    ward.plimsoll.kill();
    ward.plimsoll.becomes_available(false).await;
    ward.names("apiservices", "failure", &["is not Available: MissingEndpoints", "kubectl -n plimsoll-system"]).await;
    ward.names("metrics", "failure", &["\"web\"", "load is not served"]).await;
    ward.names("targets", "unknown", &["Connection refused"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cluster_that_answers_it_ends_with_2_and_one_line() {
    install_crypto();
    let nobody = format!("https://127.0.0.1:{}", crate::harness::program::free_port());
    let silent = target::Target::start(target::Behaviour::Hang).await;
    let silent = silent.url.trim_end_matches("/metrics").to_owned();
    let home = tempfile::tempdir().expect("a folder");
    for (server, arguments, words) in [
        (nobody.as_str(), &["-o", "json"][..], "nothing listens there"),
        (nobody.as_str(), &[], "Connection refused"),
        // Of 10 s for an answer, or of 5 s for a connection: whichever is over first.
        (silent.as_str(), &[], " within "),
        (nobody.as_str(), &["--context", "nowhere"], "has no context nowhere; it has c"),
        ("", &[], "there is no cluster"),
        ("", &["--context", "c"], "there is no kubeconfig"),
    ] {
        let file = home.path().join("k");
        std::fs::write(&file, kubeconfig(server, &json!({}))).expect("written");
        let mut command = doctor_at(home.path());
        command.args(arguments);
        if !server.is_empty() {
            command.arg("--kubeconfig").arg(&file);
        }
        let (stdout, said) = ends_with_2(command).await;
        assert!(said.contains(words), "{server}: {said}");
        let origin = format!("(kubeconfig {}, context c)", file.display());
        assert!(server.is_empty() || arguments.contains(&"--context") || said.ends_with(&origin), "{said}");
        match arguments.contains(&"json") {
            true => assert_eq!(serde_json::from_str::<Value>(&stdout).expect("JSON"), json!({ "error": said })),
            false => assert_eq!(stdout, ""),
        }
    }
    // As kubectl does.
    std::fs::create_dir(home.path().join(".kube")).expect("a folder");
    std::fs::write(home.path().join(".kube/config"), kubeconfig(&nobody, &json!({}))).expect("written");
    let (_, said) = ends_with_2(doctor_at(home.path())).await;
    assert!(said.contains(&nobody) && said.contains(".kube/config, context c"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_plugin_that_fails_is_named_without_what_it_was_given_or_printed() {
    let home = tempfile::tempdir().expect("a folder");
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
        "args": ["-c", "echo hush-output; echo log in first >&2; exit 3", "hush-argument"],
        "env": [{"name": "PASSWORD", "value": "hush-variable"}],
    });
    let nobody = format!("https://127.0.0.1:{}", crate::harness::program::free_port());
    std::fs::create_dir(home.path().join(".kube")).expect("a folder");
    let file = home.path().join(".kube/config");
    std::fs::write(&file, kubeconfig(&nobody, &json!({ "exec": exec }))).expect("written");
    let (_, said) = ends_with_2(doctor_at(home.path())).await;
    let plugin = "the credential plugin sh of the kubeconfig fails (exit status: 3): log in first";
    assert!(said.starts_with(plugin) && !said.contains("hush"), "{said}");
    let config = home.path().join("plimsoll.yaml");
    std::fs::write(&config, CONFIG).expect("written");
    let mut serve = Command::new(PLIMSOLL);
    serve.arg("serve").arg("--listen=127.0.0.1:0").arg("--config").arg(config).env("KUBECONFIG", &file);
    let output = tokio::task::spawn_blocking(move || serve.output()).await.expect("it ends").expect("it runs");
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success() && all.contains(plugin) && !all.contains("hush"), "{all}");
}

/// Finds nothing but what it is given.
fn doctor_at(home: &Path) -> Command {
    let mut command = Command::new(PLIMSOLL);
    command.arg("doctor").env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBECONFIG").env("HOME", home);
    command
}

fn kubeconfig(server: &str, user: &Value) -> String {
    let kubeconfig = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}], "users": [{"name": "u", "user": user}],
    });
    kubeconfig.to_string()
}

/// What it writes to stdout, and its only line on stderr.
async fn ends_with_2(mut command: Command) -> (String, String) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("it runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    let said = said.trim_end().strip_prefix("plimsoll: ").expect("who says it").to_owned();
    (String::from_utf8(output.stdout).expect("UTF-8"), said)
}
