//! The state of every target: as JSON in the shape of Prometheus' `/api/v1/targets`, with what Plimsoll
//! knows besides, and as a page for people.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Json, response::Html};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::model::{Identity, Target, Timestamp, redacted};
use crate::storage::TargetState;

/// `GET /api/v1/targets`.
pub(super) async fn json(State(admin): State<Admin>) -> Response {
    let targets: Vec<_> = admin.targets().iter().map(|(target, state)| entry(target, state)).collect();
    let sources: Vec<_> = admin
        .sources
        .snapshot()
        .into_iter()
        .map(|(name, state)| {
            json!({
                "name": name, "targets": state.targets, "lastSuccess": state.last_success.map(|time| time.to_string()),
                "lastError": state.error.unwrap_or_default(), "mistakes": state.mistakes,
            })
        })
        .collect();
    let over = admin.inventory.borrow().targets_over_limit;
    let data = json!({ "activeTargets": targets, "droppedTargets": [], "targetsOverLimit": over, "sources": sources });
    ([(header::CACHE_CONTROL, "no-cache")], Json(json!({ "status": "success", "data": data }))).into_response()
}

/// `GET /status`.
pub(super) async fn page(State(admin): State<Admin>) -> Html<String> {
    let now = admin.clock.now();
    let targets = admin.targets();
    let up = targets.iter().filter(|(_, state)| state.failure.is_none() && state.last_success.is_some()).count();
    let mut body = format!("<p>{up} of {} targets up.</p>\n", targets.len());
    for check in admin.checks.iter() {
        body.push_str(&format!("<p>{}: {}</p>\n", check.name, escape(&(check.ask)().to_string())));
    }
    body.push_str("<table><tr><th>target</th><th>stands for</th><th>health</th><th>last scrape</th><th>duration</th><th>series</th><th>said</th></tr>\n");
    for (target, state) in &targets {
        body.push_str(&row(target, state, now));
    }
    body.push_str("</table>\n");
    Html(format!("{HEAD}{body}</body></html>\n"))
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Plimsoll</title><style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35em .7em;border-bottom:1px solid #ddd;vertical-align:top}
th{font-weight:600;color:#555}.up{color:#11702f}.down{color:#b3261e;font-weight:600}.unknown{color:#777}
</style></head><body><h1>Plimsoll</h1>
<p><a href=\"/api/v1/targets\">targets as JSON</a> · <a href=\"/metrics\">metrics</a> · <a href=\"/apis\">APIs</a></p>
";

impl Admin {
    /// Every target with its state, in order of job and URL.
    fn targets(&self) -> Vec<(std::sync::Arc<Target>, TargetState)> {
        let inventory = self.inventory.borrow().clone();
        let state = |target: &Target| self.storage.read(&target.id, |store| store.state.clone()).unwrap_or_default();
        let mut targets: Vec<_> = inventory.targets().iter().map(|target| (target.clone(), state(target))).collect();
        targets.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        targets
    }
}

fn entry(target: &Target, state: &TargetState) -> Value {
    let issues: Vec<_> = state
        .issues
        .iter()
        .map(|(kind, issue)| json!({ "kind": kind.name(), "count": issue.count, "last": issue.last.to_string(), "example": issue.example }))
        .collect();
    json!({
        "scrapePool": &*target.job, "scrapeUrl": redacted(&target.url), "labels": labels(&target.identity),
        "health": state.health.name(),
        "lastError": state.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        "lastErrorReason": state.failure.as_ref().map(|failure| failure.reason.name()),
        "lastScrape": state.last_scrape.map(|time| time.to_string()),
        "lastSuccess": state.last_success.map(|time| time.to_string()),
        "lastScrapeDuration": state.last_duration.as_secs_f64(),
        "scrapeInterval": format!("{:?}", target.scrape_interval),
        "scrapeTimeout": format!("{:?}", target.scrape_timeout),
        "bodySizeBytes": state.body_size_bytes, "samplesScraped": state.samples_scraped, "series": state.series,
        "issues": issues,
    })
}

/// The identity labels as `file_sd` writes them.
fn labels(identity: &Identity) -> Value {
    let mut labels = json!(identity.labels);
    labels["namespace"] = json!(identity.namespace);
    for (name, value) in [("pod", &identity.pod), ("node", &identity.node)] {
        if let Some(value) = value {
            labels[name] = json!(value);
        }
    }
    if !identity.services.is_empty() {
        labels["services"] = json!(identity.services.join(","));
    }
    if !identity.owners.is_empty() {
        let owners: Vec<_> = identity
            .owners
            .iter()
            .map(|owner| format!("{}/{}/{}", owner.api_version, owner.kind, owner.name))
            .collect();
        labels["owner"] = json!(owners.join(","));
    }
    labels
}

fn row(target: &Target, state: &TargetState, now: Timestamp) -> String {
    let health = state.health.name();
    let ago =
        state.last_scrape.map_or_else(|| "never".to_owned(), |time| format!("{} s ago", now.since(time).as_secs()));
    let failure = state.failure.iter().map(|failure| format!("{}: {failure}", failure.reason));
    let issues =
        state.issues.iter().map(|(kind, issue)| format!("{} ×{}: {}", kind.name(), issue.count, issue.example));
    let said: Vec<_> = failure.chain(issues).map(|line| escape(&line)).collect();
    format!(
        "<tr><td>{}</td><td>{}/{}</td><td class=\"{health}\">{health}</td><td>{ago}</td><td>{:.1} ms</td><td>{}</td><td>{}</td></tr>\n",
        escape(&redacted(&target.url)),
        escape(&target.identity.namespace),
        escape(target.identity.pod.as_deref().unwrap_or("–")),
        state.last_duration.as_secs_f64() * 1000.0,
        state.series,
        said.join("<br>"),
    )
}

/// Series and messages come from targets, which are not to be trusted.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
