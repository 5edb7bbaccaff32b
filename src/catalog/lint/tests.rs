//! A good dashboard has no finding; with one change it has findings of exactly the rule that the change breaks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::catalog::lint::{Finding, Rule, lint};
use crate::catalog::{Catalog, Metric, Origin, Unit};

fn catalog() -> Catalog {
    let up = Metric::gauge("up", Unit::Boolean, "").from(Origin::Scrape);
    let requests = Metric::counter("http_requests_total", "requests", "").label("route").closed_label("code", &["2xx"]);
    let seconds = Metric::histogram("http_request_duration_seconds", Unit::Seconds, "").label("route");
    let queue = Metric::gauge("agent_queue_length", Unit::Count("messages".into()), "").label("queue");
    let codes = ["2xx", "3xx", "4xx", "5xx"];
    let by_queue = Metric::gauge("http_requests_by_queue", Unit::Count("requests".into()), "").label("queue");
    let by_queue = by_queue.label("route").closed_label("code", &codes).from(Origin::Service);
    Catalog::default().with([up, by_queue]).with([requests, seconds, queue].map(|metric| metric.from(Origin::Service)))
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": source(), "query": query, "refresh": 2,
        "multi": true, "includeAll": true, "allValue": ".+"
    })
}

fn panel(id: u64, kind: &str, place: [u64; 4], expr: &str, legend: &str) -> Value {
    let [x, y, w, h] = place;
    json!({
        "id": id, "type": kind, "title": format!("Panel {id}"), "description": "What it says.",
        "datasource": source(), "gridPos": { "x": x, "y": y, "w": w, "h": h },
        "fieldConfig": { "defaults": { "unit": "reqps" }, "overrides": [] },
        "targets": [{ "refId": "A", "datasource": source(), "expr": expr, "legendFormat": legend }]
    })
}

fn good() -> Value {
    let rate =
        r#"sum by (route) (rate(http_requests_total{job=~"$job",instance=~"$instance",code="2xx"}[$__rate_interval]))"#;
    let queue = r#"sum by (queue) (agent_queue_length{job=~"$job",instance=~"${instance}"})"#;
    let up = r#"sum(up{job=~"$job",instance=~"$instance"})"#;
    let mut linked = panel(2, "timeseries", [6, 1, 18, 8], rate, "{{route}}");
    linked["links"] = json!([{ "title": "other", "url": "/d/other?var-job=${job}&${__url_time_range}" }]);
    let collapsed = panel(5, "bargauge", [0, 10, 24, 8], queue, "{{ queue }}");
    json!({
        "uid": "good", "title": "Good", "id": null, "schemaVersion": 39, "editable": false, "tags": ["plimsoll"],
        "templating": { "list": [
            { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
            variable("job", "Job", "label_values(up, job)"),
            variable("instance", "Instance", r#"label_values(up{job=~"$job"}, instance)"#)
        ] },
        "annotations": { "list": [
            { "name": "by hand", "builtIn": 1, "datasource": { "type": "grafana", "uid": "-- Grafana --" } },
            { "name": "restarts", "datasource": source(), "expr": "changes(up[5m]) > 0", "titleFormat": "{{job}}" }
        ] },
        "links": [{ "type": "dashboards", "title": "All", "tags": ["plimsoll"], "includeVars": true }],
        "panels": [
            { "id": 3, "type": "row", "title": "Now", "collapsed": false, "panels": [],
              "gridPos": { "x": 0, "y": 0, "w": 24, "h": 1 } },
            panel(1, "stat", [0, 1, 6, 8], up, ""),
            linked,
            { "id": 4, "type": "row", "title": "More", "collapsed": true, "panels": [collapsed],
              "gridPos": { "x": 0, "y": 9, "w": 24, "h": 1 } }
        ]
    })
}

fn other() -> Value {
    let mut other = good();
    other["uid"] = json!("other");
    other
}

fn findings(dashboards: [(&str, Value); 2]) -> Vec<Finding> {
    let dashboards: BTreeMap<_, _> = dashboards.into_iter().map(|(file, json)| (file.to_owned(), json)).collect();
    lint(&dashboards, &catalog())
}

/// A change of the good dashboard is refused by this rule and no other.
fn refused(rule: Rule, at: &str, change: impl FnOnce(&mut Value)) {
    let mut bad = good();
    change(&mut bad);
    let found = findings([("bad.json", bad), ("other.json", other())]);
    let rules: BTreeSet<_> = found.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, BTreeSet::from([rule]), "{found:#?}");
    assert!(found.iter().any(|finding| finding.at == at && finding.file == "bad.json"), "{at}: {found:#?}");
}

/// The same, where a value is set, or removed by null.
fn set(rule: Rule, at: &str, value: Value) {
    refused(rule, at, |bad| {
        let (parent, key) = at.rsplit_once('/').expect("a pointer");
        let parent = bad.pointer_mut(parent).unwrap_or_else(|| panic!("nothing is at {parent}"));
        match parent {
            Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
            _ => parent[key] = value,
        }
    });
}

/// The same, where the query of a panel is another.
fn query(rule: Rule, expr: &str) {
    set(rule, "/panels/1/targets/0/expr", json!(expr));
}

const CHOSEN: &str = r#"job=~"$job",instance=~"$instance""#;

#[test]
fn a_good_dashboard_has_no_finding() {
    assert_eq!(findings([("good.json", good()), ("other.json", other())]), []);
}

#[test]
fn a_finding_says_where() {
    let mut bad = good();
    bad["panels"][1]["targets"][0]["expr"] = json!(r#"sum(upp{job=~"$job",instance=~"$instance"})"#);
    let found = findings([("bad.json", bad), ("other.json", other())]);
    let expected = "bad.json: panel \"Panel 1\": no metric of the catalogue has series upp; did you mean up? \
                    (target-metric at /panels/1/targets/0/expr)";
    assert_eq!(found.iter().map(Finding::to_string).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_dashboard_cannot_be_changed_in_the_browser() {
    set(Rule::UneditableDashboard, "/editable", json!(true));
    set(Rule::UneditableDashboard, "/editable", Value::Null);
}

#[test]
fn a_dashboard_has_an_uid_of_its_own() {
    set(Rule::DashboardUid, "/uid", json!("a uid"));
    set(Rule::DashboardUid, "/uid", json!(""));
    set(Rule::DashboardUid, "/uid", json!("u".repeat(41)));
    let found = findings([("a.json", other()), ("b.json", other())]);
    let uids: Vec<_> = found.iter().filter(|finding| finding.rule == Rule::DashboardUid).collect();
    assert_eq!(uids.len(), 1, "{found:#?}");
    assert_eq!(uids[0].to_string(), "b.json: other is the uid of a.json too (dashboard-uid at /uid)");
}

#[test]
fn a_dashboard_is_of_the_classic_model() {
    set(Rule::DashboardSchema, "/schemaVersion", json!(43));
    set(Rule::DashboardSchema, "/schemaVersion", Value::Null);
    set(Rule::DashboardSchema, "/__inputs", json!([]));
    set(Rule::DashboardSchema, "/id", json!(7));
}

#[test]
fn a_dashboard_fits_into_a_config_map() {
    refused(Rule::DashboardSize, "", |bad| bad["panels"][1]["description"] = json!("long ".repeat(60_000)));
}

#[test]
fn a_variable_chooses_the_data_source() {
    set(Rule::TemplateDatasource, "/templating/list/0/query", json!("loki"));
    set(Rule::TemplateDatasource, "/templating/list/0/label", json!("Where from"));
}

#[test]
fn jobs_and_instances_are_chosen_several_at_a_time() {
    for (i, rule) in [(1, Rule::TemplateJob), (2, Rule::TemplateInstance)] {
        for (key, value) in [("multi", json!(false)), ("allValue", json!(".*")), ("label", json!("x"))] {
            set(rule, &format!("/templating/list/{i}/{key}"), value);
        }
        set(rule, &format!("/templating/list/{i}/includeAll"), Value::Null);
    }
}

#[test]
fn the_query_of_a_variable_is_one() {
    set(Rule::TemplateLabelPromql, "/templating/list/1/query", json!("up"));
    set(Rule::TemplateLabelPromql, "/templating/list/1/query", json!("label_values(up{, job)"));
    set(Rule::TemplateLabelPromql, "/templating/list/1/query", json!("label_values(job)"));
}

#[test]
fn variables_follow_the_time_range() {
    set(Rule::TemplateOnTimeChangeReload, "/templating/list/1/refresh", json!(1));
}

#[test]
fn a_variable_asks_for_what_there_is() {
    set(Rule::TemplateMetric, "/templating/list/1/query", json!("label_values(down, job)"));
    set(Rule::TemplateMetric, "/templating/list/1/query", json!("label_values(up, cluster)"));
    let object = json!({ "query": r#"label_values(up{cluster="a"}, job)"#, "refId": "A" });
    set(Rule::TemplateMetric, "/templating/list/1/query", object);
}

#[test]
fn every_variable_that_is_used_is_defined() {
    refused(Rule::TemplateUndefined, "/panels/1/title", |bad| bad["panels"][1]["title"] = json!("of $queue"));
    let expr = format!(r#"sum(agent_queue_length{{{CHOSEN},queue="$queue"}})"#);
    query(Rule::TemplateUndefined, &expr);
}

#[test]
fn data_comes_from_the_chosen_source_for_every_kind_of_panel() {
    let fixed = || json!({ "type": "prometheus", "uid": "abc" });
    for kind in ["stat", "gauge", "table", "heatmap", "timeseries", "state-timeline", "bargauge"] {
        refused(Rule::PanelDatasource, "/panels/1/datasource", |bad| {
            bad["panels"][1]["type"] = json!(kind);
            bad["panels"][1]["datasource"] = fixed();
        });
    }
    set(Rule::PanelDatasource, "/panels/1/targets/0/datasource", fixed());
    set(Rule::PanelDatasource, "/panels/3/panels/0/datasource", Value::Null);
    set(Rule::PanelDatasource, "/annotations/list/1/datasource", fixed());
    set(Rule::PanelDatasource, "/templating/list/1/datasource", fixed());
    refused(Rule::PanelDatasource, "/panels/1/datasource", |bad| bad["panels"][1]["datasource"]["uid"] = json!("$job"));
}

#[test]
fn a_panel_says_what_it_shows() {
    set(Rule::PanelTitleDescription, "/panels/1/title", json!(""));
    set(Rule::PanelTitleDescription, "/panels/3/panels/0/description", Value::Null);
}

#[test]
fn a_panel_has_a_unit() {
    set(Rule::PanelUnits, "/panels/1/fieldConfig/defaults/unit", Value::Null);
    set(Rule::PanelUnits, "/panels/1/fieldConfig/defaults/unit", json!("seconds"));
    set(Rule::PanelUnits, "/panels/1/fieldConfig/defaults/unit", json!("suffix: "));
}

#[test]
fn a_panel_asks_for_something() {
    set(Rule::PanelNoTargets, "/panels/1/targets", json!([]));
    refused(Rule::PanelNoTargets, "/panels/1/targets", |bad| bad["panels"][1]["targets"][0]["hide"] = json!(true));
}

#[test]
fn no_two_panels_have_one_id() {
    set(Rule::PanelId, "/panels/3/panels/0/id", json!(1));
    set(Rule::PanelId, "/panels/1/id", Value::Null);
}

#[test]
fn panels_lie_beside_each_other() {
    refused(Rule::PanelOverlap, "/panels/2/gridPos", |bad| bad["panels"][2]["gridPos"]["x"] = json!(5));
    set(Rule::PanelOverlap, "/panels/1/gridPos", json!({ "x": 0, "y": 1, "w": 25, "h": 8 }));
    set(Rule::PanelOverlap, "/panels/1/gridPos", Value::Null);
}

#[test]
fn there_is_no_wall_of_panels() {
    refused(Rule::PanelWall, "/panels", |bad| {
        let up = format!("sum(up{{{CHOSEN}}})");
        let more = (0..22).map(|i| panel(10 + i, "stat", [0, 20 + i, 24, 1], &up, ""));
        bad["panels"].as_array_mut().expect("a list").extend(more);
    });
}

#[test]
fn a_query_of_loki_is_one() {
    let target =
        |expr: &str| json!([{ "refId": "A", "expr": expr, "datasource": { "type": "loki", "uid": "$datasource" } }]);
    let bad = |rule, expr: &str| {
        refused(rule, "/panels/1/targets/0/expr", |bad| bad["panels"][1]["targets"] = target(expr));
    };
    bad(Rule::TargetLogql, r#"sum(rate({job="a"}[$__auto])"#);
    bad(Rule::TargetLogql, "rate(up[$__auto])");
    bad(Rule::TargetLogqlAuto, r#"sum(rate({job="a"}[5m]))"#);
}

#[test]
fn a_query_is_promql() {
    query(Rule::TargetPromql, "sum(up");
    query(Rule::TargetPromql, "");
}

#[test]
fn rates_have_the_range_of_the_panel() {
    query(Rule::TargetRateInterval, &format!("sum(rate(http_requests_total{{{CHOSEN}}}[5m]))"));
    query(Rule::TargetRateInterval, &format!("sum(irate(http_requests_total{{{CHOSEN}}}[$__interval]))"));
    query(Rule::TargetRateInterval, &format!("sum(rate(http_requests_total{{{CHOSEN}}}[1h:1m]))"));
}

#[test]
fn every_selector_is_of_the_chosen_jobs_and_instances() {
    query(Rule::TargetJob, r#"sum(up{instance=~"$instance"})"#);
    query(Rule::TargetJob, &format!(r#"sum(up{{{CHOSEN}}}) / count(up{{job="$job",instance=~"$instance"}})"#));
    query(Rule::TargetInstance, r#"sum(up{job=~"$job"})"#);
}

#[test]
fn a_counter_is_shown_as_change_whatever_its_matchers() {
    query(Rule::TargetCounterAgg, &format!("sum(http_requests_total{{{CHOSEN}}})"));
    query(Rule::TargetCounterAgg, &format!(r#"sum(max_over_time(http_requests_total{{{CHOSEN},code="2xx"}}[5m]))"#));
    query(Rule::TargetCounterAgg, &format!("sum(http_request_duration_seconds_sum{{{CHOSEN}}})"));
}

#[test]
fn every_series_is_one_of_the_catalogue() {
    query(Rule::TargetMetric, &format!("sum(agent_queue_lenght{{{CHOSEN}}})"));
    query(Rule::TargetMetric, &format!(r#"sum({{__name__=~"up|down",{CHOSEN}}})"#));
    set(Rule::TargetMetric, "/annotations/list/1/expr", json!("sum by (job) (down)"));
}

#[test]
fn every_label_that_is_matched_is_one_of_the_series() {
    query(Rule::TargetLabel, &format!(r#"sum(up{{{CHOSEN},cluster="a"}})"#));
    query(Rule::TargetLabel, &format!(r#"sum(up{{{CHOSEN},le="1"}})"#));
}

#[test]
fn every_label_that_is_shown_is_in_the_answer() {
    set(Rule::TargetLegend, "/panels/1/targets/0/legendFormat", json!("{{job}}"));
    set(Rule::TargetLegend, "/annotations/list/1/titleFormat", json!("{{cluster}}"));
    let link = json!([{ "title": "x", "url": "/d/other?var-job=${__field.labels.job}" }]);
    refused(Rule::TargetLegend, "/panels/2/links/0/url", |bad| bad["panels"][2]["links"] = link);
}

#[test]
fn an_answer_has_not_more_series_than_can_be_drawn() {
    set(Rule::TargetSeries, "/panels/1/targets", {
        let expr = format!("rate(http_request_duration_seconds_bucket{{{CHOSEN}}}[$__rate_interval])");
        json!([{ "refId": "A", "expr": expr }])
    });
}

#[test]
fn a_few_of_many_series_can_be_drawn() {
    let mut dashboard = good();
    let many = format!("rate(http_request_duration_seconds_bucket{{{CHOSEN}}}[$__rate_interval])");
    dashboard["panels"][1]["targets"][0]["expr"] = json!(format!("sort_desc(topk(10, {many}))"));
    assert_eq!(findings([("good.json", dashboard), ("other.json", other())]), []);
}

#[test]
fn what_is_of_one_thing_has_few_series() {
    let by_queue = |queue: &str| format!("max by (route, code, job) (http_requests_by_queue{{{CHOSEN}{queue}}}) > 0");
    let mut dashboard = good();
    for (queue, is_good) in [("", false), (",queue=\"indexing\"", true)] {
        dashboard["panels"][1]["targets"][0]["expr"] = json!(by_queue(queue));
        let found = findings([("good.json", dashboard.clone()), ("other.json", other())]);
        assert_eq!(found.is_empty(), is_good, "{found:#?}");
    }
}

#[test]
fn links_lead_somewhere() {
    set(Rule::LinkTarget, "/panels/2/links/0/url", json!("/d/nobody"));
    set(Rule::LinkTarget, "/panels/2/links/0/url", json!("/d/other/name?var-cluster=a"));
    set(Rule::LinkTarget, "/links/0", json!({ "type": "dashboards", "tags": ["nobody"] }));
    refused(Rule::LinkTarget, "/links/0/url", |bad| bad["links"][0] = json!({ "type": "link", "url": "dashboards" }));
}

#[test]
fn variables_outside_of_quotes_have_their_values() {
    let mut dashboard = good();
    let most = json!({ "name": "most", "type": "custom", "current": { "value": "3" } });
    dashboard["templating"]["list"].as_array_mut().expect("a list").push(most);
    dashboard["panels"][1]["targets"][0]["expr"] = json!(format!("topk($most, up{{{CHOSEN}}}) * ${{__range_s}}"));
    assert_eq!(findings([("good.json", dashboard), ("other.json", other())]), []);
}
