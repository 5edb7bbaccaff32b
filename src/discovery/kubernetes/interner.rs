//! Values that many records have in common, each kept once. What no record holds any more is swept out by and by.
//!
//! The hash is keyed at random: names and labels come from whoever may write objects.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::annotations::Annotations;
use super::owner::Controller;
use super::pod::Container;
use crate::model::{Labels, OwnerReference};

/// What the records of the index share.
#[derive(Default)]
pub(super) struct Interner {
    texts: Pool<Arc<str>>,
    labels: Pool<Labels>,
    pub annotations: Pool<Annotations>,
    pub containers: Pool<Arc<[Container]>>,
    pub controllers: Pool<Arc<Controller>>,
    pub owners: Pool<Arc<[OwnerReference]>>,
    pub services: Pool<Arc<[Arc<str>]>>,
}

/// Equal values of one type, each once.
pub(super) struct Pool<T> {
    values: HashSet<T>,
    /// The number of values at which those that nobody else holds are looked for.
    sweep_at: usize,
}

/// A value whose clones are one in memory.
pub(super) trait Shared: Clone + Eq + Hash {
    /// Whether somebody else holds it too.
    fn is_shared(&self) -> bool;
}

/// Below this a sweep is not worth its time.
const SWEEP_MIN: usize = 1024;

// === impl Interner ===

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.get(text).unwrap_or_else(|| self.texts.intern(text.into()))
    }

    /// The values that are kept of all types, whoever holds them.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let Self { texts, labels, annotations, containers, controllers, owners, services } = self;
        let shared = [annotations.values.len(), containers.values.len(), controllers.values.len()];
        let lists = [owners.values.len(), services.values.len()];
        texts.values.len() + labels.values.len() + shared.iter().chain(&lists).sum::<usize>()
    }

    /// `labels` of an object. Where one label makes a whole set unlike any other, as the name of the pod does in a
    /// `StatefulSet`, the rest is shared all the same.
    pub(super) fn labels(&mut self, labels: Option<BTreeMap<String, String>>) -> Labels {
        let pairs = labels.into_iter().flatten().map(|(name, value)| (self.text(&name), self.text(&value)));
        let labels = pairs.collect();
        self.labels.intern(labels)
    }
}

// === impl Pool ===

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { values: HashSet::default(), sweep_at: SWEEP_MIN }
    }
}

impl<T: Shared> Pool<T> {
    /// The one that is kept of all that are equal to `value`.
    pub(super) fn intern(&mut self, value: T) -> T {
        if let Some(known) = self.get(&value) {
            return known;
        }
        if self.values.len() >= self.sweep_at {
            self.sweep();
        }
        self.values.insert(value.clone());
        value
    }

    fn get<Q: Hash + Eq + ?Sized>(&self, value: &Q) -> Option<T>
    where
        T: Borrow<Q>,
    {
        self.values.get(value).cloned()
    }

    /// The next sweep comes when there are twice as many as stay, so that an insertion costs the same on average.
    fn sweep(&mut self) {
        self.values.retain(T::is_shared);
        self.sweep_at = SWEEP_MIN.max(self.values.len() * 2);
        self.values.shrink_to(self.sweep_at);
    }
}

// === impl Shared ===

impl<T: Eq + Hash + ?Sized> Shared for Arc<T> {
    fn is_shared(&self) -> bool {
        Self::strong_count(self) > 1
    }
}

impl Shared for Labels {
    fn is_shared(&self) -> bool {
        Labels::is_shared(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let mut interner = Interner::default();
        let [a, b] = ["web", "web"].map(|text| interner.text(text));
        assert!(Arc::ptr_eq(&a, &b));
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let [a, b] = [labels.clone(), labels].map(|labels| interner.labels(Some(labels)));
        assert!(a.is_shared() && a == b && interner.labels.values.len() == 1);
    }

    #[test]
    fn what_nobody_holds_does_not_pile_up() {
        let mut interner = Interner::default();
        let kept = interner.text("kept");
        for i in 0..100 * SWEEP_MIN {
            interner.text(&i.to_string());
        }
        assert!(interner.texts.values.len() <= SWEEP_MIN, "{}", interner.texts.values.len());
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
    }
}
