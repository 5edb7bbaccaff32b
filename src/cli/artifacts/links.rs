//! Options of all that makes artifacts: where the links in them lead.

use clap::Args;

use crate::catalog::{Catalog, rule};

#[derive(Debug, Args)]
pub struct Links {
    /// Folder of the runbooks, where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL")]
    runbooks_url: Option<String>,
    /// The Grafana where alerts link to. Default: an address that nobody has.
    #[arg(long, value_name = "URL")]
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
