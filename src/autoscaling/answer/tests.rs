use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{self, Config};
use crate::model::{Identity, Labels, OwnerReference, Target};
use crate::storage::notation::{START, load_into};
use crate::storage::{Storage, Wanted, lock};

const CONFIG: &str = "scrape_configs:
  - job_name: job
    targets: [{url: 'http://127.0.0.1:9/metrics', namespace: ns, pod: web-1}]
metrics:
  - {name: queue_length, gauge: {series: queue_length, combine: sum}, split_by: [queue]}
";

/// Pods of Deployment `web` behind Service `front`, by name and the series that they expose.
struct World {
    config: Config,
    inventory: Inventory,
    storage: Storage,
}

impl World {
    fn new(pods: &[(&str, &[&str])]) -> Self {
        let config = config::reader::read(CONFIG, Path::new("test.yaml")).expect("a configuration");
        let storage = Storage::default();
        let mut targets = Vec::new();
        for (name, series) in pods {
            let target = target(name);
            let mut wanted = Wanted::default();
            wanted.gauge("queue_length");
            load_into(&mut lock(&storage.open(&target.id, None)), &Arc::new(wanted), series);
            targets.push(Arc::new(target));
        }
        Self { config, inventory: Inventory::new(targets, 100), storage }
    }

    fn outcome_after(&self, age: Duration, source: Source, target: TargetType, selector: &str) -> Outcome {
        self.outcome_beside(&[], age, source, target, selector)
    }

    /// The outcome while others serve these groups.
    fn outcome_beside(
        &self,
        others: &[&str],
        age: Duration,
        source: Source,
        target: TargetType,
        selector: &str,
    ) -> Outcome {
        let now = START.plus(age);
        let view = View { config: &self.config, inventory: &self.inventory, storage: &self.storage, now };
        let asked = Asked {
            source,
            // The controller asks for external metrics in lower case.
            name: "queue_length".into(),
            selector_text: selector.into(),
            selector: Selector::parse(selector).ok(),
            target,
            wanted: Some(10.0),
            seen: None,
        };
        let autoscaler = Autoscaler {
            namespace: "ns".into(),
            name: "web".into(),
            scaled: Reference { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into() },
            current: Some(4),
            metrics: vec![asked],
            ..Autoscaler::default()
        };
        outcomes(&view, &others.iter().map(|group| (*group).to_owned()).collect(), &autoscaler)[0]
    }

    /// The value now; `None` where it is missing.
    #[track_caller]
    fn value(&self, source: Source, target: TargetType, selector: &str) -> Option<f64> {
        match self.outcome_after(Duration::ZERO, source, target, selector) {
            Outcome::Answered(Answer { value, oldest }) => {
                assert_eq!(oldest, START);
                value
            }
            Outcome::Missing { .. } => None,
            Outcome::Elsewhere => panic!("elsewhere"),
        }
    }
}

fn target(pod: &str) -> Target {
    let owner = if pod.starts_with("other") { "Deployment/other" } else { "Deployment/web" };
    let identity = Identity {
        namespace: "ns".into(),
        pod: Some(pod.into()),
        owners: [OwnerReference::parse(owner).expect("an owner")].into(),
        services: ["front".into()].into(),
        node: None,
        labels: Labels::default(),
    };
    Target::for_test(&format!("http://{pod}/metrics"), identity)
}

fn object(kind: &str, name: &str) -> Source {
    let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
    Source::Object(Reference { api_version: api_version.into(), kind: kind.into(), name: name.into() })
}

const A: &[&str] = &[r#"queue_length{queue="a"} 6"#, r#"queue_length{queue="b"} 2"#];
const B: &[&str] = &[r#"queue_length{queue="a"} 10"#, r#"queue_length{queue="b"} 0"#];
const OTHER: &[&str] = &[r#"queue_length{queue="a"} 100"#];

#[test]
fn values_of_pods_are_averaged_over_the_pods_of_what_is_scaled() {
    let world = World::new(&[("web-1", A), ("web-2", B), ("other-1", OTHER)]);
    let average = |selector| world.value(Source::Pods, TargetType::AverageValue, selector);
    assert_eq!([average(""), average("queue=a"), average("queue=b")], [Some(9.0), Some(8.0), Some(1.0)]);
}

#[test]
fn a_pod_without_a_value_is_left_out_of_the_average() {
    let world = World::new(&[("web-1", A), ("web-2", &[])]);
    assert_eq!(world.value(Source::Pods, TargetType::AverageValue, ""), Some(8.0));
}

#[test]
fn of_an_object_and_of_external_items_an_average_is_over_the_replicas() {
    let world = World::new(&[("web-1", A), ("web-2", B)]);
    for source in
        [object("Service", "front"), object("Deployment", "web"), object("Namespace", "any"), Source::External]
    {
        let value = |target| world.value(source.clone(), target, "");
        assert_eq!(value(TargetType::Value), Some(18.0), "{source:?}");
        assert_eq!(value(TargetType::AverageValue), Some(4.5), "{source:?}: of 4 replicas");
    }
    assert_eq!(world.value(Source::External, TargetType::Value, "queue=a"), Some(16.0));
}

#[test]
fn what_the_api_would_refuse_is_missing() {
    let world = World::new(&[("web-1", A)]);
    let missing = |source, selector| world.value(source, TargetType::Value, selector).is_none();
    assert!(missing(object("Service", "back"), ""), "nobody knows it");
    assert!(missing(Source::Pods, "queue=c"), "no such series");
    assert!(missing(Source::External, "pod=a"), "no label that values are split by");
    assert!(missing(Source::External, "=="), "no selector");
    assert!(!missing(Source::External, ""));
    assert!(World::new(&[("other-1", OTHER)]).value(Source::Pods, TargetType::AverageValue, "").is_none());
}

#[test]
fn a_value_grows_old_and_is_missing_when_it_is_no_longer_fresh() {
    let world = World::new(&[("web-1", A)]);
    let after = |seconds| world.outcome_after(Duration::from_secs(seconds), Source::External, TargetType::Value, "");
    assert_eq!(after(40), Outcome::Answered(Answer { value: Some(8.0), oldest: START }));
    assert_eq!(after(41), Outcome::Missing { aged: Some(START) });
    let other = world.outcome_after(Duration::from_secs(41), Source::External, TargetType::Value, "pod=a");
    assert_eq!(other, Outcome::Missing { aged: None }, "it would be refused of any age");
}

#[test]
fn pods_without_a_value_are_as_old_as_the_oldest_that_had_one() {
    let world = World::new(&[("web-1", A), ("web-2", &[r#"queue_length{queue="a"} 6 6"#]), ("web-3", &[])]);
    let after =
        |seconds| world.outcome_after(Duration::from_secs(seconds), Source::Pods, TargetType::AverageValue, "queue=a");
    assert_eq!(after(90), Outcome::Missing { aged: Some(START) });
    assert!(matches!(after(50), Outcome::Answered(Answer { oldest, .. }) if oldest > START), "one is fresh");
}

#[test]
fn resources_are_answered_by_others() {
    let world = World::new(&[("web-1", A)]);
    let container = Source::ContainerResource("app".into());
    for source in [Source::Resource, container] {
        assert_eq!(world.outcome_after(Duration::ZERO, source, TargetType::Utilization, ""), Outcome::Elsewhere);
    }
}

#[test]
fn what_others_serve_is_answered_by_them_whatever_it_is() {
    let world = World::new(&[("web-1", A)]);
    let outcome = |others: &[&str], source, selector| {
        world.outcome_beside(others, Duration::ZERO, source, TargetType::Value, selector)
    };
    for (group, theirs, ours) in [
        ("external.metrics.k8s.io", Source::External, Source::Pods),
        ("custom.metrics.k8s.io", Source::Pods, Source::External),
        ("custom.metrics.k8s.io", object("Deployment", "web"), Source::External),
    ] {
        for selector in ["", "=="] {
            assert_eq!(outcome(&[group], theirs.clone(), selector), Outcome::Elsewhere, "{theirs:?} {selector}");
        }
        assert!(matches!(outcome(&[group], ours.clone(), ""), Outcome::Answered(_)), "{ours:?} beside {group}");
    }
}
