//! Whom Plimsoll believes that it asks for others: ConfigMap `kube-system/extension-apiserver-authentication`.

use std::collections::BTreeMap;

use crate::doctor::certificate::{authorities, days_left, expires_soon, renewed, validity};
use crate::doctor::facts::Facts;
use crate::doctor::{Check, Finding, ObjectName};
use crate::model::{Timestamp, excerpt};
use crate::serving::authentication::RequestHeaderTrust;

pub(super) const NAMESPACE: &str = "kube-system";
pub(super) const NAME: &str = "extension-apiserver-authentication";

const CA: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const CLIENT_CA: &str = "client-ca-file";

const FLAGS: &str = "kube-apiserver --requestheader-client-ca-file=FILE --requestheader-allowed-names=front-proxy-client \
     --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
     --requestheader-extra-headers-prefix=X-Remote-Extra-";

/// `kubeadm certs renew` renews what a CA has signed, and never a CA. A new one is made where the files are gone.
const RENEW: &str = "mkdir front-proxy && mv /etc/kubernetes/pki/front-proxy-* front-proxy/ # on one node of the control plane\n\
     kubeadm init phase certs front-proxy-ca && kubeadm init phase certs front-proxy-client # there\n\
     # then copy /etc/kubernetes/pki/front-proxy-* to the others, and restart each kube-apiserver; without kubeadm:\n\
     kube-apiserver --requestheader-client-ca-file=FILE --proxy-client-cert-file=FILE --proxy-client-key-file=FILE";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let object = ObjectName::namespaced("ConfigMap", NAMESPACE, NAME);
    let data = match &facts.authentication {
        Err(why) => return vec![Check::RequestHeader.unknown(object, why)],
        Ok(None) => {
            let finding = Check::RequestHeader.failure(object, "does not exist: nobody's requests can be believed");
            return vec![finding.expected("a kube-apiserver writes it within a minute").fix(FLAGS)];
        }
        Ok(Some(found)) => found.data.clone().unwrap_or_default(),
    };
    if let Err(error) = RequestHeaderTrust::read(&data) {
        let finding = Check::RequestHeader.failure(object, error.to_string());
        return vec![finding.expected("the CA of the front proxy and the names of its headers").fix(FLAGS)];
    }
    let authority = of_authority(object.clone(), &data, facts.server_now());
    [authority].into_iter().chain(of_names(object, &data)).collect()
}

/// When the last of the CA expires.
fn of_authority(object: ObjectName, data: &BTreeMap<String, String>, now: Timestamp) -> Finding {
    let pem = data.get(CA).map(String::as_str).unwrap_or_default();
    let roots = authorities(pem.as_bytes()).unwrap_or_default();
    let last = roots.iter().filter_map(|root| validity(root).ok()).max_by_key(|(_, until)| *until);
    let Some((from, until)) = last else {
        return Check::RequestHeader.unknown(object, "its CA does not say until when");
    };
    let left = days_left(until, now);
    if until < now {
        let finding = Check::RequestHeader.failure(object, format!("the requestheader CA {left}"));
        return finding.expected("a CA that is valid: without it every request is refused").fix(RENEW);
    }
    if expires_soon((from, until), now) {
        let finding = Check::RequestHeader.warning(object, format!("the requestheader CA is {left}"));
        return finding.expected(renewed((from, until))).fix(RENEW);
    }
    let names = data.get(ALLOWED_NAMES).map_or_else(String::new, |names| format!(", names {}", excerpt(names)));
    Check::RequestHeader.ok(object, format!("requestheader CA {left}{names}"))
}

/// Who may speak for others by it.
fn of_names(object: ObjectName, data: &BTreeMap<String, String>) -> Option<Finding> {
    let list = data.get(ALLOWED_NAMES).and_then(|names| serde_json::from_str::<Option<Vec<String>>>(names).ok());
    let is_open = list.flatten().unwrap_or_default().is_empty();
    let of = |key: &str| data.get(key).and_then(|pem| authorities(pem.as_bytes()).ok()).unwrap_or_default();
    let (front, clients) = (of(CA), of(CLIENT_CA));
    let is_shared = front.iter().any(|root| clients.contains(root));
    match (is_shared, is_open) {
        (true, true) => Some(
            Check::RequestHeader
                .failure(
                    object,
                    "the requestheader CA signs users too, and any name is allowed: any of them is believed \
                     to be anybody",
                )
                .expected("a CA for the front proxy alone, and its name")
                .fix("kube-apiserver --requestheader-allowed-names=front-proxy-client"),
        ),
        (true, false) => Some(
            Check::RequestHeader
                .warning(object, "the requestheader CA signs users too: only the allowed names keep them apart")
                .expected("a CA for the front proxy alone")
                .fix("kube-apiserver --requestheader-client-ca-file=FILE"),
        ),
        (false, true) => Some(
            Check::RequestHeader
                .warning(object, "any name is allowed that the requestheader CA has signed")
                .expected("the name of the front proxy")
                .fix("kube-apiserver --requestheader-allowed-names=front-proxy-client"),
        ),
        (false, false) => None,
    }
}
