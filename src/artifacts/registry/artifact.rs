//! A bundle in the forms that programs read from a registry.
//!
//! Flux's source-controller takes the archive as the one layer of an image with media types of its own. grafana-operator takes
//! a dashboard by the title of its layer (`spec.oci.path`), so there each dashboard is a layer. Both say the same each time, so
//! that the digest tells whether anything changed.

use std::collections::BTreeMap;

use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::{Value, json};

use crate::artifacts::{Bundle, Digest};

/// Which program reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Flux,
    Grafana,
}

/// What the manifest says of its origin.
#[derive(Clone, Debug)]
pub struct Annotations {
    /// Where the artifacts come from: the URL of a repository.
    pub source: Option<String>,
    /// What they were made of there, as Flux writes it: `main@sha1:…`. Default: their version and the digest of the archive.
    pub revision: Option<String>,
    /// Seconds since the Unix epoch; 0 where the digest has to be the same each time.
    pub created: i64,
}

/// A manifest and all it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub manifest: Vec<u8>,
    pub blobs: Vec<(Digest, Vec<u8>)>,
}

const FLUX_CONFIG: &str = "application/vnd.cncf.flux.config.v1+json";
const FLUX_CONTENT: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
const GRAFANA_DASHBOARD: &str = "application/vnd.grafana.dashboard+json";
/// Of a configuration that says nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const TITLE: &str = "org.opencontainers.image.title";

// === impl Artifact ===

impl Artifact {
    pub fn of(bundle: &Bundle, format: Format, annotations: &Annotations) -> Self {
        let archive = bundle.archive();
        let annotations = annotations.named(bundle, &Digest::of(&archive.bytes));
        match format {
            Format::Flux => {
                let config = json!({
                    "architecture": "", "os": "", "config": {}, "created": annotations["org.opencontainers.image.created"],
                    "rootfs": {"type": "layers", "diff_ids": [Digest::of(&archive.tar)]},
                });
                let layers = vec![(FLUX_CONTENT, archive.bytes, json!({}))];
                Self::made(None, (FLUX_CONFIG, config.to_string().into_bytes()), layers, &annotations)
            }
            Format::Grafana => {
                let layers = bundle.manifest.dashboards.values().map(|shown| {
                    let title = shown.file.rsplit('/').next().expect("a part");
                    ("application/json", bundle.contents.0[&shown.file].clone(), json!({ TITLE: title }))
                });
                Self::made(Some(GRAFANA_DASHBOARD), (EMPTY, b"{}".to_vec()), layers.collect(), &annotations)
            }
        }
    }

    fn made(
        artifact_type: Option<&str>,
        (config_type, config): (&str, Vec<u8>),
        layers: Vec<(&str, Vec<u8>, Value)>,
        annotations: &BTreeMap<&str, String>,
    ) -> Self {
        let described = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()});
        let mut manifest = json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_MEDIA_TYPE});
        if let Some(artifact_type) = artifact_type {
            manifest["artifactType"] = artifact_type.into();
        }
        manifest["config"] = described(config_type, &config);
        let mut blobs = vec![(Digest::of(&config), config)];
        let mut of_layers = Vec::new();
        for (media_type, bytes, annotations) in layers {
            let mut layer = described(media_type, &bytes);
            if annotations.as_object().is_some_and(|annotations| !annotations.is_empty()) {
                layer["annotations"] = annotations;
            }
            of_layers.push(layer);
            blobs.push((Digest::of(&bytes), bytes));
        }
        manifest["layers"] = of_layers.into();
        manifest["annotations"] = json!(annotations);
        Self { manifest: manifest.to_string().into_bytes(), blobs }
    }

    /// What a reference by digest names.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

// === impl Annotations ===

impl Annotations {
    fn named(&self, bundle: &Bundle, archive: &Digest) -> BTreeMap<&'static str, String> {
        let version = &bundle.manifest.version;
        let created = jiff::Timestamp::from_second(self.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let revision = self.revision.clone().unwrap_or_else(|| format!("{version}@{archive}"));
        let mut named = BTreeMap::from([
            ("org.opencontainers.image.created", created.to_string()),
            ("org.opencontainers.image.revision", revision),
            ("org.opencontainers.image.version", version.to_string()),
        ]);
        named.extend(self.source.clone().map(|source| ("org.opencontainers.image.source", source)));
        named
    }
}

/// The layer that is the archive.
///
/// # Errors
/// When it is an artifact of another kind.
pub fn archive(manifest: &OciImageManifest) -> Result<&OciDescriptor, String> {
    if manifest.artifact_type.as_deref() == Some(GRAFANA_DASHBOARD) {
        return Err(
            "it was pushed for grafana-operator and has dashboards alone; pull what was pushed for flux".to_owned()
        );
    }
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == FLUX_CONTENT => Ok(layer),
        layers => {
            let found: Vec<_> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
            Err(format!("expected one layer of the type {FLUX_CONTENT}, found [{}]", found.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::samples;

    fn artifact(format: Format) -> (Artifact, Value) {
        let annotations = Annotations { source: None, revision: None, created: 0 };
        let artifact = Artifact::of(&samples::bundle(), format, &annotations);
        let manifest = serde_json::from_slice(&artifact.manifest).expect("JSON");
        (artifact, manifest)
    }

    #[test]
    fn flux_finds_the_archive_under_its_own_media_types() {
        let (artifact, manifest) = artifact(Format::Flux);
        assert_eq!(manifest["config"]["mediaType"], FLUX_CONFIG);
        assert_eq!(manifest["layers"][0]["mediaType"], FLUX_CONTENT);
        let archive = Digest::of(&samples::bundle().archive().bytes);
        assert_eq!(manifest["layers"][0]["digest"], archive.to_string());
        let annotations = &manifest["annotations"];
        assert_eq!(annotations["org.opencontainers.image.created"], "1970-01-01T00:00:00Z");
        assert_eq!(annotations["org.opencontainers.image.revision"], format!("1.0.0@{archive}"));
        let config: Value = serde_json::from_slice(&artifact.blobs[0].1).expect("JSON");
        assert_eq!(config["rootfs"]["diff_ids"][0], Digest::of(&samples::bundle().archive().tar).to_string());
        assert_eq!(artifact, self::artifact(Format::Flux).0, "the same each time");
    }

    #[test]
    fn grafana_operator_finds_each_dashboard_by_its_title() {
        let (artifact, manifest) = artifact(Format::Grafana);
        assert_eq!(manifest["artifactType"], GRAFANA_DASHBOARD);
        assert_eq!(manifest["layers"][0]["annotations"][TITLE], "queues.json");
        assert_eq!(artifact.blobs[1].1, samples::files().0["dashboards/queues.json"].as_bytes());
    }

    #[test]
    fn only_what_has_the_archive_is_pulled() {
        let read =
            |format| serde_json::from_slice::<OciImageManifest>(&artifact(format).0.manifest).expect("a manifest");
        assert!(archive(&read(Format::Flux)).is_ok());
        assert!(archive(&read(Format::Grafana)).expect_err("refused").contains("for grafana-operator"));
        let mut other = read(Format::Flux);
        other.layers[0].media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        assert!(archive(&other).expect_err("refused").starts_with("expected one layer of the type"));
    }
}
