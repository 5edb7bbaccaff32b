//! The page for people: readiness, sources and targets with what they last said.
//!
//! Its texts come from targets and sources, which are not to be trusted: all are escaped, and the headers let a browser
//! run nothing and load nothing but the style sheet.

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::admin::pods::{Owner, PodsWithoutTarget};
use crate::admin::{Admin, Readiness};
use crate::discovery::SourceState;
use crate::model::{Identity, Target, Timestamp, redacted};
use crate::storage::{Health, TargetState};

const STYLE: &str = include_str!("status.css");

const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /status`.
pub(super) async fn page(State(admin): State<Admin>) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(render(&admin))).into_response()
}

/// `GET /status.css`.
pub(super) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, STYLE).into_response()
}

fn render(admin: &Admin) -> String {
    let now = admin.clock.now();
    let targets = admin.targets();
    let mut body = String::from(HEAD);
    body.push_str("<section class=\"cards\">\n");
    body.push_str(&summary(&targets, admin.inventory.borrow().targets_over_limit));
    admin.checks.iter().for_each(|check| body.push_str(&card(check.name, &(check.ask)())));
    body.push_str("</section>\n");
    let sources: Vec<_> = admin.sources.snapshot().iter().map(|(name, state)| source(name, state, now)).collect();
    body.push_str(&table("Sources of targets", &["Source", "Targets", "Last success", "Said"], &sources));
    let rows: Vec<_> = targets.iter().map(|(known, state)| target(known, state, now)).collect();
    let heads = ["Target", "Stands for", "Health", "Last success", "Last scrape", "Duration", "Series", "Said"];
    body.push_str(&table("Targets", &heads, &rows));
    body.push_str(&pods(&PodsWithoutTarget::of(&admin.inventory.borrow())));
    body.push_str("</body></html>\n");
    body
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>Plimsoll</title><link rel=\"stylesheet\" href=\"/status.css\"></head><body>
<header><h1>Plimsoll</h1><nav><a href=\"/status/targets\">Targets as JSON</a><a href=\"/metrics\">Metrics</a>\
<a href=\"/apis\">APIs</a><a href=\"/readyz?verbose\">Readiness</a></nav></header>
";

fn summary(targets: &[(std::sync::Arc<Target>, TargetState)], over: usize) -> String {
    let count = |health| targets.iter().filter(|(_, state)| state.health == health).count();
    let (up, down, unknown) = (count(Health::Up), count(Health::Down), count(Health::Unknown));
    let class = if down + over > 0 { "degraded" } else { "ok" };
    let waiting = if unknown > 0 { format!(", {unknown} not scraped yet") } else { String::new() };
    let over = if over > 0 { format!(", {over} over the limit and not scraped") } else { String::new() };
    format!(
        "<div class=\"card {class}\"><b>targets</b>{up} of {} up, {down} down{waiting}{over}</div>\n",
        targets.len()
    )
}

fn card(name: &str, readiness: &Readiness) -> String {
    let class = match readiness {
        Readiness::Ok => "ok",
        Readiness::Degraded(_) => "degraded",
        Readiness::NotReady(_) => "failed",
    };
    format!("<div class=\"card {class}\"><b>{name}</b>{}</div>\n", escape(&readiness.to_string()))
}

fn table(title: &str, heads: &[&str], rows: &[String]) -> String {
    if rows.is_empty() {
        return format!("<h2>{title}</h2>\n<p class=\"empty\">None.</p>\n");
    }
    let heads: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    let rows = rows.concat();
    format!("<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<tr>{heads}</tr>\n{rows}</table></div>\n")
}

fn source(name: &str, state: &SourceState, now: Timestamp) -> String {
    let error = state.error.iter().map(|error| ("error", error.clone()));
    let mistakes = state.mistakes.iter().map(|mistake| ("issue", mistake.clone()));
    let quiet = if state.reported { "" } else { "has not reported yet" };
    format!(
        "<tr><td class=\"name\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>{}</tr>\n",
        escape(name),
        state.targets,
        ago(state.last_success, now),
        said(error.chain(mistakes), quiet),
    )
}

fn target(target: &Target, state: &TargetState, now: Timestamp) -> String {
    let health = state.health.name();
    let failure = state.failure.iter().map(|failure| ("error", format!("{}: {failure}", failure.reason)));
    let issues = state
        .issues
        .iter()
        .map(|(kind, issue)| ("issue", format!("{} ×{}: {}", kind.name(), issue.count, issue.example)));
    format!(
        "<tr><td class=\"name\">{}<small>job {}</small></td><td class=\"name\">{}</td><td class=\"{health}\">{health}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{:.1} ms</td>\
         <td class=\"number\">{}</td>{}</tr>\n",
        escape(&redacted(&target.url)),
        escape(&target.job),
        identity(&target.identity),
        ago(state.last_success, now),
        ago(state.last_scrape, now),
        state.last_duration.as_secs_f64() * 1000.0,
        state.series,
        said(failure.chain(issues), ""),
    )
}

/// What runs and is not scraped; nothing where all is.
fn pods(pods: &PodsWithoutTarget) -> String {
    if pods.all == 0 {
        return String::new();
    }
    let mut rows: Vec<_> = pods.owners.iter().map(owner).collect();
    if pods.owners_left_out > 0 {
        rows.push(format!("<tr><td class=\"name\" colspan=\"3\">and {} more owners</td></tr>\n", pods.owners_left_out));
    }
    let title = match pods.all {
        1 => "1 running pod is not scraped".to_owned(),
        all => format!("{all} running pods are not scraped"),
    };
    table(&title, &["Owner", "Pods", "For example"], &rows)
}

fn owner(owner: &Owner) -> String {
    format!(
        "<tr><td class=\"name\">{}<small>namespace {}</small></td><td class=\"number\">{}</td><td class=\"said\">{}</td></tr>\n",
        escape(owner.name.as_deref().unwrap_or("no owner")),
        escape(&owner.namespace),
        owner.pods,
        escape(&owner.examples.join(", ")),
    )
}

/// Namespace and pod, and below them what owns and selects the pod.
fn identity(identity: &Identity) -> String {
    let pod = identity.pod.as_deref().map_or_else(String::new, |pod| format!("/{pod}"));
    let mut text = escape(&format!("{}{pod}", identity.namespace));
    for owner in &*identity.owners {
        text.push_str(&format!("<small>{}/{}</small>", escape(&owner.kind), escape(&owner.name)));
    }
    for service in &*identity.services {
        text.push_str(&format!("<small>Service/{}</small>", escape(service)));
    }
    text
}

fn said(lines: impl Iterator<Item = (&'static str, String)>, quiet: &str) -> String {
    let lines: String = lines.map(|(class, line)| format!("<div class=\"{class}\">{}</div>", escape(&line))).collect();
    format!("<td class=\"said\">{}</td>", if lines.is_empty() { quiet } else { &lines })
}

fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    let Some(time) = time else { return "never".into() };
    match now.since(time).as_secs() {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::model::TargetId;
    use crate::storage::{Failure, FailureReason};

    #[test]
    fn a_target_shows_job_owner_and_last_success_and_is_escaped() {
        let owner = crate::model::OwnerReference::parse("Deployment/web").expect("an owner");
        let identity = Identity {
            namespace: "ns".into(),
            pod: Some("web-1".into()),
            owners: [owner].into(),
            ..Identity::default()
        };
        let url = "http://h/m?token=secret";
        let known = Target {
            id: TargetId::new("job", url, &identity),
            url: url.into(),
            job: "<job>".into(),
            identity,
            scraping: std::sync::Arc::new(crate::model::Scraping::for_test()),
        };
        let state = TargetState {
            health: Health::Down,
            last_success: Some(Timestamp(0)),
            failure: Some(Failure::new(FailureReason::Exposition, "<script>alert('x')</script>")),
            ..TargetState::default()
        };
        let row = target(&known, &state, Timestamp(300_000));
        for part in
            ["job &lt;job&gt;", "ns/web-1", "Deployment/web", "5 min ago", "?token=…", "exposition: &lt;script&gt;"]
        {
            assert!(row.contains(part), "{part} is not in {row}");
        }
        assert!(!row.contains("<script>") && !row.contains("secret"), "{row}");
    }

    #[test]
    fn pods_that_nothing_scrapes_are_told_by_owner_and_escaped() {
        let owner = |name: Option<&str>, pods| Owner {
            namespace: "ns".into(),
            name: name.map(str::to_owned),
            pods,
            examples: vec!["<a>".into(), "b".into()],
        };
        let owners = vec![owner(Some("Deployment/web"), 12), owner(None, 1)];
        let text = pods(&PodsWithoutTarget { all: 20, owners, owners_left_out: 2 });
        for part in [
            "20 running pods are not scraped",
            "Deployment/web",
            ">12<",
            "&lt;a&gt;, b",
            "no owner",
            "and 2 more owners",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("<a>"), "{text}");
        assert_eq!(pods(&PodsWithoutTarget { all: 0, owners: Vec::new(), owners_left_out: 0 }), "");
    }
}
