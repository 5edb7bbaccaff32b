//! Alerts on the thresholds of the platform: response time, errors, load that is to be held, CPU, memory, queues, backups.

mod backups;
mod resources;
mod services;

pub(super) use backups::backups;
pub(super) use resources::resources;
pub(super) use services::services;
