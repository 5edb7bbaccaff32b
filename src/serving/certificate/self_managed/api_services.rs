//! The APIServices by which a kube-apiserver comes to us: what they trust, and the patch that makes it the right thing.
//! Where somebody else claims the bundle nothing is patched ([`claimant`]).

use std::fmt;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use k8s_openapi::{ByteString, kube_aggregator::pkg::apis::apiregistration::v1::ServiceReference};
use kube::ResourceExt;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::keeper::FIELD_MANAGER;
use super::plan::Trust;
use crate::config::one_line;
use crate::model::excerpt;
use crate::serving::certificate::object_watch::Sighting;

/// The Service in front of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    pub namespace: String,
    pub name: String,
}

/// By these annotations the injector of cert-manager is told to write the bundle, and from what.
const INJECTED: [&str; 3] =
    ["cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret", "cert-manager.io/inject-apiserver-ca"];

/// What `kubectl apply` on the side of the client was given last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

// === impl ServiceName ===

impl ServiceName {
    /// The name that a kube-apiserver asks for, and finds in the certificate.
    pub fn dns(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// All names that the certificate has, [`Self::dns`] first: the others are for people and for ports that are
    /// forwarded.
    pub(super) fn names(&self) -> Vec<String> {
        let (name, dns) = (&self.name, self.dns());
        let cluster = format!("{dns}.cluster.local");
        let short = [name.clone(), format!("{name}.{}", self.namespace)];
        let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        [dns, cluster].into_iter().chain(short).chain(local).collect()
    }

    /// Whether it is the one that an APIService names.
    pub(in crate::serving) fn is_in(&self, reference: &ServiceReference) -> bool {
        reference.name.as_ref() == Some(&self.name) && reference.namespace.as_ref() == Some(&self.namespace)
    }
}

impl Default for ServiceName {
    /// As the shipped manifests have it.
    fn default() -> Self {
        Self { namespace: "plimsoll-system".into(), name: "plimsoll".into() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl std::str::FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("expected NAMESPACE/NAME, for example plimsoll-system/plimsoll, found {text:?}");
        let (namespace, name) = text.split_once('/').ok_or_else(malformed)?;
        let is_label = |part: &str| {
            let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=63).contains(&part.len())
                && part.chars().all(is_inner)
                && !part.starts_with('-')
                && !part.ends_with('-')
        };
        if !is_label(namespace) || !is_label(name) {
            return Err(malformed());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// What an APIService says of whom to trust.
pub(super) fn trust(sighting: &Sighting<APIService>, service: &ServiceName) -> Trust {
    let object = match sighting {
        Sighting::NotYet | Sighting::Unreadable(_) => return Trust::Unknown,
        Sighting::Absent => return Trust::NotOurs,
        Sighting::Present(object) => object,
    };
    let Some(spec) = &object.spec else { return Trust::NotOurs };
    if !spec.service.as_ref().is_some_and(|reference| service.is_in(reference)) {
        return Trust::NotOurs;
    }
    let verifies = !spec.insecure_skip_tls_verify.unwrap_or_default();
    let bundle = bundle(object);
    if claimant(object).is_some() { Trust::Claimed { bundle } } else { Trust::Ours { bundle, verifies } }
}

/// What someone should know of an APIService; `None` when all is well, or when it is not there. `wanted` is the bundle of
/// the Secret, where it is known.
pub(super) fn remark(
    sighting: &Sighting<APIService>,
    described: &str,
    service: &ServiceName,
    wanted: Option<&str>,
) -> Option<String> {
    let object = match sighting {
        Sighting::NotYet | Sighting::Absent => return None,
        Sighting::Unreadable(why) => return Some(format!("{why}; its caBundle is not kept")),
        Sighting::Present(object) => object,
    };
    let to = match object.spec.as_ref().and_then(|spec| spec.service.as_ref()) {
        Some(reference) if service.is_in(reference) => return claimed(object, described, wanted?),
        Some(reference) => excerpt(&format_args!(
            "to Service {}/{}",
            reference.namespace.as_deref().unwrap_or_default(),
            reference.name.as_deref().unwrap_or_default()
        )),
        None => "to no Service".to_owned(),
    };
    Some(format!("{described} leads {to} and not to {service}: its caBundle is not touched"))
}

/// What follows from a claim; `None` where nobody claims the bundle, or where it has ours.
fn claimed(object: &APIService, described: &str, wanted: &str) -> Option<String> {
    let claimant = claimant(object).filter(|_| !bundle(object).contains(wanted))?;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    Some(format!(
        "the caBundle of {described} belongs to {claimant} and is not the CA in use here: it is left alone; to have it kept          here, take it from there, and then: kubectl patch apiservice {name} --type=merge -p          '{{\"spec\":{{\"caBundle\":null}}}}'"
    ))
}

/// Who says what the bundle has to be: cert-manager, told so by an annotation; or whoever applied an object with a bundle,
/// which is a declaration. All other writes are none, as those of a script or an editor: what they leave is mended. Nor is
/// an empty bundle, by which nobody could be trusted.
fn claimant(object: &APIService) -> Option<String> {
    let annotation = |key: &&str| object.annotations().get(*key).is_some_and(|value| !value.is_empty());
    if let Some(key) = INJECTED.iter().find(|key| annotation(key)) {
        return Some(format!("cert-manager (annotation {key})"));
    }
    if bundle(object).is_empty() {
        return None;
    }
    let applied = applied_by(&object.metadata).map(|manager| format!("{} (server-side apply)", one_line(&manager)));
    applied.or_else(|| is_last_applied(object).then(|| "who applied it (kubectl apply)".to_owned()))
}

/// The field manager that applied the bundle on the side of the server.
fn applied_by(metadata: &ObjectMeta) -> Option<&str> {
    let entries = metadata.managed_fields.iter().flatten();
    let mut applied = entries.filter(|entry| entry.operation.as_deref() == Some("Apply")).filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:caBundle").is_some())
    });
    applied.find_map(|entry| entry.manager.as_deref().filter(|manager| *manager != FIELD_MANAGER))
}

/// Whether the bundle there is the one that was applied on the side of the client.
fn is_last_applied(object: &APIService) -> bool {
    let applied = object.annotations().get(LAST_APPLIED);
    let applied: Option<APIService> = applied.and_then(|text| serde_json::from_str(text).ok());
    applied.is_some_and(|applied| bundle(&applied) == bundle(object))
}

/// The manager that wrote the object last, where it is another one than we.
pub(super) fn rival(metadata: &ObjectMeta) -> Option<String> {
    let entries = metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
    let last = entries.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    last.manager.as_deref().filter(|manager| *manager != FIELD_MANAGER).map(|manager| one_line(&manager))
}

fn bundle(object: &APIService) -> String {
    let bundle = object.spec.as_ref().and_then(|spec| spec.ca_bundle.as_ref());
    bundle.map(|ByteString(bundle)| String::from_utf8_lossy(bundle).into_owned()).unwrap_or_default()
}

/// Sets the bundle, and verification where it is off: who declares that it is on keeps the field. The version makes sure
/// that nobody has changed it meanwhile.
pub(super) fn patch(object: &APIService, bundle: &str) -> Value {
    let mut spec = json!({"caBundle": ByteString(bundle.as_bytes().to_vec())});
    if object.spec.as_ref().is_some_and(|spec| spec.insecure_skip_tls_verify.unwrap_or_default()) {
        spec["insecureSkipTLSVerify"] = false.into();
    }
    json!({"metadata": {"resourceVersion": object.metadata.resource_version}, "spec": spec})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An APIService that leads here, trusts "theirs", and has this in its metadata.
    fn object(metadata: &Value) -> APIService {
        let service = json!({"namespace": "plimsoll-system", "name": "plimsoll"});
        let spec = json!({"service": service, "caBundle": "dGhlaXJz", "groupPriorityMinimum": 1, "versionPriority": 1});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("an APIService")
    }

    fn manages(manager: &str, operation: &str, spec: &Value) -> Value {
        json!({"managedFields": [{"manager": manager, "operation": operation, "fieldsV1": {"f:spec": spec}}]})
    }

    #[test]
    fn a_bundle_belongs_to_who_applied_it_or_told_cert_manager_to_write_it() {
        let bundle = json!({"f:caBundle": {}});
        let last_applied = |bundle: &str| {
            let text =
                json!({"metadata": {}, "spec": {"caBundle": bundle, "groupPriorityMinimum": 1, "versionPriority": 1}});
            json!({"annotations": {LAST_APPLIED: text.to_string()}})
        };
        for (metadata, expected) in [
            (json!({}), ""),
            (manages("kubectl-patch", "Update", &bundle), ""),
            (manages("plimsoll", "Apply", &bundle), ""),
            (manages("kubectl", "Apply", &json!({"f:service": {}})), ""),
            (manages("kubectl", "Apply", &bundle), "kubectl (server-side apply)"),
            (manages("two\nlines", "Apply", &bundle), "two\\nlines (server-side apply)"),
            (last_applied("dGhlaXJz"), "who applied it (kubectl apply)"),
            (last_applied("b3Vycw=="), ""),
            (json!({"annotations": {LAST_APPLIED: "no JSON"}}), ""),
            (
                json!({"annotations": {INJECTED[0]: "ns/name"}}),
                "cert-manager (annotation cert-manager.io/inject-ca-from)",
            ),
            (json!({"annotations": {INJECTED[0]: ""}}), ""),
        ] {
            assert_eq!(claimant(&object(&metadata)).unwrap_or_default(), expected, "{metadata}");
        }
    }

    #[test]
    fn an_empty_bundle_is_claimed_by_nobody_but_cert_manager() {
        let service = "plimsoll-system/plimsoll".parse().expect("a Service");
        let claimed = |metadata: &Value| {
            let mut object = object(metadata);
            object.spec.as_mut().expect("a spec").ca_bundle = None;
            matches!(trust(&Sighting::Present(Arc::new(object)), &service), Trust::Claimed { .. })
        };
        assert!(!claimed(&manages("kubectl", "Apply", &json!({"f:caBundle": {}}))));
        assert!(claimed(&json!({"annotations": {INJECTED[0]: "ns/name"}})));
    }

    #[test]
    fn a_claim_is_remarked_where_the_bundle_is_not_ours() {
        let service = "plimsoll-system/plimsoll".parse().expect("a Service");
        let object = object(&manages("kubectl", "Apply", &json!({"f:caBundle": {}})));
        let sighting = Sighting::Present(Arc::new(object));
        let remark = |wanted| remark(&sighting, "APIService it", &service, wanted);
        assert_eq!((remark(None), remark(Some("theirs"))), (None, None));
        let said = remark(Some("ours")).expect("a remark");
        assert!(said.starts_with("the caBundle of APIService it belongs to kubectl (server-side apply)"), "{said}");
    }
}
