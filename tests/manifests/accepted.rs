use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::installed::{Installed, PLATFORM};
use super::rendered::Rendered;
use crate::harness::controlplane::{ControlPlane, eventually};

const NAMESPACE: &str = "plimsoll-system";
const SECRET: &str = "v1/Secret";
const API_SERVICE: &str = "apiregistration.k8s.io/v1/APIService";

/// The Secret as Plimsoll fills it.
const FILLED: &str = "
apiVersion: v1
kind: Secret
metadata: {name: plimsoll-serving, namespace: plimsoll-system}
data: {tls.crt: Y2VydGlmaWNhdGU=}
";

#[tokio::test]
async fn every_composition_is_taken_strictly_and_without_a_warning() {
    let installed = Installed::shared().await;
    for (composition, rendered) in Rendered::all() {
        // What changes the way to a certificate takes the caBundle from Plimsoll.
        let said = installed.apply(&rendered.yaml, &["--dry-run=server", "--force-conflicts"]).await;
        let said = said.unwrap_or_else(|said| panic!("{composition}: {said}"));
        assert_eq!(said.lines().count(), rendered.objects.len(), "{composition}: {said}");
    }
}

#[tokio::test]
async fn what_the_schema_does_not_know_is_refused() {
    let installed = Installed::shared().await;
    for (right, wrong) in [("maxUnavailable", "maxUnavailabel"), ("topologyKey", "topologyKeys")] {
        let yaml = installed.production.yaml.replace(right, wrong);
        let said = installed.apply(&yaml, &["--dry-run=server"]).await.expect_err("strict");
        assert!(said.contains(wrong), "{said}");
    }
}

#[tokio::test]
async fn applied_again_nothing_changes() {
    let installed = Installed::shared().await;
    let versions = || async {
        let said =
            installed.with_file(&installed.production.yaml, &["get", "-o", "json"]).await.expect("they are there");
        let list: Value = serde_json::from_str(&said).expect("JSON");
        let objects = list["items"].as_array().expect("objects").iter();
        let named = objects.map(|it| (format!("{} {}", it["kind"], it["metadata"]["name"]), it["metadata"].clone()));
        // Its status is a matter of controllers, and here of another test.
        let named = named.filter(|(name, _)| !name.starts_with("\"ResourceQuota"));
        named.map(|(name, metadata)| (name, metadata["resourceVersion"].clone())).collect::<BTreeMap<_, _>>()
    };
    // Another test writes meanwhile what no manifest has: a try without it is enough.
    let stays = || async {
        let before = versions().await;
        installed.apply(&installed.production.yaml, &[]).await.unwrap_or_else(|said| panic!("{said}"));
        (before.len(), before == versions().await)
    };
    let (count, _) = eventually("nothing changes", stays, |(_, is_same)| *is_same).await;
    assert_eq!(count, installed.production.objects.len() - 1, "all but the quota");
}

#[tokio::test]
async fn an_upgrade_takes_nothing_away_that_plimsoll_wrote() {
    let installed = Installed::shared().await;
    let writes = ["apply", "--server-side", "--field-manager=plimsoll", "--force-conflicts"];
    let patch = ["patch", "apiservice", "v1beta2.custom.metrics.k8s.io", "--type=merge", "--field-manager=plimsoll"];
    let bundle = json!({"spec": {"caBundle": "Y2VydGlmaWNhdGU="}}).to_string();
    installed.with_file(FILLED, &writes).await.unwrap_or_else(|said| panic!("{said}"));
    installed.cluster.kubectl(&[&patch[..], &["-p", &bundle]].concat()).await;
    for way in [&["apply", "--server-side"][..], &["apply"], &["apply", "--server-side"]] {
        installed.with_file(&installed.production.yaml, way).await.unwrap_or_else(|said| panic!("{way:?}: {said}"));
        let secret = installed.cluster.get(NAMESPACE, SECRET, "plimsoll-serving").await;
        assert_eq!(secret["data"], json!({"tls.crt": "Y2VydGlmaWNhdGU="}), "{way:?}");
        let service = installed.cluster.get("", API_SERVICE, "v1beta2.custom.metrics.k8s.io").await;
        assert_eq!(service["spec"]["caBundle"], "Y2VydGlmaWNhdGU=", "{way:?}");
    }
}

#[tokio::test]
async fn api_services_of_another_adapter_are_taken_over_and_verified_from_then_on() {
    let cluster = ControlPlane::start_api().await;
    let ours = Rendered::overlay("production");
    let mut theirs: Vec<Value> = ours.of_kind("APIService").cloned().collect();
    for api in &mut theirs {
        api["spec"]["insecureSkipTLSVerify"] = true.into();
        api["spec"]["service"]["name"] = "another-adapter".into();
    }
    let write = |objects: &[&Value], flags: &'static [&'static str]| {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let cluster = cluster.clone();
        async move {
            let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a file");
            std::fs::write(file.path(), list).expect("written");
            cluster.try_kubectl(&[flags, &["-f", file.path().to_str().expect("UTF-8")]].concat()).await
        }
    };
    let theirs: Vec<_> = theirs.iter().collect();
    write(&theirs, &["create", "--field-manager=helm"]).await.unwrap_or_else(|said| panic!("{said}"));
    let ours: Vec<_> = ours.of_kind("APIService").collect();
    let said = write(&ours, &["apply", "--server-side"]).await.expect_err("they belong to another");
    assert!(said.contains("conflict") && said.contains("--force-conflicts"), "{said}");
    write(&ours, &["apply", "--server-side", "--force-conflicts"]).await.unwrap_or_else(|said| panic!("{said}"));
    for api in ours {
        let name = api["metadata"]["name"].as_str().expect("a name");
        let found = cluster.get("", API_SERVICE, name).await;
        assert!(!found["spec"]["insecureSkipTLSVerify"].as_bool().unwrap_or_default(), "{found}");
        assert_eq!(found["spec"]["service"]["name"], "plimsoll");
    }
}

#[tokio::test]
async fn the_pod_is_admitted_under_the_restricted_level_and_a_laxer_one_is_not() {
    let installed = Installed::shared().await;
    let used = |pods: u32| async move {
        let status = json!({"status": {"hard": {"pods": "10"}, "used": {"pods": pods.to_string()}}}).to_string();
        let patch = ["patch", "resourcequota", "plimsoll", "-n", NAMESPACE, "--subresource=status", "--type=merge"];
        Installed::shared().await.cluster.kubectl(&[&patch[..], &["-p", &status]].concat()).await;
    };
    let create = ["create", "--dry-run=server", "--validate=strict", "--warnings-as-errors"];
    let create = |pod: Value| async move {
        Installed::shared().await.with_file(&pod.to_string(), &create).await.unwrap_or_else(|said| said)
    };
    // No controller counts here.
    used(0).await;
    for (composition, rendered) in Rendered::all() {
        let pod = pod(rendered);
        let admitted = |said: &String| said.contains("pod/plimsoll created");
        eventually(composition, || create(pod.clone()), admitted).await;
    }
    let container = "/spec/containers/0/securityContext";
    for (parent, key) in [
        ("/spec/securityContext", "runAsNonRoot"),
        ("/spec/securityContext", "seccompProfile"),
        (container, "allowPrivilegeEscalation"),
        (container, "capabilities"),
    ] {
        let mut pod = pod(&installed.production);
        let settings = pod.pointer_mut(parent).and_then(Value::as_object_mut).expect("settings");
        settings.remove(key).expect("it is set");
        let said = create(pod).await;
        assert!(said.contains("violates PodSecurity \"restricted:latest\""), "{key}: {said}");
    }
    used(10).await;
    let exceeded = |said: &String| said.contains("exceeded quota: plimsoll");
    eventually("critical pods are counted", || create(pod(&installed.production)), exceeded).await;
    used(0).await;
}

#[tokio::test]
async fn the_autoscalers_of_the_platform_are_taken_into_its_namespace() {
    let installed = Installed::shared().await;
    for folder in ["autoscaling", "autoscaling/vertical"] {
        let rendered = Rendered::folder(folder);
        assert!(rendered.objects.iter().all(|object| object["metadata"]["namespace"] == PLATFORM), "{folder}");
        installed.apply(&rendered.yaml, &[]).await.unwrap_or_else(|said| panic!("{folder}: {said}"));
    }
    let said = installed.cluster.kubectl(&["get", "hpa", "-n", PLATFORM, "-o", "name"]).await;
    assert_eq!(said.lines().count(), 6, "{said}");
}

/// The pod that a ReplicaSet would make of the template.
fn pod(rendered: &Rendered) -> Value {
    let mut pod = rendered.template().clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "plimsoll".into();
    pod["metadata"]["namespace"] = NAMESPACE.into();
    pod
}
