//! What a dashboard must keep to.

use std::fmt;

/// A rule, in the order of what it looks at. The names of the first of each kind are those that other linters use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `editable` is false: what is changed in the browser is lost with the next version.
    UneditableDashboard,
    /// The uid is there, is one that Grafana takes, and no other dashboard has it.
    DashboardUid,
    /// The classic model, at a version that Grafana 9 and later read, without what only an import fills in.
    DashboardSchema,
    /// Small enough for a ConfigMap with its annotation.
    DashboardSize,
    /// A variable chooses the data source.
    TemplateDatasource,
    /// A variable chooses jobs: several, or all.
    TemplateJob,
    /// A variable chooses instances: several, or all.
    TemplateInstance,
    /// The query of a variable is one that Grafana understands.
    TemplateLabelPromql,
    /// Variables are asked for again when the time range changes.
    TemplateOnTimeChangeReload,
    /// The query of a variable asks for what the catalogue has.
    TemplateMetric,
    /// Every variable that is used is defined.
    TemplateUndefined,
    /// Data comes from where the variable says, for every kind of panel, annotation and variable.
    PanelDatasource,
    /// A panel has a title, and says what it shows.
    PanelTitleDescription,
    /// A panel has a unit that Grafana knows.
    PanelUnits,
    /// A panel asks for something.
    PanelNoTargets,
    /// The id of a panel is there and its own.
    PanelId,
    /// Panels are within 24 columns and not upon each other.
    PanelOverlap,
    /// Not more panels than are read in an incident.
    PanelWall,
    /// A query of Loki has a stream selector, and its brackets match.
    TargetLogql,
    /// Ranges in queries of Loki are `$__auto`.
    TargetLogqlAuto,
    /// A query is PromQL.
    TargetPromql,
    /// `rate` and `irate` have the range that suits the scrape interval and the width of the panel.
    TargetRateInterval,
    /// Every selector is of the chosen jobs.
    TargetJob,
    /// Every selector is of the chosen instances.
    TargetInstance,
    /// Counters are shown as change over time, whatever their matchers.
    TargetCounterAgg,
    /// Every series that is asked for is in the catalogue.
    TargetMetric,
    /// Every label that is matched is one that the series has.
    TargetLabel,
    /// Every label that a legend, a link or an annotation shows is in the answer.
    TargetLegend,
    /// An answer has not more series than can be drawn.
    TargetSeries,
    /// A link leads to a dashboard that is there, with variables that it has.
    LinkTarget,
}

// === impl Rule ===

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UneditableDashboard => "uneditable-dashboard",
            Self::DashboardUid => "dashboard-uid",
            Self::DashboardSchema => "dashboard-schema",
            Self::DashboardSize => "dashboard-size",
            Self::TemplateDatasource => "template-datasource",
            Self::TemplateJob => "template-job",
            Self::TemplateInstance => "template-instance",
            Self::TemplateLabelPromql => "template-label-promql",
            Self::TemplateOnTimeChangeReload => "template-on-time-change-reload",
            Self::TemplateMetric => "template-metric",
            Self::TemplateUndefined => "template-undefined",
            Self::PanelDatasource => "panel-datasource",
            Self::PanelTitleDescription => "panel-title-description",
            Self::PanelUnits => "panel-units",
            Self::PanelNoTargets => "panel-no-targets",
            Self::PanelId => "panel-id",
            Self::PanelOverlap => "panel-overlap",
            Self::PanelWall => "panel-wall",
            Self::TargetLogql => "target-logql",
            Self::TargetLogqlAuto => "target-logql-auto",
            Self::TargetPromql => "target-promql",
            Self::TargetRateInterval => "target-rate-interval",
            Self::TargetJob => "target-job",
            Self::TargetInstance => "target-instance",
            Self::TargetCounterAgg => "target-counter-agg",
            Self::TargetMetric => "target-metric",
            Self::TargetLabel => "target-label",
            Self::TargetLegend => "target-legend",
            Self::TargetSeries => "target-series",
            Self::LinkTarget => "link-target",
        })
    }
}
