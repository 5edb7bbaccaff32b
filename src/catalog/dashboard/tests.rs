use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

use super::layout::{COLUMNS, Place, Placed, placed};
use super::*;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::shipped);

static GENERATED: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let json = |dashboard: &Dashboard| dashboard.json(&CATALOG).unwrap_or_else(|problem| panic!("{problem}"));
    all().iter().map(|dashboard| (dashboard.uid.to_string(), json(dashboard))).collect()
});

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all = dashboard["panels"].as_array().expect("panels");
    all.iter().filter(|panel| panel["type"] != "row")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn places(dashboard: &Dashboard) -> Vec<(usize, Place)> {
    let of = |placed: Placed<'_>| match placed {
        Placed::Title { id, place, .. } | Placed::Panel { id, place, .. } => (id, place),
    };
    placed(&dashboard.sections).into_iter().map(of).collect()
}

#[test]
fn every_query_of_every_dashboard_asks_for_what_is_in_the_catalogue() {
    assert_eq!(GENERATED.len(), 10);
}

#[test]
fn dashboards_are_told_apart_by_uid_and_title() {
    let all = all();
    let uids: BTreeSet<_> = all.iter().map(|dashboard| &dashboard.uid).collect();
    let titles: BTreeSet<_> = all.iter().map(|dashboard| &dashboard.title).collect();
    assert_eq!((uids.len(), titles.len()), (all.len(), all.len()));
    assert!(uids.iter().all(|uid| uid.len() <= 40), "Grafana keeps 40 characters: {uids:?}");
    assert!(all.iter().all(|dashboard| dashboard.question.ends_with('?')), "a dashboard answers a question");
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    for dashboard in all() {
        let places = places(&dashboard);
        let ids: BTreeSet<_> = places.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), places.len(), "{}", dashboard.uid);
        let cells = places.iter().flat_map(|(id, place)| {
            let rows = place.y..place.y + place.height;
            rows.flat_map(move |y| (place.x..place.x + place.width).map(move |x| ((x, y), id)))
        });
        let mut taken = BTreeMap::new();
        for (cell, id) in cells {
            assert!(cell.0 < COLUMNS, "{}: panel {id} leaves the grid", dashboard.uid);
            let other = taken.insert(cell, id);
            assert_eq!(other, None, "{}: panel {id} lies on another", dashboard.uid);
        }
    }
}

#[test]
fn lines_are_full_and_panels_of_a_line_equally_high() {
    for dashboard in all() {
        let mut lines: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
        places(&dashboard).into_iter().for_each(|(_, place)| lines.entry(place.y).or_default().push(place));
        for (y, line) in lines {
            assert_eq!(line.iter().map(|place| place.width).sum::<u32>(), COLUMNS, "{}: line {y}", dashboard.uid);
            assert!(line.iter().all(|place| place.height == line[0].height), "{}: line {y}", dashboard.uid);
        }
    }
}

#[test]
fn no_dashboard_is_a_wall_of_panels() {
    for dashboard in all() {
        let panels: Vec<_> = dashboard.sections.iter().flat_map(|section| &section.panels).collect();
        let numbers = panels.iter().filter(|panel| panel.view == View::Stat).count();
        assert!(numbers <= 12 && panels.len() - numbers <= 14, "{} has {}", dashboard.uid, panels.len());
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for (uid, dashboard) in GENERATED.iter() {
        let mut titles = BTreeSet::new();
        for panel in panels(dashboard) {
            let title = text(panel, "title");
            assert!(!title.is_empty() && text(panel, "description").ends_with('.'), "{uid}: {title}");
            assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{uid}: {title}");
            assert!(!panel["targets"].as_array().expect("targets").is_empty(), "{uid}: {title} asks for nothing");
            assert!(titles.insert((text(panel, "type"), title)), "{uid} has two panels {title}");
        }
    }
}

#[test]
fn every_query_is_narrowed_to_the_chosen_jobs_and_instances() {
    for (uid, dashboard) in GENERATED.iter() {
        for target in panels(dashboard).flat_map(|panel| panel["targets"].as_array().expect("targets")) {
            let query = crate::catalog::Expression::parse(text(target, "expr")).expect("PromQL");
            for selector in query.selectors() {
                let narrowed = ["job", "instance"].iter().all(|label| selector.labels.contains(*label));
                assert!(narrowed, "{uid}: {query}");
            }
        }
    }
}

#[test]
fn nothing_is_asked_but_the_prometheus_that_is_chosen() {
    for (uid, dashboard) in GENERATED.iter() {
        let whole = dashboard.to_string();
        assert!(!whole.contains("__inputs") && !whole.contains("DS_PROMETHEUS"), "{uid}");
        let panels = panels(dashboard);
        for source in panels.flat_map(|panel| [&panel["datasource"], &panel["targets"][0]["datasource"]]) {
            assert_eq!(source["uid"], "${datasource}", "{uid}");
        }
    }
}

/// Every `/d/UID` in a text.
fn linked(text: &str) -> impl Iterator<Item = &str> {
    text.split("/d/").skip(1).filter_map(|rest| rest.split(['?', '/', '"']).next())
}

#[test]
fn links_lead_to_dashboards_that_there_are() {
    let all = &*GENERATED;
    let uids: BTreeSet<_> = all.iter().map(|(uid, _)| uid.as_str()).collect();
    let texts: Vec<_> = all.iter().map(|(uid, dashboard)| (uid, dashboard.to_string())).collect();
    let links: Vec<_> = texts.iter().flat_map(|(uid, text)| linked(text).map(move |to| (uid, to))).collect();
    assert!(links.len() >= 9, "{links:?}");
    assert!(links.iter().all(|(_, to)| uids.contains(to)), "{links:?}");
}

#[test]
fn cells_that_a_link_reads_are_columns_of_the_table() {
    for (uid, dashboard) in GENERATED.iter() {
        for panel in panels(dashboard).filter(|panel| panel["type"] == "table") {
            let overrides = panel["fieldConfig"]["overrides"].as_array().expect("overrides");
            let titles: BTreeSet<_> = overrides.iter().map(|column| text(&column["matcher"], "options")).collect();
            let whole = panel.to_string();
            let mut cells = whole.split("__data.fields.").skip(1).filter_map(|rest| rest.split('}').next());
            assert!(cells.all(|title| titles.contains(title)), "{uid}: {titles:?}");
        }
    }
}

#[test]
fn a_dashboard_fits_into_a_config_map_and_its_annotation() {
    for (path, text) in files(&CATALOG).expect("right").0 {
        assert!(text.len() < 256 * 1024, "{path} has {} bytes", text.len());
    }
}

#[test]
fn a_config_map_has_the_dashboard_as_it_is() {
    for dashboard in all() {
        let json = dashboard.json(&CATALOG).expect("right");
        let object: Value = serde_saphyr::from_str(&provisioning::config_map(&dashboard, &json)).expect("YAML");
        let data: Value =
            serde_json::from_str(text(&object["data"], &format!("{}.json", dashboard.uid))).expect("JSON");
        assert_eq!(data, json);
        assert_eq!(object["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

#[test]
fn what_the_operator_reads_is_a_key_of_the_config_map() {
    for dashboard in all() {
        let json = dashboard.json(&CATALOG).expect("right");
        let from: Value = serde_saphyr::from_str(&provisioning::config_map(&dashboard, &json)).expect("YAML");
        let object: Value = serde_saphyr::from_str(&provisioning::grafana_dashboard(&dashboard)).expect("YAML");
        let source = &object["spec"]["configMapRef"];
        assert_eq!(source["name"], from["metadata"]["name"]);
        assert!(!from["data"][text(source, "key")].is_null(), "{source}");
    }
}

#[test]
fn the_same_catalogue_makes_the_same_files() {
    assert_eq!(files(&CATALOG), files(&Catalog::shipped()));
}

#[test]
fn a_column_of_a_label_that_is_not_there_is_refused() {
    let table = Panel::table("Jobs", "Jobs.").query("sum by (job) (up)", "").column(Column::label("pod", "Pod"));
    let dashboard = Dashboard::of_plimsoll("x", "X", "Why?").section("", [table]);
    let problem = dashboard.json(&CATALOG).expect_err("no pod");
    assert_eq!(problem.what, "the column names pod; the answer has job");
}

#[test]
fn colors_of_thresholds_are_lines_in_a_graph() {
    let panel = Panel::lines("Age", "Age.").query("up", "").thresholds(Thresholds::above(1.0, 2.0));
    let config = field::config(&panel);
    assert_eq!(config["defaults"]["custom"]["thresholdsStyle"]["mode"], "dashed");
    assert_eq!(config["defaults"]["color"]["mode"], "palette-classic");
}
