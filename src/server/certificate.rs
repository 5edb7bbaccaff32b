//! Where the serving certificate comes from, and the task that keeps it current.

use std::io;
use std::path::Path;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::api::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::clock::Clock;
use crate::server::{CertificateSource, StartError};
use crate::serving::{
    Certificate, CertificateError, CertificateMetrics, CurrentCertificate, FileWatch, SecretWatch, SelfManaged,
};

/// Keeps the certificate current.
pub(super) enum Keeper {
    Files(FileWatch),
    Secret(SecretWatch),
    SelfManaged(Box<SelfManaged>),
}

/// Files are there at once; a network that serves them may take a while to say that it is gone.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

// === impl CertificateSource ===

impl CertificateSource {
    /// What is served from now on, and the task that changes it; none for a certificate that never changes. Files have
    /// to be good now, as the configuration has; a Secret is waited for.
    pub(super) async fn start(
        self,
        cluster: Option<&kube::Client>,
        clock: &Clock,
        registry: &mut Registry,
        shutdown: &CancellationToken,
    ) -> Result<(CurrentCertificate, Option<Keeper>), StartError> {
        let (metrics, clock) = (CertificateMetrics::register(registry), clock.clone());
        let (certificate, key) = match self {
            Self::SelfSigned => return Ok((CurrentCertificate::of(Certificate::self_signed()?, metrics), None)),
            Self::Files { certificate, key } => (certificate, key),
            in_cluster => return in_cluster.await_secret(cluster, clock, metrics),
        };
        let files = (certificate.clone(), key.clone());
        let first = read(&certificate, shutdown, move || Certificate::from_files(&files.0, &files.1)).await?;
        let (name, now) = (certificate.display().to_string(), clock.now());
        first.check_time(&name, now)?;
        if let Some(weakness) = first.weakness(now) {
            tracing::warn!("{name}: {weakness}");
        }
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
        let current = CurrentCertificate::awaited(metrics.clone())?;
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

/// What is in files, which may be on a file system that hangs.
async fn read(
    file: &Path,
    shutdown: &CancellationToken,
    from_files: impl FnOnce() -> Result<Certificate, CertificateError> + Send + 'static,
) -> Result<Certificate, StartError> {
    let read = tokio::task::spawn_blocking(from_files);
    let read = tokio::select! {
        read = read => read,
        () = shutdown.cancelled() => return Err(StartError::Interrupted),
        () = tokio::time::sleep(READ_TIMEOUT) => {
            let source = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {READ_TIMEOUT:?}"));
            return Err(CertificateError::Read { file: file.to_owned(), source }.into());
        }
    };
    match read {
        Ok(read) => Ok(read?),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(StartError::Interrupted),
        },
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn files_that_hang_do_not_hold_up_the_shutdown() {
        let ((release, released), shutdown) = (mpsc::channel::<()>(), CancellationToken::new());
        let hanging = move || {
            // It ends when the other side is dropped.
            let _ = released.recv();
            Certificate::self_signed()
        };
        let (read, stop) = (read(Path::new("tls.crt"), &shutdown, hanging), async { shutdown.cancel() });
        let (read, ()) = tokio::join!(read, stop);
        assert!(matches!(read, Err(StartError::Interrupted)), "{read:?}");
        drop(release);
    }
}
