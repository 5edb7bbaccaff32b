//! Certificate authorities and what they sign: serving certificates, the certificates of users, kubeconfigs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::folder::Folder;

/// A certificate authority; its certificate is a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    pub file: PathBuf,
}

/// A certificate and its key, both PEM files.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

// === impl Authority ===

impl Authority {
    pub fn new(folder: &Folder, name: &str) -> Self {
        let mut params = named(name, None, Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let file = folder.write(&format!("{name}.crt"), &pem);
        Self { issuer: Issuer::new(params, key), pem, file }
    }

    /// The certificate of a server with these host names and addresses.
    pub fn server(&self, folder: &Folder, name: &str, hosts: Vec<String>) -> Pair {
        let params = named(name, None, hosts);
        self.sign(folder, name, params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The certificate of a user.
    pub fn client(&self, folder: &Folder, user: &str, group: Option<&str>) -> Pair {
        let params = named(user, group, Vec::new());
        self.sign(folder, user, params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, folder: &Folder, name: &str, mut params: CertificateParams, use_: ExtendedKeyUsagePurpose) -> Pair {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![use_];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let name = name.replace(':', "-");
        Pair {
            certificate: folder.write(&format!("{name}.crt"), &certificate.pem()),
            key: folder.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }
}

// === impl Pair ===

impl Pair {
    /// A kubeconfig file with which its user reaches the API server.
    pub fn kubeconfig(&self, folder: &Folder, name: &str, server: &str, authority: &Path) -> PathBuf {
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: '{server}', certificate-authority: '{}'}}}}]
users: [{{name: user, user: {{client-certificate: '{}', client-key: '{}'}}}}]
contexts: [{{name: test, context: {{cluster: test, user: user, namespace: default}}}}]
",
            authority.display(),
            self.certificate.display(),
            self.key.display()
        );
        folder.write(&format!("{name}.kubeconfig"), &text)
    }
}

/// The keys of the tokens of service accounts: what verifies them, and what signs them.
pub fn token_keys(folder: &Folder) -> [PathBuf; 2] {
    let key = KeyPair::generate().expect("a key");
    let public = folder.write("service-account.pub", &key.public_key_pem());
    [public, folder.write("service-account.key", &key.serialize_pem())]
}

/// The names under which the API server is known.
pub fn apiserver_hosts(address: IpAddr) -> Vec<String> {
    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    names.map(str::to_owned).into_iter().chain([address.to_string()]).collect()
}

fn named(name: &str, group: Option<&str>, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}
