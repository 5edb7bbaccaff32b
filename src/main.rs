//! Parses the command line, runs one command, gives its exit code.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{self, Cli, Command};
use plimsoll::telemetry::Telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let Cli { command, telemetry } = Cli::parse();
    // rustls, reqwest and the OTLP exporter all take the process-wide provider.
    rustls::crypto::ring::default_provider().install_default().expect("nothing installed a provider before");
    match command {
        Command::Check(args) => cli::check::run(&args),
        Command::Schema(args) => cli::schema::run(&args),
        Command::Serve(args) => run(&telemetry, "info", |shutdown| cli::serve::run(args, shutdown)),
        Command::Demo(args) => run(&telemetry, "error", |shutdown| cli::demo::run(args, shutdown)),
    }
}

/// Runs an async command until it ends or a signal asks it to.
fn run<F: Future<Output = anyhow::Result<()>>>(
    options: &plimsoll::telemetry::Options,
    default_level: &str,
    command: impl FnOnce(CancellationToken) -> F,
) -> ExitCode {
    let telemetry = match Telemetry::start(options, default_level) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(until_signalled(command)),
        Err(error) => Err(error.into()),
    };
    telemetry.finish();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

/// The first SIGINT or SIGTERM asks for a clean end, the second one ends at once.
async fn until_signalled<F: Future<Output = anyhow::Result<()>>>(
    command: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut command = std::pin::pin!(command(shutdown.clone()));
    loop {
        tokio::select! {
            result = &mut command => return result,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if shutdown.is_cancelled() {
            anyhow::bail!("ended by a second signal before the shutdown was complete");
        }
        shutdown.cancel();
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("plimsoll: {error}");
    ExitCode::FAILURE
}
