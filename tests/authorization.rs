use plimsoll::clock::Clock;
use serde_json::json;

use crate::harness::kube_api::{KubeApi, Trouble};
use crate::harness::pki::{Authority, Leaf, data, data_with_clients};
use crate::harness::{Answer, CUSTOM, EXTERNAL, Plimsoll, config, eventually};

const CONFIG: &str = "scrape_configs: [{job_name: none, file_sd_configs: [{files: [none.yaml]}]}]
metrics: [{name: load, gauge: {series: load, combine: sum}}]";

/// Everything that is no API.
const PAGES: [&str; 9] = [
    "/",
    "/metrics",
    "/status",
    "/status.css",
    "/status/targets",
    "/version",
    "/openapi/v3",
    "/readyz/config",
    "/livez/",
];

/// Plimsoll in a scripted cluster, and its front proxy.
struct Scene {
    plimsoll: Plimsoll,
    api: KubeApi,
    proxy: reqwest::Client,
}

// === impl Scene ===

impl Scene {
    async fn start() -> Self {
        let (authority, api) = (Authority::new("front-proxy-ca"), KubeApi::start().await);
        api.write(Some(data(&authority.pem(), r#"["front-proxy-client"]"#)));
        let plimsoll = Plimsoll::start_in(config(CONFIG), None, Some(api.config())).await;
        eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
        let shown = authority.sign(&Leaf::client("front-proxy-client", Clock::system().now()));
        let root = reqwest::Certificate::from_pem(plimsoll.certificate_pem.as_bytes()).expect("a certificate");
        let identity = reqwest::Identity::from_pem(shown.pem.as_bytes()).expect("an identity");
        let builder = reqwest::Client::builder().tls_certs_only([root]).identity(identity).no_proxy();
        Self { plimsoll, api, proxy: builder.build().expect("a client") }
    }

    /// What the front proxy gets for a user, who may have a group too.
    async fn ask(&self, user: &str, path: &str) -> Answer {
        let (name, group) = user.split_once('@').unwrap_or((user, "staff"));
        let request = self.proxy.get(format!("{}{path}", self.plimsoll.base));
        let request = request.header("X-Remote-User", name).header("X-Remote-Group", group);
        Answer::of(request.send().await.expect("an answer")).await
    }

    async fn code(&self, user: &str, path: &str) -> u16 {
        self.ask(user, path).await.code
    }

    /// The value of an own metric.
    async fn metric(&self, series: &str) -> f64 {
        let page = self.ask("root@system:masters", "/metrics").await.body;
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series} is not in {page}")).trim().parse().expect("a number")
    }
}

fn pods() -> String {
    format!("{CUSTOM}/namespaces/agents/pods/%2A/load")
}

#[tokio::test]
async fn what_nobody_has_allowed_is_forbidden_in_the_words_of_kubernetes() {
    let scene = Scene::start().await;
    let answer = scene.ask("u", &pods()).await;
    let message = "pods.custom.metrics.k8s.io \"*\" is forbidden: User \"u\" cannot get resource \"pods/load\" in API group \
                   \"custom.metrics.k8s.io\" in the namespace \"agents\"";
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "Forbidden", "details": {"name": "*", "group": "custom.metrics.k8s.io", "kind": "pods"}, "code": 403,
    });
    assert_eq!((answer.code, answer.body.trim_end().to_owned()), (403, status.to_string()));
    assert_eq!(answer.header("content-type"), "application/json");
    let answer = scene.ask("u", &format!("{EXTERNAL}/namespaces/agents/jobs")).await;
    let message = "jobs.external.metrics.k8s.io is forbidden: User \"u\" cannot list resource \"jobs\" in API group \
                   \"external.metrics.k8s.io\" in the namespace \"agents\"";
    assert_eq!((answer.code, answer.message().as_str()), (403, message));
    for path in PAGES {
        let answer = scene.ask("u", path).await;
        let message = format!("forbidden: User \"u\" cannot get path \"{path}\"");
        assert_eq!((answer.code, answer.message()), (403, message));
        assert_eq!(answer.json()["details"], json!({}), "{path}");
        assert_eq!(scene.plimsoll.get(path).await.code, 403, "{path} for who shows nothing");
    }
    let post = scene.plimsoll.http.post(format!("{}{}", scene.plimsoll.base, pods()));
    let answer = Answer::of(post.send().await.expect("an answer")).await;
    assert!(answer.code == 403 && answer.message().contains("cannot create resource"), "{answer:?}");
}

#[tokio::test]
async fn what_is_allowed_is_that_and_nothing_more() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "get pods/load");
    scene.api.permit("alice", "list load");
    scene.api.permit("alice", "get /metrics");
    scene.api.permit("system:anonymous", "get /version");
    for (path, code) in [
        (pods(), 404),
        (format!("{EXTERNAL}/namespaces/agents/load"), 404),
        ("/metrics".into(), 200),
        ("/metrics/".into(), 403),
        ("/status".into(), 403),
        ("/version".into(), 403),
        (format!("{CUSTOM}/namespaces/agents/pods/%2A/other"), 403),
        (format!("{CUSTOM}/namespaces/agents/pods%2Fload/a/b"), 403),
        (format!("{CUSTOM}/namespaces/agents/services/a/load"), 403),
    ] {
        assert_eq!(scene.code("alice", &path).await, code, "{path}");
    }
    assert_eq!(scene.plimsoll.get("/version").await.code, 200);
    assert_eq!(scene.plimsoll.get("/metrics").await.code, 403);
}

#[tokio::test]
async fn the_question_has_the_whole_user_and_the_whole_request() {
    let scene = Scene::start().await;
    scene.api.asked();
    let request =
        scene.proxy.get(format!("{}{EXTERNAL}/namespaces/agents/jobs?labelSelector=queue%3Da", scene.plimsoll.base));
    let request = request.header("X-Remote-User", "u").header("X-Remote-Group", "a").header("X-Remote-Group", "b");
    let request = request.header("X-Remote-Uid", "7").header("X-Remote-Extra-Scopes", "s");
    assert_eq!(request.send().await.expect("an answer").status(), 403);
    let spec = json!({
        "user": "u", "uid": "7", "groups": ["a", "b", "system:authenticated"], "extra": {"scopes": ["s"]},
        "resourceAttributes": {
            "group": "external.metrics.k8s.io", "version": "v1beta1", "namespace": "agents", "verb": "list",
            "resource": "jobs",
            "labelSelector": {"requirements": [{"key": "queue", "operator": "In", "values": ["a"]}]},
        },
    });
    assert_eq!(scene.api.asked(), [("subjectaccessreviews", spec)]);
}

#[tokio::test]
async fn masters_may_do_anything_and_anybody_may_ask_how_it_is_and_nobody_is_asked() {
    let mut scene = Scene::start().await;
    scene.api.asked();
    scene.api.go();
    for path in PAGES.into_iter().chain(["/apis", CUSTOM]) {
        assert_eq!(scene.code("root@system:masters", path).await, 200, "{path}");
    }
    assert_eq!(scene.code("root@system:masters", &pods()).await, 404);
    for path in ["/livez", "/readyz", "/healthz", "/livez?verbose"] {
        assert_eq!(scene.plimsoll.get(path).await.code, 200, "{path}");
        assert_eq!(scene.code("u", path).await, 200, "{path}");
        let head = scene.plimsoll.http.head(format!("{}{path}", scene.plimsoll.base));
        assert_eq!(head.send().await.expect("an answer").status(), 200, "{path}");
    }
    assert_eq!(scene.api.asked(), []);
}

#[tokio::test]
async fn a_decision_holds_for_ten_seconds_be_it_yes_or_no() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "get /metrics");
    scene.api.asked();
    let codes = async || [scene.code("alice", "/metrics").await, scene.code("bob", "/metrics").await];
    assert_eq!((codes().await, scene.api.asked().len()), ([200, 403], 2));
    scene.api.revoke("alice", "get /metrics");
    scene.api.permit("bob", "get /metrics");
    scene.plimsoll.advance(std::time::Duration::from_secs(8));
    assert_eq!((codes().await, scene.api.asked().len()), ([200, 403], 0));
    scene.plimsoll.advance(std::time::Duration::from_secs(2));
    assert_eq!((codes().await, scene.api.asked().len()), ([403, 200], 2));
    let hits = r#"plimsoll_review_cache_requests_total{resource="subjectaccessreviews",result="hit"}"#;
    assert_eq!(scene.metric(hits).await, 2.0);
    for (result, count) in [("allowed", 3.0), ("denied", 3.0), ("undecided", 0.0)] {
        let series = format!("plimsoll_authorization_requests_total{{result=\"{result}\"}}");
        assert_eq!(scene.metric(&series).await, count, "{result}");
    }
}

#[tokio::test]
async fn another_user_group_or_request_is_another_decision() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "*");
    scene.api.asked();
    for (user, path) in [
        ("alice", "/metrics"),
        ("alice@other", "/metrics"),
        ("alice", "/status"),
        ("bob", "/metrics"),
        ("al", "/metrics"),
    ] {
        let code = if user.starts_with("alice") { 200 } else { 403 };
        assert_eq!((scene.code(user, path).await, scene.api.asked().len()), (code, 1), "{user} {path}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_500_and_not_remembered() {
    let mut scene = Scene::start().await;
    scene.api.permit("alice", "*");
    let cannot = "Internal error occurred: cannot find out whether User \"alice\" may get path \"/metrics\": the \
                  kube-apiserver ";
    for (trouble, said) in [
        (Trouble::Code(403), "does not let Plimsoll ask; bind the ClusterRole system:auth-delegator to its account"),
        (Trouble::Garbage, "answers something else"),
    ] {
        scene.api.trouble(trouble, 1);
        let answer = scene.ask("alice", "/metrics").await;
        assert_eq!((answer.code, answer.message()), (500, format!("{cannot}{said}")), "{trouble:?}");
        assert_eq!(answer.json()["reason"], "InternalError");
        let ready = scene.ask("root@system:masters", "/readyz").await;
        let line =
            format!("[!]authorization degraded: subjectaccessreviews are not answered: the kube-apiserver {said}\n");
        assert!(ready.code == 200 && ready.body.contains(&line), "{ready:?}");
        let withheld = scene.plimsoll.get("/readyz").await;
        assert!(withheld.body.contains("[!]authorization degraded: reason withheld\n"), "{withheld:?}");
    }
    scene.api.go();
    let answer = scene.ask("alice", "/metrics").await;
    assert_eq!((answer.code, answer.message()), (500, format!("{cannot}cannot be reached")));
    scene.api.come().await;
    assert_eq!(scene.code("alice", "/metrics").await, 200);
    let ready = scene.ask("root@system:masters", "/readyz?verbose").await;
    assert!(ready.body.contains("[+]authorization ok\n"), "{ready:?}");
    assert_eq!(scene.metric(r#"plimsoll_authorization_requests_total{result="undecided"}"#).await, 3.0);
    let retries = scene.metric(r#"plimsoll_review_retries_total{resource="subjectaccessreviews"}"#).await;
    assert_eq!(retries, 4.0);
}

#[tokio::test]
async fn a_question_that_the_kube_apiserver_does_not_take_is_trouble_of_nobody_else() {
    let scene = Scene::start().await;
    scene.api.trouble(Trouble::Code(400), 1);
    let answer = scene.ask("alice", "/metrics").await;
    assert!(answer.code == 500 && answer.message().ends_with("does not take it, with code 400"), "{answer:?}");
    let ready = scene.ask("root@system:masters", "/readyz?verbose").await;
    assert!(ready.body.contains("[+]authorization ok\n"), "{ready:?}");
}

#[tokio::test]
async fn trouble_with_tokens_is_not_ended_by_an_answer_of_another_kind() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "*");
    scene.api.trouble(Trouble::Code(403), 1);
    let url = format!("{}/metrics", scene.plimsoll.base);
    let request = scene.plimsoll.http.get(url).header("Authorization", "Bearer x");
    assert_eq!(request.send().await.expect("an answer").status(), 401);
    assert_eq!(scene.code("alice", "/metrics").await, 200);
    let ready = scene.ask("root@system:masters", "/readyz").await;
    assert!(ready.body.contains("[!]authorization degraded: tokenreviews are not answered: "), "{ready:?}");
}

#[tokio::test]
async fn a_token_tells_why_it_is_not_ready_only_with_permission_and_by_the_check() {
    let scene = Scene::start().await;
    scene.api.token("good", Some(json!({"username": "carol"})));
    scene.api.trouble(Trouble::Code(403), 1);
    assert_eq!(scene.code("alice", "/metrics").await, 500);
    let get = async |path: &str| {
        let request = scene.plimsoll.http.get(format!("{}{path}", scene.plimsoll.base));
        Answer::of(request.header("Authorization", "Bearer good").send().await.expect("an answer")).await
    };
    let withheld = get("/readyz").await;
    assert!(withheld.body.contains("[!]authorization degraded: reason withheld\n"), "{withheld:?}");
    assert_eq!(scene.api.asked().len(), 1, "that of alice");
    assert_eq!(get("/readyz/scrape").await.code, 403);
    scene.api.permit("carol", "get /readyz/authentication");
    assert_eq!(get("/readyz/authentication").await.code, 200);
}

#[tokio::test]
async fn a_field_selector_narrows_no_permission_to_external_metrics() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "list load");
    let path = format!("{EXTERNAL}/namespaces/agents/load");
    assert_eq!(scene.code("alice", &path).await, 404);
    for selector in ["metadata.name%3Dx", "metadata.namespace%21%3Dx", "metadata.name%3D%3Dload"] {
        let answer = scene.ask("alice", &format!("{path}?fieldSelector={selector}")).await;
        let said = "external metrics have no fields to select by; leave out fieldSelector";
        assert_eq!((answer.code, answer.message().as_str()), (400, said), "{selector}");
    }
    assert_eq!(scene.code("alice", &format!("{path}?fieldSelector=")).await, 404, "that is none");
}

#[tokio::test]
async fn where_every_user_could_name_any_other_it_is_said() {
    let (authority, api) = (Authority::new("kubernetes-ca"), KubeApi::start().await);
    let (pem, other) = (authority.pem(), Authority::new("front-proxy-ca"));
    let plimsoll = Plimsoll::start_in(config(CONFIG), None, Some(api.config())).await;
    let said = "[!]authentication degraded: reason withheld\n";
    for (data, is_weak) in [
        (data_with_clients(&other.pem(), "[]", &pem), false),
        (data_with_clients(&pem, "[]", &pem), true),
        (data_with_clients(&pem, r#"["front-proxy-client"]"#, &pem), false),
        (data_with_clients(&(other.pem() + &pem), "", &pem), true),
    ] {
        api.write(Some(data));
        let is_said = |answer: &Answer| answer.code == 200 && answer.body.contains(said) == is_weak;
        eventually(|| plimsoll.get("/readyz"), is_said).await;
    }
}

#[tokio::test]
async fn a_decision_made_before_an_outage_ends_with_its_time() {
    let mut scene = Scene::start().await;
    scene.api.permit("alice", "*");
    assert_eq!(scene.code("alice", "/metrics").await, 200);
    scene.api.go();
    assert_eq!(scene.code("alice", "/metrics").await, 200);
    scene.plimsoll.advance(std::time::Duration::from_secs(10));
    assert_eq!(scene.code("alice", "/metrics").await, 500);
}

#[tokio::test]
async fn a_question_too_long_to_be_kept_is_asked_each_time() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "*");
    scene.api.asked();
    for (length, reviews) in [(9_000, 1), (10_000, 2)] {
        let path = format!("/{}", "x".repeat(length));
        for _ in 0..2 {
            assert_eq!(scene.code("alice", &path).await, 404);
        }
        assert_eq!(scene.api.asked().len(), reviews, "{length}");
    }
}

#[tokio::test]
async fn whoever_floods_it_holds_up_no_autoscaler_and_one_of_them_no_other() {
    let scene = Scene::start().await;
    let autoscaler = "system:serviceaccount:kube-system:horizontal-pod-autoscaler@system:serviceaccounts";
    scene.api.permit("system:serviceaccount:kube-system:horizontal-pod-autoscaler", "*");
    scene.api.permit("alice", "*");
    scene.api.permit("system:serviceaccount:kube-system:other", "*");
    // One user has four places at most; ten have all of them.
    let addon = "system:serviceaccount:kube-system:addon";
    for (name, users, places, still) in [
        ("bob", 1, 4, "alice"),
        ("bob", 10, 32, autoscaler),
        ("system:node:n", 10, 32, autoscaler),
        (addon, 1, 4, "system:serviceaccount:kube-system:other"),
        (addon, 10, 32, autoscaler),
    ] {
        scene.api.trouble(Trouble::Silence, places);
        let user = |i: usize| format!("{name}-{users}-{}", i % users);
        let all: Vec<_> = (0..users * 6).map(|i| (user(i), format!("/{name}/{i}"))).collect();
        let flood = all.iter().map(|(user, path)| scene.ask(user, path));
        let others = async {
            eventually(async || scene.api.is_well(), |is_well| *is_well).await;
            tokio::time::timeout(std::time::Duration::from_secs(5), scene.code(still, &format!("/{name}/of-{users}")))
                .await
        };
        tokio::select! {
            _ = futures::future::join_all(flood) => panic!("they are answered"),
            code = others => assert_eq!(code, Ok(404), "{still}"),
        }
    }
}

#[tokio::test]
async fn strangers_that_flood_it_hold_up_no_user() {
    let scene = Scene::start().await;
    scene.api.permit("alice", "*");
    scene.api.trouble(Trouble::Silence, 4);
    let paths: Vec<String> = (0..100).map(|i| format!("/{i}")).collect();
    let flood = paths.iter().map(|path| scene.plimsoll.get(path));
    let users = async {
        // All that strangers may ask at a time is under way.
        eventually(async || scene.api.is_well(), |is_well| *is_well).await;
        tokio::time::timeout(std::time::Duration::from_secs(5), scene.code("alice", "/metrics")).await
    };
    tokio::select! {
        _ = futures::future::join_all(flood) => panic!("strangers are answered"),
        code = users => assert_eq!(code, Ok(200)),
    }
}
