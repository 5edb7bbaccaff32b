//! Certificate authorities and what they sign: keys are made, certificates signed and compared. No I/O; `now` is given.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::model::{Timestamp, excerpt};
use crate::serving::certificate::{Certificate, CertificateError, Part, at_second, set_validity};
use crate::serving::tls;

/// The certificate of an authority.
#[derive(Clone)]
pub(super) struct AuthorityCertificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub not_after: Timestamp,
    public_key: Vec<u8>,
}

/// An authority that can sign.
#[derive(Clone)]
pub(super) struct Authority {
    pub certificate: AuthorityCertificate,
    key: Arc<KeyPair>,
}

/// A serving certificate, with its key in PEM.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub certificate: Certificate,
    pub key_pem: String,
}

// === impl AuthorityCertificate ===

impl AuthorityCertificate {
    /// Reads all that a text in PEM form holds; an error says what is wrong.
    pub(super) fn read_all(pem: &[u8]) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem) {
            let der = der.map_err(|error| format!("expected certificates in PEM form: {}", excerpt(&error)))?;
            all.push(Self::read(der)?);
        }
        if all.is_empty() {
            return Err("expected certificates in PEM form, found none".into());
        }
        Ok(all)
    }

    fn read(der: CertificateDer<'static>) -> Result<Self, String> {
        let unreadable = |what: &dyn fmt::Display| format!("a certificate in it cannot be read: {}", excerpt(&what));
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| unreadable(&error))?;
        if !certificate.is_ca() {
            return Err("a certificate in it is not one of an authority".into());
        }
        let not_after = at_second(certificate.validity().not_after.timestamp());
        let public_key = certificate.public_key().raw.to_vec();
        let pem = pem(&der);
        Ok(Self { der, pem, not_after, public_key })
    }
}

/// One spelling, so that texts can be compared: lines of 64 characters, as everybody writes them.
fn pem(der: &CertificateDer<'_>) -> String {
    use k8s_openapi::ByteString;
    let json = serde_json::to_value(ByteString(der.to_vec())).expect("bytes become a text");
    let base64 = json.as_str().expect("which is a text").as_bytes();
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

impl PartialEq for AuthorityCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

// === impl Authority ===

impl Authority {
    /// Makes a new one, known to nobody.
    pub(super) fn new(now: Timestamp, lifetime: Duration) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("plimsoll serving authority of {now}"), now, now.plus(lifetime));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let made = params.self_signed(&key)?;
        let made = AuthorityCertificate::read(made.der().clone());
        let malformed = |what| CertificateError::Malformed { name: "the authority that was made".into(), what };
        Ok(Self { certificate: made.map_err(malformed)?, key: Arc::new(key) })
    }

    /// The one among these certificates whose key this is; an error says what is wrong with the key.
    pub(super) fn read(key: &[u8], certificates: &[AuthorityCertificate]) -> Result<Self, String> {
        let text = std::str::from_utf8(key).map_err(|_| "expected a private key in PEM form")?;
        let key = KeyPair::from_pem(text).map_err(|error| format!("not a usable key: {}", excerpt(&error)))?;
        let public_key = key.subject_public_key_info();
        let own = certificates.iter().find(|certificate| certificate.public_key == public_key);
        let certificate = own.ok_or("it belongs to no certificate in ca.crt")?.clone();
        Ok(Self { certificate, key: Arc::new(key) })
    }

    /// Signs a new serving certificate for these names, the first of which is what clients ask for. It ends with its
    /// authority.
    pub(super) fn sign(&self, names: &[String], now: Timestamp, lifetime: Duration) -> Result<Leaf, CertificateError> {
        let end = now.plus(lifetime).min(self.certificate.not_after);
        let mut params = params("plimsoll", now, end);
        params.subject_alt_names = sans(names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, &*self.key)?;
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &issuer)?;
        let (pem, key_pem) = (signed.pem(), key.serialize_pem());
        let certificate = Part { name: "what was signed", pem: pem.as_bytes() };
        let certificate = Certificate::from_pem(certificate, Part { name: "its key", pem: key_pem.as_bytes() })?;
        Ok(Leaf { certificate, key_pem })
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("not_after", &self.certificate.not_after).finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthorityCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorityCertificate").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

// === impl Leaf ===

impl Leaf {
    /// Whether clients that trust these authorities and ask for this name take it, times aside; an error says why not.
    pub(super) fn verify(
        certificate: &Certificate,
        trusted: &[AuthorityCertificate],
        name: &str,
    ) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        for authority in trusted {
            roots.add(authority.der.clone()).map_err(|error| excerpt(&error))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build();
        let verifier = verifier.map_err(|error| excerpt(&error))?;
        let asked = ServerName::try_from(name.to_owned()).map_err(|error| excerpt(&error))?;
        let (own, rest) = certificate.chain().split_first().ok_or("there is none")?;
        let while_valid = UnixTime::since_unix_epoch(certificate.validity.start.since(Timestamp(0)));
        let verdict = verifier.verify_server_cert(own, rest, &asked, &[], while_valid);
        verdict.map(drop).map_err(|error| excerpt(&error))
    }
}

fn params(common_name: &str, now: Timestamp, end: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    set_validity(&mut params, now, end);
    params
}

/// Addresses are told from names by their form.
fn sans(names: &[String]) -> Result<Vec<rcgen::SanType>, rcgen::Error> {
    CertificateParams::new(names).map(|params| params.subject_alt_names)
}
