//! Follows an existing Secret with a certificate and its key, as cert-manager or a person writes it. Nothing is ever
//! written.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::serving::certificate::object_watch::{CHECK_INTERVAL, ObjectWatch, Sighting};
use crate::serving::certificate::{Certificate, CurrentCertificate, Part};

/// Keeps the certificate current. Run it as a task.
pub struct SecretWatch {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    pub current: CurrentCertificate,
    pub clock: Clock,
    /// How often the Secret is read even though the watch tells of no change.
    pub check_interval: Duration,
}

pub(super) const CERTIFICATE: &str = "tls.crt";
pub(super) const KEY: &str = "tls.key";

/// What was refused for its time is looked at again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

// === impl SecretWatch ===

impl SecretWatch {
    pub const CHECK_INTERVAL: Duration = CHECK_INTERVAL;

    /// Reads and watches until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let api = Api::namespaced(self.client.clone(), &self.namespace);
        let described = described(&self.namespace, &self.name);
        let secret = ObjectWatch::new(api, &self.name, described, self.check_interval);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = secret.run() => {}
            () = self.follow(&secret) => {}
        }
    }

    async fn follow(&self, secret: &ObjectWatch<Secret>) {
        let mut known = secret.publish.subscribe();
        loop {
            let sighting = known.borrow_and_update().clone();
            if let Some(offered) = offered(sighting, &secret.described) {
                self.current.offer(&secret.described, offered, self.clock.now());
            }
            tokio::select! {
                _ = known.changed() => {}
                () = tokio::time::sleep(RETRY_INTERVAL), if self.current.standing().borrow().refused.is_some() => {}
            }
        }
    }
}

/// `None` before the Secret was asked for.
fn offered(sighting: Sighting<Secret>, described: &str) -> Option<Result<Certificate, String>> {
    match sighting {
        Sighting::NotYet => None,
        Sighting::Absent => Some(Err(format!("{described} does not exist"))),
        Sighting::Unreadable(why) => Some(Err(why)),
        Sighting::Present(secret) => Some(pair(&secret, described)),
    }
}

fn pair(secret: &Secret, described: &str) -> Result<Certificate, String> {
    let names = [CERTIFICATE, KEY].map(|key| format!("the key {key} of {described}"));
    let text = |key: &str, name: &str| {
        let found = secret.data.as_ref().and_then(|data| data.get(key)).filter(|ByteString(text)| !text.is_empty());
        found.ok_or_else(|| format!("{name} is missing"))
    };
    let (certificate, key) = (text(CERTIFICATE, &names[0])?, text(KEY, &names[1])?);
    let certificate = Part { name: &names[0], pem: &certificate.0 };
    Certificate::from_pem(certificate, Part { name: &names[1], pem: &key.0 }).map_err(|error| error.to_string())
}

pub(super) fn described(namespace: &str, name: &str) -> String {
    format!("Secret {namespace}/{name}")
}
