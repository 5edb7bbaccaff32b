//! The annotations of an object, as far as somebody may ask for them. Keys are shared between objects, since plugins
//! write values of their own on every pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::interner::{Interner, Shared};

/// Annotations in order of their keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Annotations(Arc<[(Arc<str>, Box<str>)]>);

/// Bytes of a value that is kept. Longer ones are documents for programs; kube-apiserver allows 256 KiB in all.
const VALUE_LENGTH_MAX: usize = 4096;

/// A copy of the whole object, which `kubectl apply` leaves behind.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

// === impl Annotations ===

impl Annotations {
    pub(super) fn read(map: Option<BTreeMap<String, String>>, interner: &mut Interner) -> Self {
        let wanted = |(key, value): &(String, String)| key != LAST_APPLIED && value.len() <= VALUE_LENGTH_MAX;
        let pairs = map.into_iter().flatten().filter(wanted);
        let read = Self(pairs.map(|(key, value)| (interner.text(&key), value.into())).collect());
        interner.annotations.intern(read)
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok().map(|place| &*self.0[place].1)
    }

    /// The pairs in order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl Shared for Annotations {
    fn is_shared(&self) -> bool {
        self.0.is_shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_the_object_and_documents_are_not_kept() {
        let long = "x".repeat(VALUE_LENGTH_MAX + 1);
        let map = [("b", &long[1..]), (LAST_APPLIED, "{}"), ("a", "1"), ("c", &long)];
        let map = map.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let read = Annotations::read(Some(map), &mut Interner::default());
        assert_eq!(read.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((read.get("a"), read.get("c")), (Some("1"), None));
    }
}
