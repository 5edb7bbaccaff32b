//! A dashboard of a user's own metrics, made of what a configuration says of them.

use crate::catalog::dashboard::{About, Annotation, Color, Dashboard, Measure, Panel, Thresholds, Variable};
use crate::catalog::{Text, Unit};
use crate::config::{Bound, Severity, Threshold};

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
    /// From which numbers on somebody should look, and act.
    pub thresholds: Vec<Threshold>,
}

// === impl Shown ===

impl Shown {
    /// The bad that are low come first, then what is good, then the bad that are high.
    fn colors(&self) -> Option<Thresholds> {
        let mut low: Vec<_> = self.thresholds.iter().filter_map(|threshold| beyond(threshold, Bound::below)).collect();
        let mut high: Vec<_> = self.thresholds.iter().filter_map(|threshold| beyond(threshold, Bound::above)).collect();
        low.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        high.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut colors: Vec<_> = low.iter().map(|(_, color)| *color).chain([Color::Good]).collect();
        let lowest = Thresholds::always(colors.remove(0));
        let upwards = low.iter().zip(colors).map(|((bound, _), color)| (*bound, color)).chain(high.iter().copied());
        (!self.thresholds.is_empty()).then(|| upwards.fold(lowest, |all, (bound, color)| all.then(bound, color)))
    }

    fn panel(&self) -> Panel {
        let panel = Panel::lines(self.title.clone(), self.description.clone())
            .measured(Measure::from(&self.unit))
            .query(self.expression.clone(), self.legend.clone())
            .signed();
        match self.colors() {
            Some(thresholds) => panel.thresholds(thresholds),
            None => panel,
        }
    }
}

/// A bound of one direction, with the colour of what is beyond it.
fn beyond(threshold: &Threshold, of: impl Fn(Bound) -> Option<f64>) -> Option<(f64, Color)> {
    let color = match threshold.severity {
        Severity::Warning => Color::Warning,
        Severity::Critical => Color::Critical,
    };
    of(threshold.bound).map(|bound| (bound, color))
}

/// Of the dashboard of a configuration.
pub const UID: &str = "plimsoll-metrics";

/// The dashboard [`UID`]: a graph for each metric, in their order. Their series are in the catalogue that makes
/// JSON of it, and an expression that asks for others is refused there.
pub fn of_definitions(title: impl Into<Text>, metrics: &[Shown]) -> Dashboard {
    let dashboard = Dashboard {
        uid: UID.into(),
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
    use std::time::Duration;

    use super::*;
    use crate::catalog::Catalog;

    fn shown(expression: &'static str, thresholds: &[(Severity, Bound)]) -> Shown {
        let lasting = Duration::from_secs(300);
        Shown {
            title: "Queue".into(),
            description: "Messages that wait".into(),
            expression: expression.into(),
            unit: Unit::Count("messages".into()),
            legend: "{{queue}}".into(),
            thresholds: thresholds.iter().map(|&(severity, bound)| Threshold { severity, bound, lasting }).collect(),
        }
    }

    #[test]
    fn a_metric_of_a_configuration_becomes_a_graph_with_its_thresholds() {
        let thresholds = [(Severity::Warning, Bound::Above(100.0)), (Severity::Critical, Bound::Above(500.0))];
        let metrics = [shown("sum by (queue) (agent_queue_length)", &thresholds)];
        let json = of_definitions("Queues", &metrics).json(&Catalog::shipped()).expect("a known metric");
        let panel = &json["panels"][1];
        let query = r#"sum by (queue) (agent_queue_length{instance=~"$instance",job=~"$job"})"#;
        assert_eq!(panel["targets"][0]["expr"], query);
        assert_eq!(panel["fieldConfig"]["defaults"]["thresholds"]["steps"][2]["value"], 500.0);
    }

    #[test]
    fn what_is_bad_may_be_low_or_high_or_both() {
        let (warning, critical) = (Severity::Warning, Severity::Critical);
        let colors = |thresholds: &[(Severity, Bound)]| shown("up", thresholds).colors();
        assert_eq!(colors(&[]), None);
        assert_eq!(
            colors(&[(warning, Bound::Below(0.99)), (critical, Bound::Below(0.9))]),
            Some(Thresholds::below(0.99, 0.9))
        );
        let low = Thresholds::always(Color::Warning).then(10.0, Color::Good);
        assert_eq!(colors(&[(warning, Bound::Below(10.0))]), Some(low.clone()));
        let both = [(warning, Bound::Below(10.0)), (critical, Bound::Above(90.0))];
        assert_eq!(colors(&both), Some(low.then(90.0, Color::Critical)));
    }

    #[test]
    fn an_expression_that_is_no_query_is_refused_with_what_is_wrong() {
        let problem = of_definitions("Queues", &[shown("sum(rate(up)", &[])]).json(&Catalog::shipped());
        assert!(problem.is_err_and(|problem| problem.query == "sum(rate(up)" && problem.what.contains("unclosed")));
    }
}
