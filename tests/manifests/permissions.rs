use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use plimsoll::discovery::kubernetes::{VERBS, resources};
use serde_json::Value;

use super::installed::{Installed, PLATFORM};
use super::rendered::{OVERLAYS, Rendered};

/// What somebody may do: `VERB RESOURCE.GROUP[/NAME] in NAMESPACE`, with `*` for every namespace.
type Grants = BTreeSet<String>;

const ACCOUNT: &str = "system:serviceaccount:plimsoll-system:plimsoll";
const AUTOSCALER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

/// What every Plimsoll needs to ask the cluster who somebody is: a role that each cluster has, as it has it.
const DELEGATOR: &str = "ClusterRole system:auth-delegator";
const DELEGATED: [&str; 2] =
    ["create tokenreviews.authentication.k8s.io in *", "create subjectaccessreviews.authorization.k8s.io in *"];

/// And to know the kube-apiserver. The Role in kube-system for it takes a binding there, which overlays would move.
const AUTHENTICATION: [&str; 3] = [
    "get configmaps/extension-apiserver-authentication in *",
    "list configmaps/extension-apiserver-authentication in *",
    "watch configmaps/extension-apiserver-authentication in *",
];

/// The APIServices that lead to Plimsoll.
const API_SERVICES: [&str; 3] = ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"];

/// What nobody asks for.
const EVERY_VERB: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// What could be of use to somebody who got at the account, beside what it has.
const TEMPTING: [&str; 23] = [
    "secrets in plimsoll-system",
    "secrets in kube-system",
    "secrets in agents",
    "secrets/plimsoll-serving in kube-system",
    "secrets/plimsoll-tls in plimsoll-system",
    "configmaps in kube-system",
    "configmaps/plimsoll in plimsoll-system",
    "nodes in *",
    "pods/exec in agents",
    "pods/log in agents",
    "pods/eviction in agents",
    "serviceaccounts/token in plimsoll-system",
    "deployments.apps in plimsoll-system",
    "deployments.apps/scale in agents",
    "horizontalpodautoscalers.autoscaling in agents",
    "apiservices.apiregistration.k8s.io in *",
    "apiservices.apiregistration.k8s.io/v1beta1.metrics.k8s.io in *",
    "clusterroles.rbac.authorization.k8s.io in *",
    "clusterrolebindings.rbac.authorization.k8s.io in *",
    "certificatesigningrequests.certificates.k8s.io in *",
    "validatingwebhookconfigurations.admissionregistration.k8s.io in *",
    "anything.custom.metrics.k8s.io in agents",
    "tokenreviews.authentication.k8s.io in *",
];

#[test]
fn the_account_has_what_each_certificate_needs_and_nothing_else() {
    for overlay in OVERLAYS {
        assert_eq!(grants(&Rendered::overlay(overlay)), expected(&["base", "self-managed"]), "{overlay}");
    }
    let composed = |component| grants(&Rendered::composed("production", &[component]));
    assert_eq!(composed("cert-manager"), expected(&["base"]));
    assert_eq!(composed("existing-secret"), expected(&["base", "existing-secret"]));
    assert_eq!(composed("monitor-credentials"), expected(&["base", "self-managed", "monitor-credentials"]));
    assert_eq!(composed("prometheus"), expected(&["base", "self-managed"]));
}

#[tokio::test]
async fn the_cluster_allows_what_is_granted_and_refuses_every_other_verb() {
    let installed = Installed::shared().await;
    let granted = grants(&installed.production);
    let objects = granted.iter().map(|grant| grant.split_once(' ').expect("a verb").1);
    // Of one namespace what holds for all; of one object what holds for no other.
    let objects: BTreeSet<_> = objects.map(|object| object.replace("in *", "in agents")).collect();
    let mut wrong = Vec::new();
    for object in objects.iter().map(String::as_str).chain(TEMPTING) {
        for verb in EVERY_VERB {
            let question = format!("{verb} {object}");
            let is_granted = granted.contains(&question) || granted.contains(&everywhere(&question));
            if allows(&installed, ACCOUNT, &question).await != is_granted {
                wrong.push(format!("{question}: granted: {is_granted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn one_secret_and_three_api_services_are_found_by_their_names_and_no_lists_are_given() {
    let installed = Installed::shared().await;
    let as_account = format!("--as={ACCOUNT}");
    let list = |what: &'static str, selector: &'static str| {
        let (installed, as_account) = (installed.clone(), as_account.clone());
        let arguments = ["get", what, "-n", "plimsoll-system", "-o", "name", "--field-selector", selector];
        async move { installed.cluster.try_kubectl(&[&arguments[..], &[as_account.as_str()]].concat()).await }
    };
    let found = list("secrets", "metadata.name=plimsoll-serving").await;
    assert_eq!(found.as_deref(), Ok("secret/plimsoll-serving\n"));
    let found = list("apiservices", "metadata.name=v1beta1.external.metrics.k8s.io").await;
    assert_eq!(found.as_deref(), Ok("apiservice.apiregistration.k8s.io/v1beta1.external.metrics.k8s.io\n"));
    for (what, selector) in [("secrets", ""), ("secrets", "metadata.name=other"), ("apiservices", "")] {
        let said = list(what, selector).await.expect_err("forbidden");
        assert!(said.contains("forbidden"), "{what} {selector}: {said}");
    }
}

#[tokio::test]
async fn people_view_the_pages_and_metrics_that_they_were_given_and_change_nothing() {
    let installed = Installed::shared().await;
    let bind = |kind: &'static str, role: &'static str, user: &'static str| {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        let installed = installed.clone();
        async move { installed.cluster.kubectl(&["create", kind, &user[7..], &role, &user, "-n", PLATFORM]).await }
    };
    bind("clusterrolebinding", "plimsoll-viewer", "operator").await;
    bind("rolebinding", "plimsoll-metrics-reader", "developer").await;
    for (user, question, is_allowed) in [
        ("operator", "get /metrics", true),
        ("operator", "get /status", true),
        ("operator", "get /status/targets", true),
        ("operator", "get /readyz/certificate", true),
        ("operator", "post /metrics", false),
        ("operator", "get /debug/pprof", false),
        ("operator", "list pods in agents", false),
        ("developer", "get pods.custom.metrics.k8s.io/queue_length in agents", true),
        ("developer", "list queue_length.external.metrics.k8s.io in agents", true),
        ("developer", "list queue_length.external.metrics.k8s.io in kube-system", false),
        ("developer", "delete pods.custom.metrics.k8s.io in agents", false),
        ("developer", "get /metrics", false),
        ("developer", "get /status/targets", false),
        ("developer", "get /readyz/certificate", false),
        // Each cluster has these of itself; no manifest grants them.
        (AUTOSCALER, "get pods.custom.metrics.k8s.io in agents", true),
        (AUTOSCALER, "list queue_length.external.metrics.k8s.io in agents", true),
        (AUTOSCALER, "get /metrics", false),
        ("system:anonymous", "get /metrics", false),
    ] {
        assert_eq!(allows(&installed, user, question).await, is_allowed, "{user}: {question}");
    }
    let reader = installed.production.object("ClusterRole", "plimsoll-metrics-reader");
    assert_eq!(reader["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"], "true");
}

/// What is to be granted; only the parts of this name.
fn expected(parts: &[&str]) -> Grants {
    let mut expected = Grants::new();
    for part in parts {
        match *part {
            "base" => {
                expected.extend(DELEGATED.iter().chain(&AUTHENTICATION).map(|grant| (*grant).to_owned()));
                expected.extend(watched(|resource| !is_credential(resource)));
                expected.extend(VERBS.map(|verb| format!("{verb} horizontalpodautoscalers.autoscaling in *")));
                expected.extend(API_SERVICES.map(|name| format!("get {}", api_service(name))));
            }
            "monitor-credentials" => expected.extend(watched(is_credential)),
            "self-managed" => {
                let verbs = ["get", "list", "watch", "update"];
                expected.extend(verbs.map(|verb| format!("{verb} secrets/plimsoll-serving in plimsoll-system")));
                for object in API_SERVICES.map(api_service) {
                    expected.extend(["get", "list", "watch", "patch"].map(|verb| format!("{verb} {object}")));
                }
            }
            "existing-secret" => {
                let verbs = ["get", "list", "watch"];
                expected.extend(verbs.map(|verb| format!("{verb} secrets/plimsoll-tls in plimsoll-system")));
            }
            other => panic!("{other}"),
        }
    }
    expected
}

fn api_service(name: &str) -> String {
    format!("apiservices.apiregistration.k8s.io/{name}.metrics.k8s.io in *")
}

/// What discovery asks for, of some resources.
fn watched(wanted: impl Fn(&str) -> bool) -> Grants {
    let wanted = resources().filter(|(_, resource)| wanted(resource));
    wanted
        .flat_map(|(group, resource)| VERBS.map(|verb| format!("{verb} {} in *", with_group(resource, group))))
        .collect()
}

/// Of these monitors name single objects.
fn is_credential(resource: &str) -> bool {
    ["secrets", "configmaps"].contains(&resource)
}

/// Everything that the objects let the account do.
fn grants(rendered: &Rendered) -> Grants {
    let mut grants = Grants::new();
    for binding in rendered.of_kind("ClusterRoleBinding").chain(rendered.of_kind("RoleBinding")) {
        let subjects = binding["subjects"].as_array().expect("subjects");
        let is_ours = |it: &&Value| it["name"] == "plimsoll" && it["namespace"] == "plimsoll-system";
        let Some(subject) = subjects.iter().find(is_ours) else { continue };
        assert_eq!((&subject["kind"], subjects.len()), (&"ServiceAccount".into(), 1), "{binding}");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let (kind, name) = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
        if format!("{kind} {name}") == DELEGATOR {
            grants.extend(DELEGATED.map(str::to_owned));
            continue;
        }
        let scope = binding["metadata"]["namespace"].as_str().unwrap_or("*");
        for rule in rendered.object(&kind, &name)["rules"].as_array().expect("rules") {
            grants.extend(of_rule(rule).into_iter().map(|grant| format!("{grant} in {scope}")));
        }
    }
    grants
}

fn of_rule(rule: &Value) -> Vec<String> {
    let texts = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap_or_default() };
    assert!(rule["nonResourceURLs"].is_null(), "{rule}");
    let mut objects = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            let resource = with_group(&resource, &group);
            match texts("resourceNames").as_slice() {
                [] => objects.push(resource),
                names => objects.extend(names.iter().map(|name| format!("{resource}/{name}"))),
            }
        }
    }
    texts("verbs").iter().flat_map(|verb| objects.iter().map(move |object| format!("{verb} {object}"))).collect()
}

fn with_group(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn everywhere(question: &str) -> String {
    format!("{} in *", question.rsplit_once(" in ").expect("a namespace").0)
}

/// What the authorizer of the cluster says.
async fn allows(installed: &Installed, user: &str, question: &str) -> bool {
    let (verb, object) = question.split_once(' ').expect("a verb");
    let mut spec = SubjectAccessReviewSpec { user: Some(user.to_owned()), ..Default::default() };
    spec.groups = Some(groups(user));
    if object.starts_with('/') {
        let attributes = NonResourceAttributes { path: Some(object.to_owned()), verb: Some(verb.to_owned()) };
        spec.non_resource_attributes = Some(attributes);
    } else {
        spec.resource_attributes = Some(attributes(verb, object));
    }
    let review = SubjectAccessReview { spec, ..Default::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(installed.cluster.client());
    let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
    answer.status.expect("a status").allowed
}

/// Reads `RESOURCE.GROUP[/NAME] in NAMESPACE`; of pods and others what follows the slash is a subresource.
fn attributes(verb: &str, object: &str) -> ResourceAttributes {
    let (object, namespace) = object.split_once(" in ").expect("a namespace");
    let (resource, name) = object.split_once('/').map_or((object, None), |(resource, name)| (resource, Some(name)));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let is_subresource = name.is_some_and(|name| ["exec", "log", "eviction", "token", "scale"].contains(&name));
    let (name, subresource) = if is_subresource { (None, name) } else { (name, None) };
    ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
        namespace: Some(namespace).filter(|namespace| *namespace != "*").map(str::to_owned),
        ..Default::default()
    }
}

/// As the API server knows a user of this name.
fn groups(user: &str) -> Vec<String> {
    let mut groups = match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, _)) => {
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
        }
        None => Vec::new(),
    };
    let rest = if user == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    groups.push(rest.to_owned());
    groups
}
