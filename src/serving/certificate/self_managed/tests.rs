use std::cell::RefCell;
use std::time::Duration;

use k8s_openapi::ByteString;

use super::api_services::ServiceName;
use super::authority::Leaf;
use super::change::Change;
use super::keyring::{Contents, Data, Keyring};
use super::plan::{Plan, Schedule, Situation, Step, Trust};
use crate::model::Timestamp;

/// A Secret, three APIServices that lead here, and a clock.
struct World {
    data: Data,
    api_services: Vec<Trust>,
    now: Timestamp,
    schedule: Schedule,
    remembered: Option<Keyring>,
    announced_since: Option<Timestamp>,
    /// Whether patches arrive.
    is_patched: bool,
    /// What was read last, and from what: years have many hours.
    read: RefCell<(Data, Contents)>,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp(1_790_000_000_000);

fn service() -> ServiceName {
    "plimsoll-system/plimsoll".parse().expect("a Service")
}

fn schedule() -> Schedule {
    let (certificate_lifetime, authority_lifetime) = (DAY * 30, DAY * 365);
    Schedule { certificate_lifetime, authority_lifetime, grace: Duration::from_secs(300), jitter: 0.5 }
}

fn ours(bundle: &str) -> Trust {
    Trust::Ours { bundle: bundle.to_owned(), verifies: true }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let (schedule, api_services) = (schedule(), vec![ours(""); 3]);
        let (data, now) = (Data::new(), START);
        let read = RefCell::new((Data::new(), Contents::Empty));
        Self { data, api_services, now, schedule, remembered: None, announced_since: None, is_patched: true, read }
    }

    /// After the first certificate is made, and trusted.
    fn begun() -> Self {
        let mut world = Self::new();
        world.settle();
        world
    }

    fn contents(&self) -> Contents {
        let mut read = self.read.borrow_mut();
        if read.0 != self.data {
            *read = (self.data.clone(), Contents::read(&self.data, &service().dns()));
        }
        read.1.clone()
    }

    #[track_caller]
    fn keyring(&self) -> Keyring {
        match self.contents() {
            Contents::Keyring(keyring) => *keyring,
            other => panic!("{other:?}"),
        }
    }

    fn plan(&mut self) -> Plan {
        let contents = self.contents();
        let situation = Situation {
            contents: &contents,
            remembered: self.remembered.as_ref(),
            api_services: &self.api_services,
            announced_since: self.announced_since,
            now: self.now,
        };
        let since = self.announced_since.unwrap_or(self.now);
        let announced_since = situation.is_announced().then_some(since);
        let plan = Situation { announced_since, ..situation }.plan(&self.schedule);
        self.announced_since = announced_since;
        plan
    }

    /// Makes one plan and carries it out.
    fn act(&mut self) -> Plan {
        let (plan, contents, service) = (self.plan(), self.contents(), service());
        if let (Contents::Keyring(keyring), true) = (&contents, self.is_patched) {
            for index in &plan.patches {
                self.api_services[*index] = ours(&keyring.bundle());
            }
        }
        if let Some(step) = plan.step {
            let (remembered, schedule) = (self.remembered.as_ref(), &self.schedule);
            let change = Change { contents: &contents, remembered, service: &service, schedule, now: self.now };
            change.make(step).expect("keys").write(&mut self.data);
            self.remembered = Some(self.keyring());
        }
        plan
    }

    /// Acts until nothing is left to do now; gives the steps.
    fn settle(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..10 {
            let plan = self.act();
            steps.extend(plan.step);
            if plan.step.is_none() && (plan.patches.is_empty() || !self.is_patched) {
                return steps;
            }
        }
        panic!("no end: {steps:?}");
    }

    /// Lets time pass, hour by hour; gives the steps. At every moment each certificate that may be served is trusted.
    fn pass(&mut self, time: Duration) -> Vec<Step> {
        let (end, mut steps) = (self.now.plus(time), Vec::new());
        while self.now < end {
            self.now = self.now.plus(HOUR);
            let done = self.settle();
            assert!(self.keyring().validity().is_some_and(|validity| validity.contains(&self.now)), "{}", self.now);
            if !done.is_empty() {
                self.is_served();
            }
            steps.extend(done);
        }
        steps
    }

    /// The certificate in the Secret is valid now, and trusted by all APIServices that lead here.
    #[track_caller]
    fn is_served(&self) {
        let keyring = self.keyring();
        let leaf = keyring.leaf.expect("a certificate");
        assert!(leaf.certificate.validity.contains(&self.now), "{}: {:?}", self.now, leaf.certificate.validity);
        for trust in &self.api_services {
            let Trust::Ours { bundle, verifies: true } = trust else { continue };
            let data = Data::from([("ca.crt".to_owned(), ByteString(bundle.clone().into_bytes()))]);
            let mut data = data;
            for key in ["tls.crt", "tls.key"] {
                data.insert(key.to_owned(), self.data[key].clone());
            }
            let Contents::Keyring(seen) = Contents::read(&data, &service().dns()) else { panic!("not trusted") };
            assert!(seen.leaf.is_some(), "{}: not trusted: {:?}", self.now, seen.damage);
        }
    }

    fn set(&mut self, key: &str, text: &str) {
        self.data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
    }
}

#[test]
fn an_empty_secret_is_filled_and_then_the_api_services_are_told() {
    let mut world = World::new();
    assert_eq!(world.act(), Plan { patches: vec![], step: Some(Step::Begin) });
    assert_eq!(world.act(), Plan { patches: vec![0, 1, 2], step: None });
    assert_eq!(world.act(), Plan::default());
    world.is_served();
    assert_eq!(Vec::from_iter(world.data.keys()), ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
}

#[test]
fn in_ten_years_there_is_always_a_trusted_certificate_and_nothing_is_done_needlessly() {
    let mut world = World::begun();
    let steps = world.pass(DAY * 3650);
    let count = |step: Step| steps.iter().filter(|done| **done == step).count();
    // An authority lasts 305 days, a certificate 20 and at most 1.5 more.
    assert_eq!(count(Step::Announce), 11, "{steps:?}");
    assert_eq!([count(Step::Switch), count(Step::Prune)], [11, 11]);
    assert!((165..=185).contains(&count(Step::Renew)), "{}", count(Step::Renew));
    assert_eq!(count(Step::Begin) + count(Step::Restore), 0);
    assert!(world.keyring().trusted.len() <= 2);
}

#[test]
fn a_new_authority_signs_only_when_every_api_service_has_trusted_it_for_a_while() {
    let mut world = World::begun();
    let end = world.keyring().signer_end().expect("an end");
    world.now = end.minus(DAY * 58);
    assert_eq!(world.act().step, Some(Step::Renew));
    world.is_patched = false;
    assert_eq!(world.act().step, Some(Step::Announce));
    let first = world.keyring().signer_end();
    assert_eq!(world.act(), Plan { patches: vec![0, 1, 2], step: None });
    world.now = world.now.plus(HOUR);
    world.api_services[0] = ours(&world.keyring().bundle());
    world.api_services[1] = Trust::Unknown;
    world.api_services[2] = Trust::NotOurs;
    assert_eq!(world.act(), Plan::default());
    world.api_services[1] = ours(&world.keyring().bundle());
    assert_eq!(world.act(), Plan::default());
    world.now = world.now.plus(Duration::from_secs(299));
    assert_eq!(world.act(), Plan::default());
    // It was taken away in between: the time counts anew.
    let patched = std::mem::replace(&mut world.api_services[1], ours("junk"));
    assert_eq!(world.act(), Plan { patches: vec![1], step: None });
    world.api_services[1] = patched;
    world.now = world.now.plus(Duration::from_secs(2));
    assert_eq!(world.act(), Plan::default());
    world.now = world.now.plus(Duration::from_secs(300));
    assert_eq!(world.keyring().signer_end(), first);
    assert_eq!(world.act(), Plan { patches: vec![], step: Some(Step::Switch) });
    assert_ne!(world.keyring().signer_end(), first);
    assert_eq!(world.keyring().trusted.len(), 2);
    world.is_served();
}

#[test]
fn a_bundle_that_others_claim_holds_up_a_new_authority_only_where_it_has_the_present_one() {
    let mut world = World::begun();
    let present = world.keyring().bundle();
    world.set("ca.key", "");
    world.settle();
    let both = world.keyring().bundle();
    let mut waits = |bundle: &str| {
        world.api_services[1] = Trust::Claimed { bundle: bundle.to_owned() };
        world.plan();
        world.announced_since.is_none()
    };
    assert_eq!([waits(&present), waits(&both), waits("another"), waits("")], [true, false, false, false]);
}

#[test]
fn what_is_patched_is_what_differs() {
    let mut world = World::begun();
    let bundle = world.keyring().bundle();
    let mut check = |trust: Trust, is_patched: bool| {
        world.api_services[1] = trust.clone();
        let patches = if is_patched { vec![1] } else { vec![] };
        assert_eq!(world.plan(), Plan { patches, step: None }, "{trust:?}");
    };
    check(ours(&bundle), false);
    check(ours(""), true);
    check(ours("junk"), true);
    check(ours(&(bundle.clone() + &bundle)), true);
    check(ours(&bundle.to_lowercase()), true);
    check(Trust::Ours { bundle: bundle.clone(), verifies: false }, true);
    check(Trust::Claimed { bundle: "junk".into() }, false);
    check(Trust::NotOurs, false);
    check(Trust::Unknown, false);
}

#[test]
fn without_patches_the_old_authority_signs_to_its_end_and_then_the_new_one() {
    let mut world = World::begun();
    let end = world.keyring().signer_end().expect("an end");
    world.is_patched = false;
    while world.now < end.minus(HOUR * 2) {
        world.pass(HOUR);
        let keyring = world.keyring();
        assert_eq!(keyring.signer_end(), Some(end));
    }
    let keyring = world.keyring();
    assert!(keyring.next.is_some() && keyring.validity().is_some_and(|validity| validity.end == end));
    world.now = end;
    assert_eq!(world.act(), Plan { patches: vec![0, 1, 2], step: Some(Step::Switch) });
    assert_eq!(world.act(), Plan { patches: vec![0, 1, 2], step: Some(Step::Prune) });
    world.is_patched = true;
    world.settle();
    world.is_served();
}

#[test]
fn a_cluster_that_slept_begins_with_what_is_still_valid() {
    let check = |slept: Duration, steps: &[Step]| {
        let mut world = World::begun();
        world.now = world.now.plus(slept);
        world.remembered = None;
        assert_eq!(world.settle(), steps, "{slept:?}");
        world.is_served();
    };
    check(DAY, &[]);
    check(DAY * 22, &[Step::Renew]);
    check(DAY * 100, &[Step::Renew]);
    check(DAY * 310, &[Step::Renew, Step::Announce]);
    check(DAY * 400, &[Step::Begin]);
    check(DAY * 4000, &[Step::Begin]);
}

#[test]
fn an_emptied_secret_gets_back_what_was_there_while_it_is_valid() {
    let mut world = World::begun();
    let before = std::mem::take(&mut world.data);
    assert_eq!(world.settle(), [Step::Restore]);
    assert_eq!(world.data, before);
    world.data.clear();
    world.now = world.now.plus(DAY * 31);
    assert_eq!(world.settle(), [Step::Begin]);
    world.data.clear();
    world.remembered = None;
    assert_eq!(world.settle(), [Step::Begin]);
    world.is_served();
}

#[test]
fn an_authority_without_its_key_is_succeeded_with_overlap() {
    for damaged in ["", "junk", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"] {
        let mut world = World::begun();
        world.set("ca.key", damaged);
        assert_eq!(world.settle(), [Step::Announce], "{damaged}");
        assert_eq!(world.keyring().trusted.len(), 2);
        world.is_served();
        assert_eq!(world.pass(HOUR), [Step::Switch]);
    }
}

#[test]
fn a_damaged_serving_certificate_is_signed_again() {
    let certificate_of_another = World::begun().data;
    let check = |key: &str, text: &ByteString| {
        let mut world = World::begun();
        let before = world.keyring().bundle();
        world.data.insert(key.to_owned(), text.clone());
        assert!(world.keyring().damage[0].starts_with("the "), "{:?}", world.keyring().damage);
        assert_eq!(world.settle(), [Step::Renew], "{key}");
        assert_eq!(world.keyring().bundle(), before);
        world.is_served();
    };
    check("tls.crt", &ByteString(b"junk".to_vec()));
    check("tls.crt", &ByteString(Vec::new()));
    check("tls.crt", &certificate_of_another["tls.crt"]);
    check("tls.key", &ByteString(b"junk".to_vec()));
    check("tls.key", &certificate_of_another["tls.key"]);
}

#[test]
fn a_certificate_for_another_service_is_signed_again() {
    let mut world = World::begun();
    let contents = world.contents();
    let other = "elsewhere/plimsoll".parse().expect("a Service");
    let (schedule, now) = (schedule(), world.now);
    let change = Change { contents: &contents, remembered: None, service: &other, schedule: &schedule, now };
    change.make(Step::Renew).expect("keys").write(&mut world.data);
    assert!(world.keyring().damage[0].contains("not a certificate for plimsoll.plimsoll-system.svc"));
    assert_eq!(world.settle(), [Step::Renew]);
    world.is_served();
}

#[test]
fn what_cannot_be_understood_is_never_overwritten() {
    let good = World::begun().data;
    let text = |key: &str| String::from_utf8(good[key].0.clone()).expect("text");
    let check = |keys: &[(&str, &str)], words: &str| {
        for remembered in [None, Some(World::begun().keyring())] {
            let mut world = World::new();
            keys.iter().for_each(|(key, text)| world.set(key, text));
            world.remembered = remembered;
            let Contents::Garbage(what) = world.contents() else { panic!("{:?}", world.contents()) };
            assert!(what.contains(words), "{what}");
            assert_eq!(world.plan(), Plan::default());
        }
    };
    check(&[("ca.crt", "junk")], "the key ca.crt: expected certificates in PEM form, found none");
    check(&[("tls.crt", &text("tls.crt")), ("tls.key", &text("tls.key"))], "the key ca.crt");
    check(&[("ca.key", &text("ca.key"))], "the key ca.crt");
    check(&[("ca.crt", &text("tls.crt"))], "a certificate in it is not one of an authority");
    check(&[("ca.crt", &text("ca.crt"))], "there is no usable ca.key");
    check(&[("ca.crt", &text("ca.crt")), ("ca.key", "junk"), ("tls.crt", "junk")], "the key ca.key: not a usable key");
    let torn = &text("ca.crt")[..200];
    check(&[("ca.crt", torn), ("ca.key", &text("ca.key"))], "the key ca.crt: expected certificates in PEM form");
}

#[test]
fn keys_of_others_stay_in_the_secret() {
    let mut world = World::new();
    world.set("note", "by hand");
    world.settle();
    world.pass(DAY * 400);
    assert_eq!(world.data["note"].0, b"by hand");
}

#[test]
fn the_certificate_has_the_names_of_the_service_and_of_this_machine() {
    let keyring = World::begun().keyring();
    let certificate = &keyring.leaf.as_ref().expect("a certificate").certificate;
    let verify = |name: &str| Leaf::verify(certificate, &keyring.trusted, name);
    for name in [
        "plimsoll.plimsoll-system.svc",
        "plimsoll.plimsoll-system.svc.cluster.local",
        "plimsoll.plimsoll-system",
        "plimsoll",
        "localhost",
        "127.0.0.1",
        "::1",
    ] {
        assert_eq!(verify(name), Ok(()), "{name}");
    }
    for name in ["plimsoll.elsewhere.svc", "svc", "127.0.0.2"] {
        assert!(verify(name).is_err(), "{name}");
    }
}

#[test]
fn an_authority_signs_nothing_that_outlives_it() {
    let mut world = World::begun();
    let end = world.keyring().signer_end().expect("an end");
    world.is_patched = false;
    world.now = end.minus(DAY * 10);
    assert_eq!(world.settle(), [Step::Renew, Step::Announce]);
    assert_eq!(world.keyring().validity().expect("valid").end, end);
    // Signing again would gain nothing.
    world.now = end.minus(HOUR);
    assert_eq!(world.settle(), []);
}

#[test]
fn services_are_a_namespace_and_a_name() {
    let read = |text: &str| text.parse::<ServiceName>();
    assert_eq!(read("plimsoll-system/plimsoll").expect("a Service").dns(), "plimsoll.plimsoll-system.svc");
    for bad in ["", "plimsoll", "/plimsoll", "a/", "a/b/c", "A/b", "a/-b", "a.b/c", "a/b\n"] {
        assert!(read(bad).is_err_and(|error| error.contains("expected NAMESPACE/NAME")), "{bad}");
    }
}
