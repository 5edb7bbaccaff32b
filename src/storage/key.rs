//! Names and labels of series, each kept once for all targets that write them alike.
//!
//! The pods of one workload expose the same series, so what is read of a text is shared by thousands of windows.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;

use crate::model::Labels;

/// What a series is called.
#[derive(Debug, PartialEq, Eq)]
pub struct SeriesKey {
    /// Name and labels as a page writes them.
    pub text: Box<str>,
    pub name: Arc<str>,
    pub labels: Labels,
}

/// A key found by its text.
#[derive(Clone)]
pub(super) struct ByText(pub Arc<SeriesKey>);

/// The keys in use.
#[derive(Default)]
pub(super) struct Keys(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: FxHashMap<Box<str>, Weak<SeriesKey>>,
    /// The number of keys at which those out of use are looked for.
    sweep_at: usize,
}

/// Below this number of keys nobody looks for those out of use.
const SWEEP_MIN: usize = 1024;

// === impl SeriesKey ===

impl SeriesKey {
    /// Whether the text is not blown up with blanks, or other text that means nothing.
    pub(super) fn is_compact(&self) -> bool {
        let decoded: usize = self.labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.text.len() <= 64 + 2 * (self.name.len() + decoded)
    }
}

// === impl Keys ===

impl Keys {
    /// The key of a text, if somebody has it.
    pub(super) fn get(&self, text: &str) -> Option<Arc<SeriesKey>> {
        self.lock().keys.get(text).and_then(Weak::upgrade)
    }

    /// Lets others share a key, unless its text is not worth remembering.
    pub(super) fn add(&self, key: &Arc<SeriesKey>) {
        if key.is_compact() {
            self.lock().add(key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, key: &Arc<SeriesKey>) {
        if self.keys.len() >= self.sweep_at {
            self.keys.retain(|_, key| key.strong_count() > 0);
            self.keys.shrink_to(self.keys.len() * 2);
            self.sweep_at = (self.keys.len() * 2).max(SWEEP_MIN);
        }
        if self.keys.get(&key.text).is_none_or(|known| known.strong_count() == 0) {
            self.keys.insert(key.text.clone(), Arc::downgrade(key));
        }
    }
}

// === impl ByText ===

impl Borrow<str> for ByText {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Arc<SeriesKey> {
        Arc::new(SeriesKey { text: text.into(), name: "g".into(), labels: Labels::new([("n", "1")]) })
    }

    #[test]
    fn a_key_is_shared_while_somebody_has_it() {
        let (keys, first) = (Keys::default(), key("g"));
        keys.add(&first);
        keys.add(&key("g"));
        assert!(keys.get("g").is_some_and(|found| Arc::ptr_eq(&first, &found)));
        drop(first);
        assert_eq!(keys.get("g"), None);
    }

    #[test]
    fn texts_out_of_use_or_blown_up_do_not_pile_up() {
        let keys = Keys::default();
        let kept: Vec<_> = (0..100).map(|n| key(&format!("g{{kept=\"{n}\"}}"))).collect();
        kept.iter().for_each(|key| keys.add(key));
        (0..100_000).for_each(|n| keys.add(&key(&format!("g{{n=\"{n}\"}}"))));
        assert!(keys.lock().keys.len() <= SWEEP_MIN, "{}", keys.lock().keys.len());
        assert!(kept.iter().all(|key| keys.get(&key.text).is_some()));
        let blown_up = key(&format!("g{{{}}}", " ".repeat(1000)));
        keys.add(&blown_up);
        assert_eq!(keys.get(&blown_up.text), None);
    }
}
