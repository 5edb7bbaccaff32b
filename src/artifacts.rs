//! The files that are made of a catalogue, as things that are kept: in a folder, in an archive, in a registry.

mod folder;

pub use folder::{Difference, Folder};
