//! Autoscalers that work, and scale wrongly one day: by their targets, and by what their metrics are.

use crate::config::{Config, Definition, Shape};
use crate::doctor::facts::{Autoscaler, Configuration, Facts, Reading};
use crate::doctor::metric::{object, written};
use crate::doctor::{Check, Finding};
use crate::hpa::{Amount, MetricSpec, PolicyAmount, ScalingRules, Spec};

/// The controller counts in thousandths: below this a step is more than 1 % of the target.
const TARGET_MILLI_MIN: i64 = 100;

/// Replicas that the controller writes as a 32-bit number. What is larger becomes the smallest one, and the workload is
/// scaled to `minReplicas`.
const REPLICAS_MAX: i128 = i32::MAX as i128;

/// A value that grows tenfold is nothing unusual.
const NEAR: i128 = 10;

/// Latency that does not fall takes a workload to `maxReplicas`, which is bounded when it is not more than this many
/// times `minReplicas`.
const RANGE_MAX: i32 = 4;

/// What one autoscaler asks for.
struct Examined<'a> {
    autoscaler: &'a Autoscaler,
    spec: Spec,
    /// Why it is not known what metrics are, where it is not.
    config: Result<&'a Config, &'a str>,
}

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let config = match &facts.configuration {
        Configuration::Known { config, .. } => Ok(&**config),
        Configuration::Bad { .. } => Err("the configuration is bad"),
        Configuration::Unknown(why) => Err(why.as_str()),
    };
    let mut findings = Vec::new();
    for autoscaler in facts.all_autoscalers().filter(|autoscaler| !autoscaler.metrics().is_empty()) {
        let Some(spec) = &autoscaler.object.spec else { continue };
        match Spec::try_from(spec) {
            Ok(spec) => findings.extend(Examined { autoscaler, spec, config }.findings()),
            Err(error) => findings.push(Check::Autoscalers.unknown(object(autoscaler), error.to_string())),
        }
    }
    findings
}

// === impl Examined ===

impl Examined<'_> {
    fn findings(&self) -> Vec<Finding> {
        let metrics = self.spec.metrics.iter().zip(&self.autoscaler.readings);
        let of_metrics = metrics.flat_map(|(metric, reading)| {
            [self.total(metric), self.small(metric), self.overflow(metric, reading)].into_iter().flatten()
        });
        of_metrics.chain(self.latency()).collect()
    }

    /// The definition of a metric of ours; external names are lower-cased by clients.
    fn definition(&self, metric: &MetricSpec) -> Option<&Definition> {
        let name = name(metric)?;
        let is_it = |known: &&std::sync::Arc<Definition>| match metric {
            MetricSpec::External { .. } => known.name == name.to_lowercase(),
            _ => known.name == name,
        };
        self.config.ok()?.metrics.iter().find(is_it).map(|known| &**known)
    }

    /// `Value` multiplies the replicas by what the value is of the target. A total does not fall when there are more of
    /// them, so they are multiplied again, until there are `maxReplicas`.
    fn total(&self, metric: &MetricSpec) -> Option<Finding> {
        let (MetricSpec::Object { target: Amount::Value(target), .. }
        | MetricSpec::External { target: Amount::Value(target), .. }) = metric
        else {
            return None;
        };
        let (name, object) = (name(metric)?, object(self.autoscaler));
        let fix = format!("target: {{type: AverageValue, averageValue: \"{}\"}} # per pod", written(*target));
        if let Err(why) = self.config {
            let found = format!("target of type Value for {name}; whether that is a total is not known: {why}");
            return Some(Check::Autoscalers.unknown(object, found).fix("plimsoll doctor --config FILE"));
        }
        self.definition(metric)?.shape.groups_add_up().then(|| {
            let found = format!(
                "target of type Value for {name}, which is a total: it does not fall as replicas are added, so they are \
                 multiplied up to maxReplicas ({})",
                self.spec.max_replicas
            );
            Check::Autoscalers.failure(object, found).expected("type AverageValue for a total").fix(fix)
        })
    }

    fn small(&self, metric: &MetricSpec) -> Option<Finding> {
        let (name, target) = (name(metric)?, target(metric)?);
        (target < TARGET_MILLI_MIN).then(|| {
            let found = format!(
                "target {} for {name}: the controller counts in thousandths, so a step is {:.0} % of it",
                written(target),
                100.0 / target as f64
            );
            Check::Autoscalers
                .warning(object(self.autoscaler), found)
                .expected(format!("a target of {TARGET_MILLI_MIN}m or more, in a smaller unit"))
                .fix(format!(
                    "averageValue: \"{}\" # with the metric in thousandths of its unit",
                    written(target * 1000)
                ))
        })
    }

    /// Not capped by the controller for Pods metrics and the AverageValue of Object metrics.
    fn overflow(&self, metric: &MetricSpec, reading: &Reading) -> Option<Finding> {
        let (MetricSpec::Pods { average: target, .. }
        | MetricSpec::Object { target: Amount::AverageValue(target), .. }) = metric
        else {
            return None;
        };
        let Reading::Values { items, .. } = reading else { return None };
        let sum: i128 = items.iter().map(|item| i128::from(item.milli)).sum();
        let replicas = sum / i128::from(*target);
        if replicas.saturating_mul(NEAR) < REPLICAS_MAX {
            return None;
        }
        let found = format!(
            "{} for target {} is {replicas} replicas of {}; the controller turns more than {REPLICAS_MAX} into \
             minReplicas ({})",
            written(i64::try_from(sum).unwrap_or(i64::MAX)),
            written(*target),
            name(metric)?,
            self.spec.min_replicas
        );
        let check = match replicas > REPLICAS_MAX {
            true => Check::Autoscalers.failure(object(self.autoscaler), found),
            false => Check::Autoscalers.warning(object(self.autoscaler), found),
        };
        let fix =
            format!("averageValue: \"{}\" # in the unit of the metric", written(target.saturating_mul(1_000_000)));
        Some(check.expected("a target in the order of what one pod bears").fix(fix))
    }

    /// A percentile does not fall like 1/N, and not at all where a dependency is slow: without a bound it takes all
    /// replicas there are, and lets them go again as soon as it is good.
    fn latency(&self) -> Option<Finding> {
        let is_latency = |metric: &&MetricSpec| {
            self.definition(metric).is_some_and(|known| matches!(known.shape, Shape::Quantile { .. }))
        };
        let metric = self.spec.metrics.iter().find(is_latency)?;
        let is_alone = self.spec.metrics.iter().all(|other| is_latency(&other));
        let is_slow = self.spec.behavior.as_ref().is_some_and(|behavior| is_limited(&behavior.scale_up));
        let (min, max) = (self.spec.min_replicas.max(1), self.spec.max_replicas);
        let is_wide = max > min.saturating_mul(RANGE_MAX);
        if is_slow || !(is_wide || is_alone) {
            return None;
        }
        let also = match is_alone {
            true => "nor another metric that says what load there is",
            false => "nor a maxReplicas near minReplicas",
        };
        let found = format!(
            "{} is a percentile: it does not fall in proportion to replicas, nor when a dependency is slow; there is \
             neither a limit on scaling up {also} (minReplicas {min}, maxReplicas {max})",
            name(metric)?
        );
        let finding = Check::Autoscalers.warning(object(self.autoscaler), found);
        let fix = "behavior: {scaleUp: {stabilizationWindowSeconds: 60, policies: [{type: Pods, value: 2, periodSeconds: 60}]}}";
        Some(finding.expected("behavior.scaleUp that is slower than the default, which doubles every 15 s").fix(fix))
    }
}

/// Whether it is slower than what holds without any rules: 4 pods or 100 % in 15 seconds, at once.
fn is_limited(rules: &ScalingRules) -> bool {
    let waits = rules.stabilization_window.is_some_and(|window| !window.is_zero());
    let is_fast = rules.policies.iter().any(|policy| match policy.amount {
        PolicyAmount::Pods(pods) => pods as f32 / policy.period.as_secs_f32() >= 4.0 / 15.0,
        PolicyAmount::Percent(percent) => percent as f32 / policy.period.as_secs_f32() >= 100.0 / 15.0,
    });
    waits || !is_fast
}

fn name(metric: &MetricSpec) -> Option<&str> {
    match metric {
        MetricSpec::Pods { metric, .. } | MetricSpec::Object { metric, .. } | MetricSpec::External { metric, .. } => {
            Some(&metric.name)
        }
        MetricSpec::Resource { .. } => None,
    }
}

fn target(metric: &MetricSpec) -> Option<i64> {
    match metric {
        MetricSpec::Pods { average, .. } => Some(*average),
        MetricSpec::Object { target, .. } | MetricSpec::External { target, .. } => match target {
            Amount::Value(milli) | Amount::AverageValue(milli) => Some(*milli),
        },
        MetricSpec::Resource { .. } => None,
    }
}
