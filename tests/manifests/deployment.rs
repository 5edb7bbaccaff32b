use std::path::Path;
use std::process::Command;

use plimsoll::config::reader::read;
use serde_json::{Value, json};

use super::rendered::{CERTIFICATES, OVERLAYS, Rendered};
use crate::harness::program::PLIMSOLL;

#[test]
fn every_flag_is_one_of_the_program() {
    let help = help();
    for certificate in CERTIFICATES {
        let components: Vec<_> = certificate.into_iter().collect();
        let rendered = Rendered::composed("production", &components);
        let [command, flags @ ..] = &texts(&rendered.container()["args"])[..] else { panic!("no arguments") };
        assert_eq!(command, "serve");
        for flag in flags {
            let (name, value) = flag.split_once('=').expect("a flag with a value");
            let has = |line: &str| line.trim_start().starts_with(&format!("{name} <"));
            assert!(!value.is_empty() && help.lines().any(has), "{certificate:?}: {flag} is no flag of serve:\n{help}");
        }
        assert_eq!(flags.iter().filter(|flag| flag.starts_with("--tls-")).count().div_ceil(2), 1, "{flags:?}");
    }
}

#[test]
fn every_variable_is_one_of_the_program_or_used_by_a_flag() {
    let help = help();
    for overlay in OVERLAYS {
        let rendered = Rendered::overlay(overlay);
        let arguments = texts(&rendered.container()["args"]).join(" ");
        for variable in rendered.container()["env"].as_array().expect("variables") {
            let name = variable["name"].as_str().expect("a name");
            let is_used = arguments.contains(&format!("$({name})")) || help.contains(&format!("[env: {name}="));
            assert!(is_used, "{overlay}: {name}");
        }
    }
}

#[test]
fn versions_are_those_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (composition, rendered) in Rendered::all() {
        assert_eq!(rendered.container()["image"], format!("plimsoll:{version}"), "{composition}");
        assert_eq!(rendered.template()["metadata"]["labels"]["app.kubernetes.io/version"], version, "{composition}");
        let selector = &rendered.object("Deployment", "plimsoll")["spec"]["selector"];
        // It cannot be changed later: nothing that an upgrade changes may be in it.
        assert_eq!(*selector, json!({"matchLabels": {"app.kubernetes.io/name": "plimsoll"}}), "{composition}");
        for object in &rendered.objects {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/name"], "plimsoll", "{composition}: {object}");
            assert!(labels["app.kubernetes.io/version"].is_null() || labels["app.kubernetes.io/version"] == version);
        }
    }
    for object in &Rendered::overlay("production").objects {
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/version"], version, "{object}");
    }
}

#[test]
fn the_port_has_one_name_from_the_api_services_to_the_listener() {
    let rendered = Rendered::overlay("production");
    let container = rendered.container();
    let (port, service) = (&container["ports"][0], &rendered.object("Service", "plimsoll")["spec"]);
    assert!(texts(&container["args"]).contains(&format!("--listen=[::]:{}", port["containerPort"])), "{container}");
    // Endpoints are found by the name of the Service's port.
    assert_eq!((&service["ports"][0]["name"], &service["ports"][0]["targetPort"]), (&port["name"], &port["name"]));
    assert_eq!(service["selector"], json!({"app.kubernetes.io/name": "plimsoll"}));
    let services: Vec<_> = rendered.of_kind("APIService").collect();
    assert_eq!(services.len(), 3);
    for api in services {
        let spec = &api["spec"];
        let expected = json!({"name": "plimsoll", "namespace": "plimsoll-system", "port": service["ports"][0]["port"]});
        assert_eq!(spec["service"], expected);
        let name = format!("{}.{}", spec["version"].as_str().expect("text"), spec["group"].as_str().expect("text"));
        assert_eq!(api["metadata"]["name"], name);
        let priority = if spec["version"] == "v1beta2" { 200 } else { 100 };
        assert_eq!((&spec["versionPriority"], &spec["groupPriorityMinimum"]), (&priority.into(), &100.into()));
    }
    let policy = &rendered.object("NetworkPolicy", "plimsoll")["spec"];
    assert_eq!(policy["ingress"], json!([{"ports": [{"port": port["name"], "protocol": "TCP"}]}]));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let request = &container[probe]["httpGet"];
        assert_eq!((&request["port"], &request["scheme"]), (&port["name"], &"HTTPS".into()), "{probe}");
        let path = if probe == "readinessProbe" { "/readyz" } else { "/livez" };
        assert_eq!(request["path"], path, "{probe}");
    }
}

#[test]
fn the_kube_apiserver_believes_a_certificate_that_it_was_told_of_and_no_other() {
    for (composition, rendered) in Rendered::all() {
        for api in rendered.of_kind("APIService") {
            // Said, not left out: who applies this owns it, and takes it from an adapter that was not verified.
            assert_eq!(api["spec"]["insecureSkipTLSVerify"], false, "{composition}");
            let injected = &api["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
            let is_injected = composition.contains("cert-manager");
            assert_eq!(*injected == "plimsoll-system/plimsoll-serving", is_injected, "{composition}");
            assert_eq!(api["spec"]["caBundle"].is_string(), composition.contains("existing-secret"), "{composition}");
        }
        // The one with keys comes empty, and the CA of an existing one is for rendering alone.
        let secrets: Vec<_> = rendered.of_kind("Secret").collect();
        let is_own = !composition.contains("cert-manager") && !composition.contains("existing-secret");
        assert_eq!(secrets.len(), usize::from(is_own), "{composition}");
        assert!(secrets.iter().all(|secret| secret["data"].is_null() && secret["stringData"].is_null()));
    }
    let rendered = Rendered::composed("production", &["cert-manager"]);
    let names = texts(&rendered.object("Certificate", "plimsoll-serving")["spec"]["dnsNames"]);
    assert!(names.contains(&"plimsoll.plimsoll-system.svc".to_owned()), "{names:?}");
}

#[test]
fn who_scrapes_trusts_the_ca_of_the_certificate_in_use_in_whatever_order_components_are_named() {
    for certificate in CERTIFICATES {
        let secret = if certificate.is_some() { "plimsoll-tls" } else { "plimsoll-serving" };
        let mut components: Vec<_> = certificate.into_iter().chain(["prometheus"]).collect();
        for _ in 0..2 {
            let rendered = Rendered::composed("production", &components);
            let endpoint = &rendered.object("ServiceMonitor", "plimsoll")["spec"]["endpoints"][0];
            let trusted = json!({"secret": {"name": secret, "key": "ca.crt"}});
            assert_eq!(endpoint["tlsConfig"]["ca"], trusted, "{components:?}");
            components.reverse();
        }
    }
}

#[test]
fn in_another_namespace_everything_of_ours_is_there_and_nothing_of_others_is_touched() {
    let (ours, other) = (Rendered::overlay("production"), Rendered::in_namespace("monitoring"));
    assert!(!other.yaml.contains("plimsoll-system"), "{}", other.yaml);
    assert_eq!(ours.yaml.replace("plimsoll-system", "monitoring").lines().count(), other.yaml.lines().count());
    // To apply or delete it makes and deletes no namespace, and nothing of it belongs into another one.
    assert_eq!(other.of_kind("Namespace").count(), 0);
    for object in &ours.objects {
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "plimsoll-system", "{object}");
    }
    for binding in other.of_kind("ClusterRoleBinding").chain(other.of_kind("RoleBinding")) {
        assert_eq!(binding["subjects"][0]["namespace"], "monitoring", "{binding}");
    }
    let [namespace] = &Rendered::folder("namespace").objects[..] else { panic!("one object") };
    assert_eq!((&namespace["kind"], &namespace["metadata"]["name"]), (&"Namespace".into(), &"plimsoll-system".into()));
    let version = &namespace["metadata"]["labels"]["app.kubernetes.io/version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_pod_that_ends_has_the_time_that_its_requests_have() {
    let rendered = Rendered::overlay("production");
    let seconds = |value: &Value| value.as_u64().expect("seconds");
    let pause = seconds(&rendered.container()["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let help = help();
    let default =
        help.split("--drain-timeout").nth(1).and_then(|rest| rest.split("[default: ").nth(1)?.split(']').next());
    let drain: u64 = default.expect("a default").parse().expect("seconds");
    let all = seconds(&rendered.template()["spec"]["terminationGracePeriodSeconds"]);
    assert!(pause + drain < all, "{pause} s and {drain} s of {all} s");
}

#[test]
fn replicas_and_their_disruptions_are_those_of_the_environment() {
    for (overlay, replicas) in [("development", 1), ("staging", 2), ("production", 2)] {
        let rendered = Rendered::overlay(overlay);
        let deployment = &rendered.object("Deployment", "plimsoll")["spec"];
        assert_eq!(deployment["replicas"], replicas, "{overlay}");
        assert_eq!(deployment["strategy"]["rollingUpdate"], json!({"maxSurge": 1, "maxUnavailable": 0}), "{overlay}");
        let budget = &rendered.object("PodDisruptionBudget", "plimsoll")["spec"];
        assert_eq!((&budget["maxUnavailable"], &budget["minAvailable"]), (&1.into(), &Value::Null), "{overlay}");
        assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{overlay}");
        assert_eq!(budget["selector"], deployment["selector"], "{overlay}");
        let quota = &rendered.object("ResourceQuota", "plimsoll")["spec"];
        let class = &rendered.template()["spec"]["priorityClassName"];
        assert_eq!(quota["scopeSelector"]["matchExpressions"][0]["values"], json!([class]), "{overlay}");
    }
}

#[test]
fn the_config_map_is_the_sample_configuration_where_the_pod_looks_for_it() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config/kubernetes.yaml");
    let rendered = Rendered::overlay("production");
    let text = rendered.object("ConfigMap", "plimsoll")["data"]["plimsoll.yaml"].as_str().expect("the file");
    assert_eq!(text, std::fs::read_to_string(sample).expect("the sample"));
    let config = read(text, Path::new("/etc/plimsoll/plimsoll.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(config.jobs.iter().all(|job| !job.kubernetes_sd.is_empty()), "a cluster says what to scrape");
    let mount = &rendered.container()["volumeMounts"][0];
    assert_eq!((&mount["name"], &mount["mountPath"]), (&"config".into(), &"/etc/plimsoll".into()));
    // A single file in a mount is not updated, and then a change would go unseen.
    assert!(mount["subPath"].is_null());
    assert_eq!(rendered.template()["spec"]["volumes"][0], json!({"name": "config", "configMap": {"name": "plimsoll"}}));
}

/// What `plimsoll serve --help` says.
fn help() -> String {
    let output = Command::new(PLIMSOLL).args(["serve", "--help"]).output().expect("it runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}
