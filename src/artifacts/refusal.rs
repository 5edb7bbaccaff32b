//! Why something is not taken: where it is, and what is wrong with it.

use std::fmt::Display;
use std::io;

/// One line: a file, an archive or a registry, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Refusal {
    /// A path, within an archive or on the machine, or a reference of a registry; with a line or a name where there is one.
    pub place: String,
    pub what: String,
}

// === impl Refusal ===

impl Refusal {
    pub fn new(place: impl Display, what: impl Display) -> Self {
        // A text with lines of its own would look like several refusals.
        let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { place: place.to_string(), what: one_line(what.to_string()) }
    }

    /// For [`Result::map_err`] on what is read or written at a place.
    pub fn at(place: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(place, error)
    }
}
