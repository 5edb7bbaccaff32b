//! Where the serving certificate comes from, and the task that keeps it current.

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::clock::Clock;
use crate::server::{CertificateSource, StartError};
use crate::serving::{Certificate, CertificateMetrics, CurrentCertificate, FileWatch, SecretWatch, SelfManaged};

/// Keeps the certificate current.
pub(super) enum Keeper {
    Files(FileWatch),
    Secret(SecretWatch),
    SelfManaged(Box<SelfManaged>),
}

// === impl CertificateSource ===

impl CertificateSource {
    /// What is served from now on, and the task that changes it; none for a certificate that never changes. Files have
    /// to be good now, as the configuration has; a Secret is waited for.
    pub(super) fn start(
        self,
        cluster: Option<&kube::Client>,
        clock: &Clock,
        registry: &mut Registry,
    ) -> Result<(CurrentCertificate, Option<Keeper>), StartError> {
        let (metrics, clock) = (CertificateMetrics::register(registry), clock.clone());
        let (certificate, key) = match self {
            Self::SelfSigned => {
                let made = Certificate::self_signed(clock.now())?;
                return Ok((CurrentCertificate::of(made, metrics), None));
            }
            Self::Files { certificate, key } => (certificate, key),
            in_cluster => return in_cluster.await_secret(cluster, clock, metrics),
        };
        let first = Certificate::from_files(&certificate, &key)?;
        first.check_time(&certificate.display().to_string(), clock.now())?;
        let (current, poll_interval) = (CurrentCertificate::of(first, metrics), FileWatch::POLL_INTERVAL);
        let keeper = FileWatch { certificate, key, current: current.clone(), clock, poll_interval };
        Ok((current, Some(Keeper::Files(keeper))))
    }

    fn await_secret(
        self,
        cluster: Option<&kube::Client>,
        clock: Clock,
        metrics: CertificateMetrics,
    ) -> Result<(CurrentCertificate, Option<Keeper>), StartError> {
        let client = cluster.cloned().ok_or_else(|| StartError::NoCluster(self.secret()))?;
        let current = CurrentCertificate::awaited(metrics.clone(), clock.now())?;
        let served = current.clone();
        let keeper = match self {
            Self::Secret { namespace, name } => {
                let check_interval = SecretWatch::CHECK_INTERVAL;
                Keeper::Secret(SecretWatch { client, namespace, name, current, clock, check_interval })
            }
            Self::SelfManaged { secret, service, lifetimes } => {
                let (api_services, check_interval) = (api_services(), SelfManaged::CHECK_INTERVAL);
                Keeper::SelfManaged(Box::new(SelfManaged {
                    client,
                    secret,
                    service,
                    api_services,
                    lifetimes,
                    current,
                    clock,
                    metrics,
                    check_interval,
                }))
            }
            Self::SelfSigned | Self::Files { .. } => return Ok((served, None)),
        };
        Ok((served, Some(keeper)))
    }

    /// The Secret it comes from, for messages.
    fn secret(&self) -> String {
        match self {
            Self::SelfSigned | Self::Files { .. } => String::new(),
            Self::Secret { namespace, name } => format!("{namespace}/{name}"),
            Self::SelfManaged { secret, service, .. } => format!("{}/{secret}", service.namespace),
        }
    }
}

/// The names of the APIServices that lead to us: `<version>.<group>`.
pub(super) fn api_services() -> [String; 3] {
    [("v1beta1", CUSTOM_GROUP), ("v1beta2", CUSTOM_GROUP), ("v1beta1", EXTERNAL_GROUP)]
        .map(|(version, group)| format!("{version}.{group}"))
}

// === impl Keeper ===

impl Keeper {
    pub(super) async fn run(self, shutdown: CancellationToken) {
        match self {
            Self::Files(files) => files.run(shutdown).await,
            Self::Secret(secret) => secret.run(shutdown).await,
            Self::SelfManaged(own) => own.run(shutdown).await,
        }
    }
}
