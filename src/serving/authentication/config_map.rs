//! Reads ConfigMap `kube-system/extension-apiserver-authentication`, in which a kube-apiserver says who its front proxy
//! is and who signs the certificates of users, and follows its changes.
//!
//! Of each of the two, what was good once stays in force when the ConfigMap is broken or gone or cannot be read. Before
//! that, nobody is trusted by a certificate.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{one_line, with_causes};
use crate::serving::authentication::client_trust::CA;
use crate::serving::authentication::{ClientTrust, Metrics, RequestHeaderTrust, TrustError};

/// What is known of who is to be believed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// By what requests are judged.
    pub in_force: Arc<Anchors>,
    /// Why what is in force may be old, or why something is not, and what follows; `None` when all is well, and before
    /// the first answer.
    pub trouble: Option<String>,
}

/// Whose certificates are believed, and in what. Without them nobody's are.
#[derive(Debug, Default)]
pub struct Anchors {
    pub front_proxy: Option<Arc<RequestHeaderTrust>>,
    pub clients: Option<Arc<ClientTrust>>,
}

/// What the ConfigMap says, each of the two on its own.
struct Said {
    front_proxy: Result<RequestHeaderTrust, TrustError>,
    clients: Result<Option<ClientTrust>, TrustError>,
}

/// Keeps a [`Trust`] current. Run it as a task.
pub struct TrustWatch {
    pub client: Client,
    pub publish: watch::Sender<Trust>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// How often the ConfigMap is read even though the watch tells of no change.
    pub check_interval: Duration,
}

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// A kube-apiserver that takes longer to show one object is ill.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is wrong is looked at again after this time: the watch waits half a minute between tries in a longer outage, and
/// one object is little to ask for.
const RECHECK_INTERVAL: Duration = Duration::from_secs(2);

// === impl TrustWatch ===

impl TrustWatch {
    /// As often as kube-apiservers themselves look.
    pub const CHECK_INTERVAL: Duration = Duration::from_secs(60);

    /// Reads and watches until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let api = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut changes = pin!(watch_object(api.clone(), NAME).default_backoff());
        let mut checks = interval(self.check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let found = tokio::select! {
                Some(change) = changes.next() => match change {
                    Ok(found) => Ok(found),
                    // A watch that breaks off is no trouble when the object can be read; it is resumed by itself.
                    Err(error) => {
                        tracing::debug!("the watch of ConfigMap {NAMESPACE}/{NAME} breaks off: {}", with_causes(&error));
                        read(&api).await
                    }
                },
                _ = checks.tick() => read(&api).await,
            };
            if !self.take(found) {
                checks.reset_after(RECHECK_INTERVAL.min(self.check_interval));
            }
        }
    }

    /// Returns whether all is well.
    fn take(&self, found: Result<Option<ConfigMap>, String>) -> bool {
        let found =
            found.and_then(|object| object.ok_or_else(|| format!("ConfigMap {NAMESPACE}/{NAME} does not exist")));
        let before = self.publish.borrow().clone();
        let after = match found {
            Ok(object) => before.with(Said::of(&object.data.unwrap_or_default())),
            Err(trouble) => before.in_trouble(&trouble),
        };
        self.report(&before, &after);
        let is_well = after.trouble.is_none();
        let is_news = !Arc::ptr_eq(&before.in_force, &after.in_force) || before.trouble != after.trouble;
        self.publish.send_if_modified(|known| {
            *known = after;
            is_news
        });
        is_well
    }

    /// Says what is new.
    fn report(&self, before: &Trust, after: &Trust) {
        let (now, is_new) = (self.clock.now(), !Arc::ptr_eq(&before.in_force, &after.in_force));
        if is_new {
            let front_proxy = after.in_force.front_proxy.as_ref().map_or(0, |trust| trust.authorities());
            let clients = after.in_force.clients.as_ref().map_or(0, |trust| trust.authorities());
            tracing::info!(
                front_proxy,
                clients,
                "the CAs of the cluster for the front proxy and for users are in force"
            );
            after.in_force.weakness().iter().for_each(|weakness| tracing::warn!("{weakness}"));
            self.metrics.updated(now);
        }
        match &after.trouble {
            Some(trouble) if before.trouble.as_ref() != Some(trouble) => tracing::warn!("{trouble}"),
            None if before.trouble.is_some() && !is_new => {
                tracing::info!("the CAs in force are what the cluster says");
            }
            Some(_) | None => {}
        }
        if after.trouble.is_none() {
            self.metrics.confirmed(now);
        }
    }
}

// === impl Trust ===

impl Trust {
    /// What is known when nothing can be read.
    fn in_trouble(&self, trouble: &str) -> Self {
        let consequence = match self.in_force.front_proxy {
            Some(_) => "the last good requestheader CA stays in force",
            None => "nobody is trusted, and requests are refused",
        };
        Self { in_force: self.in_force.clone(), trouble: Some(format!("{trouble}; {consequence}")) }
    }

    /// What is known when this is said: of each of the two the new, or else the last that was good.
    fn with(&self, said: Said) -> Self {
        let (known, mut troubles) = (&*self.in_force, Vec::new());
        let front_proxy = said.front_proxy.map_err(|error| {
            let rest = "the last good requestheader CA stays in force";
            let nothing = "no front proxy is trusted, and requests through the kube-apiserver are refused";
            troubles.push(trouble(&error, if known.front_proxy.is_some() { rest } else { nothing }));
        });
        let clients = said.clients.and_then(|said| match (said, &known.clients) {
            (None, Some(_)) => Err(TrustError::Missing(CA)),
            (said, _) => Ok(said),
        });
        let clients = clients.map_err(|error| {
            let (rest, nothing) = ("the last good client CA stays in force", "no certificate of a user is trusted");
            troubles.push(trouble(&error, if known.clients.is_some() { rest } else { nothing }));
        });
        let front_proxy = newer(&known.front_proxy, front_proxy.ok());
        let clients = newer(&known.clients, clients.ok().flatten());
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        let is_same = same(&known.front_proxy, &front_proxy) && same(&known.clients, &clients);
        let in_force = if is_same { self.in_force.clone() } else { Arc::new(Anchors { front_proxy, clients }) };
        Self { in_force, trouble }
    }
}

// === impl Anchors ===

impl Anchors {
    /// What is wrong with whom the cluster believes; it is believed all the same, since the cluster itself does.
    pub fn weakness(&self) -> Option<String> {
        let (front_proxy, clients) = (self.front_proxy.as_ref()?, self.clients.as_ref()?);
        front_proxy.lets_users_impersonate(clients).then(|| {
            format!(
                "ConfigMap {NAMESPACE}/{NAME}: the requestheader CA is the client CA too, and any name is allowed, so \
                 every user with a certificate can ask as any other; run the kube-apiserver with the flag \
                 --requestheader-allowed-names, or with two CAs"
            )
        })
    }
}

// === impl Said ===

impl Said {
    fn of(data: &BTreeMap<String, String>) -> Self {
        Self { front_proxy: RequestHeaderTrust::read(data), clients: ClientTrust::read(data) }
    }
}

fn trouble(error: &TrustError, consequence: &str) -> String {
    format!("ConfigMap {NAMESPACE}/{NAME}: {error}; {consequence}")
}

/// What is known stays the same where what was said is: connections remember by what they were judged.
fn newer<T: PartialEq>(known: &Option<Arc<T>>, said: Option<T>) -> Option<Arc<T>> {
    match said {
        Some(said) if known.as_deref() != Some(&said) => Some(Arc::new(said)),
        _ => known.clone(),
    }
}

fn same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
}

/// `None` when there is no such object.
async fn read(api: &Api<ConfigMap>) -> Result<Option<ConfigMap>, String> {
    match timeout(READ_TIMEOUT, api.get_opt(NAME)).await {
        Ok(found) => found.map_err(|error| describe(&error)),
        Err(_) => Err(format!("ConfigMap {NAMESPACE}/{NAME} cannot be read: no answer within {READ_TIMEOUT:?}")),
    }
}

/// Why the object cannot be read, on one line.
fn describe(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return format!("ConfigMap {NAMESPACE}/{NAME} cannot be read: {}", with_causes(error));
    };
    let said = one_line(&status.message);
    match status.is_forbidden() {
        true => format!(
            "ConfigMap {NAMESPACE}/{NAME} may not be read: {said}; create a RoleBinding in namespace {NAMESPACE} that \
             gives the Role extension-apiserver-authentication-reader to the ServiceAccount of Plimsoll"
        ),
        false => format!("ConfigMap {NAMESPACE}/{NAME} cannot be read: code {}: {said}", status.code),
    }
}
