//! Tables: answers of several queries side by side, one row for each set of labels.

use serde_json::{Map, Value, json};

use crate::catalog::Problem;
use crate::catalog::dashboard::field::mappings;
use crate::catalog::dashboard::json::ref_id;
use crate::catalog::dashboard::query::{Checked, require};
use crate::catalog::dashboard::{Cells, Column, Panel};

/// Answers are merged to rows, of which the columns are kept, in order and with their titles.
///
/// # Errors
/// When a column is of a label that not all answers have: their rows would not be the same.
pub(super) fn transformations(panel: &Panel, queries: &[Checked]) -> Result<Value, Problem> {
    for column in &panel.columns {
        let Cells::Label(label) = &column.cells else { continue };
        for query in queries {
            require(&query.labels, label, "column", query.expression.text())?;
        }
    }
    let names: Vec<_> = panel.columns.iter().map(|column| field(column, queries.len())).collect();
    let order: Map<_, _> = names.iter().enumerate().map(|(at, name)| (name.clone(), json!(at))).collect();
    let titles = names.iter().zip(&panel.columns).map(|(name, column)| (name.clone(), json!(column.title)));
    let titles: Map<_, _> = titles.collect();
    Ok(json!([
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": names}}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": order, "renameByName": titles}}
    ]))
}

/// As Grafana calls what becomes a column.
fn field(column: &Column, queries: usize) -> String {
    match &column.cells {
        Cells::Label(label) => label.to_string(),
        Cells::Numbers(_) if queries == 1 => "Value".to_owned(),
        Cells::Numbers(at) => format!("Value #{}", ref_id(*at)),
    }
}

/// How the cells of a column are written.
pub(super) fn column(column: &Column) -> Value {
    let mut properties = vec![json!({"id": "unit", "value": column.measure.unit()})];
    if let Some(pixels) = column.width {
        properties.push(json!({"id": "custom.width", "value": pixels}));
    }
    if let Some(thresholds) = &column.thresholds {
        properties.push(json!({"id": "thresholds", "value": thresholds.json()}));
    }
    if !column.states.is_empty() {
        properties.push(json!({"id": "mappings", "value": mappings(&column.states)}));
    }
    if column.thresholds.is_some() || !column.states.is_empty() {
        // The first is for Grafana 9, the second for newer ones.
        properties.push(json!({"id": "custom.displayMode", "value": "color-text"}));
        properties.push(json!({"id": "custom.cellOptions", "value": {"type": "color-text"}}));
    }
    if let Some(link) = &column.link {
        properties.push(json!({"id": "links", "value": [link.json()]}));
    }
    json!({"matcher": {"id": "byName", "options": column.title}, "properties": properties})
}
