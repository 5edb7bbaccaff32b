//! What each target of an object contributes to a value, or why it contributes nothing.
//!
//! The question behind every case is whether the sum of the others is still the whole. A target counts as
//! missing unless it is shown not to take part: it is new and carries no load yet, or its pages do not
//! have the metric. A pod of a controller that no target stands for is one more that is missing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::aggregate::{self, Absence, Groups, Partial};
use crate::config::{Definition, Level};
use crate::model::selector::Selector;
use crate::model::{Labels, Object, OwnerReference, PodWithoutTarget, Target, Timestamp, redacted};
use crate::provider::error::{PodsWithoutTarget, REASONS_MAX, Reasons};
use crate::provider::{Cause, Coverage, View};
use crate::storage::{Failure, Health, TargetStore};

/// What the targets of one object contribute to the groups that a selector chooses. Data is merged as it is read, so
/// that the groups of one target at a time are in memory.
pub(super) struct Contributions<'a> {
    selector: &'a Selector,
    /// By group, or all of them under no labels.
    merged: Groups<Merged>,
    /// The first chosen group, and whether there are others.
    first: Option<Labels>,
    several: bool,
    /// Targets with data, chosen or not.
    with_data: Vec<&'a Target>,
    without: Vec<(&'a Target, Outcome)>,
    /// Targets of the object that are not scraped, because there are more than the limit.
    over_limit: usize,
    /// Running pods of the object that no target stands for, where they are likely to be like the others.
    pods: Vec<&'a PodWithoutTarget>,
    /// Targets that those pods should have.
    pods_missing: usize,
}

/// What the targets with data amount to.
struct Merged {
    partial: Partial,
    targets: usize,
}

/// What contributions lack for a number. An object of many may lack data unseen, so it is put into words only on demand.
pub(super) enum Lack {
    /// No target has data that is chosen.
    Data,
    /// There is data, and none of it is chosen.
    Group,
    Coverage(Coverage),
    Value(Absence),
}

/// What a target without data stands for.
enum Outcome {
    /// Should have data, and has none: counts against coverage. The groups are those it had last; none
    /// when that is not known.
    Missing { reason: Reason, groups: BTreeSet<Labels> },
    /// New in a fleet that was known before: a pod that just starts carries no load yet.
    Pending(Reason),
    /// Its pages do not have the metric: no part of it.
    NotExposed(Reason),
    /// It never answered, so nobody knows what it exposes.
    Unclear(Reason),
}

/// Why a target contributes nothing.
enum Reason {
    NotScraped,
    NotScrapedSinceDefined,
    Down { failure: Failure, last_success: Option<Timestamp> },
    Lost { absence: Absence, seen: Timestamp },
    Absent(Absence),
}

/// What targets with a metric have in common with others that are likely to have it too: the same workload, or, for
/// bare targets, the same job.
struct Likeness<'a> {
    owners: FxHashSet<&'a OwnerReference>,
    jobs: FxHashSet<&'a str>,
}

// === impl Contributions ===

impl<'a> Contributions<'a> {
    /// Reads all targets of an object. Groups are kept `apart`, or make up one number.
    pub(super) fn collect(
        view: &View<'a>,
        object: &'a Object,
        definition: &Definition,
        level: Level,
        selector: &'a Selector,
        apart: bool,
    ) -> Self {
        let mut contributions = Self::none(selector, object.targets_over_limit());
        contributions.pods = alike(view, object, level);
        for target in view.inventory.members(object) {
            let read = view.storage.read(&target.id, |store| evaluate(store, definition, target, view.now));
            match read.unwrap_or(Err(Outcome::Pending(Reason::NotScraped))) {
                Ok(groups) => contributions.add(target, groups, apart),
                Err(outcome) => contributions.without.push((target, outcome)),
            }
        }
        contributions.clear_up(level);
        // In the place of a pod comes another pod; and a list of thousands is not to look for each of them.
        if level != Level::Pods {
            contributions.count_replacements(view, object, definition);
        }
        contributions.count_pods(definition, view.now);
        contributions
    }

    fn none(selector: &'a Selector, over_limit: usize) -> Self {
        Self {
            selector,
            merged: Groups::default(),
            first: None,
            several: false,
            with_data: Vec::new(),
            without: Vec::new(),
            over_limit,
            pods: Vec::new(),
            pods_missing: 0,
        }
    }

    fn add(&mut self, target: &'a Target, mut groups: Groups<Partial>, apart: bool) {
        self.with_data.push(target);
        if !self.selector.is_empty() {
            groups.retain(|labels| is_chosen(self.selector, labels));
        }
        for labels in groups.keys() {
            self.several |= self.first.get_or_insert_with(|| labels.clone()) != labels;
        }
        if apart {
            groups.into_iter().for_each(|(labels, partial)| self.merge(labels, partial));
        } else if let Some(partial) = groups.into_values().reduce(joined) {
            self.merge(Labels::default(), partial);
        }
    }

    fn merge(&mut self, labels: Labels, partial: Partial) {
        self.merged.add(labels, Merged { partial, targets: 1 }, |merged, one| {
            merged.partial.merge(one.partial);
            merged.targets += one.targets;
        });
    }

    /// Of a target that never answered nobody knows what it exposes. Its pod, owners and Services are
    /// asked for this metric, so there it is missing. In a whole namespace it is missing where another
    /// target of its kind has the metric. A pod that has the metric at one target may have others for other things:
    /// ports that are no pages, or what somebody else's monitor thinks is one.
    fn clear_up(&mut self, level: Level) {
        if !self.without.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unclear(_))) {
            return;
        }
        let wide = matches!(level, Level::Namespaces | Level::Nodes | Level::External);
        let likeness = Likeness::of(self.exposing());
        let speaking: FxHashSet<_> = self.exposing().filter_map(pod).collect();
        for (target, outcome) in &mut self.without {
            if let Outcome::Unclear(reason) = outcome {
                let reason = std::mem::replace(reason, Reason::NotScraped);
                let is_alone = pod(target).is_none_or(|pod| !speaking.contains(&pod));
                *outcome = match is_alone && (!wide || likeness.includes(target)) {
                    true => Outcome::Missing { reason, groups: BTreeSet::new() },
                    false => Outcome::NotExposed(reason),
                };
            }
        }
    }

    /// A target that starts while another one ends takes its place, as in a rollout: what the one did is not seen any
    /// more, and what the other does is not seen yet. As many as have ended are missing.
    fn count_replacements(&mut self, view: &View<'_>, object: &Object, definition: &Definition) {
        let starting = self.without.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Pending(_)));
        let Some(due) = starting.map(|(target, _)| first_value_due(definition, target)).max() else { return };
        let departed = view.inventory.departed_since(object, view.now.minus(due));
        let starting = self.without.iter_mut().filter(|(_, outcome)| matches!(outcome, Outcome::Pending(_)));
        for (_, outcome) in starting.take(departed) {
            if let Outcome::Pending(reason) = outcome {
                let reason = std::mem::replace(reason, Reason::NotScraped);
                *outcome = Outcome::Missing { reason, groups: BTreeSet::new() };
            }
        }
    }

    /// The targets that have the metric, or should have it.
    fn exposing(&self) -> impl Iterator<Item = &'a Target> + Clone {
        let missing = self.without.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Missing { .. }));
        missing.map(|(target, _)| *target).chain(self.with_data.iter().copied())
    }

    /// A pod that no target stands for has as much of the metric as the other pods of its controller: as many targets
    /// of it are missing as the others have each. One that just starts has time to become a target, and to be scraped.
    fn count_pods(&mut self, definition: &Definition, now: Timestamp) {
        if self.pods.is_empty() {
            return;
        }
        let targets = self.exposing().count();
        let others: FxHashSet<&str> = self.exposing().map(pod_or_url).collect();
        let due = self.exposing().map(|target| first_value_due(definition, target)).max().unwrap_or_default();
        let is_starting = |pod: &PodWithoutTarget| pod.joined.is_some_and(|joined| now.since(joined) <= due);
        let late = self.pods.iter().filter(|pod| !is_starting(pod)).count();
        self.pods_missing = (late * targets).div_ceil(others.len().max(1));
    }

    /// The chosen groups that are kept apart, in order.
    pub(super) fn groups(&self) -> Vec<Labels> {
        let mut groups: Vec<_> = self.merged.keys().cloned().collect();
        groups.sort();
        groups
    }

    /// The labels of the chosen group if it is the only one.
    pub(super) fn only_group(&self) -> Option<Labels> {
        self.first.clone().filter(|_| !self.several)
    }

    /// All that is chosen as one, and how much of the object that is. Not for several groups that are kept apart.
    ///
    /// # Errors
    /// [`Lack`] when there is no data, or none of the chosen groups.
    pub(super) fn whole(&mut self) -> Result<(Partial, Coverage), Lack> {
        let merged = self.merged.take_first();
        self.covered(merged, |labels| is_chosen(self.selector, labels))
    }

    /// One of the groups that are kept apart.
    ///
    /// # Errors
    /// As for [`Self::whole`].
    pub(super) fn group(&mut self, group: &Labels) -> Result<(Partial, Coverage), Lack> {
        let merged = self.merged.take(group);
        self.covered(merged, |labels| labels == group)
    }

    fn covered(&self, merged: Option<Merged>, is_asked: impl Fn(&Labels) -> bool) -> Result<(Partial, Coverage), Lack> {
        let is_missing = |outcome: &Outcome| match outcome {
            Outcome::Missing { groups, .. } => groups.is_empty() || groups.iter().any(&is_asked),
            Outcome::Pending(_) | Outcome::NotExposed(_) | Outcome::Unclear(_) => false,
        };
        let missing = self.without.iter().filter(|(_, outcome)| is_missing(outcome)).count();
        let missing = missing + self.over_limit + self.pods_missing;
        match merged {
            Some(Merged { partial, targets }) => {
                Ok((partial, Coverage { targets_with_data: targets, targets_missing: missing }))
            }
            None if missing == 0 && !self.with_data.is_empty() => Err(Lack::Group),
            None => Err(Lack::Data),
        }
    }

    /// What is said of those without data, the ones that should have it first.
    fn reasons(&self) -> Reasons {
        let over = (self.over_limit > 0)
            .then(|| format!("{} more targets are beyond limits.targets, and so not scraped", self.over_limit));
        let pods = (!self.pods.is_empty()).then(|| PodsWithoutTarget::of(self.pods.iter().copied()).to_string());
        let all = self.without.len() + usize::from(over.is_some()) + usize::from(pods.is_some());
        let (missing_pods, other_pods) = if self.pods_missing > 0 { (pods, None) } else { (None, pods) };
        let with_rank = |rank| self.without.iter().filter(move |(_, outcome)| outcome.reason().0 == rank);
        let told = |(target, outcome): &(&Target, Outcome)| {
            format!("target {}: {}", redacted(&target.url), outcome.reason().1)
        };
        let targets = (0..3).flat_map(with_rank).map(told);
        let first = over.into_iter().chain(missing_pods).chain(targets).chain(other_pods).take(REASONS_MAX);
        Reasons { first: first.collect(), all, aged: self.without.iter().filter_map(|(_, it)| it.aged()).min() }
    }
}

/// The pods without target of a controller, whose pods are alike. Of what a Service, a Node or a Namespace has it is
/// common that only a part is scraped.
fn alike<'a>(view: &View<'a>, object: &'a Object, level: Level) -> Vec<&'a PodWithoutTarget> {
    match level {
        Level::Owners => view.inventory.pods_without_target_of(object).collect(),
        Level::Pods | Level::Services | Level::Namespaces | Level::Nodes | Level::External => Vec::new(),
    }
}

/// What tells the pods of a controller apart; a target that names no pod is one by itself.
fn pod_or_url(target: &Target) -> &str {
    target.identity.pod.as_deref().unwrap_or(&target.url)
}

/// Namespace and name of the pod that a target stands for.
fn pod(target: &Target) -> Option<(&str, &str)> {
    Some((&target.identity.namespace, target.identity.pod.as_deref()?))
}

fn is_chosen(selector: &Selector, labels: &Labels) -> bool {
    selector.matches(|key| labels.get(key))
}

fn joined(mut one: Partial, other: Partial) -> Partial {
    one.merge(other);
    one
}

// === impl Lack ===

impl Lack {
    /// In words, of the contributions that lack it.
    pub(super) fn cause(self, of: &Contributions<'_>, definition: &Definition, selector: &Selector) -> Cause {
        match self {
            Self::Data => Cause::NoTargetHasData(of.reasons()),
            Self::Group => Cause::NoGroupSelected(selector.to_string()),
            Self::Coverage(coverage) => {
                Cause::LowCoverage { coverage, least: definition.min_coverage, reasons: of.reasons() }
            }
            Self::Value(absence) => Cause::NoValue(absence),
        }
    }
}

// === impl Likeness ===

impl<'a> Likeness<'a> {
    fn of(targets: impl Iterator<Item = &'a Target> + Clone) -> Self {
        let owners = targets.clone().flat_map(|target| target.identity.owners.iter()).collect();
        Self { owners, jobs: targets.map(|target| &*target.job).collect() }
    }

    fn includes(&self, target: &Target) -> bool {
        let owners = &target.identity.owners;
        match owners.is_empty() {
            true => self.jobs.contains(&*target.job),
            false => owners.iter().any(|owner| self.owners.contains(owner)),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Why there is no data; lower numbers are to be told first.
    fn reason(&self) -> (u8, &Reason) {
        match self {
            Self::Missing { reason, .. } | Self::Unclear(reason) => (0, reason),
            Self::Pending(reason) => (1, reason),
            Self::NotExposed(reason) => (2, reason),
        }
    }

    /// The time of the data that is missing because it is too old.
    fn aged(&self) -> Option<Timestamp> {
        match self {
            Self::Missing { reason, .. } => reason.aged(),
            Self::Pending(_) | Self::NotExposed(_) | Self::Unclear(_) => None,
        }
    }
}

// === impl Reason ===

impl Reason {
    /// Of a target whose scrapes fail.
    fn down(store: &TargetStore, absence: Absence) -> Self {
        match &store.state.failure {
            Some(failure) => Self::Down { failure: failure.clone(), last_success: store.state.last_success },
            None => Self::Absent(absence),
        }
    }

    fn aged(&self) -> Option<Timestamp> {
        match self {
            Self::Down { last_success, .. } => *last_success,
            Self::Absent(Absence::Stale { newest, .. }) => Some(*newest),
            Self::NotScraped | Self::NotScrapedSinceDefined | Self::Lost { .. } | Self::Absent(_) => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotScraped => f.write_str("not scraped yet"),
            Self::NotScrapedSinceDefined => f.write_str("not scraped yet since the metric is defined"),
            Self::Down { failure, last_success } => {
                write!(f, "the scrape fails ({}): {}; ", failure.reason, failure.message)?;
                match last_success {
                    Some(time) => write!(f, "last success {time}"),
                    None => f.write_str("it never succeeded"),
                }
            }
            Self::Lost { absence, seen } => write!(f, "{absence} any more; it was there at {seen}"),
            Self::Absent(absence) => absence.fmt(f),
        }
    }
}

fn evaluate(
    store: &TargetStore,
    definition: &Definition,
    target: &Target,
    now: Timestamp,
) -> Result<Groups<Partial>, Outcome> {
    let absent = |absence| outcome(store, definition, target, now, absence);
    aggregate::evaluate(store, definition, target, now).map_err(absent)
}

fn outcome(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp, absence: Absence) -> Outcome {
    let missing = |reason| Outcome::Missing { reason, groups: known_groups(store, definition) };
    let late =
        |reason| if is_starting(store, definition, target, now) { Outcome::Pending(reason) } else { missing(reason) };
    match (store.state.health, &absence) {
        (Health::Unknown, _) => late(Reason::NotScraped),
        (Health::Down, Absence::NoSeries { name, .. }) if store.last_seen(name).is_none() => {
            match store.state.last_success {
                Some(_) if store.looked_for(name) => Outcome::NotExposed(Reason::down(store, absence)),
                Some(_) => missing(Reason::down(store, absence)),
                None => Outcome::Unclear(Reason::down(store, absence)),
            }
        }
        (Health::Down, _) => missing(Reason::down(store, absence)),
        (Health::Up, Absence::TooFewSamples { .. }) => late(Reason::Absent(absence)),
        (Health::Up, Absence::NoSeries { name, .. }) => match store.last_seen(name) {
            _ if !store.looked_for(name) => late(Reason::NotScrapedSinceDefined),
            // The last page has the name, if not what is selected of it; or it is long gone.
            Some(seen) if Some(seen) != store.state.last_success && now.since(seen) <= target.scraping.freshness => {
                missing(Reason::Lost { absence, seen })
            }
            _ => Outcome::NotExposed(Reason::Absent(absence)),
        },
        (Health::Up, _) => missing(Reason::Absent(absence)),
    }
}

/// The groups that a target without data had last. Where nothing splits them there is nothing to tell apart.
fn known_groups(store: &TargetStore, definition: &Definition) -> BTreeSet<Labels> {
    match definition.split_by.is_empty() {
        true => BTreeSet::new(),
        false => aggregate::known_groups(store, definition),
    }
}

/// Whether a target is so new that it cannot have a value yet: its first scrape is due within an interval, and a change
/// over time takes a second one.
fn is_starting(store: &TargetStore, definition: &Definition, target: &Target, now: Timestamp) -> bool {
    store.joined.is_some_and(|joined| now.since(joined) <= first_value_due(definition, target))
}

/// How long after it joined a target has its first value at the latest.
fn first_value_due(definition: &Definition, target: &Target) -> Duration {
    let scrapes = if definition.shape.window().is_some() { 3 } else { 2 };
    target.scraping.interval * scrapes + target.scraping.timeout
}
