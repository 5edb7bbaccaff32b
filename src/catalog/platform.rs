//! What the sample platform exposes: its services, and what watches over them.

use crate::catalog::{Metric, Origin, Unit};

pub(super) fn metrics() -> Vec<Metric> {
    vec![
        Metric::gauge("up", Unit::Boolean, "1 when the last scrape of the target succeeded").from(Origin::Scrape),
        Metric::gauge("agent_queue_length", Unit::Count("messages".into()), "Messages that wait in a queue")
            .label("queue")
            .from(Origin::Service),
    ]
}
