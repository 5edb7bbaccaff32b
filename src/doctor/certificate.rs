//! The serving certificate: whether the kube-apiserver takes it by the `caBundle` of each APIService, and for how long.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::config::{duration, one_line};
use crate::doctor::facts::{Facts, Shown, argument};
use crate::doctor::registration::{available, is_ours, object};
use crate::doctor::{Check, Finding, ObjectName};
use crate::model::Timestamp;

/// The part of a life at whose end a certificate should have been renewed, at most the time below: the rule by which
/// Plimsoll itself becomes degraded. It renews at two thirds, as cert-manager does.
const EXPIRY_IS_NEAR: u32 = 5;
const EXPIRY_IS_NEAR_MAX: Duration = Duration::from_secs(14 * 24 * 3600);

const DAY_SECONDS: i64 = 24 * 3600;

/// Of more days nobody wants to know how many.
const COUNTED_DAYS: i64 = 1000;

/// Says that the CA injector of cert-manager keeps the caBundle, and whose CA it is: `NAMESPACE/CERTIFICATE`.
const INJECT_FROM: &str = "cert-manager.io/inject-ca-from";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let shown = match &facts.shown {
        Ok(shown) => shown,
        Err(why) => return vec![unseen(facts, why)],
    };
    let Some((own, intermediates)) = shown.chain.split_first() else {
        return vec![Check::Certificate.failure(place(shown), "no certificate is shown").fix(elsewhere(facts))];
    };
    let mut findings = vec![own_certificate(shown, own, facts)];
    let found = facts.api_services.iter().filter_map(|(name, asked)| Some((*name, asked.as_ref().ok()?.as_ref()?)));
    for (name, found) in found.filter(|(_, found)| is_ours(found, &facts.place.service)) {
        findings.push(bundle(name, found, (own, intermediates), facts));
    }
    findings
}

/// The certificates of a caBundle.
///
/// # Errors
/// Why it has none that can be used.
pub(super) fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| one_line(&format_args!("it is not in PEM form: {error}")))?;
    if read.is_empty() { Err("it has no certificate in PEM form".into()) } else { Ok(read) }
}

/// From when to when a certificate is valid.
///
/// # Errors
/// That it is no X.509 certificate.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), String> {
    let (_, read) = X509Certificate::from_der(certificate).map_err(|_| "it is no X.509 certificate".to_owned())?;
    let time = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
    Ok((time(read.validity().not_before.timestamp()), time(read.validity().not_after.timestamp())))
}

/// How long a certificate is good for, in words.
pub(super) fn days_left(until: Timestamp, now: Timestamp) -> String {
    let date = until.to_string();
    let date = date.split('T').next().unwrap_or_default();
    match (until.0 - now.0).div_euclid(1000) {
        seconds if seconds < 0 => format!("expired at {until}"),
        seconds if seconds < 2 * DAY_SECONDS => format!("valid for {} h more, until {until}", seconds / 3600),
        seconds if seconds < COUNTED_DAYS * DAY_SECONDS => {
            format!("valid for {} days more, until {date}", seconds / DAY_SECONDS)
        }
        _ => format!("valid until {date}"),
    }
}

/// Whether it should have been renewed by now.
pub(super) fn expires_soon((from, until): (Timestamp, Timestamp), now: Timestamp) -> bool {
    until < now.plus(renewed_before((from, until)))
}

/// How long before its end a certificate has been renewed, where that works.
fn renewed_before((from, until): (Timestamp, Timestamp)) -> Duration {
    (until.since(from) / EXPIRY_IS_NEAR).min(EXPIRY_IS_NEAR_MAX)
}

/// What is expected of one that expires soon.
pub(super) fn renewed(validity: (Timestamp, Timestamp)) -> String {
    format!("one that is renewed {} before its end", duration::write(renewed_before(validity)))
}

fn place(shown: &Shown) -> ObjectName {
    ObjectName::cluster("Certificate", &shown.place)
}

/// Nobody here can look at it; but the kube-apiserver has.
fn unseen(facts: &Facts, why: &str) -> Finding {
    let service = &facts.place.service;
    let object = ObjectName::cluster("Certificate", service.dns_name());
    let found = facts.api_services.iter().filter_map(|(_, asked)| asked.as_ref().ok()?.as_ref());
    let ours: Vec<_> = found.filter(|found| is_ours(found, service)).collect();
    let is_taken = |found: &&APIService| available(found).is_some_and(|condition| condition.status == "True");
    if !ours.is_empty() && ours.iter().all(is_taken) {
        return Check::Certificate.ok(object, format!("the kube-apiserver takes it; here it cannot be seen: {why}"));
    }
    Check::Certificate.unknown(object, format!("it cannot be seen from here: {why}")).fix(elsewhere(facts))
}

/// How to look from where it can be seen.
pub(super) fn elsewhere(facts: &Facts) -> String {
    let (namespace, name) = (&facts.place.service.namespace, &facts.place.service.name);
    let forward = format!(
        "kubectl -n {namespace} port-forward service/{name} 10250:443 & plimsoll doctor --server https://localhost:10250"
    );
    match facts.place.is_pod {
        true => forward,
        false => {
            format!(
                "kubectl -n {namespace} exec deploy/{name} -- /plimsoll doctor # certificate and targets alone\n{forward}"
            )
        }
    }
}

/// Whether it is a name of the API: nothing else is written into commands.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    text.bytes().all(is_plain) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Its time and its names.
fn own_certificate(shown: &Shown, own: &CertificateDer<'_>, facts: &Facts) -> Finding {
    let (now, wanted, object) = (facts.server_now(), facts.place.service.dns_name(), place(shown));
    let (from, until) = match validity(own) {
        Ok(validity) => validity,
        Err(what) => return Check::Certificate.failure(object, what),
    };
    let names = names(own);
    let fix = format!("kubectl -n {} logs deployment/{}", facts.place.service.namespace, facts.place.service.name);
    let finding = if until < now {
        Check::Certificate.failure(object, format!("it {}", days_left(until, now)))
    } else if now < from {
        Check::Certificate.failure(object, format!("it is not valid before {from}"))
    } else if !names.iter().any(|name| covers(name, &wanted)) {
        let has = if names.is_empty() { "none".into() } else { one_line(&names.join(", ")) };
        Check::Certificate
            .failure(object, format!("it lacks the name that the kube-apiserver asks for; it has {has}"))
            .expected(format!("the DNS name {wanted} (subjectAltName)"))
    } else if expires_soon((from, until), now) {
        let finding = Check::Certificate.warning(object, format!("it is {}", days_left(until, now)));
        finding.expected(renewed((from, until)))
    } else {
        return Check::Certificate.ok(object, format!("has the name {wanted}, {}", days_left(until, now)));
    };
    finding.fix(format!("{fix} | grep -i certificate"))
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, read)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternative)) = read.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}

/// A first label `*` stands for any one.
fn covers(name: &str, wanted: &str) -> bool {
    let rest = |text: &str| text.split_once('.').map(|(_, rest)| rest.to_ascii_lowercase());
    name.eq_ignore_ascii_case(wanted) || (name.starts_with("*.") && rest(name) == rest(wanted))
}

fn bundle(
    name: &str,
    found: &APIService,
    (own, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    facts: &Facts,
) -> Finding {
    let (object, now) = (object(name), facts.server_now());
    let pem = found.spec.as_ref().and_then(|spec| spec.ca_bundle.as_ref());
    let judged = match pem.filter(|pem| !pem.0.is_empty()) {
        None => Err("has no caBundle: the kube-apiserver goes by the roots of its machine".to_owned()),
        Some(pem) => authorities(&pem.0).map_err(|what| format!("has a caBundle that cannot be used: {what}")),
    };
    let judged = judged.and_then(|roots| {
        let verify =
            |roots: &[CertificateDer<'_>]| verify(roots, own, intermediates, &facts.place.service.dns_name(), now);
        verify(&roots).map_err(|what| format!("has a caBundle that does not fit the serving certificate: {what}"))?;
        // What is trusted is trusted at any time here, and by the kube-apiserver while it is valid alone.
        let is_valid = |root: &CertificateDer<'_>| validity(root).is_ok_and(|it| (it.0..=it.1).contains(&now));
        let valid: Vec<_> = roots.iter().filter(|root| is_valid(root)).cloned().collect();
        verify(&valid).map_err(|_| outdated(&roots, now))?;
        Ok(roots)
    });
    match judged {
        Err(what) => Check::Certificate
            .failure(object, what)
            .expected("the CA that has signed the serving certificate")
            .fix(mend(name, found, facts)),
        Ok(roots) => fitting(name, found, &roots, facts),
    }
}

/// A bundle that would fit at another time.
fn outdated(roots: &[CertificateDer<'_>], now: Timestamp) -> String {
    let ends = roots.iter().filter_map(|root| Some(validity(root).ok()?.1)).filter(|until| *until < now);
    match ends.max() {
        Some(until) => format!("has a caBundle whose CA {}", days_left(until, now)),
        None => "has a caBundle whose CA is not valid yet".into(),
    }
}

/// For how long the last of the bundle is good.
fn fitting(name: &str, found: &APIService, roots: &[CertificateDer<'_>], facts: &Facts) -> Finding {
    let (object, now) = (object(name), facts.server_now());
    let last = roots.iter().filter_map(|root| validity(root).ok()).max_by_key(|(_, until)| *until);
    let Some((from, until)) = last else { return Check::Certificate.ok(object, "its caBundle fits") };
    let left = days_left(until, now);
    if expires_soon((from, until), now) {
        let finding = Check::Certificate.warning(object, format!("its caBundle fits, and is {left}"));
        return finding.expected(renewed((from, until))).fix(mend(name, found, facts));
    }
    Check::Certificate.ok(object, format!("its caBundle fits, {left}"))
}

/// How to have a bundle that fits: of who keeps it, and by hand where nobody does. No command writes an empty one.
fn mend(name: &str, found: &APIService, facts: &Facts) -> String {
    let namespace = &facts.place.service.namespace;
    let injected = annotation(found, INJECT_FROM).and_then(|certificate| certificate.split_once('/'));
    if let Some((namespace, certificate)) = injected.filter(|(namespace, name)| is_name(namespace) && is_name(name)) {
        return format!(
            "kubectl -n {namespace} describe certificate {certificate} # cert-manager writes this caBundle: {INJECT_FROM}"
        );
    }
    let secret = argument(&facts.deployment, "--tls-self-managed-secret");
    if let Some(secret) = secret.filter(|secret| is_name(secret)) {
        return format!(
            "ca=$(kubectl -n {namespace} get secret {secret} -o jsonpath='{{.data.ca\\.crt}}') && test -n \"$ca\" && {}",
            patch(name, "$ca")
        );
    }
    let owner = owner(found).map_or_else(String::new, |owner| format!("; {} applies this caBundle", one_line(&owner)));
    let command = patch(name, "$(base64 < ca.crt | tr -d '\\n')");
    format!("test -s ca.crt && {command} # ca.crt: the CA of the serving certificate{owner}")
}

fn patch(name: &str, bundle: &str) -> String {
    format!(
        "kubectl patch apiservice {name} --type=merge -p \"{{\\\"spec\\\":{{\\\"caBundle\\\":\\\"{bundle}\\\"}}}}\""
    )
}

fn annotation<'a>(found: &'a APIService, key: &str) -> Option<&'a str> {
    found.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// The field manager whose caBundle it is.
fn owner(found: &APIService) -> Option<&str> {
    let has = |fields: &serde_json::Value| fields["f:spec"].get("f:caBundle").is_some();
    let entries = found.metadata.managed_fields.iter().flatten();
    let mut owners = entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| has(&fields.0)));
    owners.find_map(|entry| entry.manager.as_deref())
}

/// Whether a chain is one that the kube-apiserver takes.
pub(super) fn verify(
    roots: &[CertificateDer<'_>],
    own: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &str,
    now: Timestamp,
) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    let usable = store.add_parsable_certificates(roots.iter().cloned().map(CertificateDer::into_owned)).0;
    if usable == 0 {
        return Err("none of its certificates can be used".into());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::new(ring::default_provider()));
    let verifier = verifier.build().map_err(|error| one_line(&error))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|error| one_line(&error))?;
    let now = UnixTime::since_unix_epoch(now.since(Timestamp(0)));
    match verifier.verify_server_cert(own, intermediates, &server, &[], now) {
        // Who signs itself is in the bundle itself; other verifiers than this one take that.
        _ if roots.iter().any(|root| **root == **own) => Ok(()),
        // A CA that was made anew has the name of the old one, and another key.
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            Err("it is signed by another CA".into())
        }
        // The name is told of the certificate itself.
        Ok(_)
        | Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Ok(()),
        Err(error) => Err(one_line(&error)),
    }
}
