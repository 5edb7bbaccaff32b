//! Rules of panels: where data comes from, title and unit, place.

use std::collections::BTreeMap;

use crate::catalog::lint::board::Board;
use crate::catalog::lint::part::Part;
use crate::catalog::lint::{Finding, Rule};

/// A panel's place: columns and rows from, to.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: (u64, u64),
    y: (u64, u64),
}

/// Units that Grafana has, one per line.
const UNITS: &str = include_str!("units.txt");
/// Beginnings of units with a text of one's own behind.
const OWN_UNITS: [&str; 6] = ["suffix:", "prefix:", "time:", "si:", "count:", "currency:"];
const COLUMNS: u64 = 24;
/// More are not read in an incident.
const PANELS_MAX: usize = 24;

// === impl Place ===

impl Place {
    fn of(panel: &Part<'_>) -> Option<Self> {
        let grid = panel.of("gridPos");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| grid.number(key));
        let (x, y, w, h) = (x?, y?, w?, h?);
        (w > 0 && h > 0 && x + w <= COLUMNS).then_some(Self { x: (x, x + w), y: (y, y + h) })
    }

    fn overlaps(self, other: Self) -> bool {
        let meet = |one: (u64, u64), other: (u64, u64)| one.0 < other.1 && other.0 < one.1;
        meet(self.x, other.x) && meet(self.y, other.y)
    }
}

pub(super) fn check(board: &Board<'_>) -> Vec<Finding> {
    let mut found = check_datasources(board);
    for panel in board.panels_with_data() {
        found.extend(check_titles(panel));
        found.extend(check_unit(panel));
        if panel.list("targets").iter().all(|target| target.is("hide")) {
            found.push(panel.of("targets").wrong(Rule::PanelNoTargets, "there is no target that is not hidden"));
        }
    }
    found.extend(check_ids(board));
    found.extend(check_places(board));
    if board.panels.len() > PANELS_MAX {
        let what = format!("{} panels, expected {PANELS_MAX} at most", board.panels.len());
        found.push(board.whole.of("panels").wrong(Rule::PanelWall, what));
    }
    found
}

/// Data sources of panels, their targets, annotations and variables.
fn check_datasources(board: &Board<'_>) -> Vec<Finding> {
    let targets = board.panels_with_data().flat_map(|panel| panel.list("targets"));
    let of_queries = board.variables.iter().filter(|variable| variable.text("type") == "query");
    let must = board.panels_with_data().chain(&board.annotations).chain(of_queries).map(|part| part.of("datasource"));
    let may = targets.map(|target| target.of("datasource")).filter(|source| !source.json.is_null());
    let wrong = |source: &Part<'_>| {
        let uid = source.json.as_str().unwrap_or_else(|| source.text("uid"));
        let what = format!("{uid:?}, expected a variable of type datasource: ${{datasource}}");
        (!is_chosen(uid, board)).then(|| source.wrong(Rule::PanelDatasource, what))
    };
    must.chain(may).filter_map(|source| wrong(&source)).collect()
}

fn is_chosen(uid: &str, board: &Board<'_>) -> bool {
    let name = uid.strip_prefix("${").and_then(|name| name.strip_suffix('}')).or_else(|| uid.strip_prefix('$'));
    name.and_then(|name| board.variable(name)).is_some_and(|variable| variable.text("type") == "datasource")
}

fn check_titles(panel: &Part<'_>) -> Vec<Finding> {
    let missing = ["title", "description"].into_iter().filter(|key| panel.text(key).trim().is_empty());
    missing.map(|key| panel.of(key).wrong(Rule::PanelTitleDescription, format!("there is no {key}"))).collect()
}

fn check_unit(panel: &Part<'_>) -> Option<Finding> {
    let defaults = panel.of("fieldConfig").of("defaults");
    let unit = defaults.text("unit");
    let is_known = UNITS.lines().any(|known| known == unit)
        || OWN_UNITS.iter().any(|start| unit.strip_prefix(start).is_some_and(|rest| !rest.trim().is_empty()));
    let what = if unit.is_empty() { "there is no unit".to_owned() } else { format!("Grafana has no unit {unit:?}") };
    (!is_known).then(|| defaults.of("unit").wrong(Rule::PanelUnits, what))
}

fn check_ids(board: &Board<'_>) -> Vec<Finding> {
    let mut first: BTreeMap<u64, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for panel in board.panels.iter().chain(&board.rows) {
        let Some(id) = panel.number("id").filter(|id| *id > 0) else {
            found.push(panel.of("id").wrong(Rule::PanelId, "expected a number above 0"));
            continue;
        };
        if let Some(other) = first.insert(id, panel.text("title")) {
            found.push(panel.of("id").wrong(Rule::PanelId, format!("{id} is the id of {other:?} too")));
        }
    }
    found
}

fn check_places(board: &Board<'_>) -> Vec<Finding> {
    let mut taken: Vec<(Place, &str)> = Vec::new();
    let mut found = Vec::new();
    for panel in board.panels.iter().chain(&board.rows) {
        let (grid, title) = (panel.of("gridPos"), panel.text("title"));
        let Some(place) = Place::of(panel) else {
            let what = format!("{}, expected x, y, w and h within {COLUMNS} columns", grid.json);
            found.push(grid.wrong(Rule::PanelOverlap, what));
            continue;
        };
        if let Some((_, other)) = taken.iter().find(|(other, _)| other.overlaps(place)) {
            found.push(grid.wrong(Rule::PanelOverlap, format!("it lies upon {other:?}")));
        }
        taken.push((place, title));
    }
    found
}
