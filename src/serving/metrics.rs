//! What goes on at the port, for the metrics page.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::config::Tier;
use crate::serving::activity::{Closure, Standing};
use crate::serving::connections::Refused;

/// Counts connections and limited requests. Clones share their values.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    open: Family<Client, Gauge>,
    refused: Family<Reason, Counter>,
    closed: Family<Reason, Counter>,
    limited: Family<By, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Client {
    client: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    tier: &'static str,
}

/// Requests refused since their address failed to authenticate too often; not a tier.
const FAILURES: &str = "authentication_failures";

// === impl Metrics ===

impl Default for Metrics {
    /// Every series is there from the start, so that an increase is never missed.
    fn default() -> Self {
        let metrics = Self {
            open: Family::default(),
            refused: Family::default(),
            closed: Family::default(),
            limited: Family::default(),
        };
        for standing in [Standing::Stranger, Standing::Known, Standing::FrontProxy] {
            metrics.open(standing, 0);
        }
        Refused::ALL.iter().for_each(|why| drop(metrics.refused.get_or_create(&Reason { reason: why.name() })));
        Closure::ALL.iter().for_each(|why| drop(metrics.closed.get_or_create(&Reason { reason: why.name() })));
        let tiers = Tier::ALL.iter().map(|tier| tier.name());
        tiers.chain([FAILURES]).for_each(|tier| drop(metrics.limited.get_or_create(&By { tier })));
        metrics
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("serving_connections", "Open connections by who is at their other end", self.open.clone());
        registry.register(
            "serving_connections_refused",
            "Connections closed before their handshake by reason",
            self.refused.clone(),
        );
        registry.register(
            "serving_connections_closed",
            "Connections ended from this side by reason",
            self.closed.clone(),
        );
        registry.register(
            "serving_requests_limited",
            "Requests answered with 429 by the tier of their client",
            self.limited.clone(),
        );
    }

    pub(super) fn open(&self, standing: Standing, change: i64) {
        let client = match standing {
            Standing::Stranger => "stranger",
            Standing::Known => "known",
            Standing::FrontProxy => "front_proxy",
        };
        self.open.get_or_create(&Client { client }).inc_by(change);
    }

    pub(super) fn refused(&self, why: Refused) {
        self.refused.get_or_create(&Reason { reason: why.name() }).inc();
    }

    pub(super) fn closed(&self, why: Closure) {
        self.closed.get_or_create(&Reason { reason: why.name() }).inc();
    }

    /// `None`: for failed authentications.
    pub(super) fn limited(&self, tier: Option<Tier>) {
        self.limited.get_or_create(&By { tier: tier.map_or(FAILURES, Tier::name) }).inc();
    }
}
