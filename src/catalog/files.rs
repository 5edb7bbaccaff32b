//! What has been made: texts by their path.

use std::collections::BTreeMap;

/// Texts by path, which is relative and has `/` on every machine: `dashboards/plimsoll-overview.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, String>);

// === impl Files ===

impl Files {
    /// # Panics
    /// When there is one of that path: two would be written to one place.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        let path = path.into();
        assert!(!self.0.contains_key(&path), "there are two files {path}");
        self.0.insert(path, text.into());
    }

    pub fn extend(&mut self, others: Self) {
        for (path, text) in others.0 {
            self.add(path, text);
        }
    }
}
