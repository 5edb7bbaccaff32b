//! A dashboard of a user's own metrics, made of what a configuration says of them.

use crate::catalog::dashboard::{About, Annotation, Color, Dashboard, Measure, Panel, Thresholds, Variable};
use crate::catalog::{Text, Unit};

/// One metric as it is to be shown.
#[derive(Clone, Debug)]
pub struct Shown {
    pub title: Text,
    pub description: Text,
    /// PromQL without the matchers of the dashboard's variables, which are added.
    pub expression: Text,
    pub unit: Unit,
    /// Names its series: a text with labels as `{{queue}}`; empty where there is one.
    pub legend: Text,
    /// From which number on somebody should look, and act. A critical number below the warning one: the lower, the worse.
    pub warning: Option<f64>,
    pub critical: Option<f64>,
}

// === impl Shown ===

impl Shown {
    fn thresholds(&self) -> Option<Thresholds> {
        let good = Thresholds::always(Color::Good);
        match (self.warning, self.critical) {
            (Some(warning), Some(critical)) if critical < warning => Some(Thresholds::below(warning, critical)),
            (Some(warning), Some(critical)) => Some(Thresholds::above(warning, critical)),
            (Some(warning), None) => Some(good.then(warning, Color::Warning)),
            (None, Some(critical)) => Some(good.then(critical, Color::Critical)),
            (None, None) => None,
        }
    }

    fn panel(&self) -> Panel {
        let panel = Panel::lines(self.title.clone(), self.description.clone())
            .measured(Measure::from(&self.unit))
            .query(self.expression.clone(), self.legend.clone())
            .signed();
        match self.thresholds() {
            Some(thresholds) => panel.thresholds(thresholds),
            None => panel,
        }
    }
}

/// The dashboard `plimsoll-metrics`: a graph for each metric, in their order. Their series are in the catalogue that makes
/// JSON of it, and an expression that asks for others is refused there.
pub fn of_definitions(title: impl Into<Text>, metrics: &[Shown]) -> Dashboard {
    let dashboard = Dashboard {
        uid: "plimsoll-metrics".into(),
        title: title.into(),
        question: "What do the services report that autoscalers follow?".into(),
        about: About::Plimsoll,
        // These every Prometheus has, however it finds its targets.
        variables: vec![Variable::many("job", "Job", "up"), Variable::many("instance", "Instance", "up")],
        annotations: vec![Annotation::scaling("")],
        sections: Vec::new(),
    };
    dashboard.section("Metrics", metrics.iter().map(Shown::panel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn shown(expression: &'static str, warning: Option<f64>, critical: Option<f64>) -> Shown {
        Shown {
            title: "Queue".into(),
            description: "Messages that wait".into(),
            expression: expression.into(),
            unit: Unit::Count("messages".into()),
            legend: "{{queue}}".into(),
            warning,
            critical,
        }
    }

    #[test]
    fn a_metric_of_a_configuration_becomes_a_graph_with_its_thresholds() {
        let metrics = [shown("sum by (queue) (agent_queue_length)", Some(100.0), Some(500.0))];
        let json = of_definitions("Queues", &metrics).json(&Catalog::shipped()).expect("a known metric");
        let panel = &json["panels"][1];
        let query = r#"sum by (queue) (agent_queue_length{instance=~"$instance",job=~"$job"})"#;
        assert_eq!(panel["targets"][0]["expr"], query);
        assert_eq!(panel["fieldConfig"]["defaults"]["thresholds"]["steps"][2]["value"], 500.0);
    }

    #[test]
    fn a_critical_number_below_the_warning_one_is_bad_when_low() {
        let thresholds = shown("up", Some(0.99), Some(0.9)).thresholds();
        assert_eq!(thresholds, Some(Thresholds::below(0.99, 0.9)));
        assert_eq!(shown("up", None, None).thresholds(), None);
    }

    #[test]
    fn an_expression_that_is_no_query_is_refused_with_what_is_wrong() {
        let problem = of_definitions("Queues", &[shown("sum(rate(up)", None, None)]).json(&Catalog::shipped());
        assert!(problem.is_err_and(|problem| problem.query == "sum(rate(up)" && problem.what.contains("unclosed")));
    }
}
