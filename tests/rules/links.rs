use std::collections::BTreeSet;

use serde_json::Value;

use super::{alerts, dashboard, list, names, read, text};

const SECTIONS: [&str; 4] = ["Meaning", "Impact", "Diagnosis", "Mitigation"];

#[test]
fn every_alert_says_what_is_wrong_how_bad_and_where_to_look() {
    for rule in alerts() {
        let name = text(&rule, "alert");
        assert!(["critical", "warning", "info"].contains(&text(&rule["labels"], "severity")), "{name}");
        for key in ["for", "keep_firing_for"] {
            assert!(rule[key].is_string(), "{name} has no {key}");
        }
        let (summary, description) = (text(&rule["annotations"], "summary"), text(&rule["annotations"], "description"));
        assert!(summary.ends_with('.') && !summary.contains("{{"), "{name}: {summary}");
        assert!(description.ends_with('.'), "{name}: {description}");
        assert!(text(&rule["annotations"], "runbook_url").ends_with(&format!("/{name}.md")), "{name}");
    }
}

#[test]
fn every_runbook_has_four_sections_that_say_something_and_no_runbook_is_left_over() {
    for name in names() {
        let page = read(format!("alert-rules/runbooks/{name}.md"));
        for section in SECTIONS {
            let body = section_of(&page, section);
            assert!(body.split_whitespace().count() >= 8, "{name}: {section} says only: {body}");
        }
        for section in ["Diagnosis", "Mitigation"] {
            assert!(section_of(&page, section).contains("\n2. "), "{name}: {section} has a single step");
        }
        let diagnosis = section_of(&page, "Diagnosis");
        assert!(diagnosis.contains('`') || diagnosis.contains("ashboard "), "{name}: nothing to look at");
    }
    let there = std::fs::read_dir(super::folder().join("runbooks")).expect("runbooks");
    let there = there.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let there: BTreeSet<_> = there.filter(|name| name != "README.md").collect();
    assert_eq!(there, names().iter().map(|name| format!("{name}.md")).collect());
}

#[test]
fn a_link_opens_a_dashboard_that_is_there_with_variables_that_it_has() {
    for rule in alerts() {
        let (name, url) = (text(&rule, "alert"), text(&rule["annotations"], "dashboard_url"));
        let uid = url.split("/d/").nth(1).and_then(|rest| rest.split('?').next()).expect("a dashboard");
        let dashboard = dashboard(uid);
        let known: BTreeSet<_> = list(&dashboard["templating"], "list").iter().map(|it| text(it, "name")).collect();
        for variable in url.split("&var-").skip(1).filter_map(|rest| rest.split('=').next()) {
            assert!(known.contains(variable), "{name}: {uid} has no variable {variable}");
        }
    }
}

#[test]
fn a_panel_that_a_runbook_names_is_on_the_dashboard_that_it_names() {
    for name in names() {
        let page = read(format!("alert-rules/runbooks/{name}.md"));
        // Between asterisks, beside what Prometheus and Kubernetes call their own.
        let named = page.lines().filter(|line| line.contains("ashboard "));
        for line in named {
            let uid = line.split("ashboard ").nth(1).and_then(|rest| rest.split([' ', ',', ':', ')', '.', ';']).next());
            let uid = uid.expect("a dashboard");
            let dashboard = dashboard(uid);
            let titles = titles(&dashboard);
            for title in line.split('*').skip(1).step_by(2).filter(|title| !title.contains('→')) {
                assert!(titles.contains(title), "{name}: {uid} has no panel {title}; it has {titles:?}");
            }
        }
    }
}

fn section_of<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {name}\n")).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split("\n## ").next().expect("a first part")
}

/// Titles of the panels, those within rows too.
fn titles(dashboard: &Value) -> BTreeSet<&str> {
    let panels = list(dashboard, "panels");
    panels.iter().chain(panels.iter().flat_map(|row| list(row, "panels"))).map(|panel| text(panel, "title")).collect()
}
