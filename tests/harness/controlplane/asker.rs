//! The API server asked as its administrator, each request once: the client of controllers tries again by itself where a
//! server says 503, and what is counted here is what those see that do not.

use std::time::Duration;

use super::programs::Premises;

/// The way to the API server.
#[derive(Clone)]
pub struct Asker {
    base: String,
    http: reqwest::Client,
}

/// As Kubernetes' controllers have it.
const TIMEOUT: Duration = Duration::from_secs(10);

// === impl Asker ===

impl Asker {
    pub fn new(premises: &Premises) -> Self {
        let root = reqwest::Certificate::from_pem(premises.authority.pem.as_bytes()).expect("a certificate");
        let identity = reqwest::Identity::from_pem(premises.admin_identity().as_bytes()).expect("an identity");
        let client = reqwest::Client::builder().tls_certs_only([root]).identity(identity).timeout(TIMEOUT);
        // It would send again what a server has not begun.
        let http = client.retry(reqwest::retry::never()).no_proxy().build().expect("a client");
        Self { base: premises.server.clone(), http }
    }

    /// The body of a good answer.
    ///
    /// # Errors
    /// Status code and body of another one, or why there is none.
    pub async fn get(&self, path: &str) -> Result<String, String> {
        let answer =
            self.http.get(format!("{}{path}", self.base)).send().await.map_err(|error| format!("{error:?}"))?;
        let (code, body) = (answer.status(), answer.text().await.map_err(|error| format!("{error:?}"))?);
        if code.is_success() { Ok(body) } else { Err(format!("{code} {body}")) }
    }
}
