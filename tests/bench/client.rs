//! Asks the servers that are measured, over HTTPS with keep-alive.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

/// One client with its connections.
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
}

// === impl Client ===

impl Client {
    /// Trusts one certificate, PEM.
    pub fn new(certificate: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([root]).http1_only().no_proxy();
        let http = http.timeout(Duration::from_secs(20)).build().expect("a client");
        Self { runtime, http }
    }

    /// Code and body; `None` when there is no answer. A connection that was closed while nobody asked gets a second
    /// try.
    pub fn get(&self, url: &str) -> Option<(u16, String)> {
        self.try_get(url).or_else(|| self.try_get(url))
    }

    fn try_get(&self, url: &str) -> Option<(u16, String)> {
        self.runtime.block_on(async {
            let response = self.http.get(url).send().await.ok()?;
            Some((response.status().as_u16(), response.text().await.ok()?))
        })
    }

    /// The JSON of an answer with code 200.
    #[track_caller]
    pub fn json(&self, url: &str) -> Value {
        let (code, body) = self.get(url).unwrap_or_else(|| panic!("{url}: no answer"));
        assert_eq!(code, 200, "{url}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
    }

    /// The sum of all samples of a name on a metrics page.
    pub fn metric(&self, url: &str, name: &str) -> f64 {
        let (_, page) = self.get(url).unwrap_or_else(|| panic!("{url}: no answer"));
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let number = |line: &str| line.rsplit(' ').next().and_then(|text| text.parse::<f64>().ok());
        page.lines().filter(of_name).filter_map(number).sum()
    }
}
