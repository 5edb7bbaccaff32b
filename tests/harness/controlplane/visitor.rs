//! Whoever asks a Plimsoll without the API server in between: with a certificate of any authority, with a token, with
//! headers, or with nothing. And how the cluster changes whom it believes.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::ByteString;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::ControlPlane;
use super::authority::Authority;
use super::folder::Folder;

/// Asks one Plimsoll. It trusts any serving certificate: here the question is the other one.
pub struct Visitor {
    base: String,
    http: reqwest::Client,
    headers: Vec<(String, String)>,
}

/// A name that only the API server has, in the file of its authority.
const FRONT_PROXY_CA: &str = "front-proxy-ca.crt";

/// More than the time in which a review is given up.
const TIMEOUT: Duration = Duration::from_secs(30);

// === impl ControlPlane ===

impl ControlPlane {
    /// The front proxy itself, in the name of a user.
    pub fn front_proxy(&self, plimsoll: SocketAddr, user: &str) -> Visitor {
        Visitor::new(plimsoll, Some(&self.premises.front_proxy_identity())).with("X-Remote-User", user)
    }

    /// A certificate of a user of the cluster, with its key.
    pub fn of_user(&self, user: &str, group: Option<&str>) -> String {
        signed(&self.premises.authority, user, group)
    }

    /// A certificate that the authority of the front proxy has given somebody else, with its key.
    pub fn of_front_proxy_ca(&self, name: &str) -> String {
        signed(&self.premises.front_proxy, name, None)
    }

    /// A certificate of an authority that nobody knows, with its key.
    pub fn of_stranger(name: &str) -> String {
        signed(&Authority::new(&Folder::new(), "front-proxy-ca"), name, None)
    }

    /// A token of a service account as the cluster would sign it, with claims of one's choice.
    pub fn token(&self, claims: &Value) -> String {
        let key = std::fs::read(&self.premises.token_keys[1]).expect("written");
        let key = PrivatePkcs8KeyDer::from_pem_slice(&key).expect("a key");
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random);
        let header = json!({"alg": "ES256", "typ": "JWT"});
        let signed = format!("{}.{}", base64_url(header.to_string()), base64_url(claims.to_string()));
        let signature = key.expect("an ECDSA key").sign(&random, signed.as_bytes()).expect("signed");
        format!("{signed}.{}", base64_url(signature.as_ref()))
    }

    /// What the API server is to trust for front proxies, in the file that it watches: so many authorities.
    pub fn write_front_proxy_ca(&self, authorities: &[&Authority]) {
        let all: Vec<&str> = authorities.iter().map(|authority| authority.pem.as_str()).collect();
        self.premises.folder.write(FRONT_PROXY_CA, &all.concat());
    }

    /// Gives the API server a certificate of this authority for what it forwards, in the files that it watches.
    pub fn write_front_proxy(&self, authority: &Authority) {
        drop(authority.client(&self.premises.folder, "front-proxy-client", None));
    }

    pub fn front_proxy_ca(&self) -> &Authority {
        &self.premises.front_proxy
    }

    /// Another authority.
    pub fn new_authority(&self, name: &str) -> Authority {
        Authority::new(&self.premises.folder, name)
    }
}

// === impl Visitor ===

impl Visitor {
    /// Whoever has this certificate, with its key in PEM.
    pub fn new(plimsoll: SocketAddr, certificate: Option<&str>) -> Self {
        let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().timeout(TIMEOUT);
        let identity = certificate.map(|pem| reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"));
        let http = identity.into_iter().fold(builder, reqwest::ClientBuilder::identity).build().expect("a client");
        Self { base: format!("https://{plimsoll}"), http, headers: Vec::new() }
    }

    /// The same with a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with a bearer token.
    pub fn token(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// Status code and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", self.base));
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    pub async fn code(&self, path: &str) -> u16 {
        self.get(path).await.0
    }

    /// The message of an error.
    pub async fn message(&self, path: &str) -> String {
        let (_, body) = self.get(path).await;
        let status: Value = serde_json::from_str(&body).unwrap_or_default();
        status["message"].as_str().unwrap_or(&body).to_owned()
    }
}

/// Certificate and key, in a folder apart: names may be those of the API server's own files.
fn signed(authority: &Authority, name: &str, group: Option<&str>) -> String {
    let folder = Folder::new();
    let pair = authority.client(&folder, name, group);
    let read = |file| std::fs::read_to_string(file).expect("written");
    read(pair.certificate) + &read(pair.key)
}

fn base64_url(bytes: impl AsRef<[u8]>) -> String {
    let text = json!(ByteString(bytes.as_ref().to_vec()));
    text.as_str().expect("base64").trim_end_matches('=').replace('+', "-").replace('/', "_")
}
