//! Rules of a dashboard as a whole.

use std::collections::BTreeMap;

use crate::catalog::lint::board::Board;
use crate::catalog::lint::{Finding, Rule};

/// The last version of the classic model that Grafana 9 to 13 all read.
const SCHEMA_VERSION_MAX: u64 = 42;
/// Bytes of an annotation, `kubectl apply` puts the whole object into one.
const SIZE_MAX: usize = 256 * 1024;
/// Grafana's own bound.
const UID_LENGTH_MAX: usize = 40;

pub(super) fn check(board: &Board<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let whole = &board.whole;
    if whole.json.get("editable") != Some(&false.into()) {
        found.push(whole.of("editable").wrong(Rule::UneditableDashboard, "expected editable: false"));
    }
    found.extend(check_schema(board));
    let size = whole.json.to_string().len();
    if size >= SIZE_MAX {
        let what = format!("{size} bytes, expected less than {SIZE_MAX}, which a ConfigMap with its annotation takes");
        found.push(whole.wrong(Rule::DashboardSize, what));
    }
    found
}

fn check_schema(board: &Board<'_>) -> Vec<Finding> {
    let whole = &board.whole;
    let mut found = Vec::new();
    let mut wrong = |key: &str, what: String| found.push(whole.of(key).wrong(Rule::DashboardSchema, what));
    match whole.number("schemaVersion") {
        Some(1..=SCHEMA_VERSION_MAX) => {}
        Some(version) => wrong("schemaVersion", format!("{version}, expected 1 to {SCHEMA_VERSION_MAX}")),
        None => wrong("schemaVersion", "there is none; is this the classic model of a dashboard?".to_owned()),
    }
    for key in ["__inputs", "__requires"] {
        if whole.json.get(key).is_some() {
            wrong(key, format!("{key} is filled in by an import in the browser only"));
        }
    }
    if whole.json.get("id").is_some_and(|id| !id.is_null()) {
        wrong("id", "an id is a Grafana's own; expected null, or none".to_owned());
    }
    found
}

/// Uids that Grafana takes, each of one dashboard.
pub(super) fn check_uids(boards: &[Board<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut first: BTreeMap<&str, &Board<'_>> = BTreeMap::new();
    for board in boards {
        let (uid, part) = (board.uid(), board.whole.of("uid"));
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if uid.is_empty() || uid.len() > UID_LENGTH_MAX || !uid.chars().all(is_valid) {
            let what = format!("{uid:?}, expected 1 to {UID_LENGTH_MAX} letters, digits, - and _");
            found.push(part.wrong(Rule::DashboardUid, what));
        } else if let Some(other) = first.insert(uid, board) {
            found.push(part.wrong(Rule::DashboardUid, format!("{uid} is the uid of {} too", other.whole.file)));
        }
    }
    found
}
