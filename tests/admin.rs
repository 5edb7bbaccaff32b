use crate::harness::target::{Behaviour, Target};
use crate::harness::{CUSTOM, EXTERNAL, Plimsoll, eventually};

const PAGES: [&str; 7] = ["/livez", "/healthz", "/readyz", "/metrics", "/status/targets", "/status", "/status.css"];

async fn platform(query: &str) -> (Plimsoll, [Target; 2]) {
    let targets = [Target::page("load 1\n").await, Target::start(Behaviour::Status("500 Internal Server Error")).await];
    let [one, two] = &targets;
    let yaml = format!(
        "scrape_configs:\n  - job_name: shop\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n    targets:\n      \
         - {{url: \"{}{query}\", namespace: ns, pod: a, owner: Deployment/web, labels: {{app: web}}}}\n      \
         - {{url: \"{}\", namespace: ns, pod: b, owner: Deployment/web, labels: {{app: web}}}}\n\
         metrics:\n  - {{name: load, gauge: {{series: load, combine: sum}}}}\n",
        one.url, two.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    plimsoll.target_becomes(&one.url, |target| target["health"] == "up").await;
    plimsoll.target_becomes(&two.url, |target| target["health"] == "down").await;
    (plimsoll, targets)
}

#[tokio::test]
async fn the_status_page_tells_all_and_lets_a_browser_run_nothing() {
    let (plimsoll, [_, two]) = platform("?token=secret").await;
    let page = plimsoll.get("/status").await;
    for part in ["1 of 2 up", "job shop", "ns/a", "Deployment/web", "shop static", "?token=…", &two.url, "answered 500"]
    {
        assert!(page.body.contains(part), "{part} is not in {}", page.body);
    }
    assert!(!page.body.contains("secret") && !page.body.contains("<script"), "{}", page.body);
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self';"));
    assert_eq!(plimsoll.get("/status.css").await.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn every_page_is_only_read_and_takes_a_trailing_slash() {
    let (plimsoll, _targets) = platform("").await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    let api = format!("{CUSTOM}/namespaces/ns/pods/a/load");
    for path in PAGES.iter().copied().chain(["/apis", "/", api.as_str()]) {
        assert_eq!(plimsoll.get(&format!("{}/", path.trim_end_matches('/'))).await.code, 200, "{path}/");
        let url = format!("{}{path}", plimsoll.base);
        assert_eq!(plimsoll.http.head(&url).send().await.expect("an answer").status(), 200, "HEAD {path}");
        let answer = crate::harness::Answer::of(plimsoll.http.post(&url).send().await.expect("an answer")).await;
        assert_eq!((answer.code, answer.json()["reason"].as_str()), (405, Some("MethodNotAllowed")), "{path}");
        let allowed: Vec<_> = answer.headers.get_all("allow").iter().collect();
        assert_eq!(allowed, ["GET, HEAD"], "{path}");
    }
}

#[tokio::test]
async fn health_is_told_check_by_check_and_checks_can_be_excluded() {
    let (plimsoll, _targets) = platform("").await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    let degraded = "[!]scrape degraded: 1 of 2 targets are down; see /status\n";
    let all = format!(
        "[+]ping ok\n[+]config ok\n[+]discovery ok\n{degraded}[+]limits ok\n[+]certificate ok\nreadyz check passed\n"
    );
    for (path, code, body) in [
        ("/livez", 200, "ok"),
        ("/healthz", 200, "ok"),
        ("/readyz", 200, all.as_str()),
        ("/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"),
        ("/healthz/?verbose=1", 200, "[+]ping ok\nhealthz check passed\n"),
        ("/livez?exclude=ping&verbose", 200, "[+]ping excluded\nlivez check passed\n"),
        ("/readyz?exclude=scrape", 200, "ok"),
        ("/readyz?exclude=scrape&exclude=config&unknown=1", 200, "ok"),
        ("/readyz/scrape", 200, degraded),
        ("/readyz/scrape/", 200, degraded),
        ("/readyz/config", 200, "ok"),
        ("/livez/ping", 200, "ok"),
        ("/healthz/ping", 200, "ok"),
        ("/livez/scrape", 404, "/livez has no check \"scrape\"; there are: ping\n"),
        (
            "/readyz/%0a",
            404,
            "/readyz has no check \"\\n\"; there are: ping, config, discovery, scrape, limits, certificate\n",
        ),
    ] {
        let answer = plimsoll.get(path).await;
        assert_eq!((answer.code, answer.body.as_str()), (code, body), "{path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{path}");
    }
    let unknown = plimsoll.get("/readyz?verbose&exclude=%0Anonsense").await;
    let line = "[!]nothing to exclude: \"\\nnonsense\" is no check of /readyz\n";
    assert!(unknown.code == 200 && unknown.body.contains(line), "{unknown:?}");
}

#[tokio::test]
async fn a_check_that_fails_fails_readiness_alone_and_not_where_it_is_excluded() {
    let slow = Target::start(Behaviour::Hang).await;
    let yaml = format!(
        "scrape_configs:\n  - {{job_name: shop, scrape_interval: 60s, targets: [{{url: \"{}\", namespace: ns, pod: a}}]}}\n\
         metrics:\n  - {{name: load, gauge: {{series: load, combine: sum}}}}\n",
        slow.url
    );
    let plimsoll = Plimsoll::start(&yaml).await;
    let waiting = "[-]scrape failed: 1 of 1 targets have not been scraped yet\n";
    let ready = eventually(|| plimsoll.get("/readyz"), |answer| answer.body.contains(waiting)).await;
    assert!(ready.code == 500 && ready.body.ends_with("\nreadyz check failed\n"), "{ready:?}");
    let answers = [("/readyz/scrape", 500, waiting), ("/readyz?exclude=scrape", 200, "ok"), ("/livez", 200, "ok")];
    for (path, code, body) in answers {
        let answer = plimsoll.get(path).await;
        assert_eq!((answer.code, answer.body.as_str()), (code, body), "{path}");
    }
}

#[tokio::test]
async fn queries_are_read_strictly_and_unknown_paths_are_not_found() {
    let (plimsoll, _targets) = platform("").await;
    let pods = format!("{CUSTOM}/namespaces/ns/pods/%2A/load");
    for query in ["labelSelector=app%3Dweb%", "labelSelector=%ff", "%zz=1"] {
        assert_eq!(plimsoll.get(&format!("{pods}?{query}")).await.code, 400, "{query}");
    }
    let first = plimsoll.get(&format!("{pods}?labelSelector=app%3Dweb&labelSelector=app%3Dnone")).await;
    assert_eq!(first.code, 200, "{first:?}");
    assert_eq!(plimsoll.get_with("/apis", &[("accept", "Application/JSON")]).await.code, 200);
    let protobuf = [("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")];
    for path in ["/openapi", "/openapi/v4", "/nothing", "/apis/nothing", &format!("{EXTERNAL}/nothing")] {
        assert_eq!(plimsoll.get_with(path, &protobuf).await.code, 404, "{path}");
    }
}
