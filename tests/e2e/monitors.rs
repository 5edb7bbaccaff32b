use serde_json::Value;

use super::fleet::{Fleet, push, text};
use super::scene::Scene;
use crate::harness::controlplane::custom_resource;

const GROUP: &str = "monitoring.coreos.com";
const PODS: (&str, &str) = ("PodMonitor", "podmonitors");
const SERVICES: (&str, &str) = ("ServiceMonitor", "servicemonitors");

/// Pods without annotations, whose pages need a token, or a user and a password: `plimsoll:swordfish`.
const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: agents}
spec:
  replicas: 2
  selector: {matchLabels: {app: agents}}
  template:
    metadata: {labels: {app: agents}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: broker
          image: workload
          args: [broker]
          env: [{name: METRICS_AUTHORIZATION, value: Bearer open-sesame}]
          ports: [{name: http, containerPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: models}
spec:
  selector: {matchLabels: {app: models}}
  template:
    metadata: {labels: {app: models}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: broker
          image: workload
          args: [broker]
          env: [{name: METRICS_AUTHORIZATION, value: Basic cGxpbXNvbGw6c3dvcmRmaXNo}]
          ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: models, labels: {app: models}}
spec: {selector: {app: models}, ports: [{name: web, port: 80, targetPort: http}]}
"#;

const MONITORS: &str = r#"
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: agents}
spec:
  selector: {matchLabels: {app: agents}}
  podMetricsEndpoints:
    - port: http
      interval: 1s
      scrapeTimeout: 1s
      authorization: {credentials: {name: token, key: token}}
      relabelings: [{sourceLabels: [__meta_kubernetes_pod_label_track], regex: hidden, action: drop}]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: models}
spec:
  selector: {matchLabels: {app: models}}
  endpoints:
    - port: web
      interval: 1s
      scrapeTimeout: 1s
      basicAuth: {username: {name: password, key: username}, password: {name: password, key: password}}
"#;

const PASSWORD: &str = "
{apiVersion: v1, kind: Secret, metadata: {name: password}, stringData: {username: plimsoll, password: swordfish}}";

const OF_AGENTS: &str = "pods/%2A/waiting_jobs?labelSelector=app%3Dagents";

#[tokio::test]
async fn monitors_that_come_later_say_what_is_scraped_and_with_which_credentials() {
    let scene = Scene::new("monitors").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(WORKLOADS).await;
    fleet.apply(&token("open-sesame")).await;
    let agents = fleet.ready("app=agents", 2).await;
    push(&agents[0], "a", 3).await;
    push(&agents[1], "a", 4).await;
    push(&fleet.ready("app=models", 1).await[0], "a", 5).await;
    fleet.refused(OF_AGENTS, "or select the pods by a PodMonitor or ServiceMonitor").await;

    fleet.apply(&[PODS, SERVICES].map(|(kind, plural)| custom_resource(GROUP, kind, plural)).concat()).await;
    fleet.is_served("podmonitors.monitoring.coreos.com").await;
    fleet.is_served("servicemonitors.monitoring.coreos.com").await;
    fleet.apply(MONITORS).await;
    let both = [(name(&agents[0]), "3"), (name(&agents[1]), "4")];
    fleet.values_become(OF_AGENTS, &both).await;
    fleet.value_becomes("deployments.apps/agents/waiting_jobs", "7").await;
    // Without the Secret nothing is asked; what is missing is said.
    let missing = format!("there is no Secret {}/password", scene.namespace);
    fleet.refused("services/models/waiting_jobs", &missing).await;
    fleet.apply(PASSWORD).await;
    fleet.value_becomes("services/models/waiting_jobs", "5").await;

    fleet.kubectl(&["label", "pod", name(&agents[0]), "track=hidden"]).await;
    fleet.values_become(OF_AGENTS, &both[1..]).await;
    fleet.kubectl(&["label", "pod", name(&agents[0]), "track-"]).await;
    fleet.values_become(OF_AGENTS, &both).await;

    fleet.apply(&token("open-barley")).await;
    fleet.refused(OF_AGENTS, "401").await;
    fleet.kubectl(&["delete", "secret", "token"]).await;
    fleet.refused(OF_AGENTS, &format!("there is no Secret {}/token", scene.namespace)).await;
    fleet.apply(&token("open-sesame")).await;
    fleet.values_become(OF_AGENTS, &both).await;

    fleet.kubectl(&["delete", "podmonitor", "agents"]).await;
    fleet.refused(OF_AGENTS, "or select the pods by a PodMonitor or ServiceMonitor").await;
    fleet.value_becomes("services/models/waiting_jobs", "5").await;
}

fn token(token: &str) -> String {
    format!("{{apiVersion: v1, kind: Secret, metadata: {{name: token}}, stringData: {{token: {token}}}}}")
}

fn name(pod: &Value) -> &str {
    text(&pod["metadata"]["name"])
}
