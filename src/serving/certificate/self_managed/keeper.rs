//! Serves what the Secret holds, and carries out what the plan says: the rim at which objects are read and written.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use kube::api::{Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::change::Change;
use super::keyring::{Contents, Keyring};
use super::pace::{Limits, Pace};
use super::plan::{Plan, Schedule, Situation, Step, Trust};
use super::{SelfManaged, Watches, api_services, skew};
use crate::model::Timestamp;
use crate::serving::certificate::metrics::{API_SERVICES, SECRETS, Written};
use crate::serving::certificate::object_watch::{ObjectWatch, REQUEST_TIMEOUT, Sighting};

/// What is remembered between looks.
pub(super) struct Keeper<'a> {
    given: &'a SelfManaged,
    schedule: Schedule,
    watches: &'a Watches,
    /// The version of the Secret that was read last, and what it holds.
    read: Option<(Option<String>, Contents)>,
    /// What the Secret held when it was good last.
    remembered: Option<Keyring>,
    /// Since when every APIService trusts the next authority.
    announced_since: Option<Timestamp>,
    /// What could not be written.
    failure: Option<String>,
    /// Nothing is written before.
    next_write: Instant,
    /// The steps that were taken.
    steps: Pace<Step>,
    /// The bundles that each APIService got.
    bundles: Vec<Pace<String>>,
    /// Who wrote each APIService before it was patched.
    rivals: Vec<Option<String>>,
}

/// Who writes, in `metadata.managedFields`.
pub(super) const FIELD_MANAGER: &str = "plimsoll";

/// How often the time is looked at; what changes in the cluster is looked at at once.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// From one write to the next, at least.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// After a write that failed. Permissions come by hand, and a kube-apiserver that is ill is not to be asked more.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Where somebody undoes each write: as often as a controller that sets things right looks at them.
const CONTEST: Limits = Limits { pause_max: Duration::from_secs(300), calm: Duration::from_secs(900) };

/// However short the lives are: with less, who undoes each write would have no end of them.
const PAUSE_FLOOR: Duration = WRITE_INTERVAL.saturating_mul(2);

// === impl Keeper ===

impl<'a> Keeper<'a> {
    pub(super) fn new(given: &'a SelfManaged, watches: &'a Watches) -> Self {
        let schedule = given.lifetimes.schedule();
        let (read, remembered, announced_since, failure) = (None, None, None, None);
        let limits = limits(given.lifetimes.certificate);
        let count = watches.api_services.len();
        let bundles = (0..count).map(|_| Pace::new(CONTEST)).collect();
        let (steps, rivals, next_write) = (Pace::new(limits), vec![None; count], Instant::now());
        Self {
            given,
            schedule,
            watches,
            read,
            remembered,
            announced_since,
            failure,
            next_write,
            steps,
            bundles,
            rivals,
        }
    }

    pub(super) async fn run(mut self) {
        let mut secret = self.watches.secret.publish.subscribe();
        let mut api_services: Vec<_> =
            self.watches.api_services.iter().map(|watch| watch.publish.subscribe()).collect();
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = api_services.iter_mut().map(|watch| Box::pin(watch.changed()));
            tokio::select! {
                _ = secret.changed() => {}
                _ = select_all(changed) => {}
                _ = looks.tick() => {}
            }
            self.look().await;
        }
    }

    /// Serves what is there, and does what is to be done.
    async fn look(&mut self) {
        let mut troubles = match self.watches.secret.last() {
            Sighting::NotYet => return,
            Sighting::Absent => vec![self.absent()],
            Sighting::Unreadable(why) => vec![why],
            Sighting::Present(secret) => {
                self.read(&secret);
                self.serve();
                self.act(&secret).await;
                Vec::from_iter(self.failure.clone())
            }
        };
        troubles.extend(self.contests());
        troubles.extend(self.watches.remarks(&self.given.service, self.bundle().as_deref()));
        self.given.current.report((!troubles.is_empty()).then(|| troubles.join("; ")));
    }

    fn absent(&self) -> String {
        let (described, namespace) = (&self.watches.secret.described, &self.given.service.namespace);
        let name = &self.given.secret;
        format!("{described} does not exist; make an empty one: kubectl -n {namespace} create secret generic {name}")
    }

    /// What the APIServices are to trust, where it is known.
    fn bundle(&self) -> Option<String> {
        match &self.read {
            Some((_, Contents::Keyring(keyring))) => Some(keyring.bundle()),
            _ => None,
        }
    }

    /// Who undoes what is written, each with what follows.
    fn contests(&self) -> Vec<String> {
        let now = Instant::now();
        let of_step = self.steps.contested(now).map(|(rounds, pause)| {
            format!(
                "{}: the same was written {rounds} times, and was replaced each time; the next time is after {pause:?}:                  look for replicas with another clock or other flags",
                self.watches.secret.described
            )
        });
        let of_bundle = |(index, pace): (usize, &Pace<String>)| {
            let (rounds, pause) = pace.contested(now)?;
            let described = &self.watches.api_services[index].described;
            let by = self.rivals[index].as_ref().map(|rival| format!(" by {rival}")).unwrap_or_default();
            Some(format!(
                "the caBundle of {described} was set {rounds} times, and was changed again each time{by}; the next time is \
                 after {pause:?}"
            ))
        };
        of_step.into_iter().chain(self.bundles.iter().enumerate().filter_map(of_bundle)).collect()
    }

    /// Reads the Secret where it is another one than before.
    fn read(&mut self, secret: &Secret) {
        let version = &secret.metadata.resource_version;
        if self.read.as_ref().is_some_and(|(known, _)| known == version) {
            return;
        }
        let none = Default::default();
        let contents = Contents::read(secret.data.as_ref().unwrap_or(&none), &self.given.service.dns());
        if let Contents::Keyring(keyring) = &contents {
            for damage in &keyring.damage {
                tracing::warn!("{} is damaged and will be mended: {damage}", self.watches.secret.described);
            }
            keyring.signer_end().into_iter().for_each(|end| self.given.metrics.authority(end));
        }
        self.read = Some((version.clone(), contents));
    }

    fn serve(&mut self) {
        let (name, now) = (&self.watches.secret.described, self.given.clock.now());
        match &self.read {
            Some((_, Contents::Garbage(what))) => {
                let hint = format!(
                    "it is not overwritten; to have it written anew, empty it: kubectl -n {} patch secret {} --type=json \
                     -p '[{{\"op\":\"remove\",\"path\":\"/data\"}}]'",
                    self.given.service.namespace, self.given.secret
                );
                self.given.current.offer(name, Err(format!("{name}: {what}; {hint}")), now);
            }
            Some((_, Contents::Keyring(keyring))) => {
                if let Some(leaf) = &keyring.leaf {
                    self.given.current.offer(name, Ok(leaf.certificate.clone()), now);
                    self.remembered = Some(Keyring::clone(keyring));
                }
            }
            Some((_, Contents::Empty)) | None => {}
        }
    }

    /// Makes the plan for what is known now, and carries out what may be written now.
    async fn act(&mut self, secret: &Secret) {
        let Some(plan) = self.plan() else { return };
        if plan == Plan::default() {
            self.failure = None;
            return;
        }
        let now = Instant::now();
        let plan = self.allowed(plan, now);
        if plan == Plan::default() || now < self.next_write {
            return;
        }
        self.failure = self.carry_out(&plan, secret).await.err();
        let pause = if self.failure.is_some() { RETRY_INTERVAL } else { WRITE_INTERVAL };
        self.next_write = Instant::now() + pause;
    }

    /// The part of a plan that was not carried out just now and undone.
    fn allowed(&self, plan: Plan, now: Instant) -> Plan {
        let Some(bundle) = self.bundle() else {
            return Plan { step: plan.step.filter(|step| self.steps.allows(step, now)), ..plan };
        };
        let patches = plan.patches.into_iter().filter(|index| self.bundles[*index].allows(&bundle, now)).collect();
        Plan { patches, step: plan.step.filter(|step| self.steps.allows(step, now)) }
    }

    fn plan(&mut self) -> Option<Plan> {
        let api_services = self.watches.trust(&self.given.service);
        let (_, contents) = self.read.as_ref()?;
        let situation = Situation {
            contents,
            remembered: self.remembered.as_ref(),
            api_services: &api_services,
            announced_since: self.announced_since,
            now: self.given.clock.now(),
        };
        let since = self.announced_since.unwrap_or(situation.now);
        let announced_since = situation.is_announced().then_some(since);
        let plan = Situation { announced_since, ..situation }.plan(&self.schedule);
        self.announced_since = announced_since;
        Some(plan)
    }

    async fn carry_out(&mut self, plan: &Plan, secret: &Secret) -> Result<(), String> {
        skew::check(&self.given.client, &self.given.clock).await?;
        if !plan.patches.is_empty() && !self.watches.is_current(secret).await {
            return Ok(());
        }
        let mut result = Ok(());
        for index in &plan.patches {
            result = result.and(self.patch(*index).await);
        }
        let step = match plan.step {
            Some(Step::Switch) => {
                self.watches.look_at_api_services().await;
                // What was read may have changed the plan.
                self.plan().and_then(|plan| plan.step).filter(|step| *step == Step::Switch)
            }
            step => step,
        };
        match step {
            Some(step) => result.and(self.change(step, secret).await),
            None => result,
        }
    }

    /// Makes an APIService trust what the Secret says.
    async fn patch(&mut self, index: usize) -> Result<(), String> {
        let (watch, bundle) = (&self.watches.api_services[index], self.bundle());
        let sighting = watch.last();
        // Since the plan was made it may have come to lead elsewhere, or to belong to somebody else.
        let is_ours = matches!(api_services::trust(&sighting, &self.given.service), Trust::Ours { .. });
        let (Sighting::Present(object), Some(bundle), true) = (sighting, bundle, is_ours) else { return Ok(()) };
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(api_services::patch(&object, &bundle));
        let patched = timeout(REQUEST_TIMEOUT, watch.api.patch(&watch.name, &params, &patch)).await;
        let done = self.judge(API_SERVICES, watch, patched, "patched").await?;
        if done {
            tracing::info!("the caBundle of {} was set", watch.described);
            self.bundles[index].written(bundle, Instant::now());
            self.rivals[index] = api_services::rival(&object.metadata);
        }
        Ok(())
    }

    /// Changes the Secret, unless somebody else did so before.
    async fn change(&mut self, step: Step, secret: &Secret) -> Result<(), String> {
        let Some((_, contents)) = &self.read else { return Ok(()) };
        let (remembered, now) = (self.remembered.as_ref(), self.given.clock.now());
        let change = Change { contents, remembered, service: &self.given.service, schedule: &self.schedule, now };
        let keyring = change.make(step).map_err(|error| error.to_string())?;
        let mut secret = secret.clone();
        keyring.write(secret.data.get_or_insert_default());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let watch = &self.watches.secret;
        let replaced = timeout(REQUEST_TIMEOUT, watch.api.replace(&watch.name, &params, &secret)).await;
        let done = self.judge(SECRETS, watch, replaced, "updated").await?;
        if done {
            tracing::info!("{}: {}", watch.described, step.describe());
            self.steps.written(step, Instant::now());
        }
        Ok(())
    }

    /// Whether a write is done: it is not when somebody else was first, and then theirs counts.
    async fn judge<K>(
        &self,
        resource: &'static str,
        watch: &ObjectWatch<K>,
        answer: Result<kube::Result<K>, Elapsed>,
        verb: &str,
    ) -> Result<bool, String>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (written, result) = match answer {
            Ok(Ok(object)) => {
                watch.tell(Sighting::Present(Arc::new(object)));
                (Written::Done, Ok(true))
            }
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() => {
                watch.look().await;
                (Written::Conflict, Ok(false))
            }
            Ok(Err(error)) => (Written::Failed, Err(watch.failed(verb, &error))),
            Err(_) => {
                let what = format!("{} cannot be {verb}: no answer within {REQUEST_TIMEOUT:?}", watch.described);
                (Written::Failed, Err(what))
            }
        };
        self.given.metrics.written(resource, written);
        result
    }
}

/// Of the steps: the same is due again after most of a certificate's life, so with short ones the calm is short.
fn limits(life: Duration) -> Limits {
    Limits {
        pause_max: CONTEST.pause_max.min(life / 10).max(PAUSE_FLOOR),
        calm: CONTEST.calm.min(life / 3).max(PAUSE_FLOOR * 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_do_not_make_writes_more_frequent_than_every_two_seconds() {
        for (life, pause) in [(1, 2_000), (30_000, 3_000), (86_400_000, 300_000)] {
            let Limits { pause_max, calm } = limits(Duration::from_millis(life));
            assert_eq!(pause_max, Duration::from_millis(pause), "{life}");
            assert!(calm > pause_max, "{calm:?}");
        }
    }
}
