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
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::{Cause, Failure};
use super::index::{Kind, ObjectName, Watched};
use super::line::Line;

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

/// The server ends a watch after this many seconds, and it is taken up again: so one that is dead without a word is
/// noticed. A read time-out of the client must be longer by [`watcher()`]'s margin of 5 s.
const WATCH_SECONDS: u32 = 60;

/// Objects of one page of a list; a page is held in memory as a whole, with everything its objects have.
const PAGE_SIZE: u32 = 250;

/// A page of a list comes within this time.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// For what someone has to change first: a permission, a kind that is not there.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);

// === impl Watch ===

impl Watch {
    /// Follows the objects until nobody wants the news.
    pub(super) async fn run(self, client: kube::Client) {
        let line = Line::new(client);
        let client = line.client();
        let kind = self.scope.kind;
        let monitors = || self.api_with(client.clone(), kind);
        let Closed = match kind {
            Kind::Pod => self.follow(self.api(client), Watched::Pod, &line).await,
            Kind::ReplicaSet => self.follow(self.api(client), Watched::ReplicaSet, &line).await,
            Kind::Job => self.follow(self.api(client), Watched::Job, &line).await,
            Kind::Service => self.follow(self.api(client), Watched::Service, &line).await,
            Kind::EndpointSlice => self.follow(self.api(client), Watched::EndpointSlice, &line).await,
            Kind::Namespace => self.follow(Api::all(client), Watched::Namespace, &line).await,
            Kind::PodMonitor => self.follow(monitors(), Watched::PodMonitor, &line).await,
            Kind::ServiceMonitor => self.follow(monitors(), Watched::ServiceMonitor, &line).await,
            Kind::Secret => self.follow(self.api(client), Watched::Secret, &line).await,
            Kind::ConfigMap => self.follow(self.api(client), Watched::ConfigMap, &line).await,
        };
    }

    fn api<K>(&self, client: kube::Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.scope.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    fn api_with(&self, client: kube::Client, kind: Kind) -> Api<DynamicObject> {
        match &self.scope.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &kind.api_resource()),
            None => Api::all_with(client, &kind.api_resource()),
        }
    }

    fn config(&self) -> watcher::Config {
        let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE_SIZE);
        match &self.scope.name {
            Some(name) => config.fields(&format!("metadata.name={name}")),
            None => config,
        }
    }

    /// One list after the other, each followed for as long as that works.
    async fn follow<K>(&self, api: Api<K>, watched: fn(K) -> Watched, line: &Line) -> Closed
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut pause = Pause { delay: PAUSE_MIN, last: None };
        loop {
            let stream = pin!(watcher(api.clone(), self.config()));
            if let Err(closed) = self.relay(stream, watched, line, &mut pause).await {
                return closed;
            }
        }
    }

    /// Tells what a stream says until a new list is needed.
    async fn relay<K: Resource>(
        &self,
        mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
        watched: fn(K) -> Watched,
        line: &Line,
        pause: &mut Pause,
    ) -> Result<(), Closed> {
        let mut listing = None;
        loop {
            let event = tokio::select! {
                biased;
                () = line.answered() => {
                    self.tell(News::Answered).await?;
                    continue;
                }
                event = next(stream.as_mut(), listing.is_some()) => event,
            };
            match event {
                Ok(Event::Init) => listing = Some(HashSet::new()),
                Ok(Event::InitApply(object)) => {
                    listing.get_or_insert_default().insert(name(&object));
                    self.tell(News::Object(Box::new(watched(object)))).await?;
                }
                Ok(Event::InitDone) => self.tell(News::Listed(listing.take().unwrap_or_default())).await?,
                Ok(Event::Apply(object)) => self.tell(News::Object(Box::new(watched(object)))).await?,
                Ok(Event::Delete(object)) => self.tell(News::Deleted(name(&object))).await?,
                Err(failure) => {
                    line.failed();
                    let (needs_list, delay) = (failure.needs_list(), pause.after(&failure));
                    self.tell(News::Failed(failure)).await?;
                    tokio::time::sleep(delay).await;
                    if needs_list {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn tell(&self, news: News) -> Result<(), Closed> {
        self.news.send(Message { number: self.number, news }).await.map_err(|_| Closed)
    }
}

/// The next event; a watch may be silent, a list may not.
async fn next<K>(
    mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
    is_listing: bool,
) -> Result<Event<K>, Failure> {
    let patience = if is_listing { PAGE_TIMEOUT } else { Duration::MAX };
    match tokio::time::timeout(patience, stream.next()).await {
        Ok(Some(event)) => event.map_err(|error| Failure::from(&error)),
        Ok(None) => Err(Failure::silent("the watch ended")),
        Err(_) => Err(Failure::silent(format_args!("no page of the list within {} s", PAGE_TIMEOUT.as_secs()))),
    }
}

fn name(object: &impl Resource) -> ObjectName {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
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
