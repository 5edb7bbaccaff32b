//! How the numbers of a panel are written and drawn: Grafana's `fieldConfig`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::catalog::dashboard::color::{Stroke, strokes};
use crate::catalog::dashboard::{Color, Measure, Panel, State, Thresholds, View, table};

pub(super) fn config(panel: &Panel) -> Value {
    let overrides = match panel.view {
        View::Table => panel.columns.iter().map(table::column).collect(),
        View::Lines | View::Stack | View::Bars => of_series(panel),
        View::Stat | View::Heatmap | View::States => Vec::new(),
    };
    json!({"defaults": defaults(panel), "overrides": overrides})
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({
        "unit": panel.measure.unit(),
        "color": color(panel),
        "custom": custom(panel),
        "mappings": mappings(&panel.states),
        "thresholds": thresholds(panel).json(),
        "links": panel.link.iter().map(super::Link::json).collect::<Vec<_>>()
    });
    if let Some(minimum) = panel.minimum {
        defaults["min"] = json!(minimum);
    }
    if let Some(maximum) = panel.maximum {
        defaults["max"] = json!(maximum);
    }
    if panel.view == View::Stat {
        defaults["noValue"] = json!("–");
    }
    defaults
}

fn thresholds(panel: &Panel) -> Thresholds {
    panel.thresholds.clone().unwrap_or_else(|| Thresholds::always(Color::Measured))
}

/// A single number has the colour of how good it is; one of several, which it is.
fn color(panel: &Panel) -> Value {
    match panel.view {
        View::Stat | View::States | View::Table => json!({"mode": "thresholds"}),
        View::Bars if panel.thresholds.is_some() => json!({"mode": "thresholds"}),
        View::Lines | View::Stack | View::Bars | View::Heatmap => json!({"mode": "palette-classic"}),
    }
}

fn custom(panel: &Panel) -> Value {
    match panel.view {
        View::Lines => lines(panel, false),
        View::Stack => lines(panel, true),
        View::States => json!({"lineWidth": 0, "fillOpacity": 80}),
        View::Heatmap => json!({"scaleDistribution": {"type": "linear"}}),
        View::Table => json!({"align": "auto", "inspect": false, "filterable": false}),
        View::Stat | View::Bars => json!({}),
    }
}

fn lines(panel: &Panel, is_stacked: bool) -> Value {
    let style = if panel.thresholds.is_some() { "dashed" } else { "off" };
    json!({
        "drawStyle": "line",
        "lineInterpolation": "linear",
        // In a stack, areas alone: a line would show what is 0.
        "lineWidth": if is_stacked { 0 } else { 2 },
        "fillOpacity": if is_stacked { 70 } else { 0 },
        "gradientMode": "none",
        "showPoints": "never",
        "pointSize": 5,
        // A gap is a gap: what was not known is not drawn.
        "spanNulls": false,
        "stacking": {"mode": if is_stacked { "normal" } else { "none" }, "group": "A"},
        "thresholdsStyle": {"mode": style},
        "axisPlacement": "auto",
        "axisLabel": "",
        "axisColorMode": "text",
        "axisSoftMax": soft_maximum(panel),
        "scaleDistribution": {"type": "linear"},
        "barAlignment": 0,
        "hideFrom": {"legend": false, "tooltip": false, "viz": false}
    })
}

/// Up to here an axis goes even if no number does: to the first threshold, so that it is seen how far away it is; else to
/// what is little, so that nothing does not look like up to a hundred.
fn soft_maximum(panel: &Panel) -> f64 {
    let threshold = panel.thresholds.as_ref().and_then(Thresholds::first_bad_above);
    threshold.unwrap_or(match panel.measure {
        Measure::Count | Measure::State | Measure::Times => 1.0,
        Measure::RequestsPerSecond | Measure::PerSecond => 0.1,
        Measure::Seconds | Measure::Days | Measure::Cores | Measure::Share => 0.01,
        Measure::Bytes => 1024.0,
    })
}

/// Names instead of numbers.
pub(super) fn mappings(states: &[State]) -> Value {
    if states.is_empty() {
        return json!([]);
    }
    let option = |(index, state): (usize, &State)| {
        (state.number.to_string(), json!({"text": state.text, "color": state.color.name(), "index": index}))
    };
    let options: Map<_, _> = states.iter().enumerate().map(option).collect();
    json!([{"type": "value", "options": options}])
}

/// Series whose meaning has a colour. Bars have one for how good they are, where that is known.
fn of_series(panel: &Panel) -> Vec<Value> {
    if panel.view == View::Bars && panel.thresholds.is_some() {
        return Vec::new();
    }
    let strokes: BTreeMap<_, _> = panel.queries.iter().flat_map(|query| strokes(&query.legend)).collect();
    strokes.iter().map(|(names, stroke)| series(names, *stroke)).collect()
}

fn series(names: &str, stroke: Stroke) -> Value {
    let mut properties = vec![json!({"id": "color", "value": {"mode": "fixed", "fixedColor": stroke.color.name()}})];
    if stroke.is_dashed {
        properties.push(json!({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}}));
        properties.push(json!({"id": "custom.fillOpacity", "value": 0}));
    }
    json!({"matcher": {"id": "byRegexp", "options": names}, "properties": properties})
}
