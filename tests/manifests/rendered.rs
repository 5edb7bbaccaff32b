//! What `kubectl kustomize` makes of deploy/orchestration: the name of an overlay comes in, with components where a user
//! would name them in an overlay of one's own; the objects go out, in the order in which they are applied.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::harness::controlplane::programs::kubernetes;
use crate::harness::pki::Authority;

/// Objects as they are given to a cluster.
pub struct Rendered {
    pub yaml: String,
    pub objects: Vec<Value>,
}

pub const OVERLAYS: [&str; 3] = ["development", "staging", "production"];

/// The ways to a serving certificate: of Plimsoll's own making, of cert-manager's, of somebody else's.
pub const CERTIFICATES: [Option<&str>; 3] = [None, Some("cert-manager"), Some("existing-secret")];

/// What may be chosen beside a certificate.
pub const EXTRAS: [&str; 2] = ["monitor-credentials", "prometheus"];

/// What an overlay with an existing Secret says, beside the component's name.
const AUTHORITY: &str = r#"
secretGenerator:
  - {name: plimsoll-ca, files: [ca.crt], options: {annotations: {config.kubernetes.io/local-config: "true"}}}
"#;

// === impl Rendered ===

impl Rendered {
    /// A folder of deploy/orchestration.
    pub fn folder(folder: &str) -> Self {
        Self::read(&orchestration().join(folder))
    }

    pub fn overlay(name: &str) -> Self {
        Self::folder(&format!("overlays/{name}"))
    }

    /// An overlay of a user's own: one of ours, and components.
    pub fn composed(overlay: &str, components: &[&str]) -> Self {
        Self::own(overlay, components, "")
    }

    /// The production overlay in another namespace than its own.
    pub fn in_namespace(namespace: &str) -> Self {
        Self::own("production", &[], &format!("namespace: {namespace}\n"))
    }

    fn own(overlay: &str, components: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = relative(folder.path(), &orchestration());
        let mut text = format!("resources: [{ours}/overlays/{overlay}]\n{more}components:\n");
        for component in components {
            text.push_str(&format!("  - {ours}/components/{component}\n"));
        }
        if components.contains(&"existing-secret") {
            text.push_str(AUTHORITY);
            std::fs::write(folder.path().join("ca.crt"), Authority::new("theirs").pem()).expect("written");
        }
        std::fs::write(folder.path().join("kustomization.yaml"), text).expect("written");
        Self::read(folder.path())
    }

    /// Every overlay as it is, and with each certificate and all extras; each with what it is called.
    pub fn all() -> &'static [(String, Self)] {
        static ALL: LazyLock<Vec<(String, Rendered)>> = LazyLock::new(Rendered::each);
        &ALL
    }

    fn each() -> Vec<(String, Self)> {
        let plain = OVERLAYS.map(|overlay| (overlay.to_owned(), Self::overlay(overlay)));
        let composed = OVERLAYS.iter().flat_map(|overlay| {
            CERTIFICATES.map(|certificate| {
                let components: Vec<_> = certificate.into_iter().chain(EXTRAS).collect();
                (format!("{overlay} with {}", components.join(", ")), Self::composed(overlay, &components))
            })
        });
        plain.into_iter().chain(composed).collect()
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    pub fn object(&self, kind: &str, name: &str) -> &Value {
        let found = self.of_kind(kind).find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} in:\n{}", self.yaml))
    }

    /// The pod template of the Deployment.
    pub fn template(&self) -> &Value {
        &self.object("Deployment", "plimsoll")["spec"]["template"]
    }

    /// The container of the Deployment.
    pub fn container(&self) -> &Value {
        &self.template()["spec"]["containers"][0]
    }

    pub fn read_yaml(yaml: String) -> Self {
        let objects = serde_saphyr::from_multiple(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        Self { yaml, objects }
    }

    fn read(folder: &Path) -> Self {
        let output = Command::new(kubernetes("kubectl")).arg("kustomize").arg(folder).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        // Whoever uses what kustomize is about to drop is told so.
        assert!(output.status.success() && said.is_empty(), "kubectl kustomize {}: {said}", folder.display());
        Self::read_yaml(String::from_utf8(output.stdout).expect("UTF-8"))
    }
}

pub fn orchestration() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/orchestration")
}

/// Kustomize takes no absolute paths.
fn relative(from: &Path, to: &Path) -> String {
    let from = from.canonicalize().expect("it is there");
    let up = "../".repeat(from.components().count() - 1);
    format!("{up}{}", to.strip_prefix("/").expect("absolute").display())
}
