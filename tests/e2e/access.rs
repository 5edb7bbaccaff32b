use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll::clock::Clock;
use serde_json::{Value, json};

use super::fleet::text;
use crate::harness::controlplane::certified::{Certified, NAMES};
use crate::harness::controlplane::visitor::Visitor;
use crate::harness::controlplane::{ControlPlane, eventually};

/// Who may read the metrics page and one metric: a user, and an account.
const READERS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: plimsoll-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: metrics-reader}
rules:
  - {nonResourceURLs: [/metrics, /readyz/*], verbs: [get]}
  - {apiGroups: [custom.metrics.k8s.io], resources: [pods/load], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: metrics-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-reader}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}
  - {kind: ServiceAccount, namespace: plimsoll-system, name: reader}
"#;

const LOAD: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/load";
const OTHER: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents/pods/%2A/other";
const JOBS: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/agents/jobs";
const DISCOVERY: &str = "/apis/custom.metrics.k8s.io/v1beta2";

/// A cluster with a Plimsoll that is registered.
async fn scene() -> (Arc<ControlPlane>, Certified) {
    let cluster = ControlPlane::start_api().await;
    cluster.permit_certificates().await;
    let (_, files) = cluster.pair("plimsoll-access");
    let [certificate, key] = files.each_ref().map(|file| file.to_str().expect("UTF-8"));
    let plimsoll = cluster.certified(&["--tls-cert-file", certificate, "--tls-private-key-file", key]).await;
    plimsoll.says("/readyz?verbose", &["[+]authentication ok", "readyz check passed"]).await;
    cluster.register(&plimsoll).await;
    let bundle = k8s_openapi::ByteString(cluster.authority_pem().as_bytes().to_vec());
    let patch = json!({"spec": {"caBundle": bundle}}).to_string();
    for name in NAMES {
        cluster.patch_api_service(name, &patch).await;
    }
    cluster.all_available().await;
    cluster.apply("default", READERS).await;
    (cluster, plimsoll)
}

async fn becomes(visitor: &Visitor, path: &str, code: u16) -> Duration {
    let started = Instant::now();
    eventually(&format!("{path} is {code}"), || visitor.get(path), |answer| answer.0 == code).await;
    started.elapsed()
}

/// Claims of the account `reader`, which are good until so many seconds from now.
async fn claims(cluster: &ControlPlane, until: i64) -> Value {
    let account = cluster.get("plimsoll-system", "v1/ServiceAccount", "reader").await;
    let now = Clock::system().now().0 / 1000;
    let issuer = "https://kubernetes.default.svc";
    json!({
        "iss": issuer, "aud": [issuer], "sub": "system:serviceaccount:plimsoll-system:reader",
        "iat": now - 7200, "nbf": now - 7200, "exp": now + until, "jti": "b2a1c3d4-0000-4000-8000-000000000001",
        "kubernetes.io": {
            "namespace": "plimsoll-system",
            "serviceaccount": {"name": "reader", "uid": text(&account["metadata"]["uid"])},
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_ask_meets_what_the_cluster_allows() {
    let (cluster, plimsoll) = scene().await;
    let address = plimsoll.address;
    let visitor = |certificate: Option<&str>| Visitor::new(address, certificate);
    let forged = |visitor: Visitor| visitor.with("X-Remote-User", "root").with("X-Remote-Group", "system:masters");
    let forbidden = |user: &str, path: &str| format!("forbidden: User \"{user}\" cannot get path \"{path}\"");

    // Nothing, and headers without the certificate that would make them good.
    for visitor in [visitor(None), forged(visitor(None))] {
        assert_eq!([visitor.code("/livez").await, visitor.code("/readyz").await], [200, 200]);
        for path in ["/metrics", "/status", "/status/targets", "/readyz/config", "/"] {
            assert_eq!(visitor.message(path).await, forbidden("system:anonymous", path));
        }
    }
    // An account to which nothing is bound may what every account may, which is none of the pages.
    cluster.kubectl(&["create", "serviceaccount", "unbound", "-n", "plimsoll-system"]).await;
    let unbound = cluster.kubectl(&["create", "token", "unbound", "-n", "plimsoll-system"]).await;
    let unbound = visitor(None).token(unbound.trim());
    for path in
        ["/metrics", "/status", "/status/targets", "/status.css", "/readyz/config", "/livez/ping", "/healthz/ping"]
    {
        let account = "system:serviceaccount:plimsoll-system:unbound";
        assert_eq!(unbound.message(path).await, forbidden(account, path));
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(unbound.code(path).await, 200, "{path}");
    }
    // Certificates that nobody believes, or not in this.
    let (stranger, other) = (ControlPlane::of_stranger("front-proxy-client"), cluster.of_front_proxy_ca("kubelet"));
    for (certificate, said) in [(&stranger, "is signed neither by"), (&other, "is not that of a front proxy")] {
        for visitor in [visitor(Some(certificate)), forged(visitor(Some(certificate)))] {
            let (code, body) = visitor.get("/metrics").await;
            assert!(code == 401 && body.contains(said), "{code} {body}");
        }
    }
    // Users with certificates; what they say of themselves in headers is nothing.
    let (alice, bob) = (cluster.of_user("alice", None), cluster.of_user("bob", None));
    let admin = cluster.of_user("front-proxy-client", Some("system:masters"));
    becomes(&visitor(Some(&alice)), "/metrics", 200).await;
    for visitor in [visitor(Some(&alice)), forged(visitor(Some(&alice)))] {
        assert_eq!([visitor.code("/metrics").await, visitor.code("/readyz/config").await], [200, 200]);
        assert_eq!(visitor.message("/status").await, forbidden("alice", "/status"));
        assert_eq!([visitor.code(LOAD).await, visitor.code(OTHER).await], [404, 403]);
    }
    assert_eq!(visitor(Some(&bob)).message("/metrics").await, forbidden("bob", "/metrics"));
    assert_eq!([visitor(Some(&admin)).code("/status").await, visitor(Some(&admin)).code(OTHER).await], [200, 404]);
    // Tokens: one that the cluster gives, and others as it would sign them.
    let given = cluster.kubectl(&["create", "token", "reader", "-n", "plimsoll-system"]).await;
    let account = "system:serviceaccount:plimsoll-system:reader";
    let good = cluster.token(&claims(&cluster, 600).await);
    for token in [given.trim(), &good] {
        let visitor = forged(visitor(None).token(token));
        assert_eq!([visitor.code("/metrics").await, visitor.code(LOAD).await], [200, 404]);
        assert_eq!(visitor.message("/status").await, forbidden(account, "/status"));
    }
    let expired = cluster.token(&claims(&cluster, -600).await);
    let mut damaged = given.trim().to_owned();
    damaged.replace_range(
        damaged.len() - 9..damaged.len() - 8,
        if damaged.as_bytes()[damaged.len() - 9] == b'A' { "B" } else { "A" },
    );
    for token in [expired.as_str(), &damaged, "junk"] {
        let (code, body) = visitor(None).token(token).get("/metrics").await;
        assert!(
            code == 401 && body.contains("the bearer token is none of this cluster, or has expired"),
            "{code} {body}"
        );
    }
    assert_eq!(visitor(Some(&stranger)).token(given.trim()).code("/metrics").await, 200);
    assert_eq!(visitor(Some(&bob)).token(given.trim()).message("/metrics").await, forbidden("bob", "/metrics"));
    assert!(!plimsoll.output().contains(given.trim()), "no token is in the log");
    // What is said of one who may not is what the API server says.
    for path in [LOAD, OTHER, JOBS, "/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/load"] {
        let theirs = cluster.try_kubectl(&["get", "--raw", path, "--as", "bob"]).await.expect_err("forbidden");
        let ours = cluster.front_proxy(address, "bob").message(path).await;
        assert_eq!(theirs.trim(), format!("Error from server (Forbidden): {ours}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_allowed_ends_soon_after_it_is_no_longer() {
    let (cluster, plimsoll) = scene().await;
    let alice = cluster.front_proxy(plimsoll.address, "alice");
    becomes(&alice, LOAD, 404).await;
    cluster.kubectl(&["delete", "clusterrolebinding", "metrics-reader"]).await;
    let spent = becomes(&alice, LOAD, 403).await;
    assert!(spent < Duration::from_secs(15), "{spent:?}");
    cluster.apply("default", READERS).await;
    let spent = becomes(&alice, LOAD, 404).await;
    assert!(spent < Duration::from_secs(15), "{spent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_api_server_nobody_is_let_in_whom_it_would_have_to_vouch_for() {
    let (cluster, plimsoll) = scene().await;
    let address = plimsoll.address;
    let alice = Visitor::new(address, Some(&cluster.of_user("alice", None)));
    let bob = Visitor::new(address, Some(&cluster.of_user("bob", None)));
    let token = Visitor::new(address, None).token(&cluster.token(&claims(&cluster, 600).await));
    becomes(&alice, "/metrics", 200).await;
    assert_eq!((token.code("/metrics").await, bob.code("/metrics").await), (200, 403));
    cluster.stop_apiserver();
    let stopped = Instant::now();
    assert_eq!(alice.code("/metrics").await, 200, "it was said a moment ago");
    becomes(&alice, "/metrics", 500).await;
    assert!(stopped.elapsed() < Duration::from_secs(30), "{:?}", stopped.elapsed());
    let said = alice.message("/metrics").await;
    let words = "cannot find out whether User \"alice\" may get path \"/metrics\": the kube-apiserver";
    assert!(said.contains(words), "{said}");
    assert_eq!(bob.code("/metrics").await, 500);
    let (code, body) = token.get("/metrics").await;
    assert!(code == 401 && body.contains("the bearer token cannot be judged: the kube-apiserver"), "{code} {body}");
    let anonymous = Visitor::new(address, None);
    assert_eq!([anonymous.code("/livez").await, anonymous.code("/readyz").await], [200, 200]);
    assert_eq!(anonymous.code("/metrics").await, 500);
    let masters = cluster.front_proxy(address, "root").with("X-Remote-Group", "system:masters");
    assert_eq!([masters.code("/status").await, masters.code(DISCOVERY).await], [200, 200]);
    let (_, ready) = masters.get("/readyz").await;
    assert!(ready.contains("[!]authorization degraded: ") && ready.contains("cannot be reached"), "{ready}");

    cluster.start_apiserver().await;
    for (visitor, code) in [(&alice, 200), (&token, 200), (&bob, 403), (&anonymous, 403)] {
        becomes(visitor, "/metrics", code).await;
    }
    let verbose = async || masters.get("/readyz?verbose").await.1;
    eventually("all is well", verbose, |said| said.contains("[+]authorization ok")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_of_the_front_proxy_is_taken_up_under_load_without_a_failed_request() {
    let (cluster, plimsoll) = scene().await;
    let load = Forwarded::start(&cluster);
    let before = cluster.front_proxy(plimsoll.address, "root").with("X-Remote-Group", "system:masters");
    assert_eq!(before.code(DISCOVERY).await, 200);
    let new = cluster.new_authority("front-proxy-ca-new");
    // As Kubernetes describes it: both are trusted, then the new one signs, then the old one goes.
    cluster.write_front_proxy_ca(&[cluster.front_proxy_ca(), &new]);
    in_force(&plimsoll, 2, 1).await;
    cluster.write_front_proxy(&new);
    let after = cluster.front_proxy(plimsoll.address, "root").with("X-Remote-Group", "system:masters");
    assert_eq!([before.code(DISCOVERY).await, after.code(DISCOVERY).await], [200, 200]);
    // The API server does not tell that it has read its certificate, and connects anew for what it forwards then.
    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.write_front_proxy_ca(&[&new]);
    // It keeps in the ConfigMap what other API servers may still trust, until somebody deletes that.
    let delete = ["delete", "configmap", "-n", "kube-system", "extension-apiserver-authentication"];
    let without_the_old = async || {
        cluster.kubectl(&[&delete[..], &["--ignore-not-found"]].concat()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        plimsoll.output().matches("\"front_proxy\":1,").count()
    };
    eventually("the old one is gone", without_the_old, |times| *times == 2).await;
    assert_eq!([before.code(DISCOVERY).await, after.code(DISCOVERY).await], [401, 200]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (forwarded, failures) = load.end().await;
    println!("the authority of the front proxy replaced: {forwarded} forwarded requests, {} failed", failures.len());
    assert_eq!(failures, [""; 0]);
    assert!(forwarded > 100, "{forwarded}");
}

/// Waits until this many authorities of front proxies are in force, said so at least so many times.
async fn in_force(plimsoll: &Certified, authorities: usize, times: usize) {
    let said = format!("\"front_proxy\":{authorities},");
    let count = async || plimsoll.output().matches(&said).count();
    eventually(&format!("{said} is in force"), count, |count| *count >= times).await;
}

/// Requests that the API server forwards, without a pause until the end.
struct Forwarded {
    tasks: tokio::task::JoinSet<()>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    answered: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

// === impl Forwarded ===

impl Forwarded {
    fn start(cluster: &Arc<ControlPlane>) -> Self {
        let (mut tasks, state) = (tokio::task::JoinSet::new(), Arc::new(State::default()));
        for _ in 0..2 {
            let (client, state) = (cluster.client(), state.clone());
            tasks.spawn(async move {
                while !state.is_over.load(Ordering::Relaxed) {
                    let request = hyper::Request::get(DISCOVERY).body(Vec::new()).expect("a request");
                    match client.request_text(request).await {
                        Ok(_) => drop(state.answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => state.failures.lock().expect("not poisoned").push(format!("{error:?}")),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        Self { tasks, state }
    }

    /// How many were answered, and what failed.
    async fn end(mut self) -> (u64, Vec<String>) {
        self.state.is_over.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        let failures = self.state.failures.lock().expect("not poisoned").clone();
        (self.state.answered.load(Ordering::Relaxed), failures)
    }
}
