use super::fleet::{Fleet, page_says, push};
use super::scene::Scene;
use crate::harness::controlplane::{ControlPlane, eventually};

/// As whoever may read one namespace: the account of a Plimsoll for it alone.
const ROLE: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
  - {apiGroups: [""], resources: [pods, services], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
  - {apiGroups: [apps], resources: [replicasets], verbs: [list, watch]}
  - {apiGroups: [batch], resources: [jobs], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: reader}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAMESPACE-reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: reader}]
"#;

const BROKER: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec: {selector: {matchLabels: {app: broker}}, template: POD(broker)}
"#;

#[tokio::test]
async fn a_role_in_a_namespace_is_enough_for_that_namespace_and_nothing_is_known_of_others() {
    let (scene, other) = (Scene::new("role").await, Scene::new("no-role").await);
    for scene in [&scene, &other] {
        let fleet = Fleet::new(&scene.cluster, &scene.namespace);
        fleet.apply(BROKER).await;
        push(&fleet.ready("app=broker", 1).await[0], "a", 3).await;
        fleet.value_becomes("deployments.apps/broker/waiting_jobs", "3").await;
    }
    Fleet::new(&scene.cluster, &scene.namespace).apply(ROLE).await;
    let config = CONFIG.replace("ROLES", &format!("{{role: pod, namespaces: {{names: [{}]}}}}", scene.namespace));
    let user = format!("system:serviceaccount:{}:reader", scene.namespace);
    let plimsoll = scene.cluster.unregistered(&user, &config).await;

    let path = |namespace: &str| {
        format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/deployments.apps/broker/waiting_jobs")
    };
    let (here, there) = (path(&scene.namespace), path(&other.namespace));
    page_says(&plimsoll.direct, &here, &["\"value\":\"3\""]).await;
    let (code, said) = plimsoll.direct.get(&there).await.expect("an answer");
    assert!(code == 404 && said.contains("deployments.apps broker in namespace no-role-"), "{code} {said}");
    page_says(&plimsoll.direct, "/readyz?verbose", &["[+]discovery ok", "readyz check passed"]).await;
}

/// Everything but monitors; and what adds those.
const NO_MONITORS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE}
rules:
  - {apiGroups: [""], resources: [pods, services, namespaces], verbs: [list, watch]}
  - {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
  - {apiGroups: [apps], resources: [replicasets], verbs: [list, watch]}
  - {apiGroups: [batch], resources: [jobs], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: reader}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAMESPACE-reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: reader}]
"#;

const MONITORS_TOO: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAMESPACE-monitors}
rules: [{apiGroups: [monitoring.coreos.com], resources: [podmonitors], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-monitors}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-monitors}
subjects: [{kind: ServiceAccount, namespace: NAMESPACE, name: reader}]
"#;

#[tokio::test]
async fn a_permission_that_is_missing_is_said_with_the_rule_to_add_and_the_rest_works() {
    let scene = Scene::new("forbidden").await;
    let fleet = Fleet::new(&scene.cluster, &scene.namespace);
    fleet.apply(&format!("{NO_MONITORS}---{BROKER}")).await;
    push(&fleet.ready("app=broker", 1).await[0], "a", 3).await;
    let user = format!("system:serviceaccount:{}:reader", scene.namespace);
    // Monitors of other tests are not its own.
    let roles = format!("{{role: pod}}, {{role: podmonitor, label_selector: team={}}}", scene.namespace);
    let config = CONFIG.replace("ROLES", &roles);
    let plimsoll = scene.cluster.unregistered(&user, &config).await;

    let rule = "{apiGroups: [\"monitoring.coreos.com\"], resources: [podmonitors], verbs: [list, watch]}";
    // It has never known what it is to scrape, so it takes no place of one that does.
    let failed = ["[-]discovery failed", "podmonitors", "a ClusterRole with", rule, "readyz check failed"];
    let is_said = |answer: &Option<(u16, String)>| {
        answer.as_ref().is_some_and(|(code, said)| *code == 500 && failed.iter().all(|word| said.contains(word)))
    };
    eventually("it is not ready", || plimsoll.direct.get("/readyz?verbose"), is_said).await;
    page_says(&plimsoll.direct, "/status", &["podmonitors", "a ClusterRole with"]).await;
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/deployments.apps/broker/waiting_jobs",
        scene.namespace
    );
    page_says(&plimsoll.direct, &path, &["\"value\":\"3\""]).await;

    fleet.apply(MONITORS_TOO).await;
    page_says(&plimsoll.direct, "/readyz?verbose", &["[+]discovery ok", "readyz check passed"]).await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_while_it_runs_is_said_until_it_is_back() {
    // Without the kind, which is looked for again and again: a watch that runs outlives its permission.
    let cluster = ControlPlane::start_api().await;
    let namespace = cluster.namespace("revoked").await;
    let fleet = Fleet::new(&cluster, &namespace);
    fleet.apply(&format!("{NO_MONITORS}---{MONITORS_TOO}")).await;
    let user = format!("system:serviceaccount:{namespace}:reader");
    let plimsoll = cluster.unregistered(&user, &CONFIG.replace("ROLES", "{role: pod}, {role: podmonitor}")).await;
    let is_well = ["[+]discovery ok", "readyz check passed"];
    page_says(&plimsoll.direct, "/readyz?verbose", &is_well).await;
    page_says(&plimsoll.direct, "/status", &["the cluster has no PodMonitors"]).await;

    cluster.kubectl(&["delete", "clusterrole", &format!("{namespace}-monitors")]).await;
    let degraded = ["[!]discovery degraded", "cannot list resource \"podmonitors\"", "readyz check passed"];
    page_says(&plimsoll.direct, "/readyz?verbose", &degraded).await;
    page_says(&plimsoll.direct, "/status", &["cannot list resource &quot;podmonitors&quot;", "a ClusterRole with"])
        .await;
    let up = ["plimsoll_kubernetes_watch_up{resource=\"pods\"} 1\n", "plimsoll_hpa_watch_up 0\n"];
    page_says(&plimsoll.direct, "/metrics", &up).await;
    fleet.apply(MONITORS_TOO).await;
    page_says(&plimsoll.direct, "/readyz?verbose", &is_well).await;
}

/// What a Plimsoll of its own is told; `ROLES` are its sources.
const CONFIG: &str = "
scrape_configs: [{job_name: pods, scrape_interval: 1s, kubernetes_sd_configs: [ROLES]}]
metrics: [{name: waiting_jobs, queue: {series: broker_queue_length, sharing: partitioned}}]
";
