//! Stories of a cluster in YAML: objects go in, targets and what is known of the cluster come out.

mod order;
mod world;

use super::*;
use crate::config::KubernetesSd;
use crate::model::selector::Selector;
use crate::model::{Identity, Scraping};
use world::{POD, REPLICA_SET, SERVICE, SLICE, World, names, pod, sd, shown};

const WEB: &str = "http://10.0.0.1:8080/metrics shop/web-1 [ReplicaSet/web-5d,Deployment/web] [web] node-a";

#[test]
fn a_pod_has_its_owners_and_services_in_whatever_order_they_arrive() {
    let mut world = World::of(&[POD]);
    world.check(Role::Pod, "http://10.0.0.1:8080/metrics shop/web-1 [ReplicaSet/web-5d,Deployment/web] [] node-a");
    assert!(world.apply(&REPLICA_SET.replace("apps/v1, kind: Deployment", "example.com/v1, kind: Web")));
    world.check(Role::Pod, "http://10.0.0.1:8080/metrics shop/web-1 [ReplicaSet/web-5d,Web/web] [] node-a");
    assert!(world.apply(REPLICA_SET));
    assert!(world.apply(SLICE));
    world.check(Role::Pod, WEB);
    World::of(&[SLICE, REPLICA_SET, POD]).check(Role::Pod, WEB);
}

#[test]
fn only_running_pods_with_an_address_that_stay_count() {
    for (what, with) in [
        ("phase: Running", "phase: Pending"),
        ("phase: Running", "phase: Succeeded"),
        ("phase: Running", "phase: Failed"),
        ("phase: Running", "phase: Unknown"),
        (", podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]", ""),
        ("  labels:", "  deletionTimestamp: 2026-01-02T03:04:05Z\n  labels:"),
    ] {
        let mut world = World::of(&[REPLICA_SET, SERVICE, SLICE, POD]);
        world.check(Role::Pod, WEB);
        assert!(world.apply(&POD.replace(what, with)), "{with}");
        world.check(Role::Pod, "");
        world.check(Role::EndpointSlice, "");
        assert_eq!(world.index.cluster(&[], Reach::Everywhere).pods.len(), 0, "{with}");
    }
    // Neither readiness nor the network of the node matter.
    let ready = "conditions: [{type: Ready, status: \"False\"}], phase: Running";
    let host = POD.replace("phase: Running", ready).replace("nodeName:", "hostNetwork: true\n  nodeName:");
    World::of(&[REPLICA_SET, SLICE, &host]).check(Role::Pod, WEB);
}

#[test]
fn owners_are_followed_through_replica_sets_and_jobs_alone() {
    let owner = "apiVersion: apps/v1, kind: ReplicaSet, name: web-5d, uid: rs-1";
    let job = "kind: Job\nmetadata: {namespace: shop, name: j-1, uid: j, ownerReferences: \
        [{apiVersion: batch/v1, kind: CronJob, name: j, uid: c, controller: true}]}";
    for (reference, middle, owners) in [
        (owner, REPLICA_SET.to_owned(), "ReplicaSet/web-5d,Deployment/web"),
        (
            owner,
            REPLICA_SET.replace("apps/v1, kind: Deployment", "argoproj.io/v1alpha1, kind: Rollout"),
            "ReplicaSet/web-5d,Rollout/web",
        ),
        ("apiVersion: batch/v1, kind: Job, name: j-1, uid: j", job.into(), "Job/j-1,CronJob/j"),
        ("apiVersion: batch.example.com/v1, kind: Job, name: j-1, uid: j", job.into(), "Job/j-1"),
        ("apiVersion: apps/v1, kind: StatefulSet, name: db, uid: s", job.into(), "StatefulSet/db"),
        ("apiVersion: v1, kind: Node, name: node-a, uid: n", job.into(), ""),
        // The one that is there now is not the one meant.
        (
            owner,
            REPLICA_SET.replace("Deployment, name: web", "Deployment, name: other").replace("rs-1", "rs-2"),
            "ReplicaSet/web-5d,Deployment/web",
        ),
        (owner, REPLICA_SET.replace("controller: true", "controller: false"), "ReplicaSet/web-5d"),
    ] {
        let expected = format!("http://10.0.0.1:8080/metrics shop/web-1 [{owners}] [] node-a");
        World::of(&[&POD.replace(owner, reference), &middle]).check(Role::Pod, &expected);
    }
    let bare = POD.replace("controller: true", "controller: false");
    World::of(&[&bare, REPLICA_SET]).check(Role::Pod, "http://10.0.0.1:8080/metrics shop/web-1 [] [] node-a");
}

#[test]
fn a_chain_that_bites_its_tail_ends() {
    let own = "kind: ReplicaSet, name: web-5d, uid: rs-1, controller";
    let circle = REPLICA_SET.replace("kind: Deployment, name: web, uid: d-1, controller", own);
    let mut world = World::of(&[POD, &circle]);
    assert_eq!(world.targets(Role::Pod).0[0].identity.owners.len(), 8);
}

#[test]
fn pods_stay_with_their_deployment_while_their_replica_set_is_not_known() {
    let mut world = World::of(&[POD, REPLICA_SET, SLICE]);
    world.check(Role::Pod, WEB);
    assert!(world.index.delete(Kind::ReplicaSet, "shop", "web-5d"));
    assert!(!world.index.delete(Kind::ReplicaSet, "shop", "web-5d"));
    world.check(Role::Pod, WEB);
    let rollout = POD.replace("pod-template-hash", "rollouts-pod-template-hash");
    World::of(&[&rollout, SLICE]).check(Role::Pod, &WEB.replace("Deployment", "Rollout"));
    for other in [("name: web-5d", "name: web"), ("name: web-5d", "name: web-6e"), ("pod-template-hash", "hash")] {
        let owners = &World::of(&[&POD.replace(other.0, other.1)]).targets(Role::Pod).0[0].identity.owners.clone();
        assert_eq!(owners.len(), 1, "{other:?}");
    }
}

#[test]
fn every_tcp_port_is_scraped_unless_an_annotation_names_one() {
    let ports = r#"  containers:
  - {name: web, ports: [{containerPort: 8080}, {containerPort: 53, protocol: UDP}, {containerPort: 8080, name: again}]}
  - {name: side, ports: [{containerPort: 9090}]}
  initContainers:
  - {name: once, ports: [{containerPort: 7000}]}
  - {name: stays, restartPolicy: Always, ports: [{containerPort: 7001}]}
"#;
    let (before, rest) = POD.split_once("  containers:").expect("containers");
    let (_, status) = rest.split_once("status:").expect("a status");
    let several = format!("{before}{ports}status:{status}");
    let urls = |pod: &str| {
        let (targets, omissions) = World::of(&[pod]).targets(Role::Pod);
        assert!(omissions.is_empty(), "{omissions:?}");
        targets.iter().map(|target| target.url.clone()).collect::<Vec<_>>()
    };
    let all = ["http://10.0.0.1:7001/metrics", "http://10.0.0.1:8080/metrics", "http://10.0.0.1:9090/metrics"];
    assert_eq!(urls(&several), all);
    let one = r#"prometheus.io/scrape: "true", prometheus.io/port: "15020", prometheus.io/path: /stats?x=1"#;
    let one = several.replace("prometheus.io/scrape: \"true\"", one);
    assert_eq!(urls(&one), ["http://10.0.0.1:15020/stats?x=1"]);
    assert_eq!(urls(&one.replace("10.0.0.1", "fd00::1")), ["http://[fd00::1]:15020/stats?x=1"]);
}

#[test]
fn what_is_wrong_with_pods_is_said_once_for_their_owner() {
    let scrape = r#"prometheus.io/scrape: "true""#;
    let wrong = |name, address| pod(name, address).replace(scrape, &format!("{scrape}, prometheus.io/port: http"));
    let mute = pod("mute", "10.0.0.4").replace(", ports: [{containerPort: 8080}]", "").replace("web-5d", "mute-1");
    let off = pod("off", "10.0.0.5").replace("scrape: \"true\"", "scrape: \"false\"");
    World::of(&[&wrong("b", "10.0.0.2"), &wrong("a", "10.0.0.1"), &mute, &off]).check(
        Role::Pod,
        "! pod shop/mute: no container declares a TCP port; expected one, or the annotation prometheus.io/port\n\
         ! pod shop/a: the annotation prometheus.io/port is \"http\"; expected a number from 1 to 65535; \
         so it is with 1 more of ReplicaSet web-5d",
    );
}

#[test]
fn a_service_has_its_pods_ready_or_not_and_not_those_that_leave() {
    let mut world = World::of(&[POD, REPLICA_SET, SERVICE, SLICE]);
    world.check(Role::EndpointSlice, WEB);
    assert!(world.apply(&SLICE.replace("serving: false", "serving: false, terminating: true")));
    world.check(Role::EndpointSlice, "");
    world.check(Role::Pod, &WEB.replace("[web]", "[]"));
}

#[test]
fn an_endpoint_speaks_for_the_pod_it_names_whatever_its_address() {
    let moved = SLICE.replace("[10.0.0.1]", "[10.9.9.9]");
    World::of(&[POD, REPLICA_SET, SERVICE, &moved]).check(Role::EndpointSlice, WEB);
    let foreign = "! Service shop/web: 1 of its endpoints refer to no pod of the namespace, and are not scraped";
    for (what, with) in [
        ("kind: Pod, namespace: shop", "kind: Pod, namespace: other"),
        ("kind: Pod, namespace: shop", "kind: Node, namespace: shop"),
        ("  targetRef: {kind: Pod, namespace: shop, name: web-1}\n", ""),
    ] {
        let mut world = World::of(&[POD, REPLICA_SET, SERVICE, &SLICE.replace(what, with)]);
        world.check(Role::EndpointSlice, foreign);
        world.check(Role::Pod, &WEB.replace("[web]", "[]"));
    }
    let former = SLICE.replace("name: web-1", "name: web-1, uid: 00000000-0000-0000-0000-000000000009");
    World::of(&[POD, SERVICE, &former]).check(Role::EndpointSlice, "");
}

#[test]
fn slices_of_a_service_add_up_and_a_page_is_scraped_once() {
    let second = SLICE.replace("web-abc", "web-xyz").replace("web-1", "web-2").replace("10.0.0.1", "10.0.0.2");
    let other = [SERVICE, SLICE].map(|yaml| {
        let named = yaml.replace("name: web,", "name: all,").replace("web-abc", "all-abc");
        named.replace("service-name: web", "service-name: all")
    });
    let mut world = World::of(&[POD, &pod("web-2", "10.0.0.2"), REPLICA_SET, SERVICE, SLICE, &second]);
    let owned = "[ReplicaSet/web-5d,Deployment/web]";
    let both = format!("{WEB}\nhttp://10.0.0.2:8080/metrics shop/web-2 {owned} [web] node-a");
    world.check(Role::EndpointSlice, &both);
    other.iter().for_each(|object| assert!(world.apply(object)));
    world.check(Role::EndpointSlice, &both.replacen("[web]", "[all,web]", 1));
}

#[test]
fn a_pod_in_two_networks_is_scraped_at_its_first_address() {
    let dual = POD.replace("podIPs: [{ip: 10.0.0.1}]", "podIPs: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}]");
    let v6 = SLICE.replace("web-abc", "web-6").replace("IPv4", "IPv6").replace("10.0.0.1", "\"fd00::1\"");
    World::of(&[&dual, REPLICA_SET, SERVICE, SLICE, &v6]).check(Role::EndpointSlice, WEB);
    World::of(&[&dual, REPLICA_SET, SERVICE, &v6]).check(Role::EndpointSlice, &WEB.replace("10.0.0.1", "[fd00::1]"));
    // The slice and the pod come by two watches; the pod knows better.
    World::of(&[POD, REPLICA_SET, SERVICE, &v6]).check(Role::EndpointSlice, WEB);
    let names = SLICE.replace("IPv4", "FQDN");
    World::of(&[POD, SERVICE, &names]).check(Role::EndpointSlice, "");
}

#[test]
fn a_service_without_a_tcp_port_needs_an_annotation() {
    let bare = SLICE.replace("port: 8080", "port: 53, protocol: UDP");
    let sentence = "! Service shop/web: it has no TCP port; expected one, or the annotation prometheus.io/port";
    World::of(&[POD, REPLICA_SET, SERVICE, &bare]).check(Role::EndpointSlice, sentence);
    let scrape = r#"prometheus.io/scrape: "true""#;
    let named = SERVICE.replace(scrape, &format!("{scrape}, prometheus.io/port: \"8080\""));
    World::of(&[POD, REPLICA_SET, &named, &bare]).check(Role::EndpointSlice, WEB);
}

#[test]
fn a_service_that_selects_other_pods_leaves_the_former_ones() {
    let mut world = World::of(&[POD, &pod("db-1", "10.0.0.7"), REPLICA_SET, SERVICE, SLICE]);
    world.check(Role::EndpointSlice, WEB);
    assert!(world.apply(&SLICE.replace("web-1", "db-1")));
    let db = WEB.replace("10.0.0.1", "10.0.0.7").replace("web-1", "db-1");
    world.check(Role::EndpointSlice, &db);
    assert!(world.shown(Role::Pod).contains("shop/web-1 [ReplicaSet/web-5d,Deployment/web] [] node-a"));
}

#[test]
fn a_pod_made_anew_under_its_name_is_another_target() {
    let id = |world: &mut World| world.targets(Role::Pod).0[0].id.clone();
    let mut world = World::of(&[POD]);
    let first = id(&mut world);
    assert!(world.apply(&POD.replace("000000000001", "000000000002")));
    assert_ne!(id(&mut world), first, "same name, same address");
    assert!(world.apply(&pod("web-1", "10.0.0.9")));
    assert_ne!(id(&mut world), first, "same name, other address");
    assert!(world.apply(POD));
    assert_eq!(id(&mut world), first);
}

#[test]
fn what_did_not_change_stays_the_same_target() {
    let mut world = World::of(&[POD, &pod("web-2", "10.0.0.2")]);
    let (first, _) = world.targets(Role::Pod);
    // A condition, a resource version, the state of a container: nothing an answer rests on.
    assert!(
        !world.apply(&POD.replace("phase: Running", "conditions: [{type: Ready, status: \"True\"}], phase: Running"))
    );
    assert!(world.apply(&pod("web-2", "10.0.0.3")));
    let (second, _) = world.targets(Role::Pod);
    assert!(Arc::ptr_eq(&first[0], &second[0]) && !Arc::ptr_eq(&first[1], &second[1]));
    // Another way of scraping makes other targets.
    world.job.scraping = Arc::new(Scraping { timeout: std::time::Duration::from_secs(1), ..Scraping::for_test() });
    let (third, _) = world.targets(Role::Pod);
    assert!(third.iter().all(|target| target.scraping == world.job.scraping));
}

#[test]
fn answers_that_nobody_asks_for_any_more_are_forgotten() {
    let mut world = World::of(&[POD]);
    for _ in 0..3 {
        world.targets(Role::Pod);
        world.targets(Role::EndpointSlice);
        world.index.cluster(&[], Reach::Everywhere);
        assert_eq!(world.index.answers.len(), 2);
    }
    world.targets(Role::Pod);
    world.index.cluster(&[], Reach::Everywhere);
    assert_eq!(world.index.answers.len(), 1);
}

#[test]
fn pods_that_come_and_go_for_ever_leave_nothing() {
    let mut world = World::of(&[SERVICE, SLICE]);
    let most = (0..6000).map(|number| {
        let name = format!("web-{number}");
        let unlike = [("web-1", name.clone()), ("web-5d", format!("rs-{number}")), ("5d}", format!("h{number}}}"))];
        let object = unlike.iter().fold(POD.to_owned(), |object, (part, own)| object.replace(part, own));
        world.apply(&object);
        if number % 100 == 0 {
            world.targets(Role::Pod);
            world.index.cluster(&[], Reach::Everywhere);
        }
        assert!(world.index.delete(Kind::Pod, "shop", &name));
        world.index.interner.size()
    });
    let most = most.max().expect("some");
    assert!(most < 10_000, "{most} values of 6000 pods are kept");
    assert_eq!(world.targets(Role::Pod).0.len(), 0);
}

#[test]
fn only_what_lies_within_reach_is_known_of_the_cluster() {
    let mut world = World::of(&[POD, SERVICE, &POD.replace("namespace: shop", "namespace: bank")]);
    let reach: Reach = [Some("bank")].into_iter().collect();
    let cluster = world.index.cluster(&[], reach.clone());
    assert_eq!(cluster.pods.iter().map(|pod| &*pod.namespace).collect::<Vec<_>>(), ["bank"]);
    assert!(cluster.objects.is_empty() && cluster.reach == reach);
}

#[test]
fn a_source_sees_its_namespaces_and_what_its_selector_means() {
    let elsewhere = pod("web-2", "10.0.0.2").replace("shop", "bank").replace("app: web", "app: bank");
    let mut world = World::of(&[POD, &elsewhere]);
    let mut count = |namespaces: &[&str], selector: &str| {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let selector = Selector::parse(selector).expect("a selector");
        world.index.targets(&world.job, &KubernetesSd { role: Role::Pod, namespaces, selector }).0.len()
    };
    assert_eq!([count(&[], ""), count(&["bank"], ""), count(&["none"], "")], [2, 1, 0]);
    assert_eq!([count(&[], "app=web"), count(&["bank"], "app=web"), count(&[], "app")], [1, 0, 2]);
}

#[test]
fn a_list_forgets_what_it_does_not_have_within_its_scope() {
    let elsewhere = POD.replace("namespace: shop", "namespace: bank");
    let mut world = World::of(&[POD, &pod("web-2", "10.0.0.2"), &elsewhere, SLICE]);
    assert!(!world.index.retain(Kind::Pod, Some("shop"), &names(&[("shop", "web-1"), ("shop", "web-2")])));
    assert!(world.index.retain(Kind::Pod, Some("shop"), &names(&[("shop", "web-1")])));
    assert_eq!(world.targets(Role::Pod).0.len(), 2);
    assert!(world.index.retain(Kind::Pod, None, &names(&[("bank", "web-1")])));
    assert_eq!(&*world.targets(Role::Pod).0[0].identity.namespace, "bank");
    assert!(world.index.retain(Kind::EndpointSlice, None, &names(&[])));
    assert_eq!(world.index.namespaces().len(), 1);
}

#[test]
fn the_cluster_has_the_pods_that_nothing_scrapes_and_its_services_and_namespaces() {
    let idle = pod("idle", "10.0.0.2").replace("\"true\"", "\"false\"");
    let shop = "kind: Namespace\nmetadata: {name: shop, labels: {env: production}}";
    let mut world = World::of(&[POD, &idle, REPLICA_SET, SERVICE, SLICE, shop]);
    let (scraped, _) = world.targets(Role::Pod);
    let cluster = world.index.cluster(&scraped, Reach::Everywhere);
    assert_eq!(
        cluster.pods.iter().map(|pod| shown(pod)).collect::<Vec<_>>(),
        ["shop/idle [ReplicaSet/web-5d,Deployment/web] [] node-a"]
    );
    let objects = cluster.objects.iter();
    let objects: Vec<_> = objects.map(|(object, labels)| format!("{} {}{labels}", object.kind, object.name)).collect();
    assert_eq!(objects, ["Namespace shop{env=\"production\"}", "Service web{team=\"a\"}"]);
    assert_eq!(world.index.cluster(&[], Reach::Everywhere).pods.len(), 2);
    assert!(world.index.delete(Kind::Namespace, "", "shop") && !world.index.delete(Kind::Namespace, "", "shop"));
    assert_eq!(world.index.cluster(&scraped, Reach::Everywhere).objects.len(), 1);
    assert!(world.apply(shop) && world.index.retain(Kind::Namespace, None, &names(&[("", "bank")])));
}

#[test]
fn pods_of_a_template_share_what_is_alike() {
    let mut world = World::of(&[POD, &pod("web-2", "10.0.0.2"), REPLICA_SET, SLICE]);
    world.targets(Role::Pod);
    let pods: Vec<&Pod> = world.index.namespaces()["shop"].pods.values().map(|pod| &**pod).collect();
    let [a, b] = pods[..] else { panic!("two pods") };
    assert!(Arc::ptr_eq(&a.containers, &b.containers) && Arc::ptr_eq(&a.identity.owners, &b.identity.owners));
    assert!(Arc::ptr_eq(&a.identity.namespace, &b.identity.namespace));
    let node = |pod: &Pod| pod.identity.node.clone().expect("a node");
    assert!(Arc::ptr_eq(&node(a), &node(b)));
    assert!(size_of::<Pod>() <= 128 && size_of::<Identity>() <= 96, "{}", size_of::<Pod>());
}

#[test]
fn monitors_want_the_secrets_and_config_maps_of_their_own_namespace() {
    let monitor = "kind: PodMonitor\nmetadata: {namespace: shop, name: m}\nspec: {podMetricsEndpoints: [{\
        bearerTokenSecret: {name: token, key: t}, tlsConfig: {ca: {configMap: {name: roots, key: ca}}}}]}";
    let mut world = World::of(&[monitor]);
    let sd = |role, selector| [KubernetesSd { selector: Selector::parse(selector).expect("a selector"), ..sd(role) }];
    let every = sd(Role::PodMonitor, "");
    assert_eq!(HashSet::from_iter(world.index.secrets_wanted(&every)), names(&[("shop", "token")]));
    assert_eq!(HashSet::from_iter(world.index.config_maps_wanted(&every)), names(&[("shop", "roots")]));
    // What no source means is nobody's business.
    for other in [sd(Role::PodMonitor, "team=a"), sd(Role::ServiceMonitor, ""), sd(Role::Pod, "")] {
        assert!(world.index.secrets_wanted(&other).is_empty(), "{other:?}");
    }
    let elsewhere = [KubernetesSd { namespaces: vec!["bank".into()], ..every[0].clone() }];
    assert!(world.index.secrets_wanted(&elsewhere).is_empty());
    assert!(!world.apply(&format!("{monitor}\nstatus: {{seen: 1}}")), "a status is no change");
    assert!(world.index.delete(Kind::PodMonitor, "shop", "m") && world.index.secrets_wanted(&every).is_empty());
}

#[test]
fn objects_without_a_name_are_none() {
    for yaml in [POD.replace("  name: web-1\n", ""), POD.replace("  namespace: shop\n", "")] {
        let mut world = World::of(&[&yaml]);
        assert_eq!((world.index.namespaces().len(), world.shown(Role::Pod).as_str()), (0, ""));
    }
}
