//! Which sample names are kept, and for how long: all that the metric definitions read.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// Sample names by their role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted(FxHashMap<Box<str>, Want>);

#[derive(Clone, Debug, PartialEq)]
struct Want {
    role: Role,
    window: Duration,
}

/// What a sample name is read for.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    Gauge,
    /// A value that only grows, but for resets.
    Counter,
    /// OpenMetrics `_created`: start times, in seconds, of the counter named here.
    Created {
        of: Arc<str>,
    },
}

// === impl Wanted ===

impl Wanted {
    /// Wants the newest sample of a gauge.
    pub fn gauge(&mut self, name: &str) {
        self.0.entry(name.into()).or_insert(Want { role: Role::Gauge, window: Duration::ZERO });
    }

    /// Wants a counter over a window, and its start times from the `_created` series `created`.
    pub fn counter(&mut self, name: &str, created: &str, window: Duration) {
        let want = self.0.entry(name.into()).or_insert(Want { role: Role::Counter, window });
        want.role = Role::Counter;
        want.window = want.window.max(window);
        let of = Role::Created { of: name.into() };
        self.0.entry(created.into()).or_insert(Want { role: of, window: Duration::ZERO });
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.0.get(name).map(|want| &want.role)
    }

    /// How far back samples of a name are kept; zero for the newest only.
    pub fn window(&self, name: &str) -> Duration {
        self.0.get(name).map_or(Duration::ZERO, |want| want.window)
    }
}
