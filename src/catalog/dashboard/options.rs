//! What each kind of panel has to be told of itself: Grafana's `options`.

use serde_json::{Value, json};

use crate::catalog::dashboard::{Moment, Panel, View};

pub(super) fn of(panel: &Panel) -> Value {
    match panel.view {
        View::Stat => stat(panel),
        View::Lines | View::Stack => lines(panel),
        View::Bars => bars(),
        View::Table => json!({"showHeader": true, "cellHeight": "sm", "footer": {"show": false, "reducer": ["sum"]}}),
        View::Heatmap => heatmap(panel),
        View::States => states(),
    }
}

/// The last number that there is.
fn last() -> Value {
    json!({"calcs": ["lastNotNull"], "fields": "", "values": false})
}

fn stat(panel: &Panel) -> Value {
    let has_history = panel.queries.iter().all(|query| query.moment == Moment::Range);
    let is_number = panel.states.is_empty();
    json!({
        "reduceOptions": last(),
        "colorMode": if is_number { "value" } else { "background" },
        "graphMode": if has_history && is_number { "area" } else { "none" },
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": true
    })
}

/// Values stand in the legend where there is room: beside the graph all are seen, below it three.
fn lines(panel: &Panel) -> Value {
    let legend = if panel.width >= 12 {
        json!({"displayMode": "table", "placement": "right", "showLegend": true, "calcs": ["lastNotNull", "max"]})
    } else {
        json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []})
    };
    json!({
        "legend": legend,
        "tooltip": {"mode": "multi", "sort": "desc"}
    })
}

fn bars() -> Value {
    json!({
        "reduceOptions": last(),
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": true,
        "valueMode": "color",
        "minVizWidth": 8,
        "minVizHeight": 16
    })
}

fn heatmap(panel: &Panel) -> Value {
    json!({
        "calculate": false,
        "cellGap": 1,
        "cellValues": {},
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "fill": "dark-blue",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": false
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": true},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        // The first is for Grafana 9, the second for those since 10.3.
        "tooltip": {"show": true, "mode": "single", "yHistogram": false},
        "yAxis": {"axisPlacement": "left", "reverse": false, "unit": panel.measure.unit()}
    })
}

fn states() -> Value {
    json!({
        "mergeValues": true,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
        "tooltip": {"mode": "single", "sort": "none"}
    })
}
