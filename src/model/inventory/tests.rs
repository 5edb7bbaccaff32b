use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::OwnerReference;

fn labels(text: &str) -> Labels {
    text.split(',').filter_map(|pair| pair.split_once('=')).collect()
}

fn owner(api_version: &str, kind: &str, name: &str) -> OwnerReference {
    OwnerReference { api_version: api_version.into(), kind: kind.into(), name: name.into() }
}

/// `namespace/pod labels`, owned by the Deployment `web` and behind the Service `web`.
fn identity(text: &str) -> Identity {
    let (place, pairs) = text.split_once(' ').unwrap_or((text, ""));
    let (namespace, pod) = place.split_once('/').expect("a namespace");
    Identity {
        namespace: namespace.into(),
        pod: Some(pod.into()),
        owners: [owner("apps/v1", "Deployment", "web")].into(),
        services: ["web".into()].into(),
        node: None,
        labels: labels(pairs),
    }
}

fn target(identity: Identity) -> Arc<Target> {
    let url = format!("http://{}.{}/metrics", identity.pod.as_deref().unwrap_or_default(), identity.namespace);
    Arc::new(Target::for_test(&url, identity))
}

fn targets(texts: &[&str]) -> Vec<Arc<Target>> {
    texts.iter().map(|text| target(identity(text))).collect()
}

fn cluster(pods: &[&str]) -> Cluster {
    Cluster {
        pods: pods.iter().map(|text| Arc::new(identity(text))).collect(),
        reach: Reach::Everywhere,
        ..Cluster::default()
    }
}

fn core(kind: &str, namespace: Option<&str>, name: &str) -> Arc<ObjectReference> {
    Arc::new(ObjectReference {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.map(Arc::from),
        name: name.into(),
    })
}

fn deployment<'a>(inventory: &'a Inventory, namespace: &str) -> &'a Object {
    inventory.object(&GroupResource::parse("deployments.apps"), namespace, "web").expect("the Deployment")
}

fn silent<'a>(inventory: &'a Inventory, object: &'a Object) -> Vec<&'a str> {
    inventory.pods_without_target_of(object).filter_map(|pod| pod.identity.pod.as_deref()).collect()
}

#[test]
fn an_owner_has_the_labels_that_all_of_its_pods_share() {
    let inventory = Inventory::new(targets(&["ns/a app=web,hash=1", "ns/b app=web,hash=2"]), 10);
    let web = deployment(&inventory, "ns");
    assert_eq!(web.labels, labels("app=web"));
    assert_eq!(inventory.members(web).count(), 2);
    let inventory = Inventory::of(targets(&["ns/a app=web,tier=1"]), &cluster(&["ns/b app=web,tier=2"]), 10);
    assert_eq!(deployment(&inventory, "ns").labels, labels("app=web"), "a pod that nobody scrapes is one of its pods");
}

#[test]
fn objects_of_another_namespace_are_not_listed() {
    let inventory = Inventory::new(targets(&["one/a", "two/b", "two-b/c"]), 10);
    let pods = GroupResource::core("pods");
    let names = |ns| inventory.objects(&pods, ns).iter().map(|o| o.reference.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(Some("two")), ["b"]);
    assert_eq!(names(None), ["a", "b", "c"]);
    assert_eq!(inventory.objects(&GroupResource::core("namespaces"), Some("one")).len(), 3);
}

#[test]
fn targets_beyond_the_limit_are_left_out_and_counted() {
    let inventory = Inventory::new(targets(&["ns/a", "ns/b"]), 1);
    assert_eq!((inventory.targets().len(), inventory.targets_over_limit), (1, 1));
    let web = deployment(&inventory, "ns");
    assert_eq!((inventory.members(web).len(), web.targets_over_limit()), (1, 1));
}

#[test]
fn a_pod_without_target_is_an_object_and_counts_with_its_owner_service_and_namespace() {
    let inventory = Inventory::of(targets(&["ns/a"]), &cluster(&["ns/b", "other/c"]), 10);
    for (resource, name) in [("deployments.apps", "web"), ("services", "web"), ("namespaces", "ns")] {
        let object = inventory.object(&GroupResource::parse(resource), "ns", name).expect("an object");
        assert_eq!((inventory.members(object).len(), silent(&inventory, object)), (1, vec!["b"]), "{resource}");
    }
    let pod = inventory.object(&GroupResource::core("pods"), "other", "c").expect("the pod");
    assert_eq!((pod.has_target(), silent(&inventory, pod)), (false, vec!["c"]));
    assert_eq!(inventory.pods_without_target().len(), 2);
}

#[test]
fn a_pod_that_a_target_stands_for_is_not_without_one() {
    // Also where the target is beyond the limit, and where the cluster names a pod twice.
    let inventory = Inventory::of(targets(&["ns/a", "ns/b"]), &cluster(&["ns/b", "ns/a", "ns/c", "ns/c"]), 1);
    let web = deployment(&inventory, "ns");
    assert_eq!((web.targets_over_limit(), silent(&inventory, web)), (1, vec!["c"]));
}

#[test]
fn services_and_namespaces_have_their_own_labels_also_without_pods() {
    let objects = vec![
        (core("Service", Some("ns"), "web"), labels("team=shop")),
        (core("Service", Some("ns"), "idle"), labels("team=shop")),
        (core("Namespace", None, "ns"), labels("stage=live")),
        (core("Namespace", None, "empty"), Labels::default()),
    ];
    let cluster = Cluster { objects, ..cluster(&["ns/b app=web"]) };
    let inventory = Inventory::of(targets(&["ns/a app=web"]), &cluster, 10);
    let select = |resource: &str, selector: &str| {
        let selector = Selector::parse(selector).expect("a selector");
        let found = inventory.select(&GroupResource::core(resource), Some("ns"), &selector);
        found.iter().map(|object| object.reference.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(select("services", "team=shop"), ["idle", "web"]);
    assert!(select("services", "app=web").is_empty(), "labels of pods are not those of the Service");
    assert_eq!(select("namespaces", ""), ["empty", "ns"]);
    let web = inventory.object(&GroupResource::core("services"), "ns", "web").expect("the Service");
    assert_eq!((inventory.members(web).len(), web.pods_without_target()), (1, 1));
}

#[test]
fn the_cluster_says_what_the_resource_of_a_kind_is_called() {
    let plural = |group: &str, kind: &str, plural: &str| ((group.into(), kind.into()), plural.into());
    let resources = [plural("example.com", "Chassis", "chassis")];
    let owned = |kind: &str| Identity {
        owners: [owner("example.com/v1", kind, "o")].into(),
        ..identity(&format!("ns/{}", kind.to_lowercase()))
    };
    let mut cluster = Cluster { resources: Arc::new(resources.into()), ..Cluster::default() };
    cluster.pods = vec![Arc::new(owned("Chassis")), Arc::new(owned("Policy"))];
    let inventory = Inventory::of(Vec::new(), &cluster, 10);
    for resource in ["chassis.example.com", "policies.example.com"] {
        assert!(inventory.object(&GroupResource::parse(resource), "ns", "o").is_some(), "{resource}");
    }
}

#[test]
fn two_versions_of_a_kind_are_one_resource() {
    let of = |pod: &str, version: &str| {
        target(Identity { owners: [owner(version, "Deployment", "web")].into(), ..identity(&format!("ns/{pod}")) })
    };
    let inventory = Inventory::new(vec![of("a", "apps/v1"), of("b", "apps/v1beta2")], 10);
    assert_eq!(inventory.members(deployment(&inventory, "ns")).len(), 2);
}

#[test]
fn a_node_or_a_pod_as_owner_has_no_pods_but_its_own() {
    let owned = |pod: &str, kind: &str, name: &str| {
        let owners = [owner("v1", kind, name)].into();
        target(Identity { owners, node: Some("n1".into()), ..identity(&format!("ns/{pod}")) })
    };
    let pods = vec![
        owned("driver", "Node", "n2"),
        owned("executor", "Pod", "driver"),
        owned("set", "ReplicationController", "rc"),
    ];
    let inventory = Inventory::new(pods, 10);
    let members = |resource: &str, name: &str| {
        inventory.object(&GroupResource::core(resource), "ns", name).map(|object| inventory.members(object).len())
    };
    assert_eq!(members("pods", "driver"), Some(1));
    assert_eq!((members("nodes", "n1"), members("nodes", "n2")), (Some(3), None));
    assert_eq!(members("replicationcontrollers", "rc"), Some(1));
}

#[test]
fn a_pod_joins_when_a_complete_inventory_did_not_have_it() {
    let joined = |inventory: &Inventory| -> BTreeMap<String, Option<i64>> {
        let pods = inventory.pods_without_target().iter();
        pods.map(|pod| (pod.identity.pod.as_deref().unwrap_or_default().into(), pod.joined.map(|time| time.0)))
            .collect()
    };
    let expect = |pods: &[(&str, Option<i64>)]| pods.iter().map(|(pod, time)| ((*pod).to_owned(), *time)).collect();
    let at = |targets, pods: &[&str], before: &Inventory, now| Inventory {
        complete: true,
        ..Inventory::of(targets, &cluster(pods), 10).after(before, Timestamp(now))
    };
    // The first one is the start: nobody knows since when its pods are there. Nor does a configuration without cluster.
    let without = Inventory { complete: true, ..Inventory::new(Vec::new(), 10) };
    let first = at(targets(&["ns/t"]), &["ns/a", "ns/c"], &without, 1);
    assert_eq!(joined(&first), expect(&[("a", None), ("c", None)]));
    let second = at(targets(&["ns/t"]), &["ns/c", "ns/b", "ns/a", "other/a"], &first, 2);
    assert_eq!(second.pods_without_target().len(), 4);
    let second = at(targets(&["ns/t"]), &["ns/c", "ns/b", "ns/a"], &second, 2);
    assert_eq!(joined(&second), expect(&[("a", None), ("b", Some(2)), ("c", None)]));
    // Nor is one of a namespace that was not looked at before.
    let named = Inventory { reach: [Some("other")].into_iter().collect(), ..second.clone() };
    let wider = at(Vec::new(), &["ns/b", "ns/d", "other/e"], &named, 3);
    assert_eq!(joined(&wider), expect(&[("b", Some(2)), ("d", None), ("e", Some(3))]));
    // What was a target is not new.
    let third = at(Vec::new(), &["ns/b", "ns/c", "ns/d", "ns/t"], &second, 3);
    assert_eq!(joined(&third), expect(&[("b", Some(2)), ("c", None), ("d", Some(3)), ("t", None)]));
    let incomplete = Inventory { complete: false, ..third };
    assert_eq!(joined(&at(Vec::new(), &["ns/b", "ns/e"], &incomplete, 4)), expect(&[("b", Some(2)), ("e", None)]));
}

/// An identity of few names, so that several stand for the same object.
fn any_identity() -> impl Strategy<Value = Identity> {
    let owners = prop::collection::vec(("apps/v1|apps/v2|v1", "Deployment|Proxy|Node|Pod", "[ow]"), 0..3);
    let services = prop::collection::vec("[st]", 0..3);
    let labels = prop::collection::btree_map("[xyz]", "[12]", 0..3);
    ("[mn]", prop::option::of("[a-f]"), owners, services, prop::option::of("[uv]"), labels).prop_map(
        |(namespace, pod, owners, services, node, labels)| Identity {
            namespace: namespace.into(),
            pod: pod.map(Arc::from),
            owners: owners.iter().map(|(version, kind, name)| owner(version, kind, name)).collect(),
            services: services.into_iter().map(Arc::from).collect(),
            node: node.map(Arc::from),
            labels: labels.into_iter().collect(),
        },
    )
}

/// Resource, namespace and name of every object that an identity stands for.
fn objects_of(identity: &Identity) -> BTreeSet<(String, String, String)> {
    let namespace = identity.namespace.to_string();
    let within = |resource: &str, name: &str| (resource.to_owned(), namespace.clone(), name.to_owned());
    let alone = |resource: &str, name: &str| (resource.to_owned(), String::new(), name.to_owned());
    let owners = identity
        .owners
        .iter()
        .filter(|owner| !(&*owner.api_version == "v1" && ["Node", "Pod"].contains(&&*owner.kind)));
    let mut objects: BTreeSet<_> =
        owners.map(|owner| within(&owner.group_resource().to_string(), &owner.name)).collect();
    objects.insert(alone("namespaces", &identity.namespace));
    objects.extend(identity.pod.iter().map(|pod| within("pods", pod)));
    objects.extend(identity.node.iter().map(|node| alone("nodes", node)));
    objects.extend(identity.services.iter().map(|service| within("services", service)));
    objects
}

proptest! {
    #[test]
    fn every_target_and_pod_is_found_with_each_object_it_stands_for_and_with_no_other(
        scraped in prop::collection::vec(any_identity(), 0..12),
        known in prop::collection::vec(any_identity(), 0..12),
        limit in 0_usize..14,
        own in prop::option::of(prop::collection::btree_map("[xyz]", "[12]", 0..2)),
    ) {
        let service = core("Service", Some("m"), "s");
        let own: Option<Labels> = own.map(|own| own.into_iter().collect());
        let cluster = Cluster {
            pods: known.iter().cloned().map(Arc::new).collect(),
            objects: own.iter().map(|labels| (service.clone(), labels.clone())).collect(),
            resources: Arc::default(),
            reach: Reach::Everywhere,
        };
        let inventory = Inventory::of(scraped.iter().cloned().map(target).collect(), &cluster, limit);
        let limit = limit.min(scraped.len());
        let name = |identity: &Identity| identity.pod.clone().map(|pod| (identity.namespace.clone(), pod));
        let mut seen: BTreeSet<_> = scraped.iter().filter_map(name).collect();
        let silent: Vec<&Identity> = known.iter().filter(|pod| name(pod).is_some_and(|pod| seen.insert(pod))).collect();
        let found: Vec<&Identity> = inventory.pods_without_target().iter().map(|pod| &*pod.identity).collect();
        prop_assert_eq!(&found, &silent);
        let everybody: Vec<_> = scraped.iter().chain(silent.iter().copied()).collect();
        let mut expected: BTreeSet<_> = everybody.iter().flat_map(|identity| objects_of(identity)).collect();
        expected.extend(own.iter().map(|_| ("services".to_owned(), "m".to_owned(), "s".to_owned())));
        let listed = inventory.resources().flat_map(|resource| inventory.objects(resource, None).iter().map(move |object| {
            let (namespace, name) = object.place();
            (resource.to_string(), namespace.to_owned(), name.to_owned())
        }));
        prop_assert_eq!(listed.collect::<BTreeSet<_>>(), expected.clone());
        for place in expected {
            let object = inventory.object(&GroupResource::parse(&place.0), &place.1, &place.2).expect("listed");
            let has = |identity: &&&Identity| objects_of(identity).contains(&place);
            let members: Vec<_> = inventory.members(object).map(|target| &target.identity).collect();
            prop_assert_eq!(members, scraped[..limit].iter().filter(|identity| has(&identity)).collect::<Vec<_>>());
            prop_assert_eq!(object.targets_over_limit(), scraped[limit..].iter().filter(|identity| has(&identity)).count());
            let pods: Vec<_> = inventory.pods_without_target_of(object).map(|pod| &*pod.identity).collect();
            prop_assert_eq!(&pods, &silent.iter().copied().filter(|identity| has(&identity)).collect::<Vec<_>>());
            prop_assert_eq!(object.pods_without_target(), pods.len());
            let shared = everybody.iter().copied().filter(|identity| has(&identity)).map(|identity| identity.labels.clone());
            let shared = shared.reduce(|one, other| one.iter().filter(|(name, value)| other.get(name) == Some(value)).collect());
            let is_own = *object.reference == *service && own.is_some();
            prop_assert_eq!(Some(&object.labels), if is_own { own.as_ref() } else { shared.as_ref() });
        }
    }
}

#[test]
fn an_owner_reference_in_odd_spelling_speaks_for_no_other_namespace_node_service_or_pod() {
    let named = [("namespaces", "Namespace"), ("nodes", "Node"), ("services", "Service"), ("pods", "Pod")];
    let spellings = named.map(|(resource, kind)| {
        let spelt = [("v1", kind.to_lowercase()), ("v1", kind.to_uppercase()), ("/v1", kind.to_owned())];
        (resource, spelt.map(|(api_version, kind)| owner(api_version, &kind, "victim")))
    });
    for (resource, owners) in spellings {
        for owner in owners {
            let evil = Identity { owners: [owner.clone()].into(), ..identity("evil/a") };
            let inventory = Inventory::of(vec![target(evil), target(identity("victim/b"))], &Cluster::default(), 10);
            let object = inventory.object(&GroupResource::core(resource), "evil", "victim");
            let members = object.map_or(0, |object| inventory.members(object).len());
            assert_eq!(members, usize::from(resource == "namespaces"), "{owner:?}");
        }
    }
}
