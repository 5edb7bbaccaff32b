//! Logs with correlation ids, and traces by OTLP.
//!
//! Logs go to standard error: JSON for machines, a readable form on a terminal. A request carries its
//! `Audit-Id` (or the trace id, or a new id) through every line logged on its behalf and back to the
//! client. Spans go to an OTLP endpoint only where one is set.

mod directives;
mod exporter;
mod request;

pub use request::{Reported, correlate};

use std::io::IsTerminal;

use clap::ValueEnum;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use exporter::Exporter;

/// What to log and trace.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Least level that is logged (off, error, warn, info, debug, trace), or directives such as
    /// `info,plimsoll::scrape=debug`. Libraries log from a warning up unless they are named. Default: info; error in the
    /// demo, which has the terminal for itself.
    #[arg(long, env = "PLIMSOLL_LOG_LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Form of the log lines; `auto` is text on a terminal and JSON elsewhere.
    #[arg(long, env = "PLIMSOLL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto, global = true)]
    pub log_format: LogFormat,
    /// Where traces go: the base URL of an OTLP/HTTP receiver, for example http://127.0.0.1:4318. No traces without it.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", global = true)]
    pub otlp_endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

/// Sends the last spans when it is finished.
pub struct Telemetry(Option<SdkTracerProvider>);

/// Why logging or tracing cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "--log-level {level:?}: {word:?} is no level; expected off, error, warn, info, debug or trace, or a directive \
         such as plimsoll::scrape=debug"
    )]
    Word { level: String, word: String },
    #[error("--log-level {level:?}: {source}")]
    Level { level: String, source: tracing_subscriber::filter::ParseError },
    #[error(
        "--otlp-endpoint {0:?}: expected a URL that begins with http:// or https://, such as http://127.0.0.1:4318"
    )]
    Endpoint(String),
    #[error("--otlp-endpoint {endpoint:?}: {source}")]
    Exporter { endpoint: String, source: opentelemetry_otlp::ExporterBuildError },
}

/// The libraries below us trace every frame; exporting that would be most of the traffic. Our own spans of frequent
/// things are of level debug, so that the log does not pay for them.
const TRACED: &str =
    "info,plimsoll=debug,hyper=off,h2=off,rustls=off,reqwest=off,opentelemetry=off,opentelemetry_sdk=off";

// === impl Telemetry ===

impl Telemetry {
    /// Sets the process up. Call it once, before an async runtime runs: the exporter has a blocking
    /// client on a thread of its own.
    ///
    /// # Errors
    /// [`Error`] for a level or endpoint that cannot be understood.
    pub fn start(options: &Options, default_level: &str) -> Result<Self, Error> {
        let level = options.log_level.as_deref().filter(|level| !level.trim().is_empty()).unwrap_or(default_level);
        let filter = filter(level)?;
        let json = match options.log_format {
            LogFormat::Auto => !std::io::stderr().is_terminal(),
            LogFormat::Json => true,
            LogFormat::Text => false,
        };
        // A reader of the log that goes away is no reason to end: the layer would panic on telling of it.
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
        let lines = if json {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        } else {
            lines.with_ansi(std::io::stderr().is_terminal()).boxed()
        };
        let provider =
            options.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()).map(provider).transpose()?;
        let traces = provider.as_ref().map(|provider| {
            opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
            tracing_opentelemetry::layer().with_tracer(provider.tracer("plimsoll")).with_filter(EnvFilter::new(TRACED))
        });
        tracing_subscriber::registry().with(traces).with(lines.with_filter(filter)).init();
        Ok(Self(provider))
    }

    /// Sends what is left and stops.
    pub fn finish(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown()) {
            tracing::warn!("the last traces could not be sent: {error}");
        }
    }
}

fn filter(level: &str) -> Result<EnvFilter, Error> {
    let level = level.to_owned();
    match directives::complete(&level) {
        Ok(directives) => EnvFilter::try_new(directives).map_err(|source| Error::Level { level, source }),
        Err(word) => Err(Error::Word { level, word }),
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, Error> {
    let url = reqwest::Url::parse(endpoint).ok();
    if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Err(Error::Endpoint(endpoint.to_owned()));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|source| Error::Exporter { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder().with_service_name("plimsoll").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(Exporter::new(exporter)).with_resource(resource).build())
}
