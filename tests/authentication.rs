mod config_map;
mod trust;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router, middleware};
use plimsoll::clock::Clock;
use plimsoll::model::Timestamp;
use plimsoll::serving::authentication::{
    Anchors, Authentication, ClientTrust, Metrics, Refusal, RequestHeaderTrust, Tokens, Trust, User,
};
use plimsoll::serving::review::{self, Reviews};
use plimsoll::serving::{self, Certificate, Clients};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::kube_api::{KubeApi, Trouble};
use crate::harness::pki::{Authority, Leaf, Signed, data, data_with_clients};
use crate::harness::{Answer, CUSTOM, Plimsoll, config, eventually, install_crypto};

const ALLOWED: &str = r#"["front-proxy-client"]"#;
const ALICE: [(&str, &str); 2] = [("X-Remote-User", "alice"), ("X-Remote-Group", "staff")];

/// What the page tells of who has shown nothing.
const ANONYMOUS: &str = "system:anonymous  [\"system:unauthenticated\"] {} []";

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
    api: KubeApi,
}

// === impl Server ===

impl Server {
    /// It trusts this authority for the front proxy, and this one for users.
    async fn start(front_proxy: &Authority, clients: Option<&Authority>) -> Self {
        install_crypto();
        let certificate = Certificate::self_signed(Clock::system().now()).expect("a pair");
        let address = "127.0.0.1:0".parse().expect("an address");
        let listener = serving::bind(address, Clients::Authenticated).await.expect("a free port");
        let (trust, known) = watch::channel(trusting(front_proxy, clients));
        let (ahead, api) = (Arc::new(AtomicI64::new(0)), KubeApi::start().await);
        let server = Self {
            base: format!("https://{}", listener.address),
            certificate: certificate.pem.clone(),
            trust,
            ahead: ahead.clone(),
            api,
        };
        let clock = Clock::from_fn(move || Timestamp(now().0 + ahead.load(Ordering::Relaxed)));
        let router = router(known, clock, &server.api);
        tokio::spawn(async move {
            serving::serve(listener, &certificate, router, Duration::ZERO, CancellationToken::new()).await;
        });
        server
    }

    fn client(&self, version: Version, shown: Option<&Signed>) -> reqwest::Client {
        client(&self.certificate, version, shown)
    }

    /// Whom a request is found to be of, in short, or why it is refused.
    async fn found(&self, shown: Option<&Signed>, headers: &[(&str, &str)]) -> String {
        let answer = ask(&self.client(Version::Http2, shown), &format!("{}/apis", self.base), headers).await;
        match answer.code {
            200 => answer.body,
            code => format!("{code} {}", answer.body),
        }
    }
}

fn trusting(front_proxy: &Authority, clients: Option<&Authority>) -> Trust {
    let data = match clients {
        Some(clients) => data_with_clients(&front_proxy.pem(), ALLOWED, &clients.pem()),
        None => data(&front_proxy.pem(), ALLOWED),
    };
    let front_proxy = RequestHeaderTrust::read(&data).expect("a good ConfigMap");
    let clients = ClientTrust::read(&data).expect("a good ConfigMap").map(Arc::new);
    Trust { in_force: Arc::new(Anchors { front_proxy: Some(Arc::new(front_proxy)), clients }), trouble: None }
}

fn router(trust: watch::Receiver<Trust>, clock: Clock, api: &KubeApi) -> Router {
    let mut registry = Registry::default();
    let mut config = api.config();
    config.default_retry = false;
    let client = kube::Client::try_from(config).expect("a client");
    let reviews = Reviews::new(client, clock.clone(), review::Metrics::register(&mut registry));
    let answer = |refusal: Refusal| (StatusCode::UNAUTHORIZED, refusal.to_string()).into_response();
    let tokens = Tokens::new(reviews, clock.clone());
    let state = Authentication::new(trust, tokens, clock, Metrics::register(&mut registry), answer);
    let told = async |Extension(user): Extension<Arc<User>>, headers: HeaderMap| {
        let is_credential = |name: &String| name.contains("remote") || name == "authorization";
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).filter(is_credential).collect();
        names.sort_unstable();
        let uid = user.uid.as_deref().unwrap_or_default();
        format!("{} {uid} {:?} {:?} {names:?}", user.name, user.groups, user.extra)
    };
    let router = Router::new().route("/livez", get(told)).route("/apis", get(told));
    router.layer(middleware::from_fn_with_state(state, authenticated))
}

async fn authenticated(State(state): State<Authentication>, mut request: Request, next: Next) -> Response {
    let shown = state.take(&mut request);
    match state.find(shown).await {
        Ok(user) => {
            request.extensions_mut().insert(user);
            next.run(request).await
        }
        Err(refusal) => state.answer(refusal),
    }
}

#[tokio::test]
async fn the_front_proxy_says_for_whom_it_asks_and_its_headers_end_there() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
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
        let told = "alice 7 [\"a\", \"b,c\", \"system:authenticated\"] {\"example.org/scopes\": [\"1\", \"2\"]} \
                    [\"x-remote-other\"]";
        assert_eq!((answer.code, answer.body.as_str()), (200, told), "{version:?}");
        // Nobody else can say it, whatever the headers are.
        let answer = ask(&server.client(version, None), &format!("{}/livez", server.base), &ALICE).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, ANONYMOUS), "{version:?}");
    }
}

#[tokio::test]
async fn whom_to_believe_may_change_while_a_connection_lives() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = Server::start(&old, None).await;
    let url = format!("{}/apis", server.base);
    let shown = old.sign(&Leaf::client("front-proxy-client", now()));
    for version in [Version::Http1, Version::Http2] {
        let client = server.client(version, Some(&shown));
        server.trust.send_replace(trusting(&old, None));
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}");
        server.trust.send_replace(trusting(&new, None));
        let refused = ask(&client, &url, &ALICE).await;
        assert_eq!(refused.code, 401, "{version:?}");
        assert!(refused.body.contains("is signed neither by the requestheader CA"), "{refused:?}");
        server.trust.send_replace(Trust::default());
        let refused = ask(&client, &url, &ALICE).await;
        assert!(refused.code == 401 && refused.body.contains("are not known"), "{refused:?}");
        server.trust.send_replace(trusting(&old, None));
        assert_eq!(ask(&client, &url, &ALICE).await.code, 200, "{version:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_verified_again_after_ten_seconds_and_not_before() {
    const DAY: i64 = 24 * 3600 * 1000;
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
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
async fn a_user_has_the_names_of_its_certificate_and_no_others() {
    let (front_proxy, clients) = (Authority::new("front-proxy-ca"), Authority::new("kubernetes-ca"));
    let server = Server::start(&front_proxy, Some(&clients)).await;
    let leaf = Leaf { organization: Some("a b"), uid: Some("7"), ..Leaf::client("bob", now()) };
    let shown = clients.sign(&leaf);
    let id = ring::digest::digest(&ring::digest::SHA256, &shown.certificate);
    let id: String = id.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = format!("{{\"authentication.kubernetes.io/credential-id\": [\"X509SHA256={id}\"]}}");
    let told = format!("bob 7 [\"a b\", \"system:authenticated\"] {extra} []");
    assert_eq!(server.found(Some(&shown), &[]).await, told);
    // The identity headers of whoever is no front proxy are nothing.
    assert_eq!(server.found(Some(&shown), &ALICE).await, told);
    // Nor is a name that the front proxy has worth anything here, or a certificate of the other CA there.
    let named = clients.sign(&Leaf::client("front-proxy-client", now()));
    assert!(server.found(Some(&named), &ALICE).await.starts_with("front-proxy-client  [\"system:authenticated\"]"));
    let proxied = front_proxy.sign(&Leaf::client("bob", now()));
    let name = "401 the common name of the client certificate is not that of a front proxy";
    assert_eq!(server.found(Some(&proxied), &ALICE).await, name);
    assert_eq!(server.found(Some(&front_proxy.sign(&leaf)), &[]).await, name);
    let genuine = front_proxy.sign(&Leaf::client("front-proxy-client", now()));
    assert_eq!(server.found(Some(&genuine), &[]).await, "401 the front proxy names no user");
    assert_eq!(server.api.asked(), []);
}

#[tokio::test]
async fn a_certificate_of_a_user_that_is_not_good_is_refused() {
    let (front_proxy, clients) = (Authority::new("front-proxy-ca"), Authority::new("kubernetes-ca"));
    let server = Server::start(&front_proxy, Some(&clients)).await;
    let check = async |what: &str, leaf: Leaf<'_>, authority: &Authority, want: &str| {
        let found = server.found(Some(&authority.sign(&leaf)), &[]).await;
        assert!(found.starts_with("401") && found.contains(want), "{what}: {found}");
    };
    let leaf = || Leaf::client("bob", now());
    check("expired", Leaf { days: -9..-1, ..leaf() }, &clients, "has expired").await;
    check("not yet valid", Leaf { days: 1..9, ..leaf() }, &clients, "is not valid yet").await;
    check("for servers", Leaf { is_for_servers: true, ..leaf() }, &clients, "not meant for client").await;
    let (other, neither) = (Authority::new("kubernetes-ca"), "neither by the requestheader CA nor by the client CA");
    check("another CA of the same name", leaf(), &other, neither).await;
    check("an empty UID", Leaf { uid: Some(""), ..leaf() }, &clients, "cannot be verified").await;
    check("no name", Leaf::client("", now()), &clients, "has no common name").await;
}

#[tokio::test]
async fn who_shows_nothing_is_anonymous_and_who_shows_something_bad_is_nobody() {
    let (front_proxy, clients) = (Authority::new("front-proxy-ca"), Authority::new("kubernetes-ca"));
    let server = Server::start(&front_proxy, Some(&clients)).await;
    server.api.token("good", Some(json!({"username": "carol", "groups": ["staff"], "uid": "9"})));
    let carol = "carol 9 [\"staff\", \"system:authenticated\"] {} []";
    let (good, bad) = (("Authorization", "Bearer good"), ("Authorization", "Bearer bad"));
    assert_eq!(server.found(None, &[]).await, ANONYMOUS);
    assert_eq!(server.found(None, &ALICE).await, ANONYMOUS);
    assert_eq!(server.found(None, &[("Authorization", "Basic YTpi")]).await, ANONYMOUS);
    assert_eq!(server.found(None, &[good]).await, carol);
    assert_eq!(server.found(None, &[good, ALICE[0], ALICE[1]]).await, carol);
    let refused = "401 the bearer token is none of this cluster, or has expired";
    assert_eq!(server.found(None, &[bad]).await, refused);
    // One that is good is enough, and of two the certificate counts.
    let (stranger, bob) = (Authority::new("other"), clients.sign(&Leaf::client("bob", now())));
    let stranger = stranger.sign(&Leaf::client("bob", now()));
    assert_eq!(server.found(Some(&stranger), &[good]).await, carol);
    assert_eq!(server.found(Some(&stranger), &[bad]).await, refused);
    assert!(server.found(Some(&bob), &[bad]).await.starts_with("bob "));
    assert!(server.found(Some(&bob), &[good]).await.starts_with("bob "));
    let long = "x".repeat(15_000);
    assert!(server.found(None, &[("Authorization", &format!("Bearer {long}"))]).await.starts_with("401"));
    assert_eq!(server.api.asked().len(), 3, "good, bad and the long one");
}

#[tokio::test]
async fn a_front_proxy_that_names_nobody_asks_for_itself_where_it_is_a_user_too() {
    let shared = Authority::new("kubernetes-ca");
    let server = Server::start(&shared, Some(&shared)).await;
    let leaf = Leaf { organization: Some("proxies"), ..Leaf::client("front-proxy-client", now()) };
    let shown = shared.sign(&leaf);
    let itself = "front-proxy-client  [\"proxies\", \"system:authenticated\"]";
    let found = server.found(Some(&shown), &[]).await;
    assert!(found.starts_with(itself), "{found}");
    let found = server.found(Some(&shown), &ALICE).await;
    assert!(found.starts_with("alice  [\"staff\", \"system:authenticated\"]"), "{found}");
    // Whom it names in bytes that are not text is somebody else.
    let client = server.client(Version::Http2, Some(&shown));
    let name = reqwest::header::HeaderValue::from_bytes(b"\xff").expect("a value");
    let request = client.get(format!("{}/apis", server.base)).header("X-Remote-User", name);
    assert_eq!(request.send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn whoever_asks_how_it_is_with_a_token_has_nobody_asked_whose_it_is() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
    server.api.token("good", Some(json!({"username": "carol"})));
    let client = server.client(Version::Http2, None);
    let long = format!("Bearer {}", "x".repeat(17_000));
    for token in ["Bearer good", "Bearer bad", &long] {
        let answer = ask(&client, &format!("{}/livez", server.base), &[("Authorization", token)]).await;
        assert_eq!((answer.code, answer.body.as_str()), (200, ANONYMOUS));
    }
    assert_eq!(server.api.asked(), []);
}

#[tokio::test]
async fn a_token_is_looked_up_once_in_ten_seconds_be_it_good_or_bad() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
    server.api.token("good", Some(json!({"username": "carol"})));
    let (good, bad) = ([("Authorization", "Bearer good")], [("Authorization", "Bearer bad")]);
    let client = server.client(Version::Http2, None);
    let url = format!("{}/apis", server.base);
    let codes = async || [ask(&client, &url, &good).await.code, ask(&client, &url, &bad).await.code];
    assert_eq!(codes().await, [200, 401]);
    server.api.token("good", None);
    server.api.token("bad", Some(json!({"username": "carol"})));
    server.ahead.fetch_add(8_000, Ordering::Relaxed);
    assert_eq!((codes().await, server.api.asked().len()), ([200, 401], 2));
    server.ahead.fetch_add(2_000, Ordering::Relaxed);
    assert_eq!((codes().await, server.api.asked().len()), ([401, 200], 2));
}

#[tokio::test]
async fn many_requests_with_one_token_are_one_review() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
    server.api.token("good", Some(json!({"username": "carol"})));
    let client = server.client(Version::Http2, None);
    let url = format!("{}/apis", server.base);
    let all = (0..200).map(|_| async { ask(&client, &url, &[("Authorization", "Bearer good")]).await.code });
    let codes = futures::future::join_all(all).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    assert_eq!(server.api.asked(), [("tokenreviews", json!({"token": "good"}))]);
}

#[tokio::test]
async fn what_the_kube_apiserver_does_not_say_is_asked_again_and_then_refused_and_not_remembered() {
    let authority = Authority::new("front-proxy-ca");
    let mut server = Server::start(&authority, None).await;
    server.api.token("good", Some(json!({"username": "carol"})));
    let found = async |server: &Server| server.found(None, &[("Authorization", "Bearer good")]).await;
    let cannot = "401 the bearer token cannot be judged: the kube-apiserver ";
    for (trouble, said) in [
        (Trouble::Code(403), "does not let Plimsoll ask; bind the ClusterRole system:auth-delegator to its account"),
        (Trouble::Code(422), "does not take it, with code 422"),
        (Trouble::Garbage, "answers something else"),
    ] {
        server.api.trouble(trouble, 1);
        assert_eq!(found(&server).await, format!("{cannot}{said}"), "{trouble:?}");
        assert_eq!(server.api.asked().len(), 1, "{trouble:?} is not asked again");
    }
    for code in [500, 429, 503, 504] {
        server.api.trouble(Trouble::Code(code), 1);
        assert!(found(&server).await.starts_with("carol "), "{code}");
        assert_eq!(server.api.asked().len(), 2, "{code} is asked again");
        server.ahead.fetch_add(10_000, Ordering::Relaxed);
    }
    server.api.trouble(Trouble::Code(500), u32::MAX);
    assert_eq!(found(&server).await, format!("{cannot}does not take it, with code 500"));
    assert_eq!(server.api.asked().len(), 5);
    server.api.go();
    assert_eq!(found(&server).await, format!("{cannot}cannot be reached"));
    server.api.no_trouble();
    server.api.come().await;
    assert!(found(&server).await.starts_with("carol "));
}

#[tokio::test]
async fn a_kube_apiserver_that_never_answers_holds_no_request_for_long() {
    let authority = Authority::new("front-proxy-ca");
    let server = Server::start(&authority, None).await;
    server.api.trouble(Trouble::Silence, u32::MAX);
    let started = std::time::Instant::now();
    let url = format!("{}/apis", server.base);
    // More different tokens than may wait at a time, over more connections than have room for one another's requests.
    let clients: Vec<_> = (0..6).map(|_| server.client(Version::Http2, None)).collect();
    let ask = async |i: usize| {
        let answer = ask(&clients[i % 6], &url, &[("Authorization", &*format!("Bearer {i}"))]).await;
        (answer.code, answer.body.contains("too many others"), answer.body.contains("does not answer in time"))
    };
    let asked = async {
        // A try lasts ten seconds, so those of the first two are at one time.
        eventually(async || server.api.asked().len(), |asked| *asked > 0).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.api.asked().len()
    };
    let (all, asked) = tokio::join!(futures::future::join_all((0..600).map(ask)), asked);
    let turned_away = all.iter().filter(|answer| **answer == (401, true, false)).count();
    let late = all.iter().filter(|answer| **answer == (401, false, true)).count();
    assert_eq!(turned_away + late, 600, "{all:?}");
    assert!(turned_away > 0 && started.elapsed() < Duration::from_secs(45), "{turned_away} {:?}", started.elapsed());
    assert!((1..=16).contains(&asked), "{asked} at a time");
}

#[tokio::test]
async fn in_a_cluster_each_request_is_of_somebody_or_refused() {
    let (ours, other) = (Authority::new("front-proxy-ca"), Authority::new("front-proxy-ca"));
    let clients = Authority::new("kubernetes-ca");
    let api = KubeApi::start().await;
    api.permit("alice", "*");
    api.write(Some(data_with_clients(&ours.pem(), ALLOWED, &clients.pem())));
    let plimsoll = Plimsoll::start_in(config(NO_TARGETS), None, Some(api.config())).await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    let certificate = plimsoll.certificate_pem.as_str();
    let good = ours.sign(&Leaf::client("front-proxy-client", now()));
    let alice = clients.sign(&Leaf::client("alice", now()));
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
                    assert!(![401, 403].contains(&answer.code), "{version:?} {path}: {answer:?}");
                    continue;
                }
                let (code, reason) =
                    if want.starts_with("forbidden") { (403, "Forbidden") } else { (401, "Unauthorized") };
                assert_eq!(answer.code, code, "{version:?} {path}: {answer:?}");
                let status = answer.json();
                assert_eq!((&status["kind"], &status["reason"]), (&"Status".into(), &reason.into()));
                assert_eq!(answer.message(), want.replace("PATH", path), "{version:?} {path}");
                assert_eq!(answer.header("content-type"), "application/json");
            }
        };
        check(Some(&good), &ALICE, "").await;
        check(Some(&alice), &[], "").await;
        let anonymous = "forbidden: User \"system:anonymous\" cannot get path \"PATH\"";
        check(None, &[], anonymous).await;
        check(None, &[("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")], anonymous).await;
        check(Some(&good), &[("X-Remote-Group", "staff")], "Unauthorized: the front proxy names no user").await;
        let name = "Unauthorized: the common name of the client certificate is not that of a front proxy";
        check(Some(&other_name), &ALICE, name).await;
        check(Some(&expired), &ALICE, "Unauthorized: the client certificate has expired").await;
        let purpose = "Unauthorized: the client certificate is not meant for client authentication";
        check(Some(&for_servers), &ALICE, purpose).await;
        let issuer = "Unauthorized: the client certificate is signed neither by the requestheader CA nor by the client \
                      CA of the cluster";
        check(Some(&other_ca), &ALICE, issuer).await;
        check(
            None,
            &[("Authorization", "Bearer x")],
            "Unauthorized: the bearer token is none of this cluster, or has expired",
        )
        .await;
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(plimsoll.get(path).await.code, 200, "{path}");
    }
    let page =
        ask(&client(certificate, Version::Http2, Some(&alice)), &format!("{}/metrics", plimsoll.base), &[]).await.body;
    for result in
        ["front_proxy", "certificate", "anonymous", "name_refused", "certificate_refused", "no_user", "token_refused"]
    {
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
    api.permit("alice", "*");
    api.write(Some(data(&authority.pem(), ALLOWED)));
    let plimsoll = Plimsoll::start_in(config(NO_TARGETS), None, Some(api.config())).await;
    let shown = authority.sign(&Leaf::client("front-proxy-client", now()));
    let client = client(&plimsoll.certificate_pem, Version::Http2, Some(&shown));
    let get = async |path: &str| ask(&client, &format!("{}{path}", plimsoll.base), &ALICE).await;
    let refused = get("/apis").await;
    assert!(refused.code == 401 && refused.message().contains("are not known"), "{refused:?}");
    let not_ready = plimsoll.get("/readyz").await;
    assert_eq!(not_ready.code, 500);
    assert!(not_ready.body.contains("[-]authentication failed: reason withheld"), "{not_ready:?}");
    let undecided = plimsoll.get("/metrics").await;
    let words = "Internal error occurred: cannot find out whether User \"system:anonymous\" may get path \"/metrics\": \
                 the kube-apiserver cannot be reached";
    assert_eq!((undecided.code, undecided.message().as_str()), (500, words));
    api.come().await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    assert_eq!(get("/apis").await.code, 200);
    api.write(None);
    let degraded = eventually(|| get("/readyz"), |answer| answer.body.contains("does not exist")).await;
    assert_eq!(degraded.code, 200, "{degraded:?}");
    assert!(degraded.body.contains("the last good requestheader CA stays in force"), "{degraded:?}");
    assert_eq!(get("/apis").await.code, 200);
    plimsoll.stop().await;
}
