//! The rules of `name` and `duration` as regular expressions, which editors check while one types.
//!
//! The reader does not use them: its own checks write better messages. A pattern accepts all that its rule accepts, and
//! little else.

macro_rules! dns_part {
    () => {
        "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    };
}

macro_rules! dns_subdomain {
    () => {
        concat!(dns_part!(), r"(\.", dns_part!(), ")*")
    };
}

macro_rules! qualified {
    () => {
        "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
    };
}

/// One owner: `Kind/name` or `group/version/Kind/name`.
macro_rules! owner {
    () => {
        concat!(r"([^\s,/]+/){1,3}", dns_subdomain!())
    };
}

/// The pattern of a `format` of the schema, anchored, in the dialect of ECMA 262.
pub fn of_format(format: &str) -> Option<&'static str> {
    let pattern = match format {
        "prometheus-duration" => r"^([0-9]+(\.[0-9]+)?(y|w|d|h|ms|m|s))+$",
        "owner-list" => concat!(r"^\s*", owner!(), r"(\s*,\s*", owner!(), r")*\s*$"),
        "http-url" => r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+([/?][^#\s]*)?$",
        "metric-name" => "^[a-z_][a-z0-9_]{0,62}$",
        "series-name" | "histogram-name" => "^[A-Za-z_:][A-Za-z0-9_:]*$",
        "label-name" => "^[A-Za-z_][A-Za-z0-9_]*$",
        "dns-label" => "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "dns-subdomain" => concat!("^", dns_subdomain!(), "$"),
        "namespaced-name" => concat!("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/", dns_subdomain!(), "$"),
        "label-key" => concat!("^(", dns_subdomain!(), "/)?", qualified!(), "$"),
        "label-value" => concat!("^(", qualified!(), ")?$"),
        "job-name" => r"^[^\x00-\x1f\x7f-\x9f]*\S[^\x00-\x1f\x7f-\x9f]*$",
        "path" => r"^[^\x00]+$",
        "path-pattern" => r"^([^*\x00]*/[^/\x00]*|[^/\x00]+)$",
        _ => return None,
    };
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::structure::format_rule;

    const FORMATS: [&str; 14] = [
        "prometheus-duration",
        "owner-list",
        "http-url",
        "metric-name",
        "series-name",
        "histogram-name",
        "label-name",
        "dns-label",
        "dns-subdomain",
        "namespaced-name",
        "label-key",
        "label-value",
        "job-name",
        "path",
    ];

    fn texts() -> Vec<String> {
        let mut texts: Vec<String> = [
            "",
            " ",
            "a",
            "A",
            "_",
            "1",
            "-",
            "a-",
            "-a",
            "a.b",
            "a..b",
            ".a",
            "a_b",
            "a:b",
            "a b",
            "a/b",
            "A.b/c",
            "app.kubernetes.io/name",
            "a/b/c",
            "/a",
            "a/",
            "up",
            "job:rate:5m",
            "x_bucket",
            "15s",
            "1m30s",
            "1.5h",
            "5",
            "Deployment/web",
            "ReplicaSet/web-5d4, Deployment/web",
            "example.com/v1/Widget/w",
            "Deployment/Web",
            "Deployment/web,",
            "http://127.0.0.1:9100/metrics",
            "https://[::1]:8443/m?x=1",
            "HTTP://web.agents.svc",
            "http://a?x=1",
            "http://",
            "ftp://a/b",
            "http://u:p@a/",
            "http://a/#x",
            "http://a b/",
            "http://a/b@c",
            "my job",
            "a\nb",
            "targets/*.json",
            "*/a.json",
            "a*b*",
            "é",
        ]
        .map(str::to_owned)
        .into();
        texts.extend([62, 63, 64].map(|length| "a".repeat(length)));
        texts.extend([62, 63, 64].map(|length| format!("{}/{}", "a".repeat(length), "b".repeat(length))));
        texts
    }

    #[test]
    fn a_pattern_accepts_all_that_its_rule_accepts() {
        for format in FORMATS.into_iter().chain(["path-pattern"]) {
            let pattern = regex::Regex::new(of_format(format).expect(format)).expect("a pattern");
            let (_, rule) = format_rule(format).expect(format);
            for text in texts().iter().filter(|text| rule(text).is_ok()) {
                assert!(pattern.is_match(text), "{format}: {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_of_names_refuses_all_that_its_rule_refuses() {
        let names =
            ["metric-name", "series-name", "label-name", "dns-label", "dns-subdomain", "label-key", "label-value"];
        for format in names.into_iter().chain(["path", "path-pattern"]) {
            let pattern = regex::Regex::new(of_format(format).expect(format)).expect("a pattern");
            let (_, rule) = format_rule(format).expect(format);
            for text in texts().iter().filter(|text| rule(text).is_err()) {
                assert!(!pattern.is_match(text), "{format}: {text:?}");
            }
        }
        for (format, text) in [
            ("http-url", "127.0.0.1:9100/metrics"),
            ("http-url", "http://u:p@a/"),
            ("owner-list", "web"),
            ("owner-list", "Deployment/Web"),
        ] {
            let pattern = regex::Regex::new(of_format(format).expect(format)).expect("a pattern");
            assert!(!pattern.is_match(text), "{format}: {text:?}");
        }
    }
}
