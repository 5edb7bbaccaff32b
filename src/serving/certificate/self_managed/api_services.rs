//! The APIServices by which a kube-apiserver comes to us: what they trust, and the patch that makes it the right thing.

use std::fmt;

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use k8s_openapi::{ByteString, kube_aggregator::pkg::apis::apiregistration::v1::ServiceReference};
use serde_json::{Value, json};

use super::plan::Trust;
use crate::model::excerpt;
use crate::serving::certificate::object_watch::Sighting;

/// The Service in front of all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    pub namespace: String,
    pub name: String,
}

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

    fn is_in(&self, reference: &ServiceReference) -> bool {
        reference.name.as_ref() == Some(&self.name) && reference.namespace.as_ref() == Some(&self.namespace)
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
    let bundle = spec.ca_bundle.as_ref().map(|ByteString(bundle)| String::from_utf8_lossy(bundle).into_owned());
    let verifies = !spec.insecure_skip_tls_verify.unwrap_or_default();
    Trust::Ours { bundle: bundle.unwrap_or_default(), verifies }
}

/// What someone should know of an APIService; `None` when all is well, or when it is not there.
pub(super) fn remark(sighting: &Sighting<APIService>, described: &str, service: &ServiceName) -> Option<String> {
    match sighting {
        Sighting::NotYet | Sighting::Absent => None,
        Sighting::Unreadable(why) => Some(format!("{why}; its caBundle is not kept")),
        Sighting::Present(object) => {
            let reference = object.spec.as_ref().and_then(|spec| spec.service.as_ref());
            let to = match reference {
                Some(reference) if service.is_in(reference) => return None,
                Some(reference) => excerpt(&format_args!(
                    "to Service {}/{}",
                    reference.namespace.as_deref().unwrap_or_default(),
                    reference.name.as_deref().unwrap_or_default()
                )),
                None => "to no Service".to_owned(),
            };
            Some(format!("{described} leads {to} and not to {service}: its caBundle is not touched"))
        }
    }
}

/// Sets the bundle, and verification. The version makes sure that nobody has changed it meanwhile.
pub(super) fn patch(object: &APIService, bundle: &str) -> Value {
    json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "spec": {"caBundle": ByteString(bundle.as_bytes().to_vec()), "insecureSkipTLSVerify": null},
    })
}
