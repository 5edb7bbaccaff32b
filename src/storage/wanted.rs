//! Which sample names are kept, and for how long: all that the metric definitions read.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// Sample names with what they are read for. One name may be read for several things.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted(FxHashMap<Box<str>, Entry>);

/// What is kept of the series of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// How far back a counter's samples are kept; `None` when only the newest sample is read.
    pub window: Option<Duration>,
    /// Whether the samples of a series that ended stay until they leave the window.
    pub former_lives: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Entry {
    want: Want,
    /// The counters whose start times this name tells, in seconds (OpenMetrics `_created`).
    created_of: Vec<Arc<str>>,
}

// === impl Wanted ===

impl Wanted {
    /// Wants the newest sample of a gauge.
    pub fn gauge(&mut self, name: &str) {
        self.0.entry(name.into()).or_default();
    }

    /// Wants a counter over a window, and its start times from the `_created` series `created`.
    pub fn counter(&mut self, name: &str, created: &str, window: Duration) {
        let want = &mut self.0.entry(name.into()).or_default().want;
        want.window = want.window.max(Some(window));
        let starts = &mut self.0.entry(created.into()).or_default().created_of;
        if !starts.iter().any(|of| **of == *name) {
            starts.push(name.into());
        }
    }

    /// Wants the samples of a counter's former lives, too.
    pub fn former_lives(&mut self, name: &str) {
        self.0.entry(name.into()).or_default().want.former_lives = true;
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What is kept of a name; of one that is not wanted, the newest sample.
    pub fn of(&self, name: &str) -> Want {
        self.0.get(name).map(|entry| entry.want).unwrap_or_default()
    }

    /// The counters whose start times a name tells.
    pub fn created_of(&self, name: &str) -> &[Arc<str>] {
        self.0.get(name).map_or(&[], |entry| &entry.created_of)
    }
}
