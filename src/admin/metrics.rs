//! Own metrics of the readiness checks, which are asked when the metrics are.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::admin::{Check, Readiness};

/// The checks, to be registered.
pub struct Checks(pub Arc<Vec<Check>>);

const OK: &str = "ok";
const DEGRADED: &str = "degraded";
const NOT_READY: &str = "not_ready";

// === impl Checks ===

impl Collector for Checks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "1 for the state in which a readiness check is, 0 for the others.";
        let mut readiness = encoder.encode_descriptor("readiness", help, None, MetricType::Gauge)?;
        for check in self.0.iter() {
            let now = state(&(check.ask)());
            for state in [OK, DEGRADED, NOT_READY] {
                let gauge = ConstGauge::new(i64::from(state == now));
                gauge.encode(readiness.encode_family(&[("check", check.name), ("state", state)])?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|check| check.name)).finish()
    }
}

fn state(readiness: &Readiness) -> &'static str {
    match readiness {
        Readiness::Ok => OK,
        Readiness::Degraded(_) => DEGRADED,
        Readiness::NotReady(_) => NOT_READY,
    }
}
