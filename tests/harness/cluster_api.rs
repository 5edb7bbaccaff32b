//! A kube-apiserver that lists and watches whatever objects a test writes, and fails as the test says. Plain HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::harness::pki::{Authority, Leaf, data};
use crate::harness::program::free_port;
use crate::harness::{Answer, Plimsoll, config, eventually};

/// The server; it can go away and come back at the same address. Objects outlive it.
pub struct ClusterApi {
    port: u16,
    shared: Shared,
    runtime: Option<Runtime>,
    /// Signs the front proxy, whom Plimsoll believes.
    authority: Authority,
}

#[derive(Clone)]
struct Shared {
    content: Arc<Mutex<Content>>,
    /// Number of the last change of anything.
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Content {
    /// By plural resource, namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    events: Vec<Event>,
    version: u64,
    /// Watches from before this version are told that it is gone.
    compacted: u64,
    /// Watches that began before this one was set have ended.
    cut: u64,
    trouble: BTreeMap<String, Trouble>,
    /// Optional resources (those of groups with a dot beyond Kubernetes' own) that are served.
    served: BTreeSet<String>,
    /// What `/apis/<group>/<version>` answers.
    kinds: BTreeMap<String, Value>,
    requests: Vec<String>,
}

#[derive(Clone)]
struct Event {
    version: u64,
    resource: String,
    namespace: String,
    kind: &'static str,
    object: Value,
}

/// What happens to requests for a resource.
#[derive(Clone, Copy, PartialEq)]
pub enum Trouble {
    Forbidden,
    /// Lists are no JSON.
    Garbage,
    /// Watches begin with a line that is no JSON.
    GarbledWatch,
    /// Lists do not come while this lasts.
    Slow,
}

/// One watch under way.
struct Watching {
    shared: Shared,
    changes: watch::Receiver<u64>,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    since: u64,
    cut: u64,
    next: usize,
}

/// The token of the one service account there is.
pub const TOKEN: &str = "the-token-of-prometheus";

const OPTIONAL: [&str; 2] = ["podmonitors", "servicemonitors"];

// === impl ClusterApi ===

impl ClusterApi {
    /// Knows how to be there, and is not.
    pub fn away() -> Self {
        let shared = Shared { content: Arc::default(), changes: Arc::new(watch::channel(0).0) };
        let api = Self { port: free_port(), shared, runtime: None, authority: Authority::new("front-proxy-ca") };
        let data = data(&api.authority.pem(), r#"["front-proxy-client"]"#);
        let name = "extension-apiserver-authentication";
        api.write("configmaps", &json!({"metadata": {"namespace": "kube-system", "name": name}, "data": data}));
        api
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
        let mut config = kube::Config::new(self.url().parse().expect("a URL"));
        config.proxy_url = None;
        config
    }

    /// Plimsoll in this cluster, asked by its front proxy for somebody who may do anything.
    pub async fn plimsoll(&self, yaml: &str) -> Plimsoll {
        self.plimsoll_with(yaml, None).await
    }

    pub async fn plimsoll_with(&self, yaml: &str, file: Option<std::path::PathBuf>) -> Plimsoll {
        let mut plimsoll = Plimsoll::start_in(config(yaml), file, Some(self.config())).await;
        self.introduce(&mut plimsoll).await;
        plimsoll
    }

    /// Has Plimsoll asked by the front proxy from now on, which it has to know of.
    pub async fn introduce(&self, plimsoll: &mut Plimsoll) {
        let root = reqwest::Certificate::from_pem(plimsoll.certificate_pem.as_bytes()).expect("a certificate");
        let builder = self.front_proxy("alice", &["system:masters"]).tls_certs_only([root]);
        plimsoll.http = builder.build().expect("a client");
        eventually(|| plimsoll.get("/livez"), |answer| answer.code == 200).await;
    }

    /// A client that asks as the front proxy does, for this user.
    pub fn front_proxy(&self, user: &str, groups: &[&str]) -> reqwest::ClientBuilder {
        let shown = self.authority.sign(&Leaf::client("front-proxy-client", plimsoll::clock::Clock::system().now()));
        let identity = reqwest::Identity::from_pem(shown.pem.as_bytes()).expect("an identity");
        let groups = groups.iter().map(|group| ("x-remote-group", *group));
        let headers = groups.chain([("x-remote-user", user)]);
        let headers = headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        reqwest::Client::builder().identity(identity).no_proxy().default_headers(headers.collect())
    }

    pub async fn come(&mut self) {
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
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

    /// Creates or replaces an object.
    pub fn write(&self, resource: &str, object: &Value) {
        self.shared.change(|content| {
            let key = key(resource, object);
            let is_new = !content.objects.contains_key(&key);
            let object = content.record(&key, object.clone(), if is_new { "ADDED" } else { "MODIFIED" });
            content.objects.insert(key, object);
        });
    }

    pub fn delete(&self, resource: &str, namespace: &str, name: &str) {
        self.shared.change(|content| {
            let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
            let object = content.objects.remove(&key).expect("it is there");
            content.record(&key, object, "DELETED");
        });
    }

    /// Namespaces and names of the objects of a resource.
    pub fn names(&self, resource: &str) -> Vec<(String, String)> {
        let content = self.shared.lock();
        let of_resource = content.objects.keys().filter(|(of, ..)| of == resource);
        of_resource.map(|(_, namespace, name)| (namespace.clone(), name.clone())).collect()
    }

    /// Ends every watch, and forgets what happened so far and in `unseen`: who comes back has to list.
    pub fn gap(&self, unseen: impl FnOnce()) {
        self.shared.change(|content| content.cut = u64::MAX);
        unseen();
        self.shared.change(|content| {
            content.version += 1;
            (content.compacted, content.cut) = (content.version, content.version);
        });
    }

    /// Ends every watch; who comes back goes on where it stood.
    pub fn cut(&self) {
        self.shared.change(|content| {
            content.version += 1;
            content.cut = content.version;
        });
    }

    pub fn trouble(&self, resource: &str, trouble: Option<Trouble>) {
        self.shared.change(|content| {
            content.trouble.remove(resource);
            content.trouble.extend(trouble.map(|trouble| (resource.to_owned(), trouble)));
        });
    }

    /// Serves an optional resource from now on, or no longer.
    pub fn serve(&self, resource: &str, is_served: bool) {
        self.shared.change(|content| {
            content.served.remove(resource);
            content.served.extend(is_served.then(|| resource.to_owned()));
        });
    }

    /// Says which kind has which plural.
    pub fn register(&self, api_version: &str, kind: &str, plural: &str) {
        let resource = json!({"name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"]});
        let list = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": [resource],
        });
        self.shared.change(|content| {
            content.kinds.insert(api_version.to_owned(), list);
        });
    }

    /// Paths with queries, in order.
    pub fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }
}

impl Drop for ClusterApi {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn key(resource: &str, object: &Value) -> (String, String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (resource.to_owned(), text("namespace"), text("name"))
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("not poisoned")
    }

    /// Waits while lists of a resource do not come.
    async fn wait_out(&self, resource: &str) {
        let mut changes = self.changes.subscribe();
        while self.lock().trouble.get(resource) == Some(&Trouble::Slow) {
            changes.changed().await.expect("the sender is here");
        }
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.lock());
        self.changes.send_modify(|changes| *changes += 1);
    }
}

// === impl Content ===

impl Content {
    fn record(&mut self, key: &(String, String, String), mut object: Value, kind: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (resource, namespace) = (key.0.clone(), key.1.clone());
        self.events.push(Event { version: self.version, resource, namespace, kind, object: object.clone() });
        object
    }

    fn list(&self, resource: &str, namespace: Option<&str>, query: &BTreeMap<String, String>) -> Value {
        let name = query.get("fieldSelector").and_then(|field| field.strip_prefix("metadata.name="));
        let is_meant = |(of, within, named): &(String, String, String)| {
            of == resource
                && namespace.is_none_or(|namespace| namespace == within)
                && name.is_none_or(|name| name == named)
        };
        let all: Vec<_> = self.objects.iter().filter(|(key, _)| is_meant(key)).map(|(_, object)| object).collect();
        let from: usize = query.get("continue").map_or(0, |from| from.parse().expect("our own token"));
        let limit = query.get("limit").map_or(usize::MAX, |limit| limit.parse().expect("a number"));
        let page = &all[from.min(all.len())..all.len().min(from.saturating_add(limit))];
        let rest = all.len() > from + page.len();
        let token = if rest { (from + page.len()).to_string() } else { String::new() };
        json!({
            "kind": "List", "apiVersion": "v1", "items": page,
            "metadata": {"resourceVersion": self.version.to_string(), "continue": token},
        })
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    body: String,
) -> Response {
    shared.lock().requests.push(uri.to_string());
    if method == Method::POST {
        return review(&body);
    }
    let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let rest = if segments[0] == "api" { &segments[2..] } else { &segments[3.min(segments.len())..] };
    if rest.is_empty() {
        let kinds = shared.lock().kinds.get(&segments[1..].join("/")).cloned();
        return kinds.map_or_else(not_found, |kinds| axum::Json(kinds).into_response());
    }
    if !query.contains_key("watch")
        && let Some(resource) = rest.last()
    {
        shared.wait_out(resource).await;
    }
    match *rest {
        [resource] => collection(shared, resource, None, &query),
        ["namespaces", namespace, resource] => collection(shared, resource, Some(namespace), &query),
        [resource, name] => object(&shared, (resource, "", name)),
        ["namespaces", namespace, resource, name] => object(&shared, (resource, namespace, name)),
        _ => not_found(),
    }
}

fn object(shared: &Shared, (resource, namespace, name): (&str, &str, &str)) -> Response {
    let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
    shared.lock().objects.get(&key).map_or_else(not_found, |object| axum::Json(object).into_response())
}

/// Whose token is [`TOKEN`], and that whoever is somebody may do anything.
fn review(body: &str) -> Response {
    let Ok(mut review) = serde_json::from_str::<Value>(body) else { return status(400, "BadRequest", "no JSON") };
    let user = json!({"username": "system:serviceaccount:monitoring:prometheus", "groups": ["system:authenticated"]});
    review["status"] = match (review["kind"].as_str(), review["spec"]["token"].as_str()) {
        (Some("TokenReview"), Some(TOKEN)) => json!({"authenticated": true, "user": user}),
        (Some("TokenReview"), _) => json!({"user": {}, "error": "invalid bearer token"}),
        _ => json!({"allowed": true}),
    };
    (StatusCode::CREATED, axum::Json(review)).into_response()
}

fn collection(shared: Shared, resource: &str, namespace: Option<&str>, query: &BTreeMap<String, String>) -> Response {
    let content = shared.lock();
    let trouble = content.trouble.get(resource).copied();
    let is_watch = query.get("watch").is_some_and(|watch| watch == "true");
    if OPTIONAL.contains(&resource) && !content.served.contains(resource) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    match trouble {
        Some(Trouble::Forbidden) => {
            let message = format!("{resource} is forbidden: User \"plimsoll\" cannot list resource {resource:?}");
            status(403, "Forbidden", &message)
        }
        Some(Trouble::Garbage) if !is_watch => "<html>who are you?</html>".into_response(),
        _ if is_watch => {
            let since: u64 = query["resourceVersion"].parse().expect("a version");
            let (cut, compacted) = (content.cut, content.compacted);
            drop(content);
            if since < compacted {
                let gone = json!({"type": "ERROR", "object": {
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                    "message": "too old resource version",
                }});
                return format!("{gone}\n").into_response();
            }
            if trouble == Some(Trouble::GarbledWatch) {
                return "{\"type\": \"ADDED\", \"object\": 7}\n".into_response();
            }
            let name = query.get("fieldSelector").and_then(|field| field.strip_prefix("metadata.name="));
            let changes = shared.changes.subscribe();
            let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
            let watching =
                Watching { shared, changes, resource: resource.to_owned(), namespace, name, since, cut, next: 0 };
            Body::from_stream(unfold(watching, Watching::step)).into_response()
        }
        _ => axum::Json(content.list(resource, namespace, query)).into_response(),
    }
}

fn not_found() -> Response {
    status(404, "NotFound", "the server could not find the requested resource")
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    (StatusCode::from_u16(code).expect("a code"), axum::Json(status)).into_response()
}

// === impl Watching ===

impl Watching {
    /// The next line; `None` ends the watch.
    async fn step(mut self) -> Option<(Result<String, Infallible>, Self)> {
        loop {
            self.changes.borrow_and_update();
            match self.look() {
                Err(()) => return None,
                Ok(Some(line)) => return Some((Ok(line), self)),
                Ok(None) => self.changes.changed().await.ok()?,
            }
        }
    }

    fn look(&mut self) -> Result<Option<String>, ()> {
        let content = self.shared.content.lock().expect("not poisoned");
        if content.cut > self.cut || (OPTIONAL.contains(&&*self.resource) && !content.served.contains(&self.resource)) {
            return Err(());
        }
        while let Some(event) = content.events.get(self.next) {
            self.next += 1;
            let is_named = self.name.as_ref().is_none_or(|name| event.object["metadata"]["name"] == **name);
            let is_within = self.namespace.as_ref().is_none_or(|namespace| *namespace == event.namespace);
            if event.version > self.since && event.resource == self.resource && is_named && is_within {
                return Ok(Some(format!("{}\n", json!({"type": event.kind, "object": event.object}))));
            }
        }
        Ok(None)
    }
}

/// The state of a source of targets as `/status/targets` shows it.
pub async fn source(plimsoll: &Plimsoll, part: &str) -> Value {
    let answer: Answer = plimsoll.get("/status/targets").await;
    let sources = answer.json()["data"]["sources"].as_array().expect("sources").clone();
    sources
        .into_iter()
        .find(|source| source["name"].as_str().is_some_and(|name| name.contains(part)))
        .unwrap_or_default()
}
