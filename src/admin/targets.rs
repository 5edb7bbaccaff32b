//! The state of every target as JSON in the shape of Prometheus' `/api/v1/targets`, with what Plimsoll knows besides. It is
//! below `/status`: what is below `/api` every cluster shows to whoever is authenticated.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::admin::pods::PodsWithoutTarget;
use crate::model::{Identity, Target, redacted};
use crate::storage::TargetState;

/// `GET /status/targets`.
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
    let inventory = admin.inventory.borrow().clone();
    let data = json!({
        "activeTargets": targets, "droppedTargets": [], "targetsOverLimit": inventory.targets_over_limit,
        "podsWithoutTarget": pods(&PodsWithoutTarget::of(&inventory)), "sources": sources,
    });
    ([(header::CACHE_CONTROL, "no-cache")], Json(json!({ "status": "success", "data": data }))).into_response()
}

fn pods(pods: &PodsWithoutTarget) -> Value {
    let owners = pods.owners.iter().map(|owner| {
        json!({
            "namespace": owner.namespace, "owner": owner.name.as_deref().unwrap_or_default(), "pods": owner.pods,
            "examples": owner.examples,
        })
    });
    json!({ "count": pods.all, "owners": owners.collect::<Vec<_>>(), "ownersLeftOut": pods.owners_left_out })
}

// === impl Admin ===

impl Admin {
    /// Every target with its state, in order of job and URL.
    pub(super) fn targets(&self) -> Vec<(std::sync::Arc<Target>, TargetState)> {
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
        "scrapeInterval": format!("{:?}", target.scraping.interval),
        "scrapeTimeout": format!("{:?}", target.scraping.timeout),
        "bodySizeBytes": state.body_size_bytes, "samplesScraped": state.samples_scraped, "series": state.series,
        "issues": issues,
    })
}

/// The identity labels as `file_sd` writes them.
fn labels(identity: &Identity) -> Value {
    let mut labels: Value = identity.labels.iter().collect();
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
