//! The kube-apiserver of the cluster that is played: a process that lists in pages, watches with bookmarks, and changes
//! pods as it is told. Started as `bench cluster-api PODS TARGETS`; says its port and serves until it is killed.
//!
//! `POST /play/churn?rate=N` makes N changes of pods a second from now on; `POST /play/add` brings one more pod that
//! is to be scraped, and `POST /play/remove` takes the last one away.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use plimsoll::demo::random::Random;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::objects::{self, DEPLOYMENT_SIZE, Phase, Pod};

/// The hidden argument.
pub const COMMAND: &str = "cluster-api";

type Parameters = BTreeMap<String, String>;

#[derive(Clone)]
struct Server {
    cluster: Arc<Mutex<Cluster>>,
    /// The version of the last change.
    changes: Arc<watch::Sender<u64>>,
}

struct Cluster {
    pods: Vec<Pod>,
    /// Each pod as it is listed: to make them takes longer than to read them.
    texts: Vec<Arc<str>>,
    version: u64,
    events: VecDeque<Event>,
    /// Changes that are under way, the next one first.
    steps: VecDeque<Step>,
    /// Changes of pods a second.
    rate: u64,
    random: Random,
    /// The data of the only ConfigMap.
    trust: Value,
}

/// A line of a watch.
struct Event {
    version: u64,
    resource: &'static str,
    line: Arc<str>,
}

/// One thing that happens to a pod, or to the slice with it.
enum Step {
    Pod(&'static str, Pod, Phase),
    Slice(usize),
}

/// One watch under way.
struct Watching {
    server: Server,
    changes: watch::Receiver<u64>,
    resource: &'static str,
    since: u64,
    until: Instant,
    bookmark: Instant,
}

/// Events that are kept, as etcd keeps those of 5 minutes; who is further behind has to list again.
const EVENTS_MAX: usize = 4096;

/// kube-apiserver says about once a minute where a silent watch stands.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);

/// How often changes are made; their rate is kept on average.
const TICK: Duration = Duration::from_millis(10);

/// The process.
pub fn run(arguments: &[String]) -> std::io::Result<()> {
    let [pods, targets, rest @ ..] = arguments else {
        return Err(std::io::Error::other("expected PODS TARGETS, and a file with the data of the only ConfigMap"));
    };
    let parsed = |text: &String| text.parse::<usize>().map_err(std::io::Error::other);
    let trust = rest.first().map(std::fs::read_to_string).transpose()?;
    let server = Server::new(parsed(pods)?, parsed(targets)?, trust.map(|text| json_of(&text)).transpose()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::select! {
            served = axum::serve(listener, router) => served,
            never = server.play() => match never {},
        }
    })
}

// === impl Server ===

impl Server {
    fn new(pods: usize, targets: usize, trust: Option<Value>) -> Self {
        let pods: Vec<Pod> = (0..pods).map(|place| Pod { place, life: 0, is_target: place < targets }).collect();
        let texts = pods.iter().map(|pod| text(*pod)).collect();
        let cluster = Cluster {
            pods,
            texts,
            version: 1,
            events: VecDeque::new(),
            steps: VecDeque::new(),
            rate: 0,
            random: Random::new(7),
            trust: trust.unwrap_or_else(nobody),
        };
        Self { cluster: Arc::new(Mutex::new(cluster)), changes: Arc::new(watch::channel(1).0) }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().expect("not poisoned")
    }

    fn change(&self, change: impl FnOnce(&mut Cluster)) {
        let mut cluster = self.lock();
        change(&mut cluster);
        self.changes.send_replace(cluster.version);
    }

    /// Makes changes at the rate that is asked for.
    async fn play(&self) -> Infallible {
        let mut ticks = tokio::time::interval(TICK);
        let (mut owed, mut last) = (0.0, Instant::now());
        loop {
            ticks.tick().await;
            let elapsed = last.elapsed().as_secs_f64();
            last = Instant::now();
            self.change(|cluster| {
                owed += elapsed * cluster.rate as f64;
                while owed >= 1.0 {
                    owed -= f64::from(u8::from(cluster.step()));
                }
            });
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Makes the next change; returns whether it was one of a pod.
    fn step(&mut self) -> bool {
        if self.steps.is_empty() {
            self.replace();
        }
        match self.steps.pop_front() {
            Some(Step::Pod(kind, pod, phase)) => {
                self.tell(kind, "pods", |version| pod.object(phase, version));
                true
            }
            Some(Step::Slice(deployment)) => {
                let pods: Vec<Pod> = self.pods_of(deployment).collect();
                self.tell("MODIFIED", "endpointslices", |version| {
                    objects::endpoint_slice(deployment, pods.into_iter(), version)
                });
                false
            }
            None => true,
        }
    }

    /// A pod is to be replaced, as in a roll-out.
    fn replace(&mut self) {
        let place = self.random.below(self.pods.len());
        let old = self.pods[place];
        let new = Pod { life: old.life + 1, ..old };
        (self.pods[place], self.texts[place]) = (new, text(new));
        self.steps.extend([
            Step::Pod("MODIFIED", old, Phase::Terminating),
            Step::Pod("ADDED", new, Phase::Pending),
            Step::Pod("MODIFIED", new, Phase::Scheduled),
            Step::Pod("MODIFIED", new, Phase::Running),
            Step::Slice(place / DEPLOYMENT_SIZE),
            Step::Pod("MODIFIED", new, Phase::Ready),
            Step::Pod("DELETED", old, Phase::Terminating),
        ]);
    }

    fn tell(&mut self, kind: &str, resource: &'static str, object: impl FnOnce(u64) -> Value) {
        self.version += 1;
        let event = json!({"type": kind, "object": object(self.version)});
        let line = format!("{event}\n").into();
        self.events.push_back(Event { version: self.version, resource, line });
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    fn add(&mut self) {
        let pod = Pod { place: self.pods.len(), life: 0, is_target: true };
        self.pods.push(pod);
        self.texts.push(text(pod));
        self.tell("ADDED", "pods", |version| pod.object(Phase::Ready, version));
    }

    fn remove(&mut self) {
        self.texts.pop();
        if let Some(pod) = self.pods.pop() {
            self.tell("DELETED", "pods", |version| pod.object(Phase::Terminating, version));
        }
    }

    fn pods_of(&self, deployment: usize) -> impl Iterator<Item = Pod> {
        self.pods.iter().copied().skip(deployment * DEPLOYMENT_SIZE).take(DEPLOYMENT_SIZE)
    }

    fn count(&self, resource: &str) -> usize {
        match resource {
            "pods" => self.pods.len(),
            "replicasets" | "services" | "endpointslices" => self.pods.len().div_ceil(DEPLOYMENT_SIZE),
            "namespaces" => objects::namespaces(0).len(),
            "configmaps" => 1,
            _ => 0,
        }
    }

    fn text(&self, resource: &str, number: usize, is_metadata: bool) -> Arc<str> {
        let object = match resource {
            "pods" => return self.texts[number].clone(),
            "replicasets" => objects::replica_set(number, self.version),
            "services" => objects::service(number, self.version),
            "endpointslices" => objects::endpoint_slice(number, self.pods_of(number), self.version),
            "configmaps" => self.config_map(),
            _ => objects::namespaces(self.version).swap_remove(number),
        };
        let sent = if is_metadata { metadata(&object) } else { object };
        sent.to_string().into()
    }

    fn list(&self, resource: &str, parameters: &Parameters, is_metadata: bool) -> Response {
        let number = |key: &str| parameters.get(key).and_then(|text| text.parse::<usize>().ok());
        let (from, count) = (number("continue").unwrap_or(0), self.count(resource));
        let to = count.min(from.saturating_add(number("limit").unwrap_or(count)));
        let items: Vec<Arc<str>> = (from..to).map(|number| self.text(resource, number, is_metadata)).collect();
        let token = if to < count { to.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": self.version.to_string(), "continue": token});
        let body = format!(
            r#"{{"kind":"List","apiVersion":"v1","metadata":{metadata},"items":[{}]}}"#,
            items.iter().map(|item| &**item).collect::<Vec<_>>().join(",")
        );
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// The only ConfigMap: says whom to believe.
    fn config_map(&self) -> Value {
        let name = "extension-apiserver-authentication";
        let metadata = json!({"namespace": "kube-system", "name": name, "resourceVersion": "1"});
        json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": self.trust})
    }
}

/// A front proxy that is not there.
fn nobody() -> Value {
    let pair = rcgen::generate_simple_self_signed(vec!["front-proxy".to_owned()]).expect("a pair");
    json!({
        "requestheader-client-ca-file": pair.cert.pem(), "requestheader-allowed-names": "[\"front-proxy\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]", "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
    })
}

fn json_of(text: &str) -> std::io::Result<Value> {
    serde_json::from_str(text).map_err(std::io::Error::other)
}

fn text(pod: Pod) -> Arc<str> {
    pod.object(Phase::Ready, 1).to_string().into()
}

/// What is sent to who wants no more than the metadata.
fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// What is said of every token and of everything that anybody wants to do.
fn verdict(resource: &str) -> Option<Value> {
    let (kind, group, status) = match resource {
        "tokenreviews" => {
            let user = json!({"username": "system:serviceaccount:monitoring:prometheus", "groups": ["monitoring"]});
            ("TokenReview", "authentication.k8s.io/v1", json!({"authenticated": true, "user": user}))
        }
        "subjectaccessreviews" => ("SubjectAccessReview", "authorization.k8s.io/v1", json!({"allowed": true})),
        _ => return None,
    };
    Some(json!({"kind": kind, "apiVersion": group, "metadata": {}, "spec": {}, "status": status}))
}

const RESOURCES: [&str; 7] = ["pods", "replicasets", "jobs", "services", "endpointslices", "namespaces", "configmaps"];

async fn answer(
    State(server): State<Server>,
    uri: Uri,
    headers: HeaderMap,
    Query(parameters): Query<Parameters>,
) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    if uri.path().starts_with("/play/") {
        return play(&server, last, &parameters);
    }
    if last == "extension-apiserver-authentication" {
        return axum::Json(server.lock().config_map()).into_response();
    }
    if let Some(status) = verdict(last) {
        return axum::Json(status).into_response();
    }
    let Some(resource) = RESOURCES.into_iter().find(|resource| *resource == last) else {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"});
        return (StatusCode::NOT_FOUND, axum::Json(status)).into_response();
    };
    if parameters.get("watch").is_some_and(|watch| watch == "true") {
        return watch(server, resource, &parameters);
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    server.lock().list(resource, &parameters, accept.contains("as=PartialObjectMetadata"))
}

fn play(server: &Server, what: &str, parameters: &Parameters) -> Response {
    server.change(|cluster| match what {
        "add" => cluster.add(),
        "remove" => cluster.remove(),
        _ => cluster.rate = parameters.get("rate").and_then(|rate| rate.parse().ok()).unwrap_or(0),
    });
    StatusCode::OK.into_response()
}

fn watch(server: Server, resource: &'static str, parameters: &Parameters) -> Response {
    let number = |key: &str| parameters.get(key).and_then(|text| text.parse::<u64>().ok());
    let until = Instant::now() + Duration::from_secs(number("timeoutSeconds").unwrap_or(300));
    let (changes, since) = (server.changes.subscribe(), number("resourceVersion").unwrap_or(0));
    let bookmark = Instant::now() + BOOKMARK_PERIOD;
    let watching = Watching { server, changes, resource, since, until, bookmark };
    Body::from_stream(unfold(watching, Watching::step)).into_response()
}

// === impl Watching ===

impl Watching {
    /// The next lines; `None` ends the watch.
    async fn step(mut self) -> Option<(Result<String, Infallible>, Self)> {
        loop {
            let lines = self.lines();
            if !lines.is_empty() {
                return Some((Ok(lines), self));
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.bookmark) => {
                    self.bookmark += BOOKMARK_PERIOD;
                    return Some((Ok(self.bookmark_line()), self));
                }
                () = tokio::time::sleep_until(self.until) => return None,
            }
        }
    }

    /// What happened since the last look.
    fn lines(&mut self) -> String {
        let current = *self.changes.borrow_and_update();
        let cluster = self.server.lock();
        let first = cluster.events.front().map_or(0, |event| event.version);
        if self.since + 1 < first && cluster.events.len() >= EVENTS_MAX {
            drop(cluster);
            self.until = Instant::now();
            return gone();
        }
        let new = cluster.events.iter().rev().take_while(|event| event.version > self.since);
        let mut new: Vec<_> = new.filter(|event| event.resource == self.resource).map(|event| &*event.line).collect();
        new.reverse();
        let lines = new.concat();
        drop(cluster);
        self.since = self.since.max(current);
        lines
    }

    fn bookmark_line(&self) -> String {
        let metadata = json!({"resourceVersion": self.since.to_string()});
        let (kind, api_version) = ("Bookmark", "v1");
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
    }
}

fn gone() -> String {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version",
    });
    format!("{}\n", json!({"type": "ERROR", "object": status}))
}
