//! Alerts on the backups of the platform: each kind is to be young enough, whole, and reported at all.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

/// A kind of backup, and when its newest one is too old.
struct Kind {
    name: &'static str,
    /// Seconds after which the next one was due, and how long that one may take.
    due: u32,
    run: &'static str,
    /// Seconds after which more may be lost than was promised.
    lost: u32,
}

const HOUR: u32 = 3_600;

/// Daily ones for at most 24 h of lost data; the vector store can be made again from the database and is kept weekly.
const KINDS: [Kind; 3] = [
    Kind { name: "database", due: 24 * HOUR, run: "1h", lost: 36 * HOUR },
    Kind { name: "vector-store", due: 7 * 24 * HOUR, run: "6h", lost: 9 * 24 * HOUR },
    Kind { name: "volume-snapshots", due: 24 * HOUR, run: "1h", lost: 36 * HOUR },
];

const DASHBOARD: Dashboard = Dashboard { uid: "platform-backups", variables: &[] };

pub(in crate::catalog::rule) fn backups() -> Vec<Alert> {
    vec![old(), missing(), unverified()]
}

fn old() -> Alert {
    let older = |kind: &Kind, seconds: u32| {
        let newest =
            format!("max by (job, backup) (backup_last_success_timestamp_seconds{{backup=\"{}\"}})", kind.name);
        format!("time() - {newest} > {seconds}")
    };
    let of_kind = |kind: &Kind| {
        [Condition::critical(older(kind, kind.lost), "5m"), Condition::warning(older(kind, kind.due), kind.run)]
    };
    About {
        service: "platform",
        name: "PlatformBackupTooOld",
        category: Category::Recovery,
        dashboard: DASHBOARD,
        summary: "The newest backup is too old.",
        description: "The newest backup {{ $labels.backup }} is {{ $value | humanizeDuration }} old.",
    }
    .fires(
        KINDS.iter().flat_map(|kind| of_kind(kind).map(|condition| condition.with("kind", kind.name))).collect::<Vec<_>>(),
        Runbook::new(
            "The next backup of this kind was due and has not come. Databases and volumes are saved daily, the vector store weekly; at most \
             24 hours of data may be lost.",
            "A loss now costs everything since the newest backup. From 36 hours on (vector store: 9 days) it is an emergency.",
            [
                "`kubectl get cronjobs,jobs -A | grep -i backup`: did the last run fail, did it never start, or does it still run?",
                "`kubectl -n NAMESPACE logs job/JOB`: credentials, room at the destination, a lock on the database?",
                "Is the CronJob suspended, or its `startingDeadlineSeconds` exceeded?",
            ],
            [
                "Run it now: `kubectl -n NAMESPACE create job --from=cronjob/CRONJOB backup-now`, and wait for its end.",
                "No room: remove copies beyond their age (database 30 days, vector store 8 weeks, volumes 7 days), not younger ones.",
                "Credentials: renew the Secret, run it again.",
                "Put off deploys that change the database until there is a backup.",
            ],
        ),
    )
}

fn missing() -> Alert {
    let of_kind = |kind: &Kind| {
        let query = format!("absent(backup_last_success_timestamp_seconds{{backup=\"{}\"}})", kind.name);
        Condition::critical(query, "1h").with("kind", kind.name)
    };
    About {
        service: "platform",
        name: "PlatformBackupMissing",
        category: Category::Recovery,
        dashboard: DASHBOARD,
        summary: "Nobody reports on a kind of backup.",
        description: "No series tells when a backup of one of the kinds last succeeded; the label kind says which.",
    }
    .fires(
        KINDS.iter().map(of_kind).collect::<Vec<_>>(),
        Runbook::new(
            "`backup_last_success_timestamp_seconds` has had no series of this kind for an hour. The age of a backup that nobody reports \
             cannot be alerted on; so this is treated as if there were none.",
            "It is not known whether data could be restored.",
            [
                "*Status → Targets* in Prometheus: is the exporter of the backups scraped?",
                "`kubectl get cronjobs -A | grep -i backup`: was the job removed or renamed?",
                "At the destination: when was the newest object of this kind written?",
            ],
            [
                "The exporter is down: restart it.",
                "The job is gone: apply its manifest, and run it by hand once.",
                "The platform has no backup of this kind at all: take this rule out on purpose, in writing.",
            ],
        ),
    )
}

fn unverified() -> Alert {
    About {
        service: "platform",
        name: "PlatformBackupUnverified",
        category: Category::Recovery,
        dashboard: DASHBOARD,
        summary: "The newest backup could not be restored for a trial.",
        description: "The newest backup {{ $labels.backup }} was not whole when it was restored for a trial.",
    }
    .fires(
        [Condition::critical("min by (job, backup) (backup_verified) == 0", "1h")],
        Runbook::new(
            "After each backup it is restored for a trial and compared. For an hour the newest one has not passed.",
            "There is a file, and it may be worth nothing. The one before is the newest that counts: its age is what would be lost.",
            [
                "`kubectl get jobs -A | grep -i backup`, and the log of the one that verifies: no restore at all, checksums that differ, or a trial that had no room or time?",
                "Was it encrypted with a key that was rotated since?",
                "Does the one before still pass?",
            ],
            [
                "Make a new one at once: `kubectl -n NAMESPACE create job --from=cronjob/CRONJOB backup-now`.",
                "Keep the last one that passed: take it out of what is removed by age.",
                "A key: put the old one back among those the restore may read.",
                "The trial itself failed: give it room, run it again.",
            ],
        ),
    )
}
