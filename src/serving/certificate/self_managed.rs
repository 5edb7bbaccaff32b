//! Makes the serving certificate itself. A Secret comes in, which all replicas share, and the APIServices; what is served
//! goes out, and both objects are kept as they have to be.
//!
//! What is served is what the Secret holds: a certificate that could not be stored is never shown. Each write names the
//! version it rests on, so that of two replicas the second takes what the first has written. Nothing is done by old
//! knowledge: what a step rests on is read again before. What cannot be understood is never overwritten, nor a `caBundle`
//! that somebody else claims. Nothing is written by a clock that is not the kube-apiserver's, and nothing again and again.

mod api_services;
mod authority;
mod change;
mod keeper;
mod keyring;
mod pace;
mod plan;
mod skew;
#[cfg(test)]
mod tests;

pub use api_services::ServiceName;

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::serving::certificate::object_watch::{CHECK_INTERVAL, ObjectWatch, Sighting};
use crate::serving::certificate::secret::described;
use crate::serving::certificate::{CurrentCertificate, Metrics};
use keeper::Keeper;
use plan::{Schedule, Trust};

/// Keeps the certificate current. Run it as a task.
pub struct SelfManaged {
    pub client: Client,
    /// In the namespace of the Service.
    pub secret: String,
    pub service: ServiceName,
    pub api_services: [String; 3],
    pub lifetimes: Lifetimes,
    pub current: CurrentCertificate,
    pub clock: Clock,
    pub metrics: Metrics,
    /// How often objects are read even though the watches tell of no change.
    pub check_interval: Duration,
}

/// How long what is made is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    pub certificate: Duration,
    pub authority: Duration,
}

/// The objects, as they are followed.
struct Watches {
    secret: ObjectWatch<Secret>,
    api_services: Vec<ObjectWatch<APIService>>,
}

/// A kube-apiserver hears of a change by its watch, within a second; this is for those that are far behind.
const GRACE_MAX: Duration = Duration::from_secs(300);

// === impl Lifetimes ===

impl Default for Lifetimes {
    /// A month, of which ten days are left when something keeps it from being renewed. An authority of a year, so that
    /// its change is nothing that happens to others: longer would protect nothing, for it stands in the same Secret and
    /// is trusted for this Service alone.
    fn default() -> Self {
        Self { certificate: Duration::from_secs(30 * 86_400), authority: Duration::from_secs(365 * 86_400) }
    }
}

impl Lifetimes {
    /// Lives of a serving certificate that an authority has to have at least: two for its successor, one for itself.
    pub const AUTHORITY_MIN: u32 = 3;

    fn schedule(self) -> Schedule {
        let grace = (self.certificate / 10).min(GRACE_MAX);
        Schedule { certificate_lifetime: self.certificate, authority_lifetime: self.authority, grace, jitter: jitter() }
    }
}

/// From 0 to 1, by the seeds that the standard library gives its hash maps.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

// === impl SelfManaged ===

impl SelfManaged {
    pub const CHECK_INTERVAL: Duration = CHECK_INTERVAL;

    /// Reads, watches and writes until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let watches = Watches::new(&self);
        let keeper = Keeper::new(&self, &watches);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = watches.run() => {}
            () = keeper.run() => {}
        }
    }
}

// === impl Watches ===

impl Watches {
    fn new(given: &SelfManaged) -> Self {
        let (client, interval) = (&given.client, given.check_interval);
        let namespace = &given.service.namespace;
        let secret = Api::namespaced(client.clone(), namespace);
        let secret = ObjectWatch::new(secret, &given.secret, described(namespace, &given.secret), interval);
        let api_service =
            |name: &String| ObjectWatch::new(Api::all(client.clone()), name, format!("APIService {name}"), interval);
        Self { secret, api_services: given.api_services.iter().map(api_service).collect() }
    }

    async fn run(&self) {
        tokio::join!(self.secret.run(), join_all(self.api_services.iter().map(ObjectWatch::run)));
    }

    /// Whether the Secret, read now, is still of this version.
    async fn is_current(&self, secret: &Secret) -> bool {
        self.secret.look().await;
        let version = &secret.metadata.resource_version;
        matches!(self.secret.last(), Sighting::Present(found) if found.metadata.resource_version == *version)
    }

    async fn look_at_api_services(&self) {
        join_all(self.api_services.iter().map(ObjectWatch::look)).await;
    }

    fn trust(&self, service: &ServiceName) -> Vec<Trust> {
        self.api_services.iter().map(|watch| api_services::trust(&watch.last(), service)).collect()
    }

    fn remarks(&self, service: &ServiceName, wanted: Option<&str>) -> Vec<String> {
        let remark = |watch: &ObjectWatch<_>| api_services::remark(&watch.last(), &watch.described, service, wanted);
        self.api_services.iter().filter_map(remark).collect()
    }
}
