//! A dashboard as Grafana reads it: the classic model.

use serde_json::{Value, json};

use crate::catalog::dashboard::layout::{Place, Placed, placed};
use crate::catalog::dashboard::query::Checked;
use crate::catalog::dashboard::variable::{datasource, datasource_variable};
use crate::catalog::dashboard::{
    About, Choice, Dashboard, Moment, Panel, Variable, View, annotation, field, link, options, table,
};
use crate::catalog::{Catalog, Problem};

/// The model of Grafana 9.0. A newer Grafana brings a dashboard up to its own; none takes one down.
const SCHEMA_VERSION: u32 = 36;

// === impl Dashboard ===

impl Dashboard {
    /// # Errors
    /// When a query asks for what the catalogue does not have, or a label is named that its answer does not have.
    pub fn json(&self, catalog: &Catalog) -> Result<Value, Problem> {
        Ok(json!({
            "uid": self.uid,
            "id": null,
            "title": self.title,
            "description": self.question,
            "tags": [self.about.tag()],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": false,
            // A crosshair over all graphs: what happened at one time is seen in all of them.
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "fiscalYearStartMonth": 0,
            "liveNow": false,
            "weekStart": "",
            "links": [self.menu("Plimsoll", About::Plimsoll), self.menu("Platform", About::Platform)],
            "annotations": {"list": self.annotations_json(catalog)?},
            "templating": {"list": self.variables_json(catalog)?},
            "panels": self.panels_json(catalog)?
        }))
    }

    fn menu(&self, title: &str, about: About) -> Value {
        link::menu(title, about.tag(), self.about == about)
    }

    fn annotations_json(&self, catalog: &Catalog) -> Result<Vec<Value>, Problem> {
        let own = self.annotations.iter().map(|annotation| annotation.json(catalog));
        [Ok(annotation::of_people())].into_iter().chain(own).collect()
    }

    fn variables_json(&self, catalog: &Catalog) -> Result<Vec<Value>, Problem> {
        let each = self.variables.iter().enumerate();
        let own = each.map(|(at, variable)| variable.json(catalog, &self.variables[..at]));
        [Ok(datasource_variable())].into_iter().chain(own).collect()
    }

    /// Those that narrow the queries of a panel.
    fn matchers(&self, panel: &Panel) -> String {
        let narrows = |variable: &&Variable| variable.choice == Choice::Many || !panel.is_of_all;
        let matchers: Vec<_> = self.variables.iter().filter(narrows).map(Variable::matcher).collect();
        matchers.join(",")
    }

    fn panels_json(&self, catalog: &Catalog) -> Result<Vec<Value>, Problem> {
        let each = placed(&self.sections).into_iter().map(|placed| match placed {
            Placed::Title { section, id, place } => Ok(title(&section.title, id, place)),
            Placed::Panel { panel: shown, id, place } => panel(shown, id, place, catalog, &self.matchers(shown)),
        });
        each.collect()
    }
}

fn title(title: &str, id: usize, place: Place) -> Value {
    json!({"type": "row", "id": id, "title": title, "collapsed": false, "gridPos": place.json(), "panels": []})
}

fn panel(panel: &Panel, id: usize, place: Place, catalog: &Catalog, matchers: &str) -> Result<Value, Problem> {
    let queries = panel.queries.iter().map(|query| query.checked(catalog, matchers));
    let queries = queries.collect::<Result<Vec<_>, _>>()?;
    let targets: Vec<_> = queries.iter().enumerate().map(|(at, query)| target(panel, at, query)).collect();
    let mut json = json!({
        "type": kind(panel.view),
        "id": id,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place.json(),
        "datasource": datasource(),
        "targets": targets,
        "fieldConfig": field::config(panel),
        "options": options::of(panel)
    });
    if panel.view == View::Table {
        json["transformations"] = table::transformations(panel, &queries)?;
    }
    Ok(json)
}

fn kind(view: View) -> &'static str {
    match view {
        View::Stat => "stat",
        View::Lines | View::Stack => "timeseries",
        View::Bars => "bargauge",
        View::Table => "table",
        View::Heatmap => "heatmap",
        View::States => "state-timeline",
    }
}

fn target(panel: &Panel, at: usize, query: &Checked) -> Value {
    let is_now = query.moment == Moment::Now;
    json!({
        "refId": ref_id(at),
        "datasource": datasource(),
        "editorMode": "code",
        "expr": query.expression.text(),
        "legendFormat": if query.legend.is_empty() { "__auto" } else { &query.legend },
        "format": match panel.view {
            View::Table => "table",
            View::Heatmap => "heatmap",
            _ => "time_series",
        },
        "instant": is_now,
        "range": !is_now
    })
}

/// A, B, C and so on.
pub(super) fn ref_id(at: usize) -> char {
    ('A'..='Z').nth(at).expect("no panel has more than 26 queries")
}
