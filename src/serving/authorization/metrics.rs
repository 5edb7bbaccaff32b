//! Own metrics of authorization.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Requests by what was decided.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<ResultLabel, Counter>,
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
        let metrics = Self { requests: Family::default() };
        for outcome in [Outcome::Masters, Outcome::Health, Outcome::Allowed, Outcome::Denied, Outcome::Undecided] {
            drop(metrics.requests.get_or_create(&ResultLabel { result: outcome.name() }));
        }
        registry.register(
            "authorization_requests",
            "Requests by whether they may be made, and why",
            metrics.requests.clone(),
        );
        metrics
    }

    pub(super) fn request(&self, outcome: Outcome) {
        self.requests.get_or_create(&ResultLabel { result: outcome.name() }).inc();
    }
}

// === impl Outcome ===

impl Outcome {
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
