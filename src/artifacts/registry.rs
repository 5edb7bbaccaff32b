//! A repository of an OCI registry: artifacts are pushed to it and pulled from it.
//!
//! A push ends with its manifest, which is what a tag names: one that breaks off leaves the tag as it was. A pull takes nothing
//! whose digest is not the one that was asked for or that the manifest says, and no more than the bound. Both end in time, however
//! slowly a registry answers.

mod address;
mod artifact;
mod credentials;

use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use reqwest::header::{ACCEPT, HeaderValue};

use crate::artifacts::contents::{SIZE_MAX, read_bounded};
use crate::artifacts::{Digest, Refusal};
use crate::config::{duration, with_causes};
pub use address::Address;
pub use artifact::{Annotations, Artifact, Format};
pub use credentials::Credentials;

/// How a registry is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Without TLS.
    pub plain_http: bool,
    /// PEM bundle of authorities beside those of the machine.
    pub ca: Option<PathBuf>,
    pub credentials: Credentials,
    /// For all of a push or a pull.
    pub timeout: Duration,
}

/// One tag or digest of a repository.
pub struct Registry {
    client: Client,
    /// For manifests, of which the library takes any size.
    http: reqwest::Client,
    scheme: &'static str,
    address: Address,
    credentials: Credentials,
    timeout: Duration,
}

/// What a registry had.
pub struct Pulled {
    /// Of the manifest: what a reference by digest names.
    pub digest: Digest,
    /// The archive.
    pub bytes: Vec<u8>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two pieces of an answer; a registry writes a whole blob to its storage before it answers.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// What registries take of a manifest at most.
const MANIFEST_SIZE_MAX: usize = 4 << 20;

/// Characters of a page with an error that are shown.
const MESSAGE_MAX: usize = 200;

/// A bundle of authorities is below it.
const CA_SIZE_MAX: u64 = 4 << 20;

// === impl Registry ===

impl Registry {
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(address: Address, options: Options) -> Result<Self, Refusal> {
        let unusable = |error: &dyn std::error::Error| Refusal::new(&address, with_causes(error));
        let pem = options.ca.as_deref().map(|path| read_bounded(path, CA_SIZE_MAX)).transpose()?;
        let certificate = |data: &Vec<u8>| Certificate { encoding: CertificateEncoding::Pem, data: data.clone() };
        let roots = pem.iter().map(|pem| reqwest::Certificate::from_pem(pem)).collect::<Result<Vec<_>, _>>();
        let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        let builder = builder.user_agent(USER_AGENT).tls_certs_merge(roots.map_err(|error| unusable(&error))?);
        // The library makes a client of the machine's roots, and panics where there are none.
        let http = builder.build().map_err(|error| unusable(&error))?;
        reqwest::Client::builder().build().map_err(|error| unusable(&error))?;
        let config = ClientConfig {
            protocol: if options.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            extra_root_certificates: pem.iter().map(certificate).collect(),
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        let scheme = if options.plain_http { "http" } else { "https" };
        let Options { credentials, timeout, .. } = options;
        Ok(Self { client, http, scheme, address, credentials, timeout })
    }

    /// # Errors
    /// When the registry refuses or is lost on the way. The tag is as it was then.
    pub async fn push(&self, artifact: &Artifact) -> Result<Digest, Refusal> {
        match tokio::time::timeout(self.timeout, self.pushed(artifact)).await {
            Ok(pushed) => pushed,
            // The last request may have arrived, and its answer not.
            Err(_) => Err(self.too_late("what the tag names is not known: push again")),
        }
    }

    async fn pushed(&self, artifact: &Artifact) -> Result<Digest, Refusal> {
        let broke_off = |what: String| Refusal::new(&self.address, format!("{what}; the tag is as it was"));
        self.authenticate(RegistryOperation::Push).await.map_err(broke_off)?;
        let reference = &self.address.reference;
        for (digest, bytes) in &artifact.blobs {
            let pushed = self.client.push_blob(reference, bytes.clone(), &digest.to_string()).await;
            pushed.map_err(|error| broke_off(format!("{digest} cannot be pushed: {}", self.why(&error))))?;
        }
        let media_type = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        let pushed = self.client.push_manifest_raw(reference, artifact.manifest.clone(), media_type).await;
        pushed.map_err(|error| broke_off(format!("the manifest cannot be pushed: {}", self.why(&error))))?;
        Ok(artifact.digest())
    }

    /// # Errors
    /// When the registry refuses, or what it has is not what it should be.
    pub async fn pull(&self) -> Result<Pulled, Refusal> {
        match tokio::time::timeout(self.timeout, self.pulled()).await {
            Ok(pulled) => pulled,
            Err(_) => Err(self.too_late("nothing was written")),
        }
    }

    fn too_late(&self, what: &str) -> Refusal {
        let timeout = duration::write(self.timeout);
        Refusal::new(&self.address, format!("it was not done within {timeout} (--timeout); {what}"))
    }

    async fn pulled(&self) -> Result<Pulled, Refusal> {
        let refused = |what: String| Refusal::new(&self.address, what);
        let token = self.authenticate(RegistryOperation::Pull).await.map_err(refused)?;
        let text = self.manifest(token).await.map_err(refused)?;
        let manifest: OciImageManifest =
            serde_json::from_slice(&text).map_err(|error| refused(format!("its manifest is none of OCI: {error}")))?;
        let layer = artifact::archive(&manifest).map_err(refused)?;
        Ok(Pulled { digest: Digest::of(&text), bytes: self.blob(layer).await.map_err(refused)? })
    }

    /// No more of it than the bound is ever kept, whatever length is announced.
    async fn manifest(&self, token: Option<String>) -> Result<Vec<u8>, String> {
        let reference = &self.address.reference;
        let name = reference.digest().or(reference.tag()).unwrap_or_default();
        let (host, repository) = (reference.resolve_registry(), reference.repository());
        let url = format!("{}://{host}/v2/{repository}/manifests/{name}", self.scheme);
        let request = self.http.get(&url).header(ACCEPT, OCI_IMAGE_MEDIA_TYPE);
        let request = match (token, self.credentials.auth()) {
            (Some(token), _) => request.bearer_auth(token),
            (None, RegistryAuth::Basic(username, password)) => request.basic_auth(username, Some(password)),
            (None, _) => request,
        };
        let mut answer = request.send().await.map_err(|error| with_causes(&error))?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| with_causes(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MANIFEST_SIZE_MAX {
                return Err(format!("its manifest has more than {MANIFEST_SIZE_MAX} bytes"));
            }
        }
        if !answer.status().is_success() {
            return Err(self.why(&error_of(answer.status().as_u16(), url, &bytes)));
        }
        match reference.digest().filter(|digest| *digest != Digest::of(&bytes).to_string()) {
            Some(digest) => Err(format!("its manifest has the digest {}, expected {digest}", Digest::of(&bytes))),
            None => Ok(bytes),
        }
    }

    async fn blob(&self, layer: &OciDescriptor) -> Result<Vec<u8>, String> {
        let size = u64::try_from(layer.size).ok().filter(|size| *size <= SIZE_MAX);
        let size =
            size.ok_or_else(|| format!("its archive has {} bytes, and at most {SIZE_MAX} are read", layer.size))?;
        let mut answer =
            self.client.pull_blob_stream(&self.address.reference, layer).await.map_err(|error| self.why(&error))?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.stream.try_next().await.map_err(|error| with_causes(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > size {
                return Err(format!("its archive has more than the {size} bytes that its manifest says"));
            }
        }
        Ok(bytes)
    }

    /// Gets the token, where the registry has such; the library would go on without one.
    async fn authenticate(&self, operation: RegistryOperation) -> Result<Option<String>, String> {
        let auth = self.credentials.auth();
        let answered = self.client.auth(&self.address.reference, &auth, operation).await;
        answered.map_err(|error| self.why(&error))
    }

    /// What an operator can act on.
    fn why(&self, error: &OciDistributionError) -> String {
        let refuses = |code: u16| {
            let hint = match self.credentials.auth() {
                RegistryAuth::Anonymous => "give --username and --password-file, or log in with docker login",
                _ => "is the password right, and may the user do this?",
            };
            format!("the registry answers {code} to {}; {hint}", self.credentials)
        };
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                refuses(401)
            }
            OciDistributionError::ServerError { code: code @ (401 | 403), .. } => refuses(*code),
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first() {
                Some(error) if error.code == OciErrorCode::Unauthorized => refuses(401),
                Some(error) if error.code == OciErrorCode::Denied => refuses(403),
                Some(error) if error.code == OciErrorCode::ManifestUnknown => "the registry has no such tag".to_owned(),
                Some(error) if error.code == OciErrorCode::NameUnknown => {
                    "the registry has no such repository".to_owned()
                }
                Some(error) => format!("the registry answers: {}", error.message),
                None => "the registry refuses without a reason".to_owned(),
            },
            error => with_causes(error),
        }
    }
}

/// What the library would make of an answer that is none.
fn error_of(code: u16, url: String, body: &[u8]) -> OciDistributionError {
    match serde_json::from_slice::<OciEnvelope>(body) {
        Ok(envelope) => OciDistributionError::RegistryError { envelope, url },
        Err(_) => {
            let message = String::from_utf8_lossy(body).chars().take(MESSAGE_MAX).collect();
            OciDistributionError::ServerError { code, url, message }
        }
    }
}
