use super::fleet::{Fleet, push, text};
use super::scene::Scene;
use crate::harness::controlplane::{custom_resource, eventually};

/// A pod of every kind of owner that Kubernetes has itself.
const OWNERS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: deployment}
spec: {selector: {matchLabels: {app: deployment}}, template: POD(deployment)}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: stateful-set}
spec: {serviceName: none, selector: {matchLabels: {app: stateful-set}}, template: POD(stateful-set)}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: replica-set}
spec: {selector: {matchLabels: {app: replica-set}}, template: POD(replica-set)}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cron-job}
spec:
  # Never: the test makes a Job of it.
  schedule: "0 0 1 1 *"
  suspend: true
  jobTemplate: {spec: {template: POD(cron-job, restartPolicy: Never)}}
"#;

const GOOSE: &str = "{apiVersion: rollouts.example.com/v1, kind: Goose, metadata: {name: gray}}";

/// What its controller would make.
const OF_GOOSE: &str = r#"
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: gray-1
  ownerReferences: [{apiVersion: rollouts.example.com/v1, kind: Goose, name: gray, uid: UID, controller: true}]
spec: {selector: {matchLabels: {app: gray}}, template: POD(gray)}
"#;

#[tokio::test]
async fn every_owner_up_the_chain_has_a_value_also_of_a_kind_that_was_just_made() {
    let scene = Scene::new("owners").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(OWNERS).await;
    fleet.kubectl(&["create", "job", "job", "--from=cronjob/cron-job"]).await;
    let apps = ["deployment", "stateful-set", "replica-set", "cron-job"];
    for (app, jobs) in apps.iter().zip(1..) {
        push(&fleet.ready(&format!("app={app}"), 1).await[0], "a", jobs).await;
    }
    for (object, jobs) in [
        ("deployments.apps/deployment", "1"),
        ("statefulsets.apps/stateful-set", "2"),
        ("replicasets.apps/replica-set", "3"),
        ("jobs.batch/job", "4"),
        ("cronjobs.batch/cron-job", "4"),
    ] {
        fleet.value_becomes(&format!("{object}/waiting_jobs"), jobs).await;
    }

    // A kind of workload that nobody knew before, whose plural no rule gives.
    fleet.apply(&custom_resource("rollouts.example.com", "Goose", "geese")).await;
    fleet.is_served("geese.rollouts.example.com").await;
    fleet.apply(GOOSE).await;
    let goose = scene.get("rollouts.example.com/v1/Goose", "gray").await;
    fleet.apply(&OF_GOOSE.replace("UID", text(&goose["metadata"]["uid"]))).await;
    push(&fleet.ready("app=gray", 1).await[0], "a", 5).await;
    fleet.value_becomes("replicasets.apps/gray-1/waiting_jobs", "5").await;
    fleet.value_becomes("geese.rollouts.example.com/gray/waiting_jobs", "5").await;
}

const SERVICES: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {replicas: 2, selector: {matchLabels: {app: broker}}, template: POD(broker)}
---
apiVersion: v1
kind: Service
metadata: {name: every, labels: {tier: front}}
spec: {selector: {app: broker}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: canary}
spec: {selector: {app: broker, track: canary}, ports: [{name: http, port: 80, targetPort: http}]}
"#;

#[tokio::test]
async fn services_have_the_pods_of_their_slices_and_are_found_by_label_as_namespaces_are() {
    let scene = Scene::new("services").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(SERVICES).await;
    let pods = fleet.ready("app=broker", 2).await;
    push(&pods[0], "a", 3).await;
    push(&pods[1], "a", 5).await;
    fleet.value_becomes("services/every/waiting_jobs", "8").await;
    fleet
        .refused(
            "services/canary/waiting_jobs",
            "the server could not find the metric waiting_jobs for services canary",
        )
        .await;
    let pod = text(&pods[1]["metadata"]["name"]);
    fleet.kubectl(&["label", "pod", pod, "track=canary"]).await;
    fleet.value_becomes("services/canary/waiting_jobs", "5").await;
    let front = "services/%2A/waiting_jobs?labelSelector=tier%3Dfront";
    fleet.values_become(front, &[("every", "8")]).await;
    fleet.values_become("services/%2A/waiting_jobs", &[("canary", "5"), ("every", "8")]).await;
    fleet.kubectl(&["label", "service", "canary", "tier=front"]).await;
    fleet.values_become(front, &[("canary", "5"), ("every", "8")]).await;
    fleet.kubectl(&["label", "pod", pod, "track-"]).await;
    fleet.values_become(front, &[("every", "8")]).await;

    let team = format!("team={}", scene.namespace);
    scene.cluster.kubectl(&["label", "namespace", &scene.namespace, &team]).await;
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/%2A/metrics/waiting_jobs?labelSelector={}",
        team.replace('=', "%3D")
    );
    let read = || async { scene.cluster.try_kubectl(&["get", "--raw", &path]).await.unwrap_or_default() };
    eventually("the namespace by its label", read, |said| said.contains("\"value\":\"8\"")).await;
}
