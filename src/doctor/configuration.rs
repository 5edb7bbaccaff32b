//! Whether Plimsoll's configuration is known, and good.

use crate::doctor::facts::{Configuration, Facts};
use crate::doctor::{Check, Finding, ObjectName};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let of = |origin: &str| ObjectName::cluster("Configuration", origin);
    let finding = match &facts.configuration {
        Configuration::Known { config, origin } => {
            let found = format!("{} jobs, {} metrics", config.jobs.len(), config.metrics.len());
            Check::Configuration.ok(of(origin), found)
        }
        Configuration::Bad { mistakes, origin } => Check::Configuration
            .failure(of(origin), format!("cannot be used: {mistakes}"))
            .expected("a configuration that passes plimsoll check; until then the last good one stays in force")
            .fix("plimsoll check FILE"),
        Configuration::Unknown(why) => Check::Configuration
            .unknown(of(&facts.place.service.name), format!("is not known: {why}; so what metrics mean is not either"))
            .fix("plimsoll doctor --config FILE"),
    };
    vec![finding]
}
