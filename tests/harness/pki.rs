//! Certificates as a cluster has them: authorities, and what they sign.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use plimsoll::model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

/// A certificate authority with its key.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is asked of an authority.
#[derive(Clone)]
pub struct Leaf<'a> {
    /// Empty: none.
    pub common_name: &'a str,
    pub now: Timestamp,
    /// From when to when it is valid, in days from now.
    pub days: Range<i64>,
    pub is_for_servers: bool,
    pub organization: Option<&'a str>,
    pub uid: Option<&'a str>,
}

/// A certificate, and with its key in PEM.
pub struct Signed {
    pub certificate: CertificateDer<'static>,
    pub pem: String,
}

/// The data of ConfigMap `kube-system/extension-apiserver-authentication` as kube-apiserver writes it.
pub fn data(authority: &str, allowed_names: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("requestheader-client-ca-file", authority),
        ("requestheader-allowed-names", allowed_names),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The attribute of a subject in which Kubernetes keeps a UID.
const UID: [u64; 8] = [1, 3, 6, 1, 4, 1, 57683, 2];

/// The same of a cluster whose users have certificates.
pub fn data_with_clients(authority: &str, allowed_names: &str, clients: &str) -> BTreeMap<String, String> {
    let mut data = data(authority, allowed_names);
    data.insert("client-ca-file".into(), clients.into());
    data
}

// === impl Authority ===

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(authority(name), key).expect("an authority"))
    }

    /// An intermediate authority.
    pub fn authority(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).expect("an authority"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub fn sign(&self, leaf: &Leaf<'_>) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf.params().signed_by(&key, &self.0).expect("a certificate");
        Signed { certificate: certificate.der().clone(), pem: certificate.pem() + &key.serialize_pem() }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

// === impl Leaf ===

impl<'a> Leaf<'a> {
    /// A client certificate that is valid now.
    pub fn client(common_name: &'a str, now: Timestamp) -> Self {
        Self { common_name, now, days: -1..30, is_for_servers: false, organization: None, uid: None }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if !self.common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, self.common_name);
        }
        if let Some(organization) = self.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        if let Some(uid) = self.uid {
            params.distinguished_name.push(DnType::CustomDnType(UID.into()), uid);
        }
        params.extended_key_usages = vec![match self.is_for_servers {
            true => ExtendedKeyUsagePurpose::ServerAuth,
            false => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        let day = |days: i64| {
            let since = self.now.since(Timestamp(0)).as_secs() as i64 + days * 24 * 3600;
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(since as u64)
        };
        (params.not_before, params.not_after) = (day(self.days.start), day(self.days.end));
        params
    }
}
