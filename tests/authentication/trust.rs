use axum::http::{HeaderMap, HeaderName, HeaderValue};
use plimsoll::model::Timestamp;
use plimsoll::serving::authentication::{Flaw, Refusal, RequestHeaderTrust};
use rustls::pki_types::CertificateDer;

use crate::harness::pki::{Authority, Leaf, data};

const CA: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const USERNAME: &str = "requestheader-username-headers";
const UID: &str = "requestheader-uid-headers";
const GROUP: &str = "requestheader-group-headers";
const EXTRA_PREFIX: &str = "requestheader-extra-headers-prefix";

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn trust(authority: &Authority, allowed_names: &str) -> RequestHeaderTrust {
    RequestHeaderTrust::read(&data(&authority.pem(), allowed_names)).expect("a good ConfigMap")
}

#[test]
fn only_a_valid_client_certificate_of_the_ca_with_an_allowed_name_is_believed() {
    let (ours, other) = (Authority::new("front-proxy-ca"), Authority::new("front-proxy-ca"));
    let trust = trust(&ours, r#"["front-proxy-client","second"]"#);
    let check = |what: &str, leaf: Leaf<'_>, authority: &Authority, want: Result<(), Refusal>| {
        assert_eq!(trust.verify(&[authority.sign(&leaf).certificate], NOW), want, "{what}");
    };
    let leaf = || Leaf::client("front-proxy-client", NOW);
    let flaw = |flaw| Err(Refusal::Certificate(flaw));
    check("good", leaf(), &ours, Ok(()));
    check("the second name", Leaf::client("second", NOW), &ours, Ok(()));
    check("another CA of the same name", leaf(), &other, flaw(Flaw::Issuer));
    check("another name", Leaf::client("kubelet", NOW), &ours, Err(Refusal::Name));
    check("no name", Leaf::client("", NOW), &ours, Err(Refusal::Name));
    check("no longer valid", Leaf { days: -20..-1, ..leaf() }, &ours, flaw(Flaw::Expired));
    check("not yet valid", Leaf { days: 1..20, ..leaf() }, &ours, flaw(Flaw::NotYetValid));
    check("for servers", Leaf { is_for_servers: true, ..leaf() }, &ours, flaw(Flaw::Purpose));
    assert_eq!(trust.verify(&[], NOW), Err(Refusal::NoCertificate));
    assert_eq!(trust.verify(&[CertificateDer::from(vec![1, 2, 3])], NOW), flaw(Flaw::Unverifiable));
}

#[test]
fn intermediates_that_the_client_sends_are_used() {
    let root = Authority::new("root");
    let intermediate = root.authority("intermediate");
    let leaf = intermediate.sign(&Leaf::client("front-proxy-client", NOW));
    let trust = trust(&root, r#"["front-proxy-client"]"#);
    assert_eq!(trust.verify(std::slice::from_ref(&leaf.certificate), NOW), Err(Refusal::Certificate(Flaw::Issuer)));
    assert_eq!(trust.verify(&[leaf.certificate, intermediate.certificate()], NOW), Ok(()));
}

#[test]
fn without_allowed_names_any_name_will_do() {
    let authority = Authority::new("front-proxy-ca");
    for allowed in ["[]", "null", ""] {
        let leaf = authority.sign(&Leaf::client("whoever", NOW));
        assert_eq!(trust(&authority, allowed).verify(&[leaf.certificate], NOW), Ok(()), "{allowed:?}");
    }
    let leaf = authority.sign(&Leaf::client("", NOW));
    assert_eq!(trust(&authority, "[]").verify(&[leaf.certificate], NOW), Ok(()));
}

#[test]
fn a_bundle_trusts_each_of_its_authorities() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let bundle = format!("{}\n# the next one\n{}", old.pem(), new.pem());
    let trust = RequestHeaderTrust::read(&data(&bundle, "[]")).expect("a good ConfigMap");
    assert_eq!(trust.authorities(), 2);
    for authority in [old, new] {
        let leaf = authority.sign(&Leaf::client("front-proxy-client", NOW));
        assert_eq!(trust.verify(&[leaf.certificate], NOW), Ok(()));
    }
}

#[test]
fn what_is_wrong_with_the_config_map_is_said_with_its_key() {
    let good = data(&Authority::new("front-proxy-ca").pem(), "[]");
    let check = |key: &str, value: Option<&str>, want: &str| {
        let mut data = good.clone();
        match value {
            Some(value) => drop(data.insert(key.into(), value.into())),
            None => drop(data.remove(key)),
        }
        let error = RequestHeaderTrust::read(&data).expect_err(key).to_string();
        assert!(error.starts_with(&format!("the key {key}")) && error.contains(want), "{error}");
        assert!(!error.contains('\n') && error.len() < 500, "{error}");
    };
    check(CA, None, "is missing");
    check(CA, Some(" \n"), "is missing");
    check(CA, Some("junk"), "expected certificates in PEM form, found none");
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA";
    check(CA, Some(cut), "not in PEM form");
    check(CA, Some(&format!("{cut}\n-----END CERTIFICATE-----\n")), "not a usable certificate");
    check(USERNAME, None, "is missing");
    check(USERNAME, Some("[]"), "is missing");
    check(USERNAME, Some("X-Remote-User"), "expected a JSON array of strings, found \"X-Remote-User\"");
    check(GROUP, Some("[\"a b\"]"), "expected names of HTTP headers, found \"a b\"");
    check(UID, Some("[1]"), "expected a JSON array of strings");
    check(EXTRA_PREFIX, Some("{"), "expected a JSON array of strings");
    check(ALLOWED_NAMES, Some(&"[".repeat(10_000)), "…");
}

#[test]
fn header_names_are_taken_in_any_case_and_an_empty_prefix_is_none() {
    let mut data = data(&Authority::new("front-proxy-ca").pem(), "[]");
    let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    };
    let mut asked = headers(&[("x-remote-user", "alice"), ("x-remote-extra-a", "1"), ("accept", "*/*")]);
    data.insert(EXTRA_PREFIX.into(), r#"["X-Remote-Extra-",""]"#.into());
    let trust = RequestHeaderTrust::read(&data).expect("a good ConfigMap");
    let user = trust.user(&asked).expect("a user");
    assert_eq!((user.name.as_str(), user.groups.as_slice()), ("alice", &["system:authenticated".to_owned()][..]));
    assert_eq!(user.extra.keys().collect::<Vec<_>>(), ["a"]);
    trust.remove_identity(&mut asked);
    assert_eq!(asked, headers(&[("accept", "*/*")]));
    data.remove(EXTRA_PREFIX);
    let asked = headers(&[("x-remote-user", "alice"), ("x-remote-extra-a", "1")]);
    assert_eq!(RequestHeaderTrust::read(&data).expect("a good ConfigMap").user(&asked).expect("a user").extra.len(), 0);
}

#[test]
fn what_else_the_config_map_holds_does_not_make_another_trust() {
    let mut data = data(&Authority::new("front-proxy-ca").pem(), "[]");
    let read = |data: &_| RequestHeaderTrust::read(data).expect("a good ConfigMap");
    let before = read(&data);
    data.insert("client-ca-file".into(), "another".into());
    assert!(before == read(&data));
    data.insert(ALLOWED_NAMES.into(), r#"["front-proxy-client"]"#.into());
    assert!(before != read(&data));
}
