//! Labels as rules left them → the URL that is scraped, put together as Prometheus does (`scrape.Target.URL`).

use std::collections::BTreeMap;
use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::LabelSet;

/// URL parameters; of each name the first value is the one that `__param_<name>` shows and replaces.
pub type Parameters = BTreeMap<String, Vec<String>>;

pub const ADDRESS: &str = "__address__";
pub const SCHEME: &str = "__scheme__";
pub const METRICS_PATH: &str = "__metrics_path__";
pub const PARAMETER_PREFIX: &str = "__param_";

/// Go's `net/url` writes these as they are, in a query and in a path.
const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: AsciiSet = QUERY
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

// === impl LabelSet ===

impl LabelSet {
    /// # Errors
    /// Which label has no address or scheme that can be scraped.
    pub fn url(&self, parameters: &Parameters) -> Result<String, String> {
        let (address, path) = (self.get(ADDRESS), self.get(METRICS_PATH));
        if address.is_empty() || address.contains(['/', '?', '#', '@']) {
            return Err(format!("{ADDRESS}: expected host:port, found {address:?}"));
        }
        let scheme = match self.get(SCHEME) {
            scheme @ ("http" | "https") => scheme,
            other => return Err(format!("{SCHEME}: expected http or https, found {other:?}")),
        };
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        let mut url = format!("{scheme}://{address}{slash}{}", utf8_percent_encode(path, &PATH));
        for (i, (name, value)) in self.parameters(parameters).iter().enumerate() {
            let separator = if i == 0 { '?' } else { '&' };
            write!(url, "{separator}{}={}", query(name), query(value)).expect("writing to a String cannot fail");
        }
        Ok(url)
    }

    /// Name and value in the order of the names.
    fn parameters<'a>(&'a self, given: &'a Parameters) -> Vec<(&'a str, &'a str)> {
        let mut all: BTreeMap<&str, Vec<&str>> =
            given.iter().map(|(name, values)| (&**name, values.iter().map(String::as_str).collect())).collect();
        let shown = self.iter().filter_map(|(label, value)| Some((label.strip_prefix(PARAMETER_PREFIX)?, value)));
        for (name, value) in shown {
            let values = all.entry(name).or_default();
            values.splice(..values.len().min(1), [value]);
        }
        all.into_iter().flat_map(|(name, values)| values.into_iter().map(move |value| (name, value))).collect()
    }
}

fn query(text: &str) -> String {
    utf8_percent_encode(text, &QUERY).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_labels_make_the_url() {
        let check = |labels: &str, want: Result<&str, &str>| {
            let labels: LabelSet = labels.split('¦').filter_map(|pair| pair.trim().split_once('=')).collect();
            let parameters = [("x".to_owned(), vec!["1".to_owned(), "2 3".to_owned()])].into();
            assert_eq!(labels.url(&parameters), want.map(str::to_owned).map_err(str::to_owned));
        };
        check("__address__=a:1 ¦ __scheme__=http ¦ __metrics_path__=/m", Ok("http://a:1/m?x=1&x=2+3"));
        check(
            "__address__=[::1]:1 ¦ __scheme__=https ¦ __param_x=é ¦ __param_a=b",
            Ok("https://[::1]:1?a=b&x=%C3%A9&x=2+3"),
        );
        check("__address__=a ¦ __scheme__=http ¦ __metrics_path__=m?b c", Ok("http://a/m%3Fb%20c?x=1&x=2+3"));
        check("__address__=a/b", Err("__address__: expected host:port, found \"a/b\""));
        check("__metrics_path__=m", Err("__address__: expected host:port, found \"\""));
        check("__address__=a ¦ __scheme__=ftp", Err("__scheme__: expected http or https, found \"ftp\""));
        check("__address__=a", Err("__scheme__: expected http or https, found \"\""));
    }
}
