//! A repository of an OCI registry: artifacts are pushed to it and pulled from it.
//!
//! A push ends with its manifest, which is what a tag names: one that breaks off leaves the tag as it was. A pull takes nothing
//! whose digest is not the one that was asked for or that the manifest says, and no more than the bound.

mod address;
mod artifact;
mod credentials;

use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use reqwest::header::HeaderValue;

use crate::artifacts::contents::{SIZE_MAX, read_bounded};
use crate::artifacts::{Digest, Refusal};
use crate::config::with_causes;
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
}

/// One tag or digest of a repository.
pub struct Registry {
    client: Client,
    address: Address,
    credentials: Credentials,
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

/// A bundle of authorities is below it.
const CA_SIZE_MAX: u64 = 4 << 20;

// === impl Registry ===

impl Registry {
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(address: Address, options: Options) -> Result<Self, Refusal> {
        let certificate = |path: &PathBuf| {
            let data = read_bounded(path, CA_SIZE_MAX)?;
            Ok(Certificate { encoding: CertificateEncoding::Pem, data })
        };
        let config = ClientConfig {
            protocol: if options.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            extra_root_certificates: options.ca.iter().map(certificate).collect::<Result<_, _>>()?,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        // The library makes a client of the machine's roots beside it, and panics where there are none.
        reqwest::Client::builder().build().map_err(|error| Refusal::new(&address, with_causes(&error)))?;
        let client = Client::try_from(config).map_err(|error| Refusal::new(&address, with_causes(&error)))?;
        Ok(Self { client, address, credentials: options.credentials })
    }

    /// # Errors
    /// When the registry refuses or is lost on the way. The tag is as it was then.
    pub async fn push(&self, artifact: &Artifact) -> Result<Digest, Refusal> {
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
        let refused = |what: String| Refusal::new(&self.address, what);
        self.authenticate(RegistryOperation::Pull).await.map_err(refused)?;
        let (reference, auth) = (&self.address.reference, self.credentials.auth());
        let manifest = self.client.pull_manifest_raw(reference, &auth, &[OCI_IMAGE_MEDIA_TYPE]).await;
        let (text, _) = manifest.map_err(|error| refused(self.why(&error)))?;
        let manifest: OciImageManifest =
            serde_json::from_slice(&text).map_err(|error| refused(format!("its manifest is none of OCI: {error}")))?;
        let layer = artifact::archive(&manifest).map_err(refused)?;
        Ok(Pulled { digest: Digest::of(&text), bytes: self.blob(layer).await.map_err(refused)? })
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
    async fn authenticate(&self, operation: RegistryOperation) -> Result<(), String> {
        let auth = self.credentials.auth();
        let answered = self.client.auth(&self.address.reference, &auth, operation).await;
        answered.map(drop).map_err(|error| self.why(&error))
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
