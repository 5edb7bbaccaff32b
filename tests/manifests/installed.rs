//! A real API server that has the production overlay, and the kinds that some components need. No controller and no kubelet
//! runs: objects are stored and judged. Tests that run at the same time share it, and leave it as it is.

use std::io::Write;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::rendered::Rendered;
use crate::harness::controlplane::ControlPlane;
use crate::harness::controlplane::programs::built;

/// The API server, and what it was given.
pub struct Installed {
    pub cluster: Arc<ControlPlane>,
    pub production: Rendered,
}

/// Kinds of cert-manager, of the Prometheus Operator and of the VerticalPodAutoscaler, as those ship them.
const KINDS: &str = "custom-resources";

/// The namespace of what is scaled.
pub const PLATFORM: &str = "agents";

/// Nothing unknown, nothing twice, nothing to be warned of.
const STRICTLY: [&str; 4] = ["apply", "--server-side", "--validate=strict", "--warnings-as-errors"];

// === impl Installed ===

impl Installed {
    /// The one of the tests that run now.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Installed>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(installed) = shared.upgrade() {
            return installed;
        }
        let installed = Arc::new(Self::new().await);
        *shared = Arc::downgrade(&installed);
        installed
    }

    async fn new() -> Self {
        let (cluster, production) = (ControlPlane::start_api().await, Rendered::overlay("production"));
        let kinds = built(&format!("{KINDS}/versions")).with_file_name("definitions");
        let kinds = kinds.to_str().expect("UTF-8");
        cluster.kubectl(&["apply", "--server-side", "-f", kinds]).await;
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await;
        cluster.kubectl(&["create", "namespace", PLATFORM]).await;
        let installed = Self { cluster, production };
        for yaml in [&Rendered::folder("namespace").yaml, &installed.production.yaml] {
            installed.apply(yaml, &[]).await.unwrap_or_else(|said| panic!("{said}"));
        }
        installed
    }

    /// What kubectl says of objects that are applied.
    pub async fn apply(&self, yaml: &str, flags: &[&str]) -> Result<String, String> {
        self.with_file(yaml, &[&STRICTLY[..], flags].concat()).await
    }

    /// What kubectl says of objects in a file.
    pub async fn with_file(&self, yaml: &str, arguments: &[&str]) -> Result<String, String> {
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
        file.write_all(yaml.as_bytes()).expect("written");
        let path = file.path().to_str().expect("UTF-8");
        self.cluster.try_kubectl(&[arguments, &["-f", path]].concat()).await
    }
}
