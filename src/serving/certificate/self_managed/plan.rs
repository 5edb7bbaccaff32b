//! What has to be done next: from what the Secret holds, what the APIServices trust, and the time. Pure.
//!
//! A serving certificate is renewed at two thirds of its life. An authority is replaced while two lives of a serving
//! certificate are left: its successor is made and trusted first ([`Step::Announce`]), and signs only when every
//! APIService has trusted it for a while ([`Step::Switch`]). The key of the old one is then gone; its certificate stays
//! trusted until it ends ([`Step::Prune`]), which no certificate outlives that it has signed. So at every moment each
//! certificate that some replica may still serve is trusted.

use std::time::Duration;

use super::keyring::{Contents, Keyring};
use crate::model::Timestamp;

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub certificate_lifetime: Duration,
    pub authority_lifetime: Duration,
    /// How long every APIService has to trust an authority before it signs: so long may a kube-apiserver take to
    /// hear of it.
    pub grace: Duration,
    /// From 0 to 1, another one in each replica, so that they do not all renew at once.
    pub jitter: f64,
}

/// What one APIService says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trust {
    /// It is not there, or for another Service: nobody comes to us by it.
    NotOurs,
    /// It is not known what it says.
    Unknown,
    /// It leads here, with this CA bundle.
    Ours { bundle: String, verifies: bool },
    /// It leads here, and somebody else says what the CA bundle is.
    Claimed { bundle: String },
}

/// What is known.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    pub contents: &'a Contents,
    /// What the Secret held when it was good last.
    pub remembered: Option<&'a Keyring>,
    pub api_services: &'a [Trust],
    /// Since when every APIService that is ours trusts the next authority.
    pub announced_since: Option<Timestamp>,
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// APIServices that do not have the bundle of the Secret, by their index.
    pub patches: Vec<usize>,
    /// How the Secret has to change.
    pub step: Option<Step>,
}

/// One change of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything is made anew.
    Begin,
    /// What was known is written back.
    Restore,
    /// The signer signs a new serving certificate.
    Renew,
    /// The next authority is made, and is to be trusted from now on.
    Announce,
    /// The next authority becomes the signer, and signs a serving certificate.
    Switch,
    /// Authorities that have ended are trusted no more.
    Prune,
}

// === impl Schedule ===

impl Schedule {
    /// When a certificate that is valid for this time is renewed.
    fn renewal(&self, validity: &std::ops::Range<Timestamp>) -> Timestamp {
        let life = validity.end.since(validity.start);
        validity.start.plus(life * 2 / 3).plus((life / 20).mul_f64(self.jitter))
    }

    /// When the successor of an authority that ends then is made.
    fn succession(&self, end: Timestamp) -> Timestamp {
        end.minus(self.certificate_lifetime * 2).plus((self.certificate_lifetime / 20).mul_f64(self.jitter))
    }
}

// === impl Situation ===

impl Situation<'_> {
    /// What to do now; when it is done, the next plan is for what there is then.
    pub(super) fn plan(&self, schedule: &Schedule) -> Plan {
        match self.contents {
            Contents::Garbage(_) => Plan::default(),
            Contents::Empty => Plan { patches: Vec::new(), step: Some(self.fill()) },
            Contents::Keyring(keyring) => Plan { patches: self.patches(keyring), step: self.step(keyring, schedule) },
        }
    }

    /// Whether every APIService that is ours trusts the next authority. Of those that others have claimed only who trusts
    /// the present one has something to lose.
    pub(super) fn is_announced(&self) -> bool {
        let Contents::Keyring(keyring) = self.contents else { return false };
        let Some(next) = &keyring.next else { return false };
        let trusts_any = |bundle: &str| keyring.trusted.iter().any(|authority| bundle.contains(&authority.pem));
        self.api_services.iter().all(|trust| match trust {
            Trust::NotOurs => true,
            Trust::Unknown => false,
            Trust::Ours { bundle, verifies } => *verifies && bundle.contains(&next.certificate.pem),
            Trust::Claimed { bundle } => !trusts_any(bundle) || bundle.contains(&next.certificate.pem),
        })
    }

    /// An emptied Secret gets back what was there: clients trust it, and replicas serve it.
    fn fill(&self) -> Step {
        match self.remembered {
            Some(keyring) if self.is_valid(keyring) => Step::Restore,
            _ => Step::Begin,
        }
    }

    fn patches(&self, keyring: &Keyring) -> Vec<usize> {
        let wanted = keyring.bundle();
        let differs =
            |trust: &Trust| matches!(trust, Trust::Ours { bundle, verifies } if *bundle != wanted || !verifies);
        self.api_services.iter().enumerate().filter(|(_, trust)| differs(trust)).map(|(index, _)| index).collect()
    }

    fn step(&self, keyring: &Keyring, schedule: &Schedule) -> Option<Step> {
        let is_valid = self.is_valid(keyring);
        let signer_end = keyring.signer_end().filter(|end| *end > self.now);
        let next_end = keyring.next.as_ref().map(|next| next.certificate.not_after).filter(|end| *end > self.now);
        let is_known = self.announced_since.is_some_and(|since| self.now >= since.plus(schedule.grace));
        match (signer_end, next_end) {
            // Without a certificate that can be served there is nothing to lose.
            (None, None) if !is_valid => Some(Step::Begin),
            (_, Some(_)) if is_known => Some(Step::Switch),
            (None, Some(_)) if !is_valid => Some(Step::Switch),
            (Some(end), _) if self.is_due(keyring, end, schedule) => Some(Step::Renew),
            (None, None) => Some(Step::Announce),
            (Some(end), None) if self.now >= schedule.succession(end) => Some(Step::Announce),
            _ => self.has_ended(keyring).then_some(Step::Prune),
        }
    }

    fn is_valid(&self, keyring: &Keyring) -> bool {
        keyring.validity().is_some_and(|validity| validity.contains(&self.now))
    }

    /// Whether a new certificate is needed, and would outlive the old one.
    fn is_due(&self, keyring: &Keyring, signer_end: Timestamp, schedule: &Schedule) -> bool {
        let Some(validity) = keyring.validity() else { return true };
        let end = self.now.plus(schedule.certificate_lifetime).min(signer_end);
        !validity.contains(&self.now) || (self.now >= schedule.renewal(validity) && end > validity.end)
    }

    fn has_ended(&self, keyring: &Keyring) -> bool {
        keyring.trusted.iter().any(|authority| authority.not_after <= self.now)
    }
}

// === impl Step ===

impl Step {
    /// What was done, for the log.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Begin => "a new certificate authority and a serving certificate were made",
            Self::Restore => "the Secret was empty, and the certificates that are in force were written back",
            Self::Renew => "the serving certificate was renewed",
            Self::Announce => "the next certificate authority was made; it signs when every APIService trusts it",
            Self::Switch => {
                "the next certificate authority is trusted everywhere, and has signed the serving certificate"
            }
            Self::Prune => "certificate authorities that have ended were removed",
        }
    }
}
