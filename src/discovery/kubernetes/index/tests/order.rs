//! Events in any order lead to what the objects themselves lead to.

use proptest::prelude::*;

use super::super::*;
use super::world::{REPLICA_SET, SERVICE, SLICE, World, pod};

/// One of few objects in one of few states, and what takes it away.
#[derive(Clone, Debug)]
struct Event {
    kind: Kind,
    name: &'static str,
    /// `None` deletes it.
    yaml: Option<String>,
}

/// The YAML of an object by its name and the number of its state.
type States = fn(&str, usize) -> String;

fn event() -> impl Strategy<Value = Event> {
    let state = prop::option::weighted(0.8, 0..4_usize);
    (0..4_usize, 0..2_usize, state).prop_map(|(kind, which, state)| {
        let (kind, name, yaml): (_, [&str; 2], States) = match kind {
            0 => (Kind::Pod, ["web-1", "web-2"], |name, state| {
                let address = ["10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.1"][state];
                let uid = ["000000000001", "000000000002"][state % 2];
                let phase = ["Running", "Running", "Running", "Failed"][state];
                pod(name, address).replace("000000000001", uid).replace("phase: Running", &format!("phase: {phase}"))
            }),
            1 => (Kind::ReplicaSet, ["web-5d", "other"], |name, state| {
                REPLICA_SET.replace("web-5d", name).replace("rs-1", ["rs-1", "rs-2"][state % 2])
            }),
            2 => (Kind::Service, ["web", "all"], |name, state| {
                let on = ["\"true\"", "\"false\"", "maybe", "\"true\""][state];
                SERVICE.replace("name: web,", &format!("name: {name},")).replace("\"true\"", on)
            }),
            _ => (Kind::EndpointSlice, ["web-abc", "web-xyz"], |name, state| {
                let service = ["web", "all", "web", "all"][state];
                let slice = SLICE.replace("web-abc", name).replace("name: web}", &format!("name: {service}}}"));
                let reference = ["web-1", "web-2", "web-2, uid: 00000000-0000-0000-0000-000000000002", "gone"][state];
                slice.replace("name: web-1", &format!("name: {reference}"))
            }),
        };
        Event { kind, name: name[which], yaml: state.map(|state| yaml(name[which], state)) }
    })
}

proptest! {
    // Each case reads dozens of documents.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_events_does_not_matter(events in prop::collection::vec((event(), any::<bool>()), 0..24)) {
        let mut world = World::new();
        let mut objects: BTreeMap<(Kind, &str), String> = BTreeMap::new();
        for (Event { kind, name, yaml }, looks) in events {
            match yaml {
                Some(yaml) => {
                    world.apply(&yaml);
                    objects.insert((kind, name), yaml);
                }
                None => {
                    world.index.delete(kind, "shop", name);
                    objects.remove(&(kind, name));
                }
            }
            // Answers in between leave no trace.
            if looks {
                world.state();
            }
        }
        let mut fresh = World::of(&objects.values().rev().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(world.state(), fresh.state());
        let ids = |world: &mut World| world.targets(Role::Pod).0.iter().map(|t| t.id.clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&mut world), ids(&mut fresh));
    }

    #[test]
    fn an_event_that_changes_nothing_changes_no_answer(events in prop::collection::vec(event(), 0..24)) {
        let mut world = World::new();
        let mut before = world.state();
        for Event { kind, name, yaml } in events {
            let changed = match yaml {
                Some(yaml) => world.apply(&yaml),
                None => world.index.delete(kind, "shop", name),
            };
            let after = world.state();
            prop_assert!(changed || before == after, "{kind:?} {name}");
            before = after;
        }
    }
}
