//! One watch. In: what the kube-apiserver says of one kind, in one namespace or in all. Out: [`News`] in order.
//!
//! It never ends by itself: after a failure it goes on where it stood, and lists again where that is forgotten. A list
//! that fails is never taken for an empty one.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicObject, DynamicResourceScope};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::{Cause, Failure};
use super::index::{Kind, ObjectName, Watched};
use super::line::Line;
use super::reading::Reading;
use super::sparse::Sparse;

/// What a watch is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub kind: Kind,
    /// `None` for all namespaces.
    pub namespace: Option<String>,
    /// The only object, for a kind of which others are nobody's business.
    pub name: Option<String>,
}

/// One running watch and where its news go.
pub(super) struct Watch {
    pub scope: Scope,
    /// No two watches of a process have the same.
    pub number: u64,
    pub news: mpsc::Sender<Message>,
    pub patience: Patience,
}

/// How long what is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// The server ends a watch after this many seconds, and it is taken up again: so one that is dead without a word is
    /// noticed. A read time-out of the client must be longer by [`watcher()`]'s margin of 5 s.
    pub watch_seconds: u32,
    /// A page of a list comes within this time.
    pub page: Duration,
}

/// News of one watch.
pub(super) struct Message {
    pub number: u64,
    pub news: News,
}

/// What happened.
pub(super) enum News {
    /// An object as it is now.
    Object(Box<Watched>),
    Deleted(ObjectName),
    /// An object that is there, and why nothing more can be read of it.
    Unreadable(ObjectName, String),
    /// The objects were listed, and there are no others.
    Listed(HashSet<ObjectName>),
    Failed(Failure),
    /// The server answers again.
    Answered,
}

/// Nobody wants the news any more.
struct Closed;

/// How long to wait after a failure.
struct Pause {
    delay: Duration,
    /// When the last failure was.
    last: Option<Instant>,
}

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// For what someone has to change first: a permission, a kind that is not there.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);

// === impl Watch ===

impl Watch {
    /// Follows the objects until nobody wants the news.
    pub(super) async fn run(self, client: kube::Client) {
        let line = Line::new(client);
        let Closed = match self.scope.kind {
            Kind::Pod => self.follow_typed(|object: Sparse<Pod, _>| Watched::Pod(object.fields), &line).await,
            Kind::ReplicaSet => {
                self.follow_typed(|object: Sparse<ReplicaSet, _>| Watched::ReplicaSet(object.fields), &line).await
            }
            Kind::Job => self.follow_typed(|object: Sparse<Job, _>| Watched::Job(object.fields), &line).await,
            Kind::Service => {
                self.follow_typed(|object: Sparse<Service, _>| Watched::Service(object.fields), &line).await
            }
            Kind::EndpointSlice => {
                self.follow_typed(|object: Sparse<EndpointSlice, _>| Watched::EndpointSlice(object.fields), &line).await
            }
            Kind::Namespace => {
                let all = (Api::all(line.client()), Api::all(line.client()));
                self.follow(all, |object: Sparse<Namespace, _>| Watched::Namespace(object.fields), &line).await
            }
            Kind::PodMonitor => self.follow_monitors(Watched::PodMonitor, &line).await,
            Kind::ServiceMonitor => self.follow_monitors(Watched::ServiceMonitor, &line).await,
            Kind::Secret => self.follow_typed(Watched::Secret, &line).await,
            Kind::ConfigMap => self.follow_typed(Watched::ConfigMap, &line).await,
        };
    }

    async fn follow_typed<K>(&self, watched: fn(K) -> Watched, line: &Line) -> Closed
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let (client, namespace) = (line.client(), self.scope.namespace.as_deref());
        self.follow((api(client.clone(), namespace), api(client, namespace)), watched, line).await
    }

    async fn follow_monitors(&self, watched: fn(DynamicObject) -> Watched, line: &Line) -> Closed {
        let resource = self.scope.kind.api_resource();
        let (client, namespace) = (line.client(), self.scope.namespace.as_deref());
        let apis = (api_with(client.clone(), namespace, &resource), api_with(client, namespace, &resource));
        self.follow(apis, watched, line).await
    }

    fn config(&self) -> watcher::Config {
        let config =
            watcher::Config::default().timeout(self.patience.watch_seconds).page_size(page_size(self.scope.kind));
        match &self.scope.name {
            Some(name) => config.fields(&format!("metadata.name={name}")),
            None => config,
        }
    }

    /// One list after the other, each followed for as long as that works. After an answer that could not be read the
    /// next is read object by object: that takes longer, and one bad object costs no other.
    async fn follow<K>(&self, apis: (Api<K>, Api<Reading<K>>), watched: fn(K) -> Watched, line: &Line) -> Closed
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        K::DynamicType: Clone,
    {
        let mut pause = Pause { delay: PAUSE_MIN, last: None };
        let object = |object| News::Object(Box::new(watched(object)));
        let reading =
            |reading: Reading<K>| reading.object.map_or_else(|why| News::Unreadable(name(&reading.meta), why), object);
        let mut is_wary = false;
        loop {
            let ended = if is_wary {
                self.relay(pin!(watcher(apis.1.clone(), self.config())), reading, line, &mut pause).await
            } else {
                self.relay(pin!(watcher(apis.0.clone(), self.config())), object, line, &mut pause).await
            };
            match ended {
                // One that came to a halt says nothing of the objects.
                Ok(Cause::Silent) => {}
                Ok(cause) => is_wary = cause == Cause::Garbled && !is_wary,
                Err(closed) => return closed,
            }
        }
    }

    /// Tells what a stream says until a new list is needed, and gives the reason.
    async fn relay<K: Resource>(
        &self,
        mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
        news: impl Fn(K) -> News,
        line: &Line,
        pause: &mut Pause,
    ) -> Result<Cause, Closed> {
        let mut listing = None;
        loop {
            let event = tokio::select! {
                biased;
                () = line.answered() => {
                    self.tell(News::Answered).await?;
                    continue;
                }
                event = self.next(stream.as_mut(), listing.is_some()) => event,
            };
            match event {
                Ok(Event::Init) => listing = Some(HashSet::new()),
                Ok(Event::InitApply(object)) => {
                    listing.get_or_insert_default().insert(name(object.meta()));
                    self.tell(news(object)).await?;
                }
                Ok(Event::InitDone) => self.tell(News::Listed(listing.take().unwrap_or_default())).await?,
                Ok(Event::Apply(object)) => self.tell(news(object)).await?,
                Ok(Event::Delete(object)) => self.tell(News::Deleted(name(object.meta()))).await?,
                Err(failure) => {
                    line.failed();
                    let (cause, delay) = (failure.cause, pause.after(&failure));
                    // A page that does not come is not waited for again: its connection may be dead without a word.
                    let is_stuck = cause == Cause::Silent && listing.is_some();
                    let needs_list = failure.needs_list() || is_stuck;
                    self.tell(News::Failed(failure)).await?;
                    tokio::time::sleep(delay).await;
                    if needs_list {
                        return Ok(cause);
                    }
                }
            }
        }
    }

    /// The next event; a watch may be silent, a list may not.
    async fn next<K>(
        &self,
        mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
        is_listing: bool,
    ) -> Result<Event<K>, Failure> {
        let patience = if is_listing { self.patience.page } else { Duration::MAX };
        match tokio::time::timeout(patience, stream.next()).await {
            Ok(Some(event)) => event.map_err(|error| Failure::from(&error)),
            Ok(None) => Err(Failure::silent("the watch ended")),
            Err(_) => Err(Failure::silent(format_args!("no page of the list within {} s", patience.as_secs_f64()))),
        }
    }

    async fn tell(&self, news: News) -> Result<(), Closed> {
        self.news.send(Message { number: self.number, news }).await.map_err(|_| Closed)
    }
}

/// Objects of one page of a list. A page is held in memory as a whole, as text and thrice over. The allocator of glibc
/// keeps twice the size of the largest block that it ever gave back, in every arena (mallopt(3), `M_TRIM_THRESHOLD`): so
/// a page is some 300 KB of text. A pod has 8 KB, a slice with its 100 endpoints 30 KB.
fn page_size(kind: Kind) -> u32 {
    match kind {
        Kind::Pod => 40,
        Kind::EndpointSlice => 10,
        _ => 100,
    }
}

fn api<K>(client: kube::Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

fn api_with<K>(client: kube::Client, namespace: Option<&str>, resource: &ApiResource) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

fn name(meta: &ObjectMeta) -> ObjectName {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self { watch_seconds: 60, page: Duration::from_secs(30) }
    }
}

// === impl Pause ===

impl Pause {
    /// Doubles while failures follow each other; a while without any starts again.
    fn after(&mut self, failure: &Failure) -> Duration {
        let now = Instant::now();
        let is_fresh = self.last.is_none_or(|last| now - last > 3 * PAUSE_MAX);
        self.last = Some(now);
        self.delay = if is_fresh { PAUSE_MIN } else { PAUSE_MAX.min(self.delay * 2) };
        match failure.cause {
            Cause::Forbidden | Cause::Absent => PAUSE_REFUSED,
            Cause::Silent | Cause::Refused | Cause::Expired | Cause::Garbled => self.delay,
        }
    }
}

#[cfg(test)]
mod tests;
