//! The board as own metrics. A series is there as long as there is something to say: no value is no series, and never 0.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::autoscaling::answer::{Answer, Outcome};
use crate::autoscaling::autoscaler::{Asked, Autoscaler};
use crate::autoscaling::board::{Board, Shown};
use crate::model::Timestamp;

/// One gauge of autoscalers, or of what they ask for: name, unit, help, and its value where there is one.
type Gauge<V> = (&'static str, Option<Unit>, &'static str, V);

type OfAutoscaler = fn(&Autoscaler) -> Option<f64>;
type OfMetric = fn(&Asked, &Outcome, Timestamp) -> Option<f64>;

const OF_AUTOSCALERS: [Gauge<OfAutoscaler>; 5] = [
    ("hpa_current_replicas", None, "Replicas that the HorizontalPodAutoscaler saw last.", |it| {
        it.current.map(f64::from)
    }),
    ("hpa_desired_replicas", None, "Replicas that the HorizontalPodAutoscaler wanted last.", |it| {
        it.desired.map(f64::from)
    }),
    ("hpa_min_replicas", None, "Fewest replicas that the HorizontalPodAutoscaler may want.", |it| {
        Some(f64::from(it.min))
    }),
    ("hpa_max_replicas", None, "Most replicas that the HorizontalPodAutoscaler may want.", |it| {
        Some(f64::from(it.max))
    }),
    (
        "hpa_last_scale_timestamp",
        Some(Unit::Seconds),
        "When the HorizontalPodAutoscaler last changed the number of replicas, since the Unix epoch.",
        |it| it.last_scale.map(|time| time.0 as f64 / 1000.0),
    ),
];

const OF_METRICS: [Gauge<OfMetric>; 5] = [
    (
        "hpa_metric_target",
        None,
        "What the HorizontalPodAutoscaler wants a metric to be; of Utilization percent of the request.",
        |asked, _, _| asked.wanted,
    ),
    (
        "hpa_metric_value",
        None,
        "What Plimsoll answers for the metric now, as the target has it: per pod for AverageValue.",
        |_, outcome, _| outcome.answer()?.value,
    ),
    (
        "hpa_metric_seen",
        None,
        "What the HorizontalPodAutoscaler says that it saw last, as the target has it.",
        |asked, _, _| asked.seen,
    ),
    (
        "hpa_metric_available",
        None,
        "1 when Plimsoll has a value for the metric, 0 when it answers with an error.",
        |_, outcome, _| outcome.is_available().map(|is_available| f64::from(u8::from(is_available))),
    ),
    (
        "hpa_metric_age",
        Some(Unit::Seconds),
        "Age of the oldest sample that the value of the metric rests on, or rested on until that was too old for a value.",
        |_, outcome, now| Some(now.seconds_since(outcome.oldest()?).max(0.0)),
    ),
];

const STATUSES: [&str; 3] = ["true", "false", "unknown"];

// === impl Board ===

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (shown, now) = (self.shown(), self.clock.now());
        let help = "1 when the HorizontalPodAutoscalers of the cluster are known and followed.";
        single(&mut encoder, "hpa_watch_up", help, i64::from(shown.is_up))?;
        let help = "HorizontalPodAutoscalers that are not followed because the limit is reached.";
        single(&mut encoder, "hpa_over_limit", help, shown.over_limit as i64)?;
        conditions(&mut encoder, &shown)?;
        of_autoscalers(&mut encoder, &shown)?;
        of_metrics(&mut encoder, &shown, now)
    }
}

// === impl Outcome ===

impl Outcome {
    fn answer(&self) -> Option<Answer> {
        match self {
            Self::Answered(answer) => Some(*answer),
            Self::Elsewhere | Self::Missing { .. } => None,
        }
    }

    fn oldest(&self) -> Option<Timestamp> {
        match self {
            Self::Answered(answer) => Some(answer.oldest),
            Self::Missing { aged } => *aged,
            Self::Elsewhere => None,
        }
    }

    /// `None` where others answer.
    fn is_available(&self) -> Option<bool> {
        match self {
            Self::Elsewhere => None,
            Self::Missing { .. } => Some(false),
            Self::Answered(_) => Some(true),
        }
    }
}

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn conditions(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> Result<(), fmt::Error> {
    let help = "1 for the status that a condition of the HorizontalPodAutoscaler has, 0 for the others.";
    let mut family = encoder.encode_descriptor("hpa_condition", help, None, MetricType::Gauge)?;
    for (_, autoscaler) in shown.answered.iter() {
        for (condition, now) in &autoscaler.conditions {
            for status in STATUSES {
                let labels = [
                    ("hpa_namespace", autoscaler.namespace.as_str()),
                    ("hpa", &autoscaler.name),
                    ("condition", condition),
                    ("status", status),
                ];
                let gauge = ConstGauge::new(i64::from(now.eq_ignore_ascii_case(status)));
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

fn of_autoscalers(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> Result<(), fmt::Error> {
    for (name, unit, help, value) in &OF_AUTOSCALERS {
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (_, autoscaler) in shown.answered.iter() {
            let Some(value) = value(autoscaler) else { continue };
            let labels = [("hpa_namespace", autoscaler.namespace.as_str()), ("hpa", &autoscaler.name)];
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn of_metrics(encoder: &mut DescriptorEncoder<'_>, shown: &Shown, now: Timestamp) -> Result<(), fmt::Error> {
    for (name, unit, help, value) in &OF_METRICS {
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (outcomes, autoscaler) in shown.answered.iter() {
            for (asked, outcome) in autoscaler.metrics.iter().zip(outcomes) {
                let Some(value) = value(asked, outcome, now) else { continue };
                let object = asked.source.object();
                let labels = [
                    ("hpa_namespace", autoscaler.namespace.as_str()),
                    ("hpa", &autoscaler.name),
                    ("type", asked.source.name()),
                    ("metric", &asked.name),
                    ("target_type", asked.target.name()),
                    ("object", &object),
                    ("selector", &asked.selector_text),
                ];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::autoscaling::autoscaler::{Source, TargetType};
    use crate::autoscaling::board::Known;
    use crate::clock::Clock;

    fn asked(source: Source, name: &str) -> Asked {
        let (selector, selector_text) = (None, "queue=a".into());
        let target = TargetType::AverageValue;
        Asked { source, name: name.into(), selector_text, selector, target, wanted: Some(10.0), seen: None }
    }

    /// The lines of samples on the page, in order.
    fn page(outcomes: &[Outcome]) -> Vec<String> {
        let metrics = vec![asked(Source::Pods, "queue_length"), asked(Source::Resource, "cpu")];
        let conditions = vec![("ScalingActive".to_owned(), "True".to_owned())];
        let autoscaler = Autoscaler {
            namespace: "ns".into(),
            name: "web".into(),
            max: 9,
            metrics,
            conditions,
            ..Autoscaler::default()
        };
        let board = Board::new(Clock::from_fn(|| Timestamp(100_000)));
        let mut known = Known::default();
        known.apply(autoscaler);
        board.listed(known);
        board.answer(board.autoscalers().into_iter().map(|autoscaler| (outcomes.to_vec(), autoscaler)).collect());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(board));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("written");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn of_queue<'p>(page: &'p [String], name: &str) -> Option<&'p str> {
        let labels = r#"hpa_namespace="ns",hpa="web",type="pods",metric="queue_length",target_type="AverageValue""#;
        let start = format!("{name}{{{labels},object=\"\",selector=\"queue=a\"}} ");
        page.iter().find_map(|line| line.strip_prefix(start.as_str()))
    }

    #[test]
    fn a_value_comes_with_its_age() {
        let answer = Answer { value: Some(12.5), oldest: Timestamp(93_500) };
        let page = page(&[Outcome::Answered(answer), Outcome::Elsewhere]);
        for (name, value) in [
            ("hpa_metric_target", Some("10.0")),
            ("hpa_metric_value", Some("12.5")),
            ("hpa_metric_available", Some("1.0")),
            ("hpa_metric_age_seconds", Some("6.5")),
            ("hpa_metric_seen", None),
        ] {
            assert_eq!(of_queue(&page, name), value, "{name}: {page:#?}");
        }
    }

    #[test]
    fn what_is_missing_has_no_value_and_what_others_answer_is_not_missing() {
        let page = page(&[Outcome::Missing { aged: None }, Outcome::Elsewhere]);
        assert_eq!(of_queue(&page, "hpa_metric_available"), Some("0.0"));
        assert_eq!((of_queue(&page, "hpa_metric_value"), of_queue(&page, "hpa_metric_age_seconds")), (None, None));
        let of_cpu: Vec<_> = page.iter().filter(|line| line.contains("metric=\"cpu\"")).collect();
        assert!(of_cpu.len() == 1 && of_cpu[0].starts_with("hpa_metric_target{"), "{of_cpu:?}");
    }

    #[test]
    fn what_is_missing_because_it_is_too_old_grows_older_without_a_value() {
        let page = page(&[Outcome::Missing { aged: Some(Timestamp(20_000)) }, Outcome::Elsewhere]);
        assert_eq!(of_queue(&page, "hpa_metric_age_seconds"), Some("80.0"));
        assert_eq!(of_queue(&page, "hpa_metric_available"), Some("0.0"));
        assert_eq!(of_queue(&page, "hpa_metric_value"), None);
    }

    #[test]
    fn replicas_that_are_not_known_are_not_0() {
        let page = page(&[Outcome::Missing { aged: None }; 2]);
        let of = |name: &str| page.iter().find(|line| line.starts_with(name)).map(String::as_str);
        assert_eq!(of("hpa_current_replicas"), None);
        assert_eq!(of("hpa_max_replicas"), Some(r#"hpa_max_replicas{hpa_namespace="ns",hpa="web"} 9.0"#));
        let active: Vec<_> = page.iter().filter(|line| line.starts_with("hpa_condition")).collect();
        let statuses: Vec<_> = active.iter().filter_map(|line| line.split("status=").nth(1)).collect();
        assert_eq!(statuses, ["\"true\"} 1", "\"false\"} 0", "\"unknown\"} 0"]);
        assert_eq!((of("hpa_watch_up"), of("hpa_over_limit")), (Some("hpa_watch_up 1"), Some("hpa_over_limit 0")));
    }
}
