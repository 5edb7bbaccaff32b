//! Why a request is refused. The words go to the client: they say what was missing, and nothing of what is configured.

use rustls::{CertificateError, Error};

use crate::serving::authentication::token::LENGTH_MAX;
use crate::serving::review::Failure;

/// Why nobody is known to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    #[error("the CAs of the cluster are not known, so no client certificate can be judged; the log says why")]
    NoTrust,
    #[error("a client certificate is needed")]
    NoCertificate,
    #[error("the client certificate {0}")]
    Certificate(Flaw),
    #[error("the common name of the client certificate is not that of a front proxy")]
    Name,
    #[error("the client certificate has no common name, so it names no user")]
    NoName,
    #[error("the front proxy names no user")]
    NoUser,
    #[error("the front proxy names the user in bytes that are not UTF-8")]
    NotText,
    #[error("the bearer token is none of this cluster, or has expired")]
    Token,
    #[error("the bearer token is longer than {LENGTH_MAX} bytes, or not of ASCII characters")]
    TokenForm,
    #[error("the bearer token cannot be judged: {0}")]
    TokenReview(Failure),
}

/// What is wrong with a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    #[error("has expired")]
    Expired,
    #[error("is not valid yet")]
    NotYetValid,
    #[error("is signed neither by the requestheader CA nor by the client CA of the cluster")]
    Issuer,
    #[error("is not meant for client authentication")]
    Purpose,
    #[error("cannot be verified")]
    Unverifiable,
}

// === impl Refusal ===

impl Refusal {
    /// One of each kind; what is wrong with a certificate or a review is not told apart.
    pub(super) const ALL: [Self; 10] = [
        Self::NoTrust,
        Self::NoCertificate,
        Self::Certificate(Flaw::Unverifiable),
        Self::Name,
        Self::NoName,
        Self::NoUser,
        Self::NotText,
        Self::Token,
        Self::TokenForm,
        Self::TokenReview(Failure::Busy),
    ];

    /// The value of the label `result`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoTrust => "no_trust",
            Self::NoCertificate => "no_certificate",
            Self::Certificate(_) => "certificate_refused",
            Self::Name => "name_refused",
            Self::NoName => "no_name",
            Self::NoUser => "no_user",
            Self::NotText => "not_text",
            Self::Token => "token_refused",
            Self::TokenForm => "token_malformed",
            Self::TokenReview(_) => "token_not_reviewed",
        }
    }

    /// Whether it is the client that shows something bad: only such tell of somebody who tries.
    pub fn is_of_client(self) -> bool {
        matches!(self, Self::Token | Self::TokenForm | Self::Certificate(_))
    }

    /// Of what two authorities say of one certificate, what helps more: that a CA has not signed it is true of all the
    /// others too.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Certificate(Flaw::Issuer) { other } else { self }
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
