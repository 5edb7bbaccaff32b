//! `plimsoll demo`: the whole product on one machine, on loopback only.
//!
//! Composes the simulated platform, a real server, the controller and the table, owns their tasks and ends them. The
//! one place where the time on the wall moves the plant.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::{print, whole_number};
use crate::clock::Clock;
use crate::config::{self, Config, Definition, Job, Shape};
use crate::demo::board::Board;
use crate::demo::controller::{Autoscaler, Controller, OBJECTS};
use crate::demo::day::DAY_SECONDS;
use crate::demo::plant::{NAMESPACE, Plant};
use crate::demo::platform::{self, Platform};
use crate::demo::screen::{Intro, Screen};
use crate::demo::table::Frame;
use crate::server::{self, CertificateSource, Options, Running, StartError};
use crate::serving::{Limits, ServiceName};

/// What to show and how fast.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long it runs, for example 90s or 5m. Without it: one day of the demo, 2m at speed 1.
    #[arg(long, value_name = "DURATION", value_parser = config::duration::parse, allow_hyphen_values = true)]
    pub duration: Option<Duration>,
    /// How many times faster than a day in two minutes, from 0.1 to 20.
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed, allow_hyphen_values = true)]
    pub speed: f64,
    /// Port of the HTTPS listener on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 6443, value_parser = whole_number::<u16>, allow_negative_numbers = true)]
    pub port: u16,
    /// The same seed gives the same demand.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = whole_number::<u64>, allow_negative_numbers = true)]
    pub seed: u64,
}

/// What the table needs to show the demo.
struct Show {
    platform: Platform,
    board: watch::Receiver<Board>,
    started: Instant,
    duration: Duration,
    speed: f64,
}

const CONFIG: &str = include_str!("../../deploy/demo/plimsoll.yaml");
/// Stands in that file for the address of the simulated platform.
const DISCOVERY_URL: &str = "http://127.0.0.1:9000/sd";

/// At speed 1; the controller's clock makes it the 15 s of a cluster.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// Scraping and asking do not get faster than ten times: a tenth of a second is what a busy laptop keeps up with.
const PACE_MAX: f64 = 10.0;
/// Samples may always be this old, however fast the demo runs: a late scrape is then no outage.
const FRESHNESS_MIN: Duration = Duration::from_secs(2);

/// How often the plant moves, and the longest pause (a suspended machine) that it makes up for.
const STEP_PERIOD: Duration = Duration::from_millis(25);
const STEP_MAX: Duration = Duration::from_secs(1);
const DRAW_PERIOD: Duration = Duration::from_millis(100);
/// Where there is no terminal: how often new events are looked for, and after how many looks a status follows.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
const LOOKS_PER_STATUS: u32 = 20;

/// Requests under way, and then all tasks, get this long at the end: Ctrl-C is obeyed within a second.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);
const END_TIMEOUT: Duration = Duration::from_millis(700);

/// Runs the demo until its duration is over or `shutdown`.
///
/// # Errors
/// One clear line when a port cannot be taken, or when a part of the demo stops before its end.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Args { duration, speed, port, seed } = args;
    let duration = duration.unwrap_or_else(|| Duration::from_secs_f64(DAY_SECONDS / speed));
    let (platform, listener) = Platform::bind(Plant::new(seed))
        .await
        .map_err(|error| anyhow!("cannot listen on a free port of 127.0.0.1 for the simulated platform: {error}"))?;
    let config = read_config(&platform.discovery_url(), speed)?;
    let autoscalers = Autoscaler::read_all(OBJECTS, speed, |metric| is_rate(&config, metric))?;
    // Not a child of `shutdown`: the parts run on until the last frame is shown.
    let stop = CancellationToken::new();
    let server = start(config, port, stop.clone()).await?;
    let url = format!("https://{}", server.address);
    let clock = Clock::system();
    let controller = Controller::new(url.clone(), &server.certificate_pem, platform.clone(), clock, autoscalers)?;
    let (publish, board) = watch::channel(controller.board().clone());
    let period = SYNC_PERIOD.div_f64(pace(speed));

    let mut tasks = JoinSet::new();
    tasks.spawn(serve_platform(platform.clone(), listener, stop.clone()));
    tasks.spawn(move_time(platform.clone(), speed, stop.clone()));
    tasks.spawn(control(controller, period, publish, stop.clone()));
    tasks.spawn(async move { Ok(server.wait().await?) });

    let show = Show { platform, board, started: Instant::now(), duration, speed };
    let intro = intro(&url);
    let ended = tokio::select! {
        shown = show.run(&intro, &shutdown) => shown,
        ended = tasks.join_next() => early_end(ended),
    };
    stop.cancel();
    // What is left after that holds nothing that needs an orderly end.
    drop(timeout(END_TIMEOUT, tasks.join_all()).await);
    ended
}

async fn control(
    controller: Controller,
    period: Duration,
    publish: watch::Sender<Board>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    controller.run(period, publish, shutdown).await;
    Ok(())
}

async fn start(config: Config, port: u16, shutdown: CancellationToken) -> anyhow::Result<Running> {
    let options = Options {
        config,
        config_file: None,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        certificate: CertificateSource::SelfSigned,
        service: ServiceName::default(),
        kubernetes: None,
        limits: Limits::default(),
        drain_timeout: DRAIN_TIMEOUT,
        clock: Clock::system(),
    };
    server::start(options, shutdown).await.map_err(|error| match error {
        StartError::Bind(error) => anyhow!("{error}; choose another port with --port, 0 takes a free one"),
        error => error.into(),
    })
}

async fn serve_platform(
    platform: Platform,
    listener: tokio::net::TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    platform::serve(platform, listener, shutdown).await.context("the simulated platform cannot be served")
}

/// Moves the plant by the time on the wall × speed.
async fn move_time(platform: Platform, speed: f64, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(STEP_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        let now = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            now = ticks.tick() => now,
        };
        platform.step(now.duration_since(last).min(STEP_MAX).as_secs_f64() * speed);
        last = now;
    }
}

fn early_end(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match ended {
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => Ok(()),
    }
}

// === impl Show ===

impl Show {
    /// Shows the demo until its end, then the summary.
    async fn run(&self, intro: &Intro, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let rows_wanted = self.frame(|frame| frame.rows_wanted());
        let read = match Screen::open(intro, rows_wanted) {
            Some(screen) => {
                self.draw(screen, shutdown).await?;
                true
            }
            None => self.print(&intro.full, shutdown).await,
        };
        if read {
            print_all(&self.frame(|frame| frame.summary()));
        }
        Ok(())
    }

    async fn draw(&self, mut screen: Screen, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut resized = signal(SignalKind::window_change())?;
        let mut draws = interval(DRAW_PERIOD);
        let end = sleep_until(self.started + self.duration);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = &mut end => break,
                _ = resized.recv() => screen.resize(),
                _ = draws.tick() => {}
            }
            let lines = self.frame(|frame| frame.lines(screen.columns(), screen.rows()));
            screen.draw(&lines);
        }
        Ok(())
    }

    /// Prints events and now and then a status until the end; `false` when nobody reads them any more.
    async fn print(&self, intro: &[String], shutdown: &CancellationToken) -> bool {
        let mut read = print_all(intro);
        let mut looks = interval(LOOK_PERIOD);
        let end = sleep_until(self.started + self.duration);
        tokio::pin!(end);
        let mut seen = 0;
        for look in 1.. {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = &mut end => break,
                _ = looks.tick() => {}
            }
            let (events, total) = self.frame(|frame| (frame.events_after(seen), frame.board.entries_total));
            read = read && print_all(&events);
            seen = total;
            if look % LOOKS_PER_STATUS == 0 {
                read = read && print_all(&self.frame(|frame| frame.plain()));
            }
            if !read {
                break;
            }
        }
        read
    }

    fn frame<R>(&self, act: impl FnOnce(&Frame<'_>) -> R) -> R {
        let board = self.board.borrow().clone();
        let elapsed = self.started.elapsed().min(self.duration);
        self.platform.with(|plant| {
            act(&Frame {
                plant,
                board: &board,
                elapsed_seconds: elapsed.as_secs_f64(),
                duration_seconds: self.duration.as_secs_f64(),
                speed: self.speed,
            })
        })
    }
}

/// Prints until nobody reads any more, and tells whether somebody still does.
fn print_all(lines: &[String]) -> bool {
    lines.iter().all(|line| print(line))
}

/// The shipped configuration with the real address, its times divided by the speed.
fn read_config(discovery_url: &str, speed: f64) -> anyhow::Result<Config> {
    let text = CONFIG.replace(DISCOVERY_URL, discovery_url);
    let mut config = config::reader::read(&text, Path::new("deploy/demo/plimsoll.yaml"))?;
    let pace = pace(speed);
    config.jobs = config.jobs.iter().map(|job| Arc::new(paced_job(job, pace))).collect();
    config.metrics = config.metrics.iter().map(|metric| Arc::new(paced_metric(metric, pace))).collect();
    Ok(config)
}

fn pace(speed: f64) -> f64 {
    speed.min(PACE_MAX)
}

fn paced_job(job: &Job, pace: f64) -> Job {
    let mut job = job.clone();
    let scraping = Arc::make_mut(&mut job.scraping);
    scraping.interval = scraping.interval.div_f64(pace);
    scraping.timeout = scraping.timeout.div_f64(pace);
    scraping.freshness = scraping.freshness.div_f64(pace).max(FRESHNESS_MIN);
    for source in &mut job.http_sd {
        source.refresh_interval = source.refresh_interval.div_f64(pace);
    }
    job
}

fn paced_metric(metric: &Definition, pace: f64) -> Definition {
    let mut metric = metric.clone();
    match &mut metric.shape {
        Shape::Rate { window, .. } | Shape::Quantile { window, .. } | Shape::Ratio { window, .. } => {
            *window = window.div_f64(pace);
        }
        Shape::Gauge { .. } | Shape::Queue { .. } => {}
    }
    metric
}

fn is_rate(config: &Config, name: &str) -> bool {
    config.metrics.iter().any(|metric| metric.name == name && matches!(metric.shape, Shape::Rate { .. }))
}

/// What it is, and three requests that work as they stand here. kubectl asks for a password without a token, and with
/// an empty kubeconfig nobody's real credentials are sent.
fn intro(url: &str) -> Intro {
    let custom = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}");
    let external = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}");
    let commands = [
        format!("curl -sk \"{url}{custom}/deployments.apps/model-orchestration/inference_latency_p95\""),
        format!("curl -sk \"{url}{custom}/pods/%2A/queue_length?labelSelector=app%3Dagent-orchestrator\""),
        format!(
            "kubectl --kubeconfig /dev/null --token demo --server {url} --insecure-skip-tls-verify get --raw \
             \"{external}/queue_length?labelSelector=queue%3Dinference\""
        ),
    ];
    let mut full = vec![
        format!("Plimsoll serves {url}. It scrapes the pods of four simulated services; a controller with the rules"),
        "of the HorizontalPodAutoscaler asks it for their metrics and scales them. Ask it yourself meanwhile:".into(),
        String::new(),
    ];
    full.extend(commands.iter().map(|command| format!("  {command}")));
    full.push(String::new());
    let first = format!("Plimsoll serves {url}. Ask it yourself:");
    let short = |count| std::iter::once(first.clone()).chain(commands.iter().take(count).cloned()).collect();
    Intro { full, shorter: vec![short(3), short(2), short(1)] }
}

fn speed(text: &str) -> Result<f64, String> {
    let expected = || format!("expected a number from 0.1 to 20, found {text:?}");
    text.parse().ok().filter(|speed| (0.1..=20.0).contains(speed)).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scraping;

    #[test]
    fn the_shipped_configuration_fits_every_speed() {
        for speed in [0.1, 1.0, 10.0, 20.0] {
            let config = read_config("http://127.0.0.1:1234/sd", speed).expect("the shipped file is good");
            let job = &config.jobs[0];
            assert_eq!(job.http_sd[0].url, "http://127.0.0.1:1234/sd");
            let Scraping { interval, timeout, freshness, .. } = *job.scraping;
            assert!(timeout < interval && interval <= freshness);
            let windows = config.metrics.iter().filter_map(|metric| metric.shape.window());
            assert!(windows.min() >= Some(2 * interval), "at speed {speed}");
        }
    }

    #[test]
    fn every_metric_of_the_autoscalers_is_configured() {
        let config = read_config("http://127.0.0.1:1234/sd", 1.0).expect("the shipped file is good");
        for metric in Autoscaler::read_all(OBJECTS, 1.0, |_| false)
            .expect("good objects")
            .iter()
            .flat_map(|one| &one.spec.metrics)
        {
            let known = config.metrics.iter().any(|known| metric.to_string().contains(&known.name));
            assert!(known, "{metric}");
        }
        assert!(is_rate(&config, "requests_per_second") && !is_rate(&config, "queue_length"));
    }

    #[test]
    fn speeds_out_of_range_are_refused() {
        assert_eq!(speed("10"), Ok(10.0));
        for bad in ["0", "-1", "21", "NaN", "fast"] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
