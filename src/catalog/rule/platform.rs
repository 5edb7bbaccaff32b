//! Alerts on the thresholds of the platform: response time, errors, load that is to be held, CPU, memory, queues, backups.

mod backups;
mod resources;
mod services;

pub(super) use backups::backups;
pub(super) use resources::resources;
pub(super) use services::services;

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
    fn fires(self, conditions: impl Into<Vec<Condition>>, runbook: Runbook) -> Alert {
        let Self { name, category, dashboard, summary, description } = self;
        let service = Text::Borrowed("platform");
        let (name, summary, description) = (name.into(), summary.into(), description.into());
        Alert { name, service, category, dashboard, summary, description, conditions: conditions.into(), runbook }
    }
}
