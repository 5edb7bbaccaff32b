//! Plimsoll asked without the API server in between: with the certificate of the front proxy, in the name of an
//! administrator. So it can be asked while the API server is away, and for pages that are no API.

use std::net::SocketAddr;
use std::time::Duration;

use super::programs::Premises;

/// The way to one Plimsoll.
pub struct Direct {
    base: String,
    http: reqwest::Client,
}

/// The name by which the API server calls it.
pub const HOST: &str = "plimsoll.plimsoll-system.svc";

/// Whatever it answers, it answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

// === impl Direct ===

impl Direct {
    /// The certificate has to be good for the name of its Service, and of this authority.
    pub fn new(premises: &Premises, address: SocketAddr, authority: &str) -> Self {
        let roots = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).expect("certificates");
        let identity = reqwest::Identity::from_pem(premises.front_proxy_identity().as_bytes()).expect("an identity");
        let client = reqwest::Client::builder().tls_certs_only(roots).identity(identity);
        let client = client.resolve(HOST, address).no_proxy().timeout(TIMEOUT);
        Self { base: format!("https://{HOST}:{}", address.port()), http: client.build().expect("a client") }
    }

    /// Status code and body; none where nothing answers.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let request = self.http.get(format!("{}{path}", self.base));
        let request = request.header("X-Remote-User", "administrator").header("X-Remote-Group", "system:masters");
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }
}
