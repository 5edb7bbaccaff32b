//! Alerts on what Plimsoll's users notice: its APIs, the metrics that HPAs ask for, its sources, its port.

mod autoscaling;
mod availability;
mod serving;
mod sources;

pub(super) use autoscaling::autoscaling;
pub(super) use availability::availability;
pub(super) use serving::serving;
pub(super) use sources::sources;

use crate::catalog::Text;
use crate::catalog::rule::{Alert, Category, Condition, Dashboard, Runbook};

/// What differs from alert to alert.
struct About {
    name: &'static str,
    category: Category,
    dashboard: Dashboard,
    summary: &'static str,
    description: &'static str,
}

// === impl About ===

impl About {
    fn fires<const N: usize>(self, conditions: [Condition; N], runbook: Runbook) -> Alert {
        let Self { name, category, dashboard, summary, description } = self;
        let service = Text::Borrowed("plimsoll");
        let (name, summary, description) = (name.into(), summary.into(), description.into());
        Alert { name, service, category, dashboard, summary, description, conditions: conditions.into(), runbook }
    }
}

const fn dashboard(uid: &'static str) -> Dashboard {
    Dashboard { uid, variables: &["job"] }
}
