//! A kube-apiserver that knows one ConfigMap, some tokens and some permissions, and does with them what a test says. It
//! speaks plain HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::harness::program::free_port;

/// The server; it can go away and come back at the same address.
pub struct KubeApi {
    port: u16,
    shared: Shared,
    runtime: Option<Runtime>,
}

/// The data of the ConfigMap, none when it does not exist, and the version.
type Object = (Option<BTreeMap<String, String>>, u64);

#[derive(Clone)]
struct Shared {
    object: Arc<watch::Sender<Object>>,
    forbids: Arc<AtomicBool>,
    /// Watches tell of nothing.
    is_mute: Arc<AtomicBool>,
    reviews: Arc<Mutex<Reviews>>,
}

/// What is answered to reviews, and what was asked.
#[derive(Default)]
struct Reviews {
    /// By token; the user in the form of the API.
    users: BTreeMap<String, Value>,
    /// Users and what they may, as in `alice get pods/load`; a `*` for anything.
    permissions: BTreeSet<(String, String)>,
    /// What happens to so many more reviews.
    trouble: Option<(Trouble, u32)>,
    asked: Vec<(&'static str, Value)>,
}

/// What becomes of a review.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Code(u16),
    /// There is no answer.
    Silence,
    /// The answer is no JSON.
    Garbage,
}

const LIST: &str = "/api/v1/namespaces/kube-system/configmaps";
const NAME: &str = "extension-apiserver-authentication";
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const SUBJECT_ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

// === impl KubeApi ===

impl KubeApi {
    /// Knows how to be there, and is not.
    pub fn away() -> Self {
        let object = Arc::new(watch::channel((None, 1)).0);
        let (forbids, is_mute, reviews) = Default::default();
        let shared = Shared { object, forbids, is_mute, reviews };
        Self { port: free_port(), shared, runtime: None }
    }

    pub async fn start() -> Self {
        let mut api = Self::away();
        api.come().await;
        api
    }

    /// Where it is, or would be.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn config(&self) -> kube::Config {
        kube::Config::new(self.url().parse().expect("a URL"))
    }

    /// Writes the ConfigMap; `None` deletes it.
    pub fn write(&self, data: Option<BTreeMap<String, String>>) {
        self.shared.object.send_modify(|(object, version)| {
            *object = data;
            *version += 1;
        });
    }

    pub fn forbid(&self, forbids: bool) {
        self.shared.forbids.store(forbids, Ordering::Relaxed);
    }

    pub fn mute(&self) {
        self.shared.is_mute.store(true, Ordering::Relaxed);
    }

    /// A token is this user's from now on; `None` for nobody's.
    pub fn token(&self, token: &str, user: Option<Value>) {
        let mut reviews = self.shared.reviews();
        reviews.users.remove(token);
        reviews.users.extend(user.map(|user| (token.to_owned(), user)));
    }

    /// Lets a user do something, as in `get pods/load` or `get /metrics`; `*` is anything.
    pub fn permit(&self, user: &str, what: &str) {
        self.shared.reviews().permissions.insert((user.to_owned(), what.to_owned()));
    }

    pub fn revoke(&self, user: &str, what: &str) {
        assert!(self.shared.reviews().permissions.remove(&(user.to_owned(), what.to_owned())), "it was permitted");
    }

    /// What becomes of so many reviews from now on.
    pub fn trouble(&self, trouble: Trouble, times: u32) {
        self.shared.reviews().trouble = Some((trouble, times));
    }

    /// All is well again.
    pub fn no_trouble(&self) {
        self.shared.reviews().trouble = None;
    }

    /// Whether nothing goes wrong, or no longer.
    pub fn is_well(&self) -> bool {
        self.shared.reviews().trouble.is_none()
    }

    /// The specs of all reviews since the last look, with the resource.
    pub fn asked(&self) -> Vec<(&'static str, Value)> {
        std::mem::take(&mut self.shared.reviews().asked)
    }

    pub async fn come(&mut self) {
        let router = Router::new().route(LIST, get(list)).route(&format!("{LIST}/{NAME}"), get(read));
        let router = router.route(TOKEN_REVIEWS, post(review_token)).route(SUBJECT_ACCESS_REVIEWS, post(review_access));
        let router = router.with_state(self.shared.clone());
        let runtime = Runtime::new().expect("a runtime");
        let address = ("127.0.0.1", self.port);
        let serve = async move {
            let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
            tokio::spawn(async move { axum::serve(listener, router).await });
        };
        runtime.spawn(serve).await.expect("it listens");
        self.runtime = Some(runtime);
    }

    /// Ends with all connections.
    pub fn go(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn refusal(&self) -> Option<Response> {
        let message = format!("configmaps {NAME:?} is forbidden: User \"plimsoll\" cannot get it");
        self.forbids.load(Ordering::Relaxed).then(|| status(StatusCode::FORBIDDEN, "Forbidden", &message))
    }

    fn reviews(&self) -> MutexGuard<'_, Reviews> {
        self.reviews.lock().expect("not poisoned")
    }

    /// Notes a review, and gives what goes wrong with it.
    fn note(&self, resource: &'static str, review: &Value) -> Option<Trouble> {
        let mut reviews = self.reviews();
        reviews.asked.push((resource, review["spec"].clone()));
        let (trouble, left) = reviews.trouble?;
        reviews.trouble = (left > 1).then(|| (trouble, left - 1));
        Some(trouble)
    }

    fn object(&self) -> Option<Value> {
        let (data, version) = self.object.borrow().clone();
        data.map(|data| config_map(&data, version))
    }
}

async fn review_token(State(shared): State<Shared>, axum::Json(review): axum::Json<Value>) -> Response {
    if let Some(trouble) = shared.note("tokenreviews", &review) {
        return trouble.answer().await;
    }
    let token = review["spec"]["token"].as_str().expect("a token");
    let status = match shared.reviews().users.get(token) {
        Some(user) => json!({"authenticated": true, "user": user}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    };
    answer(review, &status)
}

async fn review_access(State(shared): State<Shared>, axum::Json(review): axum::Json<Value>) -> Response {
    if let Some(trouble) = shared.note("subjectaccessreviews", &review) {
        return trouble.answer().await;
    }
    let spec = &review["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let what = match (resource["subresource"].as_str(), resource.is_object()) {
        (Some(subresource), _) => format!("{} {}/{subresource}", text(&resource["verb"]), text(&resource["resource"])),
        (None, true) => format!("{} {}", text(&resource["verb"]), text(&resource["resource"])),
        (None, false) => format!("{} {}", text(&path["verb"]), text(&path["path"])),
    };
    let user = text(&spec["user"]);
    let permissions = &shared.reviews().permissions;
    let allowed = [what, "*".to_owned()].into_iter().any(|what| permissions.contains(&(user.clone(), what)));
    answer(review.clone(), &json!({"allowed": allowed}))
}

fn answer(mut review: Value, status: &Value) -> Response {
    review["status"] = status.clone();
    (StatusCode::CREATED, axum::Json(review)).into_response()
}

// === impl Trouble ===

impl Trouble {
    async fn answer(self) -> Response {
        match self {
            Self::Code(code) => {
                status(StatusCode::from_u16(code).expect("a code"), "", "User \"plimsoll\" has trouble with it")
            }
            Self::Silence => std::future::pending().await,
            Self::Garbage => "<html>who are you?</html>".into_response(),
        }
    }
}

fn config_map(data: &BTreeMap<String, String>, version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": NAME, "namespace": "kube-system", "resourceVersion": version.to_string(), "uid": "u"},
    })
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": message,
    });
    (code, axum::Json(status)).into_response()
}

async fn read(State(shared): State<Shared>) -> Response {
    let missing = || status(StatusCode::NOT_FOUND, "NotFound", "configmaps not found");
    shared.refusal().unwrap_or_else(|| shared.object().map_or_else(missing, |it| axum::Json(it).into_response()))
}

async fn list(State(shared): State<Shared>, Query(parameters): Query<BTreeMap<String, String>>) -> Response {
    let wanted = format!("metadata.name={NAME}");
    assert_eq!(parameters.get("fieldSelector"), Some(&wanted), "nothing else may be read");
    if let Some(refusal) = shared.refusal() {
        return refusal;
    }
    if parameters.get("watch").is_some_and(|watch| watch == "true") {
        let since = parameters["resourceVersion"].parse().expect("a version");
        return changes(shared, since);
    }
    let version = shared.object.borrow().1.to_string();
    let items = Vec::from_iter(shared.object());
    axum::Json(json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": version}, "items": items,
    }))
    .into_response()
}

/// One line for each change since a version.
fn changes(shared: Shared, since: u64) -> Response {
    let mut object = shared.object.subscribe();
    object.mark_changed();
    let lines = unfold((shared, object, since), |(shared, mut object, since)| async move {
        loop {
            object.changed().await.ok()?;
            if shared.is_mute.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::MAX).await;
            }
            let (data, version) = object.borrow_and_update().clone();
            if version > since {
                let kind = if data.is_some() { "MODIFIED" } else { "DELETED" };
                let event = json!({"type": kind, "object": config_map(&data.unwrap_or_default(), version)});
                return Some((Ok::<_, Infallible>(format!("{event}\n")), (shared, object, version)));
            }
        }
    });
    Body::from_stream(lines).into_response()
}
