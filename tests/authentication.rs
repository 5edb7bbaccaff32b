mod config_map;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router, middleware};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use plimsoll::clock::Clock;
use plimsoll::model::Timestamp;
use plimsoll::serving::authentication::{Authentication, Metrics, Peer, RequestHeaderTrust, Trust, User, authenticate};
use plimsoll::serving::{self, Certificate, Clients};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::kube_api::KubeApi;
use crate::harness::pki::{Authority, Leaf, Signed, data};
use crate::harness::{Answer, CUSTOM, Plimsoll, config, eventually, install_crypto};

const ALLOWED: &str = r#"["front-proxy-client"]"#;
const ALICE: [(&str, &str); 2] = [("X-Remote-User", "alice"), ("X-Remote-Group", "staff")];

const NO_TARGETS: &str = "scrape_configs: [{job_name: none, file_sd_configs: [{files: [none.yaml]}]}]
metrics: [{name: load, gauge: {series: load, combine: sum}}]";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    Http1,
    Http2,
}

fn now() -> Timestamp {
    Clock::system().now()
}

/// A client with the certificate or without one.
fn client(server_certificate: &str, version: Version, shown: Option<&Signed>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(server_certificate.as_bytes()).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
    let builder = if version == Version::Http1 { builder.http1_only() } else { builder };
    let identity = shown.map(|shown| reqwest::Identity::from_pem(shown.pem.as_bytes()).expect("an identity"));
    identity.into_iter().fold(builder, reqwest::ClientBuilder::identity).build().expect("a client")
}

async fn ask(client: &reqwest::Client, url: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(client.get(url), |request, (name, value)| request.header(*name, *value));
    Answer::of(request.send().await.expect("an answer")).await
}

/// The listener with its authentication, in front of a page that says what it gets.
struct Server {
    base: String,
    certificate: String,
    trust: watch::Sender<Trust>,
    ahead: Arc<AtomicI64>,
}

// === impl Server ===

impl Server {
    async fn start(authority: &Authority) -> Self {
        install_crypto();
        let certificate = Certificate::self_signed().expect("a pair");
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = serving::bind(address, Clients::Authenticated).await.expect("a free port");
        let (trust, known) = watch::channel(trusting(authority));
        let ahead = Arc::new(AtomicI64::new(0));
        let server = Self {
            base: format!("https://{}", listener.address),
            certificate: certificate.pem.clone(),
            trust,
            ahead: ahead.clone(),
        };
        let router = router(known, Clock::from_fn(move || Timestamp(now().0 + ahead.load(Ordering::Relaxed))));
        tokio::spawn(async move {
            serving::serve(listener, &certificate, router, Duration::ZERO, CancellationToken::new()).await;
        });
        server
    }

    fn client(&self, version: Version, shown: Option<&Signed>) -> reqwest::Client {
        client(&self.certificate, version, shown)
    }
}

fn trusting(authority: &Authority) -> Trust {
    let trust = RequestHeaderTrust::read(&data(&authority.pem(), ALLOWED)).expect("a good ConfigMap");
    Trust { in_force: Some(Arc::new(trust)), trouble: None }
}

fn router(trust: watch::Receiver<Trust>, clock: Clock) -> Router {
    let metrics = Metrics::register(&mut Registry::default());
    let answer = |refusal: plimsoll::serving::authentication::Refusal| {
        (StatusCode::UNAUTHORIZED, refusal.to_string()).into_response()
    };
    let state = Authentication { trust, clock, metrics, answer };
    let told = async |user: Option<Extension<User>>, headers: HeaderMap| {
        let mut names: Vec<_> =
            headers.keys().map(ToString::to_string).filter(|name| name.contains("remote")).collect();
        names.sort_unstable();
        format!("{:?} {names:?}", user.map(|Extension(user)| user))
    };
    let router = Router::new().route("/livez", get(told)).route("/metrics", get(told)).route("/apis", get(told));
    router.layer(middleware::from_fn_with_state(state, authenticate))
}

#[tokio::test]
async fn the_front_proxy_says_for_whom_it_asks_and_its_headers_end_there() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority).await;
    let shown = authority.sign(&Leaf::client("front-proxy-client", now()));
    for version in [Version::Http1, Version::Http2] {
        let headers = [
            ("X-Remote-User", "alice"),
            ("X-Remote-Group", "a"),
            ("X-Remote-Group", "b,c"),
            ("X-Remote-Uid", "7"),
            ("X-Remote-Extra-Example.org%2fScopes", "1"),
            ("X-Remote-Extra-Example.org%2fScopes", "2"),
            ("X-Remote-Other", "stays"),
        ];
        let answer = ask(&server.client(version, Some(&shown)), &format!("{}/apis", server.base), &headers).await;
        let user = User {
            name: "alice".into(),
            uid: Some("7".into()),
            groups: vec!["a".into(), "b,c".into(), "system:authenticated".into()],
            extra: [("example.org/scopes".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
        };
        let told = format!("{:?} {:?}", Some(user), ["x-remote-other"]);
        assert_eq!((answer.code, answer.body), (200, told), "{version:?}");
        // A page that needs no user is told of none, whatever the headers say.
        let answer = ask(&server.client(version, None), &format!("{}/livez", server.base), &ALICE).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, "None []"), "{version:?}");
    }
}

#[tokio::test]
async fn whom_to_believe_may_change_while_a_connection_lives() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = Server::start(&old).await;
    let url = format!("{}/apis", server.base);
    let shown = old.sign(&Leaf::client("front-proxy-client", now()));
    for version in [Version::Http1, Version::Http2] {
        let client = server.client(version, Some(&shown));
        server.trust.send_replace(trusting(&old));
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}");
        server.trust.send_replace(trusting(&new));
        let refused = ask(&client, &url, &ALICE).await;
        assert_eq!(refused.code, 401, "{version:?}");
        assert!(refused.body.contains("is not signed by the requestheader CA"), "{refused:?}");
        server.trust.send_replace(Trust::default());
        let refused = ask(&client, &url, &ALICE).await;
        assert!(refused.code == 401 && refused.body.contains("is not known"), "{refused:?}");
        server.trust.send_replace(trusting(&old));
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_verified_again_after_ten_seconds_and_not_before() {
    const DAY: i64 = 24 * 3600 * 1000;
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority).await;
    let url = format!("{}/apis", server.base);
    let shown = authority.sign(&Leaf { days: -1..1, ..Leaf::client("front-proxy-client", now()) });
    for version in [Version::Http1, Version::Http2] {
        let client = server.client(version, Some(&shown));
        server.ahead.store(DAY - 6_000, Ordering::Relaxed);
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}");
        server.ahead.store(DAY + 2_000, Ordering::Relaxed);
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}: found {} s ago", 8);
        server.ahead.store(DAY + 5_000, Ordering::Relaxed);
        let refused = ask(&client, &url, &ALICE).await;
        assert!(refused.code == 401 && refused.body.contains("has expired"), "{version:?}: {refused:?}");
    }
}

#[tokio::test]
async fn own_pages_are_for_this_machine_only() {
    let (_trust, known) = watch::channel(Trust::default());
    let router = router(known, Clock::system());
    let code = async |peer: &str, path: &str| {
        let peer: SocketAddr = peer.parse().expect("an address");
        let request = Request::get(path).extension(Peer::new(peer, Vec::new())).body(axum::body::Body::empty());
        let service = TowerToHyperService::new(router.clone());
        service.call(request.expect("a request")).await.expect("an answer").status().as_u16()
    };
    for peer in ["127.0.0.1:9", "127.8.9.10:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
        assert_eq!((code(peer, "/metrics").await, code(peer, "/apis").await), (200, 401), "{peer}");
    }
    for peer in ["10.0.0.7:9", "[fe80::1]:9", "[::ffff:10.0.0.7]:9", "0.0.0.0:9"] {
        assert_eq!((code(peer, "/metrics").await, code(peer, "/livez").await), (401, 200), "{peer}");
    }
}

#[tokio::test]
async fn in_a_cluster_only_the_front_proxy_is_answered() {
    let (ours, other) = (Authority::new("front-proxy-ca"), Authority::new("front-proxy-ca"));
    let api = KubeApi::start().await;
    api.write(Some(data(&ours.pem(), ALLOWED)));
    let plimsoll = Plimsoll::start_in(config(NO_TARGETS), None, Some(api.config())).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    let certificate = plimsoll.certificate_pem.as_str();
    let good = ours.sign(&Leaf::client("front-proxy-client", now()));
    let other_name = ours.sign(&Leaf::client("kubelet", now()));
    let expired = ours.sign(&Leaf { days: -9..-1, ..Leaf::client("front-proxy-client", now()) });
    let for_servers = ours.sign(&Leaf { is_for_servers: true, ..Leaf::client("front-proxy-client", now()) });
    let other_ca = other.sign(&Leaf::client("front-proxy-client", now()));
    for version in [Version::Http1, Version::Http2] {
        let check = async |shown: Option<&Signed>, headers: &[(&str, &str)], want: &str| {
            let client = client(certificate, version, shown);
            for path in ["/apis", CUSTOM, "/", "/version", "/openapi/v3", "/nowhere"] {
                let answer = ask(&client, &format!("{}{path}", plimsoll.base), headers).await;
                if want.is_empty() {
                    assert_ne!(answer.code, 401, "{version:?} {path}: {answer:?}");
                    continue;
                }
                assert_eq!(answer.code, 401, "{version:?} {path}: {answer:?}");
                let status = answer.json();
                assert_eq!((&status["kind"], &status["reason"]), (&"Status".into(), &"Unauthorized".into()));
                assert_eq!(answer.message(), format!("Unauthorized: {want}"), "{version:?} {path}");
                assert_eq!(answer.header("content-type"), "application/json");
            }
        };
        check(Some(&good), &ALICE, "").await;
        let none = "a client certificate of the front proxy is needed; ask through the kube-apiserver";
        check(None, &[], none).await;
        check(None, &[("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")], none).await;
        check(Some(&good), &[("X-Remote-Group", "staff")], "the front proxy names no user").await;
        let name = "the common name of the client certificate is not that of a front proxy";
        check(Some(&other_name), &ALICE, name).await;
        check(Some(&expired), &ALICE, "the client certificate has expired").await;
        check(Some(&for_servers), &ALICE, "the client certificate is not meant for client authentication").await;
        let issuer = "the client certificate is not signed by the requestheader CA of the cluster";
        check(Some(&other_ca), &ALICE, issuer).await;
    }
    for path in ["/livez", "/readyz", "/healthz", "/metrics", "/status", "/api/v1/targets"] {
        assert_eq!(plimsoll.get(path).await.code, 200, "{path}");
    }
    let page = plimsoll.get("/metrics").await.body;
    for result in ["authenticated", "no_certificate", "name_refused", "certificate_refused", "no_user"] {
        let line = format!("plimsoll_authentication_requests_total{{result=\"{result}\"}} ");
        let value = page.lines().find_map(|found| found.strip_prefix(&line)).expect(result);
        assert_ne!(value, "0", "{result}");
    }
    let since = |name: &str| {
        let name = format!("plimsoll_authentication_trust_last_{name}_timestamp_seconds");
        let line = page.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name}: {page}"));
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    assert!(since("update") > 1.7e9 && since("confirmation") >= since("update"));
    plimsoll.stop().await;
}

#[tokio::test]
async fn it_starts_without_the_kube_apiserver_and_is_ready_when_that_comes() {
    let authority = Authority::new("front-proxy-ca");
    let mut api = KubeApi::away();
    api.write(Some(data(&authority.pem(), ALLOWED)));
    let plimsoll = Plimsoll::start_in(config(NO_TARGETS), None, Some(api.config())).await;
    let shown = authority.sign(&Leaf::client("front-proxy-client", now()));
    let client = client(&plimsoll.certificate_pem, Version::Http2, Some(&shown));
    let url = format!("{}/apis", plimsoll.base);
    let refused = ask(&client, &url, &ALICE).await;
    assert!(refused.code == 401 && refused.message().contains("is not known"), "{refused:?}");
    let not_ready = eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("Connection refused")).await;
    assert_eq!(not_ready.code, 503);
    assert!(not_ready.body.contains("[-]authentication failed: ConfigMap kube-system/"), "{not_ready:?}");
    assert!(not_ready.body.contains("nobody is trusted"), "{not_ready:?}");
    let page = plimsoll.get("/metrics").await.body;
    assert!(!page.contains("\nplimsoll_authentication_trust_last_update_timestamp_seconds"), "{page}");
    api.come().await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    assert_eq!(ask(&client, &url, &ALICE).await.code, 200);
    api.write(None);
    let degraded = eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains("does not exist")).await;
    assert_eq!(degraded.code, 200, "{degraded:?}");
    assert!(degraded.body.contains("the last good requestheader CA stays in force"), "{degraded:?}");
    assert_eq!(ask(&client, &url, &ALICE).await.code, 200);
    plimsoll.stop().await;
}
