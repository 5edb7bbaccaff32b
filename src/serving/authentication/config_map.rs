//! Reads ConfigMap `kube-system/extension-apiserver-authentication`, in which a kube-apiserver says who its front proxy
//! is, and follows its changes.
//!
//! What was good once stays in force when the ConfigMap is broken or gone or cannot be read. Before that, nobody is
//! trusted.

use std::error::Error;
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
use crate::config::one_line;
use crate::serving::authentication::{Metrics, RequestHeaderTrust};

/// What is known of the front proxy.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// By what requests are judged; `None` before there was anything good, and then nobody is trusted.
    pub in_force: Option<Arc<RequestHeaderTrust>>,
    /// Why what is in force may be old, or why nothing is; `None` when all is well, and before the first answer.
    pub trouble: Option<String>,
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
                        tracing::debug!("the watch of ConfigMap {NAMESPACE}/{NAME} breaks off: {}", chain(&error));
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
        let trust = found.and_then(|object| {
            let object = object.ok_or_else(|| format!("ConfigMap {NAMESPACE}/{NAME} does not exist"))?;
            let trust = RequestHeaderTrust::read(&object.data.unwrap_or_default());
            trust.map_err(|error| format!("ConfigMap {NAMESPACE}/{NAME}: {error}"))
        });
        match trust {
            Ok(trust) => {
                self.good(trust);
                true
            }
            Err(trouble) => {
                self.bad(trouble);
                false
            }
        }
    }

    fn good(&self, trust: RequestHeaderTrust) {
        let now = self.clock.now();
        self.metrics.confirmed(now);
        self.publish.send_if_modified(|known| {
            let recovered = known.trouble.take().is_some();
            let changed = known.in_force.as_deref() != Some(&trust);
            if changed {
                tracing::info!(authorities = trust.authorities(), "the front proxy of the cluster is trusted");
                self.metrics.updated(now);
                known.in_force = Some(Arc::new(trust));
            } else if recovered {
                tracing::info!("the requestheader CA in force is what the cluster says");
            }
            changed || recovered
        });
    }

    fn bad(&self, trouble: String) {
        self.publish.send_if_modified(|known| {
            if known.trouble.as_ref() == Some(&trouble) {
                return false;
            }
            tracing::warn!("{trouble}; {}", known.consequence());
            known.trouble = Some(trouble);
            true
        });
    }
}

// === impl Trust ===

impl Trust {
    /// What follows from trouble.
    pub fn consequence(&self) -> &'static str {
        match self.in_force {
            Some(_) => "the last good requestheader CA stays in force",
            None => "nobody is trusted, and requests are refused",
        }
    }
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
        return format!("ConfigMap {NAMESPACE}/{NAME} cannot be read: {}", chain(error));
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

/// An error with its causes; those that the text has already are left out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    one_line(&text)
}
