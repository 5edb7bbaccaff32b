//! A dashboard as its file has it: uid, title, variables, and each query with the panel it is of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::artifacts::{Query, Refusal};

/// What matters of the JSON of a dashboard.
#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    pub path: String,
    pub uid: String,
    pub title: String,
    /// Names of its variables, which links set as `var-NAME`.
    pub variables: Vec<String>,
    /// Of panels, variables and annotations.
    pub queries: Vec<Query>,
}

// === impl Dashboard ===

impl Dashboard {
    /// # Errors
    /// When it is no JSON, or lacks a uid or a title, or two panels have one id.
    pub fn read(path: &str, text: &str) -> Result<Self, Refusal> {
        let tree: Value = serde_json::from_str(text).map_err(|error| Refusal::new(path, error))?;
        let word = |name: &str| match tree[name].as_str() {
            Some(word) if !word.is_empty() => Ok(word.to_owned()),
            _ => Err(Refusal::new(path, format!("the dashboard has no {name}"))),
        };
        let (uid, title) = (word("uid")?, word("title")?);
        let panels = panels(&tree);
        check_ids(path, &panels)?;
        let variables = list(&tree["templating"]["list"]);
        let queries = panels.iter().flat_map(|panel| of_panel(path, panel));
        let queries = queries.chain(variables.iter().filter_map(|variable| of_variable(path, variable)));
        let queries =
            queries.chain(list(&tree["annotations"]["list"]).iter().filter_map(|one| of_annotation(path, one)));
        let queries = queries.collect();
        let variables = variables.iter().map(|variable| name(variable, "name")).collect();
        Ok(Self { path: path.to_owned(), uid, title, variables, queries })
    }
}

fn list(tree: &Value) -> &[Value] {
    tree.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn name(tree: &Value, key: &str) -> String {
    tree[key].as_str().unwrap_or_default().to_owned()
}

/// All panels; those of a collapsed row are within it.
fn panels(tree: &Value) -> Vec<&Value> {
    list(&tree["panels"]).iter().flat_map(|panel| std::iter::once(panel).chain(panels(panel))).collect()
}

/// Links to a panel and its state in the browser go by its id.
fn check_ids(path: &str, panels: &[&Value]) -> Result<(), Refusal> {
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for panel in panels {
        let Some(id) = panel["id"].as_u64() else { continue };
        let title = name(panel, "title");
        if let Some(other) = known.insert(id, title.clone()) {
            return Err(Refusal::new(path, format!("panels {other:?} and {title:?} both have the id {id}")));
        }
    }
    Ok(())
}

fn of_panel(path: &str, panel: &Value) -> Vec<Query> {
    let query = |target: &Value| {
        let text = target["expr"].as_str()?;
        let place = format!("{path}: panel {:?}, query {}", name(panel, "title"), name(target, "refId"));
        Some(Query::expression(place, text, &shown(target, &["legendFormat"])))
    };
    list(&panel["targets"]).iter().filter_map(query).collect()
}

/// A variable has its query as text, or as an object with the text in it; others have none.
fn of_variable(path: &str, variable: &Value) -> Option<Query> {
    let query = &variable["query"];
    let text = query.as_str().or_else(|| query["query"].as_str())?;
    let is_query = variable["type"] == "query";
    is_query.then(|| Query::variable(format!("{path}: variable {}", name(variable, "name")), text))
}

fn of_annotation(path: &str, annotation: &Value) -> Option<Query> {
    let text = annotation["expr"].as_str().or_else(|| annotation["target"]["expr"].as_str())?;
    let place = format!("{path}: annotation {:?}", name(annotation, "name"));
    Some(Query::expression(place, text, &shown(annotation, &["titleFormat", "textFormat"])))
}

/// The labels within `{{…}}` of these texts; `__auto` shows whatever there is.
fn shown(tree: &Value, keys: &[&str]) -> BTreeSet<String> {
    let texts = keys.iter().filter_map(|key| tree[*key].as_str());
    let labels = texts.flat_map(|text| text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")));
    labels.map(|(label, _)| label.trim().to_owned()).filter(|label| !label.starts_with("__")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tree: &Value) -> Result<Dashboard, Refusal> {
        Dashboard::read("dashboards/a.json", &tree.to_string())
    }

    #[test]
    fn every_query_is_found_wherever_a_dashboard_has_one() {
        let dashboard = read(&json!({
            "uid": "a", "title": "A",
            "panels": [
                {"id": 1, "title": "Top", "targets": [{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "sum(up)"}]},
                {"id": 2, "type": "row", "title": "Row", "collapsed": true, "panels": [
                    {"id": 3, "title": "Within", "targets": [{"refId": "A", "expr": "within"}]},
                ]},
                {"id": 4, "type": "text", "title": "Text"},
            ],
            "templating": {"list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {"name": "job", "type": "query", "query": "label_values(up, job)"},
                {"name": "pod", "type": "query", "query": {"refId": "x", "query": "label_values(up, pod)"}},
            ]},
            "annotations": {"list": [{"name": "Builtin"}, {"name": "Deploys", "expr": "changes(generation[5m]) > 0"}]},
        }));
        let dashboard = dashboard.expect("a dashboard");
        let places: Vec<_> =
            dashboard.queries.iter().map(|query| query.place.replace("dashboards/a.json: ", "")).collect();
        assert_eq!(
            places,
            [
                r#"panel "Top", query A"#,
                r#"panel "Top", query B"#,
                r#"panel "Within", query A"#,
                "variable job",
                "variable pod",
                r#"annotation "Deploys""#,
            ]
        );
        assert_eq!(dashboard.variables, ["datasource", "job", "pod"]);
        assert!(dashboard.queries.iter().all(|query| query.reads.is_ok()));
    }

    #[test]
    fn a_query_reads_what_its_legend_shows() {
        let target = json!({"refId": "A", "expr": "rate(a_total[5m])", "legendFormat": "{{code}} of {{ route }}"});
        let dashboard = read(&json!({
            "uid": "a", "title": "A", "panels": [{"id": 1, "title": "Top", "targets": [target]}],
            "annotations": {"list": [{"name": "Deploys", "expr": "changes(g[5m]) > 0", "titleFormat": "{{workload}}"}]},
        }));
        let dashboard = dashboard.expect("a dashboard");
        let of = |query: &Query| query.reads.as_ref().expect("PromQL")[0].labels.iter().cloned().collect::<Vec<_>>();
        assert_eq!(dashboard.queries.iter().map(of).collect::<Vec<_>>(), [vec!["code", "route"], vec!["workload"]]);
    }

    #[test]
    fn what_links_go_by_is_there_and_is_one() {
        let refused = |tree: Value| read(&tree).expect_err("refused").to_string();
        assert_eq!(refused(json!({"title": "A"})), "dashboards/a.json: the dashboard has no uid");
        assert_eq!(refused(json!({"uid": "a", "title": ""})), "dashboards/a.json: the dashboard has no title");
        let twice = json!({"uid": "a", "title": "A", "panels": [{"id": 7, "title": "One"}, {"id": 7, "title": "Two"}]});
        assert_eq!(refused(twice), r#"dashboards/a.json: panels "One" and "Two" both have the id 7"#);
        let cut = Dashboard::read("dashboards/a.json", r#"{"uid": "a","#).expect_err("refused").to_string();
        assert!(cut.starts_with("dashboards/a.json: EOF while parsing"), "{cut}");
    }
}
