//! What names and addresses may look like: Kubernetes', Prometheus' and our own rules.

use std::str::FromStr;

use crate::model::OwnerReference;
use crate::model::selector::Selector;

/// Longest name of a metric, DNS label or label name part, in bytes (RFC 1123; apimachinery `validation`).
const SHORT_MAX: usize = 63;
/// Longest DNS subdomain, in bytes.
const SUBDOMAIN_MAX: usize = 253;

/// Name of a served metric.
pub fn metric(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    expect(
        first && rest && text.len() <= SHORT_MAX,
        "a metric name of lower-case letters, digits and _ with at most 63 characters \
         (Kubernetes' client lower-cases the names of external metrics)",
        text,
    )
}

/// Name of a series as a target exposes it.
pub fn series(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let hint = if text.contains('{') { " (matchers belong under match)" } else { "" };
    expect(first && rest, &format!("the name of a series such as http_requests_total{hint}"), text)
}

/// Base name of a classic histogram.
pub fn histogram(text: &str) -> Result<(), String> {
    series(text)?;
    match text.strip_suffix("_bucket") {
        Some(base) => Err(format!("expected the base name of the histogram, found {text:?}; write {base}")),
        None => Ok(()),
    }
}

/// Name of a label of a series.
pub fn label(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    expect(first && rest, "a label name of letters, digits and _, not starting with a digit", text)
}

/// Names of namespaces and Services.
pub fn dns_label(text: &str) -> Result<(), String> {
    expect(
        is_dns_label(text),
        "a DNS label: lower-case letters, digits and -, starting and ending with a letter or digit, at most 63 characters",
        text,
    )
}

/// Names of pods, nodes and most other objects.
pub fn dns_subdomain(text: &str) -> Result<(), String> {
    // Parts of a subdomain have no limit of their own in Kubernetes.
    let parts = text.split('.').all(is_dns_part);
    expect(
        parts && text.len() <= SUBDOMAIN_MAX,
        "a DNS subdomain: lower-case letters, digits, - and ., starting and ending with a letter or digit, \
         at most 253 characters",
        text,
    )
}

/// Namespace and name of an object.
pub fn namespaced(text: &str) -> Result<(), String> {
    let is_both =
        text.split_once('/').is_some_and(|(namespace, name)| is_dns_label(namespace) && dns_subdomain(name).is_ok());
    expect(is_both, "a namespace and a name such as monitoring/prometheus", text)
}

/// Key of a Kubernetes label: `name` or `prefix/name`.
pub fn label_key(text: &str) -> Result<(), String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix = prefix.is_none_or(|prefix| dns_subdomain(prefix).is_ok());
    expect(
        prefix && is_qualified(name),
        "a label key such as app or app.kubernetes.io/name: letters, digits, -, _ and ., at most 63 characters \
         after the optional DNS prefix",
        text,
    )
}

/// Value of a Kubernetes label.
pub fn label_value(text: &str) -> Result<(), String> {
    expect(
        text.is_empty() || is_qualified(text),
        "a label value: letters, digits, -, _ and ., starting and ending with a letter or digit, at most 63 characters",
        text,
    )
}

/// Name that stands in logs, metrics and the status page.
pub fn job(text: &str) -> Result<(), String> {
    let plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
    expect(plain, "a name", text)
}

/// Path of a file.
pub fn path(text: &str) -> Result<(), String> {
    expect(!text.is_empty() && !text.contains('\0'), "the path of a file", text)
}

/// Path of target files; only the last component may hold `*`.
pub fn pattern(text: &str) -> Result<(), String> {
    path(text)?;
    let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
    expect(!folder.contains('*'), "a path with * in its last component only", text)
}

/// Absolute `http` or `https` URL without credentials and fragment.
pub fn url(text: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("expected {what}, found {text:?}"));
    let absolute = "an absolute http or https URL such as http://127.0.0.1:9100/metrics";
    let Ok(uri) = axum::http::Uri::from_str(text) else {
        return wrong(absolute);
    };
    let Some(authority) = uri.authority() else {
        return wrong(absolute);
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
        return wrong(absolute);
    }
    if authority.as_str().contains('@') {
        // Not repeated: the text holds a password.
        return Err("expected a URL without credentials; use basic_auth or bearer_token_file of the job".into());
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or("");
    if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return wrong("a port from 1 to 65535 in the URL");
    }
    if text.contains('#') { wrong("a URL without #fragment") } else { Ok(()) }
}

/// Label selector in Kubernetes' notation.
pub fn label_selector(text: &str) -> Result<(), String> {
    let example = "expected a label selector such as app=web,tier in (front, back)";
    Selector::parse(text).map(drop).map_err(|error| format!("{example}; {error} of {text:?}"))
}

/// Owners of a pod, separated by commas: `ReplicaSet/web-5d4, Deployment/web`. Each is kept once.
///
/// # Errors
/// A sentence about the first owner that cannot be read.
pub fn owners(text: &str) -> Result<Vec<OwnerReference>, String> {
    let mut owners = Vec::new();
    for part in text.split(',').map(str::trim) {
        let owner = OwnerReference::parse(part).map_err(|error| format!("{error}; found {part:?}"))?;
        dns_subdomain(&owner.name)?;
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }
    Ok(owners)
}

fn is_dns_label(text: &str) -> bool {
    is_dns_part(text) && text.len() <= SHORT_MAX
}

fn is_dns_part(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

/// Kubernetes' "qualified name" without its prefix.
fn is_qualified(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let ends = [text.bytes().next(), text.bytes().next_back()];
    inner && ends.iter().all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric())) && text.len() <= SHORT_MAX
}

fn expect(holds: bool, what: &str, found: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected {what}, found {found:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Result<(), String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(rule(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(rule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_kubernetes() {
        let long = "a".repeat(64);
        check(dns_label, &["a", "agents-1", "1a"], &["", "-a", "a-", "a.b", "A", "a_b", &long]);
        check(dns_subdomain, &["a", "a.b-c.d", &long], &["", "a..b", ".a", "a.-b", "A", &long.repeat(4)]);
        check(namespaced, &["a/b", "a-1/b.c"], &["", "a", "a/", "/b", "a.b/c", "a/b/c", "A/b"]);
        check(label_key, &["app", "app.kubernetes.io/name", "A_b.c"], &["", "/a", "a/", "a/b/c", "A.b/c", "-a", &long]);
        check(label_value, &["", "v1.2_3", "A"], &["-a", "a b", "a/b", &long]);
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        check(series, &["up", "job:rate:5m", "_x"], &["", "1a", "a-b", "a{b=\"c\"}", "a b"]);
        check(label, &["le", "_x1"], &["", "1a", "a:b", "a-b"]);
        check(histogram, &["latency_seconds"], &["latency_seconds_bucket"]);
        assert!(histogram("x_bucket").is_err_and(|error| error.ends_with("write x")));
    }

    #[test]
    fn metric_names_survive_lower_casing() {
        check(metric, &["queue_length", "_x", "p95"], &["", "Queue", "95p", "a-b", "a.b", &"a".repeat(64)]);
    }

    #[test]
    fn urls_are_absolute_and_carry_no_credentials() {
        check(
            url,
            &["http://127.0.0.1:9100/metrics", "https://[::1]:8443/m?x=1", "http://web.agents.svc"],
            &[
                "",
                "/metrics",
                "127.0.0.1:9100",
                "ftp://a/b",
                "http://",
                "http://a:b/",
                "http://a:0/",
                "http://a:99999/",
                "http://u:p@a/",
                "http://a/#x",
                "http://a b/",
            ],
        );
    }

    #[test]
    fn owners_are_a_list_with_each_owner_once() {
        let chain = owners("ReplicaSet/agents-5d4, Deployment/agents,Deployment/agents").expect("a chain");
        let names: Vec<&str> = chain.iter().map(|owner| &*owner.name).collect();
        assert_eq!(names, ["agents-5d4", "agents"]);
        assert!(owners("Deployment/agents,").is_err());
        assert!(owners("Widget/w").is_err_and(|error| error.contains("example.com/v1/Widget/name")));
    }
}
