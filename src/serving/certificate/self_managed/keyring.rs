//! What the Secret holds: authorities, their keys, and the serving certificate. Its data come in and go out; what is
//! damaged is told apart from what is missing. No I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use k8s_openapi::ByteString;

use super::authority::{Authority, AuthorityCertificate, Leaf};
use crate::model::Timestamp;
use crate::serving::certificate::secret::{CERTIFICATE, KEY};
use crate::serving::certificate::{Certificate, Part};

/// Data of a Secret.
pub(super) type Data = BTreeMap<String, ByteString>;

/// What stands in the Secret.
#[derive(Clone, Debug)]
pub(super) enum Contents {
    /// None of our keys has a value.
    Empty,
    Keyring(Box<Keyring>),
    /// Nothing that one could go on from; says which key, and what was expected. It may be somebody's only copy of
    /// something, so it is not overwritten.
    Garbage(String),
}

/// Authorities and the serving certificate, shared by all replicas.
#[derive(Clone, Debug)]
pub(super) struct Keyring {
    /// All that clients are to trust, oldest first.
    pub trusted: Vec<AuthorityCertificate>,
    /// Signs serving certificates; `None` when its key is gone or damaged.
    pub signer: Option<Authority>,
    /// Will sign once every client trusts it; only while authorities change.
    pub next: Option<Authority>,
    /// Leads to one of `trusted` and has the name of the Service; `None` when that in the Secret does not.
    pub leaf: Option<Leaf>,
    /// What is damaged and will be replaced, each with its key.
    pub damage: Vec<String>,
}

const AUTHORITIES: &str = "ca.crt";
const SIGNER_KEY: &str = "ca.key";
const NEXT_KEY: &str = "ca-next.key";
const KEYS: [&str; 5] = [CERTIFICATE, KEY, AUTHORITIES, SIGNER_KEY, NEXT_KEY];

// === impl Contents ===

impl Contents {
    /// Reads the data; `name` is what clients ask for.
    pub(super) fn read(data: &Data, name: &str) -> Self {
        let text = |key: &str| data.get(key).map(|ByteString(text)| text.as_slice()).filter(|text| !text.is_empty());
        if KEYS.iter().all(|key| text(key).is_none()) {
            return Self::Empty;
        }
        let trusted = AuthorityCertificate::read_all(text(AUTHORITIES).unwrap_or_default());
        let trusted = match trusted {
            Ok(trusted) => trusted,
            Err(why) => return Self::Garbage(format!("the key {AUTHORITIES}: {why}")),
        };
        let mut damage = Vec::new();
        let mut authority = |key: &str| {
            let read = Authority::read(text(key)?, &trusted);
            read.map_err(|why| damage.push(format!("the key {key}: {why}"))).ok()
        };
        let (signer, next) = (authority(SIGNER_KEY), authority(NEXT_KEY));
        let leaf = leaf(text(CERTIFICATE), text(KEY), &trusted, name).unwrap_or_else(|why| {
            damage.push(why);
            None
        });
        if signer.is_none() && next.is_none() && leaf.is_none() {
            damage.push(format!("there is no usable {SIGNER_KEY}, and no serving certificate of {AUTHORITIES}"));
            return Self::Garbage(damage.join("; "));
        }
        Self::Keyring(Box::new(Keyring { trusted, signer, next, leaf, damage }))
    }
}

/// `None` where there is neither certificate nor key.
fn leaf(
    certificate: Option<&[u8]>,
    key: Option<&[u8]>,
    trusted: &[AuthorityCertificate],
    name: &str,
) -> Result<Option<Leaf>, String> {
    if certificate.is_none() && key.is_none() {
        return Ok(None);
    }
    let names = [CERTIFICATE, KEY].map(|key| format!("the key {key}"));
    let key = key.unwrap_or_default();
    let certificate = Part { name: &names[0], pem: certificate.unwrap_or_default() };
    let certificate = Certificate::from_pem(certificate, Part { name: &names[1], pem: key });
    let certificate = certificate.map_err(|error| error.to_string())?;
    let untrusted = |why| format!("{}: not a certificate for {name} signed by one in {AUTHORITIES}: {why}", names[0]);
    Leaf::verify(&certificate, trusted, name).map_err(untrusted)?;
    Ok(Some(Leaf { certificate, key_pem: String::from_utf8_lossy(key).into_owned() }))
}

// === impl Keyring ===

impl Keyring {
    /// What clients are to trust, in one spelling.
    pub(super) fn bundle(&self) -> String {
        self.trusted.iter().map(|authority| authority.pem.as_str()).collect()
    }

    /// When the serving certificate is valid.
    pub(super) fn validity(&self) -> Option<&Range<Timestamp>> {
        self.leaf.as_ref().map(|leaf| &leaf.certificate.validity)
    }

    /// When the authority ends that signs.
    pub(super) fn signer_end(&self) -> Option<Timestamp> {
        self.signer.as_ref().map(|signer| signer.certificate.not_after)
    }

    /// Puts it into the data of a Secret; keys of others stay.
    pub(super) fn write(&self, data: &mut Data) {
        let key = |authority: &Option<Authority>| authority.as_ref().map(Authority::key_pem);
        let texts = [
            (CERTIFICATE, self.leaf.as_ref().map(|leaf| leaf.certificate.pem.clone())),
            (KEY, self.leaf.as_ref().map(|leaf| leaf.key_pem.clone())),
            (AUTHORITIES, Some(self.bundle())),
            (SIGNER_KEY, key(&self.signer)),
            (NEXT_KEY, key(&self.next)),
        ];
        for (key, text) in texts {
            match text {
                Some(text) => drop(data.insert(key.to_owned(), ByteString(text.into_bytes()))),
                None => drop(data.remove(key)),
            }
        }
    }
}
