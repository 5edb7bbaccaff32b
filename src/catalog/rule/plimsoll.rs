//! Alerts on what Plimsoll's users notice: its APIs, the metrics that HPAs ask for, its sources, its port.

mod autoscaling;
mod availability;
mod serving;
mod sources;

pub(super) use autoscaling::autoscaling;
pub(super) use availability::availability;
pub(super) use serving::serving;
pub(super) use sources::sources;

use crate::catalog::rule::Dashboard;

const fn dashboard(uid: &'static str) -> Dashboard {
    Dashboard { uid, variables: &["job"] }
}
