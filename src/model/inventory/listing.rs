//! The objects of one resource in order, and by label. In: objects, once. Out: those that a name, a namespace or a
//! label selector means, without a look at the others.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::model::Object;
use crate::model::selector::{Need, Selector};

/// Objects in order of namespace and name, each once. An object is known by its position in that order.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    objects: Box<[Object]>,
    by_key: FxHashMap<Box<str>, Holders>,
}

/// The objects with a label of some key.
#[derive(Clone, Debug, Default)]
struct Holders {
    by_position: Vec<u32>,
    /// In order of the value, then of the position: those of one value are one run, found by halving, and no value is
    /// kept twice.
    by_value: Vec<u32>,
}

// === impl Listing ===

impl Listing {
    pub(super) fn new(mut objects: Vec<Object>) -> Self {
        objects.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
        let by_key = index(&objects);
        Self { objects: objects.into(), by_key }
    }

    /// One object; `namespace` is empty for a cluster-scoped one.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Object> {
        let found = self.objects.binary_search_by(|object| object.place().cmp(&(namespace, name)));
        found.ok().map(|position| &self.objects[position])
    }

    /// The objects of a namespace; all of them where none is given.
    pub(super) fn within(&self, namespace: Option<&str>) -> &[Object] {
        &self.objects[self.range(namespace)]
    }

    /// Those of [`Self::within`] that a selector means, in the same order. The cost is that of the requirement which
    /// the fewest of them can meet; `!=`, `notin` and `!key` can be met by any, and where there is nothing else in the
    /// selector all are looked at.
    pub(super) fn select(&self, namespace: Option<&str>, selector: &Selector) -> Vec<&Object> {
        let range = self.range(namespace);
        let is_meant = |object: &&Object| selector.matches(|key| object.labels.get(key));
        let runs = selector.needs().map(|need| self.runs(&need, &range)).min_by_key(|runs| count(runs));
        match runs.filter(|runs| count(runs) < range.len()) {
            Some(runs) => merged(&runs).into_iter().map(|position| self.at(position)).filter(is_meant).collect(),
            None => self.objects[range].iter().filter(is_meant).collect(),
        }
    }

    fn range(&self, namespace: Option<&str>) -> Range<usize> {
        let Some(namespace) = namespace else { return 0..self.objects.len() };
        let start = self.objects.partition_point(|object| object.place().0 < namespace);
        let length = self.objects[start..].partition_point(|object| object.place().0 == namespace);
        start..start + length
    }

    /// The objects in `range` with a needed label, one run per value.
    fn runs(&self, need: &Need<'_>, range: &Range<usize>) -> Vec<&[u32]> {
        let Some(holders) = self.by_key.get(need.key) else { return Vec::new() };
        match need.values {
            None => vec![clip(&holders.by_position, range)],
            Some(values) => values.iter().map(|value| clip(self.run(holders, need.key, value), range)).collect(),
        }
    }

    fn run<'a>(&self, holders: &'a Holders, key: &str, value: &str) -> &'a [u32] {
        let value_of = |position: u32| self.at(position).labels.get(key).unwrap_or_default();
        let start = holders.by_value.partition_point(|position| value_of(*position) < value);
        let rest = &holders.by_value[start..];
        &rest[..rest.partition_point(|position| value_of(*position) == value)]
    }

    fn at(&self, position: u32) -> &Object {
        &self.objects[position as usize]
    }
}

fn index(objects: &[Object]) -> FxHashMap<Box<str>, Holders> {
    let mut by_key: FxHashMap<&str, Vec<(&str, u32)>> = FxHashMap::default();
    for (position, object) in (0_u32..).zip(objects) {
        for (key, value) in object.labels.iter() {
            by_key.entry(key).or_default().push((value, position));
        }
    }
    by_key.into_iter().map(|(key, pairs)| (key.into(), Holders::new(pairs))).collect()
}

fn count(runs: &[&[u32]]) -> usize {
    runs.iter().map(|run| run.len()).sum()
}

/// All positions of some runs, in order. A position is in one of them only, for an object has one value of a key.
fn merged(runs: &[&[u32]]) -> Vec<u32> {
    let mut positions = runs.concat();
    if runs.len() > 1 {
        positions.sort_unstable();
    }
    positions
}

/// The part of a run that lies in `range`.
fn clip<'a>(run: &'a [u32], range: &Range<usize>) -> &'a [u32] {
    let before = |end: usize| run.partition_point(|position| (*position as usize) < end);
    &run[before(range.start)..before(range.end)]
}

// === impl Holders ===

impl Holders {
    /// `pairs` are values and positions, in order of the position.
    fn new(mut pairs: Vec<(&str, u32)>) -> Self {
        let positions = |pairs: &[(&str, u32)]| pairs.iter().map(|(_, position)| *position).collect();
        let by_position = positions(&pairs);
        pairs.sort_by_key(|(value, _)| *value);
        Self { by_position, by_value: positions(&pairs) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::ObjectReference;

    fn object(namespace: &str, name: &str, labels: &[(String, String)]) -> Object {
        let reference = ObjectReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: Some(namespace.into()),
            name: name.into(),
        };
        Object::new(Arc::new(reference), labels.iter().cloned().collect())
    }

    fn places<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<(&'a str, &'a str)> {
        objects.into_iter().map(Object::place).collect()
    }

    fn listing(labels: &[&str]) -> Listing {
        let pairs = |text: &str| {
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        Listing::new(labels.iter().enumerate().map(|(i, text)| object("ns", &i.to_string(), &pairs(text))).collect())
    }

    #[test]
    fn the_requirement_that_the_fewest_meet_decides_what_is_looked_at() {
        let listing = listing(&["a=1,b=1", "a=1,b=2", "a=1", "a=2"]);
        for (selector, looked_at) in
            [("a=1", 3), ("a=1,b=2", 1), ("a,b", 2), ("a=1,b in (1,3)", 1), ("a>1,b", 2), ("c,a", 0), ("a=1,a=2", 1)]
        {
            let selector = Selector::parse(selector).expect("a selector");
            let runs = selector.needs().map(|need| listing.runs(&need, &(0..4))).map(|runs| count(&runs)).min();
            assert_eq!(runs, Some(looked_at), "{selector}");
        }
    }

    #[test]
    fn what_every_object_can_meet_narrows_nothing() {
        for selector in ["", "a!=1", "a notin (1,2)", "!a"] {
            assert_eq!(Selector::parse(selector).expect("a selector").needs().count(), 0, "{selector}");
        }
    }

    proptest! {
        #[test]
        fn the_index_chooses_what_the_selector_means(
            objects in prop::collection::btree_map(
                ("[ab]", "[a-d]{1,2}"),
                prop::collection::btree_map("[xyz]", "[123]?", 0..4),
                0..24,
            ),
            selector in "[xyz](=[1-3]?|==[12]|!=[1-3]?| in \\([1-3]?,[1-3]\\)| notin \\([12],[23]\\)|>[12]|<[23])?(,!?[xyz])?(,[xyz]=[1-3])?",
            namespace in prop::option::of("[abc]"),
        ) {
            let selector = Selector::parse(&selector).expect("a selector");
            let all = objects.iter().rev().map(|((namespace, name), labels)| {
                object(namespace, name, &labels.clone().into_iter().collect::<Vec<_>>())
            });
            let listing = Listing::new(all.collect());
            let plain = objects.iter().filter(|((of, _), labels)| {
                namespace.as_ref().is_none_or(|wanted| wanted == of)
                    && selector.matches(|key| labels.get(key).map(String::as_str))
            });
            let plain: Vec<_> = plain.map(|((namespace, name), _)| (namespace.as_str(), name.as_str())).collect();
            prop_assert_eq!(places(listing.select(namespace.as_deref(), &selector)), plain);
        }

        #[test]
        fn names_and_namespaces_lead_to_what_they_name(
            objects in prop::collection::btree_set(("[ab]{0,2}", "[a-c]{1,2}"), 0..16),
            asked in ("[ab]{0,2}", "[a-c]{1,2}"),
        ) {
            let listing = Listing::new(objects.iter().map(|(namespace, name)| object(namespace, name, &[])).collect());
            prop_assert_eq!(listing.get(&asked.0, &asked.1).is_some(), objects.contains(&asked));
            let within: Vec<_> = objects.iter().filter(|(namespace, _)| *namespace == asked.0).collect();
            prop_assert_eq!(listing.within(Some(&asked.0)).len(), within.len());
            prop_assert_eq!(listing.within(None).len(), objects.len());
        }
    }
}
