//! Own metrics of authorization.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Requests by what was decided.
#[derive(Clone)]
pub struct Metrics {
    /// By [`Outcome`]: they are counted for each request, so where is known already.
    requests: [Counter; Outcome::ALL.len()],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What was decided of a request, and by what.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Masters,
    Health,
    Allowed,
    Denied,
    Undecided,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the metrics of this module.
    pub fn register(registry: &mut Registry) -> Self {
        let requests = Family::<ResultLabel, Counter>::default();
        let counter = |outcome: Outcome| requests.get_or_create_owned(&ResultLabel { result: outcome.name() });
        let metrics = Self { requests: Outcome::ALL.map(counter) };
        registry.register("authorization_requests", "Requests by whether they may be made, and why", requests);
        metrics
    }

    pub(super) fn request(&self, outcome: Outcome) {
        self.requests[outcome as usize].inc();
    }
}

// === impl Outcome ===

impl Outcome {
    /// In the order of their numbers.
    const ALL: [Self; 5] = [Self::Masters, Self::Health, Self::Allowed, Self::Denied, Self::Undecided];

    fn name(self) -> &'static str {
        match self {
            Self::Masters => "masters",
            Self::Health => "health",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Undecided => "undecided",
        }
    }
}
