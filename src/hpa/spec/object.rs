//! An `autoscaling/v2` object → [`Spec`], with the defaults and the checks of the API server.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::{self, HorizontalPodAutoscalerSpec};
use k8s_openapi::apimachinery::pkg::api::resource;

use crate::hpa::spec::{Amount, Behavior, MetricIdentifier, MetricSpec, Policy, PolicyAmount, ResourceTarget};
use crate::hpa::spec::{ScalingRules, SelectPolicy, Spec, SpecError};
use crate::model::quantity;

/// What an HPA without metrics scales on.
const DEFAULT_CPU_UTILIZATION: i32 = 80;
const WINDOW_MAX_SECONDS: i32 = 3600;
const PERIOD_MAX_SECONDS: i32 = 1800;
/// Defaults of `behavior` (`pkg/apis/autoscaling/v2/defaults.go`).
const DEFAULT_PERIOD: Duration = Duration::from_secs(15);
const DEFAULT_PERCENT: Policy = Policy { amount: PolicyAmount::Percent(100), period: DEFAULT_PERIOD };
const DEFAULT_PODS: Policy = Policy { amount: PolicyAmount::Pods(4), period: DEFAULT_PERIOD };

// === impl Spec ===

impl TryFrom<&HorizontalPodAutoscalerSpec> for Spec {
    type Error = SpecError;

    /// Defaults and validates as the API server does. `minReplicas: 0` is taken when there is an Object or
    /// External metric, since the gate is not known here.
    fn try_from(spec: &HorizontalPodAutoscalerSpec) -> Result<Self, SpecError> {
        let metrics = match spec.metrics.as_deref() {
            None | Some([]) => vec![default_metric()],
            Some(metrics) => metrics.iter().enumerate().map(read_metric).collect::<Result<_, _>>()?,
        };
        let behavior = spec.behavior.as_ref().map(Behavior::try_from).transpose()?;
        let read =
            Self { min_replicas: spec.min_replicas.unwrap_or(1), max_replicas: spec.max_replicas, metrics, behavior };
        read.check_bounds()?;
        Ok(read)
    }
}

impl Spec {
    fn check_bounds(&self) -> Result<(), SpecError> {
        let (min, max) = (self.min_replicas, self.max_replicas);
        if min < 0 {
            return Err(problem("spec.minReplicas", format!("expected 1 or more, found {min}")));
        }
        if min == 0 && !self.has_object_or_external() {
            let found = "0 needs at least one Object or External metric (and the feature gate HPAScaleToZero)";
            return Err(problem("spec.minReplicas", found.into()));
        }
        if max < 1 || max < min {
            let lowest = min.max(1);
            return Err(problem("spec.maxReplicas", format!("expected minReplicas ({lowest}) or more, found {max}")));
        }
        Ok(())
    }
}

// === impl MetricIdentifier ===

impl From<&v2::MetricIdentifier> for MetricIdentifier {
    fn from(metric: &v2::MetricIdentifier) -> Self {
        Self { name: metric.name.clone(), selector: metric.selector.clone() }
    }
}

// === impl Behavior ===

impl TryFrom<&v2::HorizontalPodAutoscalerBehavior> for Behavior {
    type Error = SpecError;

    fn try_from(behavior: &v2::HorizontalPodAutoscalerBehavior) -> Result<Self, SpecError> {
        let up = ScalingRules {
            stabilization_window: Some(Duration::ZERO),
            select: SelectPolicy::Max,
            policies: vec![DEFAULT_PODS, DEFAULT_PERCENT],
            tolerance: None,
        };
        let down = ScalingRules { stabilization_window: None, policies: vec![DEFAULT_PERCENT], ..up.clone() };
        Ok(Self {
            scale_up: up.overlaid("spec.behavior.scaleUp", behavior.scale_up.as_ref())?,
            scale_down: down.overlaid("spec.behavior.scaleDown", behavior.scale_down.as_ref())?,
        })
    }
}

// === impl ScalingRules ===

impl ScalingRules {
    /// These defaults with what the spec sets; a list of policies replaces the default list.
    fn overlaid(mut self, field: &str, rules: Option<&v2::HPAScalingRules>) -> Result<Self, SpecError> {
        let Some(rules) = rules else { return Ok(self) };
        if let Some(seconds) = rules.stabilization_window_seconds {
            let field = format!("{field}.stabilizationWindowSeconds");
            self.stabilization_window = Some(seconds_within(&field, seconds, 0, WINDOW_MAX_SECONDS)?);
        }
        if let Some(select) = rules.select_policy.as_deref() {
            self.select = SelectPolicy::read(&format!("{field}.selectPolicy"), select)?;
        }
        if let Some(policies) = &rules.policies {
            let field = format!("{field}.policies");
            if policies.is_empty() {
                return Err(problem(&field, "expected at least one policy, or no list".into()));
            }
            let read = |(index, policy)| Policy::read(&format!("{field}[{index}]"), policy);
            self.policies = policies.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        }
        if let Some(tolerance) = &rules.tolerance {
            self.tolerance = Some(read_tolerance(&format!("{field}.tolerance"), tolerance)?);
        }
        Ok(self)
    }
}

// === impl SelectPolicy ===

impl SelectPolicy {
    fn read(field: &str, text: &str) -> Result<Self, SpecError> {
        match text {
            "Max" => Ok(Self::Max),
            "Min" => Ok(Self::Min),
            "Disabled" => Ok(Self::Disabled),
            other => Err(problem(field, format!("expected Max, Min or Disabled, found {other:?}"))),
        }
    }
}

// === impl Policy ===

impl Policy {
    fn read(field: &str, policy: &v2::HPAScalingPolicy) -> Result<Self, SpecError> {
        let period = seconds_within(&format!("{field}.periodSeconds"), policy.period_seconds, 1, PERIOD_MAX_SECONDS)?;
        if policy.value < 1 {
            let found = format!("expected 1 or more, found {}", policy.value);
            return Err(problem(&format!("{field}.value"), found));
        }
        let amount = match policy.type_.as_str() {
            "Pods" => PolicyAmount::Pods(policy.value),
            "Percent" => PolicyAmount::Percent(policy.value),
            other => {
                let found = format!("expected Pods or Percent, found {other:?}");
                return Err(problem(&format!("{field}.type"), found));
            }
        };
        Ok(Self { amount, period })
    }
}

fn default_metric() -> MetricSpec {
    let target = ResourceTarget::Utilization(DEFAULT_CPU_UTILIZATION);
    MetricSpec::Resource { resource: "cpu".into(), container: None, target }
}

fn read_metric((index, metric): (usize, &v2::MetricSpec)) -> Result<MetricSpec, SpecError> {
    let field = format!("spec.metrics[{index}]");
    let target = |source: &str| format!("{field}.{source}.target");
    match metric {
        v2::MetricSpec { type_, pods: Some(pods), .. } if type_ == "Pods" => Ok(MetricSpec::Pods {
            metric: (&pods.metric).into(),
            average: required(&target("pods"), "averageValue", pods.target.average_value.as_ref())?,
        }),
        v2::MetricSpec { type_, object: Some(object), .. } if type_ == "Object" => Ok(MetricSpec::Object {
            metric: (&object.metric).into(),
            kind: object.described_object.kind.clone(),
            name: object.described_object.name.clone(),
            target: object_target(&target("object"), &object.target)?,
        }),
        v2::MetricSpec { type_, external: Some(external), .. } if type_ == "External" => Ok(MetricSpec::External {
            metric: (&external.metric).into(),
            target: external_target(&target("external"), &external.target)?,
        }),
        v2::MetricSpec { type_, resource: Some(resource), .. } if type_ == "Resource" => Ok(MetricSpec::Resource {
            resource: resource.name.clone(),
            container: None,
            target: resource_target(&target("resource"), &resource.target)?,
        }),
        v2::MetricSpec { type_, container_resource: Some(source), .. } if type_ == "ContainerResource" => {
            Ok(MetricSpec::Resource {
                resource: source.name.clone(),
                container: Some(source.container.clone()),
                target: resource_target(&target("containerResource"), &source.target)?,
            })
        }
        _ => Err(problem(&field, unreadable(&metric.type_))),
    }
}

fn unreadable(type_: &str) -> String {
    match type_ {
        "Pods" | "Object" | "External" | "Resource" | "ContainerResource" => {
            format!("type is {type_}, but the source of that name is not set")
        }
        other => format!("expected type Pods, Object, External, Resource or ContainerResource, found {other:?}"),
    }
}

/// The controller goes by `target.type` here.
fn object_target(field: &str, target: &v2::MetricTarget) -> Result<Amount, SpecError> {
    match target.type_.as_str() {
        "Value" => Ok(Amount::Value(required(field, "value", target.value.as_ref())?)),
        "AverageValue" => Ok(Amount::AverageValue(required(field, "averageValue", target.average_value.as_ref())?)),
        other => Err(problem(&format!("{field}.type"), format!("expected Value or AverageValue, found {other:?}"))),
    }
}

/// The controller goes by which of the two is set, not by `target.type`.
fn external_target(field: &str, target: &v2::MetricTarget) -> Result<Amount, SpecError> {
    match (&target.value, &target.average_value) {
        (Some(_), Some(_)) => Err(problem(field, "expected value or averageValue, found both".into())),
        (None, Some(average)) => Ok(Amount::AverageValue(milli(&format!("{field}.averageValue"), average)?)),
        (value, None) => Ok(Amount::Value(required(field, "value or averageValue", value.as_ref())?)),
    }
}

fn resource_target(field: &str, target: &v2::MetricTarget) -> Result<ResourceTarget, SpecError> {
    match (target.average_utilization, &target.average_value) {
        (Some(_), Some(_)) => Err(problem(field, "expected averageUtilization or averageValue, found both".into())),
        (Some(percent), None) if percent < 1 => {
            let found = format!("expected 1 or more, found {percent}");
            Err(problem(&format!("{field}.averageUtilization"), found))
        }
        (Some(percent), None) => Ok(ResourceTarget::Utilization(percent)),
        (None, average) => {
            let average = required(field, "averageUtilization or averageValue", average.as_ref())?;
            Ok(ResourceTarget::AverageValue(average))
        }
    }
}

fn required(field: &str, name: &str, quantity: Option<&resource::Quantity>) -> Result<i64, SpecError> {
    match quantity {
        Some(quantity) => milli(&format!("{field}.{name}"), quantity),
        None => Err(problem(field, format!("expected {name}, which is not set"))),
    }
}

fn milli(field: &str, quantity: &resource::Quantity) -> Result<i64, SpecError> {
    let found = &quantity.0;
    let Ok(read) = quantity::parse(found) else {
        return Err(problem(field, format!("expected a quantity such as 10, 1500m or 2k, found {found:?}")));
    };
    match read.milli() {
        // Reading saturates, so the largest number stands for all beyond it.
        i64::MAX => Err(problem(field, format!("expected less than 9223372036854775.807, found {found}"))),
        milli if milli > 0 => Ok(milli),
        _ => Err(problem(field, format!("expected more than 0, found {found}"))),
    }
}

fn read_tolerance(field: &str, quantity: &resource::Quantity) -> Result<f64, SpecError> {
    match quantity::parse(&quantity.0).map(|read| read.approximate()) {
        Ok(tolerance) if tolerance >= 0.0 => Ok(tolerance),
        _ => Err(problem(field, format!("expected a quantity of 0 or more such as 0.05, found {:?}", quantity.0))),
    }
}

fn seconds_within(field: &str, seconds: i32, min: i32, max: i32) -> Result<Duration, SpecError> {
    match u64::try_from(seconds) {
        Ok(whole) if (min..=max).contains(&seconds) => Ok(Duration::from_secs(whole)),
        _ => Err(problem(field, format!("expected {min} to {max} seconds, found {seconds}"))),
    }
}

fn problem(field: &str, problem: String) -> SpecError {
    SpecError { field: field.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::hpa::Flags;

    fn read(spec: Value) -> Result<Spec, SpecError> {
        let spec: HorizontalPodAutoscalerSpec = serde_json::from_value(spec).expect("an HPA spec");
        Spec::try_from(&spec)
    }

    /// A spec with one field set to something else.
    fn spec(pointer: &str, value: &Value) -> Value {
        let mut spec = json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [{"type": "Pods", "pods": {
                "metric": {"name": "q"}, "target": {"type": "AverageValue", "averageValue": "1500m"}
            }}],
            "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        });
        *spec.pointer_mut(pointer).expect("a field of the spec") = value.clone();
        spec
    }

    fn check_error(pointer: &str, value: &Value, wanted: &str) {
        let error = read(spec(pointer, value)).expect_err(wanted);
        assert_eq!(error.to_string(), wanted);
    }

    #[test]
    fn an_empty_behavior_is_defaulted_and_no_behavior_is_not() {
        let Spec { behavior, .. } = read(spec("/behavior", &json!({}))).expect("a valid spec");
        let behavior = behavior.expect("a behavior");
        assert_eq!(behavior.scale_up.stabilization_window, Some(Duration::ZERO));
        assert_eq!(behavior.scale_up.policies, [DEFAULT_PODS, DEFAULT_PERCENT]);
        assert_eq!(behavior.scale_down.stabilization_window, None);
        assert_eq!(behavior.scale_down.policies, [DEFAULT_PERCENT]);
        assert_eq!(read(spec("/behavior", &Value::Null)).expect("a valid spec").behavior, None);
    }

    #[test]
    fn a_list_of_policies_replaces_the_default_list() {
        let rules = read(spec("/minReplicas", &json!(2))).expect("a valid spec").behavior.expect("a behavior").scale_up;
        let policy = Policy { amount: PolicyAmount::Pods(1), period: Duration::from_secs(60) };
        assert_eq!((rules.select, rules.policies), (SelectPolicy::Max, vec![policy]));
    }

    #[test]
    fn without_metrics_an_hpa_scales_on_cpu() {
        for none in [Value::Null, json!([])] {
            let read = read(spec("/metrics", &none)).expect("a valid spec");
            assert_eq!(read.metrics, [default_metric()]);
            assert_eq!(read.metrics[0].to_string(), "cpu resource utilization (percentage of request)");
        }
    }

    #[test]
    fn a_tolerance_holds_for_its_direction_only() {
        let behavior = json!({"scaleDown": {"tolerance": "500m"}, "scaleUp": {"tolerance": "0"}});
        let (low, high) = read(spec("/behavior", &behavior)).expect("valid").tolerated_ratios(&Flags::default());
        assert_eq!((low, high), (0.5, 1.0));
    }

    #[test]
    fn targets_are_read_as_the_controller_does() {
        let target = |metric: Value| match read(spec("/metrics/0", &metric)).expect("a valid spec").metrics.remove(0) {
            MetricSpec::Object { target, .. } | MetricSpec::External { target, .. } => target,
            other => panic!("unexpected {other:?}"),
        };
        // External goes by what is set, Object by the type.
        let external = json!({"type": "Value", "averageValue": "2"});
        let external = json!({"type": "External", "external": {"metric": {"name": "e"}, "target": external}});
        assert_eq!(target(external), Amount::AverageValue(2000));
        let object = json!({"metric": {"name": "o"}, "describedObject": {"kind": "Service", "name": "s"},
            "target": {"type": "Value", "value": "1k", "averageValue": "2"}});
        assert_eq!(target(json!({"type": "Object", "object": object})), Amount::Value(1_000_000));
    }

    #[test]
    fn metrics_are_named_as_in_events() {
        let selector = json!({"matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"]}]});
        let external =
            json!({"metric": {"name": "e", "selector": selector}, "target": {"type": "Value", "value": "1"}});
        let read = read(spec("/metrics/0", &json!({"type": "External", "external": external}))).expect("a valid spec");
        let wanted = "external metric e(&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},\
                      MatchExpressions:[]LabelSelectorRequirement{\
                      LabelSelectorRequirement{Key:c,Operator:In,Values:[x y],},},})";
        assert_eq!(read.metrics[0].to_string(), wanted);
    }

    #[test]
    fn what_the_api_server_refuses_is_refused_with_its_place() {
        let average = "/metrics/0/pods/target/averageValue";
        let field = "spec.metrics[0].pods.target.averageValue";
        let up = "spec.behavior.scaleUp";
        check_error("/minReplicas", &json!(-1), "spec.minReplicas: expected 1 or more, found -1");
        check_error("/maxReplicas", &json!(0), "spec.maxReplicas: expected minReplicas (1) or more, found 0");
        check_error(
            "/minReplicas",
            &json!(0),
            "spec.minReplicas: 0 needs at least one Object or External metric (and the feature gate HPAScaleToZero)",
        );
        check_error(average, &json!("0"), &format!("{field}: expected more than 0, found 0"));
        check_error(
            average,
            &json!("ten"),
            &format!("{field}: expected a quantity such as 10, 1500m or 2k, found \"ten\""),
        );
        check_error(average, &Value::Null, "spec.metrics[0].pods.target: expected averageValue, which is not set");
        check_error(
            "/metrics/0/type",
            &json!("External"),
            "spec.metrics[0]: type is External, but the source of that name is not set",
        );
        check_error(
            "/behavior/scaleUp/policies/0/periodSeconds",
            &json!(1801),
            &format!("{up}.policies[0].periodSeconds: expected 1 to 1800 seconds, found 1801"),
        );
        check_error(
            "/behavior/scaleUp/policies",
            &json!([]),
            &format!("{up}.policies: expected at least one policy, or no list"),
        );
        check_error(
            "/behavior/scaleUp",
            &json!({"selectPolicy": "Most"}),
            &format!("{up}.selectPolicy: expected Max, Min or Disabled, found \"Most\""),
        );
    }
}
