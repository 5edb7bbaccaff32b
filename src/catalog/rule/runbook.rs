//! Runbooks: for each alert a page that says what it means, what suffers, what to look at and what to do.

use std::fmt::Write;

use crate::catalog::rule::{Alert, Severity};
use crate::catalog::{Catalog, Problem, Text};

/// The page of an alert.
///
/// # Errors
/// When a query is wrong.
pub(super) fn page(alert: &Alert, catalog: &Catalog) -> Result<String, Problem> {
    let Alert { name, summary, runbook, dashboard, .. } = alert;
    let mut page = format!("# {name}\n\n{summary}\n\n");
    page.push_str("| severity | for | fires when |\n|---|---|---|\n");
    for condition in &alert.conditions {
        let query = catalog.expression(&condition.query)?.text().replace('|', "\\|");
        writeln!(page, "| {} | {} | `{query}` |", condition.severity, condition.wait).expect("a String takes all");
    }
    let grafana = &catalog.links.grafana;
    write!(
        page,
        "\nDashboard: [{uid}]({grafana}/d/{uid})\n\n## Meaning\n\n{}\n\n## Impact\n\n{}\n\n## Diagnosis\n\n{}\n\
         ## Mitigation\n\n{}",
        runbook.meaning,
        runbook.impact,
        steps(&runbook.diagnosis),
        steps(&runbook.mitigation),
        uid = dashboard.uid,
    )
    .expect("a String takes all");
    Ok(page)
}

/// All of them, the ones that wake people first.
pub(super) fn index(alerts: &[Alert]) -> String {
    let mut index = String::from(
        "# Runbooks\n\nOne page for each alert: what it means, what suffers, what to look at, what to do.\n",
    );
    for severity in [Severity::Critical, Severity::Warning, Severity::Info] {
        let worst =
            |alert: &&Alert| alert.conditions.iter().map(|condition| condition.severity).min() == Some(severity);
        let lines = alerts.iter().filter(worst).map(|alert| {
            let Alert { name, summary, .. } = alert;
            format!("- [{name}]({name}.md): {summary}\n")
        });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            write!(index, "\n## At worst {severity}\n\n{lines}").expect("a String takes all");
        }
    }
    index
}

fn steps(steps: &[Text]) -> String {
    steps.iter().enumerate().map(|(at, step)| format!("{}. {step}\n", at + 1)).collect()
}
