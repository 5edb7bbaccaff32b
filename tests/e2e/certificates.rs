use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::controlplane::certified::{Certified, NAMES, NAMESPACE, SECRET, SERVICE_HOST};
use crate::harness::controlplane::{ControlPlane, eventually};

const SELF_MANAGED: [&str; 2] = ["--tls-self-managed-secret", SECRET];

/// Clients of each kind.
const CLIENTS: usize = 4;

/// A control plane with an empty Secret, and a Plimsoll that keeps it.
async fn self_managed(more: &[&str]) -> (Arc<ControlPlane>, Certified) {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    cluster.write_secret(&json!({})).await;
    let plimsoll = cluster.certified(&[&SELF_MANAGED, more].concat()).await;
    cluster.register(&plimsoll).await;
    cluster.all_trust_the_secret().await;
    (cluster, plimsoll)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_secret_the_api_services_become_available_and_stay_so_whatever_is_done_to_them() {
    let (cluster, plimsoll) = self_managed(&[]).await;
    plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
    let [first, second, third] = NAMES;
    let wanted = cluster.bundle(first).await;

    cluster.patch_api_service(first, r#"{"spec":{"caBundle":null}}"#).await;
    cluster.all_trust_the_secret().await;
    let insecure = r#"{"spec":{"caBundle":null,"insecureSkipTLSVerify":true}}"#;
    cluster.patch_api_service(second, insecure).await;
    cluster.all_trust_the_secret().await;
    let spec = |service: Value| service["spec"]["insecureSkipTLSVerify"].as_bool().unwrap_or_default();
    assert!(!spec(cluster.api_service(second).await));
    assert_eq!(cluster.bundle(first).await, wanted);

    // What leads to somebody else is theirs.
    let elsewhere = r#"{"spec":{"service":{"name":"another"},"caBundle":null}}"#;
    cluster.patch_api_service(third, elsewhere).await;
    let said = format!("APIService {third} leads to Service plimsoll-system/another");
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", &said]).await;
    assert_eq!(cluster.bundle(third).await, "");
    cluster.patch_api_service(third, r#"{"spec":{"service":{"name":"plimsoll"}}}"#).await;
    cluster.all_trust_the_secret().await;
    plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_emptied_deleted_or_damaged_costs_no_request() {
    let (cluster, plimsoll) = self_managed(&[]).await;
    let load = cluster.load(&plimsoll, CLIENTS);
    let authorities = cluster.in_secret("ca.crt").await;
    let all = r#"[{"op":"remove","path":"/data"}]"#;
    let comes_back = async || {
        eventually("the Secret has what it had", || cluster.in_secret("ca.crt"), |found| *found == authorities).await;
        plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
    };
    cluster.patch_secret("json", all).await;
    comes_back().await;

    cluster.kubectl(&["delete", "secret", "-n", NAMESPACE, SECRET]).await;
    let said = "Secret plimsoll-system/plimsoll-serving does not exist; make an empty one";
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", said]).await;
    cluster.kubectl(&["create", "secret", "generic", "-n", NAMESPACE, SECRET]).await;
    comes_back().await;

    // Garbage may be somebody's own: it is said, and stays.
    cluster.patch_secret("merge", r#"{"stringData":{"ca.crt":"garbage"}}"#).await;
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", "the key ca.crt", "it is not overwritten"]).await;
    assert_eq!(cluster.in_secret("ca.crt").await, "garbage");
    cluster.patch_secret("json", all).await;
    comes_back().await;

    // A certificate can be signed again.
    cluster.patch_secret("merge", r#"{"stringData":{"tls.crt":"garbage"}}"#).await;
    eventually("it is signed again", || cluster.in_secret("tls.crt"), |found| found.contains("BEGIN")).await;
    comes_back().await;
    let (forwarded, connected, failures) = load.end().await;
    println!("Secret emptied, deleted, damaged: {forwarded} forwarded and {connected} direct requests");
    assert_eq!(failures, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_authorities_change_under_load_without_a_failed_request() {
    // An authority is succeeded after 25 s, and a certificate renewed after 12 s.
    let lives = ["--tls-certificate-lifetime", "20s", "--tls-ca-lifetime", "65s"];
    let (cluster, plimsoll) = self_managed(&lives).await;
    let (load, started) = (cluster.load(&plimsoll, CLIENTS), Instant::now());
    let done = |what: &str| plimsoll.output().matches(what).count();
    let (switched, renewed) = ("has signed the serving certificate", "the serving certificate was renewed");
    let pruned = "authorities that have ended were removed";
    while done(switched) < 2 || done(renewed) < 2 || done(pruned) < 1 {
        assert!(started.elapsed() < Duration::from_secs(180), "{}", plimsoll.output());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (forwarded, connected, failures) = load.end().await;
    println!(
        "{} renewals and {} changes of the authority in {:?}: {forwarded} forwarded and {connected} direct requests, {} failed",
        done(renewed),
        done(switched),
        started.elapsed(),
        failures.len(),
    );
    assert_eq!(failures, [""; 0]);
    assert!(forwarded > 100 && connected > 100, "{forwarded} {connected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_agree_on_one_authority() {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    cluster.write_secret(&json!({})).await;
    let start = || cluster.certified(&SELF_MANAGED);
    let replicas: [Certified; 3] = tokio::join!(start(), start(), start()).into();
    cluster.register(&replicas[0]).await;
    cluster.all_trust_the_secret().await;
    let bundle = cluster.in_secret("ca.crt").await;
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1, "{bundle}");
    for replica in &replicas {
        replica.says("/readyz?verbose", &["[+]certificate ok"]).await;
        let answer = replica.get("/livez", Some(&bundle)).await;
        assert_eq!(answer, Ok((200, "ok".to_owned())), "{}", replica.output());
    }
    let made = "a new certificate authority and a serving certificate were made";
    assert_eq!(replicas.iter().map(|replica| replica.output().matches(made).count()).sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_existing_secret_is_awaited_and_followed_under_load() {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    let plimsoll = cluster.certified(&["--tls-secret", SECRET]).await;
    // A kubelet, which verifies nothing, finds it alive and is told what it waits for.
    let said = "Secret plimsoll-system/plimsoll-serving does not exist";
    plimsoll.says("/readyz?verbose", &["[-]certificate failed", said]).await;
    assert_eq!(plimsoll.get("/livez", None).await, Ok((200, "ok".to_owned())));
    assert!(plimsoll.get("/livez", Some(cluster.authority_pem())).await.is_err(), "nobody else takes it");

    let secret = |pair: &[String; 2]| json!({"stringData": {"tls.crt": pair[0], "tls.key": pair[1]}}).to_string();
    let ([certificate, key], _) = cluster.pair("first");
    cluster.write_secret(&json!({})).await;
    plimsoll.says("/readyz?verbose", &["[-]certificate failed", "the key tls.crt of Secret", "is missing"]).await;
    cluster.patch_secret("merge", &secret(&[certificate, key.clone()])).await;
    plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
    cluster.register(&plimsoll).await;
    trust(&cluster).await;

    let load = cluster.load(&plimsoll, CLIENTS);
    for round in 0..5 {
        let (pair, _) = cluster.pair(&format!("round-{round}"));
        let taken = plimsoll.output().matches("serving certificate taken up").count();
        if round == 2 {
            cluster.patch_secret("merge", &secret(&[pair[0].clone(), key.clone()])).await;
            plimsoll.says("/readyz?verbose", &["[!]certificate degraded", "cannot be used together"]).await;
        }
        cluster.patch_secret("merge", &secret(&pair)).await;
        let count = async || plimsoll.output().matches("serving certificate taken up").count();
        eventually("it is taken up", count, |now| *now > taken).await;
    }
    let (forwarded, connected, failures) = load.end().await;
    println!("Secret replaced 5 times: {forwarded} forwarded and {connected} direct requests");
    assert_eq!(failures, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_replaced_under_load_without_a_failed_request() {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    let (_, files) = cluster.pair("plimsoll-files");
    let [certificate, key] = files.each_ref().map(|file| file.to_str().expect("UTF-8"));
    let plimsoll = cluster.certified(&["--tls-cert-file", certificate, "--tls-private-key-file", key]).await;
    cluster.register(&plimsoll).await;
    trust(&cluster).await;
    let load = cluster.load(&plimsoll, CLIENTS);
    for _ in 0..4 {
        let taken = plimsoll.output().matches("serving certificate taken up").count();
        // The same files are written again, one after the other.
        drop(cluster.pair("plimsoll-files"));
        let count = async || plimsoll.output().matches("serving certificate taken up").count();
        eventually("it is taken up", count, |now| *now > taken).await;
    }
    let (forwarded, connected, failures) = load.end().await;
    println!("files replaced 4 times: {forwarded} forwarded and {connected} direct requests");
    assert_eq!(failures, [""; 0]);
}

/// As a person does who brings a certificate: tells the APIServices whom to trust.
async fn trust(cluster: &ControlPlane) {
    let bundle = k8s_openapi::ByteString(cluster.authority_pem().as_bytes().to_vec());
    let patch = json!({"spec": {"caBundle": bundle}}).to_string();
    for name in NAMES {
        cluster.patch_api_service(name, &patch).await;
    }
    cluster.all_available().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_api_server_what_is_there_is_served_and_afterwards_all_goes_on() {
    let (cluster, plimsoll) = self_managed(&[]).await;
    let bundle = cluster.in_secret("ca.crt").await;
    cluster.stop_apiserver();
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", "cannot be read"]).await;
    assert_eq!(plimsoll.get("/livez", Some(&bundle)).await, Ok((200, "ok".to_owned())), "{SERVICE_HOST}");
    // One that starts now waits, and knows nobody whom it could tell for what.
    let waiting = cluster.certified(&SELF_MANAGED).await;
    waiting.says_to_anybody("/readyz?verbose", &["[-]certificate failed"]).await;
    cluster.start_apiserver().await;
    cluster.patch_api_service(NAMES[0], r#"{"spec":{"caBundle":null}}"#).await;
    cluster.all_trust_the_secret().await;
    for replica in [&plimsoll, &waiting] {
        replica.says("/readyz?verbose", &["[+]certificate ok"]).await;
        assert_eq!(replica.get("/livez", Some(&bundle)).await, Ok((200, "ok".to_owned())));
    }
}
