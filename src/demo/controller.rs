//! A controller for the HorizontalPodAutoscalers of the demo, with the rules of kube-controller-manager.
//!
//! Each round it asks Plimsoll over HTTPS for every metric, as kube-controller-manager does, lets the pure model in
//! [`crate::hpa`] decide and scales the platform. When Plimsoll refuses, it holds, as the model says. It never looks
//! at the plant for a metric.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::demo::board::{Board, Entry, EntryKind, MetricReport, Reading, Report};
use crate::demo::day::TimeOfDay;
use crate::demo::inquiry::{self, Answer};
use crate::demo::plant::{NAMESPACE, Plant};
use crate::demo::platform::Platform;
use crate::demo::pod::{Phase, Pod};
use crate::demo::workload::Workload;
use crate::hpa::{self, Amount, Decision, Flags, Memory, MetricSpec, Observed, Scale, Spec, Verdict};
use crate::model::Timestamp;

/// A second of the demo is this many of the controller's clock: its sync period of 15 s takes one.
pub const CLOCK_FACTOR: f64 = 15.0;

/// The objects of the demo, as a cluster would take them.
pub const OBJECTS: &str = include_str!("../../deploy/demo/hpa.yaml");

/// One HorizontalPodAutoscaler and what the controller remembers of it.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    pub deployment: String,
    pub spec: Spec,
    memory: Memory,
    /// Whether the last round had a metric that could not be read.
    holding: bool,
}

/// The controller and its way to Plimsoll.
pub struct Controller {
    client: reqwest::Client,
    /// `https://127.0.0.1:<port>`.
    server: String,
    platform: Platform,
    clock: Clock,
    autoscalers: Vec<Autoscaler>,
    board: Board,
}

/// As kube-controller-manager sends it: JSON is taken because of the second type.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/vnd.kubernetes.protobuf, */*");
/// Before the first round.
const WARM_UP_PERIODS: u32 = 3;
/// An answer from memory on loopback takes about a millisecond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

// === impl Autoscaler ===

impl Autoscaler {
    /// Reads HorizontalPodAutoscalers from YAML documents. The targets of the metrics for which `is_rate` holds are
    /// multiplied by `speed`: at ten times the speed ten times as many events happen in a second.
    ///
    /// # Errors
    /// Text that is no YAML, or an object that an API server would refuse.
    pub fn read_all(objects: &str, speed: f64, is_rate: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Self>> {
        let objects: Vec<HorizontalPodAutoscaler> = serde_saphyr::from_multiple(objects)?;
        objects.iter().map(|object| Self::read(object, speed, &is_rate)).collect()
    }

    fn read(object: &HorizontalPodAutoscaler, speed: f64, is_rate: &impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let spec = object.spec.as_ref().with_context(|| format!("the HorizontalPodAutoscaler {name:?} has no spec"))?;
        let deployment = spec.scale_target_ref.name.clone();
        let mut spec = Spec::try_from(spec).with_context(|| format!("the HorizontalPodAutoscaler {name:?}"))?;
        for metric in &mut spec.metrics {
            if identifier(metric).is_some_and(is_rate) {
                let target = target_mut(metric).context("a rate has a target in events per second")?;
                *target = (*target as f64 * speed).round() as i64;
            }
        }
        Ok(Self { deployment, spec, memory: Memory::default(), holding: false })
    }

    /// Lets the model decide at `now` of the controller's clock; the caller scales.
    pub fn decide(
        &mut self,
        now: Timestamp,
        workload: &Workload,
        readings: &[Result<hpa::Reading, String>],
    ) -> Decision {
        let pods: Vec<hpa::Pod> = workload.pods().iter().map(observe).collect();
        let observed = Observed { scale: scale(workload), pods: &pods, readings };
        hpa::reconcile(&Flags::default(), &self.spec, &mut self.memory, now, &observed)
    }

    fn report(&self) -> Report {
        let metric = |metric: &MetricSpec| MetricReport {
            name: identifier(metric).unwrap_or_default().to_owned(),
            target: target(metric).unwrap_or_default() as f64 / 1000.0,
            per_pod: is_per_pod(metric),
            reading: None,
            trend: VecDeque::new(),
        };
        Report {
            deployment: self.deployment.clone(),
            replicas_min: usize::try_from(self.spec.min_replicas).unwrap_or(0),
            replicas_max: usize::try_from(self.spec.max_replicas).unwrap_or(0),
            metrics: self.spec.metrics.iter().map(metric).collect(),
            last: None,
        }
    }

    /// What is worth telling of a decision.
    fn entry(&mut self, decision: &Decision, now: f64) -> Option<Entry> {
        let failure = decision.metrics.iter().find_map(|metric| metric.outcome.as_ref().err());
        let was_holding = std::mem::replace(&mut self.holding, failure.is_some());
        let Decision { current, replicas, .. } = decision;
        let (kind, text) = match failure {
            _ if replicas > current => {
                (EntryKind::Up, format!("{current} → {replicas} pods: {}", self.reason(decision)))
            }
            _ if replicas < current => (EntryKind::Down, format!("{current} → {replicas} pods: all below target")),
            Some(failure) if !was_holding => (EntryKind::Hold, format!("holds {current} pods: {}", failure.message)),
            None if was_holding => (EntryKind::Resume, "every metric can be read again".to_owned()),
            _ => return None,
        };
        Some(Entry { clock: TimeOfDay::at(now).to_minutes(), deployment: self.deployment.clone(), kind, text })
    }

    fn reason(&self, decision: &Decision) -> String {
        match decision.verdict {
            Verdict::Computed { metric, .. } => {
                let name = self.spec.metrics.get(metric).and_then(identifier).unwrap_or("a metric");
                format!("{name} above target")
            }
            Verdict::BelowMin => "fewer than minReplicas".into(),
            _ => "as its bounds say".into(),
        }
    }
}

// === impl Controller ===

impl Controller {
    /// A controller that trusts only `certificate` (PEM) and asks the server at `https://<address>`.
    ///
    /// # Errors
    /// The certificate cannot be read or no TLS client can be made.
    pub fn new(
        server: String,
        certificate: &str,
        platform: Platform,
        clock: Clock,
        autoscalers: Vec<Autoscaler>,
    ) -> anyhow::Result<Self> {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes())?;
        let client = reqwest::Client::builder()
            .tls_certs_only([certificate])
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .default_headers(HeaderMap::from_iter([(ACCEPT, ACCEPTED)]))
            .user_agent(concat!("plimsoll-demo/", env!("CARGO_PKG_VERSION"), " horizontal-pod-autoscaler"))
            .build()?;
        let board = Board { reports: autoscalers.iter().map(Autoscaler::report).collect(), ..Board::default() };
        Ok(Self { client, server, platform, clock, autoscalers, board })
    }

    /// The board before the first round.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// A round each `period` until `shutdown`; publishes the board after each.
    pub async fn run(mut self, period: Duration, board: watch::Sender<Board>, shutdown: CancellationToken) {
        // Plimsoll first finds the pods, and needs two samples of a counter.
        let mut rounds = tokio::time::interval_at(Instant::now() + WARM_UP_PERIODS * period, period);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = rounds.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.round() => board.send_replace(self.board.clone()),
            };
        }
    }

    async fn round(&mut self) {
        for index in 0..self.autoscalers.len() {
            let readings = self.ask_all(index).await;
            self.reconcile(index, &readings);
        }
    }

    /// The metrics of one HorizontalPodAutoscaler, one after the other, as the controller does.
    async fn ask_all(&mut self, index: usize) -> Vec<Result<hpa::Reading, String>> {
        let mut readings = Vec::new();
        let metrics = self.autoscalers[index].spec.metrics.clone();
        for (position, metric) in metrics.iter().enumerate() {
            let answer =
                self.ask(metric, &self.autoscalers[index].deployment).await.map_err(|error| format!("{error:#}"));
            let pods = self.platform.with(|plant| status_replicas(plant, &self.autoscalers[index].deployment));
            let seen = answer.as_ref().map(|answer| summarise(metric, answer, pods, self.clock.now()));
            self.count(seen.as_ref().ok());
            let report = &mut self.board.reports[index].metrics[position];
            report.record(seen.map_err(Clone::clone));
            readings.push(answer.map(|answer| answer.reading));
        }
        readings
    }

    async fn ask(&self, metric: &MetricSpec, deployment: &str) -> anyhow::Result<Answer> {
        let path = inquiry::path(metric, NAMESPACE, &format!("app={deployment}")).map_err(|error| anyhow!(error))?;
        let response = self.client.get(format!("{}{path}", self.server)).send().await;
        let response = response.map_err(|error| anyhow!(error.without_url())).context("Plimsoll does not answer")?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| anyhow!(error.without_url())).context("no whole answer")?;
        if !status.is_success() {
            return Err(anyhow!(inquiry::refusal(status.as_u16(), &body)));
        }
        inquiry::read(metric, &body).map_err(|error| anyhow!(error))
    }

    fn count(&mut self, seen: Option<&Reading>) {
        match seen {
            Some(reading) => {
                self.board.answers += 1;
                self.board.age_max = self.board.age_max.max(reading.age);
            }
            None => self.board.refusals += 1,
        }
    }

    fn reconcile(&mut self, index: usize, readings: &[Result<hpa::Reading, String>]) {
        let autoscaler = &mut self.autoscalers[index];
        let entry = self.platform.with(|plant| {
            let now = plant.now();
            let decision = autoscaler.decide(controller_time(now), plant.workload(&autoscaler.deployment)?, readings);
            if decision.is_rescale() {
                plant.scale(&autoscaler.deployment, usize::try_from(decision.replicas).unwrap_or(0));
            }
            autoscaler.entry(&decision, now)
        });
        if let Some(entry) = entry {
            self.board.note(entry);
        }
    }
}

/// The controller's clock at `seconds` of the demo.
pub fn controller_time(seconds: f64) -> Timestamp {
    Timestamp((seconds * CLOCK_FACTOR * 1000.0) as i64)
}

/// The pod as the controller's informer shows it.
fn observe(pod: &Pod) -> hpa::Pod {
    let ready = (pod.phase != Phase::Starting)
        .then(|| hpa::ReadyCondition { status: hpa::ConditionStatus::True, since: controller_time(pod.ready_at) });
    hpa::Pod {
        name: pod.name.clone(),
        phase: if ready.is_some() { hpa::PodPhase::Running } else { hpa::PodPhase::Pending },
        deleted: pod.phase == Phase::Terminating,
        started: ready.map(|ready| ready.since),
        ready,
    }
}

fn scale(workload: &Workload) -> Scale {
    let count = |pods: usize| i32::try_from(pods).unwrap_or(i32::MAX);
    let kept = workload.pods().len() - workload.count(Phase::Terminating);
    Scale { spec_replicas: count(workload.replicas), status_replicas: count(kept) }
}

fn status_replicas(plant: &Plant, deployment: &str) -> i32 {
    plant.workload(deployment).map_or(0, |workload| scale(workload).status_replicas)
}

/// An answer for people: the whole, and what the model compares with the target.
fn summarise(metric: &MetricSpec, answer: &Answer, status_replicas: i32, now: Timestamp) -> Reading {
    let (total, pods) = match &answer.reading {
        hpa::Reading::PerPod { samples, .. } => {
            (samples.values().map(|sample| sample.milli).sum(), samples.len() as f64)
        }
        hpa::Reading::Object(milli) => (*milli, f64::from(status_replicas)),
        hpa::Reading::External(items) => (items.iter().sum::<i64>(), f64::from(status_replicas)),
    };
    let total = total as f64 / 1000.0;
    let compared = if is_per_pod(metric) { total / pods.max(1.0) } else { total };
    Reading { total, compared, age: now.since(answer.oldest) }
}

fn is_per_pod(metric: &MetricSpec) -> bool {
    match metric {
        MetricSpec::Pods { .. } => true,
        MetricSpec::Object { target, .. } | MetricSpec::External { target, .. } => {
            matches!(target, Amount::AverageValue(_))
        }
        MetricSpec::Resource { .. } => false,
    }
}

fn identifier(metric: &MetricSpec) -> Option<&str> {
    match metric {
        MetricSpec::Pods { metric, .. } | MetricSpec::Object { metric, .. } | MetricSpec::External { metric, .. } => {
            Some(&metric.name)
        }
        MetricSpec::Resource { .. } => None,
    }
}

fn target(metric: &MetricSpec) -> Option<i64> {
    target_mut(&mut metric.clone()).copied()
}

/// The target in milli-units.
fn target_mut(metric: &mut MetricSpec) -> Option<&mut i64> {
    match metric {
        MetricSpec::Pods { average, .. } => Some(average),
        MetricSpec::Object { target, .. } | MetricSpec::External { target, .. } => match target {
            Amount::Value(milli) | Amount::AverageValue(milli) => Some(milli),
        },
        MetricSpec::Resource { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::demo::day::DAY_SECONDS;
    use crate::hpa::PodSample;

    fn autoscaler(deployment: &str) -> Autoscaler {
        let all = Autoscaler::read_all(OBJECTS, 1.0, |_| false).expect("the objects of the demo are good");
        all.into_iter().find(|autoscaler| autoscaler.deployment == deployment).expect("there is one for each workload")
    }

    /// One day in virtual time: the HPA model reads `metric` and scales the plant each second. Gives the course of
    /// (second, replicas, queue).
    fn close_the_loop(
        deployment: &str,
        mut metric: impl FnMut(&Workload) -> hpa::Reading,
    ) -> (Plant, Vec<(f64, usize, usize)>) {
        let (mut plant, mut autoscaler) = (Plant::new(7), autoscaler(deployment));
        let mut course = Vec::new();
        while plant.now() < DAY_SECONDS {
            plant.step(1.0);
            let workload = plant.workload(deployment).expect("it is in the list");
            let decision = autoscaler.decide(controller_time(plant.now()), workload, &[Ok(metric(workload))]);
            course.push((plant.now(), workload.replicas, workload.queue_length()));
            plant.scale(deployment, decision.replicas as usize);
        }
        (plant, course)
    }

    #[test]
    fn the_queue_loop_scales_up_in_the_spike_and_down_after_it() {
        let queue = |workload: &Workload| hpa::Reading::External(vec![workload.queue_length() as i64 * 1000]);
        let (plant, course) = close_the_loop("agent-orchestrator", queue);
        let start = plant.day().spike_start(0);
        let most = |from: f64, to: f64| {
            let part = course.iter().filter(|(at, ..)| (from..to).contains(at));
            part.fold((0, 0), |most, (_, replicas, queue)| (most.0.max(*replicas), most.1.max(*queue)))
        };
        let (before, during, end) = (most(0.0, start), most(start, start + 16.0), most(100.0, 121.0));
        assert!(before.0 <= 3 && before.1 < 30, "before: {before:?}");
        assert!(during.0 >= 7 && during.1 > 50, "during: {during:?}");
        assert!(end.0 == 2 && end.1 < 10, "at the end: {end:?}");
    }

    #[test]
    fn the_rate_loop_follows_the_requests() {
        let mut before: BTreeMap<String, u64> = BTreeMap::new();
        let rate = move |workload: &Workload| {
            let ready = workload.pods().iter().filter(|pod| pod.phase == Phase::Ready);
            let totals: BTreeMap<String, u64> =
                ready.map(|pod| (pod.name.clone(), pod.instruments.requests_total())).collect();
            let milli = |(pod, total): (&String, &u64)| (total - before.get(pod).unwrap_or(&0)) as i64 * 1000;
            let sample = |pod| PodSample { milli: milli(pod), timestamp: Timestamp(0), window: Duration::ZERO };
            let samples = totals.iter().map(|pod| (pod.0.clone(), sample(pod))).collect();
            before = totals;
            hpa::Reading::PerPod { samples, requests: BTreeMap::new() }
        };
        let (_, course) = close_the_loop("web-dashboard", rate);
        let replicas: Vec<usize> = course.iter().map(|(_, replicas, _)| *replicas).collect();
        assert!(replicas.iter().max() >= Some(&5), "{replicas:?}");
        assert_eq!(replicas.last(), Some(&2), "{replicas:?}");
    }

    #[test]
    fn the_bounds_are_those_of_the_platform() {
        for (deployment, min, max) in
            [("agent-orchestrator", 2, 8), ("model-orchestration", 3, 12), ("web-dashboard", 2, 6), ("agents", 3, 20)]
        {
            let Spec { min_replicas, max_replicas, .. } = autoscaler(deployment).spec;
            assert_eq!((min_replicas, max_replicas), (min, max), "{deployment}");
            let start = Plant::new(1).workload(deployment).map(|workload| workload.replicas);
            assert_eq!(start, Some(min as usize), "{deployment} starts at its minimum");
        }
    }

    #[test]
    fn targets_of_rates_grow_with_the_speed() {
        let all = Autoscaler::read_all(OBJECTS, 10.0, |name| name.ends_with("_per_second")).expect("good objects");
        let targets: Vec<i64> = all.iter().flat_map(|one| &one.spec.metrics).filter_map(target).collect();
        assert_eq!(targets, [10_000, 10_000, 2_000, 500_000, 50_000]);
    }

    #[test]
    fn a_metric_that_cannot_be_read_is_told_once() {
        let (plant, mut autoscaler) = (Plant::new(7), autoscaler("agents"));
        let workload = plant.workload("agents").expect("it is in the list");
        let mut round = |reading: Result<hpa::Reading, String>, seconds: f64| {
            let decision = autoscaler.decide(controller_time(seconds), workload, &[reading]);
            assert_eq!(decision.replicas, 3);
            autoscaler.entry(&decision, seconds).map(|entry| entry.kind)
        };
        assert_eq!(round(Err("no data".into()), 1.0), Some(EntryKind::Hold));
        assert_eq!(round(Err("no data".into()), 2.0), None);
        let sample = PodSample { milli: 5000, timestamp: Timestamp(0), window: Duration::ZERO };
        let samples = workload.pods().iter().map(|pod| (pod.name.clone(), sample)).collect();
        let good = hpa::Reading::PerPod { samples, requests: BTreeMap::new() };
        assert_eq!(round(Ok(good.clone()), 3.0), Some(EntryKind::Resume));
        assert_eq!(round(Ok(good), 4.0), None);
    }
}
