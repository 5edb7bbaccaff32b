use serde_json::Value;

use crate::harness::target::{Behaviour, Target, gzip};
use crate::harness::{CUSTOM, Plimsoll};

const GOOD: &str = "queue_length 5\nrequests_total 100\n";

fn yaml(targets: &[(&str, &Target)], extra: &str) -> String {
    let lines: Vec<_> = targets
        .iter()
        .map(|(pod, target)| {
            format!("      - {{url: \"{}\", namespace: ns, pod: {pod}, owner: Deployment/{pod}}}", target.url)
        })
        .collect();
    format!(
        "scrape_configs:\n  - job_name: job\n    scrape_interval: 300ms\n    scrape_timeout: 250ms\n{extra}    targets:\n{}\n\
         limits: {{body_size_bytes: 1000000, series_per_target: 100, label_length: 100, labels_per_series: 10}}\n\
         metrics:\n  - {{name: queue_length, gauge: {{series: queue_length, combine: sum}}}}\n  \
         - {{name: requests_per_second, rate: {{counter: requests_total, window: 60s}}}}\n",
        lines.join("\n")
    )
}

fn path(pod: &str, metric: &str) -> String {
    format!("{CUSTOM}/namespaces/ns/pods/{pod}/{metric}")
}

/// One bad target beside a good one: the bad one says why in its state and in the Status, and the good
/// one is served.
async fn check_bad(behaviour: Behaviour, reason: &str, words: &str) {
    let (bad, good) = (Target::start(behaviour).await, Target::page(GOOD).await);
    let plimsoll = Plimsoll::start(&yaml(&[("bad", &bad), ("good", &good)], "")).await;
    let state = plimsoll.target_becomes(&bad.url, |target| target["health"] == "down").await;
    assert_eq!(state["lastErrorReason"], reason, "{state:#}");
    assert!(state["lastError"].as_str().is_some_and(|error| error.contains(words)), "{state:#}");
    let answer = plimsoll.refused(&path("bad", "queue_length"), words).await;
    assert_eq!(answer.code, 404, "{answer:?}");
    assert!(answer.message().contains(&format!("the scrape fails ({reason})")), "{answer:?}");
    plimsoll.value_becomes(&path("good", "queue_length"), "5").await;
    let metrics = plimsoll.get("/metrics").await.body;
    let failures = format!("plimsoll_scrape_failures_total{{scrape_job=\"job\",reason=\"{reason}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&failures)?.parse::<u64>().ok());
    assert!(count >= Some(1), "{metrics}");
}

fn typed(content_type: &'static str, body: &[u8]) -> Behaviour {
    Behaviour::Typed { content_type, headers: "", body: body.to_vec() }
}

#[tokio::test]
async fn an_html_page_is_a_failed_scrape() {
    let page = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n";
    check_bad(typed("text/html", page), "exposition", "text/html").await;
    check_bad(typed("text/plain", page), "exposition", "line 1").await;
}

#[tokio::test]
async fn a_plain_text_error_is_a_failed_scrape() {
    check_bad(typed("text/plain", b"Internal Server Error\n"), "exposition", "line 1").await;
    check_bad(typed("text/plain", b"{\"error\": \"not found\"}\n"), "exposition", "line 1").await;
}

#[tokio::test]
async fn an_empty_page_is_a_failed_scrape() {
    check_bad(typed("text/plain", b""), "exposition", "the page has no samples at all").await;
    check_bad(typed("application/openmetrics-text; version=1.0.0", b"# EOF\n"), "exposition", "no samples at all")
        .await;
}

#[tokio::test]
async fn a_page_that_loses_a_metric_does_not_shrink_the_total() {
    let (one, two) = (Target::page(GOOD).await, Target::page(GOOD).await);
    let text = yaml(&[("one", &one), ("two", &two)], "")
        .replace("Deployment/one", "Deployment/web")
        .replace("Deployment/two", "Deployment/web");
    let plimsoll = Plimsoll::start(&text).await;
    let web = format!("{CUSTOM}/namespaces/ns/deployments.apps/web/queue_length");
    plimsoll.value_becomes(&web, "10").await;
    two.set_page("something_else 1\n");
    let answer = plimsoll.refused(&web, "1 of 2 targets have data").await;
    assert!(answer.message().contains("the page has no series queue_length any more"), "{answer:?}");
    two.set_page(GOOD);
    plimsoll.value_becomes(&web, "10").await;
}

#[tokio::test]
async fn a_truncated_openmetrics_page_is_a_failed_scrape() {
    let page = b"# TYPE queue_length gauge\nqueue_length 5\n";
    check_bad(typed("application/openmetrics-text; version=1.0.0", page), "exposition", "# EOF").await;
}

#[tokio::test]
async fn another_status_than_200_is_a_failed_scrape() {
    check_bad(Behaviour::Status("404 Not Found"), "http_status", "404 Not Found").await;
    check_bad(Behaviour::Status("503 Service Unavailable"), "http_status", "503").await;
}

#[tokio::test]
async fn a_target_that_hangs_or_drips_times_out() {
    check_bad(Behaviour::Hang, "timeout", "within the scrape timeout of 250ms").await;
    check_bad(Behaviour::Drip, "timeout", "within the scrape timeout of 250ms").await;
}

#[tokio::test]
async fn a_page_of_two_gigabytes_is_cut_at_the_limit() {
    let words = "larger than the limit body_size_bytes";
    check_bad(Behaviour::Flood { bytes: 2 << 30, says_length: true }, "body_size_limit", words).await;
    check_bad(Behaviour::Flood { bytes: 2 << 30, says_length: false }, "body_size_limit", words).await;
}

#[tokio::test]
async fn a_compressed_bomb_is_cut_at_the_limit() {
    let page = "some_series_nobody_wants 1\n".repeat(2_000_000);
    let words = "larger than the limit body_size_bytes";
    let bomb = |headers, body| Behaviour::Typed { content_type: "text/plain", headers, body };
    check_bad(bomb("content-encoding: gzip\r\n", gzip(page.as_bytes())), "body_size_limit", words).await;
    let zstd = zstd::encode_all(page.as_bytes(), 3).expect("in memory");
    check_bad(bomb("content-encoding: zstd\r\n", zstd), "body_size_limit", words).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failed_scrape() {
    check_bad(Behaviour::Break, "body", "the connection broke").await;
}

#[tokio::test]
async fn a_page_that_may_be_cut_within_its_last_number_is_a_failed_scrape() {
    check_bad(Behaviour::Undelimited(b"queue_length 12"), "body", "its last number may be cut").await;
}

#[tokio::test]
async fn a_dead_address_and_an_unknown_host_are_told_apart() {
    let port = crate::harness::program::free_port();
    let good = Target::page(GOOD).await;
    let text = yaml(&[("good", &good)], "").replace(
        "    targets:\n",
        &format!(
            "    targets:\n      - {{url: \"http://127.0.0.1:{port}/metrics\", namespace: ns, pod: dead}}\n      \
             - {{url: \"http://no-such-host.invalid/metrics\", namespace: ns, pod: unknown}}\n"
        ),
    );
    let plimsoll = Plimsoll::start(&text).await;
    let dead = plimsoll.target_becomes(&port.to_string(), |target| target["health"] == "down").await;
    assert_eq!(dead["lastErrorReason"], "connect", "{dead:#}");
    assert!(dead["lastError"].as_str().is_some_and(|error| error.contains("refused")), "{dead:#}");
    let unknown = plimsoll.target_becomes("no-such-host", |target| target["health"] == "down").await;
    assert!(matches!(unknown["lastErrorReason"].as_str(), Some("resolve" | "timeout")), "{unknown:#}");
    plimsoll.value_becomes(&path("good", "queue_length"), "5").await;
}

#[tokio::test]
async fn pages_beyond_the_bounds_are_failed_scrapes() {
    let many: String = (0..200).map(|n| format!("queue_length{{n=\"{n}\"}} 1\n")).collect();
    check_bad(Behaviour::Page(many), "series_limit", "more wanted series than the limit series_per_target, 100").await;
    let long = format!("queue_length{{a=\"{}\"}} 1\n", "x".repeat(101));
    check_bad(Behaviour::Page(long), "label_limit", "101 bytes long, the limit label_length is 100").await;
    let labels: Vec<_> = (0..11).map(|n| format!("l{n}=\"1\"")).collect();
    check_bad(Behaviour::Page(format!("queue_length{{{}}} 1\n", labels.join(","))), "label_limit", "has 11 labels")
        .await;
}

/// A page that is read but has samples that cannot be trusted.
async fn check_issue(page: &str, kind: &str, words: &str) -> Value {
    let (bad, good) = (Target::page(page).await, Target::page(GOOD).await);
    let plimsoll = Plimsoll::start(&yaml(&[("bad", &bad), ("good", &good)], "")).await;
    let found = |target: &Value| {
        target["issues"].as_array().is_some_and(|issues| issues.iter().any(|issue| issue["kind"] == kind))
    };
    let state = plimsoll.target_becomes(&bad.url, found).await;
    assert_eq!(state["health"], "up", "{state:#}");
    plimsoll.refused(&path("bad", "queue_length"), words).await;
    plimsoll.value_becomes(&path("good", "queue_length"), "5").await;
    state
}

#[tokio::test]
async fn a_series_twice_with_two_values_is_not_served() {
    check_issue(
        "queue_length 3\nqueue_length 5\n",
        "duplicate_series",
        "queue_length is twice in the page, with the values 3 and 5",
    )
    .await;
}

#[tokio::test]
async fn timestamps_of_2020_and_of_the_future_are_not_served() {
    check_issue(
        "queue_length 3 1577836800000\n",
        "timestamp_too_old",
        "the newest sample of queue_length is of 2020-01-01T00:00:00Z",
    )
    .await;
    check_issue("queue_length 3 4102444800000\n", "timestamp_in_future", "has the timestamp 2100-01-01T00:00:00Z")
        .await;
}

#[tokio::test]
async fn a_number_that_is_none_is_not_served() {
    let (target, good) = (Target::page("queue_length NaN\n").await, Target::page(GOOD).await);
    let plimsoll = Plimsoll::start(&yaml(&[("bad", &target), ("good", &good)], "")).await;
    plimsoll.refused(&path("bad", "queue_length"), "queue_length is NaN, which is not a number to scale on").await;
    target.set_page("queue_length +Inf\n");
    plimsoll.refused(&path("bad", "queue_length"), "queue_length is inf").await;
    target.set_page("queue_length 0\n");
    plimsoll.value_becomes(&path("bad", "queue_length"), "0").await;
    target.set_page("something_else 1\n");
    plimsoll.refused(&path("bad", "queue_length"), "the page has no series queue_length").await;
}

#[tokio::test]
async fn a_counter_that_keeps_going_down_is_no_counter() {
    let target = Target::page("requests_total 1000\n").await;
    let plimsoll = Plimsoll::start(&yaml(&[("bad", &target)], "")).await;
    for value in (1..=8).rev() {
        let scrapes = target.requests().len();
        target.set_page(&format!("requests_total {value}\n"));
        crate::harness::eventually(async || target.requests().len(), |count| *count >= scrapes + 2).await;
    }
    let state = plimsoll.target(&target.url).await;
    assert_eq!(state["issues"][0]["kind"], "counter_reset", "{state:#}");
    plimsoll.refused(&path("bad", "requests_per_second"), "so it is no counter; define it as a gauge").await;
}

#[tokio::test]
async fn a_counter_that_restarts_gives_a_rate_above_zero_and_is_noted() {
    let target = Target::page("requests_total 1000000\n").await;
    let plimsoll = Plimsoll::start(&yaml(&[("pod", &target)], "")).await;
    crate::harness::eventually(async || target.requests().len(), |count| *count >= 2).await;
    target.set_page("requests_total 3\n");
    let state = plimsoll.target_becomes(&target.url, |target| !target["issues"][0].is_null()).await;
    let example = state["issues"][0]["example"].as_str().expect("an example");
    assert_eq!(
        (state["issues"][0]["kind"].as_str(), example),
        (Some("counter_reset"), "requests_total went down from 1000000 to 3")
    );
    let list = plimsoll.ok(&path("pod", "requests_per_second")).await;
    let value = list["items"][0]["value"].as_str().expect("a quantity");
    assert!(value != "0" && !value.starts_with('-'), "{list:#}");
    assert!(list["items"][0]["windowSeconds"].as_u64().is_some_and(|seconds| seconds >= 1), "{list:#}");
}

#[tokio::test]
async fn compressed_and_openmetrics_pages_are_read() {
    let openmetrics = "# TYPE queue_length gauge\nqueue_length{path=\"/u/{id}\"} 3 # {trace=\"x\"} 1\nqueue_length{path=\"b\"} 4\n# EOF\n";
    let openmetrics = openmetrics.replace(" # {trace=\"x\"} 1", "");
    let targets = [
        Target::start(typed("application/openmetrics-text; version=1.0.0; charset=utf-8", openmetrics.as_bytes()))
            .await,
        Target::start(Behaviour::Typed {
            content_type: "text/plain",
            headers: "content-encoding: gzip\r\n",
            body: gzip(b"queue_length 8\n"),
        })
        .await,
        Target::start(Behaviour::Typed {
            content_type: "text/plain",
            headers: "content-encoding: zstd\r\n",
            body: zstd::encode_all(&b"queue_length 9\n"[..], 3).expect("in memory"),
        })
        .await,
    ];
    let plimsoll = Plimsoll::start(&yaml(&[("a", &targets[0]), ("b", &targets[1]), ("c", &targets[2])], "")).await;
    for (pod, expected) in [("a", "7"), ("b", "8"), ("c", "9")] {
        plimsoll.value_becomes(&path(pod, "queue_length"), expected).await;
    }
    let head = targets[0].requests()[0].to_lowercase();
    assert!(head.contains("accept-encoding:") && head.contains("gzip") && head.contains("zstd"), "{head}");
    assert!(
        head.contains("accept: application/vnd.google.protobuf;proto=io.prometheus.client.metricfamily;"),
        "{head}"
    );
    assert!(head.contains("x-prometheus-scrape-timeout-seconds: 0.25"), "{head}");
}

#[tokio::test]
async fn a_bearer_token_is_read_again_when_its_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "first\n").expect("written");
    let target = Target::page(GOOD).await;
    let extra = format!("    bearer_token_file: {}\n", token.display());
    let plimsoll = Plimsoll::start(&yaml(&[("pod", &target)], &extra)).await;
    let seen = |word: &'static str| {
        let target = target.clone();
        crate::harness::eventually(
            move || std::future::ready(target.requests().join("\n")),
            move |heads: &String| heads.contains(word),
        )
    };
    seen("authorization: Bearer first\r\n").await;
    std::fs::write(&token, "second\n").expect("written");
    seen("authorization: Bearer second\r\n").await;
    std::fs::remove_file(&token).expect("removed");
    let state = plimsoll.target_becomes(&target.url, |target| target["health"] == "down").await;
    assert_eq!(state["lastErrorReason"], "credentials", "{state:#}");
    assert!(!state.to_string().contains("second"), "a secret is in the state: {state:#}");
}

#[tokio::test]
async fn basic_auth_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").expect("written");
    let target = Target::page(GOOD).await;
    let extra = format!("    basic_auth: {{username: scraper, password_file: {}}}\n", password.display());
    let _plimsoll = Plimsoll::start(&yaml(&[("pod", &target)], &extra)).await;
    let sent =
        crate::harness::eventually(async || target.requests().join("\n"), |heads| heads.contains("authorization"))
            .await;
    assert!(sent.contains("authorization: Basic c2NyYXBlcjpzZWNyZXQ="), "{sent}");
}

#[tokio::test]
async fn a_hanging_target_does_not_delay_the_others() {
    let hanging: Vec<Target> = futures_of(20, || Target::start(Behaviour::Hang)).await;
    let good = Target::page(GOOD).await;
    let names: Vec<String> = (0..hanging.len()).map(|n| format!("bad-{n}")).collect();
    let mut all: Vec<(&str, &Target)> = names.iter().map(String::as_str).zip(&hanging).collect();
    all.push(("good", &good));
    let plimsoll = Plimsoll::start(&yaml(&all, "")).await;
    let before = good.requests().len();
    // Waiting for the hanging ones, 250 ms each, ten scrapes would take longer than `eventually` has patience.
    crate::harness::eventually(async || good.requests().len(), |count| *count >= before + 10).await;
    plimsoll.value_becomes(&path("good", "queue_length"), "5").await;
}

async fn futures_of<T, F: Future<Output = T>>(count: usize, make: impl Fn() -> F) -> Vec<T> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(make().await);
    }
    all
}
