//! Which sample names are kept, and for how long: all that the metric definitions read.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// Sample names with what they are read for. One name may be read for several things.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted(FxHashMap<Box<str>, Want>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Want {
    /// How far back a counter's samples are kept; `None` when only the newest sample is read.
    window: Option<Duration>,
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
        let want = self.0.entry(name.into()).or_default();
        want.window = want.window.max(Some(window));
        let starts = &mut self.0.entry(created.into()).or_default().created_of;
        if !starts.iter().any(|of| **of == *name) {
            starts.push(name.into());
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a name is read as a value that only grows, but for resets.
    pub fn is_counter(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|want| want.window.is_some())
    }

    /// The counters whose start times a name tells.
    pub fn created_of(&self, name: &str) -> &[Arc<str>] {
        self.0.get(name).map_or(&[], |want| &want.created_of)
    }

    /// How far back samples of a name are kept; zero for the newest only.
    pub fn window(&self, name: &str) -> Duration {
        self.0.get(name).and_then(|want| want.window).unwrap_or_default()
    }
}
