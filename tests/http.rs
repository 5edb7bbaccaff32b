use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use reqwest::Method;

use crate::conformance::{AGGREGATED, V1BETA1, ask, platform};
use crate::harness::{CUSTOM, EXTERNAL, Plimsoll, eventually};

/// One path of each kind.
const PLAIN: [&str; 12] = [
    "/",
    "/version",
    "/apis/custom.metrics.k8s.io",
    "/apis/external.metrics.k8s.io",
    CUSTOM,
    V1BETA1,
    EXTERNAL,
    "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/load?labelSelector=app%3Dweb",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/load",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2",
];

#[tokio::test]
async fn the_accept_header_is_read_alike_everywhere_and_only_the_groups_are_converted() {
    let (plimsoll, _target) = platform().await;
    let beta = AGGREGATED.replace("v2", "v2beta1");
    let reordered = "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io";
    for (accept, is_plain, groups) in [
        ("", true, "application/json"),
        ("*/*", true, "application/json"),
        ("application/json", true, "application/json"),
        ("application/json;charset=utf-8", true, "application/json"),
        ("application/vnd.kubernetes.protobuf, */*", true, "application/json"),
        ("application/vnd.kubernetes.protobuf,application/json", true, "application/json"),
        (&format!("{AGGREGATED},{beta}"), false, AGGREGATED),
        (&format!("{AGGREGATED},{beta},application/json"), true, AGGREGATED),
        (&format!("{AGGREGATED},application/json"), true, AGGREGATED),
        (&format!("{beta},application/json"), true, "application/json"),
        (reordered, false, AGGREGATED),
        (&format!("application/json;q=0.9,{AGGREGATED}"), true, AGGREGATED),
        (&format!("application/json,{AGGREGATED};q=0.9"), true, "application/json"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", true, "application/json"),
        ("nonsense,;;,application/*;q=0.1", true, "application/json"),
        // From here on nothing can be had.
        ("application/json;as=Table;v=v1;g=meta.k8s.io", false, ""),
        (&beta, false, ""),
        ("application/vnd.kubernetes.protobuf", false, ""),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", false, ""),
        ("application/com.github.proto-openapi.spec.v3.v1.0+protobuf", false, ""),
        ("application/cbor,application/yaml", false, ""),
        ("nonsense", false, ""),
    ] {
        for (path, expected) in PLAIN
            .map(|path| (path, if is_plain { "application/json" } else { "" }))
            .into_iter()
            .chain([("/apis", groups)])
        {
            let answer = ask(&plimsoll, Method::GET, path, &[("accept", accept)]).await;
            match expected {
                "" => {
                    let status: Status = serde_json::from_str(&answer.body).expect("a Status");
                    let said = (answer.code, status.code, status.reason.as_deref(), answer.header("content-type"));
                    assert_eq!(said, (406, Some(406), Some("NotAcceptable"), "application/json"), "{path} {accept}");
                }
                expected => {
                    assert_eq!((answer.code, answer.header("content-type")), (200, expected), "{path} {accept}");
                    assert!(path != "/apis" || answer.header("vary") == "Accept", "{accept}");
                }
            }
        }
    }
}

#[tokio::test]
async fn documents_have_tags_and_are_not_sent_twice() {
    let (plimsoll, _target) = platform().await;
    for (path, accept) in [
        ("/apis", AGGREGATED),
        ("/openapi/v2", "application/json"),
        ("/openapi/v3", "*/*"),
        ("/openapi/v3/apis/custom.metrics.k8s.io/v1beta1", "*/*"),
        ("/openapi/v3/apis/external.metrics.k8s.io/v1beta1", "*/*"),
    ] {
        let accept = ("accept", accept);
        let first = ask(&plimsoll, Method::GET, path, &[accept]).await;
        let etag = first.header("etag").to_owned();
        assert!(first.code == 200 && etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{path} {etag}");
        let known = [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()];
        for (known, method) in known.iter().flat_map(|known| [(known, Method::GET), (known, Method::HEAD)]) {
            let again = ask(&plimsoll, method, path, &[accept, ("if-none-match", known)]).await;
            assert_eq!((again.code, again.body.as_str()), (304, ""), "{path} {known}");
            for name in ["etag", "vary", "cache-control"] {
                assert_eq!(again.header(name), first.header(name), "{path} {known} {name}");
                assert!(!first.header(name).is_empty(), "{path} {name}");
            }
        }
        for other in ["\"other\"", etag.trim_matches('"')] {
            let other = ask(&plimsoll, Method::GET, path, &[accept, ("if-none-match", other)]).await;
            assert_eq!((other.code, other.body.as_str()), (200, first.body.as_str()), "{path}");
        }
    }
    // The kube-apiserver takes a 304 there for a failed probe.
    for path in [CUSTOM, V1BETA1, EXTERNAL] {
        assert_eq!(ask(&plimsoll, Method::GET, path, &[("if-none-match", "*")]).await.code, 200, "{path}");
    }
}

/// All paths that the index names, and one of each kind of metric.
async fn paths(plimsoll: &Plimsoll) -> Vec<String> {
    let index = plimsoll.ok("/").await;
    let listed: Vec<String> = serde_json::from_value(index["paths"].clone()).expect("paths");
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(listed, sorted);
    for path in
        ["/apis", CUSTOM, V1BETA1, EXTERNAL, "/openapi/v2", "/openapi/v3", "/version", "/livez/ping", "/readyz/scrape"]
    {
        assert!(listed.iter().any(|listed| listed == path), "{path} is not in {listed:?}");
    }
    listed.into_iter().chain(PLAIN.map(str::to_owned)).collect()
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body_on_both_versions_of_http() {
    let (plimsoll, _target) = platform().await;
    eventually(|| plimsoll.get("/readyz"), |answer| answer.code == 200).await;
    let builder = || reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
    let clients = [builder().http1_only(), builder()].map(|builder| builder.build().expect("a client"));
    for path in paths(&plimsoll).await {
        for http in &clients {
            let url = format!("{}{path}", plimsoll.base);
            let get = http.get(&url).send().await.expect("an answer");
            let head = http.head(&url).send().await.expect("an answer");
            assert_eq!((get.status().as_u16(), head.status().as_u16()), (200, 200), "{path}");
            // These tell of what goes on, so their length differs from one to the next.
            let changes = ["/metrics", "/status", "/status/targets"].contains(&path.as_str());
            let skipped = ["date", "audit-id", if changes { "content-length" } else { "" }];
            let headers = |response: &reqwest::Response| {
                let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("text").to_owned();
                let all = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
                all.filter(|(name, _)| !skipped.contains(&name.as_str())).collect::<BTreeMap<_, _>>()
            };
            assert_eq!(headers(&get), headers(&head), "{path} {:?}", get.version());
            assert!(head.headers().contains_key("content-length"), "{path} {:?}", head.version());
            assert_eq!(head.text().await.expect("no body"), "", "{path}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_what_is_allowed() {
    let (plimsoll, _target) = platform().await;
    for path in paths(&plimsoll).await {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let answer = ask(&plimsoll, method.clone(), &path, &[]).await;
            let status: Status = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path}: {e}"));
            let said = (answer.code, status.reason.as_deref(), answer.header("allow"));
            assert_eq!(said, (405, Some("MethodNotAllowed"), "GET, HEAD"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn slashes_around_a_path_do_not_matter_and_empty_names_within_are_not_found() {
    let (plimsoll, _target) = platform().await;
    for path in
        ["//apis", "/apis/", "/apis//", "/apis/custom.metrics.k8s.io/", "/version/", "/openapi/v2/", "//openapi/v3/"]
    {
        assert_eq!(ask(&plimsoll, Method::GET, path, &[]).await.code, 200, "{path}");
    }
    for path in [CUSTOM, V1BETA1, EXTERNAL, &format!("{CUSTOM}/namespaces/ns/pods/web-1/load")] {
        assert_eq!(ask(&plimsoll, Method::GET, &format!("{path}/"), &[]).await.code, 200, "{path}/");
    }
    let within =
        ["namespaces//pods/%2A/load", "namespaces/ns/pods//load", "namespaces/ns//web-1/load", "/nodes/n1/load"];
    for path in within.map(|path| format!("{CUSTOM}/{path}")).into_iter().chain(["/apis//custom.metrics.k8s.io".into()])
    {
        let answer = ask(&plimsoll, Method::GET, &path, &[]).await;
        let message = "the server could not find the requested resource";
        assert_eq!((answer.code, answer.message().as_str()), (404, message), "{path}");
    }
    assert_eq!(ask(&plimsoll, Method::GET, "/api", &[("accept", AGGREGATED)]).await.code, 404);
}

#[tokio::test]
async fn every_character_of_a_path_may_be_escaped_and_a_wrong_escape_is_refused() {
    let (plimsoll, _target) = platform().await;
    let all = |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02x}")).collect() };
    let escaped = ["apis", "custom.metrics.k8s.io", "v1beta2", "namespaces", "ns", "pods", "web-1", "load"].map(all);
    let escaped = format!("/{}", escaped.join("/"));
    assert_eq!(plimsoll.value(&escaped).await, "1500m");
    for (name, code, words) in [
        ("a%2Fb", 404, "for pods a/b in namespace ns"),
        ("a%0Ab%1b", 404, r"for pods a\nb\u{1b} in namespace ns"),
        ("%zz", 400, "the path has an invalid escape: \"%zz\""),
        ("a%", 400, "the path has an invalid escape: \"a%\""),
        ("%ff", 400, "the path is not UTF-8 after percent-decoding: \"%ff\""),
    ] {
        let answer = ask(&plimsoll, Method::GET, &format!("{CUSTOM}/namespaces/ns/pods/{name}/load"), &[]).await;
        assert!(answer.code == code && answer.message().contains(words), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn parameters_nobody_knows_are_ignored_and_watch_is_refused() {
    let (plimsoll, _target) = platform().await;
    let others =
        "unknown=1&limit=500&timeoutSeconds=5&resourceVersion=0&continue=x&allowWatchBookmarks=true&watch=false";
    let metrics = PLAIN.iter().filter(|path| path.contains("/ns/"));
    for path in metrics.clone() {
        let and = if path.contains('?') { '&' } else { '?' };
        for parameters in [others, "watch=0", "watch=False"] {
            let answer = ask(&plimsoll, Method::GET, &format!("{path}{and}{parameters}"), &[]).await;
            assert_eq!(answer.code, 200, "{path} {parameters}: {answer:?}");
        }
        for parameters in ["watch", "watch=", "watch=1", "watch=true", "watch=t"] {
            let answer = ask(&plimsoll, Method::GET, &format!("{path}{and}{parameters}"), &[]).await;
            let message = "the server does not allow watch on metrics; ask again with GET for each value";
            assert_eq!((answer.code, answer.message().as_str()), (405, message), "{path} {parameters}");
        }
    }
    for path in PLAIN.iter().filter(|path| !path.contains("/ns/")) {
        assert_eq!(ask(&plimsoll, Method::GET, &format!("{path}?{others}"), &[]).await.code, 200, "{path}");
    }
}
