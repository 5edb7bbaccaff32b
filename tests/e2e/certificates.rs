use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::clock::Clock;
use plimsoll::model::Timestamp;
use plimsoll::serving::{CertificateMetrics, CurrentCertificate, Lifetimes, SelfManaged};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::controlplane::certified::{Certified, NAMES, NAMESPACE, SECRET, SERVICE_HOST};
use crate::harness::controlplane::{ControlPlane, eventually};

const SELF_MANAGED: [&str; 2] = ["--tls-self-managed-secret", SECRET];

/// Clients of each kind.
const CLIENTS: usize = 4;

/// A control plane with an empty Secret, and a Plimsoll that keeps it.
async fn self_managed() -> (Arc<ControlPlane>, Certified) {
    let cluster = with_empty_secret().await;
    let plimsoll = cluster.certified(&SELF_MANAGED).await;
    (cluster.clone(), trusted(&cluster, plimsoll).await)
}

async fn with_empty_secret() -> Arc<ControlPlane> {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    cluster.write_secret(&json!({})).await;
    cluster
}

async fn trusted(cluster: &ControlPlane, plimsoll: Certified) -> Certified {
    cluster.register(&plimsoll).await;
    cluster.all_trust_the_secret().await;
    plimsoll
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_secret_the_api_services_become_available_and_stay_so_whatever_is_done_to_them() {
    let (cluster, plimsoll) = self_managed().await;
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
async fn a_ca_bundle_that_somebody_applies_is_theirs_until_they_give_it_back() {
    let (cluster, plimsoll) = self_managed().await;
    let [first, second, third] = NAMES;
    let theirs = cluster.authority_pem().to_owned();
    // By server-side apply, as from one way to a certificate to another; by the annotation that cert-manager goes by.
    let bundle = k8s_openapi::ByteString(theirs.as_bytes().to_vec());
    let metadata = json!({"name": first});
    let applied = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": metadata, "spec": {"caBundle": bundle},
    });
    cluster.apply_by_force(&applied).await;
    let said = format!("the caBundle of APIService {first} belongs to kubectl (server-side apply)");
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", &said]).await;
    let annotations = json!({"cert-manager.io/inject-ca-from": "plimsoll-system/plimsoll-serving"});
    let injected = json!({"metadata": {"annotations": annotations}, "spec": {"caBundle": bundle}}).to_string();
    cluster.patch_api_service(second, &injected).await;
    let said = format!("the caBundle of APIService {second} belongs to cert-manager");
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", &said]).await;
    // It has looked at all of them since, and mends those that are its own.
    cluster.patch_api_service(third, &json!({"spec": {"caBundle": bundle}}).to_string()).await;
    let own = cluster.in_secret("ca.crt").await;
    eventually("its own is mended", || cluster.bundle(third), |found| *found == own).await;
    assert_eq!([cluster.bundle(first).await, cluster.bundle(second).await], [theirs.clone(), theirs]);

    cluster.patch_api_service(first, r#"{"spec":{"caBundle":null}}"#).await;
    let without = r#"{"metadata":{"annotations":null}}"#;
    cluster.patch_api_service(second, without).await;
    cluster.all_trust_the_secret().await;
    plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_bundle_that_is_changed_again_and_again_is_mended_ever_less_often_and_that_is_said() {
    let (cluster, plimsoll) = self_managed().await;
    let (wanted, started) = (cluster.in_secret("ca.crt").await, Instant::now());
    for _ in 0..4 {
        cluster.patch_api_service(NAMES[0], r#"{"spec":{"caBundle":"anVuaw=="}}"#).await;
        eventually("it is mended", || cluster.bundle(NAMES[0]), |found| *found == wanted).await;
    }
    // After 1, 2, 4 and 8 s.
    assert!(started.elapsed() >= Duration::from_secs(14), "{:?}", started.elapsed());
    let said =
        format!("the caBundle of APIService {} was set 5 times, and was changed again each time by kubectl", NAMES[0]);
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", &said]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_a_clock_of_its_own_writes_nothing_and_says_so() {
    let (cluster, plimsoll) = self_managed().await;
    let version = async || cluster.get(NAMESPACE, "v1/Secret", SECRET).await["metadata"]["resourceVersion"].clone();
    let before = version().await;
    for days in [-40, 40, 4000] {
        let clock = Clock::from_fn(move || Timestamp(Clock::system().now().0 + days * 86_400_000));
        let current =
            CurrentCertificate::awaited(CertificateMetrics::default(), Clock::system().now()).expect("randomness");
        let (mut standing, shutdown) = (current.standing(), CancellationToken::new());
        let replica = SelfManaged {
            client: cluster.client(),
            secret: SECRET.into(),
            service: "plimsoll-system/plimsoll".parse().expect("a Service"),
            api_services: NAMES.map(str::to_owned),
            lifetimes: Lifetimes::default(),
            current,
            clock,
            metrics: CertificateMetrics::default(),
            check_interval: SelfManaged::CHECK_INTERVAL,
        };
        let word = if days > 0 { "ahead of" } else { "behind" };
        let said = format!("the clock here is {} min {word} the kube-apiserver's", i64::abs(days) * 1440);
        let is_said = async {
            let words = standing.wait_for(|standing| standing.trouble.as_ref().is_some_and(|it| it.contains(&said)));
            tokio::time::timeout(Duration::from_secs(60), words).await.expect("in time").expect("it runs");
            shutdown.cancel();
        };
        tokio::join!(replica.run(shutdown.clone()), is_said);
        assert_eq!(version().await, before, "{days}");
    }
    plimsoll.says("/readyz?verbose", &["[+]certificate ok"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_emptied_deleted_or_damaged_costs_no_request() {
    let (cluster, plimsoll) = self_managed().await;
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
    let lifetimes = Lifetimes { certificate: Duration::from_secs(20), authority: Duration::from_secs(65) };
    let cluster = with_empty_secret().await;
    let plimsoll = trusted(&cluster, cluster.certified_for(lifetimes).await).await;
    let (load, started) = (cluster.load(&plimsoll, CLIENTS), Instant::now());
    let (mut bundles, mut certificates) = (Vec::<String>::new(), Vec::<String>::new());
    let is_done = |bundles: &[String], certificates: &[String]| {
        let is_gone = bundles.last().is_some_and(|last| !last.contains(&bundles[0]));
        bundles.len() >= 4 && certificates.len() >= 5 && is_gone
    };
    // The first authority, with its successor, with the one after that, and without itself when it has ended.
    while !is_done(&bundles, &certificates) {
        assert!(started.elapsed() < Duration::from_secs(180), "{bundles:?}");
        for (seen, key) in [(&mut bundles, "ca.crt"), (&mut certificates, "tls.crt")] {
            let found = cluster.in_secret(key).await;
            if seen.last() != Some(&found) {
                seen.push(found);
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (forwarded, connected, failures) = load.end().await;
    println!(
        "{} certificates and {} bundles in {:?}: {forwarded} forwarded and {connected} direct requests, {} failed",
        certificates.len(),
        bundles.len(),
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
    let (cluster, plimsoll) = self_managed().await;
    let bundle = cluster.in_secret("ca.crt").await;
    cluster.stop_apiserver();
    plimsoll.says("/readyz?verbose", &["[!]certificate degraded", "cannot be read"]).await;
    assert_eq!(plimsoll.get("/livez", Some(&bundle)).await, Ok((200, "ok".to_owned())), "{SERVICE_HOST}");
    // One that starts now waits. It knows no CA by which it could tell who asks why: the log says it.
    let waiting = cluster.certified(&SELF_MANAGED).await;
    waiting.says_to_anybody("/readyz?verbose", &["[-]certificate failed"]).await;
    let said = |output: &String| output.contains("Secret plimsoll-system/plimsoll-serving cannot be read");
    drop(eventually("it says what it waits for", async || waiting.output(), said).await);
    assert!(waiting.get("/livez", Some(&bundle)).await.is_err(), "nobody takes it who verifies");
    cluster.start_apiserver().await;
    cluster.patch_api_service(NAMES[0], r#"{"spec":{"caBundle":null}}"#).await;
    cluster.all_trust_the_secret().await;
    for replica in [&plimsoll, &waiting] {
        replica.says("/readyz?verbose", &["[+]certificate ok"]).await;
        assert_eq!(replica.get("/livez", Some(&bundle)).await, Ok((200, "ok".to_owned())));
    }
}
