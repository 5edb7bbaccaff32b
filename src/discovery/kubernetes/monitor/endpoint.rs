//! One endpoint of a monitor. In: its part of `spec`. Out: how pods are scraped, checked, and what has no effect; or
//! the key that is wrong.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Map, Value};

use super::spec::{self, Effect};
use crate::config::{Scraping, duration};
use crate::discovery::kubernetes::relabeling::Rule;
use crate::discovery::kubernetes::relabeling::url::Parameters;

/// How the pods or endpoints that a monitor selects are scraped.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its place in the monitor: `podMetricsEndpoints[0]`.
    pub place: String,
    pub port: Port,
    pub scheme: &'static str,
    pub path: String,
    pub parameters: Parameters,
    pub interval: Duration,
    pub timeout: Duration,
    pub rules: Vec<Rule>,
    /// Refers to Secrets and ConfigMaps.
    pub given: spec::Endpoint,
}

/// Which of the ports are scraped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Port {
    /// All that containers declare, and containers that declare none.
    All,
    /// That of the Service with this name.
    Service(String),
    /// That of a container with this name.
    Name(String),
    /// That of a container with this number.
    Number(u16),
}

// === impl Endpoint ===

impl Endpoint {
    /// # Errors
    /// The key that is wrong and what was expected.
    pub(super) fn read(place: String, value: &Value, job: &Scraping, of_service: bool) -> Result<Self, String> {
        let refused = |(key, effect)| match effect {
            Some(Effect::Refused(why)) => Some(format!("{place}.{key}: {why}")),
            _ => None,
        };
        if let Some(refused) = effects(value, spec::of_endpoint).find_map(refused) {
            return Err(refused);
        }
        let given: spec::Endpoint = typed(value).map_err(|mistake| format!("{place}{mistake}"))?;
        let at = |(key, mistake): (&str, String)| format!("{place}.{key}: {mistake}");
        check_credentials(&given).map_err(at)?;
        let (interval, timeout) = times(&given, job).map_err(at)?;
        let rules = rules(&given).map_err(|mistake| format!("{place}.{mistake}"))?;
        Ok(Self {
            port: port(&given, of_service).map_err(at)?,
            scheme: scheme(&given.scheme).map_err(at)?,
            path: if given.path.is_empty() { "/metrics".into() } else { given.path.clone() },
            parameters: given.params.clone(),
            interval,
            timeout,
            rules,
            given,
            place,
        })
    }

    /// What the label `endpoint` says.
    pub(super) fn shown_port(&self) -> String {
        match (self.given.port.as_str(), &self.given.target_port) {
            ("", Some(IntOrString::String(name))) => name.clone(),
            ("", Some(IntOrString::Int(number))) => number.to_string(),
            (name, _) => name.to_owned(),
        }
    }
}

/// The keys of a mapping that say something, with their effects.
fn effects(value: &Value, of: fn(&str) -> Option<Effect>) -> impl Iterator<Item = (&String, Option<Effect>)> {
    let says = |value: &&Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let pairs = value.as_object().into_iter().flat_map(Map::iter);
    pairs.filter(move |(_, value)| says(value)).map(move |(key, _)| (key, of(key)))
}

/// Keys that have no effect although they could change a number, and what is said about them.
pub(super) fn told(value: &Value, of: fn(&str) -> Option<Effect>) -> impl Iterator<Item = (&str, &'static str)> {
    effects(value, of).filter_map(|(key, effect)| {
        let is_off = value[key] == false;
        match effect {
            Some(Effect::Told(what)) if !is_off => Some((key.as_str(), what)),
            Some(Effect::ToldWhenFalse(what)) if is_off => Some((key.as_str(), what)),
            None => Some((key.as_str(), "is not known here, and has no effect")),
            _ => None,
        }
    })
}

/// # Errors
/// `.key: what is wrong`.
pub(super) fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
        "." => format!(": {}", error.inner()),
        path => format!(".{path}: {}", error.inner()),
    })
}

fn port(given: &spec::Endpoint, of_service: bool) -> Result<Port, (&'static str, String)> {
    let number = |key, number: i64| match u16::try_from(number) {
        Ok(number) if number > 0 => Ok(Port::Number(number)),
        _ => Err((key, format!("expected a number from 1 to 65535, found {number}"))),
    };
    match (given.port.as_str(), given.port_number, &given.target_port) {
        ("", Some(given), _) if !of_service => number("portNumber", given.into()),
        ("", _, Some(IntOrString::Int(given))) => number("targetPort", (*given).into()),
        ("", _, Some(IntOrString::String(name))) if !name.is_empty() => Ok(Port::Name(name.clone())),
        ("", _, _) => Ok(Port::All),
        (name, _, _) if of_service => Ok(Port::Service(name.into())),
        (name, _, _) => Ok(Port::Name(name.into())),
    }
}

fn scheme(given: &str) -> Result<&'static str, (&'static str, String)> {
    match given.to_ascii_lowercase().as_str() {
        "" | "http" => Ok("http"),
        "https" => Ok("https"),
        _ => Err(("scheme", format!("expected http or https, found {given:?}"))),
    }
}

/// Whoever may write monitors must not have everybody's scraper busy with one target.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The interval that a monitor asks for. Only the job itself may be faster than a second.
///
/// # Errors
/// What was expected.
pub(super) fn interval(text: &str, job: &Scraping) -> Result<Duration, String> {
    let (interval, least) = (duration::parse(text)?, INTERVAL_MIN.min(job.interval));
    match interval < least {
        true => Err(format!("expected at least {}, found {text:?}", duration::write(least))),
        false => Ok(interval),
    }
}

/// Interval and timeout, those of the job where nothing is said.
fn times(given: &spec::Endpoint, job: &Scraping) -> Result<(Duration, Duration), (&'static str, String)> {
    let interval = match given.interval.as_str() {
        "" => job.interval,
        text => self::interval(text, job).map_err(|mistake| ("interval", mistake))?,
    };
    let timeout = match given.scrape_timeout.as_str() {
        "" if job.timeout < interval => job.timeout,
        "" => Scraping::default_timeout(interval),
        text => duration::parse(text).map_err(|mistake| ("scrapeTimeout", mistake))?,
    };
    match shorter(timeout, interval) {
        Some(timeout) => Ok((interval, timeout)),
        None => {
            let [found, most] = [timeout, interval].map(duration::write);
            Err(("scrapeTimeout", format!("expected at most the interval ({most}), found {found}")))
        }
    }
}

/// A timeout that is shorter than its interval. Prometheus allows them to be equal; here a scrape ends before the next.
pub(super) fn shorter(timeout: Duration, interval: Duration) -> Option<Duration> {
    match timeout.cmp(&interval) {
        std::cmp::Ordering::Less => Some(timeout),
        std::cmp::Ordering::Equal => Some(timeout - Duration::from_millis(1)),
        std::cmp::Ordering::Greater => None,
    }
}

fn rules(given: &spec::Endpoint) -> Result<Vec<Rule>, String> {
    let rules = given.relabelings.iter().enumerate();
    rules.map(|(i, rule)| Rule::read(rule).map_err(|mistake| format!("relabelings[{i}].{mistake}"))).collect()
}

const NO_FILES: &str = "a monitor may not read the files of Plimsoll, whose author could get at its token; put the \
     content into a Secret or ConfigMap";

/// That requests go out with just the credentials that are meant, or not at all.
fn check_credentials(given: &spec::Endpoint) -> Result<(), (&'static str, String)> {
    let tls = &given.tls_config;
    let authorization_file = given.authorization.as_ref().map_or("", |given| given.credentials_file.as_str());
    for (key, file) in [
        ("bearerTokenFile", given.bearer_token_file.as_str()),
        ("authorization.credentialsFile", authorization_file),
        ("tlsConfig.caFile", &tls.ca_file),
        ("tlsConfig.certFile", &tls.cert_file),
        ("tlsConfig.keyFile", &tls.key_file),
    ] {
        if !file.is_empty() {
            return Err((key, NO_FILES.into()));
        }
    }
    check_secrets(given)?;
    for (key, reference) in [("tlsConfig.ca", &tls.ca), ("tlsConfig.cert", &tls.cert)] {
        if !reference.secret.is_none() && !reference.config_map.is_none() {
            return Err((key, "expected either secret or configMap, found both".into()));
        }
    }
    let has_certificate = !tls.cert.secret.is_none() || !tls.cert.config_map.is_none();
    match (has_certificate, !tls.key_secret.is_none()) {
        (true, false) => Err(("tlsConfig.cert", "a client certificate needs keySecret beside it".into())),
        (false, true) => Err(("tlsConfig.keySecret", "a client key needs cert beside it".into())),
        _ => check_tls(tls),
    }
}

fn check_secrets(given: &spec::Endpoint) -> Result<(), (&'static str, String)> {
    let bearer = !given.bearer_token_secret.is_none();
    let several = [bearer, given.authorization.is_some(), given.basic_auth.is_some()];
    if several.into_iter().filter(|given| *given).count() > 1 {
        let message = "expected one of bearerTokenSecret, authorization and basicAuth, found several";
        return Err((if given.basic_auth.is_some() { "basicAuth" } else { "authorization" }, message.into()));
    }
    let missing = || "missing key; expected a key of a Secret".to_owned();
    if given.authorization.as_ref().is_some_and(|given| given.credentials.is_none()) {
        return Err(("authorization.credentials", missing()));
    }
    match &given.basic_auth {
        Some(basic) if basic.username.is_none() => Err(("basicAuth.username", missing())),
        Some(basic) if basic.password.is_none() => Err(("basicAuth.password", missing())),
        _ => Ok(()),
    }
}

/// TLS 1.2 and 1.3 are spoken, and nothing below is ever taken.
fn check_tls(tls: &spec::TlsConfig) -> Result<(), (&'static str, String)> {
    let message = |found: &str| format!("TLS 1.2 and 1.3 are spoken, and cannot be chosen from; found {found:?}");
    match (tls.min_version.as_str(), tls.max_version.as_str()) {
        (min @ ("TLS13" | "TLS14"), _) => Err(("tlsConfig.minVersion", message(min))),
        (_, max @ ("TLS10" | "TLS11" | "TLS12")) => Err(("tlsConfig.maxVersion", message(max))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str, of_service: bool) -> Result<Endpoint, String> {
        let value: Value = serde_saphyr::from_str(yaml).expect(yaml);
        Endpoint::read("endpoints[0]".into(), &value, &Scraping::for_test(), of_service)
    }

    #[test]
    fn ports_are_those_of_the_service_or_of_a_container() {
        let check = |yaml: &str, of_service, want| assert_eq!(read(yaml, of_service).expect(yaml).port, want, "{yaml}");
        check("{}", false, Port::All);
        check("{port: web, portNumber: 1, targetPort: 2}", false, Port::Name("web".into()));
        check("{portNumber: 1, targetPort: 2}", false, Port::Number(1));
        check("{targetPort: 2}", false, Port::Number(2));
        check("{targetPort: web}", true, Port::Name("web".into()));
        check("{port: web, targetPort: 2}", true, Port::Service("web".into()));
    }

    #[test]
    fn times_come_from_the_job_where_the_endpoint_has_none() {
        let check = |yaml: &str, want: (u64, u64)| {
            let found = read(yaml, false).expect(yaml);
            let want = (Duration::from_millis(want.0), Duration::from_millis(want.1));
            assert_eq!((found.interval, found.timeout), want, "{yaml}");
        };
        check("{}", (15_000, 10_000));
        check("{interval: 1m}", (60_000, 10_000));
        check("{interval: 6s}", (6_000, 4_000));
        check("{interval: 5s, scrapeTimeout: 5s}", (5_000, 4_999));
        check("{scrapeTimeout: 2s}", (15_000, 2_000));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        for (yaml, want) in [
            ("{port: 5}", ".port: invalid type: integer `5`, expected a string"),
            ("{tlsConfig: {ca: {secret: {name: 1}}}}", ".tlsConfig.ca.secret.name: invalid type"),
            ("{targetPort: 0}", ".targetPort: expected a number from 1 to 65535, found 0"),
            ("{scheme: ftp}", ".scheme: expected http or https, found \"ftp\""),
            ("{interval: soon}", ".interval: expected a duration such as 15s"),
            ("{interval: 999ms}", ".interval: expected at least 1s, found \"999ms\""),
            ("{scrapeTimeout: 20s}", ".scrapeTimeout: expected at most the interval (15s), found 20s"),
            ("{relabelings: [{}, {action: keep, regex: '('}]}", ".relabelings[0].targetLabel: missing key"),
            ("{bearerTokenFile: /etc/passwd}", ".bearerTokenFile: a monitor may not read the files"),
            ("{tlsConfig: {caFile: a}}", ".tlsConfig.caFile: a monitor may not read the files"),
            (
                "{tlsConfig: {cert: {secret: {name: a, key: b}}}}",
                ".tlsConfig.cert: a client certificate needs keySecret",
            ),
            ("{tlsConfig: {keySecret: {name: a, key: b}}}", ".tlsConfig.keySecret: a client key needs cert"),
            ("{tlsConfig: {minVersion: TLS13}}", ".tlsConfig.minVersion: TLS 1.2 and 1.3 are spoken"),
            ("{basicAuth: {username: {name: a, key: b}}}", ".basicAuth.password: missing key"),
            ("{authorization: {type: Bearer}}", ".authorization.credentials: missing key"),
            ("{authorization: {credentials: {name: a, key: b}}, basicAuth: {}}", ".basicAuth: expected one of"),
            ("{oauth2: {tokenUrl: a}}", ".oauth2: is not supported"),
        ] {
            let error = read(yaml, false).expect_err(yaml);
            assert!(error.starts_with(&format!("endpoints[0]{want}")), "{yaml}: {error}");
        }
    }

    #[test]
    fn what_has_no_effect_is_told_where_it_could_matter() {
        let check = |yaml: &str, want: &[&str]| {
            let value: Value = serde_saphyr::from_str(yaml).expect(yaml);
            let keys: Vec<_> = told(&value, spec::of_endpoint).map(|(key, _)| key).collect();
            assert_eq!(keys, want, "{yaml}");
        };
        check("{honorLabels: true, honorTimestamps: true, metricRelabelings: [], followRedirects: false}", &[]);
        check("{honorTimestamps: false, proxyUrl: 'http://p', new: 1}", &["honorTimestamps", "proxyUrl", "new"]);
        check("{metricRelabelings: [{action: drop}], proxyFromEnvironment: false}", &["metricRelabelings"]);
    }
}
