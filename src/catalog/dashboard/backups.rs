//! Would the platform survive a loss: are its backups young enough, and whole?

use crate::catalog::dashboard::overview::YES_OR_NO;
use crate::catalog::dashboard::{About, Dashboard, Measure, Panel, Thresholds, Variable};

const SERIES: &str = "backup_last_success_timestamp_seconds";

/// In seconds.
const DAY: f64 = 86_400.0;

pub(super) fn dashboard() -> Dashboard {
    let dashboard = Dashboard {
        uid: "platform-backups".into(),
        title: "Platform / Backups".into(),
        question: "Would the platform survive a loss: are its backups young enough, and whole?".into(),
        about: About::Platform,
        variables: vec![Variable::many("job", "Job", SERIES), Variable::many("instance", "Instance", SERIES)],
        annotations: Vec::new(),
        sections: Vec::new(),
    };
    // Due is when the alert warns, lost when it pages.
    let ages = [
        age("Database", "database", 1.0, 1.5, "daily"),
        age("Vector store", "vector-store", 7.0, 9.0, "weekly"),
        age("Volume snapshots", "volume-snapshots", 1.0, 1.5, "daily"),
    ];
    dashboard.section("Age of the newest backup", ages).section("Over time", [over_time(), verified()])
}

fn age(title: &'static str, backup: &str, due: f64, lost: f64, rhythm: &str) -> Panel {
    let description = format!("Age of the newest good backup. It is taken {rhythm}.");
    Panel::stat(title, description)
        .measured(Measure::Seconds)
        .query_now(format!("time() - max({SERIES}{{backup=\"{backup}\"}})"), "")
        .thresholds(Thresholds::above(due * DAY, lost * DAY))
        .size(8, 5)
}

fn over_time() -> Panel {
    Panel::lines(
        "Age of backups",
        "A saw tooth that falls to 0 with each backup. A line that goes on rising is one that failed.",
    )
    .measured(Measure::Seconds)
    .query(format!("time() - max by (backup) ({SERIES})"), "{{backup}}")
}

fn verified() -> Panel {
    let description =
        "Whether the newest backup was restored for a trial, and was whole. What was never restored is a hope.";
    Panel::timeline("Verified", description).query("min by (backup) (backup_verified)", "{{backup}}").states(&YES_OR_NO)
}
