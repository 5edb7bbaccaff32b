//! What the annotations `prometheus.io/scrape`, `port`, `path` and `scheme` ask for. In: annotations of a Pod or a
//! Service. Out: how to scrape, nothing where nobody asks, or a sentence about what is wrong.

use std::fmt;
use std::net::IpAddr;

use super::annotations::Annotations;
use crate::config::check_url;

/// How a pod wants to be scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exposure<'a> {
    pub scheme: &'static str,
    /// Behind the first slash; may have a query.
    pub path: &'a str,
    /// `None` for every port that is declared.
    pub port: Option<u16>,
}

// === impl Exposure ===

impl<'a> Exposure<'a> {
    /// `Ok(None)` without `prometheus.io/scrape: "true"`.
    ///
    /// # Errors
    /// A sentence that names the annotation, what it says and what was expected.
    pub(super) fn read(annotations: &'a Annotations) -> Result<Option<Self>, String> {
        match annotations.get("prometheus.io/scrape") {
            Some("true") => {}
            None | Some("false") => return Ok(None),
            Some(other) => return Err(mistake("scrape", other, "\"true\" or \"false\"")),
        }
        Ok(Some(Self { scheme: scheme(annotations)?, path: path(annotations)?, port: port(annotations)? }))
    }

    pub(super) fn url(&self, address: IpAddr, port: u16) -> String {
        let Self { scheme, path, .. } = self;
        match address {
            IpAddr::V4(address) => format!("{scheme}://{address}:{port}/{path}"),
            IpAddr::V6(address) => format!("{scheme}://[{address}]:{port}/{path}"),
        }
    }
}

fn scheme(annotations: &Annotations) -> Result<&'static str, String> {
    match annotations.get("prometheus.io/scheme") {
        None | Some("" | "http") => Ok("http"),
        Some("https") => Ok("https"),
        Some(other) => Err(mistake("scheme", other, "http or https")),
    }
}

fn path(annotations: &Annotations) -> Result<&str, String> {
    let path = annotations.get("prometheus.io/path").filter(|path| !path.is_empty()).unwrap_or("/metrics");
    let behind = path.strip_prefix('/').unwrap_or(path);
    match check_url(&format!("http://pod/{behind}")) {
        Ok(()) => Ok(behind),
        Err(_) => Err(mistake("path", path, "the path of a URL such as /metrics")),
    }
}

fn port(annotations: &Annotations) -> Result<Option<u16>, String> {
    let Some(text) = annotations.get("prometheus.io/port").filter(|text| !text.is_empty()) else { return Ok(None) };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if is_number && port > 0 => Ok(Some(port)),
        _ => Err(mistake("port", text, "a number from 1 to 65535")),
    }
}

fn mistake(key: &str, found: &str, expected: impl fmt::Display) -> String {
    format!("the annotation prometheus.io/{key} is {:?}; expected {expected}", crate::model::excerpt(&found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::kubernetes::interner::Interner;

    /// The URLs on port 80 of two addresses, or the mistake.
    fn check(annotations: &[(&str, &str)], expected: Result<Option<[&str; 2]>, &str>) {
        let map = annotations.iter().map(|(key, value)| (format!("prometheus.io/{key}"), (*value).to_owned()));
        let read = Annotations::read(Some(map.collect()), &mut Interner::default());
        let addresses = ["10.0.0.1", "fd00::1"].map(|text| text.parse().expect("an address"));
        let urls = |exposure: Exposure<'_>| addresses.map(|ip| exposure.url(ip, exposure.port.unwrap_or(80)));
        let found = Exposure::read(&read).map(|exposure| exposure.map(urls));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected.map(|urls| urls.map(str::to_owned))),
            (Err(found), Err(expected)) => assert_eq!(found, format!("the annotation prometheus.io/{expected}")),
            (found, expected) => panic!("{annotations:?}: {found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn annotations_say_where_the_page_is() {
        let on = ("scrape", "true");
        check(&[], Ok(None));
        check(&[("scrape", "false"), ("port", "x")], Ok(None));
        check(&[("port", "9100")], Ok(None));
        check(&[on], Ok(Some(["http://10.0.0.1:80/metrics", "http://[fd00::1]:80/metrics"])));
        let all = [on, ("scheme", "https"), ("port", "8443"), ("path", "stats?format=prometheus")];
        let urls = ["https://10.0.0.1:8443/stats?format=prometheus", "https://[fd00::1]:8443/stats?format=prometheus"];
        check(&all, Ok(Some(urls)));
        let empty = [on, ("scheme", ""), ("port", ""), ("path", "")];
        check(&empty, Ok(Some(["http://10.0.0.1:80/metrics", "http://[fd00::1]:80/metrics"])));
        // Behind a slash it is a path, and names no other host.
        let host = [on, ("path", "@example.com/")];
        check(&host, Ok(Some(["http://10.0.0.1:80/@example.com/", "http://[fd00::1]:80/@example.com/"])));
    }

    #[test]
    fn a_wrong_annotation_is_named_with_what_was_expected() {
        let on = ("scrape", "true");
        check(&[("scrape", "yes")], Err("scrape is \"yes\"; expected \"true\" or \"false\""));
        check(&[("scrape", "True")], Err("scrape is \"True\"; expected \"true\" or \"false\""));
        for port in ["0", "65536", "metrics", "+80", "-1", " 80", "80.0"] {
            let sentence = format!("port is {port:?}; expected a number from 1 to 65535");
            check(&[on, ("port", port)], Err(&sentence));
        }
        check(&[on, ("scheme", "HTTPS")], Err("scheme is \"HTTPS\"; expected http or https"));
        for path in ["/a b", "/#top", "/\n"] {
            let sentence = format!("path is {path:?}; expected the path of a URL such as /metrics");
            check(&[on, ("path", path)], Err(&sentence));
        }
    }
}
