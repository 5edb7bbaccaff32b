//! How the watches that a source rests on stand, in words for whoever can mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::failure::{Cause, Failure};
use super::kind::VERBS;
use super::state::State;
use super::watch::Scope;
use crate::config::KubernetesSd;
use crate::model::Timestamp;

/// What a source of targets can say of its watches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::discovery) struct Health {
    /// Whether every watch has answered: with a list, or that there is none for us.
    pub has_answered: bool,
    /// Whether everything was listed that the source rests on, be it long ago.
    pub is_complete: bool,
    /// What someone should mend.
    pub error: Option<String>,
    /// What is so, and need not be wrong.
    pub notes: Vec<String>,
}

/// A rule of RBAC by namespace, API group and name of a single object.
type Rule<'w> = (Option<&'w str>, &'static str, Option<&'w str>);

/// The watches of one source with how they stand.
type Stand<'w> = Vec<(&'w Scope, &'w State)>;

// === impl Health ===

impl Health {
    /// The health of a source; `pods` are known from before.
    pub(super) fn of<'w>(
        sd: &KubernetesSd,
        watches: impl Iterator<Item = (&'w Scope, &'w State)>,
        pods: usize,
    ) -> Self {
        let stand: Stand<'w> = watches.filter(|(scope, _)| is_read(sd, scope)).collect();
        let has_answered = !stand.is_empty() && stand.iter().all(|(scope, state)| has_answered(scope, state));
        // Of single objects each is the matter of the scrapes that need it.
        let mut whole = stand.iter().filter(|(scope, _)| scope.name.is_none()).peekable();
        let is_complete = whole.peek().is_some() && whole.all(|(scope, state)| state.is_complete(scope));
        let parts = [outage(&stand, pods), forbidden(&stand), faults(&stand), unreadable(&stand)];
        let error: Vec<_> = parts.into_iter().flatten().collect();
        let error = (!error.is_empty()).then(|| error.join("; "));
        Self { has_answered, is_complete, error, notes: absent(&stand) }
    }
}

/// Whether a source looks at the objects of a watch.
fn is_read(sd: &KubernetesSd, scope: &Scope) -> bool {
    // A Secret belongs to a monitor, whichever source has that.
    let is_of_namespace = match &scope.namespace {
        Some(namespace) if scope.name.is_none() && !sd.namespaces.is_empty() => sd.namespaces.contains(namespace),
        _ => true,
    };
    is_of_namespace && sd.role.reads(scope.kind)
}

/// Whoever may write a monitor can name an object that is not for us: only the server's silence is waited out.
fn has_answered(scope: &Scope, state: &State) -> bool {
    let is_refused = state.cause().is_some_and(|cause| cause != Cause::Silent);
    state.has_answered() || (scope.name.is_some() && is_refused)
}

/// The server is away for all watches, or for some.
fn outage(stand: &Stand<'_>, pods: usize) -> Option<String> {
    let silent = of_cause(stand, &[Cause::Silent]);
    let (since, failure) = silent.first().map(|(_, since, failure)| (since, failure))?;
    let kept = match stand.iter().any(|(_, state)| state.is_listed) {
        true => format!("the last known {pods} pods stay"),
        false => "nothing is known of the cluster yet".into(),
    };
    let what = match silent.len() == stand.len() {
        true => String::new(),
        false => format!(" when asked for {}", resources(silent.iter().map(|(scope, ..)| *scope))),
    };
    let since = silent.iter().map(|(_, since, _)| since).min().unwrap_or(since);
    Some(format!("the kube-apiserver does not answer{what} since {since} ({}); {kept}", failure.text))
}

/// The permissions that are missing, as rules to be copied.
fn forbidden(stand: &Stand<'_>) -> Option<String> {
    let forbidden = of_cause(stand, &[Cause::Forbidden]);
    let (.., failure) = forbidden.first()?;
    let mut rules: BTreeMap<Rule<'_>, BTreeSet<&str>> = BTreeMap::new();
    for (scope, ..) in &forbidden {
        let key = (scope.namespace.as_deref(), scope.kind.group(), scope.name.as_deref());
        rules.entry(key).or_default().insert(scope.kind.resource());
    }
    let mut text = format!("{}; to be granted:", failure.text);
    for (number, ((namespace, group, name), resources)) in rules.into_iter().enumerate() {
        let resources = resources.into_iter().collect::<Vec<_>>().join(", ");
        let place = namespace.map_or("a ClusterRole".into(), |namespace| format!("a Role in {namespace}"));
        let names = name.map_or_else(String::new, |name| format!(", resourceNames: [{name}]"));
        let rule =
            format!("{{apiGroups: [{group:?}], resources: [{resources}]{names}, verbs: [{}]}}", VERBS.join(", "));
        let separator = if number == 0 { "" } else { " and" };
        write!(text, "{separator} {place} with {rule}").expect("a String takes everything");
    }
    Some(text)
}

/// What the server answers instead of objects.
fn faults(stand: &Stand<'_>) -> Option<String> {
    let mut faults = of_cause(stand, &[Cause::Refused, Cause::Garbled, Cause::Absent]);
    faults.retain(|(scope, _, failure)| failure.cause != Cause::Absent || !scope.kind.is_optional());
    let (_, since, failure) = faults.first()?;
    let resources = resources(faults.iter().map(|(scope, ..)| *scope));
    Some(format!("the kube-apiserver is asked for {resources} in vain since {since}: {}", failure.text))
}

/// Objects that are not what the API says of their kind.
fn unreadable(stand: &Stand<'_>) -> Option<String> {
    let kinds = stand.iter().filter_map(|(scope, state)| {
        let ((namespace, name), why) = state.unreadable.first_key_value()?;
        let (count, resource) = (state.unreadable.len(), scope.kind.resource());
        Some(format!("{count} of the {resource} cannot be read and stay as they were known: {namespace}/{name}: {why}"))
    });
    Some(kinds.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}

/// Kinds that the cluster does not have, and need not have.
fn absent(stand: &Stand<'_>) -> Vec<String> {
    let note = |scope: &Scope| {
        let kind = format!("{:?}s", scope.kind);
        format!("the cluster has no {kind}: it does not know {}.{}", scope.kind.resource(), scope.kind.group())
    };
    let absent = of_cause(stand, &[Cause::Absent]).into_iter().filter(|(scope, ..)| scope.kind.is_optional());
    absent.map(|(scope, ..)| note(scope)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn of_cause<'w>(stand: &Stand<'w>, causes: &[Cause]) -> Vec<(&'w Scope, Timestamp, &'w Failure)> {
    let failed = stand.iter().filter_map(|(scope, state)| {
        let (since, failure) = state.failure.as_ref()?;
        Some((*scope, *since, failure))
    });
    failed.filter(|(.., failure)| causes.contains(&failure.cause)).collect()
}

fn resources<'w>(scopes: impl Iterator<Item = &'w Scope>) -> String {
    let mut names: Vec<_> = scopes.map(|scope| scope.kind.resource()).collect();
    names.dedup();
    names.join(", ")
}
