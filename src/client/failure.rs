//! Why a request failed, as a reason from the closed list and a sentence an operator can act on.
//!
//! The libraries wrap their errors several times; the innermost one says what happened.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::client::redirect::Refused;
use crate::storage::{Failure, FailureReason};

/// No complete answer in time.
pub(super) fn timed_out(timeout: Duration) -> Failure {
    Failure::new(FailureReason::Timeout, format!("no complete page within the scrape timeout of {timeout:?}"))
}

/// The body is larger than the limit.
pub(super) fn too_large(body_size_max: usize) -> Failure {
    Failure::new(
        FailureReason::BodySizeLimit,
        format!("the page is larger than the limit body_size_bytes, {body_size_max} bytes after decompression"),
    )
}

/// The request could not be sent, or its answer has no head.
pub(super) fn of_request(error: &reqwest::Error, https: bool, timeout: Duration) -> Failure {
    if error.is_timeout() {
        return timed_out(timeout);
    }
    if let Some(refused) = find::<Refused>(error) {
        return Failure::new(FailureReason::HttpStatus, refused.to_string());
    }
    if find::<rustls::Error>(error).is_some() || (error.is_connect() && https && ends_handshake(error)) {
        return of_handshake(error);
    }
    if error.is_connect() {
        return of_connection(error);
    }
    let cause = root_cause(error);
    let hint = if https || !speaks_no_http(error) { "" } else { TLS_HINT };
    Failure::new(FailureReason::Body, format!("the connection broke or the answer is no HTTP: {cause}{hint}"))
}

/// There is no connection.
pub(super) fn of_connection(error: &(dyn Error + 'static)) -> Failure {
    let cause = root_cause(error);
    if cause.contains("lookup") {
        return Failure::new(FailureReason::Resolve, format!("the host name cannot be resolved: {cause}"));
    }
    Failure::new(FailureReason::Connect, format!("no connection: {cause}"))
}

/// There is a connection, but no TLS on it.
pub(super) fn of_handshake(error: &(dyn Error + 'static)) -> Failure {
    let why = match find::<rustls::Error>(error) {
        Some(error) => tls(error),
        None => {
            let cause = root_cause(error);
            format!("the target ends the connection within the handshake ({cause}){PLAIN_HINT}")
        }
    };
    Failure::new(FailureReason::Tls, format!("TLS fails: {why}"))
}

/// The body broke off.
pub(super) fn of_body(error: &reqwest::Error, timeout: Duration) -> Failure {
    if error.is_timeout() {
        return timed_out(timeout);
    }
    let cause = root_cause(error);
    Failure::new(FailureReason::Body, format!("the connection broke or the page is malformed HTTP: {cause}"))
}

/// The innermost error: the ones around it repeat the URL and "error sending request".
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().expect("a chain has at least its head").to_string()
}

/// The first error of a type in the chain.
pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

const TLS_HINT: &str = "; if the port speaks TLS, the URL must begin with https://";
const PLAIN_HINT: &str = "; if the port speaks plain HTTP, the URL must begin with http://";

/// What a plain request to a TLS port says of itself in the page of its 400.
pub(super) fn scheme_hint(https: bool, page: &[u8]) -> &'static str {
    if !https && String::from_utf8_lossy(page).to_ascii_lowercase().contains("https") { TLS_HINT } else { "" }
}

/// A TLS server answers a plain request with an alert, which is no HTTP, or with nothing.
fn speaks_no_http(error: &(dyn Error + 'static)) -> bool {
    let no_http = |error: &hyper::Error| error.is_parse() || error.is_incomplete_message();
    find::<hyper::Error>(error).is_some_and(no_http) || is_reset(error)
}

fn ends_handshake(error: &(dyn Error + 'static)) -> bool {
    let eof = find_io(error, |kind| kind == io::ErrorKind::UnexpectedEof);
    eof || is_reset(error)
}

fn is_reset(error: &(dyn Error + 'static)) -> bool {
    find_io(error, |kind| kind == io::ErrorKind::ConnectionReset)
}

fn find_io(error: &(dyn Error + 'static), fits: impl Fn(io::ErrorKind) -> bool) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| fits(error.kind()))
}

/// `std::io::Error::source` skips the error it wraps, so that one is taken first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

fn tls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            format!("the target does not speak TLS on this port{PLAIN_HINT}")
        }
        rustls::Error::AlertReceived(alert) => format!("the target refuses the handshake: {}", self::alert(*alert)),
        rustls::Error::PeerIncompatible(why) => format!("the target offers no TLS 1.2 or 1.3 that fits: {why:?}"),
        other => other.to_string(),
    }
}

fn alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "it wants a client certificate; set cert_file and key_file in tls_config (of a monitor: cert and keySecret in \
             tlsConfig)"
                .into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired => {
            format!("it does not take the client certificate of tls_config ({alert:?})")
        }
        AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
            format!("no version or cipher suite in common, or it wants a client certificate ({alert:?})")
        }
        AlertDescription::UnrecognisedName => "it has no certificate for this host name (unrecognized_name)".into(),
        other => format!("{other:?}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the certificate has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate expired at {}", time(not_after.as_secs()))
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".into(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", time(not_before.as_secs()))
        }
        CertificateError::UnknownIssuer => "the certificate comes from an issuer that is not trusted; \
             set ca_file in tls_config (of a monitor: ca in tlsConfig) to the certificate of its CA"
            .into(),
        CertificateError::BadSignature => "the certificate is signed with another key than that of the trusted CA \
             of the same name; is the file ca_file in tls_config up to date?"
            .into(),
        CertificateError::NotValidForName => format!("the certificate is for another host name{NAME_HINT}"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the certificate is not for {} but for {}{NAME_HINT}", expected.to_str(), names(presented))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not for serving (its extended key usage has no serverAuth)".into()
        }
        CertificateError::Revoked => "the certificate is revoked".into(),
        CertificateError::BadEncoding => "the certificate is malformed".into(),
        // An error of webpki, which is no dependency of ours.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => CA_AS_SERVING.into(),
        other => format!("the certificate cannot be verified: {other}"),
    }
}

const NAME_HINT: &str = "; where that is right, set server_name in tls_config (of a monitor: serverName in tlsConfig)";

const CA_AS_SERVING: &str = "the certificate is a CA certificate used as serving certificate: give the target one that \
     its CA signed, or that is made with basicConstraints=CA:FALSE, and trust it with ca_file in tls_config";

/// `DnsName("a.example")` as `a.example`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match presented {
        [] => "no name at all".into(),
        some => some.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}

fn time(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{unix_seconds} s after 1970"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_however_deep_it_is_wrapped() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner)));
        assert!(find::<rustls::Error>(&wrapped).is_some());
        assert!(root_cause(&wrapped).contains("UnknownIssuer"));
    }

    #[test]
    fn certificates_are_refused_with_plain_words() {
        let check = |error: CertificateError, want: &str| {
            let said = tls(&rustls::Error::InvalidCertificate(error));
            assert!(said.contains(want), "{said}");
        };
        let since = |seconds| rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        check(
            CertificateError::ExpiredContext { time: since(1_800_000_000), not_after: since(1_577_836_800) },
            "the certificate expired at 2020-01-01T00:00:00Z",
        );
        check(CertificateError::UnknownIssuer, "set ca_file in tls_config");
        check(
            CertificateError::NotValidForNameContext {
                expected: rustls::pki_types::ServerName::try_from("b.example").expect("a name"),
                presented: vec!["DnsName(\"a.example\")".into(), "IpAddress(10.0.0.1)".into()],
            },
            "the certificate is not for b.example but for a.example, IpAddress(10.0.0.1)",
        );
    }
}
