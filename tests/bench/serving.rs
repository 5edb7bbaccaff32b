//! Answering requests of autoscalers, beside Prometheus answering the query an adapter would have to send.

use std::time::Duration;

use crate::load::{background, cost, latencies, quantile};
use crate::page::Size;
use crate::report::{Row, Section, time, times};
use crate::scene::{BATCH_SIZE, DEPLOYMENT_SIZE, Keeps, Pace, Scene, Server, batch_name, pod_name, query_url};
use crate::{is_quick, progress};

const PACE: Pace = Pace { interval: 15, window: 60 };

/// One kind of request.
struct Question {
    what: &'static str,
    /// Below the API's root.
    path: String,
    /// Items that the answer has; 0 for one that is 404.
    items: usize,
    /// What Prometheus has to answer for the same.
    query: Option<String>,
    goal: Option<(&'static str, Duration)>,
}

const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/agents";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/agents";

pub fn run() -> Section {
    let pace = if is_quick() { Pace { interval: 2, window: 10 } } else { PACE };
    let scene = Scene::start(Size::Small, Duration::from_secs(300));
    scene.write_targets(0..DEPLOYMENT_SIZE);
    let mut plimsoll = scene.plimsoll(pace);
    let mut prometheus = scene.prometheus("prometheus", pace, Keeps::Everything);
    plimsoll.wait_ready(pace);
    prometheus.wait_query("sum(up)", DEPLOYMENT_SIZE as f64);
    std::thread::sleep(Duration::from_secs(pace.interval));
    let idle = [background(&plimsoll), background(&prometheus)];
    let floor = cost(&plimsoll, &plimsoll.url("/livez"), idle[0]);
    let mut rows = vec![Row::new("`/livez`: TLS and HTTP alone", time(floor))];
    for question in questions() {
        rows.push(question.row(&plimsoll, &prometheus, idle));
    }
    rows.extend(latency_rows(&plimsoll, &prometheus));
    Section {
        title: "Answering autoscalers",
        method: format!(
            "CPU time of the server per request over HTTPS with keep-alive (wrk, 4 connections, as fast as answers \
             come; what scraping spends meanwhile is taken off), with {DEPLOYMENT_SIZE} pods known. The baseline is \
             Prometheus with the same pods answering the query an adapter has to send for the same, at least. Latency \
             is that of a client with one connection, at a steady rate.",
        ),
        rows,
    }
}

fn questions() -> Vec<Question> {
    let (pod, batch) = (pod_name(7), batch_name(7));
    let by_pod =
        |selector: &str| format!("sum by (pod) (rate(http_requests_total{{namespace=\"agents\",{selector}}}[1m]))");
    let latency = "model_inference_duration_seconds_bucket{namespace=\"agents\",owner=\"Deployment/web-0\"}[1m]";
    let custom = |what, path: &str, items, query: String| Question {
        what,
        path: format!("{CUSTOM}/{path}"),
        items,
        query: Some(query),
        goal: None,
    };
    vec![
        Question {
            goal: Some(("≤ 50 µs", Duration::from_micros(50))),
            ..custom("one pod, rate", &format!("pods/{pod}/requests_per_second"), 1, by_pod(&format!("pod=\"{pod}\"")))
        },
        custom(
            "one pod, gauge",
            &format!("pods/{pod}/requests_in_flight"),
            1,
            format!("http_requests_in_flight{{namespace=\"agents\",pod=\"{pod}\"}}"),
        ),
        custom(
            "`pods/*`, a selector that matches 10 of 1,000",
            &format!("pods/%2A/requests_per_second?labelSelector=batch%3D{batch}"),
            BATCH_SIZE,
            by_pod(&format!("batch=\"{batch}\"")),
        ),
        Question {
            goal: Some(("≤ 2 ms", Duration::from_millis(2))),
            ..custom(
                "`pods/*`, a selector that matches 1,000, rate",
                "pods/%2A/requests_per_second?labelSelector=app%3Dweb-0",
                DEPLOYMENT_SIZE,
                by_pod("app=\"web-0\""),
            )
        },
        custom(
            "`pods/*`, a selector that matches 1,000, gauge",
            "pods/%2A/requests_in_flight?labelSelector=app%3Dweb-0",
            DEPLOYMENT_SIZE,
            "http_requests_in_flight{namespace=\"agents\",app=\"web-0\"}".into(),
        ),
        custom(
            "a Deployment of 1,000 pods, rate",
            "deployments.apps/web-0/requests_per_second",
            1,
            "sum(rate(http_requests_total{namespace=\"agents\",owner=\"Deployment/web-0\"}[1m]))".into(),
        ),
        custom(
            "a Deployment of 1,000 pods, p95",
            "deployments.apps/web-0/inference_latency_p95",
            1,
            format!("histogram_quantile(0.95, sum by (le) (rate({latency})))"),
        ),
        Question {
            what: "external, a queue over 1,000 pods",
            path: format!("{EXTERNAL}/queue_length?labelSelector=queue%3Dinference"),
            items: 1,
            query: Some("sum by (queue) (agent_queue_length{namespace=\"agents\",queue=\"inference\"})".into()),
            goal: None,
        },
        Question {
            what: "a metric that is not defined: 404",
            path: format!("{CUSTOM}/pods/{pod}/requests_per_minute"),
            items: 0,
            query: None,
            goal: None,
        },
    ]
}

// === impl Question ===

impl Question {
    fn row(&self, plimsoll: &Server, prometheus: &Server, [idle, prometheus_idle]: [f64; 2]) -> Row {
        progress(format_args!("serving: {}", self.what));
        let url = plimsoll.url(&self.path);
        self.check(plimsoll, &url);
        let figure = cost(plimsoll, &url, idle);
        let mut row = Row::new(self.what, time(figure));
        if let Some(query) = &self.query {
            let url = query_url(&prometheus.base, query);
            let answer = prometheus.client.json(&url);
            let items = answer["data"]["result"].as_array().map(Vec::len);
            assert_eq!(items, Some(self.items), "{query}: {answer}");
            let baseline = cost(prometheus, &url, prometheus_idle);
            row = row
                .beside(format!("Prometheus {}", time(baseline)), times(baseline.as_secs_f64(), figure.as_secs_f64()));
        }
        match self.goal {
            Some((goal, most)) => row.goal(goal, figure <= most),
            None => row,
        }
    }

    /// What is measured is an answer with all of its items.
    fn check(&self, plimsoll: &Server, url: &str) {
        let (code, body) = plimsoll.client.get(url).unwrap_or_else(|| panic!("{url}: no answer"));
        assert_eq!(code, if self.items == 0 { 404 } else { 200 }, "{url}: {body}");
        let list: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(list["items"].as_array().map_or(0, Vec::len), self.items, "{url}: {body}");
    }
}

fn latency_rows(plimsoll: &Server, prometheus: &Server) -> Vec<Row> {
    let mut rows = Vec::new();
    for (i, per_second) in [(0, 200), (3, 20)] {
        let question = &questions()[i];
        progress(format_args!("serving: latency of {}", question.what));
        let query = question.query.as_deref().unwrap_or_default();
        let ours = latencies(plimsoll, &plimsoll.url(&question.path), per_second);
        let theirs = latencies(prometheus, &query_url(&prometheus.base, query), per_second);
        let both = |all: &[Duration]| format!("{} / {}", time(quantile(all, 0.5)), time(quantile(all, 0.99)));
        rows.push(
            Row::new(format!("{}: latency p50 / p99 at {per_second} requests/s", question.what), both(&ours)).beside(
                format!("Prometheus {}", both(&theirs)),
                times(quantile(&theirs, 0.5).as_secs_f64(), quantile(&ours, 0.5).as_secs_f64()),
            ),
        );
    }
    rows
}
