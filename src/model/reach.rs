//! The namespaces of which it is known what runs in them.

use std::collections::BTreeSet;

/// Where every running pod is known. By itself nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Namespaces(BTreeSet<Box<str>>),
    Everywhere,
}

// === impl Reach ===

impl Reach {
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Namespaces(names) => names.contains(namespace),
            Self::Everywhere => true,
        }
    }

    /// Adds a namespace; `None` stands for all.
    pub fn add(&mut self, namespace: Option<&str>) {
        match (&mut *self, namespace) {
            (Self::Namespaces(names), Some(namespace)) => {
                names.insert(namespace.into());
            }
            (Self::Namespaces(_), None) => *self = Self::Everywhere,
            (Self::Everywhere, _) => {}
        }
    }

    /// The namespaces that are in both.
    #[must_use]
    pub fn within(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Everywhere, other) => other.clone(),
            (some, Self::Everywhere) => some,
            (Self::Namespaces(names), Self::Namespaces(others)) => Self::Namespaces(&names & others),
        }
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self::Namespaces(BTreeSet::new())
    }
}

impl<'n> FromIterator<Option<&'n str>> for Reach {
    fn from_iter<I: IntoIterator<Item = Option<&'n str>>>(namespaces: I) -> Self {
        let mut reach = Self::default();
        namespaces.into_iter().for_each(|namespace| reach.add(namespace));
        reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(names: &[&str]) -> Reach {
        names.iter().map(|name| (*name != "*").then_some(*name)).collect()
    }

    #[test]
    fn it_has_the_namespaces_that_were_added() {
        assert!(!Reach::default().has("a"));
        assert!(reach(&["a", "b"]).has("b") && !reach(&["a", "b"]).has("c"));
        assert!(reach(&["a", "*"]).has("c") && reach(&["*", "a"]) == Reach::Everywhere);
    }

    #[test]
    fn of_what_was_known_stays_what_is_still_followed() {
        for (known, followed, left) in [
            (["*"].as_slice(), ["a", "b"].as_slice(), ["a", "b"].as_slice()),
            (&["a"], &["*"], &["a"]),
            (&["a", "b"], &["b", "c"], &["b"]),
            (&["*"], &[], &[]),
        ] {
            assert_eq!(reach(known).within(&reach(followed)), reach(left), "{known:?} within {followed:?}");
        }
    }
}
