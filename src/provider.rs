//! (metric, object | selector) → value with its provenance, from memory alone.
//!
//! The one place where objects, definitions and stored windows meet. Every number comes with how
//! many of the object's targets it rests on; without enough of them there is an [`Error`] that says
//! which target lacks what. Nothing here waits, does I/O or reads a clock.

mod contribution;
mod error;

pub use error::{Cause, Error, PodsWithoutTarget, Reasons, Subject};

use std::sync::Arc;

use crate::aggregate::{Partial, Value};
use crate::config::{Config, Definition, Level, Shape, Sharing};
use crate::model::selector::Selector;
use crate::model::{GroupResource, Inventory, Labels, Object, ObjectReference, Reach, Timestamp};
use crate::storage::Storage;
use contribution::{Contributions, Lack};
use error::REASONS_MAX;

/// All that an answer is made from, at one moment.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub config: &'a Config,
    pub inventory: &'a Inventory,
    pub storage: &'a Storage,
    pub now: Timestamp,
}

/// Which objects a custom-metrics request asks for.
#[derive(Clone, Debug)]
pub enum Objects<'a> {
    Named(&'a str),
    /// `*` with a label selector over the labels of the objects.
    Selected(&'a Selector),
}

/// The value of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricValue {
    pub object: Arc<ObjectReference>,
    pub value: Value,
    pub coverage: Coverage,
}

/// One item of an external metric.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalValue {
    /// The split labels of the series behind the item.
    pub labels: Labels,
    pub value: Value,
    pub coverage: Coverage,
}

/// How much of an object a value rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub targets_with_data: usize,
    /// Targets that should have data and have none, with those that pods without target should have.
    pub targets_missing: usize,
}

// === impl View ===

impl<'a> View<'a> {
    /// Values of a metric for named or selected objects.
    ///
    /// `namespace` is `None` in a root-scoped request. `metric_selector` chooses among split labels.
    /// Selected objects without data are left out; the HPA treats them as missing pods.
    ///
    /// # Errors
    /// [`Error`] when the metric, level or object is unknown, or no object has data.
    pub fn custom(
        &self,
        resource: &GroupResource,
        namespace: Option<&str>,
        objects: &Objects<'_>,
        metric: &str,
        metric_selector: &Selector,
    ) -> Result<Vec<MetricValue>, Error> {
        let subject = Subject::custom(metric, resource, namespace, objects);
        let definition = self.definition(&subject, metric, level_of(resource))?;
        check_selector(&subject, definition, metric_selector)?;
        match objects {
            Objects::Named(name) => {
                let object = self.inventory.object(resource, namespace.unwrap_or_default(), name);
                let object = self.scraped(&subject, object)?;
                let value = self.object_value(definition, object, level_of(resource), metric_selector);
                value
                    .map(|value| vec![value])
                    .map_err(|(lack, of)| Error::new(&subject, lack.cause(&of, definition, metric_selector)))
            }
            Objects::Selected(selector) => {
                let selected = self.inventory.select(resource, namespace, selector);
                self.selected_values(&subject, definition, &selected, metric_selector)
            }
        }
    }

    /// Items of an external metric in a namespace: one per group of split labels where the groups
    /// add up, otherwise one for all of them, since the HPA sums the items.
    ///
    /// # Errors
    /// [`Error`] when the metric is unknown or has no data in the namespace.
    pub fn external(&self, namespace: &str, metric: &str, selector: &Selector) -> Result<Vec<ExternalValue>, Error> {
        let subject = Subject::external(metric, namespace, selector);
        let definition = self.definition(&subject, metric, Level::External)?;
        check_selector(&subject, definition, selector)?;
        let object = self.inventory.object(&GroupResource::core("namespaces"), "", namespace);
        let object = self.scraped(&subject, object)?;
        let items = self.external_items(definition, object, selector);
        items.map_err(|cause| Error::new(&subject, cause))
    }

    /// Whether values of these objects rest on more than so many targets.
    pub fn reads_more_than(
        &self,
        targets: usize,
        resource: &GroupResource,
        namespace: Option<&str>,
        objects: &Objects<'_>,
    ) -> bool {
        if self.inventory.targets().len() <= targets {
            return false;
        }
        let asked = match objects {
            Objects::Named(name) => {
                self.inventory.object(resource, namespace.unwrap_or_default(), name).into_iter().collect()
            }
            Objects::Selected(selector) => self.inventory.select(resource, namespace, selector),
        };
        asked.into_iter().map(|object| self.inventory.members(object).len()).sum::<usize>() > targets
    }

    /// Every (resource, metric) that may be asked for, in order.
    pub fn custom_metrics(&self) -> Vec<(GroupResource, &'a str)> {
        let always = ["namespaces", "pods", "services"].map(GroupResource::core);
        let mut resources: Vec<_> = always.into_iter().chain(self.inventory.resources().cloned()).collect();
        resources.sort();
        resources.dedup();
        let mut all = Vec::new();
        for resource in resources {
            let level = level_of(&resource);
            let served = self.config.metrics.iter().filter(|definition| definition.levels.contains(&level));
            all.extend(served.map(|definition| (resource.clone(), definition.name.as_str())));
        }
        all
    }

    /// The names of all external metrics, in order of the configuration.
    pub fn external_metrics(&self) -> impl Iterator<Item = &'a str> {
        let served = self.config.metrics.iter().filter(|definition| definition.levels.contains(&Level::External));
        served.map(|definition| definition.name.as_str())
    }

    fn definition(&self, subject: &Subject, metric: &str, level: Level) -> Result<&'a Definition, Error> {
        let found = self.config.metrics.iter().find(|definition| definition.name == metric);
        let definition = found.ok_or_else(|| Error::new(subject, Cause::unknown_metric(metric, self.config)))?;
        if definition.levels.contains(&level) {
            return Ok(definition);
        }
        Err(Error::new(subject, Cause::LevelNotServed { asked: level, served: definition.levels.clone() }))
    }

    /// An object that a target stands for.
    fn scraped(&self, subject: &Subject, object: Option<&'a Object>) -> Result<&'a Object, Error> {
        let object = object.ok_or_else(|| Error::new(subject, Cause::UnknownObject(self.known(subject))))?;
        if object.has_target() {
            return Ok(object);
        }
        Err(Error::new(subject, Cause::NotScraped(self.pods_without_target(&[object]))))
    }

    /// The level, where the inventory knows all objects of it that run and could be meant.
    fn known(&self, subject: &Subject) -> Option<Level> {
        let is_known = match subject.place() {
            Some(namespace) => self.inventory.reach.has(namespace),
            None => self.inventory.reach == Reach::Everywhere,
        };
        is_known.then(|| subject.level())
    }

    fn pods_without_target(&self, objects: &[&Object]) -> PodsWithoutTarget {
        PodsWithoutTarget::of(objects.iter().flat_map(|object| self.inventory.pods_without_target_of(object)))
    }

    fn selected_values(
        &self,
        subject: &Subject,
        definition: &Definition,
        selected: &[&'a Object],
        metric_selector: &Selector,
    ) -> Result<Vec<MetricValue>, Error> {
        let level = subject.level();
        let (mut values, mut absent) = (Vec::with_capacity(selected.len()), Vec::new());
        for object in selected.iter().filter(|object| object.has_target()) {
            match self.object_value(definition, object, level, metric_selector) {
                Ok(value) => values.push(value),
                Err((lack, of)) if absent.len() < REASONS_MAX => {
                    absent.push((object.reference.name.to_string(), lack.cause(&of, definition, metric_selector)));
                }
                Err(_) => {}
            }
        }
        match values.is_empty() {
            false => Ok(values),
            true => Err(Error::new(subject, self.nothing_selected(subject, selected, absent))),
        }
    }

    /// Why no object of those selected has a value; `absent` are the first few that have targets.
    fn nothing_selected(&self, subject: &Subject, selected: &[&Object], absent: Vec<(String, Cause)>) -> Cause {
        let pods = self.pods_without_target(selected);
        match (selected.len(), absent.is_empty()) {
            (0, _) => Cause::NothingSelected(self.known(subject)),
            (objects, true) => Cause::NoneScraped { level: subject.level(), objects, pods },
            (all, false) => {
                let with_target = selected.iter().filter(|object| object.has_target()).count();
                Cause::NoObjectHasData { first: absent, with_target, all, pods }
            }
        }
    }

    fn object_value<'s>(
        &'s self,
        definition: &Definition,
        object: &'s Object,
        level: Level,
        selector: &'s Selector,
    ) -> Result<MetricValue, (Lack, Box<Contributions<'s>>)> {
        let mut contributions = Contributions::collect(self, object, definition, level, selector, false);
        match contributions.whole().and_then(|whole| value(definition, whole)) {
            Ok((value, coverage)) => Ok(MetricValue { object: object.reference.clone(), value, coverage }),
            Err(lack) => Err((lack, Box::new(contributions))),
        }
    }

    fn external_items(
        &self,
        definition: &Definition,
        object: &Object,
        selector: &Selector,
    ) -> Result<Vec<ExternalValue>, Cause> {
        let apart = definition.shape.groups_add_up();
        let mut contributions = Contributions::collect(self, object, definition, Level::External, selector, apart);
        let item = |merged: Result<_, Lack>, labels: Labels| {
            let (value, coverage) = value(definition, merged?)?;
            Ok(ExternalValue { labels, value, coverage })
        };
        let groups = contributions.groups();
        let items: Result<Vec<_>, Lack> = if groups.len() > 1 {
            groups.into_iter().map(|group| item(contributions.group(&group), group)).collect()
        } else {
            let labels = contributions.only_group().unwrap_or_default();
            item(contributions.whole(), labels).map(|item| vec![item])
        };
        items.map_err(|lack| lack.cause(&contributions, definition, selector))
    }
}

/// The number of what was merged. A total of which a few targets lack data is scaled up.
fn value(definition: &Definition, (mut partial, coverage): (Partial, Coverage)) -> Result<(Value, Coverage), Lack> {
    let one_is_enough = matches!(definition.shape, Shape::Queue { sharing: Sharing::Shared, .. });
    if !one_is_enough && coverage.share() < definition.min_coverage {
        return Err(Lack::Coverage(coverage));
    }
    partial.scale(1.0 / coverage.share());
    Ok((partial.value().map_err(Lack::Value)?, coverage))
}

/// The level that answers for a resource.
pub fn level_of(resource: &GroupResource) -> Level {
    match (resource.group.as_str(), resource.resource.as_str()) {
        ("", "pods") => Level::Pods,
        ("", "services") => Level::Services,
        ("", "namespaces") => Level::Namespaces,
        ("", "nodes") => Level::Nodes,
        _ => Level::Owners,
    }
}

fn check_selector(subject: &Subject, definition: &Definition, selector: &Selector) -> Result<(), Error> {
    match selector.keys().find(|key| !definition.split_by.iter().any(|label| label == key)) {
        None => Ok(()),
        Some(key) => {
            Err(Error::new(subject, Cause::NotSplitBy { label: key.to_owned(), split_by: definition.split_by.clone() }))
        }
    }
}

// === impl Coverage ===

impl Coverage {
    /// Targets with data over those that should have it, 1 when none is missing.
    pub fn share(self) -> f64 {
        self.targets_with_data as f64 / (self.targets_with_data + self.targets_missing) as f64
    }
}

#[cfg(test)]
mod tests;
