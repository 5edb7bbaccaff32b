//! What the Secret holds after a step. New keys are made, nothing is written.

use super::api_services::ServiceName;
use super::authority::Authority;
use super::keyring::{Contents, Keyring};
use super::plan::{Schedule, Step};
use crate::model::Timestamp;
use crate::serving::certificate::CertificateError;

/// What a change rests on.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub contents: &'a Contents,
    /// What the Secret held when it was good last.
    pub remembered: Option<&'a Keyring>,
    pub service: &'a ServiceName,
    pub schedule: &'a Schedule,
    pub now: Timestamp,
}

// === impl Change ===

impl Change<'_> {
    /// The keyring after this step; one that the contents do not allow begins anew.
    pub(super) fn make(&self, step: Step) -> Result<Keyring, CertificateError> {
        let before = match self.contents {
            Contents::Keyring(keyring) => Some(&**keyring),
            Contents::Empty | Contents::Garbage(_) => None,
        };
        match (step, before, self.remembered) {
            (Step::Restore, _, Some(remembered)) => Ok(remembered.clone()),
            (Step::Renew, Some(keyring), _) => self.renewed(keyring),
            (Step::Announce, Some(keyring), _) => self.announced(keyring),
            (Step::Switch, Some(keyring), _) => self.switched(keyring),
            (Step::Prune, Some(keyring), _) => Ok(self.pruned(keyring)),
            _ => self.begun(),
        }
    }

    /// A new authority, and a certificate signed by it.
    fn begun(&self) -> Result<Keyring, CertificateError> {
        let signer = Authority::new(self.now, self.schedule.authority_lifetime)?;
        let trusted = vec![signer.certificate.clone()];
        self.signed(Keyring { trusted, signer: Some(signer), next: None, leaf: None, damage: Vec::new() })
    }

    fn renewed(&self, keyring: &Keyring) -> Result<Keyring, CertificateError> {
        self.signed(keyring.clone())
    }

    fn announced(&self, keyring: &Keyring) -> Result<Keyring, CertificateError> {
        let next = Authority::new(self.now, self.schedule.authority_lifetime)?;
        let mut after = keyring.clone();
        after.trusted.push(next.certificate.clone());
        after.next = Some(next);
        Ok(after)
    }

    fn switched(&self, keyring: &Keyring) -> Result<Keyring, CertificateError> {
        let mut after = keyring.clone();
        after.signer = after.next.take();
        self.signed(after)
    }

    fn pruned(&self, keyring: &Keyring) -> Keyring {
        let lives = |end: Timestamp| end > self.now;
        let mut after = keyring.clone();
        after.trusted.retain(|authority| lives(authority.not_after));
        after.signer = after.signer.filter(|signer| lives(signer.certificate.not_after));
        after.next = after.next.filter(|next| lives(next.certificate.not_after));
        after
    }

    /// With a new serving certificate by its signer.
    fn signed(&self, mut keyring: Keyring) -> Result<Keyring, CertificateError> {
        if let Some(signer) = &keyring.signer {
            keyring.leaf = Some(signer.sign(&self.service.names(), self.now, self.schedule.certificate_lifetime)?);
        }
        Ok(keyring)
    }
}
