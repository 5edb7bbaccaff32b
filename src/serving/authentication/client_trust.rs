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
    pub(super) authority: Authority,
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

    /// The user that a chain, the client's own certificate first, stands for.
    ///
    /// # Errors
    /// [`Refusal`] of a chain that does not lead to the CA, is not valid `now`, is not meant for clients, names nobody, or
    /// whose subject is not text.
    pub fn user(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<User, Refusal> {
        subject(self.authority.verify(chain, now)?)
    }

    /// How many certificates the CA has.
    pub fn authorities(&self) -> usize {
        self.authority.size()
    }
}

impl PartialEq for ClientTrust {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem
    }
}

/// The name is the last common name, the groups are all organizations.
fn subject(certificate: &CertificateDer<'_>) -> Result<User, Refusal> {
    let unreadable = Refusal::Certificate(Flaw::Unverifiable);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable)?;
    let subject = parsed.subject();
    let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned).map_err(|_| unreadable);
    let name = subject.iter_common_name().last().map(text).transpose()?.filter(|name| !name.is_empty());
    let name = name.ok_or(Refusal::NoName)?;
    let groups = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
    let uids = subject.iter_attributes().filter(|attribute| *attribute.attr_type() == Oid::new(UID.into()));
    let uids = uids.map(text).collect::<Result<Vec<_>, _>>()?;
    let uid = match &*uids {
        [] => None,
        [uid] if !uid.is_empty() => Some(uid.clone()),
        _ => return Err(unreadable),
    };
    let extra = [(CREDENTIAL_ID.to_owned(), vec![credential_id(certificate)])].into();
    Ok(User { name, uid, groups, extra }.authenticated())
}

fn credential_id(certificate: &CertificateDer<'_>) -> String {
    let digest = digest::digest(&digest::SHA256, certificate);
    digest.as_ref().iter().fold("X509SHA256=".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// CN=first, CN=bob, O=staff, O=a b, UID=7; made with openssl.
    const GROUPS: &str = "-----BEGIN CERTIFICATE-----
MIIBmDCCAT8CFC453mhu7aAoKf1v8y1Nivm6Y0MmMAoGCCqGSM49BAMCME4xDjAM
BgNVBAMMBWZpcnN0MQwwCgYDVQQDDANib2IxDjAMBgNVBAoMBXN0YWZmMQwwCgYD
VQQKDANhIGIxEDAOBgkrBgEEAYPCUwIMATcwIBcNMjYxMTIxMTkwMjQwWhgPMjEy
NjEwMjgxOTAyNDBaME4xDjAMBgNVBAMMBWZpcnN0MQwwCgYDVQQDDANib2IxDjAM
BgNVBAoMBXN0YWZmMQwwCgYDVQQKDANhIGIxEDAOBgkrBgEEAYPCUwIMATcwWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAAQMhYTTxGl+g9galWaCmxILTWWHOP1jE4ag
SdjskJhypBZNFsA9v4MywTdbETE0i4K2m8/0KV3wW5aBhc9CfzZEMAoGCCqGSM49
BAMCA0cAMEQCIDb15nN5ldntWiKhxGRtjlYKgnMmh1mahKM6Yby8qUctAiBWLsn4
ijiL1CzBKmgxOxDcB+zcvt3lLnlwydEdbgwAmA==
-----END CERTIFICATE-----
";

    /// CN=bob, UID=7, UID=8.
    const UIDS: &str = "-----BEGIN CERTIFICATE-----
MIIBYjCCAQcCFC8CXu36XCoGe8COi3iAPxHgjFRHMAoGCCqGSM49BAMCMDIxDDAK
BgNVBAMMA2JvYjEQMA4GCSsGAQQBg8JTAgwBNzEQMA4GCSsGAQQBg8JTAgwBODAg
Fw0yNjExMjExOTAyNDBaGA8yMTI2MTAyODE5MDI0MFowMjEMMAoGA1UEAwwDYm9i
MRAwDgYJKwYBBAGDwlMCDAE3MRAwDgYJKwYBBAGDwlMCDAE4MFkwEwYHKoZIzj0C
AQYIKoZIzj0DAQcDQgAEJbwjVqz30lPMlbY6OugsGRo8mBQryoz7GBYXgh7xXzAN
kYs+ycVFshrh0V2wVRtQ/Rk9ZD+mzuH6DrA6GTVwwjAKBggqhkjOPQQDAgNJADBG
AiEA55Hy27JuFl3a3omE8cBIpaX8vB819UW9inGCR8tLiHgCIQDTXdw80o+61HS3
UftsVJ3m3T4uPhWrCxRgQ+Auyp16nQ==
-----END CERTIFICATE-----
";

    /// CN=bob, O=staff.
    const PLAIN: &str = "-----BEGIN CERTIFICATE-----
MIIBODCB3wIUat5xtGSE1UfStGx6m8+m+I9wlFwwCgYIKoZIzj0EAwIwHjEMMAoG
A1UEAwwDYm9iMQ4wDAYDVQQKDAVzdGFmZjAgFw0yNjExMjExOTAyNDFaGA8yMTI2
MTAyODE5MDI0MVowHjEMMAoGA1UEAwwDYm9iMQ4wDAYDVQQKDAVzdGFmZjBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABBXA3JiEBPuWpt+1KFkRhXRSZc04ab9kB9aQ
srMsOpSGwxTO01TLcvVVsedYxUKee5rYkAuEzIorVSfOnrlvDqQwCgYIKoZIzj0E
AwIDSAAwRQIgDkPVUTqGPKCWb1e64ppAxPzj9ktYOSlkRUo6NAX5ggYCIQDDzvRM
WVqVzowS5YDTAKWm78oPMAxyHqsM2q+343V/gA==
-----END CERTIFICATE-----
";

    fn user(pem: &str) -> Result<User, Refusal> {
        subject(&CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate"))
    }

    #[test]
    fn the_name_is_the_last_and_every_organization_is_a_group() {
        let user = user(GROUPS).expect("a user");
        assert_eq!((&*user.name, user.uid.as_deref()), ("bob", Some("7")));
        assert_eq!(user.groups, ["staff", "a b", "system:authenticated"]);
        let id = &user.extra["authentication.kubernetes.io/credential-id"];
        assert!(id.len() == 1 && id[0].len() == "X509SHA256=".len() + 64, "{id:?}");
    }

    #[test]
    fn there_is_one_uid_or_none() {
        assert_eq!(user(UIDS), Err(Refusal::Certificate(Flaw::Unverifiable)));
        assert_eq!(user(PLAIN).expect("a user").uid, None);
    }
}
