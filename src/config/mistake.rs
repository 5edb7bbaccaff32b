//! The mistakes of one file while it is checked, and which places later checks must not judge again.

use std::collections::BTreeSet;
use std::path::Path;

use super::diagnostic::Diagnostic;
use super::document::{Node, Place, Position};
use super::key_path::{KeyPath, Step};

/// Collects mistakes of one document.
#[derive(Debug)]
pub struct Mistakes<'a> {
    root: &'a Node,
    found: Vec<(Place, KeyPath, String)>,
    /// By the place where they are written and the last step of the path.
    told: BTreeSet<(Position, Option<Step>, String)>,
    /// Places whose value is unknown because of a mistake; relations with them are not judged.
    doubtful: BTreeSet<KeyPath>,
}

// === impl Mistakes ===

impl<'a> Mistakes<'a> {
    pub fn new(root: &'a Node) -> Self {
        Self { root, found: Vec::new(), told: BTreeSet::new(), doubtful: BTreeSet::new() }
    }

    /// A mistake in the value at a path, or in the deepest value on the way when there is none.
    pub fn push(&mut self, path: &KeyPath, message: String) {
        let place = deepest(self.root, path).place;
        self.push_at(place, path, message);
    }

    /// A mistake at another place than that of its value, for example at the key. What an alias uses again is wrong
    /// only once.
    pub fn push_at(&mut self, place: Place, path: &KeyPath, message: String) {
        self.doubt(path);
        if self.told.insert((place.written, path.steps().last().cloned(), message.clone())) {
            self.found.push((place, path.clone(), message));
        }
    }

    /// Marks a place whose value was meant but could not be read.
    pub fn doubt(&mut self, path: &KeyPath) {
        self.doubtful.insert(path.clone());
    }

    pub fn is_doubtful(&self, path: &KeyPath) -> bool {
        self.doubtful.contains(path)
    }

    /// Whether one of the keys of a mapping is doubtful.
    pub fn any_doubtful(&self, path: &KeyPath, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.is_doubtful(&path.key(key)))
    }

    /// The value at a path, if the file has it.
    pub fn node(&self, path: &KeyPath) -> Option<&'a Node> {
        path.steps().iter().try_fold(self.root, step)
    }

    /// The line of the value at a path, or of the deepest value on the way.
    pub fn line(&self, path: &KeyPath) -> u64 {
        deepest(self.root, path).place.used.line
    }

    pub fn into_diagnostics(self, file: &Path) -> Vec<Diagnostic> {
        let diagnostic = |(place, path, message): (Place, KeyPath, String)| Diagnostic {
            file: file.into(),
            line: place.used.line,
            column: place.used.column,
            key: path.to_string(),
            message,
        };
        self.found.into_iter().map(diagnostic).collect()
    }
}

fn deepest<'a>(root: &'a Node, path: &KeyPath) -> &'a Node {
    let mut node = root;
    for next in path.steps() {
        let Some(child) = step(node, next) else { break };
        node = child;
    }
    node
}

fn step<'a>(node: &'a Node, step: &Step) -> Option<&'a Node> {
    match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => node.item(*index),
    }
}
