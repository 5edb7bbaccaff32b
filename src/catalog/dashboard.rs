//! Dashboards: what is asked, how it is shown, and the JSON that Grafana reads.
//!
//! A [`Dashboard`] answers one question. It is written as plain values with PromQL as text. Making JSON of it checks every
//! query against the catalogue, narrows it to what the reader has chosen, and checks every label that a legend, a column or
//! an annotation names; one that is wrong is refused, and nothing is made. What comes out is the classic model of Grafana 9,
//! which all newer ones read, and files that load it. It is the same for the same catalogue.

mod annotation;
mod color;
mod definitions;
mod field;
mod json;
mod layout;
mod link;
mod measure;
mod options;
mod panel;
mod provisioning;
mod query;
mod table;
mod threshold;
mod variable;

// One file for each question.
mod api;
mod backups;
mod business;
mod hpa;
mod internals;
mod overview;
mod queues;
mod resources;
mod service_level;
mod sources;

#[cfg(test)]
mod tests;

use crate::catalog::{Catalog, Files, Problem, Text};

pub use annotation::{Annotation, When};
pub use color::{Color, Stroke};
pub use definitions::{Shown, UID as UID_OF_DEFINITIONS, of_definitions, uid_of_definition};
pub use link::Link;
pub use measure::Measure;
pub use panel::{Cells, Column, Panel, State, View};
pub use query::{Moment, Query};
pub use threshold::Thresholds;
pub use variable::{Choice, Variable};

/// One dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Stable: addresses and links have it. At most 40 characters, which is all that Grafana keeps.
    pub uid: Text,
    pub title: Text,
    /// What it answers.
    pub question: Text,
    pub about: About,
    pub variables: Vec<Variable>,
    pub annotations: Vec<Annotation>,
    pub sections: Vec<Section>,
}

/// Whom a dashboard is about; those about the same are a menu in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Plimsoll,
    Platform,
}

/// Panels that belong together, under a title.
#[derive(Clone, Debug)]
pub struct Section {
    pub title: Text,
    pub panels: Vec<Panel>,
}

// === impl Dashboard ===

impl Dashboard {
    /// About Plimsoll itself. What reads its series is narrowed to the chosen jobs and instances.
    pub fn of_plimsoll(uid: &'static str, title: &'static str, question: &'static str) -> Self {
        Self {
            uid: uid.into(),
            title: title.into(),
            question: question.into(),
            about: About::Plimsoll,
            variables: vec![
                Variable::many("job", "Job", "plimsoll_build_info"),
                Variable::many("instance", "Instance", "plimsoll_build_info"),
            ],
            annotations: vec![Annotation::start_of_plimsoll()],
            sections: Vec::new(),
        }
    }

    /// About the services of the platform, narrowed to namespaces, workloads, jobs and instances. What there is to choose
    /// from are the targets of these series.
    pub fn of_platform(uid: &'static str, title: &'static str, question: &'static str, series: &'static str) -> Self {
        let names = [("namespace", "Namespace"), ("workload", "Workload"), ("job", "Job"), ("instance", "Instance")];
        Self {
            uid: uid.into(),
            title: title.into(),
            question: question.into(),
            about: About::Platform,
            variables: names.into_iter().map(|(name, label)| Variable::many(name, label, series)).collect(),
            annotations: vec![
                Annotation::scaling(r#"hpa_namespace=~"$namespace""#),
                Annotation::deploy(r#"namespace=~"$namespace""#),
            ],
            sections: Vec::new(),
        }
    }

    pub fn variable(mut self, variable: Variable) -> Self {
        self.variables.push(variable);
        self
    }

    pub fn annotation(mut self, annotation: Annotation) -> Self {
        self.annotations.push(annotation);
        self
    }

    pub fn section(mut self, title: impl Into<Text>, panels: impl IntoIterator<Item = Panel>) -> Self {
        self.sections.push(Section { title: title.into(), panels: panels.into_iter().collect() });
        self
    }

    /// Where it is kept.
    pub fn path(&self) -> String {
        format!("dashboards/{}.json", self.uid)
    }
}

// === impl About ===

impl About {
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Plimsoll => "plimsoll",
            Self::Platform => "platform",
        }
    }
}

/// All that are shipped, the one to begin with first.
pub fn all() -> Vec<Dashboard> {
    vec![
        overview::dashboard(),
        hpa::dashboard(),
        sources::dashboard(),
        api::dashboard(),
        internals::dashboard(),
        service_level::dashboard(),
        queues::dashboard(),
        resources::dashboard(),
        business::dashboard(),
        backups::dashboard(),
    ]
}

/// The shipped dashboards, and what loads them.
///
/// # Errors
/// When a query asks for what the catalogue does not have.
pub fn files(catalog: &Catalog) -> Result<Files, Problem> {
    files_of(&all(), catalog)
}

/// These dashboards, and what loads them.
///
/// # Errors
/// When a query asks for what the catalogue does not have.
pub fn files_of(dashboards: &[Dashboard], catalog: &Catalog) -> Result<Files, Problem> {
    let mut files = Files::default();
    for dashboard in dashboards {
        let json = dashboard.json(catalog)?;
        files.add(dashboard.path(), format!("{json:#}\n"))?;
        files.add(provisioning::config_map_path(dashboard), provisioning::config_map(dashboard, &json))?;
        files.add(provisioning::grafana_dashboard_path(dashboard), provisioning::grafana_dashboard(dashboard))?;
    }
    files.extend(provisioning::files(dashboards)?)?;
    Ok(files)
}
