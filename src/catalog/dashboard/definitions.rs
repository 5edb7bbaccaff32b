//! Dashboards of a user's own metrics, made of what a configuration says of them.

use std::sync::LazyLock;

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
        let panel = Panel::lines(self.title.clone(), plain(&self.description))
            .measured(Measure::from(&self.unit))
            .query(self.expression.clone(), self.legend.clone())
            .signed();
        match self.colors() {
            Some(thresholds) => panel.thresholds(thresholds),
            None => panel,
        }
    }
}

/// A description as Grafana shows it: it reads Markdown, after it has put the values of variables in. A reference to a character
/// is the character in the one and no variable in the other.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = words.chars().take(DESCRIPTION_MAX).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    short.replace('$', "&#36;").replace("[[", "&#91;&#91;")
}

/// A bound of one direction, with the colour of what is beyond it.
fn beyond(threshold: &Threshold, of: impl Fn(Bound) -> Option<f64>) -> Option<(f64, Color)> {
    let color = match threshold.severity {
        Severity::Warning => Color::Warning,
        Severity::Critical => Color::Critical,
    };
    of(threshold.bound).map(|bound| (bound, color))
}

/// Of the first dashboard of a configuration; the second is plimsoll-metrics-2.
pub const UID: &str = "plimsoll-metrics";

/// As many as are read in an incident. Metrics that are added at the end of a configuration do not move those before them.
const PANELS_MAX: usize = 24;

/// A configuration file has room for fewer than so many times [`PANELS_MAX`] metrics.
const DASHBOARDS_MAX: usize = 5000;

/// Characters of a description, so that 24 of them fit into a ConfigMap with its annotation.
const DESCRIPTION_MAX: usize = 1000;

/// For as long as the program runs, as those that are written in it.
static UIDS: LazyLock<Vec<String>> =
    LazyLock::new(|| (1..=DASHBOARDS_MAX).map(|number| numbered(UID, number)).collect());

/// The dashboard that has the metric at this place of a configuration.
pub fn uid_of_definition(place: usize) -> &'static str {
    UIDS.get(place / PANELS_MAX).expect("a configuration file has no room for so many")
}

/// The first has no number.
fn numbered(name: &str, number: usize) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
}

/// A graph for each metric, in their order, on as many dashboards as that takes, and on one at least. Their series are in the
/// catalogue that makes JSON of them, and an expression that asks for others is refused there.
pub fn of_definitions(metrics: &[Shown]) -> Vec<Dashboard> {
    if metrics.is_empty() {
        return vec![dashboard(0, &[])];
    }
    metrics.chunks(PANELS_MAX).enumerate().map(|(index, shown)| dashboard(index, shown)).collect()
}

fn dashboard(index: usize, metrics: &[Shown]) -> Dashboard {
    let title = if index == 0 { "Metrics".to_owned() } else { format!("Metrics {}", index + 1) };
    let dashboard = Dashboard {
        uid: uid_of_definition(index * PANELS_MAX).into(),
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
        let json = of_definitions(&metrics)[0].json(&Catalog::shipped()).expect("a known metric");
        let panel = &json["panels"][1];
        let query = r#"sum by (queue) (agent_queue_length{instance=~"$instance",job=~"$job"})"#;
        assert_eq!(panel["targets"][0]["expr"], query);
        assert_eq!(panel["fieldConfig"]["defaults"]["thresholds"]["steps"][2]["value"], 500.0);
    }

    #[test]
    fn many_metrics_are_on_several_dashboards_and_those_before_stay_where_they_are() {
        for (count, expected) in [
            (0, vec![("plimsoll-metrics", 0)]),
            (24, vec![("plimsoll-metrics", 24)]),
            (25, vec![("plimsoll-metrics", 24), ("plimsoll-metrics-2", 1)]),
            (49, vec![("plimsoll-metrics", 24), ("plimsoll-metrics-2", 24), ("plimsoll-metrics-3", 1)]),
        ] {
            let all = of_definitions(&vec![shown("up", &[]); count]);
            let found = all.iter().map(|dashboard| (dashboard.uid.as_ref(), dashboard.sections[0].panels.len()));
            assert_eq!(found.collect::<Vec<_>>(), expected);
            for (place, (uid, _)) in (0..count).step_by(PANELS_MAX).zip(&expected) {
                assert_eq!(uid_of_definition(place), *uid);
            }
        }
        assert_eq!(
            [23, 24, 299].map(uid_of_definition),
            ["plimsoll-metrics", "plimsoll-metrics-2", "plimsoll-metrics-13"]
        );
    }

    #[test]
    fn a_description_is_shown_as_it_was_written() {
        assert_eq!(
            plain("Costs in $USD\n of ${job} and [[job]]"),
            "Costs in &#36;USD of &#36;{job} and &#91;&#91;job]]"
        );
        let long = plain(&"ä".repeat(5000));
        assert!(long.ends_with("ä…") && long.chars().count() == DESCRIPTION_MAX + 1, "{}", long.len());
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
        let problem = of_definitions(&[shown("sum(rate(up)", &[])])[0].json(&Catalog::shipped());
        assert!(problem.is_err_and(|problem| problem.query == "sum(rate(up)" && problem.what.contains("unclosed")));
    }
}
