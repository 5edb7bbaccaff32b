//! Why a request is refused. The words go to the client: they say what was missing, and nothing of what is configured.

use rustls::{CertificateError, Error};

/// Why nobody is known to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error("this page is shown to loopback addresses only, for example through kubectl port-forward")]
    NotLocal,
    #[error("the requestheader CA of the cluster is not known, so nobody can be authenticated; /readyz says why")]
    NoTrust,
    #[error("a client certificate of the front proxy is needed; ask through the kube-apiserver")]
    NoCertificate,
    #[error("the client certificate {0}")]
    Certificate(Flaw),
    #[error("the common name of the client certificate is not that of a front proxy")]
    Name,
    #[error("the front proxy names no user")]
    NoUser,
    #[error("the front proxy names the user in bytes that are not UTF-8")]
    NotText,
}

/// What is wrong with a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    #[error("has expired")]
    Expired,
    #[error("is not valid yet")]
    NotYetValid,
    #[error("is not signed by the requestheader CA of the cluster")]
    Issuer,
    #[error("is not meant for client authentication")]
    Purpose,
    #[error("cannot be verified")]
    Unverifiable,
}

// === impl Refusal ===

impl Refusal {
    /// One of each kind; what is wrong with a certificate is not told apart.
    pub(super) const ALL: [Self; 7] = [
        Self::NotLocal,
        Self::NoTrust,
        Self::NoCertificate,
        Self::Certificate(Flaw::Unverifiable),
        Self::Name,
        Self::NoUser,
        Self::NotText,
    ];

    /// The value of the label `result`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotLocal => "not_local",
            Self::NoTrust => "no_trust",
            Self::NoCertificate => "no_certificate",
            Self::Certificate(_) => "certificate_refused",
            Self::Name => "name_refused",
            Self::NoUser => "no_user",
            Self::NotText => "not_text",
        }
    }
}

// === impl Flaw ===

impl From<&Error> for Flaw {
    fn from(error: &Error) -> Self {
        let Error::InvalidCertificate(error) = error else { return Self::Unverifiable };
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            // A signature by another key of the same name, as after a rotation that kept it.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::Purpose,
            _ => Self::Unverifiable,
        }
    }
}
