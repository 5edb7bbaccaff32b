use crate::harness::controlplane::ControlPlane;

/// Its image is a process that nobody needs.
const PAUSE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: pause}
spec:
  replicas: 2
  selector: {matchLabels: {app: pause}}
  template:
    metadata: {labels: {app: pause}}
    spec: {containers: [{name: pause, image: pause}]}
";

#[tokio::test]
async fn the_controllers_make_pods_of_a_deployment_and_take_them_away_with_it() {
    let cluster = ControlPlane::shared().await;
    println!("the control plane started in {:?}", cluster.started_in);
    let namespace = cluster.namespace("pods").await;
    cluster.apply(&namespace, PAUSE).await;
    cluster.object_becomes(&namespace, "apps/v1/Deployment", "pause", |it| it["status"]["replicas"] == 2).await;
    cluster.delete(&namespace, PAUSE).await;
    cluster.object_becomes(&namespace, "apps/v1/Deployment", "pause", serde_json::Value::is_null).await;
}

#[tokio::test]
async fn without_controllers_nothing_happens_to_a_deployment() {
    let cluster = ControlPlane::start_api().await;
    let namespace = cluster.namespace("quiet").await;
    cluster.apply(&namespace, PAUSE).await;
    let said = cluster.kubectl(&["get", "deployment,replicaset,pod", "-n", &namespace, "-o", "name"]).await;
    assert_eq!(said, "deployment.apps/pause\n");
    let refused = cluster.try_kubectl(&["get", "nonsense"]).await.expect_err("no such resource");
    assert!(refused.contains("doesn't have a resource type"), "{refused}");
}
