//! Options of all that makes artifacts: where the links in them lead.

use clap::Args;

use crate::catalog::{Catalog, rule};
use crate::config::check_url;

#[derive(Debug, Args)]
pub struct Links {
    /// Folder of the runbooks, where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL", value_parser = url)]
    runbooks_url: Option<String>,
    /// The Grafana where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL", value_parser = url)]
    grafana_url: Option<String>,
}

// === impl Links ===

impl Links {
    /// The shipped catalogue with these.
    pub fn catalog(&self) -> Catalog {
        let url = |given: &Option<String>, default: String| match given {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => default,
        };
        let rule::Links { runbooks, grafana } = rule::Links::default();
        let mut catalog = Catalog::shipped();
        catalog.links =
            rule::Links { runbooks: url(&self.runbooks_url, runbooks), grafana: url(&self.grafana_url, grafana) };
        catalog
    }
}

/// It stands in templates of Prometheus, which would take braces for their own.
fn url(text: &str) -> Result<String, String> {
    check_url(text)?;
    match text.chars().find(|c| matches!(c, '{' | '}') || c.is_whitespace() || c.is_control()) {
        Some(c) => Err(format!("expected a URL, found {text:?}: {c:?} cannot stand in one")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_no_template() {
        assert!(url("https://grafana.example/sub").is_ok());
        for bad in ["https://a/{{.X}}", "https://a/{{ .X }}", "https://a/b c"] {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert!(url("grafana").is_err());
    }
}
