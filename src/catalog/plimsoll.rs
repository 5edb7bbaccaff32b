//! What Plimsoll exposes about itself. A test compares it with `/metrics`, in both directions.

use crate::catalog::{Metric, Unit};

pub(super) fn metrics() -> Vec<Metric> {
    vec![Metric::gauge("plimsoll_build_info", Unit::Boolean, "Version of the running program").label("version")]
}
