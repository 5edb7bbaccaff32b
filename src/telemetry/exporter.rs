//! Says when traces cannot be sent: the SDK alone would drop them in silence.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter that logs the first failure of a row, each change of it, and the end of the row.
#[derive(Debug)]
pub(super) struct Exporter<E> {
    inner: E,
    /// What was logged last; `None` after a success.
    failure: Mutex<Option<String>>,
}

// === impl Exporter ===

impl<E> Exporter<E> {
    pub(super) fn new(inner: E) -> Self {
        Self { inner, failure: Mutex::new(None) }
    }

    fn note(&self, outcome: &OTelSdkResult) {
        let now = outcome.as_ref().err().map(ToString::to_string);
        let mut before = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match &now {
            Some(error) if now != *before => tracing::warn!("traces cannot be sent and are lost: {error}"),
            None if before.is_some() => tracing::info!("traces are sent again"),
            _ => {}
        }
        *before = now;
    }
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.inner.export(batch).await;
        self.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.inner.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
