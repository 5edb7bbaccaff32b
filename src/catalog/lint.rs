//! Classic dashboards of Grafana, judged: what would show nothing, mislead, or break where it is loaded.
//!
//! Dashboards as JSON and the catalogue go in, [`Finding`]s come out, each of one [`Rule`]. There are no exclusions; nothing
//! is mended here, and nothing is asked of a Grafana or a Prometheus.

mod board;
mod dashboard;
mod link;
mod logql;
mod panel;
mod part;
mod promql;
mod rule;
mod series;
mod target;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::catalog::lint::board::Board;
use crate::catalog::{Catalog, Files, Problem};

pub use rule::Rule;

/// What is wrong with a dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// The file of the dashboard.
    pub file: String,
    /// Title of the panel, where it is in one.
    pub panel: Option<String>,
    /// JSON pointer of what is wrong, within the file.
    pub at: String,
    /// What is wrong, and what was expected.
    pub what: String,
}

/// How many findings an error names.
const FINDINGS_NAMED: usize = 20;

/// Judges dashboards by file, all that are loaded into one Grafana.
pub fn lint(dashboards: &BTreeMap<String, Value>, catalog: &Catalog) -> Vec<Finding> {
    let boards: Vec<_> = dashboards.iter().map(|(file, json)| Board::new(file, json)).collect();
    let each = boards.iter().flat_map(|board| {
        let mut found = dashboard::check(board);
        found.extend(template::check(board, catalog));
        found.extend(panel::check(board));
        found.extend(target::check(board, catalog));
        found
    });
    let mut found: Vec<_> = each.collect();
    found.extend(dashboard::check_uids(&boards));
    found.extend(link::check(&boards));
    found
}

/// Refuses dashboards with a finding, among files that were made.
pub(super) fn refuse(files: &Files, catalog: &Catalog) -> Result<(), Problem> {
    let made = files.0.iter().filter(|(path, _)| is_dashboard(path));
    let read = made.map(|(path, text)| match serde_json::from_str(text) {
        Ok(json) => Ok((path.clone(), json)),
        Err(error) => Err(Problem { query: path.clone(), what: format!("it is no JSON: {error}") }),
    });
    let found = lint(&read.collect::<Result<_, _>>()?, catalog);
    if found.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = found.iter().take(FINDINGS_NAMED).map(Finding::to_string).collect();
    let query = format!("{} findings in the dashboards", found.len());
    Err(Problem { query, what: named.join("\n") })
}

/// Whether a file that was made is a dashboard: `dashboards/<uid>.json`.
pub fn is_dashboard(path: &str) -> bool {
    let name = path.strip_prefix("dashboards/").and_then(|name| name.strip_suffix(".json"));
    name.is_some_and(|name| !name.contains('/') && !["artifacts", "catalog"].contains(&name))
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(panel) = &self.panel {
            write!(f, "panel {panel:?}: ")?;
        }
        write!(f, "{} ({} at {})", self.what, self.rule, if self.at.is_empty() { "/" } else { &self.at })
    }
}
