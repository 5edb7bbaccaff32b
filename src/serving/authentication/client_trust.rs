//! The users of a cluster that have certificates: by which authority, and whom a certificate names. Pure.

use std::collections::BTreeMap;

use ring::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AttributeTypeAndValue;

use crate::model::Timestamp;
use crate::serving::authentication::authority::Authority;
use crate::serving::authentication::{Flaw, Refusal, TrustError, User};

/// Whose certificates name users.
#[derive(Debug)]
pub struct ClientTrust {
    authority: Authority,
    /// What it was read from.
    pem: String,
}

pub(super) const CA: &str = "client-ca-file";

/// With which certificate a user came, as Kubernetes calls it.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The attribute of a subject in which Kubernetes keeps a UID: 1.3.6.1.4.1.57683.2.
const UID: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xc2, 0x53, 2];

// === impl ClientTrust ===

impl ClientTrust {
    /// Reads the data of ConfigMap `kube-system/extension-apiserver-authentication`. A cluster whose users have no
    /// certificates has no such key.
    ///
    /// # Errors
    /// [`TrustError`], which names the key.
    pub fn read(data: &BTreeMap<String, String>) -> Result<Option<Self>, TrustError> {
        let Some(pem) = data.get(CA).filter(|pem| !pem.trim().is_empty()) else { return Ok(None) };
        let authority = Authority::read(pem).map_err(|what| TrustError::Bad { key: CA, what })?;
        Ok(Some(Self { authority, pem: pem.clone() }))
    }

    /// The user that a chain, the client's own certificate first, stands for; `None` where it names none.
    ///
    /// # Errors
    /// [`Refusal`] of a chain that does not lead to the CA, is not valid `now`, is not meant for clients, or whose
    /// subject is not text.
    pub fn user(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Option<User>, Refusal> {
        subject(self.authority.verify(chain, now)?)
    }

    /// How many certificates the CA has.
    pub fn authorities(&self) -> usize {
        self.authority.size
    }
}

impl PartialEq for ClientTrust {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

/// The name is the last common name, the groups are all organizations.
fn subject(certificate: &CertificateDer<'_>) -> Result<Option<User>, Refusal> {
    let unreadable = Refusal::Certificate(Flaw::Unverifiable);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable)?;
    let subject = parsed.subject();
    let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned).map_err(|_| unreadable);
    let Some(name) = subject.iter_common_name().last().map(text).transpose()?.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let groups = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
    let uids = subject.iter_attributes().filter(|attribute| *attribute.attr_type() == Oid::new(UID.into()));
    let uids = uids.map(text).collect::<Result<Vec<_>, _>>()?;
    let uid = match &*uids {
        [] => None,
        [uid] if !uid.is_empty() => Some(uid.clone()),
        _ => return Err(unreadable),
    };
    let extra = [(CREDENTIAL_ID.to_owned(), vec![credential_id(certificate)])].into();
    Ok(Some(User { name, uid, groups, extra }.authenticated()))
}

fn credential_id(certificate: &CertificateDer<'_>) -> String {
    let digest = digest::digest(&digest::SHA256, certificate);
    digest.as_ref().iter().fold("X509SHA256=".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}
