//! Follows one object of the cluster by its name: by a watch, and by reading it now and then, in case the watch tells
//! nothing. What is known goes out on a channel.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::config::{one_line, with_causes};

/// Keeps a [`Sighting`] current.
pub(super) struct ObjectWatch<K> {
    pub api: Api<K>,
    pub name: String,
    /// Kind, namespace and name, for messages.
    pub described: String,
    /// How often the object is read even though the watch tells of no change.
    pub check_interval: Duration,
    pub publish: watch::Sender<Sighting<K>>,
}

/// What is known of an object.
#[derive(Debug)]
pub(super) enum Sighting<K> {
    /// Nobody has looked.
    NotYet,
    Absent,
    Present(Arc<K>),
    /// Why it cannot be read.
    Unreadable(String),
}

/// A kube-apiserver that takes longer for one object is ill.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// As often as kube-apiservers look at what they depend on.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// How often one look reads the object where something else is told each time meanwhile. Who tells is then as recent.
const READS_MAX: usize = 3;

/// What cannot be read is tried again after this time: the watch waits half a minute between tries in a longer outage.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);

// === impl ObjectWatch ===

impl<K> ObjectWatch<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    pub(super) fn new(api: Api<K>, name: &str, described: String, check_interval: Duration) -> Self {
        let publish = watch::Sender::new(Sighting::NotYet);
        Self { api, name: name.to_owned(), described, check_interval, publish }
    }

    /// Follows the object; never returns.
    pub(super) async fn run(&self) {
        let mut changes = pin!(watch_object(self.api.clone(), &self.name).default_backoff());
        let mut checks = interval(self.check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(change) = changes.next() => match change {
                    Ok(found) => self.tell(found.into()),
                    // A watch that breaks off is no trouble when the object can be read; it is resumed by itself.
                    Err(error) => {
                        tracing::debug!("the watch of {} breaks off: {}", self.described, with_causes(&error));
                        self.look().await;
                    }
                },
                _ = checks.tick() => self.look().await,
            }
            if matches!(&*self.publish.borrow(), Sighting::Unreadable(_)) {
                checks.reset_after(RECHECK_INTERVAL.min(self.check_interval));
            }
        }
    }

    /// Reads the object now. What the watch or a write told while the answer was on its way may be newer than the answer,
    /// which is then read again: versions are not compared, for a cluster that is restored counts anew from a lower one.
    pub(super) async fn look(&self) {
        for _ in 0..READS_MAX {
            let told = self.publish.subscribe();
            let found = self.read().await;
            // Whoever tells is in the same task, so nothing comes between this and the next line.
            if !told.has_changed().expect("the sender is ours") {
                return self.tell(found);
            }
        }
    }

    async fn read(&self) -> Sighting<K> {
        match timeout(REQUEST_TIMEOUT, self.api.get_opt(&self.name)).await {
            Ok(Ok(found)) => found.into(),
            Ok(Err(error)) => Sighting::Unreadable(self.failed("read", &error)),
            Err(_) => {
                Sighting::Unreadable(format!("{} cannot be read: no answer within {REQUEST_TIMEOUT:?}", self.described))
            }
        }
    }

    /// Takes over what is known from elsewhere, as the answer to a write.
    pub(super) fn tell(&self, sighting: Sighting<K>) {
        self.publish.send_replace(sighting);
    }

    pub(super) fn last(&self) -> Sighting<K> {
        self.publish.borrow().clone()
    }

    /// Why something cannot be done with the object, on one line; `verb` as in "read", which is what was tried.
    pub(super) fn failed(&self, verb: &str, error: &kube::Error) -> String {
        let kube::Error::Api(status) = error else {
            return format!("{} cannot be {verb}: {}", self.described, with_causes(error));
        };
        let said = one_line(&status.message);
        match status.is_forbidden() {
            true => format!("{} may not be {verb}: {said}", self.described),
            false => format!("{} cannot be {verb}: code {}: {said}", self.described, status.code),
        }
    }
}

// === impl Sighting ===

impl<K> Clone for Sighting<K> {
    fn clone(&self) -> Self {
        match self {
            Self::NotYet => Self::NotYet,
            Self::Absent => Self::Absent,
            Self::Present(object) => Self::Present(object.clone()),
            Self::Unreadable(why) => Self::Unreadable(why.clone()),
        }
    }
}

impl<K> From<Option<K>> for Sighting<K> {
    fn from(found: Option<K>) -> Self {
        found.map_or(Self::Absent, |object| Self::Present(Arc::new(object)))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use std::collections::VecDeque;
    use std::sync::Mutex;

    use hyper::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;

    /// A kube-apiserver that answers with these versions in turn, none for an object that is not there; the first answer
    /// waits for the signal.
    fn watch(versions: &[Option<&str>], release: oneshot::Receiver<()>) -> ObjectWatch<Secret> {
        let answers: VecDeque<_> = versions.iter().map(|version| answer(*version)).collect();
        let (answers, release) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(Some(release))));
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answers.lock().expect("not poisoned").pop_front().expect("it is not asked more often");
            let release = release.lock().expect("not poisoned").take();
            async move {
                if let Some(release) = release {
                    release.await?;
                }
                Ok::<_, Box<dyn Error + Send + Sync>>(answer)
            }
        });
        let api = Api::namespaced(kube::Client::new(service, "ns"), "ns");
        ObjectWatch::new(api, "serving", "Secret ns/serving".into(), CHECK_INTERVAL)
    }

    fn answer(version: Option<&str>) -> Response<Body> {
        let (code, body) = match version {
            Some(version) => (200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(version)})),
            None => (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"})),
        };
        Response::builder().status(code).body(body.to_string().into_bytes().into()).expect("an answer")
    }

    fn metadata(version: &str) -> serde_json::Value {
        json!({"name": "serving", "uid": "1", "resourceVersion": version})
    }

    fn told(version: &str) -> Sighting<Secret> {
        let secret = serde_json::from_value(json!({"metadata": metadata(version)})).expect("a Secret");
        Sighting::Present(Arc::new(secret))
    }

    fn version(watch: &ObjectWatch<Secret>) -> Option<String> {
        match watch.last() {
            Sighting::Present(secret) => secret.metadata.resource_version.clone(),
            _ => None,
        }
    }

    #[tokio::test]
    async fn an_answer_that_was_overtaken_by_the_watch_replaces_nothing() {
        for overtaken in [Some("7"), None] {
            let (release, released) = oneshot::channel();
            let watch = watch(&[overtaken, Some("9")], released);
            let overtake = async {
                tokio::task::yield_now().await;
                watch.tell(told("8"));
                release.send(()).expect("it is waited for");
            };
            tokio::join!(watch.look(), overtake);
            assert_eq!(version(&watch).as_deref(), Some("9"), "{overtaken:?}");
        }
    }

    #[tokio::test]
    async fn what_was_not_overtaken_is_taken_whatever_its_version() {
        let (release, released) = oneshot::channel();
        let watch = watch(&[Some("7")], released);
        watch.tell(told("8"));
        release.send(()).expect("it is waited for");
        watch.look().await;
        assert_eq!(version(&watch).as_deref(), Some("7"));
    }
}
