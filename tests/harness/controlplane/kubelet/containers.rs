//! The processes of pods for who looks at them from outside of the cluster, or does them harm: their output, signals, and
//! an end from which they do not come back until they may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::harness::program::Program;

/// By UID of the pod.
#[derive(Default)]
pub struct Containers(Mutex<BTreeMap<String, Container>>);

/// The one container of a pod that has a process.
#[derive(Default)]
struct Container {
    program: Weak<Mutex<Program>>,
    /// Whether it is not started again when it ends.
    is_held: bool,
}

// === impl Containers ===

impl Containers {
    /// The process that runs, or ran last.
    pub fn program(&self, pod: &str) -> Option<Arc<Mutex<Program>>> {
        self.lock().get(pod).and_then(|container| container.program.upgrade())
    }

    /// From now on its end is final, until it is released.
    pub fn hold(&self, pod: &str) {
        self.lock().entry(pod.to_owned()).or_default().is_held = true;
    }

    pub fn release(&self, pod: &str) {
        self.lock().entry(pod.to_owned()).or_default().is_held = false;
    }

    pub fn is_held(&self, pod: &str) -> bool {
        self.lock().get(pod).is_some_and(|container| container.is_held)
    }

    pub fn started(&self, pod: &str, program: &Arc<Mutex<Program>>) {
        self.lock().entry(pod.to_owned()).or_default().program = Arc::downgrade(program);
    }

    /// The pod is gone.
    pub fn forget(&self, pod: &str) {
        self.lock().remove(pod);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Container>> {
        self.0.lock().expect("not poisoned")
    }
}
