//! What the cluster says of its front proxy, read from the ConfigMap, and the judgement of a certificate by it. Pure.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::model::{Timestamp, excerpt};
use crate::serving::authentication::authority::Authority;
use crate::serving::authentication::user::IdentityHeaders;
use crate::serving::authentication::{ClientTrust, Refusal, User};

/// Whom to believe what they say of a user, and which headers say it.
#[derive(Debug)]
pub struct RequestHeaderTrust {
    authority: Authority,
    /// Empty: any name will do.
    allowed_names: Vec<String>,
    headers: IdentityHeaders,
    /// What it was read from.
    data: BTreeMap<String, String>,
}

/// What is wrong with the ConfigMap.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("the key {0} is missing; a kube-apiserver writes it that runs with the flag --{0}")]
    Missing(&'static str),
    #[error("the key {key}: {what}")]
    Bad { key: &'static str, what: String },
}

const CA: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const USERNAME: &str = "requestheader-username-headers";
const UID: &str = "requestheader-uid-headers";
const GROUP: &str = "requestheader-group-headers";
const EXTRA_PREFIX: &str = "requestheader-extra-headers-prefix";
const KEYS: [&str; 6] = [CA, ALLOWED_NAMES, USERNAME, UID, GROUP, EXTRA_PREFIX];

// === impl RequestHeaderTrust ===

impl RequestHeaderTrust {
    /// Reads the data of ConfigMap `kube-system/extension-apiserver-authentication`.
    ///
    /// # Errors
    /// [`TrustError`], which names the key.
    pub fn read(data: &BTreeMap<String, String>) -> Result<Self, TrustError> {
        let authority = authority(data)?;
        let username = header_names(data, USERNAME)?;
        if username.is_empty() {
            return Err(TrustError::Missing(USERNAME));
        }
        let mut extra_prefixes = list(data, EXTRA_PREFIX)?;
        // An empty one would make an identity of every header.
        extra_prefixes.retain(|prefix| !prefix.is_empty());
        extra_prefixes.iter_mut().for_each(|prefix| prefix.make_ascii_lowercase());
        let (uid, groups) = (header_names(data, UID)?, header_names(data, GROUP)?);
        let headers = IdentityHeaders { username, uid, groups, extra_prefixes };
        let allowed_names = list(data, ALLOWED_NAMES)?;
        let data = data.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
        let data = data.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { authority, allowed_names, headers, data })
    }

    /// Whether a chain, the client's own certificate first, is that of the front proxy.
    ///
    /// # Errors
    /// [`Refusal`] of a chain that does not lead to the CA, is not valid `now`, is not meant for clients, or has
    /// another name.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), Refusal> {
        let own = self.authority.verify(chain, now)?;
        if self.allowed_names.is_empty() || common_name(own).is_some_and(|name| self.allowed_names.contains(&name)) {
            return Ok(());
        }
        Err(Refusal::Name)
    }

    /// The user that the headers name. It means something in a request of the front proxy only.
    ///
    /// # Errors
    /// [`Refusal`] when they name none, or not in text.
    pub fn user(&self, headers: &HeaderMap) -> Result<User, Refusal> {
        Ok(self.headers.read(headers)?.authenticated())
    }

    /// Takes the identity out of a request, so that nobody behind reads what nobody has checked.
    pub fn remove_identity(&self, headers: &mut HeaderMap) {
        self.headers.remove_from(headers);
    }

    /// How many certificates the CA has.
    pub fn authorities(&self) -> usize {
        self.authority.size()
    }

    /// Whether whoever has a certificate of a user could name any other: it counts as one of the front proxy.
    pub(super) fn lets_users_impersonate(&self, clients: &ClientTrust) -> bool {
        self.allowed_names.is_empty() && self.authority.overlaps(&clients.authority)
    }
}

impl PartialEq for RequestHeaderTrust {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
    }
}

fn authority(data: &BTreeMap<String, String>) -> Result<Authority, TrustError> {
    let pem = data.get(CA).filter(|pem| !pem.trim().is_empty()).ok_or(TrustError::Missing(CA))?;
    Authority::read(pem).map_err(|what| TrustError::Bad { key: CA, what })
}

/// The last common name of the subject: only one is usual, and Go takes the last.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().last()?;
    name.as_str().ok().map(str::to_owned)
}

/// The strings of a JSON array; none where the key is absent.
fn list(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<String>, TrustError> {
    let Some(json) = data.get(key).filter(|json| !json.trim().is_empty()) else { return Ok(Vec::new()) };
    // `null` is what Go writes for a list without entries.
    let list = serde_json::from_str::<Option<Vec<String>>>(json);
    let bad = |_| TrustError::Bad {
        key,
        what: format!("expected a JSON array of strings, found {}", excerpt(&format_args!("{json:?}"))),
    };
    Ok(list.map_err(bad)?.unwrap_or_default())
}

fn header_names(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<HeaderName>, TrustError> {
    let name = |name: String| {
        let found = excerpt(&format_args!("{name:?}"));
        let bad = |_| TrustError::Bad { key, what: format!("expected names of HTTP headers, found {found}") };
        HeaderName::from_bytes(name.as_bytes()).map_err(bad)
    };
    list(data, key)?.into_iter().map(name).collect()
}
