//! Parses the command line, runs one command, gives its exit code.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use plimsoll::cli::{self, Cli, Command, Usage};
use plimsoll::config;
use plimsoll::telemetry::Telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// musl's own allocator has one lock for all threads: with it a scrape costs 1.4 times the CPU time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that block, for example on a file system that hangs, get this long at the end.
const BLOCKED_THREADS_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Cli { command, telemetry } = Cli::of_process();
    // rustls, reqwest and the OTLP exporter all take the process-wide provider.
    rustls::crypto::ring::default_provider().install_default().expect("nothing installed a provider before");
    match command {
        Command::Check(args) => cli::check::run(&args),
        Command::Artifacts(args) => {
            run(&telemetry, "error", Hangup::Ends, |shutdown| cli::artifacts::run(args, shutdown))
        }
        Command::Schema(args) => cli::schema::run(&args),
        Command::Serve(args) => run(&telemetry, "info", Hangup::Ignored, |shutdown| cli::serve::run(*args, shutdown)),
        Command::Doctor(args) => run(&telemetry, "error", Hangup::Ends, |shutdown| cli::doctor::run(args, shutdown)),
        Command::Demo(args) => run(&telemetry, "error", Hangup::Ends, |shutdown| cli::demo::run(args, shutdown)),
    }
}

/// What SIGHUP does.
#[derive(Clone, Copy, PartialEq)]
enum Hangup {
    /// To a daemon it says: read the configuration again, which happens anyway.
    Ignored,
    /// The terminal is gone.
    Ends,
}

/// Runs an async command until it ends or a signal asks it to.
fn run<T: Termination, F: Future<Output = anyhow::Result<T>>>(
    options: &plimsoll::telemetry::Options,
    default_level: &str,
    hangup: Hangup,
    command: impl FnOnce(CancellationToken) -> F,
) -> ExitCode {
    let telemetry = match Telemetry::start(options, default_level) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&Usage(error.to_string())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(until_signalled(hangup, command));
            runtime.shutdown_timeout(BLOCKED_THREADS_TIMEOUT);
            result
        }
        Err(error) => Err(error.into()),
    };
    telemetry.finish();
    match result {
        Ok(done) => done.report(),
        Err(error) => failed(&*error),
    }
}

/// The first SIGINT or SIGTERM asks for a clean end, the second one ends at once.
async fn until_signalled<T, F: Future<Output = anyhow::Result<T>>>(
    hangup: Hangup,
    command: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<T> {
    let shutdown = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hung_up = signal(SignalKind::hangup())?;
    let mut command = std::pin::pin!(command(shutdown.clone()));
    loop {
        tokio::select! {
            result = &mut command => return result,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up.recv() => if hangup == Hangup::Ignored {
                tracing::info!("SIGHUP is ignored: a change of the configuration file is taken up by itself");
                continue;
            },
        }
        if shutdown.is_cancelled() {
            anyhow::bail!("ended by a second signal before the shutdown was complete");
        }
        shutdown.cancel();
    }
}

fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    // Whoever closed standard error does not want to read it.
    drop(writeln!(std::io::stderr(), "plimsoll: {}", config::told(error)));
    if error.is::<Usage>() { ExitCode::from(Usage::CODE) } else { ExitCode::FAILURE }
}
