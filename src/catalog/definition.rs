//! A metric of a configuration as a Prometheus that scrapes the same targets has it: which series it reads, and the query
//! that says the value of each workload.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::dashboard::{self, Shown};
use crate::catalog::{Catalog, Expression, Files, Metric, Origin, Problem, Unit, lint, rule};
use crate::config::{Combine, Definition, Selection, Shape, Sharing, Side};

/// A definition with its query.
#[derive(Clone, Debug)]
pub struct Defined {
    pub definition: Arc<Definition>,
    /// The value of each workload, with the labels job and namespace; over the window of the definition, and two minutes at
    /// least.
    pub expression: Expression,
    /// The same for panels: rates are over as long as a panel resolves.
    pub panel: Expression,
}

/// What tells workloads apart in every Prometheus; a job without namespaces has an empty one.
const OF_WORKLOAD: &str = "job, namespace";

/// Rates in rules are over this long at least, whatever the window of the definition: a Prometheus that scrapes once a minute
/// has to have two samples in it.
const WINDOW_MIN: Duration = Duration::from_mins(2);

/// As long as a panel resolves, and at least four scrapes.
const RESOLUTION: &str = "$__rate_interval";

/// Dashboards of what a configuration defines, and alerts of its thresholds, with what loads them; and the catalogue that has
/// what they read. What is shipped is not among the files.
///
/// # Errors
/// When a query that follows from a definition is none.
pub fn files_of(catalog: Catalog, definitions: &[Arc<Definition>]) -> Result<(Catalog, Files), Problem> {
    let (catalog, defined) = Defined::all(catalog, definitions)?;
    let shown: Vec<_> = defined.iter().map(Defined::shown).collect();
    let own = dashboard::of_definitions(&shown);
    let mut files = dashboard::files_of(&own, &catalog)?;
    files.extend(rule::of_definitions(&defined, &catalog)?)?;
    // They have links to those that are shipped.
    let mut judged = dashboard::files_of(&dashboard::all().into_iter().chain(own).collect::<Vec<_>>(), &catalog)?;
    judged.0.retain(|path, _| lint::is_dashboard(path));
    lint::refuse(&judged, &catalog)?;
    Ok((catalog, files))
}

// === impl Defined ===

impl Defined {
    /// All of a configuration, with the catalogue of what they read beside what is known already.
    ///
    /// # Errors
    /// When a query that follows from a definition is none.
    pub fn all(catalog: Catalog, definitions: &[Arc<Definition>]) -> Result<(Catalog, Vec<Self>), Problem> {
        let catalog = definitions.iter().fold(catalog, |catalog, definition| with_metrics_of(catalog, definition));
        let defined = definitions.iter().map(|definition| Self::new(&catalog, definition)).collect::<Result<_, _>>()?;
        Ok((catalog, defined))
    }

    fn new(catalog: &Catalog, definition: &Arc<Definition>) -> Result<Self, Problem> {
        let window = definition.shape.window().unwrap_or_default().max(WINDOW_MIN);
        let expression = catalog.expression(&query(&definition.shape, &format!("{}s", window.as_secs())))?;
        let panel = catalog.expression(&query(&definition.shape, RESOLUTION))?;
        Ok(Self { definition: definition.clone(), expression, panel })
    }

    fn shown(&self) -> Shown {
        let Definition { name, description, unit, thresholds, .. } = &*self.definition;
        let said = if description.is_empty() { format!("{name} of each workload") } else { description.clone() };
        Shown {
            title: name.clone().into(),
            description: said.into(),
            expression: self.panel.text().to_owned().into(),
            unit: unit_of(unit),
            legend: "{{job}}".into(),
            thresholds: thresholds.clone(),
        }
    }
}

/// With the families that a definition reads and nobody has described yet; where another one reads more labels of the same,
/// it has those too.
fn with_metrics_of(catalog: Catalog, definition: &Definition) -> Catalog {
    let of = |catalog: Catalog, metric: Metric, selection: &Selection| {
        let known = catalog.metric(&metric.name).cloned().unwrap_or(metric);
        let read = selection.matchers.0.iter().map(|matcher| matcher.label.clone()).chain(definition.split_by.clone());
        let metric = read.fold(known, |metric, label| match metric.label_names().contains(&label) || label == "le" {
            true => metric,
            false => metric.label(label),
        });
        catalog.with([metric])
    };
    let unit = || unit_of(&definition.unit);
    let help = || definition.description.clone();
    let gauge = |name: &str| Metric::gauge(name.to_owned(), unit(), help()).from(Origin::Service);
    let counter = |name: &str| Metric::counter(name.to_owned(), definition.unit.clone(), help()).from(Origin::Service);
    let side = |side: &Side| match side {
        Side::Counter(selection) => counter(&selection.name),
        Side::Gauge(selection) => gauge(&selection.name),
    };
    match &definition.shape {
        Shape::Gauge { series, .. } | Shape::Queue { series, .. } => of(catalog, gauge(&series.name), series),
        Shape::Rate { counter: series, .. } => of(catalog, counter(&series.name), series),
        Shape::Quantile { histogram, .. } => {
            let metric = Metric::histogram(histogram.name.clone(), unit(), help()).from(Origin::Service);
            of(catalog, metric, histogram)
        }
        Shape::Ratio { numerator, denominator, .. } => {
            let catalog = of(catalog, side(numerator), numerator.selection());
            of(catalog, side(denominator), denominator.selection())
        }
    }
}

/// What a unit for people is in a panel.
fn unit_of(text: &str) -> Unit {
    match text {
        "seconds" | "s" => Unit::Seconds,
        "bytes" => Unit::Bytes,
        "ratio" => Unit::Ratio,
        "cores" => Unit::Cores,
        other => Unit::Count(other.to_owned().into()),
    }
}

/// PromQL of the value of each workload, as `aggregate` computes it of one.
fn query(shape: &Shape, window: &str) -> String {
    let rate = |selection: &Selection, suffix: &str| format!("rate({}[{window}])", written(selection, suffix));
    let sum = |inner: String| format!("sum by ({OF_WORKLOAD}) ({inner})");
    match shape {
        Shape::Gauge { series, combine } => {
            let combine = match combine {
                Combine::Sum => "sum",
                Combine::Avg => "avg",
                Combine::Max => "max",
                Combine::Min => "min",
            };
            format!("{combine} by ({OF_WORKLOAD}) ({})", written(series, ""))
        }
        Shape::Queue { series, sharing: Sharing::Partitioned } => sum(written(series, "")),
        // Pods report the same queues: those of one are summed, and the largest sum counts.
        Shape::Queue { series, sharing: Sharing::Shared } => {
            format!("max by ({OF_WORKLOAD}) (sum by ({OF_WORKLOAD}, instance) ({}))", written(series, ""))
        }
        Shape::Rate { counter, .. } => sum(rate(counter, "")),
        Shape::Quantile { histogram, q, .. } => {
            format!("histogram_quantile({q}, sum by ({OF_WORKLOAD}, le) ({}))", rate(histogram, "_bucket"))
        }
        Shape::Ratio { numerator, denominator, .. } => {
            let side = |side: &Side| match side {
                Side::Counter(selection) => sum(rate(selection, "")),
                Side::Gauge(selection) => sum(written(selection, "")),
            };
            format!("{} / {}", side(numerator), side(denominator))
        }
    }
}

fn written(Selection { name, matchers }: &Selection, suffix: &str) -> String {
    match matchers.0.is_empty() {
        true => format!("{name}{suffix}"),
        false => format!("{name}{suffix}{matchers}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Labels;
    use crate::config;

    fn defined(metrics: &str) -> (Catalog, Vec<Defined>) {
        let scraped = "scrape_configs: [{job_name: a, targets: [{url: 'http://127.0.0.1:1/metrics', namespace: n}]}]";
        let config = config::read(&format!("{scraped}\nmetrics:\n{metrics}"), "mine.yaml".as_ref()).expect("good");
        Defined::all(Catalog::default(), &config.metrics).expect("good queries")
    }

    fn query_of(metric: &str) -> String {
        let (catalog, mut all) = defined(&format!("  - {{name: m, {metric}}}"));
        let one = all.pop().expect("one");
        let Labels::Of(labels) = one.expression.labels(&catalog) else { panic!("unknown labels") };
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), ["job", "namespace"], "{metric}");
        one.expression.text().to_owned()
    }

    #[test]
    fn each_shape_has_a_query_of_the_value_of_a_workload() {
        for (metric, expected) in [
            ("gauge: {series: load, combine: avg}", "avg by (job, namespace) (load)"),
            ("queue: {series: q, sharing: partitioned}", "sum by (job, namespace) (q)"),
            ("queue: {series: q, sharing: shared}", "max by (job, namespace) (sum by (job, namespace, instance) (q))"),
            (
                r#"rate: {counter: r_total, match: 'code!~"5..",route="/\\"', window: 3m}"#,
                r#"sum by (job, namespace) (rate(r_total{code!~"5..",route="/\\"}[180s]))"#,
            ),
            (
                "quantile: {histogram: d_seconds, q: 0.95, window: 1m}",
                "histogram_quantile(0.95, sum by (job, namespace, le) (rate(d_seconds_bucket[120s])))",
            ),
            (
                "ratio: {numerator: {counter: e_total}, denominator: {counter: r_total}, window: 1m}",
                "sum by (job, namespace) (rate(e_total[120s])) / sum by (job, namespace) (rate(r_total[120s]))",
            ),
            (
                "ratio: {numerator: {gauge: used}, denominator: {gauge: all}}",
                "sum by (job, namespace) (used) / sum by (job, namespace) (all)",
            ),
        ] {
            assert_eq!(query_of(metric), expected);
        }
    }

    #[test]
    fn a_panel_resolves_as_far_as_it_is_wide() {
        let (catalog, all) = defined("  - {name: m, rate: {counter: r_total, window: 1m}}");
        let panel = all[0].panel.narrowed(&catalog, r#"job=~"$job""#);
        assert_eq!(panel.text(), r#"sum by (job, namespace) (rate(r_total{job=~"$job"}[$__rate_interval]))"#);
    }

    #[test]
    fn a_configuration_has_a_dashboard_of_its_metrics_and_alerts_of_its_thresholds() {
        let config = "scrape_configs: [{job_name: a, targets: [{url: 'http://127.0.0.1:1/metrics', namespace: n}]}]
metrics:
  - name: queue_length
    unit: messages
    queue: {series: work_waiting, sharing: partitioned}
    thresholds: {warning: {above: 100}, critical: {above: 500, for: 10m}}
  - {name: free_places, gauge: {series: places_free, combine: sum}, thresholds: {warning: {below: 10}}}
  - {name: unwatched, gauge: {series: load, combine: sum}}
";
        let config = config::read(config, "mine.yaml".as_ref()).expect("good");
        let (_, Files(files)) = files_of(Catalog::shipped(), &config.metrics).expect("good queries");
        let rules = &files["alert-rules/metrics.yaml"];
        assert!(
            rules.contains("alert: QueueLengthBeyondThreshold") && rules.contains("FreePlacesBeyondThreshold"),
            "{rules}"
        );
        for expression in ["sum by (job, namespace) (work_waiting) > 500", "sum by (job, namespace) (places_free) < 10"]
        {
            assert!(rules.contains(expression), "{expression}: {rules}");
        }
        assert!(!rules.contains("(load)"), "{rules}");
        let dashboard = &files["dashboards/plimsoll-metrics.json"];
        assert!(["work_waiting", "places_free", "load"].iter().all(|series| dashboard.contains(series)), "{dashboard}");
        let runbook = &files["alert-rules/runbooks/QueueLengthBeyondThreshold.md"];
        assert!(runbook.contains("above 100 for 5m (warning), or above 500 for 10m (critical)"), "{runbook}");
    }

    #[test]
    fn many_metrics_have_dashboards_of_a_size_and_alerts_that_lead_to_the_right_one() {
        let metric = |number| {
            let text = "long ".repeat(1000);
            format!(
                "  - {{name: m{number}, description: {text}, gauge: {{series: load{number}, combine: sum}}, \
                 thresholds: {{warning: {{above: 1}}}}}}\n"
            )
        };
        let config = (1..=300).map(metric).collect::<String>();
        let config = format!(
            "scrape_configs: [{{job_name: a, targets: [{{url: 'http://127.0.0.1:1/metrics', namespace: n}}]}}]\n\
             metrics:\n{config}"
        );
        let config = config::read(&config, "mine.yaml".as_ref()).expect("good");
        let (_, Files(files)) = files_of(Catalog::shipped(), &config.metrics).expect("good queries");
        assert_eq!(files.keys().filter(|path| lint::is_dashboard(path)).count(), 13);
        let maps = files.iter().filter(|(path, _)| path.starts_with("dashboards/configmaps/"));
        maps.for_each(|(path, text)| assert!(text.len() < 256 * 1024, "{path} has {} bytes", text.len()));
        let rules: Vec<_> = files["alert-rules/metrics.yaml"].split("- alert: ").skip(1).collect();
        assert_eq!(rules.len(), 300);
        for (number, uid) in [(24, "plimsoll-metrics"), (25, "plimsoll-metrics-2"), (300, "plimsoll-metrics-13")] {
            assert!(rules[number - 1].contains(&format!("/d/{uid}?")), "{}", rules[number - 1]);
            let dashboard = &files[&format!("dashboards/{uid}.json")];
            assert!(dashboard.contains(&format!("(load{number}{{")), "{uid} has no m{number}");
        }
    }

    #[test]
    fn definitions_that_read_one_family_share_its_labels() {
        let (catalog, _) = defined(
            "  - {name: a, rate: {counter: r_total, match: 'code=\"200\"'}}\n  - {name: b, split_by: [route], rate: {counter: r_total}}",
        );
        let labels = catalog.metric("r_total").expect("known").label_names();
        assert!(labels.contains("code") && labels.contains("route"), "{labels:?}");
    }
}
