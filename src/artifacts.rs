//! The files that are made of a catalogue, as things that are kept: in a folder, in an archive, in a registry.
//!
//! Files come in from [`crate::catalog`]. A [`Folder`] is a checkout that has them. A [`Bundle`] is what is shipped: the files
//! with a [`Manifest`] of all that others rely on, in an archive that is the same each time. [`registry`] takes it to where
//! Flux and grafana-operator read it, [`verify`] compares it with what runs, the [`Change`]s between two say what version the
//! newer one has to have. Whatever is read from outside is judged whole before anything is written, and what is written comes to be
//! whole or not at all.

mod archive;
mod bundle;
mod change;
mod changelog;
mod contents;
mod dashboard;
mod digest;
mod folder;
mod kind;
mod manifest;
mod output;
mod query;
mod refusal;
pub mod registry;
mod rules;
#[cfg(test)]
mod samples;
pub mod verify;

pub use bundle::{Bundle, MANIFEST};
pub use change::{Change, Class, missing_version};
pub use changelog::Changelog;
pub use contents::{Contents, SIZE_MAX, check_free, read_bounded};
pub use dashboard::Dashboard;
pub use digest::Digest;
pub use folder::{Difference, Folder, RECORD};
pub use kind::Kind;
pub use manifest::{Manifest, Required};
pub use output::write;
pub use query::Query;
pub use refusal::Refusal;
pub use rules::{Rule, Rules};
