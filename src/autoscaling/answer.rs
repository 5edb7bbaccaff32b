//! What Plimsoll answers to an autoscaler, as the autoscaler takes it: the value of one metric in the terms of its target.
//!
//! The controller averages the values of the pods; an object's value, and the sum of external ones, it divides by the
//! replicas that the workload has where the target is an average. Where the API would answer with an error there is no
//! value; whether that is because what was known grew too old is told.

use std::collections::BTreeSet;

use crate::autoscaling::autoscaler::{Asked, Autoscaler, Reference, Source, TargetType};
use crate::model::selector::Selector;
use crate::model::{GroupResource, Inventory, Timestamp};
use crate::provider::{Objects, View};

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Others answer it.
    Elsewhere,
    /// There is no value.
    Missing {
        /// Of the samples that are too old for one, the time of the oldest; `None` where age is not the reason.
        aged: Option<Timestamp>,
    },
    Answered(Answer),
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    /// As the target has it; `None` for an average over no replicas.
    pub value: Option<f64>,
    /// Time of the oldest sample that it rests on.
    pub oldest: Timestamp,
}

/// Numbers of several objects, and the time of the oldest; or [`Outcome::Missing`] by its time.
type Found = Result<(Vec<f64>, Timestamp), Option<Timestamp>>;

/// The outcome for each metric of an autoscaler, in order; `elsewhere` are the API groups that others serve.
pub(super) fn outcomes(view: &View<'_>, elsewhere: &BTreeSet<String>, autoscaler: &Autoscaler) -> Vec<Outcome> {
    let is_elsewhere = |asked: &Asked| asked.source.group().is_none_or(|group| elsewhere.contains(group));
    let outcome = |asked| if is_elsewhere(asked) { Outcome::Elsewhere } else { outcome(view, autoscaler, asked) };
    autoscaler.metrics.iter().map(outcome).collect()
}

fn outcome(view: &View<'_>, autoscaler: &Autoscaler, asked: &Asked) -> Outcome {
    let Some(selector) = &asked.selector else { return Outcome::Missing { aged: None } };
    let (namespace, name) = (autoscaler.namespace.as_str(), asked.name.as_str());
    let found = match &asked.source {
        Source::Resource | Source::ContainerResource(_) => return Outcome::Elsewhere,
        Source::Pods => of_pods(view, autoscaler, name, selector),
        Source::Object(object) => of_object(view, namespace, object, name, selector),
        Source::External => of_external(view, namespace, name, selector),
    };
    let (numbers, oldest) = match found {
        Ok(found) => found,
        Err(aged) => return Outcome::Missing { aged },
    };
    let sum: f64 = numbers.iter().sum();
    let replicas = f64::from(autoscaler.current.unwrap_or_default());
    let value = match (&asked.source, asked.target) {
        // Always an average over those that have a value.
        (Source::Pods, _) => Some(sum / numbers.len() as f64),
        (_, TargetType::AverageValue) => (replicas > 0.0).then(|| sum / replicas),
        _ => Some(sum),
    };
    Outcome::Answered(Answer { value, oldest })
}

/// The values of the pods of what is scaled.
fn of_pods(view: &View<'_>, autoscaler: &Autoscaler, metric: &str, selector: &Selector) -> Found {
    let (pods, namespace) = (GroupResource::core("pods"), autoscaler.namespace.as_str());
    let names = pods_of(view.inventory, namespace, &autoscaler.scaled);
    let ask = |name: &str| view.custom(&pods, Some(namespace), &Objects::Named(name), metric, selector);
    let answers: Vec<_> = names.into_iter().map(ask).collect();
    let aged = answers.iter().filter_map(|answer| answer.as_ref().err()?.aged()).min();
    let values = answers.into_iter().flatten().flatten();
    whole(values.map(|value| (value.value.number, value.value.basis.timestamp))).ok_or(aged)
}

fn of_object(view: &View<'_>, namespace: &str, object: &Reference, metric: &str, selector: &Selector) -> Found {
    let resource = resource(view.inventory, object);
    // Of Namespaces the controller asks for its own, whatever the name.
    let is_namespace = resource == GroupResource::core("namespaces");
    let (place, name) = if is_namespace { (None, namespace) } else { (Some(namespace), object.name.as_str()) };
    let values =
        view.custom(&resource, place, &Objects::Named(name), metric, selector).map_err(|error| error.aged())?;
    whole(values.into_iter().map(|value| (value.value.number, value.value.basis.timestamp))).ok_or(None)
}

/// The controller asks for names in lower case.
fn of_external(view: &View<'_>, namespace: &str, metric: &str, selector: &Selector) -> Found {
    let values = view.external(namespace, &metric.to_lowercase(), selector).map_err(|error| error.aged())?;
    whole(values.into_iter().map(|value| (value.value.number, value.value.basis.timestamp))).ok_or(None)
}

/// `None` where there is nothing.
fn whole(values: impl Iterator<Item = (f64, Timestamp)>) -> Option<(Vec<f64>, Timestamp)> {
    let (numbers, times): (Vec<_>, Vec<_>) = values.unzip();
    Some((numbers, times.into_iter().min()?))
}

fn pods_of<'a>(inventory: &'a Inventory, namespace: &str, workload: &Reference) -> BTreeSet<&'a str> {
    let object = inventory.object(&resource(inventory, workload), namespace, &workload.name);
    let members = object.into_iter().flat_map(|object| inventory.members(object));
    members.filter_map(|target| target.identity.pod.as_deref()).collect()
}

/// As the cluster calls it where objects of the kind are known, else the plural that is usual.
fn resource(inventory: &Inventory, Reference { api_version, kind, .. }: &Reference) -> GroupResource {
    let usual = GroupResource::of_kind(api_version, kind);
    let is_of_kind = |resource: &&GroupResource| {
        let first = inventory.objects(resource, None).first();
        resource.group == usual.group && first.is_some_and(|object| *object.reference.kind == **kind)
    };
    inventory.resources().find(is_of_kind).cloned().unwrap_or(usual)
}

#[cfg(test)]
mod tests;
