//! The shipped manifests as a test applies them: an overlay of `deploy/orchestration`, components with it, and what a test
//! has otherwise. `kubectl kustomize` makes objects of it, as everybody does who installs Plimsoll.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::programs::{Premises, kubernetes};

/// An overlay of the tests' own, which rests on a shipped one.
pub struct Installation {
    overlay: &'static str,
    components: Vec<&'static str>,
    configuration: Option<String>,
    patches: String,
}

/// The namespace of the objects that have one.
pub const NAMESPACE: &str = "plimsoll-system";

/// The name of the Deployment, the Service, the ConfigMap and the service account.
pub const NAME: &str = "plimsoll";

/// The pods.
pub const SELECTOR: &str = "app.kubernetes.io/name=plimsoll";

/// The port of the container.
pub const PORT: u16 = 10_250;

// === impl Installation ===

impl Installation {
    /// The overlay as it is.
    pub fn of(overlay: &'static str) -> Self {
        Self { overlay, components: Vec::new(), configuration: None, patches: String::new() }
    }

    /// With a component too.
    pub fn component(mut self, component: &'static str) -> Self {
        self.components.push(component);
        self
    }

    /// With another configuration file.
    pub fn configuration(mut self, text: &str) -> Self {
        self.configuration = Some(text.to_owned());
        self
    }

    /// With a change of one object, as a strategic merge patch.
    pub fn patch(mut self, object: &str) -> Self {
        writeln!(self.patches, "  - patch: {}", json!(object)).expect("a string takes all");
        self
    }

    /// The objects as YAML.
    pub fn render(&self, premises: &Premises) -> String {
        let folder = premises.folder.path().canonicalize().expect("a folder").join("overlay");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("kustomization.yaml"), self.kustomization(&folder)).expect("written");
        if let Some(text) = &self.configuration {
            std::fs::write(folder.join("plimsoll.yaml"), text).expect("written");
        }
        let output = Command::new(kubernetes("kubectl")).arg("kustomize").arg(&folder).output().expect("it runs");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}:\n{}", self.overlay, said(&output.stderr));
        said(&output.stdout)
    }

    fn kustomization(&self, folder: &Path) -> String {
        let shipped = shipped_from(folder);
        let mut text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n".to_owned();
        let components = self.components.iter().map(|name| shipped.join("components").join(name)).collect::<Vec<_>>();
        text += &format!(
            "resources: {}\n",
            json!([shipped.join("namespace"), shipped.join("overlays").join(self.overlay)])
        );
        text += &format!("components: {}\n", json!(components));
        if self.configuration.is_some() {
            let map = json!({"name": NAME, "namespace": NAMESPACE, "behavior": "replace", "files": ["plimsoll.yaml"],
                "options": {"disableNameSuffixHash": true}});
            text += &format!("configMapGenerator: {}\n", json!([map]));
        }
        if !self.patches.is_empty() {
            text += &format!("patches:\n{}", self.patches);
        }
        text
    }
}

/// The shipped manifests as seen from a folder; kustomize takes no absolute paths.
fn shipped_from(folder: &Path) -> PathBuf {
    let up = folder.components().skip(1).map(|_| "..").collect::<PathBuf>();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/orchestration");
    let shipped = shipped.canonicalize().expect("it is shipped");
    up.join(shipped.strip_prefix("/").expect("an absolute path"))
}
