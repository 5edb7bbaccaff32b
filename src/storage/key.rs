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

// === impl Keys ===

impl Keys {
    /// The key of a text, which `read` reads when nobody has it yet.
    pub(super) fn get<E>(
        &self,
        text: &str,
        name: &str,
        read: impl FnOnce() -> Result<Labels, E>,
    ) -> Result<Arc<SeriesKey>, E> {
        if let Some(key) = self.lock().keys.get(text).and_then(Weak::upgrade) {
            return Ok(key);
        }
        let key = Arc::new(SeriesKey { text: text.into(), name: name.into(), labels: read()? });
        self.lock().add(&key);
        Ok(key)
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
        self.keys.insert(key.text.clone(), Arc::downgrade(key));
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

    fn get(keys: &Keys, text: &str) -> Arc<SeriesKey> {
        keys.get(text, "g", || Ok::<_, ()>(Labels::default())).expect("labels")
    }

    #[test]
    fn one_text_is_read_once_while_somebody_has_it() {
        let keys = Keys::default();
        let first = get(&keys, "g");
        let again = keys.get("g", "g", || Err("read twice")).expect("a known text");
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        assert_eq!(keys.get("g", "g", || Err("read anew")), Err("read anew"));
    }

    #[test]
    fn texts_out_of_use_do_not_pile_up() {
        let keys = Keys::default();
        let kept: Vec<_> = (0..100).map(|n| get(&keys, &format!("g{{kept=\"{n}\"}}"))).collect();
        (0..100_000).for_each(|n| drop(get(&keys, &format!("g{{n=\"{n}\"}}"))));
        assert!(keys.lock().keys.len() <= SWEEP_MIN, "{}", keys.lock().keys.len());
        assert!(kept.iter().all(|key| keys.lock().keys.contains_key(&key.text)));
    }
}
