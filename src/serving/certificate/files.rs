//! Follows a certificate and its key in two files. Paths come in; what the files hold is offered to the
//! [`CurrentCertificate`] whenever it has changed.
//!
//! The files are read again and again: a mounted Secret swaps links, which notifications miss.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::serving::certificate::{Certificate, CertificateError, CurrentCertificate, Part, read};

/// Keeps the certificate current. Run it as a task.
pub struct FileWatch {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub current: CurrentCertificate,
    pub clock: Clock,
    pub poll_interval: Duration,
}

/// What the files held.
#[derive(PartialEq)]
enum Look {
    Pair(Vec<u8>, Vec<u8>),
    Unreadable(String),
}

/// What is remembered from one look to the next.
struct Memory {
    look: Look,
    /// It was offered, and can be served.
    is_settled: bool,
}

// === impl FileWatch ===

impl FileWatch {
    pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

    /// Reads until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(self.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            let looked = tokio::select! {
                looked = tokio::task::spawn_blocking(move || look(&certificate, &key)) => looked,
                // A file system that hangs keeps its thread, and nothing else.
                () = shutdown.cancelled() => return,
            };
            match looked {
                Ok(look) => last = Some(self.judge(look, last)),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down.
                    Err(_) => return,
                },
            }
        }
    }

    /// Offers what is new. What cannot be used is refused only at the second look: files that are written one after the
    /// other do not belong together in between.
    fn judge(&self, look: Look, last: Option<Memory>) -> Memory {
        let is_known = last.as_ref().is_some_and(|last| last.look == look);
        if is_known && last.is_some_and(|last| last.is_settled) {
            return Memory { look, is_settled: true };
        }
        let (name, now) = (self.certificate.display().to_string(), self.clock.now());
        let pair = self.pair(&look).and_then(|pair| {
            pair.check_time(&name, now).map_err(|error| error.to_string())?;
            Ok(pair)
        });
        let is_settled = pair.is_ok();
        if is_settled || is_known {
            self.current.offer(&name, pair, now);
        }
        Memory { look, is_settled }
    }

    fn pair(&self, look: &Look) -> Result<Certificate, String> {
        match look {
            Look::Unreadable(why) => Err(why.clone()),
            Look::Pair(certificate, key) => {
                let (chain_name, key_name) = (self.certificate.display().to_string(), self.key.display().to_string());
                let certificate = Part { name: &chain_name, pem: certificate };
                let pair = Certificate::from_pem(certificate, Part { name: &key_name, pem: key });
                pair.map_err(|error| error.to_string())
            }
        }
    }
}

/// Blocks.
fn look(certificate: &std::path::Path, key: &std::path::Path) -> Look {
    let both = || Ok::<_, CertificateError>(Look::Pair(read(certificate)?, read(key)?));
    both().unwrap_or_else(|error| Look::Unreadable(error.to_string()))
}
