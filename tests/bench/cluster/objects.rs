//! The objects of the cluster that is played, as kube-apiserver has them: Deployments of 100 pods with their ReplicaSets,
//! Services and EndpointSlices. In: numbers. Out: JSON. Never here: a state; the same numbers give the same object.

use serde_json::{Map, Value, json};

/// A pod: its place in the cluster, and how many others had the place before.
#[derive(Clone, Copy)]
pub struct Pod {
    pub place: usize,
    pub life: u32,
    /// Whether it asks to be scraped.
    pub is_target: bool,
}

/// How far a pod has come.
#[derive(Clone, Copy, PartialEq)]
pub enum Phase {
    Pending,
    Scheduled,
    Running,
    Ready,
    Terminating,
}

/// Pods of a Deployment.
pub const DEPLOYMENT_SIZE: usize = 100;

const NAMESPACES: usize = 10;
const NODES: usize = 100;

// === impl Pod ===

impl Pod {
    fn deployment(self) -> usize {
        self.place / DEPLOYMENT_SIZE
    }

    pub fn namespace(self) -> String {
        namespace(self.deployment())
    }

    /// As the ReplicaSet controller makes it: five letters or digits at the end.
    pub fn name(self) -> String {
        let mut number = self.place as u64 * 1009 + u64::from(self.life) * 104_729;
        let suffix = (0..5).map(|_| {
            let digit = b"bcdfghjklmnpqrstvwxz2456789"[(number % 27) as usize] as char;
            number /= 27;
            digit
        });
        format!("{}-{}", replica_set_name(self.deployment()), suffix.collect::<String>())
    }

    fn uid(self) -> String {
        format!("6f1c0b2a-93d4-4e5f-{:04x}-{:012x}", 0x8000 + (self.life & 0x3fff), self.place)
    }

    /// Loopback: a target is refused at once, since nobody listens there.
    fn address(self) -> String {
        let number = self.place + 20_000 * (self.life as usize % 100);
        format!("127.{}.{}.{}", 100 + number / 62_500, number / 250 % 250, 1 + number % 250)
    }

    /// Some 8 KB, half of it in `managedFields`.
    pub fn object(self, phase: Phase, version: u64) -> Value {
        let mut metadata = self.metadata(version);
        if phase == Phase::Terminating {
            metadata["deletionTimestamp"] = json!("2026-01-02T04:00:00Z");
            metadata["deletionGracePeriodSeconds"] = json!(30);
        }
        let mut spec = spec(self.deployment());
        if phase != Phase::Pending {
            spec["nodeName"] = json!(self.node());
        }
        let status = self.status(phase);
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": status})
    }

    fn node(self) -> String {
        format!("ip-10-0-{}-17.eu-central-1.compute.internal", (self.place + self.life as usize) % NODES)
    }

    fn metadata(self, version: u64) -> Value {
        let deployment = self.deployment();
        let mut annotations = json!({
            "checksum/config": format!("{deployment:064x}"),
            "kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z",
            "sidecar.istio.io/inject": "false",
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
        });
        annotations["prometheus.io/scrape"] = json!(if self.is_target { "true" } else { "false" });
        json!({
            "name": self.name(), "generateName": format!("{}-", replica_set_name(deployment)),
            "namespace": self.namespace(), "uid": self.uid(), "resourceVersion": version.to_string(),
            "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z", "labels": labels(deployment, true),
            "annotations": annotations, "ownerReferences": [owner("ReplicaSet", &replica_set_name(deployment), deployment)],
            "managedFields": managed_fields(),
        })
    }

    fn status(self, phase: Phase) -> Value {
        let is_up = matches!(phase, Phase::Running | Phase::Ready | Phase::Terminating);
        let is_ready = phase == Phase::Ready;
        let condition = |kind: &str, is_true: bool| {
            json!({
                "type": kind, "status": if is_true { "True" } else { "False" }, "lastProbeTime": null,
                "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1,
            })
        };
        let mut status = json!({"phase": if is_up { "Running" } else { "Pending" }, "qosClass": "Burstable"});
        if phase == Phase::Pending {
            return status;
        }
        status["conditions"] = json!([
            condition("PodReadyToStartContainers", is_up),
            condition("Initialized", true),
            condition("Ready", is_ready),
            condition("ContainersReady", is_ready),
            condition("PodScheduled", true),
        ]);
        if is_up {
            status["podIP"] = json!(self.address());
            status["podIPs"] = json!([{"ip": self.address()}]);
            status["hostIP"] = json!(format!("10.0.{}.17", self.place % NODES));
            status["hostIPs"] = json!([{"ip": format!("10.0.{}.17", self.place % NODES)}]);
            status["startTime"] = json!("2026-01-02T03:04:05Z");
            status["containerStatuses"] = json!([{
                "name": "main", "ready": is_ready, "started": is_ready, "restartCount": 0,
                "image": image(self.deployment()),
                "imageID": format!("registry.example.com/shop/service@sha256:{:064x}", self.deployment()),
                "containerID": format!("containerd://{:064x}", self.place + 1_000_000 * self.life as usize),
                "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}, "lastState": {},
                "volumeMounts": [mount("config", "/etc/service"), mount("kube-api-access-x7k2p", TOKEN_FOLDER)],
            }]);
        }
        status
    }
}

const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn namespace(deployment: usize) -> String {
    format!("team-{}", deployment % NAMESPACES)
}

fn deployment_name(deployment: usize) -> String {
    format!("service-{deployment:03}")
}

fn replica_set_name(deployment: usize) -> String {
    format!("service-{deployment:03}-{:010x}", 0x5d4_f8c7_b900 + deployment * 7919)
}

fn image(deployment: usize) -> String {
    format!("registry.example.com/shop/service-{deployment:03}:1.42.{}", deployment % 7)
}

fn uid(kind: usize, number: usize) -> String {
    format!("0b9f3c5e-{kind:04x}-4d3c-9f00-{number:012x}")
}

fn owner(kind: &str, name: &str, deployment: usize) -> Value {
    let number = if kind == "ReplicaSet" { 1 } else { 2 };
    json!({
        "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid(number, deployment), "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn labels(deployment: usize, is_of_pods: bool) -> Value {
    let mut labels = json!({
        "app.kubernetes.io/name": deployment_name(deployment),
        "app.kubernetes.io/instance": "production",
        "app.kubernetes.io/version": format!("1.42.{}", deployment % 7),
        "app.kubernetes.io/component": "backend",
        "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/managed-by": "Helm",
        "team": namespace(deployment),
    });
    if is_of_pods {
        labels["pod-template-hash"] = json!(replica_set_name(deployment).rsplit('-').next());
    }
    labels
}

fn mount(name: &str, path: &str) -> Value {
    json!({"name": name, "mountPath": path, "readOnly": true, "recursiveReadOnly": "Disabled"})
}

fn spec(deployment: usize) -> Value {
    let from_secret = |number: usize| {
        let key = json!({"name": deployment_name(deployment), "key": format!("key-{number}")});
        json!({"name": format!("SERVICE_SECRET_{number}"), "valueFrom": {"secretKeyRef": key}})
    };
    let plain =
        |number: usize| json!({"name": format!("SERVICE_SETTING_{number}"), "value": format!("value of {number}")});
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"}, "initialDelaySeconds": 5,
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    let env: Vec<Value> = (0..10).map(plain).chain((0..5).map(from_secret)).collect();
    let toleration =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    json!({
        "volumes": [
            {"name": "config", "configMap": {"name": deployment_name(deployment), "defaultMode": 420}},
            {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}},
        ],
        "containers": [{
            "name": "main", "image": image(deployment), "args": ["--config=/etc/service/config.yaml", "--log=json"],
            "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"name": "grpc", "containerPort": 9090, "protocol": "UDP"},
            ],
            "env": env,
            "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "512Mi"}},
            "volumeMounts": [mount("config", "/etc/service"), mount("kube-api-access-x7k2p", TOKEN_FOLDER)],
            "livenessProbe": probe("/livez"), "readinessProbe": probe("/readyz"),
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
        }],
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "serviceAccountName": deployment_name(deployment), "serviceAccount": deployment_name(deployment),
        "securityContext": {"runAsNonRoot": true}, "schedulerName": "default-scheduler",
        "tolerations": [toleration("node.kubernetes.io/not-ready"), toleration("node.kubernetes.io/unreachable")],
        "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": deployment_name(deployment)}},
        }],
    })
}

/// Who wrote which field: one entry of the ReplicaSet controller and one of the kubelet.
fn managed_fields() -> Value {
    let set = |keys: &[&str]| -> Value {
        keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect::<Map<_, _>>().into()
    };
    let list = |name: &str, keys: &[String], fields: &[&str]| -> Value {
        let entries = keys.iter().map(|key| {
            let mut entry = set(fields);
            entry["."] = json!({});
            (format!("k:{{\"{name}\":{key:?}}}"), entry)
        });
        let mut all: Map<String, Value> = entries.collect();
        all.insert(".".into(), json!({}));
        all.into()
    };
    let names =
        |kind: &str, count: usize| (0..count).map(|number| format!("SERVICE_{kind}_{number}")).collect::<Vec<_>>();
    let env: Vec<String> = [names("SETTING", 10), names("SECRET", 5)].concat();
    let probe =
        ["failureThreshold", "httpGet", "initialDelaySeconds", "periodSeconds", "successThreshold", "timeoutSeconds"];
    let container = json!({
        ".": {}, "f:args": {}, "f:env": list("name", &env, &["name", "value"]), "f:image": {}, "f:imagePullPolicy": {},
        "f:livenessProbe": set(&probe), "f:name": {}, "f:readinessProbe": set(&probe), "f:resources": {},
        "f:ports": list("containerPort", &["8080".into(), "9090".into()], &["containerPort", "name", "protocol"]),
        "f:securityContext": set(&["capabilities", "readOnlyRootFilesystem"]), "f:terminationMessagePath": {},
        "f:terminationMessagePolicy": {},
        "f:volumeMounts": list("mountPath", &["/etc/service".into()], &["mountPath", "name", "readOnly"]),
    });
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"].map(str::to_owned);
    let fields = ["lastProbeTime", "lastTransitionTime", "observedGeneration", "status", "type"];
    json!([
        {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
         "fieldsType": "FieldsV1", "fieldsV1": {
            "f:metadata": {"f:annotations": set(&["checksum/config", "prometheus.io/scrape"]), "f:generateName": {},
                "f:labels": set(&["app.kubernetes.io/name", "app.kubernetes.io/instance", "pod-template-hash", "team"]),
                "f:ownerReferences": list("uid", &[uid(1, 0)], &[])},
            "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": container}, "f:dnsPolicy": {}, "f:enableServiceLinks": {},
                "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:serviceAccount": {},
                "f:serviceAccountName": {}, "f:terminationGracePeriodSeconds": {}, "f:topologySpreadConstraints": {},
                "f:volumes": list("name", &["config".into()], &["configMap", "name"])}}},
        {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2026-01-02T03:04:05Z",
         "fieldsType": "FieldsV1", "subresource": "status", "fieldsV1": {"f:status": {
            "f:conditions": list("type", &conditions, &fields), "f:containerStatuses": {}, "f:hostIP": {},
            "f:hostIPs": {}, "f:observedGeneration": {}, "f:phase": {}, "f:podIP": {}, "f:podIPs": {}, "f:startTime": {}}}},
    ])
}

/// The ReplicaSet of a Deployment.
pub fn replica_set(deployment: usize, version: u64) -> Value {
    let name = deployment_name(deployment);
    json!({
        "kind": "ReplicaSet", "apiVersion": "apps/v1",
        "metadata": {
            "name": replica_set_name(deployment), "namespace": namespace(deployment), "uid": uid(1, deployment),
            "resourceVersion": version.to_string(), "labels": labels(deployment, true),
            "ownerReferences": [owner("Deployment", &name, deployment)], "managedFields": managed_fields(),
        },
        "spec": {"replicas": DEPLOYMENT_SIZE, "template": {"spec": spec(deployment)}},
        "status": {"replicas": DEPLOYMENT_SIZE},
    })
}

/// The Service of a Deployment.
pub fn service(deployment: usize, version: u64) -> Value {
    let name = deployment_name(deployment);
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": namespace(deployment), "uid": uid(3, deployment),
            "resourceVersion": version.to_string(), "labels": labels(deployment, false),
        },
        "spec": {
            "selector": {"app.kubernetes.io/name": name}, "type": "ClusterIP", "clusterIP": "10.96.0.17",
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    })
}

/// The only slice of that Service: a slice has 100 endpoints at most.
pub fn endpoint_slice(deployment: usize, pods: impl Iterator<Item = Pod>, version: u64) -> Value {
    let name = deployment_name(deployment);
    let endpoint = |pod: Pod| {
        json!({
            "addresses": [pod.address()], "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()},
            "nodeName": pod.node(), "zone": "eu-central-1a",
        })
    };
    let endpoints: Vec<Value> = pods.map(endpoint).collect();
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": format!("{name}-x7k2p"), "namespace": namespace(deployment), "uid": uid(4, deployment),
            "resourceVersion": version.to_string(), "labels": {"kubernetes.io/service-name": name},
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": name, "uid": uid(3, deployment), "controller": true,
            }],
        },
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

/// A Namespace by its number.
pub fn namespaces(version: u64) -> Vec<Value> {
    let object = |number: usize| {
        json!({
            "kind": "Namespace", "apiVersion": "v1",
            "metadata": {
                "name": namespace(number), "uid": uid(5, number), "resourceVersion": version.to_string(),
                "labels": {"kubernetes.io/metadata.name": namespace(number)},
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        })
    };
    (0..NAMESPACES).map(object).collect()
}
