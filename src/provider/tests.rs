use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::metric::{Aggregation, Combine, Matchers, Selection};
use crate::config::{Limits, RateLimits, Shape};
use crate::model::{Cluster, Identity, OwnerReference, Reach, Target};
use crate::storage::notation::{START, load_into};
use crate::storage::{Failure, FailureReason, Wanted, lock};

/// A Deployment `web` in `ns`, its targets named `<pod>` or `<pod>/<container>`.
struct World {
    config: Config,
    inventory: Inventory,
    storage: Storage,
}

/// Of a pod, behind the Service `front`.
fn identity(name: &str) -> Identity {
    let pod = name.split('/').next().expect("a first part");
    let owner = if pod.starts_with("alone") { "StatefulSet/alone" } else { "Deployment/web" };
    let owners = [OwnerReference::parse(owner).expect("an owner")].into();
    let labels = [("app", pod.split('-').next().expect("a first part"))].into_iter().collect();
    let services = ["front".into()].into();
    Identity { namespace: "ns".into(), pod: Some(pod.into()), owners, services, node: None, labels }
}

fn target(name: &str) -> Arc<Target> {
    Arc::new(Target::for_test(&format!("http://{name}/metrics"), identity(name)))
}

fn cluster(pods: &[&str]) -> Cluster {
    let idle = ObjectReference {
        api_version: "v1".into(),
        kind: "Service".into(),
        namespace: Some("ns".into()),
        name: "idle".into(),
    };
    Cluster {
        pods: pods.iter().map(|name| Arc::new(identity(name))).collect(),
        objects: vec![(Arc::new(idle), Labels::default())],
        reach: Reach::Everywhere,
        ..Cluster::default()
    }
}

fn selection(name: &str) -> Selection {
    Selection { name: name.into(), matchers: Matchers::default() }
}

fn definition(name: &str, shape: Shape) -> Arc<Definition> {
    Arc::new(Definition {
        name: name.into(),
        description: String::new(),
        unit: String::new(),
        shape,
        levels: Level::ALL.to_vec(),
        split_by: vec!["q".into()],
        min_coverage: 0.8,
        aggregation: Aggregation::Exact,
        thresholds: Vec::new(),
    })
}

impl World {
    fn new(targets: &[&str]) -> Self {
        let window = Duration::from_secs(60);
        let metrics = vec![
            definition("total", Shape::Gauge { series: selection("g"), combine: Combine::Sum }),
            definition("mean", Shape::Gauge { series: selection("g"), combine: Combine::Avg }),
            definition("shared", Shape::Queue { series: selection("g"), sharing: Sharing::Shared }),
            definition("rate", Shape::Rate { counter: selection("c_total"), window }),
        ];
        let targets = targets.iter().map(|name| target(name)).collect();
        let config =
            Config { jobs: Vec::new(), metrics, limits: Limits::default(), rate_limits: RateLimits::default() };
        Self { config, inventory: Inventory::new(targets, 100), storage: Storage::default() }
    }

    /// The cluster has these running pods besides, and a Service `idle` without any.
    fn with_pods(mut self, pods: &[&str]) -> Self {
        self.inventory = Inventory::of(self.inventory.targets().to_vec(), &cluster(pods), 100);
        self
    }

    fn scrape(&self, name: &str, series: &[&str]) {
        let mut wanted = Wanted::default();
        wanted.gauge("g");
        wanted.counter("c_total", "c_created", Duration::from_secs(60));
        load_into(&mut lock(&self.storage.open(&target(name).id, None)), &Arc::new(wanted), series);
    }

    /// The target joins a fleet that is known already.
    fn join(&self, name: &str) {
        self.storage.open(&target(name).id, Some(START));
    }

    fn fail(&self, name: &str) {
        let failure = Failure::new(FailureReason::Connect, "refused");
        lock(&self.storage.open(&target(name).id, None)).fail(failure, START, Duration::ZERO);
    }

    fn ask(&self, resource: &str, name: &str, metric: &str, age: Duration) -> Result<f64, String> {
        let view =
            View { config: &self.config, inventory: &self.inventory, storage: &self.storage, now: START.plus(age) };
        let resource = GroupResource::parse(resource);
        let namespace = (!resource.is_cluster_scoped()).then_some("ns");
        let values = view.custom(&resource, namespace, &Objects::Named(name), metric, &Selector::default());
        values.map(|values| values[0].value.number).map_err(|error| error.to_string())
    }

    fn view(&self) -> View<'_> {
        View { config: &self.config, inventory: &self.inventory, storage: &self.storage, now: START }
    }

    /// Names of the selected objects with a value.
    fn select(&self, resource: &str, selector: &str) -> Result<Vec<String>, String> {
        let selector = Selector::parse(selector).expect("a selector");
        let (resource, all) = (GroupResource::parse(resource), Selector::default());
        let values = self.view().custom(&resource, Some("ns"), &Objects::Selected(&selector), "total", &all);
        let name = |value: &MetricValue| value.object.name.to_string();
        values.map(|values| values.iter().map(name).collect()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check_none_selected(&self, resource: &str, selector: &str, words: &str) {
        let message = self.select(resource, selector).expect_err("no values");
        assert!(message.ends_with(words), "{message}");
    }

    #[track_caller]
    fn check(&self, resource: &str, name: &str, metric: &str, expected: f64) {
        assert_eq!(self.ask(resource, name, metric, Duration::ZERO), Ok(expected), "{metric} of {resource} {name}");
    }

    #[track_caller]
    fn check_absent(&self, resource: &str, name: &str, metric: &str, words: &str) {
        let message = self.ask(resource, name, metric, Duration::ZERO).expect_err("no value");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_total_with_a_few_targets_missing_is_scaled_up_and_a_mean_is_not() {
    let world = World::new(&["a", "b", "c", "d", "e"]);
    ["a", "b", "c", "d"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    world.fail("e");
    world.check("deployments.apps", "web", "total", 50.0);
    world.check("deployments.apps", "web", "mean", 10.0);
    world.check("pods", "a", "total", 10.0);
    world.check_absent("pods", "e", "total", "the scrape fails (connect): refused; it never succeeded");
}

#[test]
fn a_total_with_too_many_targets_missing_is_no_number() {
    let world = World::new(&["a", "b", "c"]);
    ["a", "b"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    world.fail("c");
    world.check_absent(
        "deployments.apps",
        "web",
        "total",
        "2 of 3 targets have data, a share below min_coverage 0.8; target http://c/metrics",
    );
    world.check("deployments.apps", "web", "shared", 10.0);
}

#[test]
fn a_pod_that_joins_is_not_missing_until_its_first_scrapes_are_due() {
    let world = World::new(&["a", "new"]);
    world.scrape("a", &["g 10 10 10", "c_total 0+15x2"]);
    world.join("new");
    let at = |seconds, metric| world.ask("deployments.apps", "web", metric, Duration::from_secs(seconds));
    assert_eq!(at(30, "total"), Ok(10.0));
    world.scrape("new", &["c_total 0"]);
    assert_eq!(at(30, "rate"), Ok(1.0));
    assert!(at(65, "rate").expect_err("overdue").contains("1 of 2 targets have data"));
}

#[test]
fn pods_that_come_in_the_place_of_others_are_missing_until_they_have_data() {
    let mut world = World::new(&["old-1", "old-2", "stays"]);
    world.scrape("stays", &["g 10"]);
    let after = |world: &World, targets: &[&str], seconds| {
        let targets = targets.iter().map(|name| target(name)).collect();
        Inventory::new(targets, 100).after(&world.inventory, START.plus(Duration::from_secs(seconds)))
    };
    ["new-1", "new-2", "new-3"].iter().for_each(|name| world.join(name));
    let at = |world: &World, seconds| world.ask("deployments.apps", "web", "total", Duration::from_secs(seconds));
    // One more is only new; one that replaces another has its load, which nobody sees.
    world.inventory = after(&world, &["old-1", "old-2", "stays", "new-1"], 0);
    world.inventory = after(&world, &["stays", "old-1", "new-1"], 1);
    assert!(at(&world, 2).expect_err("a part").contains("1 of 2 targets have data"));
    // Of three new ones two came in a place.
    world.inventory = after(&world, &["stays", "new-1", "new-2", "new-3"], 2);
    assert!(at(&world, 3).expect_err("a part").contains("1 of 3 targets have data"));
    // Without departures new pods carry no load yet.
    let mut world = World::new(&["stays"]);
    world.scrape("stays", &["g 10"]);
    world.join("new-1");
    world.inventory = after(&world, &["stays", "new-1"], 0);
    assert_eq!(at(&world, 1), Ok(10.0));
    // Those of others do not matter.
    world.inventory = after(&world, &["stays", "new-1", "alone-1"], 0);
    world.inventory = after(&world, &["stays", "new-1"], 0);
    assert_eq!(at(&world, 1), Ok(10.0));
}

#[test]
fn a_target_that_never_answered_takes_nothing_from_a_pod_that_has_the_metric_at_another() {
    let world = World::new(&["a", "a/wrong", "b"]);
    ["a", "b"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    world.fail("a/wrong");
    world.check("deployments.apps", "web", "total", 20.0);
    world.check("pods", "a", "total", 10.0);
    world.check("namespaces", "ns", "total", 20.0);
}

#[test]
fn at_the_start_targets_without_data_are_missing() {
    // All are old, but only one of them has been scraped, or scraped twice.
    let world = World::new(&["a", "b"]);
    world.scrape("a", &["g 10 10", "c_total 0 15"]);
    world.storage.open(&target("b").id, None);
    let ask = |metric| world.ask("deployments.apps", "web", metric, Duration::from_secs(15));
    assert!(ask("total").expect_err("half").contains("1 of 2 targets have data"));
    world.scrape("b", &["g 10", "c_total 0"]);
    assert_eq!(ask("total"), Ok(20.0));
    assert!(ask("rate").expect_err("half").contains("target http://b/metrics: c_total has 1 of the 2 samples"));
}

#[test]
fn a_target_not_scraped_since_the_metric_is_defined_is_missing() {
    let world = World::new(&["a", "b"]);
    world.scrape("a", &["g 10"]);
    let mut before = Wanted::default();
    before.gauge("other");
    load_into(&mut lock(&world.storage.open(&target("b").id, None)), &Arc::new(before), &["other 1"]);
    world.check_absent("deployments.apps", "web", "total", "not scraped yet since the metric is defined");
}

#[test]
fn a_page_that_loses_the_metric_makes_its_target_missing_for_a_while() {
    let world = World::new(&["a", "b"]);
    world.scrape("a", &["g 10 10"]);
    world.scrape("b", &["g 10", "other 1 1", "c_total 1 1"]);
    let at = |seconds| world.ask("deployments.apps", "web", "total", Duration::from_secs(seconds));
    assert!(
        at(15)
            .expect_err("partial")
            .contains("the page has no series g any more; it was there at 2023-11-14T22:13:20Z")
    );
    assert_eq!(at(50), Ok(10.0), "it was taken out for good");
}

#[test]
fn targets_beyond_the_limit_are_missing_from_their_objects() {
    let mut world = World::new(&["a", "b", "c", "d", "e"]);
    world.inventory = Inventory::new(["a", "b", "c", "d", "e"].map(target).to_vec(), 3);
    ["a", "b", "c"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    world.check_absent("deployments.apps", "web", "total", "3 of 5 targets have data");
    world.check_absent("pods", "e", "total", "beyond limits.targets, and so not scraped");
}

#[test]
fn coverage_is_that_of_the_groups_asked_for() {
    let world = World::new(&["a", "b", "c", "d", "e"]);
    ["a", "b"].iter().for_each(|name| world.scrape(name, &["g{q=\"x\"} 10", "g{q=\"y\"} 1"]));
    ["c", "d", "e"].iter().for_each(|name| world.scrape(name, &["g{q=\"y\"} 1 1 1 1"]));
    // After 45 s the two that report the queue x are stale; of y most targets are still there.
    world.scrape("a", &["g{q=\"x\"} 10 10 10 10", "g{q=\"y\"} 1 1 1 1"]);
    let view = View {
        config: &world.config,
        inventory: &world.inventory,
        storage: &world.storage,
        now: START.plus(Duration::from_secs(45)),
    };
    let web = GroupResource::parse("deployments.apps");
    let ask = |selector: &str| {
        let selector = Selector::parse(selector).expect("a selector");
        view.custom(&web, Some("ns"), &Objects::Named("web"), "total", &selector).map(|values| values[0].value.number)
    };
    assert_eq!(ask("q=y"), Ok(5.0));
    let error = ask("q=x").expect_err("half of x is missing").to_string();
    assert!(error.contains("1 of 2 targets have data"), "{error}");
}

#[test]
fn a_container_that_does_not_expose_the_metric_is_no_part_of_it() {
    let world = World::new(&["a/app", "a/sidecar"]);
    world.scrape("a/app", &["g 10"]);
    world.scrape("a/sidecar", &["other 1"]);
    world.check("pods", "a", "total", 10.0);
    world.check("deployments.apps", "web", "total", 10.0);
}

#[test]
fn a_target_that_never_answered_is_missing_for_its_owner_and_not_for_the_namespace() {
    let world = World::new(&["a", "alone"]);
    world.scrape("a", &["g 10"]);
    world.fail("alone");
    world.check("namespaces", "ns", "total", 10.0);
    world.check_absent("pods", "alone", "total", "refused");
    // A sibling of one that has the metric is missing everywhere.
    let world = World::new(&["a", "b"]);
    world.scrape("a", &["g 10"]);
    world.fail("b");
    world.check_absent("namespaces", "ns", "total", "1 of 2 targets have data");
}

#[test]
fn a_target_whose_samples_grow_old_becomes_missing() {
    let world = World::new(&["a"]);
    world.scrape("a", &["g 10"]);
    assert_eq!(world.ask("pods", "a", "total", Duration::from_secs(40)), Ok(10.0));
    let message = world.ask("pods", "a", "total", Duration::from_secs(41)).expect_err("stale");
    assert!(message.contains("the newest sample of g is of 2023-11-14T22:13:20Z, 41 s old"), "{message}");
}

#[test]
fn the_first_few_reasons_are_told_and_the_others_counted() {
    let names = ["a", "b", "c", "d", "e"];
    let world = World::new(&names);
    names.iter().for_each(|name| world.fail(name));
    let reason = "the scrape fails (connect): refused; it never succeeded";
    let told = ["a", "b", "c"].map(|name| format!("target http://{name}/metrics: {reason}")).join("; ");
    world.check_absent("deployments.apps", "web", "total", &format!("{told}; and 2 more"));
    let view = View { config: &world.config, inventory: &world.inventory, storage: &world.storage, now: START };
    let (pods, all) = (GroupResource::core("pods"), Selector::default());
    let error =
        view.custom(&pods, Some("ns"), &Objects::Selected(&all), "total", &all).expect_err("no data").to_string();
    let told = ["a", "b", "c"].map(|name| format!("{name}: target http://{name}/metrics: {reason}")).join("; ");
    assert!(error.ends_with(&format!("none of the 5 objects has data; {told}; and 2 more")), "{error}");
}

#[test]
fn what_an_answer_reads_is_counted_before_it_is_read() {
    let world = World::new(&["a", "b", "c", "alone"]);
    let view = View { config: &world.config, inventory: &world.inventory, storage: &world.storage, now: START };
    let check = |resource: &str, objects: &Objects<'_>, targets: usize| {
        let reads_more_than = |bound| view.reads_more_than(bound, &GroupResource::parse(resource), Some("ns"), objects);
        let reached = (0..5).take_while(|bound| reads_more_than(*bound)).count();
        assert_eq!(reached, targets, "{resource} {objects:?}");
    };
    check("pods", &Objects::Named("a"), 1);
    check("pods", &Objects::Named("unknown"), 0);
    check("deployments.apps", &Objects::Named("web"), 3);
    check("namespaces", &Objects::Named("ns"), 4);
    check("pods", &Objects::Selected(&Selector::default()), 4);
}

#[test]
fn external_items_add_up_or_are_one() {
    let world = World::new(&["a", "b"]);
    world.scrape("a", &["g{q=\"x\"} 10", "g{q=\"y\"} 2"]);
    world.scrape("b", &["g{q=\"x\"} 30"]);
    let view = View { config: &world.config, inventory: &world.inventory, storage: &world.storage, now: START };
    let items = |metric: &str, selector: &str| -> Vec<(String, f64)> {
        let selector = Selector::parse(selector).expect("a selector");
        let values = view.external("ns", metric, &selector).expect("values");
        values.iter().map(|item| (item.labels.to_string(), item.value.number)).collect()
    };
    assert_eq!(items("total", ""), [("{q=\"x\"}".into(), 40.0), ("{q=\"y\"}".into(), 2.0)]);
    assert_eq!(items("shared", ""), [("{q=\"x\"}".into(), 30.0), ("{q=\"y\"}".into(), 2.0)]);
    assert_eq!(items("total", "q=y"), [("{q=\"y\"}".into(), 2.0)]);
    assert_eq!(items("shared", "q=x"), [("{q=\"x\"}".into(), 30.0)]);
    assert_eq!(items("mean", ""), [(String::new(), 14.0)]);
    assert_eq!(items("mean", "q=x"), [("{q=\"x\"}".into(), 20.0)]);
}

const ADVICE: &str = "annotate the pod template with prometheus.io/scrape: \"true\", or select the pods by a PodMonitor or \
                      ServiceMonitor, and have a job with that role in its kubernetes_sd_configs; /status says what is wrong with \
                      annotations and monitors that are there";

#[test]
fn a_pod_of_a_controller_that_nothing_scrapes_is_missing() {
    let world = World::new(&["a", "b", "c", "d"]).with_pods(&["silent"]);
    ["a", "b", "c", "d"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    world.check("deployments.apps", "web", "total", 50.0);
    world.check("deployments.apps", "web", "mean", 10.0);
    let world = World::new(&["a", "b"]).with_pods(&["silent"]);
    ["a", "b"].iter().for_each(|name| world.scrape(name, &["g 10"]));
    let words = "2 of 3 targets have data, a share below min_coverage 0.8; the pod silent is running, but nothing \
                 scrapes it";
    world.check_absent("deployments.apps", "web", "total", words);
    world.check("deployments.apps", "web", "shared", 10.0);
}

#[test]
fn of_a_service_or_a_namespace_a_part_may_be_scraped() {
    let world = World::new(&["a"]).with_pods(&["silent", "alone-1"]);
    world.scrape("a", &["g 10"]);
    world.check("services", "front", "total", 10.0);
    world.check("namespaces", "ns", "total", 10.0);
    world.check("pods", "a", "total", 10.0);
    let items = world.view().external("ns", "total", &Selector::default()).expect("an item");
    assert_eq!((items[0].value.number, items[0].coverage.targets_missing), (10.0, 0));
}

#[test]
fn a_pod_without_target_lacks_as_many_targets_as_the_others_have_with_the_metric() {
    let containers = ["a/one", "a/two", "a/sidecar", "b/one", "b/two", "b/sidecar"];
    let mut world = World::new(&containers).with_pods(&["silent"]);
    let metrics = world.config.metrics.iter();
    world.config.metrics =
        metrics.map(|metric| Arc::new(Definition { min_coverage: 0.5, ..Definition::clone(metric) })).collect();
    for name in containers {
        world.scrape(name, if name.ends_with("sidecar") { &["other 1"] } else { &["g 10"] });
    }
    // 40 of two pods are 60 of three.
    world.check("deployments.apps", "web", "total", 60.0);
    let web = GroupResource::parse("deployments.apps");
    let all = Selector::default();
    let values = world.view().custom(&web, Some("ns"), &Objects::Named("web"), "total", &all).expect("a value");
    assert_eq!(values[0].coverage, Coverage { targets_with_data: 4, targets_missing: 2 });
}

#[test]
fn where_no_target_has_the_metric_a_pod_without_target_is_told_last() {
    let world = World::new(&["a"]).with_pods(&["silent"]);
    world.scrape("a", &["other 1"]);
    let words = "target http://a/metrics: the page has no series g; the pod silent is running, but nothing scrapes it";
    world.check_absent("deployments.apps", "web", "total", words);
}

#[test]
fn a_group_that_nobody_reports_may_be_that_of_a_pod_without_target() {
    let world = World::new(&["a"]).with_pods(&["silent"]);
    world.scrape("a", &["g{q=\"x\"} 10"]);
    let selector = Selector::parse("q=y").expect("a selector");
    let web = GroupResource::parse("deployments.apps");
    let asked = world.view().custom(&web, Some("ns"), &Objects::Named("web"), "total", &selector);
    let message = asked.expect_err("nobody has the group").to_string();
    assert!(message.ends_with("the pod silent is running, but nothing scrapes it"), "{message}");
}

#[test]
fn a_pod_that_joins_has_time_to_become_a_target() {
    let mut world = World::new(&["a"]).with_pods(&[]);
    world.inventory.complete = true;
    world.inventory = Inventory::of(vec![target("a")], &cluster(&["new"]), 100).after(&world.inventory, START);
    world.scrape("a", &["g 10 10 10 10"]);
    let at = |seconds| world.ask("deployments.apps", "web", "total", Duration::from_secs(seconds));
    // Two intervals and a timeout.
    assert_eq!(at(40), Ok(10.0));
    assert!(at(41).expect_err("still nothing scrapes it").contains("1 of 2 targets have data"));
}

#[test]
fn an_object_whose_pods_nothing_scrapes_says_what_to_do() {
    let world = World::new(&["a"]).with_pods(&["alone-1", "alone-2", "alone-3", "alone-4", "alone-5"]);
    world.scrape("a", &["g 10"]);
    let one = format!("for pods alone-1 in namespace ns: the pod alone-1 is running, but nothing scrapes it; {ADVICE}");
    world.check_absent("pods", "alone-1", "total", &one);
    let five = format!("5 pods are running, but nothing scrapes them (alone-1, alone-2, alone-3 and 2 more); {ADVICE}");
    world.check_absent("statefulsets.apps", "alone", "total", &five);
    world.check_absent("services", "idle", "total", "no running pod belongs to it");
}

#[test]
fn a_namespace_that_nothing_scrapes_says_so_to_external_metrics() {
    let world = World::new(&[]).with_pods(&["silent"]);
    let asked = world.view().external("ns", "total", &Selector::default());
    let message = asked.expect_err("no data").to_string();
    assert!(message.ends_with(&format!("the pod silent is running, but nothing scrapes it; {ADVICE}")), "{message}");
}

#[test]
fn selected_pods_without_target_are_left_out() {
    let world = World::new(&["a-1", "a-2"]).with_pods(&["a-3"]);
    world.scrape("a-1", &["g 10"]);
    world.fail("a-2");
    assert_eq!(world.select("pods", "app=a"), Ok(vec!["a-1".to_owned()]));
    let world = World::new(&["a-2"]).with_pods(&["a-1", "a-3"]);
    world.fail("a-2");
    let words = "none of the 3 objects has data; a-2: target http://a-2/metrics: the scrape fails (connect): refused; \
                 it never succeeded; 2 pods are running, but nothing scrapes them (a-1, a-3)";
    world.check_none_selected("pods", "app=a", words);
}

#[test]
fn where_no_selected_object_is_scraped_the_answer_counts_its_running_pods() {
    let world = World::new(&["a"]).with_pods(&["w-1", "w-2", "w-3", "w-4"]);
    let pods = format!("4 running pods match, but nothing scrapes them (w-1, w-2, w-3 and 1 more); {ADVICE}");
    world.check_none_selected("pods", "app=w", &pods);
    let one = World::new(&[]).with_pods(&["w-1", "alone-1"]);
    one.check_none_selected("pods", "app=w", &format!("1 running pod matches, but nothing scrapes it (w-1); {ADVICE}"));
    // Both are pods of the Service `front`, and one of each controller.
    let front = format!("2 objects match, but nothing scrapes their running pods (alone-1, w-1); {ADVICE}");
    one.check_none_selected("services", "", &front);
    World::new(&[]).with_pods(&[]).check_none_selected(
        "services",
        "",
        "1 object matches, but no running pod belongs to it",
    );
}

#[test]
fn nothing_is_said_to_run_or_not_where_nobody_looks() {
    let mut world = World::new(&["a"]).with_pods(&["b"]);
    let vague = "no target stands for this object";
    world.inventory.reach = [Some("other")].into_iter().collect();
    for resource in ["pods", "deployments.apps", "services", "namespaces", "nodes"] {
        world.check_absent(resource, "nobody", "total", vague);
    }
    let vague_too = "the selector matches no object that has a target; check the selector and the targets' labels";
    world.check_none_selected("pods", "app=none", vague_too);
    world.inventory.reach = [Some("ns")].into_iter().collect();
    world.check_absent("pods", "nobody", "total", "no running pod of this name is known");
    world.check_absent("namespaces", "nobody", "total", vague);
    world.check_absent("nodes", "nobody", "total", vague);
    world.inventory.reach.add(Some("nobody"));
    world.check_absent("namespaces", "nobody", "total", "this object is not known, nor is any running pod of it");
}

#[test]
fn what_does_not_run_in_the_cluster_is_said_not_to() {
    let world = World::new(&["a"]).with_pods(&["b"]);
    for (resource, words) in [
        ("pods", "no running pod of this name is known"),
        ("deployments.apps", "no running pod that is known belongs to this object"),
        ("services", "this object is not known, nor is any running pod of it"),
    ] {
        world.check_absent(resource, "nobody", "total", words);
    }
    world.check_none_selected(
        "pods",
        "app=none",
        "the selector matches no running pod; check the selector and the pods' labels",
    );
    let world = World::new(&["a"]);
    world.check_absent("pods", "nobody", "total", "no target stands for this object");
    world.check_none_selected(
        "pods",
        "app=none",
        "the selector matches no object that has a target; check the selector and the targets' labels",
    );
}
