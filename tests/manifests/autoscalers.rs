use std::collections::BTreeMap;
use std::process::Command;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use plimsoll::config::{self, Definition, Level, Shape};
use plimsoll::hpa::{Amount, MetricSpec, PolicyAmount, ResourceTarget, Spec};
use serde_json::Value;

use super::rendered::{Rendered, orchestration};
use crate::harness::controlplane::programs::kubernetes;

/// Name, replicas at least and at most, per cent of CPU and of memory, custom metrics.
type Row = (&'static str, i32, i32, i32, i32, &'static [&'static str]);

/// The services of the platform.
const PLATFORM: [Row; 6] = [
    ("agent-orchestrator", 2, 8, 75, 80, &["queue_length"]),
    ("agents", 3, 20, 70, 80, &["decisions_per_second"]),
    ("api-gateway", 3, 10, 70, 75, &[]),
    ("model-orchestration", 3, 12, 70, 75, &["queue_length", "latency_p95"]),
    ("tool-integration", 2, 6, 75, 80, &[]),
    ("web-dashboard", 2, 6, 75, 80, &["requests_per_second"]),
];

/// The one whose pods grow instead.
const VERTICAL: &str = "core-service";

/// Below it the milli precision of a Quantity makes a visible part of the target.
const LEAST_TARGET: i64 = 100;

#[test]
fn there_is_one_for_each_service_with_the_bounds_of_the_platform() {
    let specs = specs();
    assert_eq!(specs.keys().map(String::as_str).collect::<Vec<_>>(), PLATFORM.map(|row| row.0));
    for (name, least, most, cpu, memory, metrics) in PLATFORM {
        let spec = &specs[name];
        assert_eq!((spec.min_replicas, spec.max_replicas), (least, most), "{name}");
        assert_eq!((utilization(spec, "cpu"), utilization(spec, "memory")), (Some(cpu), Some(memory)), "{name}");
        let custom: Vec<_> = spec.metrics.iter().filter_map(custom_name).collect();
        assert_eq!(custom, metrics, "{name}");
    }
}

#[test]
fn they_ask_for_metrics_that_the_config_map_defines_at_a_level_that_it_allows() {
    let (config, mut asked) = (configuration(), 0);
    for (name, spec) in specs() {
        for metric in &spec.metrics {
            let Some(custom) = custom_name(metric) else { continue };
            let definition = config.iter().find(|definition| definition.name == *custom);
            let definition = definition.unwrap_or_else(|| panic!("{name}: {custom} is not defined"));
            let level = match metric {
                MetricSpec::Pods { .. } => Level::Pods,
                MetricSpec::Object { kind, name: object, .. } => {
                    assert_eq!((kind.as_str(), object.as_str()), ("Deployment", name.as_str()));
                    Level::Owners
                }
                other => panic!("{name}: {other}"),
            };
            assert!(definition.levels.contains(&level), "{name}: {custom} is not served for {level:?}");
            asked += 1;
        }
    }
    assert_eq!(asked, 5);
}

#[test]
fn totals_are_shared_out_over_the_pods_and_only_what_no_pod_adds_to_is_a_value() {
    let config = configuration();
    for (name, spec) in specs() {
        for metric in &spec.metrics {
            let custom = custom_name(metric);
            let shape = config.iter().find(|definition| Some(&definition.name) == custom).map(|it| &it.shape);
            let target = match metric {
                // A queue that all pods share is the same in each: its average over pods would not fall with more pods.
                MetricSpec::Pods { average, .. } => {
                    assert!(!matches!(shape, Some(Shape::Queue { .. })), "{name}: {metric}");
                    *average
                }
                // With a Value on a total, more replicas lower nothing, and it grows until the maximum.
                MetricSpec::Object { target: Amount::Value(value), .. } => {
                    assert!(matches!(shape, Some(Shape::Quantile { .. } | Shape::Ratio { .. })), "{name}: {metric}");
                    *value
                }
                MetricSpec::Object { target: Amount::AverageValue(average), .. } => {
                    assert!(matches!(shape, Some(Shape::Queue { .. } | Shape::Rate { .. })), "{name}: {metric}");
                    *average
                }
                _ => continue,
            };
            assert!(target >= LEAST_TARGET, "{name}: {metric}: {target}m");
        }
    }
}

#[test]
fn each_goes_up_at_once_and_down_slowly() {
    for (name, spec) in specs() {
        let behavior = spec.behavior.unwrap_or_else(|| panic!("{name} has no behavior"));
        let window = |rules: &plimsoll::hpa::ScalingRules| rules.stabilization_window.map(|window| window.as_secs());
        assert_eq!((window(&behavior.scale_up), window(&behavior.scale_down)), (Some(0), Some(300)), "{name}");
        let down: Vec<_> = behavior.scale_down.policies.iter().map(|policy| policy.amount).collect();
        assert_eq!(down, [PolicyAmount::Percent(25)], "{name}");
        // Per cent alone would let one or two pods take minutes to become many.
        assert!(behavior.scale_up.policies.iter().any(|policy| policy.amount == PolicyAmount::Pods(2)), "{name}");
    }
}

#[test]
fn every_service_has_a_budget_that_lets_a_node_be_drained() {
    let rendered = Rendered::folder("autoscaling");
    let budgets: BTreeMap<_, _> = rendered.of_kind("PodDisruptionBudget").map(|it| (text(it, "name"), it)).collect();
    assert_eq!(budgets.len(), PLATFORM.len() + 1);
    for name in PLATFORM.map(|row| row.0).into_iter().chain([VERTICAL]) {
        let spec = &budgets[name]["spec"];
        assert_eq!(spec["selector"]["matchLabels"]["app"], name);
        assert!(spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null(), "{name}");
        assert_eq!(spec["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{name}");
    }
    let vertical = Rendered::folder("autoscaling/vertical");
    assert_eq!(vertical.object("VerticalPodAutoscaler", VERTICAL)["spec"]["targetRef"]["name"], VERTICAL);
}

#[test]
fn autoscaling_is_off_until_it_is_switched_on() {
    let kinds = |switch: Option<&str>| {
        let (ok, said) = render(&["production"], switch);
        assert!(ok, "{said}");
        let rendered = Rendered::read_yaml(said);
        (rendered.objects.len(), rendered.of_kind("HorizontalPodAutoscaler").count())
    };
    let count = Rendered::overlay("production").objects.len();
    assert_eq!(kinds(None), (count, 0));
    assert_eq!(kinds(Some("false")), (count, 0));
    assert_eq!(kinds(Some("true")), (count + PLATFORM.len() * 2 + 1, PLATFORM.len()));
    for (arguments, switch, expected) in [
        (["production"], Some("yes"), "ENABLE_AUTOSCALING is \"yes\"; expected true or false"),
        (["prod"], None, "no overlay prod; expected one of: development production staging"),
    ] {
        let (ok, said) = render(&arguments, switch);
        assert!(!ok && said.contains(expected), "{said}");
    }
}

fn configuration() -> Vec<Definition> {
    let rendered = Rendered::overlay("production");
    let text = text_at(&rendered.object("ConfigMap", "plimsoll")["data"]["plimsoll.yaml"]);
    let config = config::reader::read(text, std::path::Path::new("plimsoll.yaml")).expect("good");
    config.metrics.iter().map(|definition| (**definition).clone()).collect()
}

/// The autoscalers as the controller reads them, by name.
fn specs() -> BTreeMap<String, Spec> {
    let rendered = Rendered::folder("autoscaling");
    let read = |object: &Value| {
        let hpa: HorizontalPodAutoscaler = serde_json::from_value(object.clone()).expect("an autoscaler");
        let (name, spec) = (text(object, "name"), hpa.spec.expect("a spec"));
        assert_eq!((&spec.scale_target_ref.kind, &spec.scale_target_ref.name), (&"Deployment".to_owned(), &name));
        (name, Spec::try_from(&spec).unwrap_or_else(|error| panic!("{error}")))
    };
    rendered.of_kind("HorizontalPodAutoscaler").map(read).collect()
}

fn utilization(spec: &Spec, wanted: &str) -> Option<i32> {
    spec.metrics.iter().find_map(|metric| match metric {
        MetricSpec::Resource { resource, container: None, target: ResourceTarget::Utilization(percent) } => {
            (resource == wanted).then_some(*percent)
        }
        _ => None,
    })
}

fn custom_name(metric: &MetricSpec) -> Option<&String> {
    match metric {
        MetricSpec::Pods { metric, .. } | MetricSpec::Object { metric, .. } | MetricSpec::External { metric, .. } => {
            Some(&metric.name)
        }
        MetricSpec::Resource { .. } => None,
    }
}

/// Whether the script of this name ends well, and what it says.
fn render(arguments: &[&str], switch: Option<&str>) -> (bool, String) {
    let kubectl = kubernetes("kubectl");
    let folder = kubectl.parent().expect("a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([folder].into_iter().chain(std::env::split_paths(&path))).expect("folders");
    let mut command = Command::new(orchestration().join("render"));
    command.args(arguments).env("PATH", path).env_remove("ENABLE_AUTOSCALING");
    command.envs(switch.map(|switch| ("ENABLE_AUTOSCALING", switch)));
    let output = command.output().expect("it runs");
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(said).expect("UTF-8"))
}

fn text(object: &Value, key: &str) -> String {
    text_at(&object["metadata"][key]).to_owned()
}

fn text_at(value: &Value) -> &str {
    value.as_str().expect("text")
}
